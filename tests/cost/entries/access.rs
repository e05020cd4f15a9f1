//! Policies, as an operator writes them, and the judgement over them for each request.

use domain::access::{
    Access, Action, Circumstances, MOST_BYTES, Network, Pattern, Policy, Resource, Site,
};
use domain::guard::{Guardrails, Level, Names};
use domain::limits::DOCUMENT;

use crate::entry::{Entry, accepted, list, refused, text_job};

const READ: &[&str] = &[
    "domain::access::policy::Policy::read",
    "domain::access::circumstance::Condition::read",
    "domain::access::network::Network::from_str",
    "domain::access::network::Network::try_from",
];

pub fn entries() -> Vec<Entry> {
    vec![
        accepted("a policy of many statements with conditions", READ, 36, |n| {
            let statement = |at: usize| {
                format!(
                    r#"{{"Effect":"Deny","Action":"edas:*","Resource":"acs:edas:*:*:namespace/{at}*","Condition":{{"IpAddress":{{"acs:SourceIp":"10.{at}.0.0/16"}}}}}}"#
                )
            };
            text_job(document(&list(n, statement)), |text| {
                text.len() <= MOST_BYTES
                    && Policy::read(text, |_| true).is_ok()
                    && "10.1.0.0/16".parse::<Network>().is_ok()
                    && Network::try_from("2001:db8::/32".to_owned()).is_ok()
            })
        }),
        refused("a policy that is far too long", READ, 1 << 20, |n| {
            text_job(document(&list(n / 3, |_| "{}".into())), |text| {
                Policy::read(text, |_| true).is_ok()
            })
        }),
        refused("a policy of lists in lists", READ, MOST_BYTES, |n| {
            text_job("[".repeat(n), |text| Policy::read(text, |_| true).is_ok())
        }),
        accepted(
            "a template in which everything is beyond the guardrails, twice",
            &["domain::guard::Guardrails::judge", "domain::guard::Guardrails::find"],
            DOCUMENT,
            |n| {
                let (containers, mut other) = (asking(n / 2), asking(n / 2));
                other["spec"]["hostNetwork"] = true.into();
                let names = |kind: &str| Names {
                    allowed: vec![Pattern::new(format!("{kind}/*a*b*c"))],
                    denied: vec![Pattern::new(format!("{kind}/*x*y*z"))],
                };
                let guardrails = Guardrails {
                    level: Level::Restricted,
                    images: Some(names("image")),
                    annotations: names("annotation"),
                    ..Guardrails::default()
                };
                Box::new(move || {
                    let judgement = guardrails.judge("shop", &other, Some(&containers));
                    judgement.added.len() == 1 && judgement.note().is_some()
                })
            },
        ),
        accepted(
            "a judgement by resources full of stars",
            &[
                "domain::pattern::Pattern::fits",
                "domain::access::Access::allows",
                "domain::access::Access::verdict",
            ],
            100,
            |n| {
                let resource = format!("acs:edas:*:*:namespace/{}b", "*a".repeat(n));
                let statement = format!(
                    r#"{{"Effect":"Allow","Action":"*","Resource":["{resource}","{resource}x"]}}"#
                );
                let policy = Policy::read(&document(&list(10, |_| statement.clone())), |_| true);
                let policy = policy.expect("a policy of a test can be read");
                let name = "a".repeat(253);
                Box::new(move || {
                    let circumstances = Circumstances {
                        peer: [127, 0, 0, 1].into(),
                        encrypted: true,
                        now: jiff::Timestamp::UNIX_EPOCH,
                    };
                    let site = Site { region: "cn-test", cluster: "default", protected: &[] };
                    let access = Access::of([&policy], &site, &circumstances);
                    let resource =
                        Resource::Application { namespace: &name, name: &name, id: None };
                    access.verdict(Action::RELEASE, &resource) != domain::access::Verdict::Allowed
                        && !access.allows(Action::RELEASE, &resource)
                        && !Pattern::new("*a*a*b").fits(&name)
                })
            },
        ),
    ]
}

fn document(statements: &str) -> String {
    format!(r#"{{"Version":"1","Statement":{statements}}}"#)
}

/// A template of so many bytes, about, with as many findings as fit.
fn asking(bytes: usize) -> serde_json::Value {
    let item = |at: usize| {
        let kind = if at.is_multiple_of(2) { "volume" } else { "container" };
        (kind, format!("n{at}"))
    };
    let (mut containers, mut volumes) = (Vec::new(), Vec::new());
    let mut annotations = serde_json::Map::new();
    for at in 0..bytes / 150 {
        let (kind, name) = item(at);
        if kind == "volume" {
            volumes.push(serde_json::json!({ "name": name, "hostPath": { "path": "/" } }));
            annotations.insert(format!("linkerd.io/{name}"), "a".into());
        } else {
            let mount = serde_json::json!({ "name": format!("n{}", at - 1), "mountPath": "/n" });
            containers.push(serde_json::json!({
                "name": name, "image": "i", "securityContext": { "privileged": true },
                "volumeMounts": [mount], "ports": [{ "hostPort": 1 }],
            }));
        }
    }
    serde_json::json!({
        "metadata": { "annotations": annotations },
        "spec": { "containers": containers, "volumes": volumes },
    })
}
