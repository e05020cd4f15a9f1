use rstest::rstest;

use super::*;
use crate::template::names::{
    APPLICATION_LABEL, FENCE_ANNOTATION, NAME_LABEL, OWNER, OWNER_LABEL, WRITE_ANNOTATION,
};

const ATTEMPT: Attempt<'static> = Attempt { object_write: "e2", generation: 7, repeated: false };

fn owner() -> Owner {
    Owner { id: "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e".parse().unwrap(), name: "web".into() }
}

fn object_write(action: Action) -> ObjectWrite {
    ObjectWrite { kind: ObjectKind::Service, name: "front".into(), owner: Some(owner()), action }
}

fn creation() -> Action {
    Action::Create(json!({ "spec": { "ports": [{ "port": 80 }] } }))
}

fn change() -> Action {
    Action::Set(BTreeMap::from([
        ("/spec/ports".into(), json!([{ "port": 81 }])),
        ("/spec/externalTrafficPolicy".into(), Value::Null),
        ("/metadata/labels/a~1b".into(), json!("c")),
    ]))
}

/// An object of ours, as an earlier object write left it.
fn live(object_write: &str, fence: i64) -> Value {
    json!({
        "metadata": {
            "name": "front", "uid": "u1", "resourceVersion": "5", "managedFields": [{}],
            "labels": { OWNER_LABEL: OWNER, APPLICATION_LABEL: owner().id.to_string(), "theirs": "stays" },
            "annotations": { WRITE_ANNOTATION: object_write, FENCE_ANNOTATION: fence.to_string() },
        },
        "spec": { "ports": [{ "port": 80 }], "externalTrafficPolicy": "Local", "clusterIP": "10.0.0.1" },
    })
}

fn refusal(next: Next) -> String {
    match next {
        Next::Refuse(why) => why,
        other => panic!("must be refused: {other:?}"),
    }
}

#[test]
fn an_object_is_created_with_our_marks() {
    let Next::Create(object) = next_request(&object_write(creation()), ATTEMPT, None) else {
        panic!("must be created")
    };
    assert_eq!(
        (&object["apiVersion"], &object["kind"], &object["metadata"]["name"]),
        (&json!("v1"), &json!("Service"), &json!("front"))
    );
    assert_eq!(
        object["metadata"]["labels"],
        json!({ OWNER_LABEL: OWNER, APPLICATION_LABEL: owner().id.to_string(), NAME_LABEL: "web" })
    );
    assert_eq!(
        object["metadata"]["annotations"],
        json!({ WRITE_ANNOTATION: "e2", FENCE_ANNOTATION: "7" })
    );
    let object_write =
        ObjectWrite { kind: ObjectKind::Ingress, owner: None, ..object_write(creation()) };
    let Next::Create(object) = next_request(&object_write, ATTEMPT, None) else {
        panic!("must be created")
    };
    assert_eq!(
        (&object["apiVersion"], &object["metadata"]["labels"]),
        (&json!("networking.k8s.io/v1"), &json!({ OWNER_LABEL: OWNER }))
    );
}

#[test]
fn what_must_be_so_is_created_or_replaced_where_it_is_ours() {
    let put = object_write(Action::Put(
        json!({ "metadata": { "ownerReferences": [{ "uid": "u2" }] }, "spec": { "ports": [{ "port": 81 }] } }),
    ));
    let Next::Create(object) = next_request(&put, ATTEMPT, None) else { panic!("must be created") };
    assert_eq!(
        (&object["spec"]["ports"][0]["port"], &object["metadata"]["annotations"][WRITE_ANNOTATION]),
        (&json!(81), &json!("e2"))
    );
    let Next::Replace(object) = next_request(&put, ATTEMPT, Some(&live("e1", 6))) else {
        panic!("must be replaced")
    };
    assert_eq!(object["spec"], json!({ "ports": [{ "port": 81 }] }));
    assert_eq!(
        (&object["metadata"]["labels"]["theirs"], &object["metadata"]["ownerReferences"][0]["uid"]),
        (&json!("stays"), &json!("u2"))
    );
    assert!(refusal(next_request(&put, ATTEMPT, Some(&live("e3", 8)))).contains("meanwhile"));
    let mut theirs = live("e1", 6);
    theirs["metadata"]["labels"] = json!({});
    assert!(
        refusal(next_request(&put, ATTEMPT, Some(&theirs))).contains("was not made by this server")
    );
}

#[test]
fn what_must_not_be_there_as_ours_goes_where_it_is() {
    let remove = object_write(Action::Remove);
    assert_eq!(next_request(&remove, ATTEMPT, None), Next::Done(Value::Null));
    assert_eq!(
        next_request(&remove, ATTEMPT, Some(&live("e1", 6))),
        Next::Delete { uid: "u1".into(), resource_version: "5".into() }
    );
    let mut theirs = live("e1", 6);
    theirs["metadata"]["labels"] = json!({});
    assert_eq!(
        next_request(&remove, ATTEMPT, Some(&theirs)),
        Next::Done(Value::Null),
        "it is left alone"
    );
}

#[test]
fn only_the_parts_that_are_named_change() {
    let Next::Replace(object) =
        next_request(&object_write(change()), ATTEMPT, Some(&live("e1", 6)))
    else {
        panic!("must be replaced")
    };
    assert_eq!(object["spec"], json!({ "ports": [{ "port": 81 }], "clusterIP": "10.0.0.1" }));
    assert_eq!(
        (&object["metadata"]["labels"]["a/b"], &object["metadata"]["labels"]["theirs"]),
        (&json!("c"), &json!("stays"))
    );
    assert_eq!(
        (
            &object["metadata"]["resourceVersion"],
            &object["metadata"]["annotations"][FENCE_ANNOTATION]
        ),
        (&json!("5"), &json!("7"))
    );
}

#[test]
fn what_goes_is_named_by_uid_and_version() {
    let next = next_request(&object_write(Action::Delete), ATTEMPT, Some(&live("e1", 6)));
    assert_eq!(next, Next::Delete { uid: "u1".into(), resource_version: "5".into() });
}

#[rstest]
#[case(creation())]
#[case(change())]
fn what_an_earlier_attempt_did_is_done(#[case] action: Action) {
    let object = live("e2", 6);
    assert_eq!(
        next_request(
            &object_write(action.clone()),
            Attempt { repeated: true, ..ATTEMPT },
            Some(&object)
        ),
        Next::Done(object)
    );
    // The other way round: somebody took it up again since.
    assert_eq!(next_request(&object_write(action), ATTEMPT, Some(&live("e2", 8))), Next::Leave);
}

#[test]
fn a_deletion_that_finds_nothing_is_done_only_if_somebody_was_at_it_before() {
    assert_eq!(
        next_request(&object_write(Action::Delete), Attempt { repeated: true, ..ATTEMPT }, None),
        Next::Done(Value::Null)
    );
    assert!(
        refusal(next_request(&object_write(Action::Delete), ATTEMPT, None))
            .contains("the Service front does not exist")
    );
    assert!(
        refusal(next_request(&object_write(change()), ATTEMPT, None)).contains("does not exist")
    );
}

#[rstest]
#[case(creation(), "exists already, and this server did not make it")]
#[case(change(), "was not made by this server")]
#[case(Action::Delete, "was not made by this server")]
fn what_is_not_ours_is_left_alone(#[case] action: Action, #[case] says: &str) {
    let mut theirs = live("e2", 6);
    theirs["metadata"]["labels"][OWNER_LABEL] = json!("helm");
    assert!(refusal(next_request(&object_write(action), ATTEMPT, Some(&theirs))).contains(says));
}

#[test]
fn what_belongs_to_another_application_is_left_alone() {
    let mut other = live("e1", 6);
    other["metadata"]["labels"][APPLICATION_LABEL] = json!("another");
    for action in [change(), Action::Delete] {
        assert!(
            refusal(next_request(&object_write(action), ATTEMPT, Some(&other)))
                .contains("belongs to the application another")
        );
    }
    assert!(
        refusal(next_request(&object_write(creation()), ATTEMPT, Some(&other)))
            .contains("exists already")
    );
    let nobodys = ObjectWrite { owner: None, ..object_write(Action::Delete) };
    assert!(
        refusal(next_request(&nobodys, ATTEMPT, Some(&other)))
            .contains("belongs to the application")
    );
}

#[test]
fn a_write_that_was_overtaken_changes_nothing() {
    for action in [change(), Action::Delete] {
        assert!(
            refusal(next_request(&object_write(action), ATTEMPT, Some(&live("e3", 8))))
                .contains("meanwhile")
        );
    }
}

#[test]
fn removing_what_is_not_there_makes_nothing() {
    let mut object = json!({ "spec": 1 });
    set(&mut object, "/spec/a/b", Value::Null);
    assert_eq!(object, json!({ "spec": 1 }));
    set(&mut object, "/spec/a/b", json!(2));
    assert_eq!(object, json!({ "spec": { "a": { "b": 2 } } }));
}

#[test]
fn bookkeeping_is_not_told() {
    assert_eq!(written_metadata(&live("e1", 6))["managedFields"], Value::Null);
    assert_eq!(written_metadata(&live("e1", 6))["uid"], "u1");
}
