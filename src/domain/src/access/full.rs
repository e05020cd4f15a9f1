//! Who may do everything, everywhere and whenever.
//!
//! Only they may say what others may do. Whoever may do less could otherwise make a key that
//! may do more: a condition holds for a request and not for what the request makes, and a key
//! that is made is not held to what denies something to its maker.

use super::{Grant, Policy, guarded::means_all};

/// Whether policies together allow everything, everywhere and without a condition, and none
/// of them denies anything, not even elsewhere or at another time.
pub(super) fn are_full(policies: &[&Policy]) -> bool {
    let mut statements = policies.iter().flat_map(|policy| &policy.statements);
    let denies = statements.clone().any(|statement| !statement.allows);
    let allows_everything = statements.any(|statement| {
        statement.conditions.is_empty()
            && statement.actions.iter().any(means_all)
            && statement.resources.iter().any(super::policy::Named::is_everywhere)
    });
    allows_everything && !denies
}

impl Grant {
    /// Whether whoever has these may do everything, everywhere and whenever. A policy that
    /// cannot be read might deny something.
    #[must_use]
    pub fn are_full(grants: &[Self]) -> bool {
        let read: Result<Vec<Policy>, _> = grants.iter().map(Self::read).collect();
        read.is_ok_and(|policies| are_full(&policies.iter().collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{
        super::{Action, Attached, Exceptions, Group, Resource, Role, Scope},
        *,
    };
    use crate::access::{Circumstances, Site};

    const ALL: &str = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;

    fn policy(statements: &str) -> Grant {
        let document = format!(r#"{{"Version":"1","Statement":[{statements}]}}"#);
        let policy = Some(Attached { name: "a-policy".into(), document });
        Grant { policy, ..Grant::role(Role::Reader, Scope::default()) }
    }

    fn is_full(grants: &[Grant]) -> bool {
        let circumstances = Circumstances {
            peer: [10, 1, 2, 3].into(),
            encrypted: true,
            now: jiff::Timestamp::UNIX_EPOCH,
        };
        let site = Site { region: "cn-test", cluster: "default", protected: &[] };
        let full = Grant::are_full(grants);
        // What may be done is what is said to be full.
        let grants_access = Action::new("AttachPolicy", Group::ManageAccess);
        let principal = Resource::Shared { kind: "principal", name: "alice" };
        if let Ok(access) = Grant::access(grants, &site, &circumstances) {
            assert_eq!(access.may(grants_access), full);
            assert_eq!(access.allows(grants_access, &principal), full);
        }
        full
    }

    #[test]
    fn an_admin_is_full_and_no_other_role_is() {
        for role in super::super::ALL_ROLES {
            let grant = Grant::role(role, Scope::default());
            assert_eq!(is_full(&[grant]), role == Role::Admin, "{role}");
        }
        assert!(!is_full(&[]));
        let operator = Grant::role(Role::Operator, Scope::default());
        assert!(is_full(&[operator, Grant::role(Role::Admin, Scope::default())]));
    }

    #[rstest]
    #[case::all(ALL, true)]
    #[case::named(r#"{"Effect":"Allow","Action":"edas:*","Resource":"acs:edas:*:*:*"}"#, true)]
    #[case::of_its_group(
        r#"{"Effect":"Allow","Action":"edas:ManageAccess","Resource":"*"}"#,
        false
    )]
    #[case::by_its_name(r#"{"Effect":"Allow","Action":"edas:AttachPolicy","Resource":"*"}"#, false)]
    #[case::on_access(
        r#"{"Effect":"Allow","Action":"*","Resource":"acs:edas:*:*:access/*"}"#,
        false
    )]
    #[case::of_one_region(
        r#"{"Effect":"Allow","Action":"*","Resource":"acs:edas:cn-test:*:*"}"#,
        false
    )]
    #[case::of_a_network(
        r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"}}}"#,
        false
    )]
    fn a_policy_is_full_that_allows_everything_without_a_condition(
        #[case] statement: &str,
        #[case] full: bool,
    ) {
        assert_eq!(is_full(&[policy(statement)]), full);
    }

    #[rstest]
    #[case::something(r#"{"Effect":"Deny","Action":"edas:DeleteK8sApplication","Resource":"*"}"#)]
    #[case::elsewhere(r#"{"Effect":"Deny","Action":"*","Resource":"acs:edas:cn-other:*:*"}"#)]
    #[case::from_elsewhere(
        r#"{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"NotIpAddress":{"acs:SourceIp":"10.0.0.0/8"}}}"#
    )]
    fn whoever_is_denied_anything_is_not_full(#[case] deny: &str) {
        let admin = Grant::role(Role::Admin, Scope::default());
        assert!(!is_full(&[admin.clone(), policy(deny)]));
        assert!(!is_full(&[policy(&format!("{ALL},{deny}"))]));
        let exceptions = Exceptions {
            pod_security: Some(crate::guard::Level::Restricted),
            ..Exceptions::default()
        };
        let restricted = Grant { exceptions, ..Grant::role(Role::Reader, Scope::default()) };
        assert!(!is_full(&[admin, restricted]));
    }

    #[test]
    fn what_cannot_be_read_is_not_full() {
        assert!(!is_full(&[Grant::role(Role::Admin, Scope::default()), policy("{}")]));
    }
}
