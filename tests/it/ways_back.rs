//! Every way back, from every state of an order, for 1, 2, 3 and 10 pods: at its end
//! the Deployment is as it was before the order in every field, on the ReplicaSet of
//! before, without a pod of the new version; and no Ready pod went missing meanwhile.
//!
//! The executor is stopped in each state by its own writes, which the test holds
//! ([`held`](crate::support::held)). [`combination`] says which there are, [`attempt`]
//! goes through one.

mod application;
mod attempt;
mod combination;

use std::panic::AssertUnwindSafe;

use domain::order::Step;
use futures::{FutureExt, future::join_all};
use sqlx::PgPool;

use self::{
    application::Application,
    attempt::Attempt,
    combination::{Combination, all, why_not},
};
use crate::support::{App, DEADLINE, held::Held, watcher::Watches};

/// Applications on which combinations run at the same time.
const ABREAST: usize = 12;

macro_rules! ways_back_with {
    ($($test:ident: $replicas:literal pods, $count:literal combinations;)*) => {$(
        #[sqlx::test(migrator = "store::MIGRATIONS")]
        async fn $test(pool: PgPool) {
            every_way_leads_back(pool, $replicas, $count).await;
        }
    )*};
}

ways_back_with! {
    every_way_leads_back_with_1_pod: 1 pods, 43 combinations;
    every_way_leads_back_with_2_pods: 2 pods, 138 combinations;
    every_way_leads_back_with_3_pods: 3 pods, 149 combinations;
    every_way_leads_back_with_10_pods: 10 pods, 149 combinations;
}

async fn every_way_leads_back(pool: PgPool, replicas: i32, expected: usize) {
    let (mut app, held) = App::start_held(pool).await;
    let watches = Watches::start(app.client.clone(), &app.namespace).await;
    let possible = all(replicas).filter(|combination| why_not(*combination).is_none());
    let (at_start, later): (Vec<_>, Vec<_>) =
        possible.partition(|combination| combination.place.step == Step::Start);
    let mut outcomes = all_from_the_start(&mut app, &held, &watches, at_start).await;
    let lines = (0..ABREAST).map(|line| (line, later.iter().copied().skip(line).step_by(ABREAST)));
    outcomes.extend(
        join_all(lines.map(|(line, combinations)| {
            one_after_another((&app, &held, &watches), line, combinations)
        }))
        .await
        .concat(),
    );
    let lost: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().err())
        .map(|lost| format!("{lost:?}"))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} ways do not lead back: {lost:#?}",
        lost.len(),
        outcomes.len()
    );
    assert_eq!(outcomes.len(), expected, "combinations that ran");
}

/// Goes through combinations on one application, since each leaves it as it was; on
/// a new one where it does not.
async fn one_after_another(
    (app, held, watches): (&App, &Held, &Watches),
    line: usize,
    combinations: impl Iterator<Item = Combination>,
) -> Vec<Result<(), Combination>> {
    let mut outcomes = Vec::new();
    let mut present: Option<Application> = None;
    for (number, combination) in combinations.enumerate() {
        let name = format!("web-{line}-{number}");
        let whole = async {
            let application = match present.take() {
                Some(application) => application,
                None => Application::create(app, watches, name, line, combination.replicas).await,
            };
            let mut attempt = Attempt::begin(app, held, application, combination).await;
            attempt.approach(app).await;
            attempt.arrive(app).await;
            attempt.go_back(app).await;
            attempt.end(app).await
        };
        let outcome = guarded(combination, whole).await;
        outcomes.push(outcome.map(|application| present = application));
    }
    outcomes
}

/// The combinations in which nothing has begun: no executor runs meanwhile.
async fn all_from_the_start(
    app: &mut App,
    held: &Held,
    watches: &Watches,
    combinations: Vec<Combination>,
) -> Vec<Result<(), Combination>> {
    let shared: &App = app;
    let begin = |(number, combination): (usize, Combination)| {
        guarded(combination, async move {
            let application = Application::create(
                shared,
                watches,
                format!("web-{number}"),
                number,
                combination.replicas,
            )
            .await;
            let mut attempt = Attempt::begin(shared, held, application, combination).await;
            attempt.approach(shared).await;
            attempt
        })
    };
    let begun = join_all(combinations.into_iter().enumerate().map(begin)).await;
    app.stop_executor().await;
    let shared: &App = app;
    let act = async |begun: Result<Attempt, Combination>| {
        let mut attempt = begun?;
        guarded(attempt.combination, async move {
            attempt.arrive(shared).await;
            attempt.go_back(shared).await;
            attempt
        })
        .await
    };
    let acted = join_all(begun.into_iter().map(act)).await;
    app.start_executor(DEADLINE);
    let shared: &App = app;
    let end = async |acted: Result<Attempt, Combination>| {
        let attempt = acted?;
        guarded(attempt.combination, attempt.end(shared)).await.map(drop)
    };
    join_all(acted.into_iter().map(end)).await
}

/// Goes on with the others where one fails, and says which it was.
async fn guarded<T>(
    combination: Combination,
    attempt: impl Future<Output = T>,
) -> Result<T, Combination> {
    AssertUnwindSafe(attempt).catch_unwind().await.map_err(|_| combination)
}
