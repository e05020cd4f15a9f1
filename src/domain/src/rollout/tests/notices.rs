//! What people are told of a transition.

use rstest::rstest;

use super::*;
use crate::notice::{Telling, Topic};

#[rstest]
#[case::begins(Kind::Deploy, State::Ready, State::Running, "", None)]
#[case::goes_on(Kind::Deploy, State::Running, State::Running, "", None)]
#[case::waits_by_itself(Kind::Deploy, State::Running, State::WaitingInterval, "", None)]
#[case::waits(Kind::Deploy, State::Running, State::WaitingConfirmation, "", Some(Topic::Waiting))]
#[case::waits_on(Kind::Deploy, State::WaitingConfirmation, State::WaitingConfirmation, "", None)]
#[case::is_done(Kind::Deploy, State::Running, State::Succeeded, "", Some(Topic::Succeeded))]
#[case::is_scaled(Kind::Scale, State::Running, State::Succeeded, "", Some(Topic::Succeeded))]
#[case::is_back(Kind::Rollback, State::Running, State::Succeeded, "", Some(Topic::RolledBack))]
#[case::fails(Kind::Deploy, State::Running, State::Failed, "no image", Some(Topic::Failed))]
#[case::fails_on_the_way_back(
    Kind::Rollback,
    State::Running,
    State::Failed,
    "",
    Some(Topic::Failed)
)]
#[case::gives_way(
    Kind::Deploy,
    State::Running,
    State::Failed,
    "superseded by argocd",
    Some(Topic::Superseded)
)]
#[case::tidies_up(Kind::Deploy, State::Failed, State::Failed, "superseded", None)]
#[case::tidies_up_what_was_stopped(Kind::Deploy, State::Aborted, State::Aborted, "", None)]
fn a_transition_is_told_once_by_what_it_means(
    #[case] kind: Kind,
    #[case] before: State,
    #[case] after: State,
    #[case] message: &str,
    #[case] topic: Option<Topic>,
) {
    let mut order = accepted(kind, in_batches(3, Pace::Manual), PODS);
    order.state = before;
    let mut transition = Transition::new(&order, after, Step::Paused).because(message);
    transition.batch = 1;
    let told = Telling::of(&order, &transition);
    assert_eq!(told, topic.map(|topic| Telling { topic, state: after, batch: 1 }));
}
