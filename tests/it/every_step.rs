//! Fails at every step: the executor is stopped at every commit and every call to the cluster,
//! before it takes effect and after it did, and another one follows. The end is that of a life
//! that nobody disturbed: the same orders, batches, events and versions, the same Deployment,
//! every spec that it ever had, and no pod more.
//!
//! An undisturbed life is lived first, and counts the points ([`seam`]). They come from the
//! frames that the executor sends to Postgres ([`wire`]) and from its requests to the API
//! server ([`line`]), so that no new statement and no new call is forgotten. Then the same
//! life is lived ([`life`]) with a stop at each point, on both sides of it. What is done is in
//! [`scenario`], and what must be the same in [`end`]. That takes several minutes:
//! `make every-step`. Among the other tests each life has a seventh of its stops.

mod end;
mod life;
mod line;
mod scenario;
pub mod seam;
pub mod wire;

use std::{panic::AssertUnwindSafe, sync::Mutex};

use futures::{FutureExt, future::join_all};
use sqlx::{PgPool, postgres::PgPoolOptions};

use self::{
    life::{Lane, Lived},
    scenario::Scenario,
    seam::{Points, Side, Stop},
};

/// Of so many stops one is made, unless all are asked for.
const ONE_OF: usize = 7;

/// Lives that are lived at the same time. Each notification wakes the executors of all.
const ABREAST: usize = 3;

macro_rules! stopped_at_every_step {
    ($($test:ident: $scenario:ident;)*) => {$(
        #[sqlx::test(migrator = "store::MIGRATIONS")]
        async fn $test(pool: PgPool) {
            every_stop_leads_to_the_same_end(pool, Scenario::$scenario).await;
        }
    )*};
}

stopped_at_every_step! {
    an_application_is_created: Create;
    a_release_all_at_once_is_done: AllAtOnce;
    a_release_in_batches_is_done: Batches;
    a_release_that_a_person_confirms_is_done: Confirmed;
    a_release_with_an_interval_is_done: Interval;
    a_canary_is_done: Canary;
    another_number_of_pods_is_reached: Scale;
    an_application_stops_and_starts: StopAndStart;
    a_restart_is_done: Restart;
    an_application_is_deleted: Delete;
    a_batch_that_fails_is_rolled_back: FailsAndRollsBack;
    a_batch_that_fails_stays_where_it_is: FailsAndStays;
    a_release_is_aborted_at_rest: AbortAtRest;
    a_release_is_aborted_in_motion: AbortInMotion;
    a_release_is_rolled_back_at_rest: RollBackAtRest;
    a_release_is_rolled_back_in_motion: RollBackInMotion;
    a_release_is_rolled_back_after_its_end: RollBackAfterTheEnd;
    an_earlier_version_comes_back: EarlierVersion;
    a_release_steps_back_at_rest: StepBack;
    a_release_steps_back_in_motion: StepBackInMotion;
}

async fn every_stop_leads_to_the_same_end(pool: PgPool, scenario: Scenario) {
    let options = (*pool.connect_options()).clone();
    let pool = PgPoolOptions::new().max_connections(8).connect_with(options).await.unwrap();
    let mut lane = Lane::start(&pool, scenario).await;
    let undisturbed = lane.live(scenario, None, None).await;
    assert!(!undisturbed.was_stopped);
    let stops = stops(scenario, &undisturbed.points);
    assert!(!stops.is_empty(), "the life passes points");
    let mut lanes = vec![lane];
    while lanes.len() < ABREAST {
        lanes.push(Lane::start(&pool, scenario).await);
    }
    let is_whole = std::env::var("SLUICE_EVERY_STEP").is_ok_and(|it| it == "all");
    // An odd number: the sides of a point come one after the other.
    let every = if is_whole { 1 } else { ONE_OF };
    let left = Mutex::new(stops.into_iter().step_by(every));
    let lived = lanes.into_iter().map(async |mut lane| {
        let mut outcomes = Vec::new();
        loop {
            let Some(stop) = left.lock().unwrap().next() else { return outcomes };
            let life = lane.live(scenario, Some(stop.clone()), Some(undisturbed.end.as_str()));
            // What went wrong is printed, and the other lives go on.
            let lived = AssertUnwindSafe(life).catch_unwind().await.map_err(drop);
            outcomes.push((stop, lived));
        }
    });
    let outcomes = join_all(lived).await.concat();
    pool.close().await;
    judge(scenario, &undisturbed, &outcomes, is_whole);
}

/// Calls that an executor makes beside its orders, whatever these are. It is stopped at them
/// in the lives of [`Scenario::Create`], and at all others in each.
const BESIDE: [&str; 19] = [
    "cluster: create selfsubjectaccessreviews",
    "cluster: get version",
    "cluster: list horizontalpodautoscalers",
    "cluster: list namespaces",
    "cluster: list poddisruptionbudgets",
    "cluster: list resourcequotas",
    "database: answer_precheck_request",
    "database: claim_cluster_query",
    "database: claim_object_write",
    "database: claim_precheck_requests",
    "database: commit forget_moved_on",
    "database: commit prune_object_writes",
    "database: heartbeat",
    "database: mirror_cluster",
    "database: mirror_replicas",
    "database: prune_cluster_queries",
    "database: prune_nonces",
    "database: prune_precheck_requests",
    "database: record_identity",
];

/// Every point, on both sides.
fn stops(scenario: Scenario, points: &Points) -> Vec<Stop> {
    let is_whole = scenario.is_seen_from_the_start();
    let mut stops = Vec::new();
    for (name, turns) in points {
        if is_whole || !BESIDE.contains(&name.as_str()) {
            for turn in 1..=*turns {
                for side in [Side::Before, Side::After] {
                    stops.push(Stop { name: name.clone(), turn, side });
                }
            }
        }
    }
    stops
}

/// What is done to a Deployment, and what is written down of it, is the same in each life.
/// Other calls depend on the time: a second record of pods, or a look for requests, may not
/// come again.
fn comes_again(stop: &Stop) -> bool {
    ["database: commit ", "cluster: patch ", "cluster: delete "]
        .iter()
        .any(|kind| stop.name.starts_with(kind))
}

fn judge(
    scenario: Scenario,
    undisturbed: &Lived,
    outcomes: &[(Stop, Result<Lived, ()>)],
    is_whole: bool,
) {
    let (mut wrong, mut missed) = (Vec::new(), Vec::new());
    for (stop, outcome) in outcomes {
        match outcome {
            Err(()) => wrong.push(format!("stopped {stop}: it did not come to its end")),
            Ok(lived) => {
                if !lived.was_stopped {
                    missed.push(stop);
                }
                if lived.end != undisturbed.end {
                    let difference = end::difference(&undisturbed.end, &lived.end);
                    wrong.push(format!("stopped {stop}: another end\n{difference}"));
                }
            }
        }
    }
    println!(
        "{scenario:?}: {} points, {} stops, {} of them not reached; {:?}",
        undisturbed.points.values().sum::<usize>(),
        outcomes.len(),
        missed.len(),
        undisturbed.points
    );
    let told = wrong.iter().take(10).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(wrong.is_empty(), "{scenario:?}: {} of {} stops:\n{told}", wrong.len(), outcomes.len());
    let lost: Vec<String> =
        missed.iter().filter(|stop| comes_again(stop)).map(ToString::to_string).collect();
    assert!(lost.is_empty(), "{scenario:?}: these stops never came: {lost:?}");
    // Of a few stops, half may be such that come in some lives only.
    assert!(
        !is_whole || missed.len() * 4 <= outcomes.len(),
        "{scenario:?}: {} of {} stops never came",
        missed.len(),
        outcomes.len()
    );
}
