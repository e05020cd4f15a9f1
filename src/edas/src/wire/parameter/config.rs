//! The parameters of ConfigMaps, Secrets and config templates.

use super::{
    Parameter, boolean, integer, long,
    shared::{CLUSTER_ID, CONDITION, CURRENT_PAGE, NAMESPACE, ONLY_NAMESPACE, OPTIONAL_CLUSTER_ID},
    text,
};

pub(super) const ID: Parameter = long("Id", 1, i64::MAX).required().about("The template's number.");

pub(super) const CONFIG_MAP: Parameter = text("Name").required().about("The ConfigMap's name.");

pub(super) const PAGE_NO: Parameter =
    integer("PageNo", 0, 1_000_000).about("Number of the page, from 0, which it is if absent.");

pub(super) const SHOW_RELATED_APPS: Parameter =
    boolean("ShowRelatedApps").about("Whether to say which applications name each; no if absent.");

pub(super) const BASE64_ENCODED: Parameter =
    boolean("Base64Encoded").about("Whether the values are in base64 already; no if absent.");

pub(super) const SECRET: Parameter = text("Name").required().about("The Secret's name.");

/// Of CreateConfigTemplate.
pub const CREATE_CONFIG_TEMPLATE: &[Parameter] = &[
    text("Name")
        .required()
        .about("The template's name, of at most 64 characters; no other may have it."),
    text("Description").about("Free text of at most 255 characters."),
    text("Format")
        .about(
            "What Content is written in: `JSON`, `XML`, `YAML`, `Properties`, `KeyValue` or \
             `Custom`, which it is if absent. The first three are checked.",
        )
        .example("YAML"),
    text("Content").required().about("The text: at most 65,536 characters."),
];

/// Of UpdateConfigTemplate.
pub const UPDATE_CONFIG_TEMPLATE: &[Parameter] = &[
    ID,
    text("Name").about("As in CreateConfigTemplate."),
    text("Description").about("As in CreateConfigTemplate; empty removes it."),
    text("Format").about("As in CreateConfigTemplate. The content, new or old, must be in it."),
    text("Content").about("As in CreateConfigTemplate."),
];

/// Of ListConfigTemplates.
pub const LIST_CONFIG_TEMPLATES: &[Parameter] = &[
    long("Id", 1, i64::MAX).about("Only the template with this number."),
    text("Name").about("Only the template with exactly this name."),
    CURRENT_PAGE,
    integer("PageSize", 1, 100).about("Templates on a page; 100 if absent."),
];

/// Of DeleteConfigTemplate.
pub const DELETE_CONFIG_TEMPLATE: &[Parameter] = &[ID];

/// Of CreateK8sConfigMap.
pub const CREATE_K8S_CONFIG_MAP: &[Parameter] = &[
    CLUSTER_ID,
    NAMESPACE,
    text("Name").required().about(
        "The ConfigMap's name: a lower-case letter, then lower-case letters, digits and \
         `-`, at most 63. None of that name may exist in the namespace.",
    ),
    text("Data")
        .required()
        .about(
            "Its entries: JSON list `[{\"Key\":\"…\",\"Value\":\"…\"}]`, or dotted \
             parameters counted from 1 (`Data.1.Key`, `Data.1.Value`). A key has letters, \
             digits, `-`, `_` and `.`, and is there once; `[]` makes it empty.",
        )
        .example(r#"[{"Key":"application.yaml","Value":"port: 80"}]"#),
];

/// Of UpdateK8sConfigMap.
pub const UPDATE_K8S_CONFIG_MAP: &[Parameter] = &[
    CLUSTER_ID,
    NAMESPACE,
    CONFIG_MAP,
    text("Data").required().about("All its entries, as in CreateK8sConfigMap."),
];

/// Of ListK8sConfigMaps.
pub const LIST_K8S_CONFIG_MAPS: &[Parameter] = &[
    OPTIONAL_CLUSTER_ID,
    ONLY_NAMESPACE,
    CONDITION,
    PAGE_NO,
    integer("PageSize", 0, 10_000).about("ConfigMaps on a page; 0, or absent, is all."),
    SHOW_RELATED_APPS,
];

/// Of DeleteK8sConfigMap.
pub const DELETE_K8S_CONFIG_MAP: &[Parameter] = &[CLUSTER_ID, NAMESPACE, CONFIG_MAP];

/// Of CreateK8sSecret.
pub const CREATE_K8S_SECRET: &[Parameter] = &[
    CLUSTER_ID,
    NAMESPACE,
    text("Name").required().about(
        "The Secret's name: a lower-case letter, then lower-case letters, digits and \
         `-`, at most 63. None of that name may exist in the namespace.",
    ),
    text("Type").about(
        "`Opaque`, which it is if absent, or `kubernetes.io/tls`, which needs the keys \
         `tls.crt` and `tls.key`.",
    ),
    text("Data")
        .required()
        .about(
            "Its entries: JSON list `[{\"Key\":\"…\",\"Value\":\"…\"}]`, or dotted \
             parameters counted from 1 (`Data.1.Key`, `Data.1.Value`). A key has letters, \
             digits, `-`, `_` and `.`, and is there once.",
        )
        .example(r#"[{"Key":"password","Value":"MTIzNA=="}]"#),
    BASE64_ENCODED,
];

/// Of UpdateK8sSecret.
pub const UPDATE_K8S_SECRET: &[Parameter] = &[
    CLUSTER_ID,
    NAMESPACE,
    SECRET,
    text("Type").about("The Type it has, if given: Kubernetes refuses another one."),
    text("Data").required().about("All its entries, as in CreateK8sSecret."),
    BASE64_ENCODED,
];

/// Of ListK8sSecrets.
pub const LIST_K8S_SECRETS: &[Parameter] = &[
    OPTIONAL_CLUSTER_ID,
    ONLY_NAMESPACE,
    CONDITION,
    PAGE_NO,
    integer("PageSize", 0, 10_000).about("Secrets on a page; 0, or absent, is all."),
    SHOW_RELATED_APPS,
];

/// Of DeleteK8sSecret.
pub const DELETE_K8S_SECRET: &[Parameter] = &[CLUSTER_ID, NAMESPACE, SECRET];
