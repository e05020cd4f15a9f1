//! The parameters of access keys, principals and policies.

use super::{Parameter, boolean, integer, long, text};

/// From a minute to ten years, in seconds: how long a key may last, or go on.
const fn lifetime(name: &'static str) -> Parameter {
    long(name, 60, 10 * 366 * 24 * 3600)
}

const KEY: Parameter = text("AccessKey").required().about("The access key's id or name.");

const PRINCIPAL: Parameter = text("Principal").required().about("The principal's name.");

const POLICY: Parameter = text("Policy").required().about("The policy's name.");

const AFTER: Parameter =
    text("After").about("`Next` of the reply before: the list goes on behind it.");

const LIMIT: Parameter = integer("Limit", 1, 100).about("Most items in the reply; 100 if absent.");

const ROLE: Parameter =
    text("Role").about("A role: `reader`, `deployer`, `operator` or `admin`.").example("deployer");

const NAMESPACE: Parameter = text("Namespace")
    .about(
        "Kubernetes namespace that the role is for, `*` for any characters; all if absent. Of \
         `kube-*` only with its name.",
    )
    .example("shop");

const APPLICATION: Parameter = text("Application")
    .about("Name of the applications that the role is for, `*` for any characters; all if absent.")
    .example("web-*");

const POD_SECURITY: Parameter = text("PodSecurity").about(
    "Level of Pod Security that pods may have by the role: `privileged`, `baseline` (if absent) \
     or `restricted`.",
);

const SERVICE_ACCOUNTS: Parameter = text("ServiceAccounts").about(
    "Names of service accounts that pods may have by the role, `*` for any characters; several \
     with commas, at most 20.",
);

const REGISTRIES: Parameter = text("Registries")
    .about(
        "Images that pods may have by the role, and no others, `*` for any characters; several \
         with commas, at most 20.",
    )
    .example("registry.example.com/*");

/// Of CreateAccessKey.
pub const CREATE_ACCESS_KEY: &[Parameter] = &[
    text("Name").about(
        "The key's name, of at most 100 characters, that no other has; the principal's if \
         absent, with a number where that is taken.",
    ),
    text("Principal").about(
        "The principal whose key it is, which is created if it is not there; one of the key's \
         name if absent. It may have two keys that may be used.",
    ),
    boolean("Person").about("Whether a principal that is created is a person; no if absent."),
    ROLE,
    NAMESPACE,
    APPLICATION,
    POD_SECURITY,
    SERVICE_ACCOUNTS,
    REGISTRIES,
    text("Policy").about("A policy that is attached to the principal, too."),
    lifetime("ExpiresIn")
        .about("Seconds for which the key may be used; for ever if absent.")
        .example("2592000"),
    text("Schemes").about(
        "Signature schemes that the key may be used with: `acs3-hmac-sha256`, `hmac-sha1`; \
         several with commas; all if absent.",
    ),
    text("Networks")
        .about(
            "Addresses or networks that the key may be used from; several with commas, at most \
             50; all if absent.",
        )
        .example("10.1.0.0/16"),
];

/// Of ListAccessKeys.
pub const LIST_ACCESS_KEYS: &[Parameter] =
    &[text("Principal").about("Only those of the principal of this name."), LIMIT, AFTER];

/// Of GetAccessKey.
pub const GET_ACCESS_KEY: &[Parameter] = &[KEY];

/// Of EnableAccessKey.
pub const ENABLE_ACCESS_KEY: &[Parameter] = &[KEY];

/// Of DisableAccessKey.
pub const DISABLE_ACCESS_KEY: &[Parameter] = &[KEY];

/// Of RotateAccessKey.
pub const ROTATE_ACCESS_KEY: &[Parameter] = &[
    KEY,
    lifetime("Grace")
        .about("Seconds for which the first key goes on; it does not end by this if absent.")
        .example("86400"),
];

/// Of DeleteAccessKey.
pub const DELETE_ACCESS_KEY: &[Parameter] = &[KEY];

/// Of CreatePrincipal.
pub const CREATE_PRINCIPAL: &[Parameter] = &[
    text("Name")
        .required()
        .about("The principal's name, of at most 100 characters, that no other has."),
    boolean("Person").about("Whether it is a person, not a program; no if absent."),
];

/// Of ListPrincipals.
pub const LIST_PRINCIPALS: &[Parameter] = &[LIMIT, AFTER];

/// Of GetPrincipal.
pub const GET_PRINCIPAL: &[Parameter] = &[PRINCIPAL];

/// Of DeletePrincipal.
pub const DELETE_PRINCIPAL: &[Parameter] = &[PRINCIPAL];

/// Of CreatePolicy.
pub const CREATE_POLICY: &[Parameter] = &[
    text("Name")
        .required()
        .about("The policy's name: at most 128 letters, digits and `-`, and not that of a role."),
    text("PolicyDocument")
        .required()
        .about("The policy in RAM's JSON, of at most 6144 bytes. What cannot be honoured is refused.")
        .example(
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"edas:ReadApplication","Resource":"*"}]}"#,
        ),
    boolean("Replace").about("Whether it takes the place of one of this name; no if absent."),
];

/// Of ListPolicies.
pub const LIST_POLICIES: &[Parameter] = &[LIMIT, AFTER];

/// Of GetPolicy.
pub const GET_POLICY: &[Parameter] = &[POLICY];

/// Of DeletePolicy.
pub const DELETE_POLICY: &[Parameter] = &[POLICY];

/// Of AttachPolicy.
pub const ATTACH_POLICY: &[Parameter] = &[
    PRINCIPAL,
    text("Policy").about("A policy. It or Role must be given."),
    ROLE,
    NAMESPACE,
    APPLICATION,
    POD_SECURITY,
    SERVICE_ACCOUNTS,
    REGISTRIES,
];

/// Of DetachPolicy.
pub const DETACH_POLICY: &[Parameter] = &[
    PRINCIPAL,
    text("Policy").about("A policy. It or Role must be given."),
    ROLE,
    NAMESPACE,
    APPLICATION,
];
