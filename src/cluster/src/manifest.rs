//! Changes as Kubernetes wants them: a Deployment object, or a JSON Patch.
//!
//! Pure. A patch is absolute and `test`s the object's uid and the fencing token
//! that it replaces, so that a stale executor's patch is refused (422) and
//! changes nothing. Where a Deployment has no token yet, its resourceVersion is
//! tested instead.

use jiff::Timestamp;
use json_patch::Patch as JsonPatch;
use serde_json::{Value, json};

use super::ClusterError;
use domain::template::names::{
    APPLICATION_ANNOTATION, APPLICATION_LABEL, BORROWED_SETTINGS_ANNOTATION, FENCE_ANNOTATION,
    INSTALLATION_ANNOTATION, NAME_LABEL, ORDER_ANNOTATION, OWNER, OWNER_LABEL,
};
use domain::{
    ApplicationId, InstallationId, OrderId,
    name::fitting,
    order::intent::{Borrow, Change, Patch},
    template::{
        settings::BorrowedSettings,
        share::{self, Rounding},
    },
};

/// Who writes, and under which token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteContext {
    pub application: ApplicationId,
    pub order: OrderId,
    pub generation: i64,
    pub installation: InstallationId,
}

/// The Deployment of a new application.
#[must_use]
pub fn deployment(
    namespace: &str,
    name: &str,
    context: WriteContext,
    template: &Value,
    replicas: i32,
    min_ready_seconds: i32,
) -> Value {
    let application = context.application.to_string();
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": { NAME_LABEL: name, OWNER_LABEL: OWNER },
            "annotations": { FENCE_ANNOTATION: context.generation.to_string(), ORDER_ANNOTATION: context.order.to_string(), APPLICATION_ANNOTATION: application, INSTALLATION_ANNOTATION: context.installation.to_string() },
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": min_ready_seconds,
            "selector": { "matchLabels": { APPLICATION_LABEL: application } },
            "template": template,
        },
    })
}

/// What the Deployment controller notes on a ReplicaSet that it sizes: the Deployment's number
/// of pods, and the most that there may be. It shares another number by them.
const DESIRED_ANNOTATION: &str = "deployment.kubernetes.io/desired-replicas";
const MOST_ANNOTATION: &str = "deployment.kubernetes.io/max-replicas";

/// The JSON Patch that sets the size of the ReplicaSet `live`, unless it changed. It says on it
/// which number of `deployment` that is a part of, as the Deployment controller would: by what
/// stands there from earlier, that one would make a multiple of it, and let the pods of the
/// other version go.
///
/// # Errors
/// As [`json_patch()`].
pub fn resize(
    live: &Value,
    replicas: i32,
    min_ready_seconds: Option<i32>,
    deployment: &Value,
) -> Result<JsonPatch, serde_json::Error> {
    let spec = &deployment["spec"];
    let all = spec["replicas"].as_i64().and_then(|it| i32::try_from(it).ok()).unwrap_or(1);
    let surge = share::pods(&spec["strategy"]["rollingUpdate"]["maxSurge"], all, Rounding::Up);
    let most = all.saturating_add(surge.unwrap_or(0));
    let mut operations = vec![
        json!({ "op": "test", "path": "/metadata/uid", "value": live["metadata"]["uid"] }),
        json!({ "op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"] }),
    ];
    if !live["metadata"]["annotations"].is_object() {
        operations.push(json!({ "op": "add", "path": "/metadata/annotations", "value": {} }));
    }
    for (name, number) in [(DESIRED_ANNOTATION, all), (MOST_ANNOTATION, most)] {
        operations
            .push(json!({ "op": "add", "path": annotation(name), "value": number.to_string() }));
    }
    operations.push(json!({ "op": "add", "path": "/spec/replicas", "value": replicas }));
    if let Some(seconds) = min_ready_seconds {
        operations.push(json!({ "op": "add", "path": "/spec/minReadySeconds", "value": seconds }));
    }
    serde_json::from_value(Value::Array(operations))
}

/// The JSON Patch that gives `live` another pod template.
///
/// # Errors
/// As [`json_patch()`].
pub fn template(live: &Value, template: &Value) -> Result<JsonPatch, serde_json::Error> {
    serde_json::from_value(json!([
        { "op": "test", "path": "/metadata/uid", "value": live["metadata"]["uid"] },
        { "op": "add", "path": "/spec/template", "value": template },
    ]))
}

/// The JSON Patch that makes others the owners of fields of `live`, if its owners did not
/// change since.
///
/// # Errors
/// As [`json_patch()`].
pub fn own(live: &Value, owners: &Value) -> Result<JsonPatch, serde_json::Error> {
    serde_json::from_value(json!([
        { "op": "test", "path": "/metadata/uid", "value": live["metadata"]["uid"] },
        { "op": "test", "path": annotation(FENCE_ANNOTATION), "value": live["metadata"]["annotations"][FENCE_ANNOTATION] },
        { "op": "test", "path": "/metadata/managedFields", "value": live["metadata"]["managedFields"] },
        { "op": "replace", "path": "/metadata/managedFields", "value": owners },
    ]))
}

/// What an Event says.
#[derive(Debug, Clone, Copy)]
pub struct EventText<'a> {
    /// Why, as one word in capitals and small letters.
    pub reason: &'a str,
    /// What happened, for people; cut to 1024 bytes.
    pub text: &'a str,
    pub at: Timestamp,
    /// What tells it from others of its order and reason; 0 = there is one.
    pub turn: usize,
    /// Whether it warns.
    pub warns: bool,
}

/// Longest part of a Deployment's name in an Event's, which has at most 253 bytes.
const LONGEST_SHOWN: usize = 180;

/// Longest text that an Event may have, in bytes.
const LONGEST_NOTE: usize = 1024;

/// An Event about `deployment`. Its name makes it the only one of its order, reason and turn.
#[must_use]
pub fn event(deployment: &Value, context: WriteContext, event_text: &EventText<'_>) -> Value {
    let EventText { reason, text, at, turn, warns } = event_text;
    let turn = if *turn == 0 { String::new() } else { format!(".{turn}") };
    let metadata = &deployment["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let at = at.round(jiff::Unit::Second).unwrap_or(*at).to_string();
    let end = (0..=LONGEST_NOTE.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": format!("{}.{}.{}{turn}", fitting(name, LONGEST_SHOWN), context.order, reason.to_lowercase()), "namespace": metadata["namespace"] },
        "involvedObject": {
            "apiVersion": "apps/v1", "kind": "Deployment", "namespace": metadata["namespace"], "name": name,
            "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
        },
        "type": if *warns { "Warning" } else { "Normal" },
        "reason": reason,
        "message": &text[..end],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": { "component": "sluice" },
        "reportingComponent": "sluice",
    })
}

/// The fields that are compared with what a patch was decided for.
const EXPECTED: [&str; 4] =
    ["/spec/paused", "/spec/minReadySeconds", "/spec/progressDeadlineSeconds", "/spec/strategy"];

/// The number of the spec, which grows with each change of it.
const GENERATION: &str = "/metadata/generation";

/// Whether `live` is what `patch` was decided for.
pub(super) fn is_expected(live: &Value, patch: &Patch) -> bool {
    let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
    let replicas = live["spec"]["replicas"].as_i64().and_then(|it| i32::try_from(it).ok());
    patch.is_expected(uid, &settings(live), &live["spec"]["template"])
        && patch.is_planned_for(replicas.unwrap_or(1))
}

/// The JSON Patch that makes `patch` to `live`.
///
/// # Errors
/// `live` is no Deployment of an API server: it has no uid.
pub fn json_patch(
    live: &Value,
    context: WriteContext,
    patch: &Patch,
) -> Result<JsonPatch, serde_json::Error> {
    let annotations = &live["metadata"]["annotations"];
    let mut operations =
        vec![json!({ "op": "test", "path": "/metadata/uid", "value": live["metadata"]["uid"] })];
    match annotations.get(FENCE_ANNOTATION) {
        Some(fence) => operations.push(json!({ "op": "test", "path": annotation(FENCE_ANNOTATION), "value": fence })),
        None => operations.push(json!({ "op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"] })),
    }
    // What it was decided for, as it was read: somebody else's value is not written over.
    if let Some(expected) = &patch.expects {
        // A template is compared by the number of its spec: an API server compares texts as they
        // are written, and writes `&` in another way than we do.
        let template = expected.template.is_some().then_some(GENERATION);
        for path in EXPECTED.into_iter().chain(template) {
            // Of a field that is not there, null holds.
            operations.push(json!({ "op": "test", "path": path, "value": live.pointer(path) }));
        }
    }
    if !annotations.is_object() {
        operations.push(json!({ "op": "add", "path": "/metadata/annotations", "value": {} }));
    }
    let mut add = |path: String, value: Value| {
        operations.push(json!({ "op": "add", "path": path, "value": value }))
    };
    add(annotation(FENCE_ANNOTATION), json!(context.generation.to_string()));
    add(annotation(ORDER_ANNOTATION), json!(context.order.to_string()));
    add(annotation(APPLICATION_ANNOTATION), json!(context.application.to_string()));
    add(annotation(INSTALLATION_ANNOTATION), json!(context.installation.to_string()));
    for (field, value) in [
        ("template", patch.template.clone()),
        ("replicas", patch.replicas.map(Value::from)),
        ("minReadySeconds", patch.min_ready_seconds.map(Value::from)),
        ("progressDeadlineSeconds", patch.progress_deadline_seconds.map(Value::from)),
        ("paused", patch.paused.map(Value::from)),
        ("strategy", patch.strategy.clone()),
    ] {
        if let Some(value) = value {
            add(format!("/spec/{field}"), value);
        }
    }
    match &patch.borrow {
        Borrow::Unchanged => {}
        Borrow::Borrowed(settings) => {
            add(annotation(BORROWED_SETTINGS_ANNOTATION), json!(serde_json::to_string(settings)?))
        }
        Borrow::Returned if annotations.get(BORROWED_SETTINGS_ANNOTATION).is_some() => operations
            .push(json!({ "op": "remove", "path": annotation(BORROWED_SETTINGS_ANNOTATION) })),
        Borrow::Returned => {}
    }
    serde_json::from_value(Value::Array(operations))
}

/// The fields of a Deployment that Sluice borrows, as they are.
#[must_use]
pub fn settings(live: &Value) -> BorrowedSettings {
    let spec = &live["spec"];
    let number = |field: &str, default: i32| {
        spec[field].as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or(default)
    };
    BorrowedSettings {
        min_ready_seconds: number("minReadySeconds", 0),
        // Kubernetes' own default.
        progress_deadline_seconds: number("progressDeadlineSeconds", 600),
        paused: spec["paused"].as_bool().unwrap_or(false),
        strategy: spec["strategy"].clone(),
    }
}

/// The application that a Deployment is, by its annotation or by what its pods are
/// selected by: that cannot be changed, and a hand that replaced the object may have
/// lost the other.
#[must_use]
pub fn application(live: &Value) -> Option<&str> {
    let annotated = live["metadata"]["annotations"][APPLICATION_ANNOTATION].as_str();
    annotated.or_else(|| live["spec"]["selector"]["matchLabels"][APPLICATION_LABEL].as_str())
}

/// Fencing tokens from here on were never given out: somebody typed them.
const ABSURD_TOKEN: i64 = 1 << 60;

/// The fencing token of the last write.
#[must_use]
pub fn fence(live: &Value) -> Option<i64> {
    let token: i64 = live["metadata"]["annotations"][FENCE_ANNOTATION].as_str()?.parse().ok()?;
    (0..ABSURD_TOKEN).contains(&token).then_some(token)
}

/// The order that wrote last.
#[must_use]
pub fn order(live: &Value) -> Option<OrderId> {
    live["metadata"]["annotations"][ORDER_ANNOTATION].as_str()?.parse().ok()
}

/// Refuses to write what another installation releases, or a newer executor has written.
///
/// # Errors
/// [`ClusterError::Foreign`] or [`ClusterError::Fenced`].
pub(super) fn guard(live: &Value, context: WriteContext) -> Result<(), ClusterError> {
    let installation = live["metadata"]["annotations"][INSTALLATION_ANNOTATION].as_str();
    if let Some(other) = installation.filter(|it| *it != context.installation.to_string()) {
        // It stands in what people are shown.
        return Err(ClusterError::Foreign(other.chars().take(64).collect()));
    }
    match fence(live).filter(|fence| *fence > context.generation) {
        Some(newer) => Err(ClusterError::Fenced { newer, by: order(live) }),
        None => Ok(()),
    }
}

/// Whether a change that was made for the Deployment `before` fails its tests on what it is
/// now. The API server says the same of that as of an object that is not valid.
pub(super) fn fails_tests(before: &Value, now: &Value, change: &Change) -> bool {
    has_moved(before, now)
        || match change {
            Change::Patch(Patch { expects: Some(expected), .. }) => {
                settings(before) != settings(now)
                    || (expected.template.is_some()
                        && before.pointer(GENERATION) != now.pointer(GENERATION))
            }
            _ => false,
        }
}

/// Whether it is another Deployment by now, or somebody with a newer fencing token wrote it.
fn has_moved(before: &Value, now: &Value) -> bool {
    let fence_is = annotation(FENCE_ANNOTATION);
    let same = ["/metadata/uid", fence_is.as_str()];
    same.iter().any(|path| now.pointer(path) != before.pointer(path))
        || (fence(before).is_none()
            && now["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"])
}

pub(super) fn annotation(name: &str) -> String {
    // A slash within a JSON Pointer's part.
    format!("/metadata/annotations/{}", name.replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use domain::order::intent::Expected;

    use super::*;

    fn context() -> WriteContext {
        WriteContext {
            application: ApplicationId::new(),
            order: OrderId::new(),
            generation: 7,
            installation: InstallationId::new(),
        }
    }

    fn live() -> Value {
        json!({
            "metadata": { "uid": "u1", "resourceVersion": "5", "annotations": { FENCE_ANNOTATION: "6", "other": "kept" } },
            "spec": { "replicas": 3, "template": { "spec": {} }, "strategy": { "type": "RollingUpdate" }, "minReadySeconds": 4 },
        })
    }

    #[test]
    fn a_size_says_which_number_it_is_a_part_of_as_kubernetes_does() {
        let deployment = json!({ "spec": { "replicas": 9, "strategy": { "rollingUpdate": { "maxSurge": "25%" } } } });
        let mut set = json!({
            "metadata": { "uid": "u2", "resourceVersion": "5", "annotations": {
                DESIRED_ANNOTATION: "1", MOST_ANNOTATION: "1", "deployment.kubernetes.io/revision": "2",
            } },
            "spec": { "replicas": 0 },
        });
        let operations = resize(&set, 4, None, &deployment).unwrap();
        json_patch::patch(&mut set, &operations).unwrap();
        assert_eq!(set["spec"]["replicas"], 4);
        assert_eq!(
            set["metadata"]["annotations"],
            json!({ DESIRED_ANNOTATION: "9", MOST_ANNOTATION: "12", "deployment.kubernetes.io/revision": "2" })
        );
        let mut bare = json!({ "metadata": { "uid": "u2", "resourceVersion": "5" }, "spec": {} });
        let operations = resize(&bare, 4, Some(5), &deployment).unwrap();
        json_patch::patch(&mut bare, &operations).unwrap();
        assert_eq!(bare["metadata"]["annotations"][DESIRED_ANNOTATION], "9");
        assert_eq!(
            (&set["spec"]["minReadySeconds"], &bare["spec"]["minReadySeconds"]),
            (&Value::Null, &json!(5))
        );
    }

    fn patched(live: &Value, patch: &Patch) -> Result<Value, json_patch::PatchError> {
        let mut object = live.clone();
        json_patch::patch(&mut object, &json_patch(live, context(), patch).unwrap())?;
        Ok(object)
    }

    #[test]
    fn a_patch_sets_only_what_it_names_the_fence_and_whose_it_is() {
        let object = patched(&live(), &Patch { paused: Some(true), ..Patch::default() }).unwrap();
        assert_eq!(
            (fence(&object), application(&live()), application(&object).is_some()),
            (Some(7), None, true)
        );
        assert_eq!(object["metadata"]["annotations"]["other"], "kept");
        let mut expected = live()["spec"].clone();
        expected["paused"] = json!(true);
        assert_eq!(object["spec"], expected);
    }

    #[test]
    fn a_patch_is_refused_once_somebody_newer_wrote() {
        let patch =
            json_patch(&live(), context(), &Patch { paused: Some(true), ..Patch::default() })
                .unwrap();
        let mut newer = live();
        newer["metadata"]["annotations"][FENCE_ANNOTATION] = json!("8");
        let before = newer.clone();
        assert!(json_patch::patch(&mut newer, &patch).is_err());
        assert_eq!(newer, before);
    }

    #[test]
    fn a_test_that_failed_is_told_from_a_change_that_is_wrong() {
        let mut before = live();
        before["spec"]["paused"] = json!(false);
        before["spec"]["progressDeadlineSeconds"] = json!(600);
        before["metadata"]["generation"] = json!(3);
        let expects = Expected {
            uid: "u1".into(),
            settings: settings(&before),
            template: None,
            replicas: None,
        };
        let first =
            Expected { template: Some(before["spec"]["template"].clone()), ..expects.clone() };
        let fence = annotation(FENCE_ANNOTATION);
        for (path, value) in [
            ("/metadata/resourceVersion", json!("6")),
            ("/metadata/uid", json!("u2")),
            (fence.as_str(), json!("8")),
            // By the order that holds the same token.
            ("/spec/paused", json!(true)),
            ("/spec/minReadySeconds", json!(5)),
            ("/spec/replicas", json!(4)),
            (GENERATION, json!(4)),
        ] {
            let mut now = before.clone();
            *now.pointer_mut(path).unwrap() = value;
            for expects in [None, Some(expects.clone()), Some(first.clone())] {
                let patch = Patch { replicas: Some(9), expects, ..Patch::default() };
                let sent = json_patch(&before, context(), &patch).unwrap();
                let fails = json_patch::patch(&mut now.clone(), &sent).is_err();
                assert_eq!(fails_tests(&before, &now, &Change::Patch(patch)), fails, "{path}");
            }
        }
    }

    #[test]
    fn borrowed_settings_are_kept_on_the_object_and_go_with_their_return() {
        let settings = settings(&live());
        let borrowed = patched(
            &live(),
            &Patch { borrow: Borrow::Borrowed(settings.clone()), ..Patch::default() },
        )
        .unwrap();
        assert_eq!(BorrowedSettings::read_from(&borrowed), Some(settings));
        let returned =
            patched(&borrowed, &Patch { borrow: Borrow::Returned, ..Patch::default() }).unwrap();
        assert_eq!(BorrowedSettings::read_from(&returned), None);
        assert!(patched(&live(), &Patch { borrow: Borrow::Returned, ..Patch::default() }).is_ok());
    }

    #[test]
    fn nobody_writes_what_is_newer_or_another_installations() {
        let mut object = live();
        assert_eq!(guard(&object, context()), Ok(()));
        let order = OrderId::new();
        object["metadata"]["annotations"][ORDER_ANNOTATION] = json!(order.to_string());
        for (token, is_newer) in
            [("7", false), ("8", true), ("1152921504606846976", false), ("-9", false), ("x", false)]
        {
            object["metadata"]["annotations"][FENCE_ANNOTATION] = json!(token);
            let guarded = guard(&object, context());
            let newer = Err(ClusterError::Fenced { newer: 8, by: Some(order) });
            assert_eq!(guarded, if is_newer { newer } else { Ok(()) }, "{token}");
        }
        object["metadata"]["annotations"][INSTALLATION_ANNOTATION] = json!("another");
        assert_eq!(guard(&object, context()), Err(ClusterError::Foreign("another".into())));
    }

    #[test]
    fn a_deployment_without_annotations_is_guarded_by_its_resource_version() {
        let mut plain = live();
        plain["metadata"].as_object_mut().unwrap().remove("annotations");
        let patch = json_patch(&plain, context(), &Patch::default()).unwrap();
        let mut object = plain.clone();
        json_patch::patch(&mut object, &patch).unwrap();
        assert_eq!(fence(&object), Some(7));
        plain["metadata"]["resourceVersion"] = json!("6");
        assert!(json_patch::patch(&mut plain, &patch).is_err());
    }
}
