//! Which operations this server offers, and which of their parameters it reads: the
//! one table of it.
//!
//! A documented parameter that is not in it is refused by name, never dropped in silence
//! ([`judge`]). Tests hold the table, the router and the OpenAPI document together.

use super::{
    contract::Operation,
    parameter::{
        Parameter, application, cluster, config, insert, network, order, package, release,
    },
};

mod judge;

pub use crate::wire::offered::judge::{check, ignored, unread};
#[cfg(test)]
pub(crate) use judge::SAY_NOTHING;

/// An operation that is offered.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    pub operation: &'static str,
    /// The parameters that its handler reads.
    pub parameters: &'static [Parameter],
}

impl Offer {
    /// The parameter of this name, if the handler reads it.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

/// Everything that is offered, sorted by name.
pub const OFFERS: &[Offer] = &[
    Offer {
        operation: "AbortAndRollbackChangeOrder",
        parameters: order::ABORT_AND_ROLLBACK_CHANGE_ORDER,
    },
    Offer { operation: "AbortChangeOrder", parameters: order::ABORT_CHANGE_ORDER },
    Offer { operation: "AdoptDeployment", parameters: release::ADOPT_DEPLOYMENT },
    Offer { operation: "BindK8sSlb", parameters: network::BIND_K8S_SLB },
    Offer { operation: "ContinuePipeline", parameters: order::CONTINUE_PIPELINE },
    Offer { operation: "ConvertK8sResource", parameters: release::CONVERT_K8S_RESOURCE },
    Offer {
        operation: "CreateApplicationScalingRule",
        parameters: application::CREATE_APPLICATION_SCALING_RULE,
    },
    Offer { operation: "CreateConfigTemplate", parameters: config::CREATE_CONFIG_TEMPLATE },
    Offer { operation: "CreateK8sConfigMap", parameters: config::CREATE_K8S_CONFIG_MAP },
    Offer { operation: "CreateK8sIngressRule", parameters: network::CREATE_K8S_INGRESS_RULE },
    Offer { operation: "CreateK8sSecret", parameters: config::CREATE_K8S_SECRET },
    Offer { operation: "CreateK8sService", parameters: network::CREATE_K8S_SERVICE },
    Offer { operation: "DeleteApplication", parameters: application::DELETE_APPLICATION },
    Offer {
        operation: "DeleteApplicationScalingRule",
        parameters: application::DELETE_APPLICATION_SCALING_RULE,
    },
    Offer { operation: "DeleteCluster", parameters: cluster::DELETE_CLUSTER },
    Offer { operation: "DeleteConfigTemplate", parameters: config::DELETE_CONFIG_TEMPLATE },
    Offer { operation: "DeleteK8sApplication", parameters: application::DELETE_K8S_APPLICATION },
    Offer { operation: "DeleteK8sConfigMap", parameters: config::DELETE_K8S_CONFIG_MAP },
    Offer { operation: "DeleteK8sIngressRule", parameters: network::DELETE_K8S_INGRESS_RULE },
    Offer { operation: "DeleteK8sSecret", parameters: config::DELETE_K8S_SECRET },
    Offer { operation: "DeleteK8sService", parameters: network::DELETE_K8S_SERVICE },
    Offer { operation: "DeleteUserDefineRegion", parameters: cluster::DELETE_USER_DEFINE_REGION },
    Offer { operation: "DeployK8sApplication", parameters: release::DEPLOY_K8S_APPLICATION },
    Offer {
        operation: "DescribeAppInstanceList",
        parameters: application::DESCRIBE_APP_INSTANCE_LIST,
    },
    Offer {
        operation: "DescribeApplicationScalingRules",
        parameters: application::DESCRIBE_APPLICATION_SCALING_RULES,
    },
    Offer {
        operation: "DisableApplicationScalingRule",
        parameters: application::DISABLE_APPLICATION_SCALING_RULE,
    },
    Offer {
        operation: "EnableApplicationScalingRule",
        parameters: application::ENABLE_APPLICATION_SCALING_RULE,
    },
    Offer { operation: "GetAppDeployment", parameters: application::GET_APP_DEPLOYMENT },
    Offer { operation: "GetApplication", parameters: application::GET_APPLICATION },
    Offer {
        operation: "GetApplicationContainer",
        parameters: application::GET_APPLICATION_CONTAINER,
    },
    Offer { operation: "GetApplicationLogs", parameters: application::GET_APPLICATION_LOGS },
    Offer { operation: "GetChangeOrderInfo", parameters: order::GET_CHANGE_ORDER_INFO },
    Offer { operation: "GetCluster", parameters: cluster::GET_CLUSTER },
    Offer { operation: "GetJavaStartUpConfig", parameters: application::GET_JAVA_START_UP_CONFIG },
    Offer {
        operation: "GetK8sAppPrecheckResult",
        parameters: release::GET_K8S_APP_PRECHECK_RESULT,
    },
    Offer { operation: "GetK8sApplication", parameters: application::GET_K8S_APPLICATION },
    Offer { operation: "GetK8sCluster", parameters: cluster::GET_K8S_CLUSTER },
    Offer { operation: "GetK8sServices", parameters: network::GET_K8S_SERVICES },
    Offer { operation: "GetOrder", parameters: order::GET_ORDER },
    Offer {
        operation: "GetPackageStorageCredential",
        parameters: package::GET_PACKAGE_STORAGE_CREDENTIAL,
    },
    Offer { operation: "GetWebContainerConfig", parameters: application::GET_WEB_CONTAINER_CONFIG },
    Offer { operation: "ImportK8sCluster", parameters: cluster::IMPORT_K8S_CLUSTER },
    Offer { operation: "InsertK8sApplication", parameters: insert::INSERT_K8S_APPLICATION },
    Offer { operation: "InsertOrUpdateRegion", parameters: cluster::INSERT_OR_UPDATE_REGION },
    Offer { operation: "ListAliyunRegion", parameters: cluster::LIST_ALIYUN_REGION },
    Offer { operation: "ListApplication", parameters: application::LIST_APPLICATION },
    Offer { operation: "ListApplications", parameters: order::LIST_APPLICATIONS },
    Offer { operation: "ListBuildPack", parameters: application::LIST_BUILD_PACK },
    Offer { operation: "ListCluster", parameters: cluster::LIST_CLUSTER },
    Offer { operation: "ListComponents", parameters: application::LIST_COMPONENTS },
    Offer { operation: "ListConfigTemplates", parameters: config::LIST_CONFIG_TEMPLATES },
    Offer { operation: "ListDeployGroup", parameters: application::LIST_DEPLOY_GROUP },
    Offer {
        operation: "ListHistoryDeployVersion",
        parameters: release::LIST_HISTORY_DEPLOY_VERSION,
    },
    Offer { operation: "ListK8sConfigMaps", parameters: config::LIST_K8S_CONFIG_MAPS },
    Offer { operation: "ListK8sIngressRules", parameters: network::LIST_K8S_INGRESS_RULES },
    Offer { operation: "ListK8sNamespaces", parameters: cluster::LIST_K8S_NAMESPACES },
    Offer { operation: "ListK8sSecrets", parameters: config::LIST_K8S_SECRETS },
    Offer { operation: "ListOrders", parameters: order::LIST_ORDERS },
    Offer { operation: "ListRecentChangeOrder", parameters: order::LIST_RECENT_CHANGE_ORDER },
    Offer { operation: "ListTagResources", parameters: application::LIST_TAG_RESOURCES },
    Offer { operation: "ListUserDefineRegion", parameters: cluster::LIST_USER_DEFINE_REGION },
    Offer { operation: "PreviewDeployment", parameters: release::DEPLOY_K8S_APPLICATION },
    Offer {
        operation: "QueryApplicationStatus",
        parameters: application::QUERY_APPLICATION_STATUS,
    },
    Offer { operation: "QueryRegionConfig", parameters: package::QUERY_REGION_CONFIG },
    Offer { operation: "RestartK8sApplication", parameters: application::RESTART_K8S_APPLICATION },
    Offer { operation: "RetryChangeOrderTask", parameters: order::RETRY_CHANGE_ORDER_TASK },
    Offer { operation: "RollbackApplication", parameters: release::ROLLBACK_APPLICATION },
    Offer { operation: "RollbackChangeOrder", parameters: order::ROLLBACK_CHANGE_ORDER },
    Offer { operation: "ScaleK8sApplication", parameters: application::SCALE_K8S_APPLICATION },
    Offer {
        operation: "SetApplicationContainer",
        parameters: application::SET_APPLICATION_CONTAINER,
    },
    Offer { operation: "StartK8sAppPrecheck", parameters: release::START_K8S_APP_PRECHECK },
    Offer { operation: "StartK8sApplication", parameters: application::START_K8S_APPLICATION },
    Offer { operation: "StepBackChangeOrder", parameters: order::STEP_BACK_CHANGE_ORDER },
    Offer { operation: "StopK8sApplication", parameters: application::STOP_K8S_APPLICATION },
    Offer { operation: "TagResources", parameters: application::TAG_RESOURCES },
    Offer { operation: "UnbindK8sSlb", parameters: network::UNBIND_K8S_SLB },
    Offer { operation: "UntagResources", parameters: application::UNTAG_RESOURCES },
    Offer {
        operation: "UpdateApplicationScalingRule",
        parameters: application::UPDATE_APPLICATION_SCALING_RULE,
    },
    Offer { operation: "UpdateConfigTemplate", parameters: config::UPDATE_CONFIG_TEMPLATE },
    Offer {
        operation: "UpdateK8sApplicationBaseInfo",
        parameters: application::UPDATE_K8S_APPLICATION_BASE_INFO,
    },
    Offer {
        operation: "UpdateK8sApplicationConfig",
        parameters: application::UPDATE_K8S_APPLICATION_CONFIG,
    },
    Offer { operation: "UpdateK8sConfigMap", parameters: config::UPDATE_K8S_CONFIG_MAP },
    Offer { operation: "UpdateK8sIngressRule", parameters: network::UPDATE_K8S_INGRESS_RULE },
    Offer { operation: "UpdateK8sResource", parameters: release::UPDATE_K8S_RESOURCE },
    Offer { operation: "UpdateK8sSecret", parameters: config::UPDATE_K8S_SECRET },
    Offer { operation: "UpdateK8sService", parameters: network::UPDATE_K8S_SERVICE },
    Offer { operation: "UpdateK8sSlb", parameters: network::UPDATE_K8S_SLB },
    Offer { operation: "WatchOrder", parameters: order::WATCH_ORDER },
];

/// Whether `operation` is offered.
#[must_use]
pub fn is_offered(operation: &Operation) -> bool {
    offer(&operation.name).is_some()
}

/// The offer of the operation with this name.
#[must_use]
pub fn offer(name: &str) -> Option<&'static Offer> {
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
            for parameter in offer.parameters {
                assert!(
                    operation.takes(parameter.name),
                    "{} does not document {}",
                    offer.operation,
                    parameter.name
                );
            }
        }
    }
}
