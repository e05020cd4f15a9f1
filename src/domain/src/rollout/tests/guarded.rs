//! What an order's author may not ask for is not written, whatever way it came.

use serde_json::json;

use super::*;
use crate::guard::Guardrails;

fn privileged(name: &str) -> Value {
    let mut template = template(name);
    template["spec"]["containers"] =
        json!([{ "name": "web", "securityContext": { "privileged": true } }]);
    template
}

fn guarded(kind: Kind) -> Order {
    let mut order = accepted(kind, Strategy::ALL_AT_ONCE, PODS);
    order.target.guardrails = Some(Guardrails::default());
    order.target.source = TemplateSource::Exact(privileged("new"));
    order
}

#[test]
fn a_release_that_asks_for_more_ends_before_anything_is_written() {
    let transition = moved(ask(&guarded(Kind::Deploy), untouched(), at(SOON)));
    assert_eq!((transition.state, transition.step), (State::Failed, Step::Done));
    assert!(transition.effect.is_none() && !transition.roll_back && transition.guarded);
    assert!(transition.message.contains("securityContext.privileged is true"), "{transition:?}");
    let created = decide(&guarded(Kind::Create), &Observation::Absent.into(), at(SOON));
    assert_eq!(moved(created).state, State::Failed);
}

#[test]
fn a_release_that_keeps_what_is_there_goes_on() {
    let view = DeploymentView { template: privileged("old"), ..untouched() };
    let transition = moved(ask(&guarded(Kind::Deploy), view, at(SOON)));
    assert_eq!(transition.state, State::Running, "{transition:?}");
}

#[test]
fn a_rollback_brings_back_what_came_before_whatever_it_has() {
    let mut order = way_back(Step::Start);
    order.target.guardrails = Some(Guardrails::default());
    order.snapshot.as_mut().unwrap().template = privileged("old");
    order.target.source = TemplateSource::Exact(privileged("old"));
    let transition = moved(ask(&order, shown(3, None, 10), at(SOON)));
    assert_eq!((transition.state, transition.step), (State::Running, Step::RollBack));
}

#[test]
fn a_deployment_of_helms_is_not_deleted() {
    let mut order = accepted(Kind::Delete, Strategy::ALL_AT_ONCE, PODS);
    order.target.adopted_uid = Some("uid".into());
    let view = DeploymentView { helm_release: Some("shop".into()), ..untouched() };
    let transition = moved(ask(&order, view, at(SOON)));
    assert_eq!((transition.state, transition.step), (State::Failed, Step::Done));
    assert!(transition.message.contains("belongs to Helm (release shop)"), "{transition:?}");
    assert!(transition.effect.is_none());
}
