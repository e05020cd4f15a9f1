//! Which operations this server offers, and which of their parameters it reads: the
//! one table of it.
//!
//! A documented parameter that is not in it is refused by name, never dropped in silence
//! ([`judge`]). Tests hold the table, the router and the OpenAPI document together.

use super::{
    contract::Operation,
    parameter::{
        Parameter, access, application, cluster, config, insert, network, order, package, release,
    },
};

use domain::access::{
    Action,
    Group::{self, *},
};

use Object::*;

mod judge;
mod known;

pub use crate::wire::offered::judge::{check, ignored, unread};
pub use crate::wire::offered::known::knows_action;
#[cfg(test)]
pub(crate) use judge::SAY_NOTHING;

/// An operation that is offered.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    pub operation: &'static str,
    /// The group that RAM has its action in.
    pub group: Group,
    /// What it is done to: the service judges this, where it finds it.
    pub object: Object,
    /// The parameters that its handler reads.
    pub parameters: &'static [Parameter],
}

/// What an operation is done to, and how that is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// The application of an id, in the transaction that reads its row.
    Application,
    /// The application of a change order, likewise.
    Order,
    /// The application of a change order of a batch, likewise.
    Batch,
    /// An application by its namespace and name; it need not be there.
    Named,
    /// Applications, each of them: a list shows those that may be seen.
    Applications,
    /// An object of this kind beside the Deployments of a Kubernetes namespace.
    Beside(&'static str),
    /// The cluster.
    Cluster,
    /// A config template by its number.
    Template,
    /// An EDAS namespace by its name.
    Region,
    /// Access keys, principals and policies: only somebody who may do everything gets at them.
    Access,
    /// What holds orders off, by a rule's name.
    Hold,
    /// Nothing that anybody owns: the action alone is judged.
    Server,
}

impl Offer {
    /// The action that somebody must be allowed.
    #[must_use]
    pub const fn action(&self) -> Action {
        Action::new(self.operation, self.group)
    }

    /// The parameter of this name, if the handler reads it.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

const fn offered(
    operation: &'static str,
    group: Group,
    object: Object,
    parameters: &'static [Parameter],
) -> Offer {
    Offer { operation, group, object, parameters }
}

/// Everything that is offered, sorted by name.
pub const OFFERS: &[Offer] = &[
    offered(
        "AbortAndRollbackChangeOrder",
        ManageApplication,
        Order,
        order::ABORT_AND_ROLLBACK_CHANGE_ORDER,
    ),
    offered("AbortChangeOrder", ManageApplication, Order, order::ABORT_CHANGE_ORDER),
    offered("AdoptDeployment", ManageApplication, Named, release::ADOPT_DEPLOYMENT),
    offered("ApproveChangeOrder", ManageApplication, Order, order::APPROVE_CHANGE_ORDER),
    offered("AttachPolicy", ManageAccess, Access, access::ATTACH_POLICY),
    offered("BindK8sSlb", ManageApplication, Application, network::BIND_K8S_SLB),
    offered("ContinuePipeline", ManageApplication, Batch, order::CONTINUE_PIPELINE),
    offered("ConvertK8sResource", ManageApplication, Named, release::CONVERT_K8S_RESOURCE),
    offered("CreateAccessKey", ManageAccess, Access, access::CREATE_ACCESS_KEY),
    offered(
        "CreateApplicationScalingRule",
        ManageApplication,
        Application,
        application::CREATE_APPLICATION_SCALING_RULE,
    ),
    offered("CreateConfigTemplate", ManageConfig, Template, config::CREATE_CONFIG_TEMPLATE),
    offered("CreateHoldRule", ManageHolds, Hold, order::CREATE_HOLD_RULE),
    offered("CreateK8sConfigMap", ManageConfig, Beside("configmap"), config::CREATE_K8S_CONFIG_MAP),
    offered(
        "CreateK8sIngressRule",
        ManageConfig,
        Beside("ingress"),
        network::CREATE_K8S_INGRESS_RULE,
    ),
    offered("CreateK8sSecret", ManageConfig, Beside("secret"), config::CREATE_K8S_SECRET),
    offered("CreateK8sService", ManageApplication, Application, network::CREATE_K8S_SERVICE),
    offered("CreatePolicy", ManageAccess, Access, access::CREATE_POLICY),
    offered("CreatePrincipal", ManageAccess, Access, access::CREATE_PRINCIPAL),
    offered("DeleteAccessKey", ManageAccess, Access, access::DELETE_ACCESS_KEY),
    offered("DeleteApplication", ManageApplication, Application, application::DELETE_APPLICATION),
    offered(
        "DeleteApplicationScalingRule",
        ManageApplication,
        Application,
        application::DELETE_APPLICATION_SCALING_RULE,
    ),
    offered("DeleteCluster", ManageCluster, Cluster, cluster::DELETE_CLUSTER),
    offered("DeleteConfigTemplate", ManageConfig, Template, config::DELETE_CONFIG_TEMPLATE),
    offered("DeleteHoldRule", ManageHolds, Hold, order::DELETE_HOLD_RULE),
    offered(
        "DeleteK8sApplication",
        ManageApplication,
        Application,
        application::DELETE_K8S_APPLICATION,
    ),
    offered("DeleteK8sConfigMap", ManageConfig, Beside("configmap"), config::DELETE_K8S_CONFIG_MAP),
    offered(
        "DeleteK8sIngressRule",
        ManageConfig,
        Beside("ingress"),
        network::DELETE_K8S_INGRESS_RULE,
    ),
    offered("DeleteK8sSecret", ManageConfig, Beside("secret"), config::DELETE_K8S_SECRET),
    offered("DeleteK8sService", ManageApplication, Application, network::DELETE_K8S_SERVICE),
    offered("DeletePolicy", ManageAccess, Access, access::DELETE_POLICY),
    offered("DeletePrincipal", ManageAccess, Access, access::DELETE_PRINCIPAL),
    offered("DeleteUserDefineRegion", ManageNamespace, Region, cluster::DELETE_USER_DEFINE_REGION),
    offered(
        "DeployK8sApplication",
        ManageApplication,
        Application,
        release::DEPLOY_K8S_APPLICATION,
    ),
    offered(
        "DescribeAppInstanceList",
        ReadApplication,
        Application,
        application::DESCRIBE_APP_INSTANCE_LIST,
    ),
    offered(
        "DescribeApplicationScalingRules",
        ReadApplication,
        Application,
        application::DESCRIBE_APPLICATION_SCALING_RULES,
    ),
    offered("DetachPolicy", ManageAccess, Access, access::DETACH_POLICY),
    offered("DisableAccessKey", ManageAccess, Access, access::DISABLE_ACCESS_KEY),
    offered(
        "DisableApplicationScalingRule",
        ManageApplication,
        Application,
        application::DISABLE_APPLICATION_SCALING_RULE,
    ),
    offered("EnableAccessKey", ManageAccess, Access, access::ENABLE_ACCESS_KEY),
    offered(
        "EnableApplicationScalingRule",
        ManageApplication,
        Application,
        application::ENABLE_APPLICATION_SCALING_RULE,
    ),
    offered("GetAccessKey", ManageAccess, Access, access::GET_ACCESS_KEY),
    offered("GetAppDeployment", ReadApplication, Application, application::GET_APP_DEPLOYMENT),
    offered("GetApplication", ReadApplication, Application, application::GET_APPLICATION),
    offered(
        "GetApplicationContainer",
        ReadApplication,
        Application,
        application::GET_APPLICATION_CONTAINER,
    ),
    offered("GetApplicationLogs", ReadApplication, Application, application::GET_APPLICATION_LOGS),
    offered("GetChangeOrderInfo", ReadApplication, Order, order::GET_CHANGE_ORDER_INFO),
    offered("GetCluster", ReadCluster, Cluster, cluster::GET_CLUSTER),
    offered(
        "GetJavaStartUpConfig",
        ReadApplication,
        Application,
        application::GET_JAVA_START_UP_CONFIG,
    ),
    offered(
        "GetK8sAppPrecheckResult",
        ReadApplication,
        Named,
        release::GET_K8S_APP_PRECHECK_RESULT,
    ),
    offered("GetK8sApplication", ReadApplication, Application, application::GET_K8S_APPLICATION),
    offered("GetK8sCluster", ReadCluster, Cluster, cluster::GET_K8S_CLUSTER),
    offered("GetK8sServices", ReadApplication, Application, network::GET_K8S_SERVICES),
    offered("GetOrder", ReadApplication, Order, order::GET_ORDER),
    offered(
        "GetPackageStorageCredential",
        ManageApplication,
        Server,
        package::GET_PACKAGE_STORAGE_CREDENTIAL,
    ),
    offered("GetPolicy", ManageAccess, Access, access::GET_POLICY),
    offered("GetPrincipal", ManageAccess, Access, access::GET_PRINCIPAL),
    offered(
        "GetWebContainerConfig",
        ReadApplication,
        Application,
        application::GET_WEB_CONTAINER_CONFIG,
    ),
    offered("ImportK8sCluster", ManageCluster, Cluster, cluster::IMPORT_K8S_CLUSTER),
    offered("InsertK8sApplication", ManageApplication, Named, insert::INSERT_K8S_APPLICATION),
    offered("InsertOrUpdateRegion", ManageNamespace, Region, cluster::INSERT_OR_UPDATE_REGION),
    offered("LiftFreeze", ManageHolds, Order, order::LIFT_FREEZE),
    offered("ListAccessKeys", ManageAccess, Access, access::LIST_ACCESS_KEYS),
    offered("ListAliyunRegion", ReadNamespace, Server, cluster::LIST_ALIYUN_REGION),
    offered("ListApplication", ReadApplication, Applications, application::LIST_APPLICATION),
    offered("ListApplications", ReadApplication, Applications, order::LIST_APPLICATIONS),
    offered("ListBuildPack", ReadCluster, Server, application::LIST_BUILD_PACK),
    offered("ListCluster", ReadCluster, Cluster, cluster::LIST_CLUSTER),
    offered("ListComponents", ReadCluster, Server, application::LIST_COMPONENTS),
    offered("ListConfigTemplates", ReadConfig, Template, config::LIST_CONFIG_TEMPLATES),
    offered("ListDeployGroup", ReadApplication, Application, application::LIST_DEPLOY_GROUP),
    offered(
        "ListHistoryDeployVersion",
        ReadApplication,
        Application,
        release::LIST_HISTORY_DEPLOY_VERSION,
    ),
    offered("ListHoldRules", ReadNamespace, Hold, order::LIST_HOLD_RULES),
    offered("ListK8sConfigMaps", ReadConfig, Beside("configmap"), config::LIST_K8S_CONFIG_MAPS),
    offered("ListK8sIngressRules", ReadConfig, Beside("ingress"), network::LIST_K8S_INGRESS_RULES),
    offered("ListK8sNamespaces", ReadCluster, Cluster, cluster::LIST_K8S_NAMESPACES),
    offered("ListK8sSecrets", ReadConfig, Beside("secret"), config::LIST_K8S_SECRETS),
    offered("ListOrders", ReadApplication, Applications, order::LIST_ORDERS),
    offered("ListPolicies", ManageAccess, Access, access::LIST_POLICIES),
    offered("ListPrincipals", ManageAccess, Access, access::LIST_PRINCIPALS),
    offered("ListRecentChangeOrder", ReadApplication, Application, order::LIST_RECENT_CHANGE_ORDER),
    offered("ListTagResources", ReadApplication, Applications, application::LIST_TAG_RESOURCES),
    offered("ListUserDefineRegion", ReadNamespace, Region, cluster::LIST_USER_DEFINE_REGION),
    offered("PreviewDeployment", ManageApplication, Application, release::DEPLOY_K8S_APPLICATION),
    offered(
        "QueryApplicationStatus",
        ReadApplication,
        Application,
        application::QUERY_APPLICATION_STATUS,
    ),
    offered("QueryRegionConfig", ReadNamespace, Server, package::QUERY_REGION_CONFIG),
    offered("RejectChangeOrder", ManageApplication, Order, order::REJECT_CHANGE_ORDER),
    offered(
        "RestartK8sApplication",
        ManageApplication,
        Application,
        application::RESTART_K8S_APPLICATION,
    ),
    offered("RetryChangeOrderTask", ManageApplication, Batch, order::RETRY_CHANGE_ORDER_TASK),
    offered("RollbackApplication", ManageApplication, Application, release::ROLLBACK_APPLICATION),
    offered("RollbackChangeOrder", ManageApplication, Order, order::ROLLBACK_CHANGE_ORDER),
    offered("RotateAccessKey", ManageAccess, Access, access::ROTATE_ACCESS_KEY),
    offered(
        "ScaleK8sApplication",
        ManageApplication,
        Application,
        application::SCALE_K8S_APPLICATION,
    ),
    offered(
        "SetApplicationContainer",
        ManageApplication,
        Application,
        application::SET_APPLICATION_CONTAINER,
    ),
    offered("StartK8sAppPrecheck", ManageApplication, Named, release::START_K8S_APP_PRECHECK),
    offered(
        "StartK8sApplication",
        ManageApplication,
        Application,
        application::START_K8S_APPLICATION,
    ),
    offered("StepBackChangeOrder", ManageApplication, Order, order::STEP_BACK_CHANGE_ORDER),
    offered(
        "StopK8sApplication",
        ManageApplication,
        Application,
        application::STOP_K8S_APPLICATION,
    ),
    offered("TagResources", ManageApplication, Applications, application::TAG_RESOURCES),
    offered("UnbindK8sSlb", ManageApplication, Application, network::UNBIND_K8S_SLB),
    offered("UntagResources", ManageApplication, Applications, application::UNTAG_RESOURCES),
    offered(
        "UpdateApplicationScalingRule",
        ManageApplication,
        Application,
        application::UPDATE_APPLICATION_SCALING_RULE,
    ),
    offered("UpdateConfigTemplate", ManageConfig, Template, config::UPDATE_CONFIG_TEMPLATE),
    offered(
        "UpdateK8sApplicationBaseInfo",
        ManageApplication,
        Application,
        application::UPDATE_K8S_APPLICATION_BASE_INFO,
    ),
    offered(
        "UpdateK8sApplicationConfig",
        ManageApplication,
        Application,
        application::UPDATE_K8S_APPLICATION_CONFIG,
    ),
    offered("UpdateK8sConfigMap", ManageConfig, Beside("configmap"), config::UPDATE_K8S_CONFIG_MAP),
    offered(
        "UpdateK8sIngressRule",
        ManageConfig,
        Beside("ingress"),
        network::UPDATE_K8S_INGRESS_RULE,
    ),
    offered("UpdateK8sResource", ManageApplication, Named, release::UPDATE_K8S_RESOURCE),
    offered("UpdateK8sSecret", ManageConfig, Beside("secret"), config::UPDATE_K8S_SECRET),
    offered("UpdateK8sService", ManageApplication, Application, network::UPDATE_K8S_SERVICE),
    offered("UpdateK8sSlb", ManageApplication, Application, network::UPDATE_K8S_SLB),
    offered("WatchOrder", ReadApplication, Order, order::WATCH_ORDER),
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
