//! JSON, YAML and XML by themselves, whatever they mean.

use domain::{
    config_template::{ConfigTemplate, Format},
    limits::{ALIASES, BODY, DEPTH, DOCUMENT, DOCUMENTS, ITEMS, NODES, TEMPLATE_CONTENT},
    notation,
};
use edas::operation::release::resource;
use serde_json::Value;

use crate::entry::{Entry, accepted, list, params_job, refused, text_job};
use crate::measure::Job;

const JSON: &[&str] = &[
    "edas::wire::params::Params::json",
    "domain::notation::json",
    "domain::notation::read_json",
    "domain::notation::secret_json",
    "domain::notation::hold_json",
];
const YAML: &[&str] = &[
    "domain::notation::yaml",
    "domain::notation::kubectl::documents",
    "domain::notation::kubectl::float",
    "domain::notation::shaped",
];
const DOCUMENTS_OF_YAML: &[&str] =
    &["domain::notation::yaml_documents", "domain::config_template::Format::fault"];
const XML: &[&str] = &["domain::notation::xml_fault", "domain::config_template::Format::fault"];
const WHOLE: &[&str] = &["edas::operation::release::resource::read_object"];
const TEMPLATE: &[&str] = &["domain::config_template::Format::fault"];

pub fn entries() -> Vec<Entry> {
    vec![
        accepted("JSON of as many values as may be", JSON, NODES / ITEMS - 1, |n| {
            json(list(n, |_| list(ITEMS - 1, |_| "1".into())))
        }),
        accepted("JSON of objects as deep as they may be", JSON, (NODES - 2) / (2 * DEPTH), |n| {
            let deep = format!("{}1{}", r#"{"a":"#.repeat(DEPTH - 1), "}".repeat(DEPTH - 1));
            json(list(n.min(ITEMS), |_| deep.clone()))
        }),
        accepted("JSON that is one text of escaped backslashes", JSON, BODY / 2 - 2, |n| {
            json(format!(r#""{}""#, r"\\".repeat(n)))
        }),
        accepted("JSON that is one text of escapes", JSON, BODY / 6 - 1, |n| {
            json(format!(r#""{}""#, r"\u00e9".repeat(n)))
        }),
        accepted("JSON of blanks", JSON, BODY - 2, |n| json(format!("{}1", " ".repeat(n)))),
        refused("JSON that becomes wrong at its end", JSON, BODY / 2 - 8, |n| {
            json(format!(r#"["{}"x"#, "ab".repeat(n)))
        }),
        refused("JSON with more behind it", JSON, BODY / 2 - 8, |n| {
            json(format!(r#""{}" 1"#, "ab".repeat(n)))
        }),
        refused("JSON of as many values as fit into a body", JSON, BODY / 2 - 1, |n| {
            json(list(n, |_| "1".into()))
        }),
        refused("JSON of another shape, whose error quotes it", JSON, BODY - 8, |n| {
            params_job(&[("P", &format!(r#"{{"{}":1}}"#, "k".repeat(n)))], |params| {
                params.json::<std::collections::BTreeMap<String, bool>>("P", "").is_ok()
            })
        }),
        accepted("YAML of as many values as may be", YAML, NODES - 2, |n| yaml("- 1\n".repeat(n))),
        accepted("YAML of one map with as many names as may be", YAML, NODES / 2 - 2, |n| {
            yaml((0..n).map(|at| format!("k{at}: v\n")).collect())
        }),
        accepted("YAML of as many flows as may be", YAML, NODES / 2 - 2, |n| {
            yaml(format!("[{}]", "[1],".repeat(n)))
        }),
        accepted("YAML with as many anchors and aliases as may be", YAML, ALIASES, |n| {
            let anchors = (0..n).map(|at| format!("- &a{at} {{x: {at}}}\n"));
            yaml(anchors.chain((0..n).map(|at| format!("- *a{at}\n"))).collect())
        }),
        refused("YAML whose aliases stand for aliases", YAML, 24, |n| {
            let level = |at: usize| {
                format!("a{at}: &a{at} [{}]\n", format!("*a{},", at.saturating_sub(1)).repeat(9))
            };
            yaml(format!("a0: &a0 [1,1,1,1,1,1,1,1,1]\n{}", (1..=n).map(level).collect::<String>()))
        }),
        refused("YAML whose merged maps stand for merged maps", YAML, 24, |n| {
            let level = |at: usize| {
                format!(
                    "a{at}: &a{at} {{<<: [{}], k{at}: 1}}\n",
                    format!("*a{},", at - 1).repeat(9)
                )
            };
            yaml(format!("a0: &a0 {{k: 1}}\n{}", (1..=n).map(level).collect::<String>()))
        }),
        accepted("YAML that is one plain text over many lines", YAML, DOCUMENT / 8, |n| {
            yaml("abcdefg\n".repeat(n))
        }),
        accepted("YAML that is one quoted text of escapes", YAML, DOCUMENT / 4, |n| {
            yaml(format!("\"{}\"", r"\x41".repeat(n)))
        }),
        accepted("YAML that is one block of text", YAML, DOCUMENT / 8, |n| {
            yaml(format!("a: |\n{}", "  abcde\n".repeat(n)))
        }),
        accepted("YAML that is one folded text", YAML, DOCUMENT / 8, |n| {
            yaml(format!("a: >\n{}", "  abcde\n".repeat(n)))
        }),
        refused("YAML of comments", YAML, DOCUMENT / 2, |n| yaml(format!("{}1", "#\n".repeat(n)))),
        accepted("YAML of blank lines", YAML, DOCUMENT - 8, |n| {
            yaml(format!("{}1", "\n".repeat(n)))
        }),
        refused("YAML of question marks", YAML, DOCUMENT / 2, |n| yaml("? ".repeat(n))),
        refused("YAML of colons", YAML, DOCUMENT / 2, |n| yaml(": ".repeat(n))),
        refused("YAML of dashes in one line", YAML, DOCUMENT / 2, |n| yaml("- ".repeat(n))),
        refused("YAML of tags", YAML, DOCUMENT / 3, |n| yaml("!a ".repeat(n))),
        refused("YAML with one name twice, far apart", YAML, NODES / 2 - 2, |n| {
            yaml((0..n).map(|at| format!("k{}: v\n", at % (n - 1).max(1))).collect())
        }),
        accepted("as many documents of YAML as may be", DOCUMENTS_OF_YAML, DOCUMENTS, |n| {
            let document = "- 1\n".repeat(TEMPLATE_CONTENT / DOCUMENTS / 4 - 2);
            template(Format::Yaml, format!("---\n{document}").repeat(n))
        }),
        refused("as many documents of YAML as fit", DOCUMENTS_OF_YAML, TEMPLATE_CONTENT / 4, |n| {
            template(Format::Yaml, "---\n".repeat(n))
        }),
        accepted("XML of as many parts as may be", XML, (NODES - 4) / 2, |n| {
            template(Format::Xml, format!("<a>{}</a>", "<b/>x".repeat(n)))
        }),
        accepted(
            "XML with an element of as many attributes as fit",
            XML,
            TEMPLATE_CONTENT / 12,
            |n| {
                template(
                    Format::Xml,
                    format!(
                        "<a {}/>",
                        (0..n).map(|at| format!(r#"a{at:05}="1" "#)).collect::<String>()
                    ),
                )
            },
        ),
        accepted("XML of one long comment", XML, TEMPLATE_CONTENT - 20, |n| {
            template(Format::Xml, format!("<a><!--{}--></a>", "-x".repeat(n / 2)))
        }),
        refused("XML of openings", XML, TEMPLATE_CONTENT, |n| template(Format::Xml, "<".repeat(n))),
        refused("XML that is never closed", XML, TEMPLATE_CONTENT / 3, |n| {
            template(Format::Xml, "<a>".repeat(n))
        }),
        accepted("a config template of JSON", TEMPLATE, NODES - 2, |n| {
            template(Format::Json, list(n, |_| "1".into()))
        }),
        accepted("a config template of properties", TEMPLATE, TEMPLATE_CONTENT, |n| {
            template(Format::Properties, "ü".repeat(n))
        }),
        accepted(
            "a whole Deployment, as YAML of as many values and bytes as may be",
            WHOLE,
            NODES / 2 - 20,
            |n| {
                whole(
                    (0..n)
                        .map(|at| {
                            format!("key{at:06}: \"{}\"\n", "v".repeat(DOCUMENT / (NODES / 2) - 16))
                        })
                        .collect(),
                )
            },
        ),
        accepted(
            "a whole Deployment, as JSON of as many values as may be",
            WHOLE,
            NODES - 2,
            |n| whole(list(n, |_| "1".into())),
        ),
        refused("a whole Deployment that is JSON until its end", WHOLE, NODES - 2, |n| {
            whole(list(n, |_| "1".into()).replace(']', "}"))
        }),
        refused("a whole Deployment that is too long", WHOLE, BODY, |n| {
            whole("a".repeat(n.max(DOCUMENT + 1)))
        }),
    ]
}

fn json(text: String) -> Job {
    text_job(text, |text| {
        let told = notation::json::<Value>(text).is_ok();
        assert_eq!(told, notation::secret_json::<Value>(text).is_ok(), "both read the same");
        told
    })
}

fn yaml(text: String) -> Job {
    text_job(text, |text| notation::yaml::<Value>(text).is_ok())
}

fn whole(text: String) -> Job {
    params_job(&[("ResourceContent", &text)], |params| resource::read_object(params).is_ok())
}

fn template(format: Format, content: String) -> Job {
    let template =
        ConfigTemplate { name: "shop".into(), description: String::new(), format, content };
    Box::new(move || template.check().is_ok())
}
