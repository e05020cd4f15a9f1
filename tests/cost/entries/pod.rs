//! Values of parameters that are about a pod.

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::limits::{BODY, CONTAINERS, DOCUMENT, ITEMS, NODES, TARGET};
use edas::{
    value::{environment, pods, probe},
    wire::params::Params,
};

use super::value::object;
use crate::{
    entry::{Entry, accepted, list, params_job, refused},
    measure::Job,
};

/// Bytes of a value whose operations take no form: base64 fills a line.
const VALUE: usize = TARGET - 500;

const ENVS: &[&str] =
    &["edas::value::environment::read_envs", "edas::value::environment::read_variables"];
const LIST: &[&str] = &["edas::value::pods::list"];
const TEXTS: &[&str] = &["edas::value::pods::texts"];
const SHAPED: &[&str] = &["edas::value::pods::shaped"];
const CONTAINER: &[&str] = &["edas::value::pods::containers", "edas::value::pods::yaml"];
const SECURITY: &[&str] =
    &["edas::value::pods::security", "edas::value::pods::unreadable", "edas::value::pods::yaml"];
const PROBE: &[&str] = &["edas::value::probe::read", "edas::value::probe::plain"];

pub fn entries() -> Vec<Entry> {
    vec![
        accepted("as many variables as may be", ENVS, ITEMS, |n| {
            let item = |at: usize| format!(r#"{{"name":"N{at}","value":"{}"}}"#, "v".repeat(1000));
            params_job(&[("Envs", &list(n, item))], read_envs)
        }),
        accepted("as many variables as may be from ConfigMaps", ENVS, ITEMS, |n| {
            let item = |at: usize| {
                format!(
                    r#"{{"name":"N{at}","valueFrom":{{"configMapKeyRef":{{"name":"c","key":"k{at}"}}}}}}"#
                )
            };
            params_job(&[("Envs", &list(n, item))], read_envs)
        }),
        refused("variables whose last one is no variable", ENVS, ITEMS, |n| {
            let item = |at: usize| {
                if at + 1 == n { "7".into() } else { format!(r#"{{"name":"N{at}","value":1e5}}"#) }
            };
            params_job(&[("Envs", &list(n, item))], read_envs)
        }),
        accepted(
            "as many ConfigMaps of variables as may be",
            &["edas::value::environment::read_env_froms"],
            ITEMS,
            |n| {
                let name = "c".repeat(63);
                params_job(
                    &[(
                        "EnvFroms",
                        &list(n, |_| format!(r#"{{"configMapRef":{{"name":"{name}"}}}}"#)),
                    )],
                    |params| environment::read_env_froms(params).is_ok(),
                )
            },
        ),
        refused(
            "a ConfigMap of variables with a name of a body's length",
            &["edas::value::environment::read_env_froms"],
            BODY - 40,
            |n| {
                params_job(
                    &[(
                        "EnvFroms",
                        &format!(r#"[{{"configMapRef":{{"name":"{}"}}}}]"#, "c".repeat(n)),
                    )],
                    |params| environment::read_env_froms(params).is_ok(),
                )
            },
        ),
        accepted(
            "as many arguments as may be",
            &["edas::value::environment::read_args"],
            ITEMS,
            |n| {
                params_job(
                    &[(
                        "Args",
                        &list(n, |_| format!(r#"{{"argument":"{}"}}"#, "a\\n".repeat(300))),
                    )],
                    read_args,
                )
            },
        ),
        refused(
            "arguments of which the last is none",
            &["edas::value::environment::read_args"],
            ITEMS,
            |n| {
                let item = |at| {
                    if at + 1 == n {
                        object(ITEMS, "1")
                    } else {
                        format!("\"{}\"", "a".repeat(900))
                    }
                };
                params_job(&[("Args", &list(n, item))], read_args)
            },
        ),
        accepted("as many annotations as may be", TEXTS, ITEMS, |n| {
            pod("Annotations", &object(n, &format!("\"{}\"", "v".repeat(1000))))
        }),
        refused("a label with a value of a body's length", TEXTS, BODY - 10, |n| {
            pod("Labels", &format!(r#"{{"k":"{}"}}"#, "v".repeat(n)))
        }),
        refused("a label with a name of a body's length", TEXTS, BODY - 10, |n| {
            pod("Labels", &format!(r#"{{"{}":"v"}}"#, "a.".repeat(n / 2)))
        }),
        accepted("as many files as may be", LIST, ITEMS, |n| {
            pod(
                "ConfigMountDescs",
                &list(n, |at| {
                    format!(r#"{{"name":"c{at}","type":"ConfigMap","mountPath":"/m{at}"}}"#)
                }),
            )
        }),
        accepted("as many folders of the node as may be", LIST, ITEMS, |n| {
            pod(
                "LocalVolume",
                &list(n, |at| format!(r#"{{"type":"","nodePath":"/n{at}","mountPath":"/m{at}"}}"#)),
            )
        }),
        accepted("as many empty folders as may be", LIST, ITEMS, |n| {
            pod("EmptyDirs", &list(n, |at| format!(r#"{{"mountPath":"/m{at}"}}"#)))
        }),
        accepted("claims with as many mounts as may be", LIST, NODES / 4 / 100 - 1, |n| {
            let claim = |at| {
                format!(
                    r#"{{"pvcName":"c{at}","mountPaths":{}}}"#,
                    list(99, |at| format!(r#"{{"mountPath":"/m{at}"}}"#))
                )
            };
            pod("PvcMountDescs", &list(n, claim))
        }),
        refused("a mount whose path is as long as a body", LIST, BODY - 20, |n| {
            pod("EmptyDirs", &format!(r#"[{{"mountPath":"{}"}}]"#, "m".repeat(n)))
        }),
        accepted("as many tolerations as may be", SHAPED, ITEMS, |n| {
            pod(
                "CustomTolerations",
                &list(n, |at| format!(r#"{{"key":"k{at}","operator":"Exists"}}"#)),
            )
        }),
        accepted("an affinity with as many terms as may be", SHAPED, ITEMS, |n| {
            let term = |_| {
                r#"{"topologyKey":"zone","labelSelector":{"matchLabels":{"a":"b"}}}"#.to_owned()
            };
            pod(
                "CustomAffinity",
                &format!(
                    r#"{{"podAntiAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{}}}}}"#,
                    list(n, term)
                ),
            )
        }),
        accepted("as many containers as may be", CONTAINER, CONTAINERS, |n| {
            let variables = "- {name: A, value: \"1\"}\n".repeat(VALUE / 40 / CONTAINERS);
            let container =
                STANDARD.encode(format!("name: side\nimage: side:1\nenv:\n{variables}"));
            pod("Sidecars", &list(n, |_| format!(r#"{{"yamlEncoded":"{container}"}}"#)))
        }),
        accepted("one container of as many values as may be", CONTAINER, VALUE / 17, |n| {
            let variables = "- {name: A}\n".repeat(n);
            let container =
                STANDARD.encode(format!("name: side\nimage: side:1\nenv:\n{variables}"));
            pod("Sidecars", &format!(r#"[{{"yamlEncoded":"{container}"}}]"#))
        }),
        refused("more containers than may be", CONTAINER, ITEMS, |n| {
            pod("Sidecars", &list(n, |_| r#"{"yamlEncoded":"bmFtZTogYQ=="}"#.into()))
        }),
        refused("a container that is no base64", CONTAINER, BODY - 40, |n| {
            pod("Sidecars", &format!(r#"[{{"yamlEncoded":"{}*"}}]"#, "QUFB".repeat(n / 4)))
        }),
        refused(
            "a securityContext of as many fields as may be that nobody knows",
            SECURITY,
            VALUE / 14,
            |n| {
                let fields: String = (0..n).map(|at| format!("k{at}: 1\n")).collect();
                pod("SecurityContext", &STANDARD.encode(format!("{fields}runAsUser: x\n")))
            },
        ),
        refused("a securityContext that is one text", SECURITY, DOCUMENT, |n| {
            pod("SecurityContext", &STANDARD.encode("a".repeat(n)))
        }),
        accepted("a probe with as many headers as may be", PROBE, ITEMS, |n| {
            let headers =
                list(n, |at| format!(r#"{{"name":"h{at}","value":"{}"}}"#, "v".repeat(900)));
            params_job(
                &[(
                    "Readiness",
                    &format!(r#"{{"httpGet":{{"port":"80","HttpHeaders":{headers}}}}}"#),
                )],
                |params| probe::read(params, "Readiness").is_ok(),
            )
        }),
        accepted(
            "a hook with a command of as many words as may be",
            &["edas::value::probe::read_hook"],
            ITEMS,
            |n| {
                let given = format!(
                    r#"{{"exec":{{"command":{}}}}}"#,
                    list(n, |_| format!("\"{}\"", "w".repeat(900)))
                );
                params_job(&[("PreStop", &given)], |params| {
                    probe::read_hook(params, "PreStop").is_ok()
                })
            },
        ),
    ]
}

/// Reads a parameter together with all others of a pod.
fn pod(name: &str, value: &str) -> Job {
    params_job(&[(name, value)], |params| pods::read(params, false).is_ok())
}

fn read_envs(params: &Params) -> bool {
    environment::read_envs(params).is_ok()
}

fn read_args(params: &Params) -> bool {
    environment::read_args(params, "Args").is_ok()
}
