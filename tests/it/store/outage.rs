//! The time of outages, as it is kept.

use domain::order::outage::{Met, Obstacle};
use jiff::SignedDuration;

use super::*;

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_outage_that_a_transition_ends_counts_like_any_other(pool: PgPool) {
    let store = Store::on(pool, test_support::keyring::keyring());
    let web = application(&store, "web").await;
    let id = order(&store, web, batches(2)).await.unwrap();
    let lease = store
        .acquire(&known_cluster(&store).await, "one", LEASE, now(), 10, &Scope::Whole)
        .await
        .unwrap()[0];
    let loaded = async || store.order(id).await.unwrap().unwrap();
    let begun = now();
    let after = |seconds| begun + SignedDuration::from_secs(seconds);
    let moves = async |step, at| {
        let to = transition(State::Running, step, Some(Change::Patch(Patch::default())));
        store.advance(lease, &loaded().await, &to, None, at).await.unwrap();
    };
    moves(Step::BringUp, begun).await;
    let met = Met { obstacle: Obstacle::Denied, since: after(20), any_since: after(10) };
    store.note_outage(lease, met, "no", after(40)).await.unwrap();
    let clock = loaded().await.outages;
    let seconds = |it: SignedDuration| it.as_secs();
    assert_eq!(clock.obstacle.map(|(it, for_)| (it, seconds(for_))), Some((Obstacle::Denied, 20)));
    assert!(clock.since.is_some());

    // Somebody else's hand, say, led to the same step once more.
    moves(Step::BringUp, after(50)).await;
    let clock = loaded().await.outages;
    assert_eq!((seconds(clock.over), clock.since, clock.obstacle), (40, None, None));
    // The next one is counted besides.
    store.note_outage(lease, met.anew(after(60)), "no", after(60)).await.unwrap();
    store.end_outage(lease, after(65)).await.unwrap();
    assert_eq!(seconds(loaded().await.outages.over), 45);
    // Another step has its own time.
    moves(Step::ScaleDownOld, after(70)).await;
    assert_eq!(loaded().await.outages.over, SignedDuration::ZERO);
}
