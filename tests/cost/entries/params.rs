//! Parameters: the query and the form, and names that lead into structures.

use std::sync::LazyLock;

use domain::order::FailurePolicy;
use service::{Service, ServiceConfig};
use tokio::runtime::Runtime;

use domain::limits::{BODY, NAME_DEPTH, PARAMETER_NAME, PARAMETERS, TARGET};
use edas::{
    edge::call,
    wire::{contract, offered, page, params::Params},
};

use crate::entry::{Entry, accepted, params, params_job, refused, text_job};

const PARSE: &[&str] = &["edas::wire::params::Params::parse", "edas::wire::params::decode"];
const STRUCTURED: &[&str] =
    &["edas::wire::params::Params::structured", "edas::wire::params::counted"];

pub fn entries() -> Vec<Entry> {
    vec![
        accepted("a form of as many parameters and bytes as may be", PARSE, PARAMETERS, |n| {
            let value = "%20+".repeat((BODY / PARAMETERS - 16) / 4);
            text_job(query(n, &value), |text| Params::parse(text).is_ok())
        }),
        refused("a form of as many parameters as fit into a body", PARSE, BODY / 5, |n| {
            text_job((0..n).map(|at| format!("{at:04x}&")).collect(), |text| {
                Params::parse(text).is_ok()
            })
        }),
        refused("a query of three-letter names", PARSE, 16_000, |n| {
            text_job((0..n).map(|at| format!("{at:03x}&")).collect(), |text| {
                Params::parse(text).is_ok()
            })
        }),
        refused("a form of ampersands", PARSE, BODY - 3, |n| {
            text_job("&".repeat(n) + "%FF", |text| Params::parse(text).is_ok())
        }),
        refused("a form that is one name", PARSE, BODY, |n| {
            text_job("%41".repeat(n / 3), |text| Params::parse(text).is_ok())
        }),
        accepted("a form that is one value", PARSE, BODY - 2, |n| {
            text_job(format!("a={}", "%41".repeat(n / 3)), |text| Params::parse(text).is_ok())
        }),
        refused("a form whose last name is there twice", PARSE, PARAMETERS, |n| {
            text_job(query(n - 1, "") + &format!("Name{:08}=", n - 2), |text| {
                Params::parse(text).is_ok()
            })
        }),
        accepted(
            "a query and a form of half the parameters each",
            &["edas::wire::params::Params::merge"],
            PARAMETERS / 2,
            |n| {
                let (first, second) = (query(n, "v"), query(n, "v").replace("Name", "Other"));
                Box::new(move || {
                    let (Ok(mut first), Ok(second)) =
                        (Params::parse(&first), Params::parse(&second))
                    else {
                        return false;
                    };
                    first.merge(second).is_ok()
                })
            },
        ),
        accepted("a list in as many dotted names as may be", STRUCTURED, PARAMETERS / 2, |n| {
            let pairs: Vec<(String, String)> = (1..=n)
                .flat_map(|at| {
                    [
                        (format!("Data.{at}.Key"), format!("k{at}")),
                        (format!("Data.{at}.Value"), "v".repeat(1000)),
                    ]
                })
                .collect();
            let pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            params_job(&pairs, |params| params.structured("Data", "").is_ok())
        }),
        accepted("objects in dotted names as deep as they may lead", STRUCTURED, PARAMETERS, |n| {
            let inner = ".abcdefghijklmnopqrstuvwxyz0123".repeat(NAME_DEPTH - 1);
            let pairs: Vec<(String, String)> =
                (0..n).map(|at| (format!("Data.{at:06x}x{inner}"), "v".into())).collect();
            assert!(pairs.iter().all(|(name, _)| name.len() <= PARAMETER_NAME));
            let pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            params_job(&pairs, |params| params.structured("Data", "").is_ok())
        }),
        refused(
            "a number of a body's length",
            &["edas::wire::params::Params::integer"],
            BODY,
            |n| {
                params_job(&[("Replicas", &"9".repeat(n))], |params| {
                    params.integer::<i32>("Replicas").is_ok()
                })
            },
        ),
        refused(
            "a page's number of a line's length",
            &["edas::wire::page::Page::read", "edas::wire::page::PageFromZero::read"],
            TARGET,
            |n| {
                let text = "9".repeat(n);
                params_job(&[("CurrentPage", &text), ("PageNo", &text)], |params| {
                    page::PageFromZero::read(params).is_ok() || page::Page::read(params, 10).is_ok()
                })
            },
        ),
        refused("an id of a line's length", &["edas::edge::call::Call::id"], TARGET, |n| {
            let params = params(&[("AppId", &"9".repeat(n))]);
            let call = call::Call { params, caller: caller(), service: SERVICE.1.clone() };
            Box::new(move || call.application().is_ok())
        }),
        accepted(
            "as many parameters as may be that nobody documents",
            &["edas::wire::offered::judge::check", "edas::wire::offered::judge::ignored"],
            PARAMETERS,
            |n| {
                let params = Params::parse(&query(n, "v")).expect("it can be read");
                let deploy = contract::operations()
                    .iter()
                    .find(|it| it.name == "DeployK8sApplication")
                    .expect("it is offered");
                Box::new(move || {
                    let told = offered::ignored(&deploy.name, &params);
                    offered::check(deploy, &params).is_ok() && !told.is_empty()
                })
            },
        ),
    ]
}

fn query(count: usize, value: &str) -> String {
    (0..count).map(|at| format!("Name{at:08}={value}&")).collect()
}

/// Use cases that are never asked. Their pool needs a runtime.
static SERVICE: LazyLock<(Runtime, Service)> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime can be made");
    let inside = runtime.enter();
    let pool = sqlx::PgPool::connect_lazy("postgres://192.0.2.1/none").expect("an address");
    let settings = ServiceConfig {
        cluster: "default".into(),
        region: "cn-test".into(),
        batch_timeout_seconds: 60,
        failure_policy: FailurePolicy::default(),
        guard: service::GuardConfig::default(),
    };
    let service = Service::new(
        store::Store::on(pool, test_support::keyring::keyring()),
        clock::Clock::default(),
        settings,
    );
    drop(inside);
    (runtime, service)
});

fn caller() -> service::Caller {
    service::Caller {
        identity: None,
        key_id: "key".into(),
        name: "tests".into(),
        principal: "tests".into(),
        person: None,
        request_id: "request".into(),
        trace: None,
        source: domain::Source::Api,
        reason: String::new(),
        peer: None,
    }
}
