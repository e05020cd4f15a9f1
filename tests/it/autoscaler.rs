//! An autoscaler changes the number of pods while a release waits or runs: each batch stays
//! the same share of it. Each check runs on the simulated cluster and on a real control plane.

use std::time::Duration;

use domain::template::names::NAME_LABEL;
use domain::{
    OrderId,
    order::{State, Step},
};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use service::OrderView;
use sqlx::PgPool;

use crate::support::{
    App, batches, caller, canary, eventually, manual, on_both_clusters, release, watcher::Watch,
};
use domain::order::plan::Strategy;

mod horizontal;
mod quota;

const NEW: &str = "shop/web:2.0";

/// Time between two looks at the pods.
const LOOK: Duration = Duration::from_millis(20);

/// Looks within which new pods beyond the plan and one must be gone, once the pods of a step are
/// all there. It takes 20 at most on a quiet machine, which is less than a second; the tests
/// beside this one make a machine busy.
const MOST_LOOKS: usize = 250;

on_both_clusters!(
    a_canary_that_waits_stands_scaling_to_nothing_and_back_and_to_one,
    a_canary_that_waits_rests_with_its_share_after_each_step_of_a_walk,
    batches_in_motion_come_back_to_their_share_after_each_step_of_a_walk,
);

async fn scale(app: &App, replicas: i32) {
    let by = PatchParams { field_manager: Some("autoscaler".into()), ..Default::default() };
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    app.deployments().patch_scale("web", &by, &patch).await.unwrap();
}

/// What was seen while the number of pods walked.
#[derive(Debug, Default)]
struct Seen {
    looks: usize,
    /// Looks with more new pods than planned and one, and how often they came together.
    over: usize,
    times: usize,
    /// The longest of these times once the pods of its step were there, in looks.
    longest: usize,
    most_beyond: i32,
}

/// A random walk of an autoscaler between 6 and 40.
struct Walk<'a> {
    app: &'a App,
    order: OrderId,
    watch: Watch,
    strategy: Strategy,
    chance: StdRng,
    replicas: i32,
    seen: Seen,
}

impl<'a> Walk<'a> {
    async fn new(app: &'a App, order: OrderId, strategy: Strategy) -> Self {
        let (watch, chance) = (app.watch("web").await, StdRng::seed_from_u64(1));
        Self { app, order, watch, strategy, chance, replicas: 10, seen: Seen::default() }
    }

    /// New pods that there may be by now, and whether the order has ended.
    fn may_be(&self, order: &OrderView) -> (i32, bool) {
        let begun = order.batches.iter().rposition(|batch| {
            matches!(batch.state, State::Running | State::Succeeded | State::Failed)
        });
        let planned = |index| self.strategy.share(index, self.replicas, 10) + 1;
        (begun.map_or(self.replicas, planned), order.state.is_final())
    }

    /// Whether Kubernetes has followed the number: each ReplicaSet was given its share of it, and
    /// has its pods, Ready.
    async fn is_followed(&self) -> bool {
        let sets: Api<ReplicaSet> = Api::namespaced(self.app.client.clone(), &self.app.namespace);
        let ours = ListParams::default().labels(&format!("{NAME_LABEL}=web"));
        let wanted = self.replicas.to_string();
        let mut all = 0;
        for set in sets.list(&ours).await.unwrap() {
            let shared =
                set.annotations().get("deployment.kubernetes.io/desired-replicas").cloned();
            let (size, status) =
                (set.spec.unwrap().replicas.unwrap_or(1), set.status.unwrap_or_default());
            let ready = status.ready_replicas.unwrap_or(0);
            if size > 0 && (shared.as_ref() != Some(&wanted) || ready != size) {
                return false;
            }
            all += size;
        }
        // The watch of pods shows it, too.
        all >= self.replicas && self.watch.now().ready == all
    }

    /// A step, and looks until its pods are there and as many of them are new as planned.
    /// False once the order has ended.
    async fn step(&mut self) -> bool {
        let by = if self.chance.random_bool(0.5) { 1 } else { -1 };
        let to = (self.replicas + self.chance.random_range(1..=5) * by).clamp(6, 40);
        scale(self.app, to).await;
        self.follow(to).await
    }

    /// The same after somebody else set the number, or is about to.
    async fn follow(&mut self, replicas: i32) -> bool {
        let before = std::mem::replace(&mut self.replicas, replicas);
        // All that were Ready at the last step are, as far as they are asked for.
        let least = before.min(self.replicas);
        let (mut settled, mut is_over, mut looks_over) = (false, false, 0);
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            let now = self.watch.now();
            // Looked at later: it knows of each batch whose pods were seen.
            let order = self.app.service.order(self.order).await.unwrap();
            let (most, ended) = self.may_be(&order);
            if ended {
                return false;
            }
            self.seen.looks += 1;
            assert!(
                now.ready >= least,
                "{before} to {}: {now:?}, {:?} {:?}",
                self.replicas,
                order.step,
                told(self.app, self.order).await
            );
            settled = settled || (now.ready >= self.replicas && self.is_followed().await);
            let beyond = now.of(NEW) - most;
            if beyond > 0 {
                self.seen.over += 1;
                self.seen.times += usize::from(!is_over);
                self.seen.most_beyond = self.seen.most_beyond.max(beyond);
                looks_over += usize::from(settled);
                self.seen.longest = self.seen.longest.max(looks_over);
                assert!(looks_over <= MOST_LOOKS, "{now:?}, at most {most} {:?}", self.seen);
            } else if settled {
                return true;
            }
            is_over = beyond > 0;
        }
    }

    /// What was seen.
    fn end(self) {
        let seen = self.seen;
        println!(
            "{} looks, {} of them in {} times with up to {} new pods more than planned and one; the longest was {} looks once its pods were there",
            seen.looks, seen.over, seen.times, seen.most_beyond, seen.longest
        );
        assert!(seen.looks > 10, "{seen:?}");
    }
}

/// What the order did, and when.
async fn told(app: &App, order: OrderId) -> Vec<String> {
    let events = app.store.events(order).await.unwrap();
    events.iter().map(|it| format!("{} {} {} {}", it.at, it.kind, it.cause, it.detail)).collect()
}

async fn a_canary_that_waits_rests_with_its_share_after_each_step_of_a_walk(app: App) {
    let application = app.create("web", 10).await;
    let order = app.deploy(application, NEW, canary(3, 1)).await;
    let watch = app.watch("web").await;
    at_rest(&app, order, &watch, 10, (3, 3)).await;
    let mut walk = Walk::new(&app, order, canary(3, 1)).await;
    for _ in 0..60 {
        assert!(walk.step().await, "the order waits");
    }
    let replicas = walk.replicas;
    walk.end();
    at_rest(&app, order, &watch, replicas, (1, replicas * 3 / 10 + 1)).await;
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    assert_eq!(app.deployments().get("web").await.unwrap().spec.unwrap().replicas, Some(replicas));
}

async fn batches_in_motion_come_back_to_their_share_after_each_step_of_a_walk(app: App) {
    let application = app.create("web", 10).await;
    let mut request = release(application, NEW, batches(4));
    // Each batch takes so long that the number walks meanwhile.
    request.min_ready_seconds = Some(3);
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let mut walk = Walk::new(&app, order, batches(4)).await;
    app.order_when(order, |it| it.state == State::Running).await;
    for _ in 0..60 {
        if !walk.step().await {
            break;
        }
    }
    walk.end();
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
}

async fn at_rest(app: &App, order: OrderId, watch: &Watch, replicas: i32, new: (i32, i32)) {
    eventually(async || {
        let (now, live) = (watch.now(), app.deployments().get("web").await.unwrap());
        let order = app.service.order(order).await.unwrap();
        let total: i32 = now.pods.values().sum();
        let rests = order.state == State::WaitingConfirmation
            && order.step == domain::order::Step::Paused
            && live.spec.unwrap().paused == Some(true);
        if rests
            && total == replicas
            && now.ready == replicas
            && (new.0..=new.1).contains(&now.of(NEW))
        {
            Ok(())
        } else {
            Err(format!("{now:?} {:?} {:?} {}", order.state, order.step, order.message))
        }
    })
    .await;
}

async fn a_canary_that_waits_stands_scaling_to_nothing_and_back_and_to_one(app: App) {
    let application = app.create("web", 10).await;
    let order = app.deploy(application, NEW, canary(3, 1)).await;
    let watch = app.watch("web").await;
    at_rest(&app, order, &watch, 10, (3, 3)).await;
    for (replicas, new) in [(0, (0, 0)), (10, (3, 4)), (1, (0, 1)), (10, (1, 4)), (30, (1, 10))] {
        scale(&app, replicas).await;
        at_rest(&app, order, &watch, replicas, new).await;
    }
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
}

/// The number of pods changes between the decision on a ReplicaSet's size and its write.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_size_that_was_decided_for_another_number_of_pods_is_not_written(pool: PgPool) {
    let (app, held) = App::start_held(pool).await;
    let application = app.create("web", 20).await;
    let order = app.deploy(application, NEW, manual(4)).await;
    let watch = app.watch("web").await;
    at_rest(&app, order, &watch, 20, (5, 5)).await;
    app.confirm(order, 2).await;
    at_rest(&app, order, &watch, 20, (10, 10)).await;
    let mut writes = held.hold("web");
    app.service.step_back(&caller(), order, Some(1)).await.unwrap();
    let removes_new = loop {
        let write = writes.next().await;
        if app.service.order(order).await.unwrap().step == Step::RemoveNew {
            break write;
        }
        write.make();
    };
    watch.so_far();
    scale(&app, 40).await;
    eventually(async || {
        let all: i32 = watch.now().pods.values().sum();
        if all >= 40 { Ok(()) } else { Err(all.to_string()) }
    })
    .await;
    removes_new.make();
    drop(writes);
    at_rest(&app, order, &watch, 40, (10, 10)).await;
    let seen = watch.so_far();
    assert!(seen.iter().all(|sample| sample.of(NEW) >= 10 && sample.ready >= 20), "{seen:#?}");
}
