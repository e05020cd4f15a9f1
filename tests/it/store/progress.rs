//! What a write returns of its order, beside what is read of it.

use domain::{
    order::{
        Order, State, Step,
        intent::{Applied, Change, Patch},
    },
    rights::Scope,
    rollout::{BatchTransition, Transition},
};
use sqlx::PgPool;
use store::{Advanced, Made, PodState, Progress, Store};

use super::{LEASE, application, now, order, transition};
use crate::support::{batches, known_cluster};

fn moved(index: usize, state: State, target: Option<i32>) -> BatchTransition {
    BatchTransition { index, state, target, message: format!("it is {state}") }
}

fn pod(name: &str) -> PodState {
    PodState {
        name: name.into(),
        ip: String::new(),
        phase: "Running".into(),
        ready: true,
        message: String::new(),
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_a_write_returns_is_what_is_read_behind_it(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let web = application(&store, "web").await;
    let id = order(&store, web, batches(2)).await.unwrap();
    let cluster = known_cluster(&store).await;
    let lease = store.acquire(&cluster, "one", LEASE, now(), 10, &Scope::Whole).await.unwrap()[0];
    let taken = store.take_up(&[lease]).await.unwrap().pop().unwrap().unwrap();
    let mut known = taken.order;
    assert_eq!(taken.pods, vec![Vec::new(); 2]);
    let read = async || store.order(id).await.unwrap().unwrap();
    assert_eq!(known, read().await);
    let written = async |known: &Order, step: &Transition, pods: &[PodState]| {
        let pods = Some((known.batches[0].id, pods));
        let advanced = store.advance(lease, known, step, pods, now()).await.unwrap();
        let Advanced::Written { progress, opened: None } = advanced else { panic!("{advanced:?}") };
        *progress
    };

    let change = Change::Patch(Patch { replicas: Some(5), ..Patch::default() });
    let begin = Transition {
        batches: vec![moved(0, State::Running, Some(2))],
        ..transition(State::Running, Step::BringUp, Some(change))
    };
    written(&known, &begin, &[]).await.bring_after(&begin, &mut known);
    assert_eq!(known, read().await);
    assert!(known.has_change_to_make() && known.batches[0].started_at.is_some());

    let template = serde_json::json!({ "spec": {} });
    let applied = Applied { deployment: 7, replica_set: None };
    let made = Made { applied, template: Some(&template) };
    let recorded = store.record_applied(lease, &known, &made, now()).await.unwrap();
    recorded.bring_made(applied, Some(template), &mut known);
    assert_eq!(known, read().await);

    // What a person asked for meanwhile comes with the next write.
    let mut request = store.begin().await.unwrap();
    request.confirm_batches(id, 2).await.unwrap();
    request.commit().await.unwrap();
    let extended: Progress = store.extend(lease, LEASE).await.unwrap().unwrap();
    extended.bring(&mut known);
    assert_eq!(known, read().await);
    assert_eq!(known.confirmed, 2);

    let next = Transition {
        batch: 1,
        batches: vec![moved(0, State::Succeeded, None), moved(1, State::Running, None)],
        ..transition(State::Running, Step::BringUp, None)
    };
    written(&known, &next, &[pod("a"), pod("b")]).await.bring_after(&next, &mut known);
    assert_eq!(known, read().await);
    let rows = store.batch_rows(id).await.unwrap();
    assert_eq!(rows[0].pods, [pod("a"), pod("b")]);
    assert!(rows[0].finished_at.is_some() && rows[1].finished_at.is_none());
    assert_eq!((rows[0].message.as_str(), rows[0].target), ("it is succeeded", 2));

    // A batch that begins anew in the step in which it was put back.
    let anew = Transition {
        batches: vec![
            moved(1, State::Ready, None),
            moved(0, State::Ready, None),
            moved(0, State::Running, None),
        ],
        ..transition(State::Running, Step::BringUp, None)
    };
    let before = rows[0].started_at;
    written(&known, &anew, &[pod("c")]).await.bring_after(&anew, &mut known);
    assert_eq!(known, read().await);
    let rows = store.batch_rows(id).await.unwrap();
    assert!(rows[0].pods.is_empty() && rows[0].finished_at.is_none());
    assert!(rows[0].started_at > before && rows[1].started_at.is_none());
    let events = store.events(id).await.unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["order.bring_up", "change.made", "order.bring_up", "order.bring_up"]);
}
