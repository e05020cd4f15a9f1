//! Applications as clients of both generations read them.
//!
//! Fields and types are held against the contract; the twins of GetApplication
//! against each other.

use serde_json::json;

use super::*;
use crate::wire::shape;
use domain::{
    ApplicationId,
    order::{Kind, State},
};

fn application(last_order: Option<State>, replicas: i32) -> Application {
    Application {
        id: ApplicationId::new(),
        name: "web".into(),
        cluster: "default".into(),
        namespace: "shop".into(),
        namespace_named: true,
        logical_region: "cn-test:team".into(),
        description: "a shop".into(),
        created_at: "2026-11-23T22:58:10.793Z".parse().unwrap(),
        created_by: "tests".into(),
        owner: "the shop team".into(),
        email: "shop@example.com".into(),
        phone: String::new(),
        container: domain::template::container::Known::Nothing,
        replicas,
        ready_replicas: 1,
        replicas_before_stop: None,
        deployment_missing: false,
        release: None,
        package: None,
        last_order: last_order.map(|state| (Kind::Deploy, state)),
    }
}

#[test]
fn both_twins_have_the_same_fields_and_differ_in_two_types() {
    let reply = json!(twins(&application(None, 2), &[]));
    shape::check("GetApplication", &reply);
    let (mut new, mut old) = (reply["Application"].clone(), reply["Applcation"].clone());
    assert_eq!((new["ClusterType"].take(), old["ClusterType"].take()), (json!("5"), json!(5)));
    assert_eq!(
        (new["HaveManageAccess"].take(), old["HaveManageAccess"].take()),
        (json!("true"), json!(true))
    );
    assert_eq!(new, old);
    assert_eq!(
        (&new["UserId"], &new["Owner"], &new["Email"]),
        (&json!("tests"), &json!("the shop team"), &json!("shop@example.com"))
    );
    assert_eq!(
        (&new["RegionId"], &new["NameSpace"], &new["CreateTime"]),
        (&json!("cn-test"), &json!("shop"), &json!(1795474690793_i64))
    );
}

#[test]
fn phase_and_state_follow_the_newest_order() {
    for (last, replicas, phase, state) in [
        (None, 2, "ready", "RUNNING"),
        (Some(State::Succeeded), 0, "ready", "STOPPED"),
        (Some(State::WaitingConfirmation), 2, "progressing", "DEPLOYING"),
        (Some(State::Failed), 2, "failed", "RUNNING"),
    ] {
        let application = application(last, replicas);
        assert_eq!(
            (common(&application, &[]).app_phase.as_str(), listed(&application).state.as_str()),
            (phase, state)
        );
    }
    let missing =
        |last| Application { deployment_missing: true, ready_replicas: 0, ..application(last, 2) };
    assert_eq!(listed(&missing(Some(State::Succeeded))).state, "STOPPED");
    assert_eq!(listed(&missing(Some(State::Running))).state, "DEPLOYING");
    for (state, shown) in [(State::Running, "DELETING"), (State::Failed, "RUNNING")] {
        let going = Application { last_order: Some((Kind::Delete, state)), ..application(None, 2) };
        assert_eq!(listed(&going).state, shown);
    }
}

#[test]
fn a_listed_application_has_all_that_the_build_plugins_need() {
    let reply = json!(ApplicationListReply {
        application_list: ApplicationList { items: vec![listed(&application(None, 2))] }
    });
    shape::check("ListApplication", &reply);
    let item = &reply["ApplicationList"]["Application"][0];
    assert_eq!(
        (&item["ClusterType"], &item["RegionId"], &item["NamespaceId"]),
        (&json!(5), &json!("cn-test:team"), &json!("cn-test:team"))
    );
    assert_eq!(
        (&item["Name"], &item["K8sNamespace"], &item["Instances"]),
        (&json!("web"), &json!("shop"), &json!(2))
    );
}
