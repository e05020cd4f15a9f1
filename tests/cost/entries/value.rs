//! Values of parameters that are about an application and what is around it.

use domain::limits::{BODY, ITEMS, PARAMETERS};
use edas::{
    operation::application::{list, tag},
    value::{
        config_data, ingress, java, lossless, ports,
        resource::{self, AmountNames},
        scaling, strategy,
    },
    wire::{condition::Condition, params::Params},
};

use crate::entry::{Entry, accepted, list, params_job, refused};

const PORTS: &[&str] = &["edas::value::ports::read", "edas::value::ports::number"];
const SERVICES: &[&str] = &["edas::value::ports::read_first_services"];
const LISTENERS: &[&str] = &["edas::value::ports::read_listeners"];
const DATA: &[&str] = &["edas::value::config_data::read_texts"];
const SECRET: &[&str] = &["edas::value::config_data::read_secret"];
const INGRESS: &[&str] = &["edas::value::ingress::read", "edas::value::ingress::port"];
const JAVA: &[&str] = &[
    "edas::value::java::read_startup",
    "edas::value::java::read_web",
    "edas::value::java::number",
];
const NUMBERS: &[&str] = &["edas::value::lossless::read", "edas::value::resource::read_amounts"];
const SCALING: &[&str] = &[
    "edas::value::scaling::triggers",
    "edas::value::scaling::metrics",
    "edas::value::scaling::whole",
    "edas::value::scaling::number",
];

pub fn entries() -> Vec<Entry> {
    vec![
        accepted("as many ports as may be", PORTS, ITEMS, |n| {
            params_job(
                &[(
                    "P",
                    &list(n, |at| {
                        format!(r#"{{"protocol":"udp","port":"{}","targetPort":"http"}}"#, at + 1)
                    }),
                )],
                |params| ports::read(params, "P").is_ok(),
            )
        }),
        refused("a port of a body's length", PORTS, BODY - 32, |n| {
            params_job(&[("P", &format!(r#"[{{"port":"{}"}}]"#, "9".repeat(n)))], |params| {
                ports::read(params, "P").is_ok()
            })
        }),
        accepted("as many Services as may be", SERVICES, ITEMS, |n| {
            let item = |at| {
                format!(r#"{{"name":"web{at}","portMappings":[{{"servicePort":{{"port":80}}}}]}}"#)
            };
            params_job(&[("ServiceConfigs", &list(n, item))], |params| {
                ports::read_first_services(params).is_ok()
            })
        }),
        accepted("as many listeners as may be", LISTENERS, ITEMS, |n| {
            let item = |at: usize| {
                format!(
                    r#"{{"port":{},"targetPort":80,"loadBalancerProtocol":"HTTPS","certId":"c{at}"}}"#,
                    at + 1
                )
            };
            params_job(&[("ServicePortInfos", &list(n, item))], |params| {
                ports::read_listeners(params).is_ok()
            })
        }),
        accepted("as many entries of a ConfigMap as may be, in JSON", DATA, ITEMS, |n| {
            params_job(&[("Data", &entries_of(n, 900))], |params| {
                config_data::read_texts(params).is_ok()
            })
        }),
        accepted("as many entries of a Secret as may be, in JSON", SECRET, ITEMS, |n| {
            params_job(&[("Data", &entries_of(n, 900))], |params| {
                config_data::read_secret(params).is_ok()
            })
        }),
        accepted(
            "as many entries of a Secret as may be, in dotted names",
            SECRET,
            PARAMETERS / 2 - 1,
            |n| {
                let mut pairs: Vec<(String, String)> =
                    vec![("Base64Encoded".into(), "true".into())];
                for at in 1..=n {
                    pairs.extend([
                        (format!("Data.{at}.Key"), format!("k{at}")),
                        (format!("Data.{at}.Value"), "QUFB".repeat(400)),
                    ]);
                }
                let pairs: Vec<(&str, &str)> =
                    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                params_job(&pairs, |params| config_data::read_secret(params).is_ok())
            },
        ),
        refused("a list in dotted names that begins with 2", DATA, PARAMETERS / 2, |n| {
            let pairs: Vec<(String, String)> =
                (2..n + 2).map(|at| (format!("Data.{at}.Key"), format!("k{at}"))).collect();
            let pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            params_job(&pairs, |params| config_data::read_texts(params).is_ok())
        }),
        accepted("rules of an Ingress with as many paths as may be", INGRESS, 19, |n| {
            let path = |at| {
                format!(r#"{{"path":"/p{at}","backend":{{"serviceName":"web","servicePort":80}}}}"#)
            };
            let rules = list(n, |at| {
                format!(r#"{{"host":"h{at}.example.com","paths":{}}}"#, list(100, path))
            });
            params_job(&[("IngressConf", &format!(r#"{{"rules":{rules}}}"#))], |params| {
                ingress::read(params).is_ok()
            })
        }),
        accepted(
            "as many labels of an Ingress as may be",
            &["edas::value::ingress::read_texts"],
            ITEMS,
            |n| {
                params_job(&[("Labels", &object(n, "\"v\""))], |params| {
                    ingress::read_texts(params, "Labels").is_ok()
                })
            },
        ),
        accepted("as many start options as may be", JAVA, ITEMS, |n| {
            params_job(
                &[(
                    "JavaStartUpConfig",
                    &object(n, r#"{"original":512,"startup":"-Xms512m\n-Xmx"}"#),
                )],
                |params| java::read_java(params).is_ok(),
            )
        }),
        accepted("one start option of a body's length", JAVA, BODY - 40, |n| {
            params_job(
                &[(
                    "JavaStartUpConfig",
                    &format!(r#"{{"Name":{{"startup":"{}"}}}}"#, "\\n".repeat(n / 2)),
                )],
                |params| java::read_java(params).is_ok(),
            )
        }),
        refused("a web container with as many unknown settings as may be", JAVA, ITEMS, |n| {
            params_job(&[("WebContainerConfig", &object(n, "\"v\""))], |params| {
                java::read_java(params).is_ok()
            })
        }),
        refused("a context path of a body's length", JAVA, BODY - 40, |n| {
            params_job(
                &[(
                    "WebContainerConfig",
                    &format!(r#"{{"contextPath":"{}"}}"#, "a/".repeat(n / 2)),
                )],
                |params| java::read_java(params).is_ok(),
            )
        }),
        accepted("as many triggers of a scaling rule as may be", SCALING, ITEMS, |n| {
            let item = |_| {
                r#"{"type":"cpu","metaData":"{\"type\":\"Utilization\",\"value\":\"60\"}"}"#
                    .to_owned()
            };
            let given =
                format!(r#"{{"minReplicas":1,"maxReplicas":10,"triggers":{}}}"#, list(n, item));
            params_job(&[("ScalingRuleTrigger", &given)], |params| {
                scaling::read_range(params).is_ok()
            })
        }),
        accepted("as many metrics of a scaling rule as may be", SCALING, ITEMS, |n| {
            let item =
                |_| r#"{"metricType":"CPU","metricTargetAverageUtilization":"60"}"#.to_owned();
            let given =
                format!(r#"{{"minReplicas":1,"maxReplicas":10,"metrics":{}}}"#, list(n, item));
            params_job(&[("ScalingRuleMetric", &given)], |params| {
                scaling::read_range(params).is_ok()
            })
        }),
        accepted(
            "as many steps of a scaling rule as may be",
            &["edas::value::scaling::read_behaviour"],
            ITEMS,
            |n| {
                let item = |_| r#"{"type":"Pods","value":"5","periodSeconds":15}"#.to_owned();
                let given = format!(r#"{{"scaleUp":{{"policies":{}}}}}"#, list(n, item));
                params_job(&[("ScalingBehaviour", &given)], |params| {
                    scaling::read_behaviour(params).is_ok()
                })
            },
        ),
        accepted(
            "a strategy with as many fields as may be that say nothing",
            &["edas::value::strategy::read"],
            ITEMS - 2,
            |n| {
                let more = object(n, "1");
                let given =
                    format!(r#"{{"type":"BatchUpdate","batchUpdate":{{"batch":2}},{}"#, &more[1..]);
                params_job(&[("UpdateStrategy", &given)], |params| strategy::read(params).is_ok())
            },
        ),
        refused(
            "a strategy whose type is as long as a body",
            &["edas::value::strategy::read"],
            BODY - 40,
            |n| {
                params_job(
                    &[("UpdateStrategy", &format!(r#"{{"type":"{}"}}"#, "x".repeat(n)))],
                    |params| strategy::read(params).is_ok(),
                )
            },
        ),
        refused("numbers of a body's length", NUMBERS, BODY, |n| {
            let digits = "1".repeat(n);
            params_job(&[("LosslessRuleDelayTime", &digits), ("CpuLimit", &digits)], |params| {
                lossless::read(params).is_ok()
                    || resource::read_amounts(params, &AmountNames::RELEASE).is_ok()
            })
        }),
        accepted(
            "a condition of a body's length",
            &["edas::wire::condition::Condition::read"],
            BODY - 40,
            |n| {
                params_job(
                    &[(
                        "Condition",
                        &format!(r#"{{"field":"Name","pattern":"{}"}}"#, "x".repeat(n)),
                    )],
                    |params| Condition::read(params).is_ok(),
                )
            },
        ),
        accepted(
            "as many ids of applications as may be",
            &["edas::operation::application::list::read_ids"],
            ITEMS,
            |n| {
                params_job(
                    &[("AppIds", &list(n, |at| format!("\"01935a2c-52b0-7c41-8d6e-{at:012}\"")))],
                    |params| list::read_ids(params).is_ok(),
                )
            },
        ),
        refused(
            "more tags than may be",
            &[
                "edas::operation::application::tag::read_tags",
                "edas::operation::application::tag::numbered_tags",
            ],
            ITEMS,
            |n| {
                params_job(
                    &[("Tags", &list(n, |at| format!(r#"{{"key":"k{at}","value":"v"}}"#)))],
                    read_tags,
                )
            },
        ),
        refused(
            "more tags than may be, in dotted names",
            &[
                "edas::operation::application::tag::read_tags",
                "edas::operation::application::tag::numbered_tags",
            ],
            PARAMETERS / 2,
            |n| {
                let pairs: Vec<(String, &str)> = (1..=n)
                    .flat_map(|at| {
                        [(format!("Tags.{at}.key"), "k"), (format!("Tags.{at}.value"), "v")]
                    })
                    .collect();
                let pairs: Vec<(&str, &str)> =
                    pairs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
                params_job(&pairs, read_tags)
            },
        ),
        refused(
            "more applications than may be",
            &[
                "edas::operation::application::tag::read_list",
                "edas::operation::application::tag::read_applications",
            ],
            PARAMETERS - 2,
            |n| {
                let mut pairs = vec![
                    ("ResourceType".to_owned(), "application"),
                    ("ResourceRegionId".into(), "r"),
                ];
                pairs.extend((1..=n).map(|at| {
                    (format!("ResourceIds.{at}"), "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e")
                }));
                let pairs: Vec<(&str, &str)> =
                    pairs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
                params_job(&pairs, |params| tag::read_applications(params).is_ok())
            },
        ),
    ]
}

fn read_tags(params: &Params) -> bool {
    tag::read_tags(params).is_ok()
}

fn entries_of(count: usize, length: usize) -> String {
    list(count, |at| format!(r#"{{"Key":"k{at}","Value":"{}"}}"#, "v".repeat(length)))
}

/// An object of `count` fields, as JSON.
pub fn object(count: usize, value: &str) -> String {
    format!(
        "{{{}}}",
        (0..count).map(|at| format!(r#""k{at}":{value}"#)).collect::<Vec<_>>().join(",")
    )
}
