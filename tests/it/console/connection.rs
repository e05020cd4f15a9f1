//! An order's page on bad connections: many of them, and one that is cut.

use std::{net::SocketAddr, time::Duration};

use domain::{OrderId, order::State};
use fantoccini::Locator;
use sqlx::PgPool;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::Instant,
};

use super::{Site, browser::Browser};
use crate::support::{App, DEADLINE, batches, manual};

/// Something between a browser and the server, which can be cut.
struct Proxy {
    address: SocketAddr,
    is_cut: watch::Sender<bool>,
}

impl Proxy {
    async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_cut, cut) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let mut cut = cut.clone();
                tokio::spawn(async move {
                    if *cut.borrow_and_update() {
                        return;
                    }
                    let Ok(mut to) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut from, &mut to) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, is_cut }
    }
}

/// A release that waits for a person.
async fn waiting(site: &Site) -> OrderId {
    let application = site.app.create("web", 2).await;
    let order = site.app.deploy(application, "shop/web:2.0", manual(2)).await;
    site.app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    order
}

/// Something happens to an order that leaves it as it is.
async fn happens(site: &Site, order: OrderId, reason: &str) {
    let batch = site.app.service.order(order).await.unwrap().batches[1].id;
    let caller = service::Caller { reason: reason.into(), ..crate::support::caller() };
    site.app.service.confirm(&caller, batch, false).await.unwrap();
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_page_whose_connection_is_cut_says_so_and_catches_up(pool: PgPool) {
    let site = Site::start(pool).await;
    let order = waiting(&site).await;
    let browser = Browser::signed_in(&site).await;
    let proxy = Proxy::before(site.address).await;
    let path = format!("http://{}/console/orders/{order}", proxy.address);
    browser.driver.goto(&path).await.unwrap();
    browser.until(".live-bar", "Live.").await;
    browser.script("window.isTheSame = true").await;
    for round in 0..3 {
        proxy.is_cut.send(true).unwrap();
        browser.until(".live-bar", "Connecting again").await;
        let reason = format!("unseen at first {round}.");
        happens(&site, order, &reason).await;
        assert!(!browser.text("#timeline").await.contains(&reason), "it is cut off");
        proxy.is_cut.send(false).unwrap();
        browser.until("#timeline", &reason).await;
        browser.until(".live-bar", "Live.").await;
    }
    assert_eq!(browser.script("return window.isTheSame").await, true, "it was not loaded again");
    browser.end().await;
}

/// Browsers make six connections to one place over plain HTTP.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn seven_tabs_of_one_order_all_answer_and_show_what_happens(pool: PgPool) {
    let site = Site::start(pool).await;
    let order = waiting(&site).await;
    let browser = Browser::signed_in(&site).await;
    let path = format!("/console/orders/{order}");
    browser.open(&site, &path).await;
    for _ in 1..7 {
        let tab = browser.driver.new_window(true).await.unwrap();
        browser.driver.switch_to_window(tab.handle).await.unwrap();
        browser.open(&site, &path).await;
        browser.until("#said", "Needs you").await;
        browser.until(".live-bar", "Live.").await;
    }
    happens(&site, order, "in all seven.").await;
    let tabs = browser.driver.windows().await.unwrap();
    assert_eq!(tabs.len(), 7);
    for tab in tabs {
        browser.driver.switch_to_window(tab).await.unwrap();
        browser.until("#timeline", "in all seven.").await;
    }
    // The list beside them answers as well.
    browser.open(&site, "/console/orders").await;
    browser.find(Locator::Css("#list table")).await;
    browser.end().await;
}

/// From a pod's change on the cluster until it is in what the page's stream has sent.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_hundred_changes_of_pods_are_on_the_pages_stream_soon(pool: PgPool) {
    let config = simulated::Config {
        start_delay: Duration::from_millis(50),
        jitter: Duration::from_secs(4),
        ..simulated::Config::default()
    };
    let site = Site::of(App::start_with(pool, config).await).await;
    let became = crate::follow::became_ready(&site.app, 200);
    let application = site.app.create("web", 100).await;
    let order = site.app.deploy(application, "shop/web:2.0", batches(2)).await;
    let mut stream = site.stream(&format!("/console/orders/{order}/live")).await;
    let (mut shown, mut text) = (std::collections::HashMap::new(), String::new());
    while let Some(part) = stream.chunk().await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&part));
        let now = Instant::now();
        while let Some(end) = text.find("\n\n") {
            let message: String = text.drain(..end + 2).collect();
            for name in ready_pods(&message) {
                shown.entry(name).or_insert(now);
            }
        }
    }
    let became = tokio::time::timeout(DEADLINE, became).await.unwrap().unwrap();
    let mut delays: Vec<Duration> = shown
        .iter()
        .filter_map(|(name, at)| Some(at.saturating_duration_since(*became.get(name)?)))
        .collect();
    delays.sort_unstable();
    assert_eq!(delays.len(), 100, "each pod's change was shown");
    println!("a pod's change to the page's stream: median {:?}, p99 {:?}", delays[49], delays[98]);
}

/// The pods that a message of the stream shows as ready.
fn ready_pods(message: &str) -> Vec<String> {
    let Some(data) = message.strip_prefix("data: ") else { return Vec::new() };
    let message: serde_json::Value = serde_json::from_str(data.trim_end()).unwrap();
    let html = message["parts"]["batches"].as_str().unwrap_or_default();
    let rows = html.split("<tr id=\"pod-").skip(1);
    let ready = rows.filter(|row| {
        row.split("</tr>").next().unwrap_or_default().contains("</span> ready</span>")
    });
    ready.filter_map(|row| Some(row.split('"').next()?.to_owned())).collect()
}
