//! Which operations this server offers, and which of their parameters it reads: the
//! one table of it.
//!
//! A documented parameter that is not in it is refused by name, never dropped in silence
//! ([`judge`]). Tests hold the table, the router and the OpenAPI document together.

use super::contract::Operation;

mod judge;

pub use crate::wire::offered::judge::{check, ignored, unread};
#[cfg(test)]
pub(crate) use judge::SAY_NOTHING;

/// An operation that is offered.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    pub operation: &'static str,
    /// The parameters that its handler reads.
    pub reads: &'static [&'static str],
}

/// What DeployK8sApplication and its preview read.
const DEPLOY: &[&str] = &[
    "AppId",
    "Image",
    "ImageTag",
    "PackageUrl",
    "JDK",
    "WebContainer",
    "JavaStartUpConfig",
    "WebContainerConfig",
    "UriEncoding",
    "UseBodyEncoding",
    "PackageVersion",
    "PackageVersionId",
    "Replicas",
    "UpdateStrategy",
    "BatchTimeout",
    "BatchWaitTime",
    "ChangeOrderDesc",
    "Envs",
    "Command",
    "Args",
    "Readiness",
    "Liveness",
    "CpuLimit",
    "McpuLimit",
    "CpuRequest",
    "McpuRequest",
    "MemoryLimit",
    "MemoryRequest",
    "Annotations",
    "ConfigMountDescs",
    "CustomAffinity",
    "CustomTolerations",
    "DeployAcrossNodes",
    "DeployAcrossZones",
    "EmptyDirs",
    "EnvFroms",
    "InitContainers",
    "Labels",
    "LimitEphemeralStorage",
    "LocalVolume",
    "PostStart",
    "PreStop",
    "EnableLosslessRule",
    "LosslessRuleAligned",
    "LosslessRuleDelayTime",
    "LosslessRuleFuncType",
    "LosslessRuleRelated",
    "LosslessRuleWarmupTime",
    "PvcMountDescs",
    "RequestsEphemeralStorage",
    "RuntimeClassName",
    "SecurityContext",
    "Sidecars",
    "Startup",
    "TerminateGracePeriod",
    "PlanHash",
    "AllowNoSurge",
    "DrainSeconds",
];

/// Everything that is offered, sorted by name.
pub const OFFERS: &[Offer] = &[
    Offer { operation: "AbortAndRollbackChangeOrder", reads: &["ChangeOrderId"] },
    Offer { operation: "AbortChangeOrder", reads: &["ChangeOrderId"] },
    Offer {
        operation: "AdoptDeployment",
        reads: &[
            "AppName",
            "ClusterId",
            "Namespace",
            "LogicalRegionId",
            "ApplicationDescription",
            "PackageVersion",
            "ContainerName",
        ],
    },
    Offer {
        operation: "BindK8sSlb",
        reads: &[
            "AppId",
            "ClusterId",
            "Type",
            "SlbId",
            "ServicePortInfos",
            "Port",
            "TargetPort",
            "SlbProtocol",
            "Scheduler",
            "Specification",
        ],
    },
    Offer { operation: "ContinuePipeline", reads: &["PipelineId", "Confirm"] },
    Offer {
        operation: "ConvertK8sResource",
        reads: &["ClusterId", "Namespace", "ResourceType", "ResourceName"],
    },
    Offer {
        operation: "CreateApplicationScalingRule",
        reads: &[
            "AppId",
            "ScalingRuleName",
            "ScalingRuleType",
            "ScalingRuleTrigger",
            "ScalingRuleMetric",
            "ScalingBehaviour",
            "ScalingRuleEnable",
        ],
    },
    Offer {
        operation: "CreateConfigTemplate",
        reads: &["Name", "Description", "Format", "Content"],
    },
    Offer { operation: "CreateK8sConfigMap", reads: &["ClusterId", "Namespace", "Name", "Data"] },
    Offer {
        operation: "CreateK8sIngressRule",
        reads: &["ClusterId", "Namespace", "Name", "IngressConf", "Labels", "Annotations"],
    },
    Offer {
        operation: "CreateK8sSecret",
        reads: &["ClusterId", "Namespace", "Name", "Data", "Type", "Base64Encoded"],
    },
    Offer {
        operation: "CreateK8sService",
        reads: &["AppId", "Name", "Type", "ServicePorts", "ExternalTrafficPolicy"],
    },
    Offer { operation: "DeleteApplication", reads: &["AppId"] },
    Offer { operation: "DeleteApplicationScalingRule", reads: &["AppId", "ScalingRuleName"] },
    Offer { operation: "DeleteCluster", reads: &["ClusterId", "Mode"] },
    Offer { operation: "DeleteConfigTemplate", reads: &["Id"] },
    Offer { operation: "DeleteK8sApplication", reads: &["AppId", "Force", "KeepDeployment"] },
    Offer { operation: "DeleteK8sConfigMap", reads: &["ClusterId", "Namespace", "Name"] },
    Offer { operation: "DeleteK8sIngressRule", reads: &["ClusterId", "Namespace", "Name"] },
    Offer { operation: "DeleteK8sSecret", reads: &["ClusterId", "Namespace", "Name"] },
    Offer { operation: "DeleteK8sService", reads: &["AppId", "Name"] },
    Offer { operation: "DeleteUserDefineRegion", reads: &["Id", "RegionTag"] },
    Offer { operation: "DeployK8sApplication", reads: DEPLOY },
    Offer { operation: "DescribeAppInstanceList", reads: &["AppId", "WithNodeInfo"] },
    Offer { operation: "DescribeApplicationScalingRules", reads: &["AppId"] },
    Offer { operation: "DisableApplicationScalingRule", reads: &["AppId", "ScalingRuleName"] },
    Offer { operation: "EnableApplicationScalingRule", reads: &["AppId", "ScalingRuleName"] },
    Offer { operation: "GetAppDeployment", reads: &["AppId"] },
    Offer { operation: "GetApplication", reads: &["AppId"] },
    Offer { operation: "GetApplicationContainer", reads: &["AppId"] },
    Offer { operation: "GetChangeOrderInfo", reads: &["ChangeOrderId"] },
    Offer { operation: "GetCluster", reads: &["ClusterId"] },
    Offer { operation: "GetJavaStartUpConfig", reads: &["AppId"] },
    Offer { operation: "GetK8sAppPrecheckResult", reads: &["ClusterId", "Namespace", "AppName"] },
    Offer { operation: "GetK8sApplication", reads: &["AppId", "From"] },
    Offer {
        operation: "GetK8sCluster",
        reads: &["RegionTag", "ClusterType", "SubClusterType", "CurrentPage", "PageSize"],
    },
    Offer { operation: "GetK8sServices", reads: &["AppId"] },
    Offer { operation: "GetPackageStorageCredential", reads: &[] },
    Offer { operation: "GetWebContainerConfig", reads: &["AppId"] },
    Offer { operation: "ImportK8sCluster", reads: &["ClusterId", "NamespaceId", "Mode"] },
    Offer {
        operation: "InsertK8sApplication",
        reads: &[
            "AppName",
            "ClusterId",
            "Namespace",
            "LogicalRegionId",
            "ApplicationDescription",
            "PackageType",
            "WorkloadType",
            "ImageUrl",
            "PackageUrl",
            "JDK",
            "WebContainer",
            "JavaStartUpConfig",
            "WebContainerConfig",
            "UriEncoding",
            "UseBodyEncoding",
            "PackageVersion",
            "Replicas",
            "Timeout",
            "Envs",
            "Command",
            "CommandArgs",
            "Readiness",
            "Liveness",
            "LimitCpu",
            "LimitmCpu",
            "RequestsCpu",
            "RequestsmCpu",
            "LimitMem",
            "RequestsMem",
            "Annotations",
            "ConfigMountDescs",
            "CustomAffinity",
            "CustomTolerations",
            "DeployAcrossNodes",
            "DeployAcrossZones",
            "EmptyDirs",
            "EnvFroms",
            "InitContainers",
            "Labels",
            "LimitEphemeralStorage",
            "LocalVolume",
            "PostStart",
            "PreStop",
            "EnableLosslessRule",
            "LosslessRuleAligned",
            "LosslessRuleDelayTime",
            "LosslessRuleFuncType",
            "LosslessRuleRelated",
            "LosslessRuleWarmupTime",
            "PvcMountDescs",
            "RequestsEphemeralStorage",
            "RuntimeClassName",
            "SecurityContext",
            "Sidecars",
            "Startup",
            "TerminateGracePeriod",
            "SecretName",
            "ServiceConfigs",
            "InternetSlbId",
            "InternetSlbPort",
            "InternetTargetPort",
            "InternetSlbProtocol",
            "IntranetSlbId",
            "IntranetSlbPort",
            "IntranetTargetPort",
            "IntranetSlbProtocol",
            "DrainSeconds",
        ],
    },
    Offer {
        operation: "InsertOrUpdateRegion",
        reads: &["RegionTag", "RegionName", "Description", "Id", "RegistryType"],
    },
    Offer { operation: "ListAliyunRegion", reads: &[] },
    Offer {
        operation: "ListApplication",
        reads: &[
            "AppName",
            "AppIds",
            "ClusterId",
            "LogicalRegionId",
            "LogicalRegionIdFilter",
            "CurrentPage",
            "PageSize",
        ],
    },
    Offer { operation: "ListBuildPack", reads: &[] },
    Offer { operation: "ListCluster", reads: &["LogicalRegionId"] },
    Offer { operation: "ListComponents", reads: &[] },
    Offer { operation: "ListConfigTemplates", reads: &["Id", "Name", "CurrentPage", "PageSize"] },
    Offer { operation: "ListDeployGroup", reads: &["AppId"] },
    Offer { operation: "ListHistoryDeployVersion", reads: &["AppId"] },
    Offer {
        operation: "ListK8sConfigMaps",
        reads: &["ClusterId", "Namespace", "Condition", "PageNo", "PageSize", "ShowRelatedApps"],
    },
    Offer { operation: "ListK8sIngressRules", reads: &["ClusterId", "Namespace", "Condition"] },
    Offer { operation: "ListK8sNamespaces", reads: &["ClusterId"] },
    Offer {
        operation: "ListK8sSecrets",
        reads: &["ClusterId", "Namespace", "Condition", "PageNo", "PageSize", "ShowRelatedApps"],
    },
    Offer { operation: "ListRecentChangeOrder", reads: &["AppId"] },
    Offer {
        operation: "ListTagResources",
        reads: &["ResourceType", "ResourceRegionId", "ResourceIds", "Tags"],
    },
    Offer { operation: "ListUserDefineRegion", reads: &["DebugEnable"] },
    Offer { operation: "PreviewDeployment", reads: DEPLOY },
    Offer { operation: "QueryApplicationStatus", reads: &["AppId"] },
    Offer { operation: "QueryRegionConfig", reads: &[] },
    Offer { operation: "RestartK8sApplication", reads: &["AppId", "Timeout"] },
    Offer { operation: "RetryChangeOrderTask", reads: &["TaskId", "RetryStatus"] },
    Offer {
        operation: "RollbackApplication",
        reads: &["AppId", "GroupId", "HistoryVersion", "Batch", "BatchWaitTime"],
    },
    Offer { operation: "RollbackChangeOrder", reads: &["ChangeOrderId"] },
    Offer { operation: "ScaleK8sApplication", reads: &["AppId", "Replicas", "Timeout"] },
    Offer { operation: "SetApplicationContainer", reads: &["AppId", "ContainerName"] },
    Offer {
        operation: "StartK8sAppPrecheck",
        reads: &[
            "ClusterId",
            "Namespace",
            "AppId",
            "AppName",
            "ImageUrl",
            "Replicas",
            "Envs",
            "LimitmCpu",
            "RequestsmCpu",
            "LimitMem",
            "RequestsMem",
            "Annotations",
            "Labels",
            "EnvFroms",
            "ConfigMountDescs",
            "LocalVolume",
            "EmptyDirs",
            "PvcMountDescs",
            "LimitEphemeralStorage",
            "RequestsEphemeralStorage",
        ],
    },
    Offer { operation: "StartK8sApplication", reads: &["AppId", "Replicas", "Timeout"] },
    Offer { operation: "StepBackChangeOrder", reads: &["ChangeOrderId", "Batch"] },
    Offer { operation: "StopK8sApplication", reads: &["AppId", "Timeout"] },
    Offer {
        operation: "TagResources",
        reads: &["ResourceType", "ResourceRegionId", "ResourceIds", "Tags"],
    },
    Offer { operation: "UnbindK8sSlb", reads: &["AppId", "ClusterId", "Type", "SlbName"] },
    Offer {
        operation: "UntagResources",
        reads: &["ResourceType", "ResourceRegionId", "ResourceIds", "TagKeys", "DeleteAll"],
    },
    Offer {
        operation: "UpdateApplicationScalingRule",
        reads: &[
            "AppId",
            "ScalingRuleName",
            "ScalingRuleType",
            "ScalingRuleTrigger",
            "ScalingRuleMetric",
            "ScalingBehaviour",
            "ScalingRuleEnable",
        ],
    },
    Offer {
        operation: "UpdateConfigTemplate",
        reads: &["Id", "Name", "Description", "Format", "Content"],
    },
    Offer {
        operation: "UpdateK8sApplicationBaseInfo",
        reads: &["AppId", "Description", "Owner", "Email", "PhoneNumber"],
    },
    Offer {
        operation: "UpdateK8sApplicationConfig",
        reads: &[
            "AppId",
            "ClusterId",
            "CpuLimit",
            "McpuLimit",
            "CpuRequest",
            "McpuRequest",
            "MemoryLimit",
            "MemoryRequest",
            "EphemeralStorageLimit",
            "EphemeralStorageRequest",
            "Timeout",
        ],
    },
    Offer { operation: "UpdateK8sConfigMap", reads: &["ClusterId", "Namespace", "Name", "Data"] },
    Offer {
        operation: "UpdateK8sIngressRule",
        reads: &["ClusterId", "Namespace", "Name", "IngressConf", "Labels", "Annotations"],
    },
    Offer { operation: "UpdateK8sResource", reads: &["ClusterId", "Namespace", "ResourceContent"] },
    Offer {
        operation: "UpdateK8sSecret",
        reads: &["ClusterId", "Namespace", "Name", "Data", "Type", "Base64Encoded"],
    },
    Offer {
        operation: "UpdateK8sService",
        reads: &["AppId", "Name", "Type", "ServicePorts", "ExternalTrafficPolicy"],
    },
    Offer {
        operation: "UpdateK8sSlb",
        reads: &[
            "AppId",
            "ClusterId",
            "Type",
            "SlbName",
            "ServicePortInfos",
            "Port",
            "TargetPort",
            "SlbProtocol",
            "Scheduler",
            "Specification",
            "DisableForceOverride",
        ],
    },
];

/// Whether `operation` is offered.
#[must_use]
pub fn is_offered(operation: &Operation) -> bool {
    offer(&operation.name).is_some()
}

fn offer(name: &str) -> Option<&'static Offer> {
    OFFERS
        .binary_search_by(|offer| offer.operation.cmp(name))
        .ok()
        .and_then(|index| OFFERS.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::contract;

    fn operation(name: &str) -> &'static Operation {
        contract::operations().iter().chain(contract::own()).find(|it| it.name == name).unwrap()
    }

    #[test]
    fn every_offer_is_an_operation_and_every_parameter_it_reads_is_documented() {
        assert!(OFFERS.is_sorted_by_key(|offer| offer.operation));
        for offer in OFFERS {
            let operation = operation(offer.operation);
            for parameter in offer.reads {
                assert!(
                    operation.takes(parameter),
                    "{} does not document {parameter}",
                    offer.operation
                );
            }
        }
    }
}
