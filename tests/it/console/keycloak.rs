//! Whole sign-ins, at Keycloak.

use std::{process::Stdio, time::Duration};

use fantoccini::Locator;
use reqwest::{Client, StatusCode, redirect::Policy};
use sqlx::PgPool;
use tokio::{net::TcpListener, process::Command};

use super::{Site, browser::Browser, people::people};
use crate::{documents::root, support::App};

/// Longest time for Keycloak to begin: it is Java, on a machine that has other things to do.
const BEGINS: Duration = Duration::from_secs(180);

/// Keycloak with the people of `tests/keycloak/house.json`, until it is dropped.
struct Keycloak {
    process: u32,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Keycloak {
    async fn start(port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut child = Command::new(root().join("tests/keycloak/server"))
            .arg("run")
            .arg(folder.path())
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let keycloak = Self { process: child.id().unwrap(), port, _folder: folder };
        let place = format!("{}/.well-known/openid-configuration", keycloak.issuer());
        let answers = async {
            let client = client();
            let mut ticks = tokio::time::interval(Duration::from_millis(200));
            loop {
                ticks.tick().await;
                let reply = client.get(&place).send().await;
                if reply.is_ok_and(|reply| reply.status() == StatusCode::OK) {
                    break;
                }
            }
        };
        let said = || std::fs::read_to_string(keycloak._folder.path().join("log")).unwrap();
        let begins = async {
            tokio::select! {
                () = answers => {}
                ended = child.wait() => panic!("Keycloak ended, {ended:?}: {}", said()),
            }
        };
        let begun = tokio::time::timeout(BEGINS, begins).await;
        begun.unwrap_or_else(|_| panic!("not within {BEGINS:?}: {}", said()));
        keycloak
    }

    fn issuer(&self) -> String {
        issuer(self.port)
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        // Its shell script and Java are a group of their own.
        let group = format!("-{}", self.process);
        let _ = std::process::Command::new("kill").args(["-9", "--", &group]).status();
    }
}

fn issuer(port: u16) -> String {
    format!("http://127.0.0.1:{port}/realms/house")
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().redirect(Policy::none()).build().unwrap()
}

/// Signs somebody in at Keycloak as a browser without scripts does: the address that it is
/// sent back to, and what it keeps for the console.
async fn sign_in(site: &Site, name: &str) -> (String, String) {
    let client = client();
    let begun = site.send("GET", "/console/sign-in/provider", &[], "").await;
    assert_eq!(begun.status, 303, "{}", begun.body);
    let kept = begun.header("set-cookie").split(';').next().unwrap().to_owned();
    let page = client.get(begun.header("location")).send().await.unwrap();
    let cookies: Vec<String> = page
        .headers()
        .get_all("set-cookie")
        .iter()
        .map(|it| it.to_str().unwrap().split(';').next().unwrap().to_owned())
        .collect();
    let page = page.text().await.unwrap();
    let (_, rest) = page.split_once("id=\"kc-form-login\"").unwrap_or_else(|| panic!("{page}"));
    let (_, rest) = rest.split_once("action=\"").unwrap();
    let action = rest.split('"').next().unwrap().replace("&amp;", "&");
    let form = super::encoded(&[("username", name), ("password", &format!("{name}-password"))]);
    let reply = client
        .post(action)
        .header("cookie", cookies.join("; "))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap();
    let place = reply.headers()["location"].to_str().unwrap().to_owned();
    let path = place.strip_prefix(&site.url("")).unwrap_or_else(|| panic!("{place}"));
    (path.to_owned(), kept)
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn people_sign_in_through_keycloak(pool: PgPool) {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let app = App::start(pool.clone()).await;
    let provider = issuer(port);
    let site = Site::with(app, |address, seal| Some(people(&provider, address, seal))).await;
    let application = site.app.create("web", 2).await;
    // It is not there yet.
    assert_eq!(site.get("/console/sign-in/provider").await.status, 503);
    let _keycloak = Keycloak::start(port).await;

    // Jane clicks, and is where she wanted to go.
    let browser = Browser::start().await;
    browser.open(&site, &format!("/console/apps/{application}?tab=operate")).await;
    browser.until_heading("Sign in").await;
    browser.click_on(Locator::Css("a.button")).await;
    browser.fill("username", "jane").await;
    browser.fill("password", "jane-password").await;
    browser.click_on(Locator::Id("kc-login")).await;
    browser.until_heading("web").await;
    browser.until(".who", "jane@example.org (alice)").await;
    browser.fill("replicas", "3").await;
    browser.press("Scale").await;
    browser.until_heading("of web").await;
    browser.until("#timeline", "jane@example.org (alice)").await;
    browser.open(&site, "/console/sessions").await;
    browser.until("table", "jane@example.org (alice)").await;
    let session = &site.app.service.sessions(&crate::support::caller()).await.unwrap()[0];
    let person = session.person.clone().unwrap();
    assert_eq!((person.name.as_str(), session.name.as_str()), ("jane@example.org", "alice"));
    assert!(person.subject.len() > 20, "Keycloak's own id: {person:?}");
    // Signed out here, she is known at Keycloak still: one click signs her in.
    browser.press("Sign out").await;
    browser.until_heading("Sign in").await;
    browser.click_on(Locator::Css("a.button")).await;
    browser.until_heading("Applications").await;
    let complaints = browser.complaints().await;
    let own: Vec<_> = complaints.iter().filter(|it| it.contains("/console")).collect();
    assert!(own.is_empty(), "{own:?}");
    browser.end().await;

    // Kim is in no group that a key is for.
    let before = site.app.service.sessions(&crate::support::caller()).await.unwrap().len();
    let (back, kept) = sign_in(&site, "kim").await;
    let refused = site.send("GET", &back, &[("cookie", &kept)], "").await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    for part in ["You are kim@example.org", "these groups may use this console: platform."] {
        assert!(refused.body.contains(part), "{part}: {}", refused.body);
    }

    // What came back to Jane's browser is good there, once.
    let (back, kept) = sign_in(&site, "jane").await;
    let (_, other) = sign_in(&site, "jane").await;
    let elsewhere = site.send("GET", &back, &[("cookie", &other)], "").await;
    assert_eq!(elsewhere.status, 400, "{}", elsewhere.body);
    assert_eq!(site.app.service.sessions(&crate::support::caller()).await.unwrap().len(), before);
    let signed_in = site.send("GET", &back, &[("cookie", &kept)], "").await;
    assert_eq!((signed_in.status.as_u16(), signed_in.header("location")), (303, "/console"));
    let again = site.send("GET", &back, &[("cookie", &kept)], "").await;
    assert_eq!(again.status, 403, "Keycloak knows the code no more: {}", again.body);

    // Her key may not be used any more.
    sqlx::query("UPDATE access_key SET enabled = false").execute(&pool).await.unwrap();
    let (back, kept) = sign_in(&site, "jane").await;
    let refused = site.send("GET", &back, &[("cookie", &kept)], "").await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(refused.body.contains("access key alice"), "{}", refused.body);
}
