//! What the guardrails refuse is on record, and is judged where it cannot change any more.

use service::{Caller, RequestIdentity};
use sqlx::AssertSqlSafe;

use super::{neighbours::second, *};
use crate::{
    sign::{Key, Unsigned},
    support::server::{Kept, Server},
};

/// What was refused: operation and object.
async fn refusals(pool: &PgPool) -> Vec<(String, String)> {
    let sql = "SELECT operation, object FROM audit_entry WHERE outcome = 'refused' ORDER BY id";
    sqlx::query_as(sql).fetch_all(pool).await.unwrap()
}

/// The request of this nonce.
fn request(nonce: &str) -> Caller {
    let identity = RequestIdentity { nonce: nonce.into(), digest: "digest".into() };
    Caller { identity: Some(identity), ..caller() }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn pods_that_are_refused_are_on_record_and_not_without_end(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    app.create("web", 1).await;
    let text = text(&app, attack()).await;
    for _ in 0..12 {
        let edit = with(&app, &[team(&app)], EDIT);
        refused(edit.edit_deployment(&caller(), text.clone()).await, &["spec.volumes[root]"]);
    }
    let found = refusals(&pool).await;
    let object = format!("Guardrails namespace/{}/application/web", app.namespace);
    assert_eq!(found, vec![("edas:UpdateK8sResource".to_owned(), object); 10]);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_deployment_that_was_adopted_meanwhile_is_not_deleted(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let _kept = Kept::of(&app).await;
    let application = adopted(&app, "web", 1, json!({})).await;
    // The look at it does not see yet that it was adopted, and the transaction that deletes it does.
    sqlx::raw_sql(
        "UPDATE change_order SET kind = 'restart' WHERE kind = 'create';
         CREATE SEQUENCE looks;
         CREATE FUNCTION adopt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('looks') = 1 THEN
                 UPDATE change_order SET kind = 'create' WHERE kind = 'restart';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER adopts BEFORE INSERT ON nonce FOR EACH ROW EXECUTE FUNCTION adopt()",
    )
    .execute(&pool)
    .await
    .unwrap();
    let before = orders(&app, application).await;
    let deletes = with(&app, &[team(&app)], DELETE);
    let refusal = deletes.delete(&request("n-1"), application).await;
    refused(refusal, &["edas:DeleteAdoptedDeployment"]);
    assert_eq!(orders(&app, application).await, before);
    let [(operation, object)] = &refusals(&pool).await[..] else { panic!("it is on record once") };
    assert_eq!(operation, "edas:DeleteK8sApplication");
    assert!(object.starts_with("Guardrails namespace/"), "{object}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_host_is_judged_with_those_that_others_are_about_to_take(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let _kept = Kept::of(&app).await;
    let other = second(&app).await;
    let claim = |host: &str| {
        let sql = format!(
            "INSERT INTO ingress_host (cluster_id, host, namespace, claimed_at) VALUES ('{CLUSTER}', '{host}', '{other}', now())"
        );
        AssertSqlSafe(sql)
    };
    let create = async |nonce: &str, name: &str, host: &str| {
        let ours = with(&app, &[team(&app)], neighbours::INGRESS);
        let route = neighbours::route(&app.namespace, name, Some(host));
        ours.create_route(&request(nonce), route).await
    };
    sqlx::query(claim("*.shop.example")).execute(&pool).await.unwrap();
    let taken = ["a.shop.example", "an Ingress of another namespace"];
    refused(create("n-1", "a", "a.shop.example").await, &taken);
    // As before, who has one host leaves its domain to others.
    sqlx::query(claim("b.mall.example")).execute(&pool).await.unwrap();
    create("n-2", "mall", "*.mall.example").await.unwrap();
    assert_eq!(refusals(&pool).await.len(), 1);

    // Somebody is about to claim the domain: that is waited for.
    let mut theirs = pool.begin().await.unwrap();
    let lock = "SELECT pg_advisory_xact_lock(hashtext('sluice ingress hosts'), hashtext($1))";
    sqlx::query(lock).bind(CLUSTER).execute(&mut *theirs).await.unwrap();
    let waited = async {
        eventually(async || {
            let waiting =
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&pool).await.unwrap();
            (waiting == 1).then_some(()).ok_or_else(|| "it does not wait".to_owned())
        })
        .await;
        sqlx::query(claim("*.new.example")).execute(&mut *theirs).await.unwrap();
        theirs.commit().await.unwrap();
    };
    let (judged, ()) = tokio::join!(create("n-3", "new", "a.new.example"), waited);
    refused(judged, &["a.new.example", "an Ingress of another namespace"]);

    // The same request again has its answer, whoever wants the host by now.
    create("n-4", "own", "own.example").await.unwrap();
    sqlx::query("UPDATE ingress_host SET namespace = $1 WHERE host = 'own.example'")
        .bind(&other)
        .execute(&pool)
        .await
        .unwrap();
    create("n-4", "own", "own.example").await.unwrap();
    refused(create("n-5", "own-2", "own.example").await, &["an Ingress of another namespace"]);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_namespace_takes_so_many_hosts_and_they_are_forgotten(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let create = async |name: &str, host: &str| {
        let ours = with(&app, &[team(&app)], neighbours::INGRESS);
        ours.create_route(&caller(), neighbours::route(&app.namespace, name, Some(host))).await
    };
    for host in ["*", "a.*.example", "Shop.example", "10.0.0.1", "shop.example:80"] {
        refused(create("odd", host).await, &[host, "a host must be a name"]);
    }
    let sql = format!(
        "INSERT INTO ingress_host (cluster_id, host, namespace, claimed_at)
         SELECT '{CLUSTER}', number || '.example', '{}', now() FROM generate_series(1, 1000) AS number",
        app.namespace
    );
    sqlx::query(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    create("known", "1.example").await.unwrap();
    refused(create("more", "more.example").await, &["1001 hosts within two minutes"]);
    sqlx::query("UPDATE ingress_host SET claimed_at = claimed_at - interval '121 seconds'")
        .execute(&pool)
        .await
        .unwrap();
    create("more", "more.example").await.unwrap();
    let left: Vec<String> =
        sqlx::query_scalar("SELECT host FROM ingress_host").fetch_all(&pool).await.unwrap();
    assert_eq!(left, ["more.example"]);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_a_route_beside_edas_operations_refuses_is_on_record(pool: PgPool) {
    let server = Server::on(App::start(pool.clone()).await).await;
    let path = "/sluice/v1/console/session";
    let key = Key { id: "the-key", secret: &server.secret };
    let date = server.app.clock.now();
    let unsigned = Unsigned { method: "POST", path, parameters: &[], date, nonce: Some("n-1") };
    let signed = unsigned.acs3(key);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.post(format!("{}{}", server.endpoint, signed.target));
    for (name, value) in &signed.headers {
        request = request.header(*name, value);
    }
    let reply = request.header("origin", "http://another.example").send().await.unwrap();
    assert_eq!(reply.status().as_u16(), 403);
    let found: (String, String, String, String) =
        sqlx::query_as("SELECT operation, object, principal, outcome FROM audit_entry")
            .fetch_one(&pool)
            .await
            .unwrap();
    let expected = [&format!("POST {path}"), "403", "ci", "refused"];
    assert_eq!([&found.0, &found.1, &found.2, &found.3], expected);

    let path = format!("/sluice/v1/packages/{}/a.jar", ApplicationId::new());
    let url = format!("{}{path}?capability=guessed", server.endpoint);
    assert_eq!(client.get(url).send().await.unwrap().status().as_u16(), 404);
    let expected = (format!("GET {path}"), "NoSuchKey".to_owned());
    assert_eq!(refusals(&pool).await[1..], [expected]);
}
