//! What people do, done by clicking.

use domain::ApplicationId;
use sqlx::PgPool;
use tokio::time::Instant;

use super::{Site, browser::Browser};
use crate::support::{App, on_both_clusters};

const NEW: &str = "shop/web:2.0";

// What people do at EDAS' console, each on the simulated cluster and on a real control plane.
on_both_clusters!(
    a_release_to_all_at_once,
    a_release_in_batches_that_follow_each_other,
    a_release_in_batches_that_a_person_confirms,
    a_canary_that_is_promoted,
    a_missing_image_is_rolled_back_by_itself_and_its_cause_is_on_top,
    a_probe_that_fails_is_rolled_back_by_itself_and_its_pod_is_named,
    a_release_is_stopped_and_rolled_back_half_way,
    a_version_of_the_history_comes_back,
);

/// An application of some pods, and somebody who looks at its page.
async fn begin(app: App, pods: i32) -> (Site, Browser, ApplicationId) {
    let site = Site::of(app).await;
    let application = site.app.create("web", pods).await;
    let browser = Browser::signed_in(&site).await;
    browser.follow("web").await;
    browser.until_heading("web").await;
    (site, browser, application)
}

/// Fills in the form for an image, as `how` says, and confirms what it would do.
async fn release(browser: &Browser, image: &str, choose: &[&str], fill: &[(&str, &str)]) {
    browser.follow("Release").await;
    browser.until_heading("Release web").await;
    browser.fill("image", image).await;
    for id in choose {
        browser.choose(id).await;
    }
    for (id, text) in fill {
        browser.fill(id, text).await;
    }
    browser.press("Show what it would do").await;
    browser.until_heading("What the release of web would do").await;
    browser.until(".diff .added", image).await;
    browser.press("Release").await;
    browser.until_heading("of web").await;
}

/// Waits for the page to say so, without loading it again.
async fn said(browser: &Browser, wanted: &str) {
    browser.until("#said", wanted).await;
}

async fn image(site: &Site, application: ApplicationId) -> String {
    let spec = site.app.service.current_spec(application).await.unwrap();
    spec.release.unwrap().image
}

async fn finish(browser: Browser) {
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");
    browser.end().await;
}

async fn a_release_to_all_at_once(app: App) {
    let (site, browser, application) = begin(app, 3).await;
    release(&browser, NEW, &["mode-all"], &[("reason", "for the tests")]).await;
    said(&browser, "Succeeded").await;
    assert_eq!(image(&site, application).await, NEW);
    assert!(browser.text("#timeline").await.contains("alice"));
    let history = site.app.service.history(application).await.unwrap();
    assert_eq!(history[0].description, "for the tests");
    finish(browser).await;
}

async fn a_release_in_batches_that_follow_each_other(app: App) {
    let (site, browser, application) = begin(app, 4).await;
    let choose = ["mode-batches", "pace-automatic"];
    release(&browser, NEW, &choose, &[("batches", "2"), ("wait", "0")]).await;
    said(&browser, "Succeeded").await;
    assert!(browser.text("#batch-2").await.contains("2 of 2"));
    assert_eq!(image(&site, application).await, NEW);
    finish(browser).await;
}

async fn a_release_in_batches_that_a_person_confirms(app: App) {
    let (site, browser, application) = begin(app, 6).await;
    release(&browser, NEW, &["mode-batches", "pace-manual"], &[("batches", "3")]).await;
    said(&browser, "batch 2 of 3 (2 pods)").await;
    browser.fill("reason-continue", "the first two serve").await;
    browser.press("Continue with batch 2 (2 pods)").await;
    said(&browser, "batch 3 of 3 (2 pods)").await;
    browser.until("#timeline", "the first two serve").await;
    browser.press_in("Step back").await;
    browser.until("#timeline", "step back requested").await;
    said(&browser, "batch 2 of 3 (2 pods)").await;
    browser.until("#batch-2", "0 of 2").await;
    browser.press("Continue with batch 2 (2 pods)").await;
    said(&browser, "batch 3 of 3 (2 pods)").await;
    browser.press("Continue with batch 3 (2 pods)").await;
    said(&browser, "Succeeded").await;
    assert_eq!(image(&site, application).await, NEW);
    finish(browser).await;
}

async fn a_canary_that_is_promoted(app: App) {
    let (site, browser, application) = begin(app, 4).await;
    let fill = [("canary", "1"), ("batches", "1")];
    release(&browser, NEW, &["mode-canary", "pace-automatic"], &fill).await;
    said(&browser, "batch 2 of 2 (3 pods)").await;
    assert!(browser.text("#batch-1").await.contains("canary"));
    browser.press("Continue with batch 2 (3 pods)").await;
    said(&browser, "Succeeded").await;
    assert_eq!(image(&site, application).await, NEW);
    finish(browser).await;
}

async fn a_missing_image_is_rolled_back_by_itself_and_its_cause_is_on_top(app: App) {
    let (site, browser, application) = begin(app, 3).await;
    release(&browser, "shop/web:9--image-pull-error", &["mode-all"], &[]).await;
    said(&browser, "Failed; the version before comes back").await;
    let cause = browser.text(".cause").await;
    assert!(cause.contains("ErrImagePull") || cause.contains("ImagePullBackOff"), "{cause}");
    assert!(browser.driver.title().await.unwrap().starts_with('✗'));
    browser.driver.refresh().await.unwrap();
    let link = "//dt[.='Rolled back by']/following-sibling::dd/a";
    browser.find(fantoccini::Locator::XPath(link)).await.click().await.unwrap();
    browser.until_heading("rollback").await;
    said(&browser, "Succeeded").await;
    assert_eq!(image(&site, application).await, "shop/web:1.0");
    finish(browser).await;
}

async fn a_probe_that_fails_is_rolled_back_by_itself_and_its_pod_is_named(app: App) {
    let (site, browser, application) = begin(app, 3).await;
    let fill = [("batches", "3"), ("timeout", "3")];
    release(&browser, "shop/web:9--never-ready", &["mode-batches"], &fill).await;
    said(&browser, "Failed; the version before comes back").await;
    let cause = browser.text(".cause").await;
    assert!(cause.contains("pod web-"), "{cause}");
    let pods = browser.text("#batches").await;
    assert!(pods.contains("not begun") && !pods.contains("to come"), "{pods}");
    let order = site.app.service.newest_order(application).await.unwrap().unwrap();
    assert_eq!(site.app.end_of(order.id).await.state, domain::order::State::Succeeded);
    assert_eq!(image(&site, application).await, "shop/web:1.0");
    let deployment = site.app.deployments().get("web").await.unwrap();
    assert_eq!(deployment.status.unwrap().ready_replicas, Some(3), "nobody missed a pod");
    finish(browser).await;
}

async fn a_release_is_stopped_and_rolled_back_half_way(app: App) {
    let (site, browser, application) = begin(app, 4).await;
    release(&browser, NEW, &["mode-batches", "pace-manual"], &[("batches", "2")]).await;
    said(&browser, "batch 2 of 2").await;
    browser.press_in("Stop and roll back").await;
    browser.until_heading("rollback").await;
    said(&browser, "Succeeded").await;
    assert_eq!(image(&site, application).await, "shop/web:1.0");
    finish(browser).await;
}

async fn a_version_of_the_history_comes_back(app: App) {
    let (site, browser, application) = begin(app, 4).await;
    release(&browser, NEW, &["mode-all"], &[("version", "two")]).await;
    said(&browser, "Succeeded").await;
    browser.open(&site, &format!("/console/apps/{application}")).await;
    let first = site.app.service.history(application).await.unwrap().pop().unwrap().version;
    browser.follow(&format!("Return to {first}")).await;
    browser.until_heading(&format!("Return web to {first}")).await;
    browser.until(".diff .added", "shop/web:1.0").await;
    browser.choose("mode-batches").await;
    browser.fill("batches", "2").await;
    browser.press("Show what it would do").await;
    browser.until_heading("What the release of web would do").await;
    browser.press("Release").await;
    browser.until_heading("return to a version").await;
    said(&browser, "Succeeded").await;
    assert_eq!(image(&site, application).await, "shop/web:1.0");
    finish(browser).await;
}

/// What is typed stays, and so does what has the focus, while the page changes beneath.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_page_that_changes_leaves_alone_what_somebody_does_in_it(pool: PgPool) {
    let (site, browser, application) = begin(App::start(pool).await, 4).await;
    release(&browser, NEW, &["mode-batches", "pace-manual"], &[("batches", "2")]).await;
    said(&browser, "batch 2 of 2").await;
    let order = site.app.service.newest_order(application).await.unwrap().unwrap().id;
    browser.choose("reason-continue").await;
    browser.script("document.activeElement.value = 'half a sen'").await;
    browser.script("document.getElementById('more-abort').open = true").await;
    let begun = Instant::now();
    let caller = crate::support::caller();
    let batch = site.app.service.order(order).await.unwrap().batches[1].id;
    site.app.service.confirm(&caller, batch, false).await.unwrap();
    browser.until("#timeline", "batch refused").await;
    let shown_after = begun.elapsed();
    println!("a change was on the page after {shown_after:?}");
    let state = "const it = document.activeElement;
        return [it.id, it.value, document.getElementById('more-abort').open];";
    assert_eq!(
        browser.script(state).await,
        serde_json::json!(["reason-continue", "half a sen", true])
    );
    finish(browser).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn somebody_with_a_wrong_secret_is_told_so_and_the_secret_stays_here(pool: PgPool) {
    let site = Site::start(pool).await;
    let browser = Browser::start().await;
    browser.open(&site, "/console/orders").await;
    browser.until_heading("Sign in").await;
    browser.fill("key-id", super::KEY.id).await;
    browser.fill("key-secret", "wrong").await;
    browser.press("Sign in").await;
    browser.until("#sign-in-problem", "Not signed in").await;
    browser.fill("key-secret", super::KEY.secret).await;
    browser.press("Sign in").await;
    browser.until_heading("Change orders").await;
    browser.press("Sign out").await;
    browser.until_heading("Sign in").await;
    browser.end().await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn without_a_script_links_and_forms_do_all_of_it(pool: PgPool) {
    let site = Site::start(pool).await;
    let application = site.app.create("web", 4).await;
    let browser = Browser::start().await;
    let off = serde_json::json!({ "value": true });
    browser.devtools("Emulation.setScriptExecutionDisabled", off).await;
    let link = site.app.service.make_link("alice").await.unwrap();
    browser.open(&site, &format!("/console/link/{}", link.expose())).await;
    browser.press("Sign in").await;
    browser.until_heading("Applications").await;
    browser.follow("web").await;
    release(&browser, NEW, &["mode-batches", "pace-manual"], &[("batches", "2")]).await;
    said(&browser, "batch 2 of 2 (2 pods)").await;
    browser.press("Continue with batch 2 (2 pods)").await;
    said(&browser, "Succeeded").await;
    assert_eq!(image(&site, application).await, NEW);
    browser.end().await;
}

/// From the moment when something happens until people see it.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_happens_is_on_two_pages_within_a_second(pool: PgPool) {
    let (site, browser, application) = begin(App::start(pool).await, 2).await;
    release(&browser, NEW, &["mode-batches", "pace-manual"], &[("batches", "2")]).await;
    said(&browser, "batch 2 of 2").await;
    let order = site.app.service.newest_order(application).await.unwrap().unwrap().id;
    let path = format!("/console/orders/{order}/live");
    let mut other = site.stream(&path).await;
    let mut seen = String::new();
    let mut times = Vec::new();
    let batch = site.app.service.order(order).await.unwrap().batches[1].id;
    for number in 0..20 {
        let caller = service::Caller {
            reason: format!("look number {number}."),
            ..crate::support::caller()
        };
        let begun = Instant::now();
        site.app.service.confirm(&caller, batch, false).await.unwrap();
        while !seen.contains(&caller.reason) {
            seen.push_str(&String::from_utf8_lossy(&other.chunk().await.unwrap().unwrap()));
        }
        times.push(begun.elapsed());
    }
    browser.until("#timeline", "look number 19.").await;
    times.sort_unstable();
    println!("a change was sent after {:?} in the median, {:?} at the most", times[10], times[19]);
    assert!(times[19] < std::time::Duration::from_secs(1), "{times:?}");
    finish(browser).await;
}
