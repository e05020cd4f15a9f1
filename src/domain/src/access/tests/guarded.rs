//! What is allowed beyond the guardrails, and in protected namespaces.

use rstest::rstest;

use super::*;
use crate::guard::{Level, Version};

fn guarded(statements: &[String]) -> Option<crate::guard::Guardrails> {
    access(statements).guardrails(&app("shop", "web"), Version::LATEST)
}

#[rstest]
#[case::everything("*", "*", None)]
#[case::every_operation("edas:*", "*", None)]
#[case::all_of_a_namespace("edas:*", "acs:edas:*:*:namespace/shop/*", Some(Level::Baseline))]
#[case::every_application("edas:ManageApplication", "*", Some(Level::Baseline))]
#[case::a_part_of_every_operation("edas:*Application", "*", Some(Level::Baseline))]
#[case::a_letter_of_an_operation("edas:U*", "*", Some(Level::Baseline))]
#[case::named_by_its_beginning("edas:UsePod*", "*", Some(Level::Privileged))]
#[case::named("edas:UsePodSecurityPrivileged", "*", Some(Level::Privileged))]
#[case::the_group(
    "edas:ExceedGuardrails",
    "acs:edas:*:*:namespace/shop/*",
    Some(Level::Privileged)
)]
#[case::elsewhere("edas:ExceedGuardrails", "acs:edas:*:*:namespace/own/*", Some(Level::Baseline))]
fn who_may_exceed_the_guardrails_says_so_or_may_do_everything(
    #[case] action: &str,
    #[case] resource: &str,
    #[case] level: Option<Level>,
) {
    let found = guarded(&[statement("Allow", action, resource)]);
    assert_eq!(found.map(|it| it.level), level);
}

#[test]
fn a_denial_holds_an_admin_to_a_level_and_to_what_a_release_adds() {
    let everything = statement("Allow", "*", "*");
    let denied = |action: &str| guarded(&[everything.clone(), statement("Deny", action, "*")]);
    let restricted = denied("edas:UsePodSecurityBaseline").unwrap();
    assert_eq!(
        (restricted.level, restricted.whole, restricted.node),
        (Level::Restricted, false, true)
    );
    let whole = denied("edas:KeepExcess").unwrap();
    assert_eq!((whole.level, whole.whole), (Level::Privileged, true));
    assert!(whole.service_accounts.allow("namespace/shop/serviceaccount/any"));
    let elsewhere = statement("Deny", "edas:DeployK8sApplication", "acs:edas:*:*:namespace/own/*");
    assert_eq!(guarded(&[everything, elsewhere]), None);
}

#[test]
fn who_may_exceed_all_guardrails_may_use_any_image() {
    let group = statement("Allow", "edas:ExceedGuardrails", "acs:edas:*:*:namespace/shop/*");
    assert_eq!(guarded(&[group]).unwrap().images, None);
}

#[test]
fn images_are_all_allowed_until_a_policy_names_some() {
    let role = statement("Allow", "edas:ManageApplication", "*");
    assert_eq!(guarded(std::slice::from_ref(&role)).unwrap().images, None);
    let named =
        statement("Allow", "edas:UseImage", "acs:edas:*:*:image/registry.example.com:5000/*");
    let images = guarded(&[role.clone(), named]).unwrap().images.unwrap();
    assert!(images.allow("image/registry.example.com:5000/web@sha256:00"));
    assert!(!images.allow("image/nginx"));
    let denied = statement("Deny", "edas:UseImage", "acs:edas:*:*:image/*:latest");
    let images = guarded(&[role, denied]).unwrap().images.unwrap();
    assert!(images.allow("image/nginx:1") && !images.allow("image/nginx:latest"));
}

#[test]
fn a_role_comes_with_its_exceptions() {
    let exceptions = Exceptions::read(
        Some(Level::Privileged),
        vec!["x-*".into()],
        vec!["registry.example.com/*".into()],
    );
    let mut grant = Grant::role(Role::Deployer, Scope::read("shop", "web-*").unwrap());
    grant.exceptions = exceptions.unwrap();
    let access = Grant::access(&[grant.clone()], &SITE, &circumstances()).unwrap();
    let of = |name| access.guardrails(&app("shop", name), Version::LATEST).unwrap();
    assert_eq!(of("web-1").level, Level::Privileged);
    assert_eq!(of("api").level, Level::Baseline);
    assert!(of("web-1").service_accounts.allow("namespace/shop/serviceaccount/x-1"));
    assert!(!of("web-1").service_accounts.allow("namespace/own/serviceaccount/x-1"));
    assert!(!of("web-1").images.unwrap().allow("image/nginx"));
    grant.exceptions.pod_security = Some(Level::Restricted);
    let access = Grant::access(&[grant.clone()], &SITE, &circumstances()).unwrap();
    let level = access.guardrails(&app("shop", "web-1"), Version::LATEST).unwrap().level;
    assert_eq!(level, Level::Restricted);
    let written = serde_json::to_string(&grant).unwrap();
    assert_eq!(serde_json::from_str::<Grant>(&written).unwrap(), grant);
    assert!(Exceptions::read(None, vec!["a b".into()], Vec::new()).is_err());
}

#[rstest]
#[case::everything("*", "*", true)]
#[case::every_namespace("edas:ManageApplication", "acs:edas:*:*:namespace/*/application/*", false)]
#[case::all_resources("edas:ManageApplication", "*", false)]
#[case::half_a_name("edas:ManageApplication", "acs:edas:*:*:namespace/ku*", false)]
#[case::the_name("edas:ManageApplication", "acs:edas:*:*:namespace/kube-system/*", true)]
#[case::such_names("edas:ManageApplication", "acs:edas:*:*:namespace/kube-*", true)]
#[case::another_name("edas:ManageApplication", "acs:edas:*:*:namespace/kube-public/*", false)]
fn a_protected_namespace_must_be_named(
    #[case] action: &str,
    #[case] resource: &str,
    #[case] allows: bool,
) {
    let protected = [Pattern::new("kube-*"), Pattern::new("sluice")];
    let site = Site { protected: &protected, ..SITE };
    let policies = policy(
        &[statement("Allow", action, resource), statement("Allow", "edas:ReadApplication", "*")]
            .join(","),
    );
    let access = Access::of([&policies], &site, &circumstances());
    assert_eq!(access.allows(RELEASE, &app("kube-system", "dns")), allows);
    assert_eq!(access.reaches(RELEASE, "kube-system"), allows);
    assert!(access.allows(READ, &app("kube-system", "dns")), "applications may be read");
    let free = Access::of([&policies], &SITE, &circumstances());
    assert!(
        allows || resource.contains("public") || free.allows(RELEASE, &app("kube-system", "dns"))
    );
}
