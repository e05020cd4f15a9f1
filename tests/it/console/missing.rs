//! What is gone is shown as gone: a Deployment that somebody deleted, and an application.

use domain::order::State;
use kube::api::DeleteParams;
use sqlx::PgPool;

use super::{Site, browser::Browser, elements, hidden};
use crate::support::{App, caller, eventually, manual};

/// Deletes the Deployment of an application as somebody with kubectl does.
async fn delete_deployment(app: &App, name: &str) {
    app.deployments().delete(name, &DeleteParams::background()).await.unwrap();
}

/// The words that the list shows as the applications' states.
fn states(page: &str) -> Vec<&str> {
    let signs = page.split("<td><span class=\"sign ").skip(1);
    signs.map(|it| it.split("</span> ").nth(1).unwrap().split_once('<').unwrap().0).collect()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_deployment_that_is_gone_is_told_and_a_version_creates_it_again(pool: PgPool) {
    let site = Site::start(pool).await;
    let web = site.app.create("web", 2).await;
    site.app.create("other", 2).await;
    let order = site.app.deploy(web, "shop/web:2.0", manual(1)).await;
    assert_eq!(site.app.end_of(order).await.state, State::Succeeded);
    let (list, own) = ("/console/apps", format!("/console/apps/{web}"));
    let until = async |wanted: [&str; 2]| {
        eventually(async || {
            let page = site.get(list).await.body;
            if states(&page) == wanted { Ok(()) } else { Err(page) }
        })
        .await;
    };
    until(["serves", "serves"]).await;
    let page = site.get(&own).await.body;
    assert!(!page.contains("no Deployment") && page.contains("</span> runs"), "{page}");
    assert_eq!(page.matches(">Return to ").count(), 1, "{page}");

    delete_deployment(&site.app, "web").await;
    until(["serves", "no Deployment"]).await;
    let page = site.get(&own).await.body;
    let said = "There is no Deployment web on the cluster. A return to a version creates it again with 2 pods";
    assert!(page.contains(said) && page.contains("<dd>0 of 2</dd>"), "{page}");
    // None of its versions runs, and each can be returned to.
    assert!(!page.contains("</span> runs"), "{page}");
    assert_eq!(page.matches(">Return to ").count(), 2, "{page}");

    // The first of these links leads to a release that creates it again.
    let links = elements(&page);
    let link = links.iter().map(|it| it.of("href")).find(|it| it.contains("?release=")).unwrap();
    let (_, release) = link.split_once("?release=").unwrap();
    let path = format!("{own}/release");
    let form = [("source", "release"), ("release", release), ("mode", "all")];
    let seen = site.post(&path, &[&form[..], &[("step", "preview")]].concat()).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    assert!(seen.body.contains("value=\"confirm\""), "{}", seen.body);
    let (nonce, hash) = (hidden(&seen.body, "nonce"), hidden(&seen.body, "plan_hash"));
    let own_fields = [("step", "confirm"), ("nonce", &*nonce), ("plan_hash", &*hash)];
    let ordered = site.post(&path, &[&form[..], &own_fields[..]].concat()).await;
    assert_eq!(ordered.status, 303, "{}", ordered.body);
    let order = ordered.header("location").rsplit('/').next().unwrap().parse().unwrap();
    assert_eq!(site.app.end_of(order).await.state, State::Succeeded);
    until(["serves", "serves"]).await;
    let page = site.get(&own).await.body;
    assert!(!page.contains("no Deployment") && page.contains("</span> runs"), "{page}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_list_that_is_looked_at_loses_what_is_deleted(pool: PgPool) {
    let site = Site::start(pool).await;
    let web = site.app.create("shop-front", 1).await;
    site.app.create("other", 1).await;
    let browser = Browser::signed_in(&site).await;
    browser.open(&site, "/console/apps").await;
    browser.until("#list", "shop-front").await;
    let until = async |what: &str, holds: &dyn Fn(&str) -> bool| {
        eventually(async || {
            let list = browser.text("#list").await;
            if !list.is_empty() && holds(&list) { Ok(()) } else { Err(format!("{what}: {list}")) }
        })
        .await;
    };
    delete_deployment(&site.app, "shop-front").await;
    until("its Deployment is gone", &|list| list.contains("no Deployment")).await;
    let order = site.app.service.delete(&caller(), web).await.unwrap();
    assert_eq!(site.app.end_of(order).await.state, State::Succeeded);
    until("it is gone", &|list| list.contains("other") && !list.contains("shop-front")).await;
    assert_eq!(site.get(&format!("/console/apps/{web}")).await.status, 404);
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.end().await;
}
