//! Deleting: what there may be under the application's name.

use rstest::rstest;

use super::*;

/// An order that deletes, at `step`, having meant the Deployment `uid`.
fn deleting(step: Step, uid: Option<&str>) -> Order {
    let mut order = accepted(Kind::Delete, Strategy::ALL_AT_ONCE, 0);
    order.target.source = TemplateSource::Unchanged;
    order.target.release = None;
    if step != Step::Start {
        (order.state, order.step) = (State::Running, step);
        (order.batches[0].state, order.batches[0].started_at) = (State::Running, Some(at(0)));
        let change =
            Change::Delete { uid: uid.map(str::to_owned), former_applications: Vec::new() };
        order.intent = Some(Intent {
            effect: change.into(),
            applied: Some(Applied { deployment: 0, replica_set: None }),
        });
    }
    order
}

/// A Deployment that says it is the order's application.
fn own(order: &Order, uid: &str) -> Observation {
    let view = DeploymentView {
        uid: uid.into(),
        application: Some(order.application.to_string()),
        ..untouched()
    };
    Observation::Present(Box::new(view))
}

/// One that says it is another application, or none.
fn foreign(application: Option<String>) -> Observation {
    Observation::Present(Box::new(DeploymentView {
        uid: "foreign".into(),
        application,
        ..untouched()
    }))
}

#[test]
fn the_very_deployment_that_is_seen_is_written_down_before_it_is_deleted() {
    let order = deleting(Step::Start, None);
    assert_waits(&decide(&order, &Observation::Unknown.into(), at(SOON)), None);
    let transition = moved(decide(&order, &own(&order, "u1").into(), at(SOON)));
    assert_eq!(
        (transition.state, transition.step, transition.roll_back, transition.finalizes),
        (State::Running, Step::Delete, false, false)
    );
    assert_eq!(
        transition.effect,
        Some(Change::Delete { uid: Some("u1".into()), former_applications: Vec::new() }.into())
    );
    assert_eq!(transition.message, "deleting the Deployment web with 10 pods");
}

#[test]
fn an_adopted_deployment_on_which_nothing_says_whose_it_is_is_known_by_its_uid() {
    let mut order = deleting(Step::Start, None);
    order.target.adopted_uid = Some("foreign".into());
    let transition = moved(decide(&order, &foreign(None).into(), at(SOON)));
    assert_eq!(
        transition.effect,
        Some(
            Change::Delete { uid: Some("foreign".into()), former_applications: Vec::new() }.into()
        )
    );
    order.target.adopted_uid = Some("before".into());
    let transition = moved(decide(&order, &foreign(None).into(), at(SOON)));
    assert_eq!(transition.message, "the Deployment web is gone already");
    assert_eq!(
        transition.effect,
        Some(Change::Delete { uid: Some("before".into()), former_applications: Vec::new() }.into()),
        "that very one, should the view be behind"
    );
}

#[test]
fn an_adopted_deployment_may_still_say_that_it_is_an_application_that_is_no_more() {
    let (former, other) = (ApplicationId::new(), ApplicationId::new());
    let mut order = deleting(Step::Start, None);
    (order.target.adopted_uid, order.target.former_applications) =
        (Some("foreign".into()), vec![former]);
    let said = |application: ApplicationId| {
        moved(decide(&order, &foreign(Some(application.to_string())).into(), at(SOON))).message
    };
    assert!(said(former).starts_with("deleting the Deployment web"), "{}", said(former));
    assert_eq!(said(other), "the Deployment web is gone already");
    let unadopted =
        Order { target: Target { adopted_uid: None, ..order.target.clone() }, ..order.clone() };
    let transition = moved(decide(&unadopted, &foreign(Some(former.to_string())).into(), at(SOON)));
    assert_eq!(
        transition.message, "the Deployment web is gone already",
        "a name alone is not enough"
    );
}

#[rstest]
#[case::none(Observation::Absent)]
#[case::of_nobody(foreign(None))]
#[case::of_another(foreign(Some(ApplicationId::new().to_string())))]
fn one_that_is_gone_already_is_deleted_all_the_same_as_the_view_may_be_behind(
    #[case] observation: Observation,
) {
    let transition =
        moved(decide(&deleting(Step::Start, None), &observation.clone().into(), at(SOON)));
    assert_eq!(
        (transition.step, transition.effect),
        (Step::Delete, Some(Change::Delete { uid: None, former_applications: Vec::new() }.into()))
    );
    assert_eq!(transition.message, "the Deployment web is gone already");
}

#[test]
fn it_is_done_once_that_deployment_is_gone() {
    let order = deleting(Step::Delete, Some("u1"));
    let done = |observation: &Observation| {
        let transition = moved(decide(&order, &observation.clone().into(), at(SOON)));
        assert_eq!(
            (transition.state, transition.step, &transition.effect),
            (State::Succeeded, Step::Done, &None)
        );
        assert_eq!(batches(&transition), [(0, State::Succeeded, None)]);
        transition.message
    };
    assert_eq!(done(&Observation::Absent), "");
    assert_eq!(done(&own(&order, "u2")), "", "one that somebody made anew from its manifest");
    assert_eq!(
        done(&foreign(None)),
        "the Deployment web (foreign) is another one and was left alone"
    );
}

#[rstest]
#[case(Some("u1"))]
#[case(None)]
fn one_that_something_holds_fails_at_the_deadline(#[case] meant: Option<&str>) {
    let order = deleting(Step::Delete, meant);
    assert_waits(&decide(&order, &own(&order, "u1").into(), at(SOON)), Some(at(TIMEOUT)));
    let transition = moved(decide(&order, &own(&order, "u1").into(), at(TIMEOUT)));
    assert_eq!(
        (transition.state, transition.step, transition.roll_back),
        (State::Failed, Step::Done, false)
    );
    assert!(transition.message.contains("finalizers"), "{}", transition.message);
}

#[test]
fn it_can_be_aborted_until_it_was_written_down_and_nothing_is_to_be_brought_to_rest() {
    assert!(deleting(Step::Start, None).can_be_aborted());
    let begun = deleting(Step::Delete, Some("u1"));
    assert!(!begun.can_be_aborted() && !begun.rests_on_abort());
    for (state, changed_deployment) in [(State::Running, true), (State::Succeeded, true)] {
        assert!(!Order::can_be_rolled_back(Kind::Delete, state, changed_deployment, true, false));
    }
    let refused = moved(crate::rollout::refused(&begun, "forbidden"));
    assert_eq!(
        (refused.state, refused.step, refused.roll_back),
        (State::Failed, Step::Done, false)
    );
}
