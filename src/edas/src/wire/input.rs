//! What EDAS calls the things that callers hand in: its parameters.
//!
//! The core names its inputs by words of its own. Here, and nowhere else, each has the name
//! of a parameter, which some operations call otherwise.

use domain::{Advice, Input};

/// Parameters that hold what runs and with what, passwords often (a probe's too, in its
/// headers or command): no error repeats their values.
const HIDDEN: &[&str] = &[
    "Annotations",
    "Args",
    "Command",
    "CommandArgs",
    "Content",
    "Data",
    "InitContainers",
    "JavaStartUpConfig",
    "Liveness",
    "PostStart",
    "PreStop",
    "Readiness",
    "ResourceContent",
    "Sidecars",
    "Startup",
    "WebContainerConfig",
];

/// Whether no error repeats what was given as `parameter`.
#[must_use]
pub fn is_hidden(parameter: &str) -> bool {
    HIDDEN.contains(&parameter.split('.').next().unwrap_or(parameter))
}

/// The parameter of an operation in which an input stands.
#[must_use]
pub fn parameter(operation: &str, input: Input) -> &'static str {
    match (operation, input) {
        ("InsertK8sApplication" | "StartK8sAppPrecheck", input) => created(input),
        ("ConvertK8sResource", Input::ApplicationName) => "ResourceName",
        ("ImportK8sCluster", Input::LogicalRegion) => "NamespaceId",
        ("CreatePolicy", Input::Policy) | ("CreatePrincipal", Input::Principal) => "Name",
        (_, input) => usual(input),
    }
}

/// The name where an application is created, which has some of its own.
fn created(input: Input) -> &'static str {
    match input {
        Input::Image => "ImageUrl",
        Input::CpuLimit => "LimitCpu",
        Input::CpuRequest => "RequestsCpu",
        Input::MemoryLimit => "LimitMem",
        Input::MemoryRequest => "RequestsMem",
        input => usual(input),
    }
}

/// The operation, or parameter and value, that does what a message advises.
fn means(advice: Advice) -> &'static str {
    match advice {
        Advice::OldPodsFirst => "AllowNoSurge=true",
        Advice::ReleaseEarlier => "RollbackApplication",
        Advice::ReleasePackage => "DeployK8sApplication with PackageUrl",
        Advice::ChooseContainer => "SetApplicationContainer",
        Advice::ImportCluster => "ImportK8sCluster",
    }
}

/// Inputs that messages of the core speak of beside those that they refuse.
const SPOKEN_OF: &[Input] = &[Input::BatchTimeout, Input::MinReadyTime, Input::Timeout];

/// A message of the core with EDAS' names behind what it advises and the inputs that it
/// speaks of.
#[must_use]
pub fn with_names(message: &str) -> String {
    let advised = Advice::ALL.iter().map(|advice| (advice.words(), means(*advice)));
    let inputs = SPOKEN_OF.iter().map(|input| (input.word(), usual(*input)));
    advised.chain(inputs).fold(message.to_owned(), |message, (words, name)| {
        message.replacen(words, &format!("{words} ({name})"), 1)
    })
}

fn usual(input: Input) -> &'static str {
    match input {
        Input::AccessKey => "AccessKey",
        Input::AccessKeyName => "Name",
        Input::Channel => "Channel",
        Input::ApplicationDescription => "ApplicationDescription",
        Input::ApplicationName => "AppName",
        Input::Annotations => "Annotations",
        Input::Applications => "Applications",
        Input::BatchInterval => "BatchWaitTime",
        Input::BatchTimeout => "BatchTimeout",
        Input::Batches => "Batch",
        Input::Cluster => "ClusterId",
        Input::ClusterIdentity => "ClusterIdentity",
        Input::ConfigData => "Data",
        Input::ContainerName => "ContainerName",
        Input::CpuLimit => "CpuLimit",
        Input::CpuRequest => "CpuRequest",
        Input::Deployment => "ResourceContent",
        Input::Description => "Description",
        Input::Email => "Email",
        Input::AddedEnvironment => "AddEnvs",
        Input::Environment => "Envs",
        Input::FirstServices => "ServiceConfigs",
        Input::HoldRule => "Name",
        Input::Image => "Image",
        Input::ImageTag => "ImageTag",
        Input::IngressRules => "IngressConf",
        Input::InternetLoadBalancer => "InternetSlbId",
        Input::IntranetLoadBalancer => "IntranetSlbId",
        Input::Jdk => "JDK",
        Input::JvmOptions => "JavaStartUpConfig",
        Input::KeepsListeners => "DisableForceOverride",
        Input::Kinds => "Kinds",
        Input::Labels => "Labels",
        Input::LoadBalancer => "SlbId",
        Input::LoadBalancerName => "SlbName",
        Input::LoadBalancerPort => "Port",
        Input::LoadBalancerPorts => "ServicePortInfos",
        Input::LoadBalancerScheduler => "Scheduler",
        Input::LoadBalancerSize => "Specification",
        Input::LogicalRegion => "LogicalRegionId",
        Input::MemoryLimit => "MemoryLimit",
        Input::MemoryRequest => "MemoryRequest",
        Input::MinReadyTime => "BatchWaitTime",
        Input::Namespace => "Namespace",
        Input::Namespaces => "Namespaces",
        Input::Networks => "Networks",
        Input::ObjectName => "Name",
        Input::OrderDescription => "ChangeOrderDesc",
        Input::Owner => "Owner",
        Input::PackageAddress => "PackageUrl",
        Input::PackageKind => "PackageType",
        Input::Periods => "Periods",
        Input::Phone => "PhoneNumber",
        Input::PlanHash => "PlanHash",
        Input::Policy => "Policy",
        Input::PolicyDocument => "PolicyDocument",
        Input::Principal => "Principal",
        Input::RegionName => "RegionTag",
        Input::RegionTitle => "RegionName",
        Input::Release => "PackageVersionId",
        Input::Replicas => "Replicas",
        Input::RuleBehaviour => "ScalingBehaviour",
        Input::RuleEnabled => "ScalingRuleEnable",
        Input::RuleMetric => "ScalingRuleMetric",
        Input::RuleName => "ScalingRuleName",
        Input::RuleTrigger => "ScalingRuleTrigger",
        Input::ServicePorts => "ServicePorts",
        Input::ServiceType => "Type",
        Input::StartDelay => "LosslessRuleDelayTime",
        Input::Strategy => "UpdateStrategy",
        Input::Tags => "Tags",
        Input::TargetPort => "TargetPort",
        Input::TemplateContent => "Content",
        Input::TemplateName => "Name",
        Input::TimeZone => "TimeZone",
        Input::Timeout => "Timeout",
        Input::TrafficPolicy => "ExternalTrafficPolicy",
        Input::UriEncoding => "UriEncoding",
        Input::UseBodyEncoding => "UseBodyEncoding",
        Input::Version => "PackageVersion",
        Input::WarmUp => "LosslessRuleWarmupTime",
        Input::WebContainer => "WebContainer",
        Input::WebContainerSettings => "WebContainerConfig",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::contract;

    #[test]
    fn what_is_hidden_in_the_core_is_hidden_under_its_name_here_and_nothing_else() {
        for input in Input::ALL {
            assert_eq!(input.is_hidden(), is_hidden(usual(*input)), "{input:?}");
        }
    }

    #[test]
    fn a_message_has_the_names_of_what_it_advises_and_speaks_of() {
        let advice = Advice::OldPodsFirst;
        let message =
            format!("there is no room; {advice}, or the {} is short", Input::MinReadyTime);
        assert_eq!(
            with_names(&message),
            "there is no room; allow old pods to go first (AllowNoSurge=true), or the time that a pod must be Ready (BatchWaitTime) is short"
        );
        for advice in Advice::ALL {
            let names = means(advice).split([' ', '=']).filter(|name| name.len() > 4);
            for name in names {
                let mut operations = contract::operations().iter().chain(contract::own());
                let is_known = operations.any(|it| it.name == name || it.takes(name));
                assert!(is_known, "{advice:?}: {name}");
            }
        }
    }

    #[test]
    fn each_name_is_a_parameter_of_an_operation() {
        let known = |name: &str| {
            contract::operations().iter().chain(contract::own()).any(|it| it.takes(name))
        };
        for input in Input::ALL {
            // Only commands of the program take these.
            if !matches!(input, Input::ClusterIdentity | Input::Channel) {
                assert!(known(usual(*input)), "{input:?}: {}", usual(*input));
            }
        }
    }

    #[test]
    fn operations_with_names_of_their_own_are_known() {
        for (operation, input, name) in [
            ("InsertK8sApplication", Input::Image, "ImageUrl"),
            ("InsertK8sApplication", Input::CpuLimit, "LimitCpu"),
            ("StartK8sAppPrecheck", Input::MemoryRequest, "RequestsMem"),
            ("DeployK8sApplication", Input::Image, "Image"),
            ("ConvertK8sResource", Input::ApplicationName, "ResourceName"),
            ("ImportK8sCluster", Input::LogicalRegion, "NamespaceId"),
        ] {
            let known = contract::operations().iter().find(|it| it.name == operation);
            let known = known.unwrap_or_else(|| panic!("{operation}"));
            assert_eq!(parameter(operation, input), name);
            assert!(known.takes(name), "{operation} has no {name}");
        }
    }
}
