//! What people are told of several clusters: the console's list of applications, and
//! `sluice doctor`.

use service::Visit;

use super::*;

impl Server {
    /// A page of the console, for somebody who signed in.
    pub(super) async fn page(&self, path: &str) -> String {
        let link = self.service.make_link("ci").await.unwrap();
        let opened = self.service.open_linked_session(&link, &Visit::default()).await.unwrap();
        let cookie = format!("sluice={}", opened.token.expose());
        let asked = reqwest::Client::new().get(format!("{}{path}", self.endpoint));
        let answer = asked.header("cookie", cookie).send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.text().await.unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The exit code of `sluice doctor`, and what it says of clusters, each with its verdict.
    pub(super) async fn doctor(&self) -> (Option<i32>, Vec<(String, String)>) {
        let mut command = sluice(&self.pool, &["doctor", "-o", "json"]);
        command
            .env("SLUICE_ENDPOINT", &self.endpoint)
            .env("SLUICE_ACCESS_KEY_ID", KEY.id)
            .env("SLUICE_ACCESS_KEY_SECRET", KEY.secret)
            .env("SLUICE_CONTEXT_FILE", "/nowhere/contexts.json");
        let output = tokio::time::timeout(DEADLINE, command.output()).await;
        let output = output.expect("it must end").unwrap();
        let found: Vec<Value> = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|why| panic!("{why}: {output:?}"));
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        let of_clusters = found.iter().filter(|it| it["what"] == "cluster");
        let said = of_clusters.map(|it| (text(&it["verdict"]), text(&it["text"])));
        (output.status.code(), said.collect())
    }

    /// Waits until the server is ready: with a single cluster it does not name it.
    pub(super) async fn until_ready(&self) {
        eventually(async || match self.ready().await {
            (200, _) => Ok(()),
            (_, body) => Err(body.to_string()),
        })
        .await;
    }
}

/// What `sluice doctor` says of a cluster that is well.
pub(super) fn well() -> (String, String) {
    ("ok".to_owned(), "an executor is at work, and reaches it".to_owned())
}

/// Where each row of the console's list says that its application is.
pub(super) fn places(page: &str) -> Vec<&str> {
    let rows = page.split("<th scope=\"row\">").skip(1);
    rows.map(|row| {
        let (_, place) = row.split_once("<span class=\"soft\">").unwrap();
        place.split_once('<').unwrap().0
    })
    .collect()
}

/// What the console's list says of clusters that are away.
pub(super) fn away(page: &str) -> Vec<&str> {
    let said = page.split("Nothing is released on the cluster ").skip(1);
    said.map(|it| it.split_once('<').unwrap().0).collect()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_console_and_the_doctor_say_which_of_several_clusters_is_away(pool: PgPool) {
    let (one, two) = (Site::of("the-one"), Site::of("the-two"));
    let ((one_at, one_runs), (two_at, two_runs)) = (one.port().await, two.port().await);
    let server = Server::start(&pool).await;
    let (code, found) = server.doctor().await;
    assert_eq!((code, found[0].0.as_str()), (Some(9), "wrong"), "{found:?}");
    assert!(found[0].1.contains("sluice cluster add"), "{found:?}");

    // Of a single cluster nobody needs to be told which.
    server.add("one", &one_at).await.unwrap();
    server.until_ready().await;
    server.create("one", "web").await;
    let page = server.page("/console/apps").await;
    assert_eq!((places(&page), away(&page)), (vec!["default"], vec![]), "{page}");

    server.add("two", &two_at).await.unwrap();
    server.until_releases("two", true).await;
    server.create("two", "api").await;
    let page = server.page("/console/apps").await;
    let each_place = ["two · default", "one · default"];
    assert_eq!((&places(&page)[..], away(&page)), (&each_place[..], vec![]), "{page}");
    assert_eq!(server.doctor().await, (Some(0), vec![well()]));

    // One is away: that is a warning, and all the rest is looked at as before.
    two_runs.cancel();
    server.until_releases("two", false).await;
    let (code, found) = server.doctor().await;
    assert_eq!((code, found.len(), &found[0]), (Some(0), 2, &well()), "{found:?}");
    assert_eq!(found[1].0, "warning");
    assert!(found[1].1.starts_with("nothing is released on two now: "), "{found:?}");
    let page = server.page("/console/apps").await;
    assert_eq!(places(&page), each_place, "{page}");
    assert!(away(&page).len() == 1 && away(&page)[0].starts_with("two now: "), "{page}");

    // All are: the first fault, which names each.
    one_runs.cancel();
    let (status, body) = server.until_releases("one", false).await;
    assert_eq!(status, 503, "{body}");
    let (code, found) = server.doctor().await;
    assert_eq!((code, found.len(), found[0].0.as_str()), (Some(9), 1, "wrong"), "{found:?}");
    assert!(found[0].1.contains("one: ") && found[0].1.contains("two: "), "{found:?}");
    let page = server.page("/console/apps").await;
    let ids: Vec<&str> = away(&page).iter().map(|it| it.split_once(' ').unwrap().0).collect();
    assert_eq!(ids, ["one", "two"], "{page}");
}
