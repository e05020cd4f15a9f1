//! What is done with values once they are read: batches, releases, whole Deployments; and
//! texts of objects on the cluster, which others write, too.

use domain::{
    BatchId, ReleaseId,
    limits::{BATCHES, BODY, ITEMS, NODES},
    name,
    order::{
        State,
        plan::{Pace, Strategy},
    },
    package::{runtime::Runtimes, upload},
    template::{
        container::{Known, find},
        edit::{self, Edit},
        graceful_start::GracefulStart,
        java::Running,
        quantity, selector,
        settings::BorrowedSettings,
        share::{self, Rounding},
        spec::{self, EnvVar, Field, SpecChange},
    },
};
use edas::{operation::order::pipeline::pipelines, value::pods};
use jiff::Timestamp;
use serde_json::{Value, json};
use service::{BatchView, PodState};

use super::value::object;
use crate::entry::{Entry, accepted, list, params, refused, text_job};
use domain::template::names::{
    BORROWED_SETTINGS_ANNOTATION, GIVEN_ANNOTATION, GRACEFUL_START_ANNOTATION, PACKAGE_ANNOTATION,
    RELEASE_ANNOTATION,
};

/// Bytes of the longest reply about an order, pods not counted.
const LONGEST_REPLY: usize = 256 << 10;

pub fn entries() -> Vec<Entry> {
    vec![
        accepted(
            "a plan of as many batches as may be",
            &["domain::order::plan::Strategy::check"],
            100,
            |n| {
                let batches = BATCHES * i32::try_from(n).expect("at most 100") / 100;
                let strategy =
                    Strategy { canary: 1, batches, pace: Pace::Automatic { wait_minutes: 1 } };
                Box::new(move || {
                    let most = i32::MAX / 2;
                    let planned: i32 =
                        (0..strategy.count()).map(|index| strategy.size(index, most)).sum();
                    (0..strategy.count()).for_each(|index| {
                        assert!(
                            strategy.batch_gate_after(index)
                                != domain::order::plan::BatchGate::Pause(0)
                        )
                    });
                    strategy.check().is_ok()
                        && planned == most
                        && strategy.max_unavailable(most) > 0
                })
            },
        ),
        refused(
            "a plan of a batch for each of the most pods",
            &["domain::order::plan::Strategy::check"],
            100_000,
            |n| {
                let strategy = Strategy {
                    canary: 0,
                    batches: i32::try_from(n).expect("at most 100000"),
                    pace: Pace::Manual,
                };
                Box::new(move || strategy.check().is_ok())
            },
        ),
        accepted("the reply about an order of as many batches as may be", &[], 100, |n| {
            let batches: Vec<BatchView> =
                (1..=usize::try_from(BATCHES).expect("it is small") * n / 100).map(batch).collect();
            Box::new(move || {
                serde_json::to_string(&pipelines(&batches, "Scale Out", ""))
                    .is_ok_and(|reply| reply.len() < LONGEST_REPLY)
            })
        }),
        accepted("the reply about a batch of a thousand pods", &[], 1000, |n| {
            let pod = |at| PodState {
                name: format!("web-{at}"),
                ip: "10.0.0.1".into(),
                phase: "Running".into(),
                ready: false,
                message: "x".repeat(500),
            };
            let batches = [BatchView { pods: (0..n).map(pod).collect(), ..batch(1) }];
            Box::new(move || serde_json::to_string(&pipelines(&batches, "Scale Out", "")).is_ok())
        }),
        accepted(
            "a release with as many items in every list as a line holds, upon itself",
            &["domain::template::pods::PodChange::apply"],
            ITEMS / 4,
            |n| {
                let change = everything(n);
                let before = change.apply(
                    &spec::first_template("web", domain::ApplicationId::new()),
                    "web",
                    ReleaseId::new(),
                );
                Box::new(move || change.apply(&before, "web", ReleaseId::new()).is_object())
            },
        ),
        accepted(
            "a Deployment's text of as many values as may be, beside the one that is there",
            &["domain::template::edit::Edit::read"],
            NODES / 4,
            |n| {
                let live = deployment(n);
                let mut wanted = live.clone();
                wanted["spec"]["template"]["spec"]["containers"][0]["image"] = json!("web:2");
                Box::new(move || {
                    edit::named(&wanted).is_ok()
                        && Edit::read(&wanted, &live).is_ok_and(|edit| edit.template.is_some())
                })
            },
        ),
        refused(
            "a quantity of a body's length",
            &["domain::template::quantity::billionths"],
            BODY,
            |n| {
                text_job("9".repeat(n / 2) + "." + &"9".repeat(n / 2), |text| {
                    quantity::billionths(text).is_some()
                })
            },
        ),
        refused(
            "a quantity with an exponent of a body's length",
            &["domain::template::quantity::billionths"],
            BODY,
            |n| {
                text_job("1e".to_owned() + &"9".repeat(n), |text| {
                    quantity::billionths(text).is_some()
                })
            },
        ),
        refused("a share of a body's length", &["domain::template::share::pods"], BODY, |n| {
            let value = json!("9".repeat(n) + "%");
            Box::new(move || share::pods(&value, 100_000, Rounding::Up).is_some())
        }),
        refused("a name of a body's length", &[], BODY, |n| {
            text_job("a.".repeat(n / 2), |text| {
                name::is_subdomain(text)
                    || name::is_key(text)
                    || name::is_label(text)
                    || name::is_label_value(text)
            })
        }),
        accepted("a selector of as many expressions as may be", &[], NODES / 8, |n| {
            let values: Vec<String> = (0..n).map(|at| format!("v{at}")).collect();
            let expressions: Vec<Value> = (0..n)
                .map(|at| json!({ "key": format!("k{at}"), "operator": "DoesNotExist" }))
                .collect();
            let in_values = json!({ "key": "app", "operator": "NotIn", "values": values });
            let selector = json!({ "matchExpressions": expressions.into_iter().chain([in_values]).collect::<Vec<_>>() });
            let labels: serde_json::Map<String, Value> =
                (0..n).map(|at| (format!("l{at}"), json!("v"))).collect();
            Box::new(move || selector::selects(&selector, &labels))
        }),
        refused(
            "annotations of the longest that Kubernetes takes, which hold no JSON of ours",
            ANNOTATIONS,
            256 << 10,
            |n| {
                let text = list(n / 2, |_| "1".into());
                let annotations = json!({ BORROWED_SETTINGS_ANNOTATION: text, GRACEFUL_START_ANNOTATION: text, PACKAGE_ANNOTATION: text, RELEASE_ANNOTATION: text, GIVEN_ANNOTATION: text });
                let live = json!({ "metadata": { "annotations": annotations } });
                Box::new(move || {
                    BorrowedSettings::read_from(&live).is_some()
                        || GracefulStart::of(&live).is_some()
                        || Running::of(&live).is_some()
                        || spec::release_of(&live).is_some()
                        || find(&live, &Known::Nothing, "web", None).is_ok()
                })
            },
        ),
        accepted(
            "an annotation with as many fields as may be that are not known",
            ANNOTATIONS,
            ITEMS,
            |n| {
                let live = json!({ "metadata": { "annotations": { GRACEFUL_START_ANNOTATION: object(n, "1") } } });
                Box::new(move || GracefulStart::of(&live).is_some())
            },
        ),
        accepted(
            "a release's text of as many addresses of uploaded packages as fit",
            &["domain::package::upload::stored_in"],
            BODY / 80,
            |n| {
                let at = |at| {
                    format!(
                        "http://sluice{}01935a2c-52b0-7c41-8d6e-{at:012}/app.jar ",
                        upload::PATH
                    )
                };
                text_job((0..n).map(at).collect(), |text| !upload::stored_in(text).is_empty())
            },
        ),
        accepted(
            "a table of the operator's runtimes",
            &["domain::package::runtime::Runtimes::read"],
            100,
            |n| {
                text_job(
                    list(n, |at| format!(r#"{{"jdk":"Open JDK {at}","image":"jdk:{at}"}}"#)),
                    |text| Runtimes::read(text).is_ok(),
                )
            },
        ),
    ]
}

const ANNOTATIONS: &[&str] = &[
    "domain::notation::kept_json",
    "domain::template::given::Given::of",
    "domain::template::graceful_start::GracefulStart::of",
    "domain::template::java::Running::of",
    "domain::template::settings::BorrowedSettings::read_from",
    "domain::template::spec::release_of",
];

/// A change of a release with `count` items in every list.
fn everything(count: usize) -> SpecChange {
    let texts = object(count, "\"v\"");
    let files =
        list(count, |at| format!(r#"{{"name":"c{at}","type":"Secret","mountPath":"/f{at}"}}"#));
    let folders =
        list(count, |at| format!(r#"{{"type":"","nodePath":"/n{at}","mountPath":"/n{at}"}}"#));
    let empty = list(count, |at| format!(r#"{{"mountPath":"/e{at}"}}"#));
    let claims = list(count, |at| {
        format!(r#"{{"pvcName":"p{at}","mountPaths":[{{"mountPath":"/p{at}"}}]}}"#)
    });
    let given = params(&[
        ("Annotations", &texts),
        ("Labels", &texts),
        ("ConfigMountDescs", &files),
        ("LocalVolume", &folders),
        ("EmptyDirs", &empty),
        ("PvcMountDescs", &claims),
    ]);
    let key = json!({ "secretKeyRef": { "name": "s", "key": "k" } });
    let from_keys = (0..count).map(|at| EnvVar {
        name: format!("F{at}"),
        value: String::new(),
        from: Some(key.clone()),
    });
    let plain =
        (0..count).map(|at| EnvVar::plain(format!("N{at}"), format!("$(N{})$(F{at})", count - at)));
    SpecChange {
        image: Some("web:2".into()),
        env: Field::Set(from_keys.chain(plain).collect()),
        args: Field::Set(vec!["a".into(); count]),
        pods: Box::new(pods::read(&given, true).expect("all of it can be read")),
        ..SpecChange::default()
    }
}

/// A Deployment with so many variables.
fn deployment(variables: usize) -> Value {
    let env: Vec<Value> =
        (0..variables).map(|at| json!({ "name": format!("N{at}"), "value": "v" })).collect();
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": "web:1", "env": env }] },
            },
        },
    })
}

fn batch(number: usize) -> BatchView {
    let now: Timestamp = "2026-11-24T06:58:10Z".parse().expect("a time");
    BatchView {
        id: BatchId::new(),
        number,
        canary: false,
        state: State::Succeeded,
        size: 1,
        target: 1,
        started_at: Some(now),
        finished_at: Some(now),
        updated_at: now,
        message: String::new(),
        pods: Vec::new(),
    }
}
