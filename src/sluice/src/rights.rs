//! Prints the rights that Sluice needs on a cluster, as Kubernetes RBAC with a comment on
//! what each is for.

use std::fmt::Write;

use domain::rights::{Feature, IDENTITY_NAMESPACE, RULES, Reach, Role, Rule};

use crate::config::{PrintRights, ServiceAccount};

/// Policies for the account sluice/sluice.
const POLICIES: &str = include_str!("../../../docs/admission-policy.yaml");

/// What is asked for, in YAML: the roles, or the policies.
#[must_use]
pub fn document(settings: &PrintRights) -> String {
    if settings.admission_policy { policies(&settings.service_account) } else { roles(settings) }
}

/// ValidatingAdmissionPolicies with their bindings, for an account.
fn policies(account: &ServiceAccount) -> String {
    let objects = POLICIES.split_once("---\n").map_or(POLICIES, |(_, objects)| objects);
    let user = format!("system:serviceaccount:{}:{}", account.namespace, account.name);
    let objects = objects.replace("system:serviceaccount:sluice:sluice", &user);
    ["templates", "namespaces"].iter().fold(objects, |objects, of| {
        objects.replace(
            &format!(": sluice-{of}\n"),
            &format!(": {}\n", quoted(&format!("{}-{of}", account.name))),
        )
    })
}

/// A ClusterRole with its binding for each role; where namespaces are
/// named, only for what is needed of the whole cluster, and Roles with their bindings.
fn roles(settings: &PrintRights) -> String {
    let account = &settings.service_account;
    let is_asked = |feature: Feature| {
        feature == Feature::Release
            || settings.features.is_empty()
            || settings.features.contains(&feature)
    };
    let named = settings.namespaces.names();
    let rules_of = |role: Role, in_namespace: bool| {
        let fits = move |reach| match reach {
            Reach::Namespaces => named.is_none() || in_namespace,
            Reach::Cluster | Reach::Identity => !in_namespace,
            Reach::ClusterBesideNamed => named.is_some() && !in_namespace,
        };
        RULES
            .iter()
            .filter(move |it| it.role == role && is_asked(it.feature) && fits(it.reach))
            .collect::<Vec<_>>()
    };
    let mut printed = Vec::new();
    for in_namespace in std::iter::once(None).chain(named.unwrap_or_default().iter().map(Some)) {
        let granted = Role::ALL.map(|role| (role, rules_of(role, in_namespace.is_some())));
        let granted = granted.into_iter().filter(|(_, rules)| !rules.is_empty());
        for (role, rules) in granted.collect::<Vec<_>>() {
            printed.push(role_of(account, role, in_namespace, &rules, named.is_some()));
        }
    }
    let bindings: Vec<String> = printed.iter().map(|(_, binding)| binding.clone()).collect();
    printed.into_iter().map(|(role, _)| role).chain(bindings).collect::<Vec<_>>().join("---\n")
}

/// A role, and its binding.
fn role_of(
    account: &ServiceAccount,
    role: Role,
    namespace: Option<&String>,
    rules: &[&Rule],
    named: bool,
) -> (String, String) {
    let prefix = if namespace.is_some() { "" } else { "Cluster" };
    let name = role.name().replacen("sluice", &account.name, 1);
    let head = |kind: &str| {
        let mut head = format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: {prefix}{kind}\nmetadata:\n  name: {}\n",
            quoted(&name)
        );
        if let Some(namespace) = namespace {
            put(&mut head, format_args!("  namespace: {}", quoted(namespace)));
        }
        head
    };
    let mut granted = head("Role");
    granted.push_str("rules:\n");
    for rule in rules {
        for line in rule.why {
            put(&mut granted, format_args!("  # {line}"));
        }
        let group = if rule.group.is_empty() { "\"\"" } else { rule.group };
        put(&mut granted, format_args!("  - apiGroups: [{group}]"));
        put(&mut granted, format_args!("    resources: [{}]", rule.resources.join(", ")));
        if named && rule.reach == Reach::Identity {
            put(&mut granted, format_args!("    resourceNames: [{IDENTITY_NAMESPACE}]"));
        }
        put(&mut granted, format_args!("    verbs: [{}]", rule.verbs.join(", ")));
    }
    let mut bound = head("RoleBinding");
    put(
        &mut bound,
        format_args!(
            "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {prefix}Role\n  name: {}\nsubjects:\n  - kind: ServiceAccount\n    name: {}\n    namespace: {}",
            quoted(&name),
            quoted(&account.name),
            quoted(&account.namespace)
        ),
    );
    (granted, bound)
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a text does not fail.
    let _ = writeln!(text, "{line}");
}

/// A name as YAML, which takes some words for something else than a text.
fn quoted(name: &str) -> String {
    let is_word = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&name);
    if is_word || name.starts_with(|it: char| it.is_ascii_digit()) {
        format!("{name:?}")
    } else {
        name.to_owned()
    }
}
