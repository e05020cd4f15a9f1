//! What is granted, beside what is needed.

use super::{Feature, IDENTITY_NAMESPACE, RULES, Reach, Role};

/// One right that Sluice uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub feature: Feature,
    pub role: Role,
    pub verb: &'static str,
    /// The API group; empty = core.
    pub group: &'static str,
    /// The resource in the plural, with its subresource: `pods/log`.
    pub resource: &'static str,
    /// The only object that it is about.
    pub name: Option<&'static str>,
    /// Whether it is needed in the whole cluster, not in namespaces.
    pub in_the_whole_cluster: bool,
}

/// What the API server says that somebody may do (a rule of a SelfSubjectRulesReview). A `*`
/// means everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Granted {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    /// The only objects that it is about; empty = all.
    pub names: Vec<String>,
}

/// Groups in which everybody may ask about themselves.
const ABOUT_ONESELF: [&str; 2] = ["authorization.k8s.io", "authentication.k8s.io"];

/// What else Kubernetes' own roles let every account do: group and resource.
const EVERYBODYS: (&str, &str) = ("certificates.k8s.io", "clustertrustbundles");

/// Every right that Sluice uses: `named` = in namespaces that are named.
#[must_use]
pub fn wanted(named: bool) -> Vec<Wanted> {
    let mut found = Vec::new();
    for rule in RULES.iter().filter(|it| named || it.reach != Reach::ClusterBesideNamed) {
        for (verb, resource) in
            rule.verbs.iter().flat_map(|verb| rule.resources.iter().map(move |it| (*verb, *it)))
        {
            found.push(Wanted {
                feature: rule.feature,
                role: rule.role,
                verb,
                group: rule.group,
                resource,
                name: (named && rule.reach == Reach::Identity).then_some(IDENTITY_NAMESPACE),
                in_the_whole_cluster: rule.reach != Reach::Namespaces,
            });
        }
    }
    found
}

impl Granted {
    /// Whether these rules give a right.
    #[must_use]
    pub fn gives(&self, right: &Wanted) -> bool {
        let has = |all: &[String], one: &str| all.iter().any(|it| it == one || it == "*");
        has(&self.verbs, right.verb)
            && has(&self.groups, right.group)
            && has(&self.resources, right.resource)
            && (self.names.is_empty() || right.name.is_some_and(|it| has(&self.names, it)))
    }
}

impl Wanted {
    /// `list pods`, `patch deployments.apps`.
    #[must_use]
    pub fn told(&self) -> String {
        told(self.verb, self.resource, self.group)
    }
}

/// What of these rules Sluice does not use, each once, in words: `delete secrets`, `* *`.
#[must_use]
pub fn excess(granted: &[Granted]) -> Vec<String> {
    let used = wanted(true);
    let is_used = |verb: &str, resource: &str, group: &str| {
        used.iter().any(|it| it.verb == verb && it.resource == resource && it.group == group)
    };
    let mut found = Vec::new();
    for rule in granted {
        for group in rule.groups.iter().filter(|it| !ABOUT_ONESELF.contains(&it.as_str())) {
            for resource in
                rule.resources.iter().filter(|it| (group.as_str(), it.as_str()) != EVERYBODYS)
            {
                for verb in &rule.verbs {
                    let told = told(verb, resource, group);
                    if !is_used(verb, resource, group) && !found.contains(&told) {
                        found.push(told);
                    }
                }
            }
        }
    }
    found
}

fn told(verb: &str, resource: &str, group: &str) -> String {
    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
    format!("{verb} {resource}{group}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rights::{Role, Rule};

    fn granted(group: &str, resources: &[&str], verbs: &[&str]) -> Granted {
        let owned = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect();
        Granted {
            verbs: owned(verbs),
            groups: owned(&[group]),
            resources: owned(resources),
            names: Vec::new(),
        }
    }

    #[test]
    fn what_is_needed_is_not_too_much_and_the_rest_is_named_once() {
        let of = |rule: &Rule| granted(rule.group, rule.resources, rule.verbs);
        assert_eq!(excess(&RULES.iter().map(of).collect::<Vec<_>>()), Vec::<String>::new());
        let more = [
            granted("", &["secrets", "pods"], &["get", "delete", "patch"]),
            granted("", &["secrets"], &["patch"]),
            granted("*", &["*"], &["*"]),
            granted("apps", &["deployments"], &["*", "patch"]),
            granted("authorization.k8s.io", &["selfsubjectaccessreviews"], &["create"]),
        ];
        let told = [
            "patch secrets",
            "get pods",
            "delete pods",
            "patch pods",
            "* *.*",
            "* deployments.apps",
        ];
        let found: BTreeSet<String> = excess(&more).into_iter().collect();
        assert_eq!(found, told.iter().map(|it| (*it).to_owned()).collect());
    }

    #[test]
    fn with_namespaces_only_three_things_are_wanted_of_the_whole_cluster() {
        let whole = |named| {
            let found = wanted(named).into_iter().filter(|it| it.in_the_whole_cluster);
            found.map(|it| (it.told(), it.name)).collect::<Vec<_>>()
        };
        let identity = Some(IDENTITY_NAMESPACE);
        assert_eq!(
            whole(true),
            [
                ("list namespaces".to_owned(), identity),
                ("watch namespaces".to_owned(), identity),
                ("list nodes".to_owned(), None),
                ("list ingresses.networking.k8s.io".to_owned(), None),
            ]
        );
        assert_eq!(whole(false).len(), 3);
    }

    #[test]
    fn no_right_is_in_the_list_twice_within_a_role() {
        for role in Role::ALL {
            let rules = RULES.iter().filter(|it| it.role == role);
            let all: Vec<_> = rules
                .flat_map(|it| {
                    it.verbs.iter().flat_map(move |verb| {
                        it.resources.iter().map(move |of| (*verb, *of, it.group))
                    })
                })
                .collect();
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{role:?}");
        }
    }
}
