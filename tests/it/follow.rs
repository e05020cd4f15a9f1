//! Following orders: how often they are loaded, and who misses what.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use domain::{
    OrderId,
    access::{Action, Grant, Role, Scope},
    order::State,
};
use futures::{StreamExt, future::join_all};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, runtime::watcher};
use service::{Permit, Viewer};
use sqlx::PgPool;
use tokio::{task::JoinHandle, time::Instant};

use crate::support::{App, DEADLINE, batches, caller, manual, server::Kept};

const NEW: &str = "shop/web:2.0";
const FOLLOWERS: usize = 1000;

fn viewer() -> Viewer {
    Viewer { key_id: caller().key_id, session: None }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_thousand_who_follow_an_order_cost_one_load_for_a_change(pool: PgPool) {
    let mut app = App::start(pool).await;
    let kept = Kept::of(&app).await;
    let application = app.create("web", 2).await;
    app.stop_executor().await;
    let order = app.deploy(application, NEW, manual(2)).await;
    let viewer = viewer();
    let begin = (0..FOLLOWERS).map(|_| app.service.watch_order(order, &viewer));
    let mut all: Vec<_> = join_all(begin).await.into_iter().map(Result::unwrap).collect();
    for watch in &mut all {
        assert_eq!(watch.next().await.unwrap().order.state, State::Ready);
    }
    let loads = app.service.watched_loads();
    app.service.abort(&caller(), order).await.unwrap();
    let seen = join_all(all.iter_mut().map(|watch| watch.next())).await;
    let first = seen[0].as_ref().unwrap();
    assert_eq!(first.order.state, State::Aborted);
    let drawn = AtomicUsize::new(0);
    for shown in seen.iter().flatten() {
        shown.page(|shown| format!("{} {}", drawn.fetch_add(1, Relaxed), shown.order.id).into());
        assert!(std::sync::Arc::ptr_eq(shown, first), "all share one snapshot");
        assert_eq!(shown.event().as_ptr(), first.event().as_ptr(), "and its event");
    }
    assert_eq!(drawn.into_inner(), 1, "and what people see of it");
    // A read of the net beneath may have come between.
    let cost = app.service.watched_loads() - loads;
    assert!((1..=3).contains(&cost), "{cost} loads for one change and {FOLLOWERS} who follow");
    drop(kept);
    let ends = join_all(all.iter_mut().map(|watch| watch.next())).await;
    assert!(ends.iter().all(Option::is_none), "with the server all of it ends");
    assert!(
        app.service.watch_order(order, &viewer).await.is_err(),
        "and nobody is let in any more"
    );
}

/// Some may do everything, others may read: each kind costs one rendering.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn those_who_may_do_the_same_share_what_is_drawn_and_see_no_action_that_is_not_theirs(
    pool: PgPool,
) {
    let mut app = App::start(pool).await;
    let _kept = Kept::of(&app).await;
    let application = app.create("web", 2).await;
    app.stop_executor().await;
    let order = app.deploy(application, NEW, manual(2)).await;
    let grant = |role| [Grant::role(role, Scope::default())];
    let of = |role| {
        let access = app.service.access(&grant(role), [127, 0, 0, 1].into(), true);
        app.service.within(Permit::of(access, Action::WATCH).unwrap())
    };
    let (readers, deployers) = (of(Role::Reader), of(Role::Deployer));
    let mut all = Vec::new();
    for number in 0..100 {
        let service = if number % 2 == 0 { &readers } else { &deployers };
        all.push(service.watch_order(order, &viewer()).await.unwrap());
    }
    let drawn = AtomicUsize::new(0);
    for (number, watch) in all.iter_mut().enumerate() {
        let shown = watch.next().await.unwrap();
        shown.page(|_| format!("{}", drawn.fetch_add(1, Relaxed)).into());
        let event = String::from_utf8(shown.event().to_vec()).unwrap();
        let may = number % 2 == 1;
        assert_eq!((event.contains("\"abort\""), shown.actions.is_empty()), (may, !may), "{event}");
        assert_eq!(shown.withheld().is_empty(), may);
    }
    assert_eq!(drawn.into_inner(), 2, "one for each of the two kinds");
    let of_reader = readers.snapshot(order).await.unwrap();
    assert!(of_reader.actions.is_empty(), "and so where it is read once: {of_reader:?}");
    assert!(!deployers.snapshot(order).await.unwrap().actions.is_empty());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn whoever_is_slow_gets_the_newest_and_an_order_that_is_none_is_told(pool: PgPool) {
    let app = App::start(pool).await;
    let _kept = Kept::of(&app).await;
    let application = app.create("web", 4).await;
    let order = app.deploy(application, NEW, manual(2)).await;
    let (mut slow, mut quick) = (
        app.service.watch_order(order, &viewer()).await.unwrap(),
        app.service.watch_order(order, &viewer()).await.unwrap(),
    );
    while quick.next().await.unwrap().order.state != State::WaitingConfirmation {}
    app.confirm(order, 2).await;
    while !quick.next().await.unwrap().order.state.is_final() {}
    let newest = slow.next().await.unwrap();
    assert_eq!(newest.order.state, State::Succeeded, "{newest:#?}");
    assert_eq!(newest.batches.iter().map(|batch| batch.ready()).sum::<usize>(), 4);
    assert!(newest.timeline.iter().any(|event| event.kind == "order.accepted"));
    let unknown = app.service.watch_order(OrderId::new(), &viewer()).await.unwrap_err();
    assert!(unknown.to_string().contains("does not exist"), "{unknown}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_pods_change_is_on_the_stream_soon(pool: PgPool) {
    let config = simulated::Config {
        start_delay: Duration::from_millis(50),
        jitter: Duration::from_secs(2),
        ..simulated::Config::default()
    };
    let app = App::start_with(pool, config).await;
    let _kept = Kept::of(&app).await;
    // From before the first pod on, so that each of the 200 is seen.
    let became = became_ready(&app, 200);
    let application = app.create("web", 100).await;
    let order = app.deploy(application, NEW, batches(1)).await;
    let mut shown: HashMap<String, Instant> = HashMap::new();
    let mut watch = app.service.watch_order(order, &viewer()).await.unwrap();
    while let Some(snapshot) = watch.next().await {
        for pod in snapshot.batches.iter().flat_map(|batch| &batch.pods).filter(|pod| pod.ready) {
            shown.entry(pod.name.clone()).or_insert_with(Instant::now);
        }
        if snapshot.order.state.is_final() {
            break;
        }
    }
    let became = tokio::time::timeout(DEADLINE, became).await.unwrap().unwrap();
    let mut delays: Vec<Duration> = shown
        .iter()
        .filter_map(|(name, at)| Some(at.saturating_duration_since(*became.get(name)?)))
        .collect();
    delays.sort_unstable();
    assert_eq!(delays.len(), 100, "each pod's change was shown");
    println!("a pod's change to the stream: median {:?}, p99 {:?}", delays[49], delays[98]);
}

/// When pods became Ready, by a watch of its own, until there were so many.
pub(crate) fn became_ready(app: &App, count: usize) -> JoinHandle<HashMap<String, Instant>> {
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    tokio::spawn(async move {
        let mut events = watcher::watcher(pods, watcher::Config::default()).boxed();
        let mut at: HashMap<String, Instant> = HashMap::new();
        while at.len() < count
            && let Some(Ok(event)) = events.next().await
        {
            if let watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) = event {
                let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
                let is_ready = conditions
                    .into_iter()
                    .flatten()
                    .any(|it| it.type_ == "Ready" && it.status == "True");
                if is_ready {
                    at.entry(pod.name_any()).or_insert_with(Instant::now);
                }
            }
        }
        at
    })
}
