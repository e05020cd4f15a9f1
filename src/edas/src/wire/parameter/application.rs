//! The parameters of applications.

use domain::{
    limits::{self, REPLICAS},
    observed::cluster_state::LOGGED_LINES,
};

use super::{
    Parameter, boolean, integer, long,
    shared::{
        APP_ID, CPU_LIMIT, CPU_REQUEST, CURRENT_PAGE, MCPU_LIMIT, MCPU_REQUEST, MEMORY_LIMIT,
        MEMORY_REQUEST, OPTIONAL_CLUSTER_ID, REASON,
    },
    text,
};

pub(super) const TIMEOUT: Parameter = long("Timeout", 1, limits::SECONDS)
    .about("Seconds until the order has failed; the server's setting for a batch if absent.");

pub(super) const SHORT_TIMEOUT: Parameter =
    long("Timeout", 1, 1800).about("Seconds until the order has failed; 600 if absent.");

pub(super) const IDLE_APP_ID: Parameter =
    text("AppId").required().about("The application's id. None of its orders may be open.");

pub(super) const SCALING_RULE_NAME: Parameter =
    text("ScalingRuleName").required().about("The rule's name.");

pub(super) const RESOURCE_TYPE: Parameter =
    text("ResourceType").required().about("Only `application`.").example("application");

pub(super) const RESOURCE_REGION_ID: Parameter = text("ResourceRegionId")
    .required()
    .about("A region; the server has only one, and finds its applications whatever is given.");

pub(super) const RESOURCE_IDS: Parameter = text("ResourceIds").required().about(
    "The applications' ids, at most 20: JSON list of texts, or `ResourceIds.1` and so \
     on.",
);

/// Of ListComponents.
pub const LIST_COMPONENTS: &[Parameter] = &[];

/// Of ListBuildPack.
pub const LIST_BUILD_PACK: &[Parameter] = &[];

/// Of GetApplicationContainer.
pub const GET_APPLICATION_CONTAINER: &[Parameter] = &[APP_ID];

/// Of GetApplicationLogs.
pub const GET_APPLICATION_LOGS: &[Parameter] = &[
    APP_ID,
    text("PodName").about(
        "Only of this pod of the application. If absent, of the first 10, those first that are \
         not Ready.",
    ),
    text("ContainerName").about("The container; the application's if absent.").example("app"),
    boolean("Previous")
        .about("`true`: of the container that ended before the present one was started."),
    integer("Lines", 1, LOGGED_LINES as i64).about("Last lines of each log; 200 if absent."),
];

/// Of SetApplicationContainer.
pub const SET_APPLICATION_CONTAINER: &[Parameter] = &[
    APP_ID,
    text("ContainerName")
        .about(
            "The container's name, one of the pod template's. Absent or empty: the template \
             says it again.",
        )
        .example("app"),
];

/// Of ListDeployGroup.
pub const LIST_DEPLOY_GROUP: &[Parameter] = &[APP_ID];

/// Of DescribeAppInstanceList.
pub const DESCRIBE_APP_INSTANCE_LIST: &[Parameter] = &[
    APP_ID,
    boolean("WithNodeInfo").about("Whether the labels of nodes are given too; false if absent."),
];

/// Of GetAppDeployment.
pub const GET_APP_DEPLOYMENT: &[Parameter] = &[APP_ID];

/// Of GetJavaStartUpConfig.
pub const GET_JAVA_START_UP_CONFIG: &[Parameter] = &[APP_ID];

/// Of GetWebContainerConfig.
pub const GET_WEB_CONTAINER_CONFIG: &[Parameter] = &[APP_ID];

/// Of GetK8sApplication.
pub const GET_K8S_APPLICATION: &[Parameter] =
    &[APP_ID, text("From").about("`deploy` (as the deploy form sees it); the reply is the same.")];

/// Of ScaleK8sApplication.
pub const SCALE_K8S_APPLICATION: &[Parameter] = &[
    APP_ID,
    integer("Replicas", 0, REPLICAS).required().about("Number of instances.").example("4"),
    TIMEOUT,
    REASON,
];

/// Of StopK8sApplication.
pub const STOP_K8S_APPLICATION: &[Parameter] = &[APP_ID, TIMEOUT, REASON];

/// Of StartK8sApplication.
pub const START_K8S_APPLICATION: &[Parameter] = &[
    text("AppId").required().about("The application's id. It must have no instances."),
    integer("Replicas", 1, REPLICAS).about(
        "Number of instances; if absent, as many as there were when it was stopped, or \
         1.",
    ),
    SHORT_TIMEOUT,
    REASON,
];

/// Of RestartK8sApplication.
pub const RESTART_K8S_APPLICATION: &[Parameter] = &[
    text("AppId").required().about("The application's id. It must not be stopped."),
    TIMEOUT,
    REASON,
];

/// Of UpdateK8sApplicationConfig.
pub const UPDATE_K8S_APPLICATION_CONFIG: &[Parameter] = &[
    APP_ID,
    OPTIONAL_CLUSTER_ID,
    CPU_LIMIT,
    MCPU_LIMIT,
    CPU_REQUEST,
    MCPU_REQUEST,
    MEMORY_LIMIT,
    MEMORY_REQUEST,
    integer("EphemeralStorageLimit", 0, 1_000_000)
        .about("Limit of the disk space in GB; 0 removes it."),
    integer("EphemeralStorageRequest", 0, 1_000_000)
        .about("Request of disk space in GB; 0 removes it."),
    SHORT_TIMEOUT,
];

/// Of UpdateK8sApplicationBaseInfo.
pub const UPDATE_K8S_APPLICATION_BASE_INFO: &[Parameter] = &[
    APP_ID,
    text("Description").about("Free text of at most 256 characters."),
    text("Owner").about("Whose it is, in at most 128 characters."),
    text("Email").about("The owner's address, of at most 256 characters."),
    text("PhoneNumber").about("The owner's telephone number, of at most 64 characters."),
];

/// Of DeleteK8sApplication.
pub const DELETE_K8S_APPLICATION: &[Parameter] = &[
    IDLE_APP_ID,
    boolean("Force").about("Says nothing here: no application is protected from being deleted."),
    boolean("KeepDeployment").about(
        "Not of EDAS: `true` ends the application and leaves its Deployment and pods as \
         they run; AdoptDeployment makes it one again. Refused while a release rests \
         half way.",
    ),
    REASON,
];

/// Of DeleteApplication.
pub const DELETE_APPLICATION: &[Parameter] = &[IDLE_APP_ID];

/// Of ListApplication.
pub const LIST_APPLICATION: &[Parameter] = &[
    text("AppName").about("Only applications with exactly this name."),
    text("AppIds").about("Only applications with these ids: JSON list of texts."),
    text("ClusterId").about("Only applications on this cluster."),
    text("LogicalRegionId").about(
        "Only applications in this EDAS namespace; a region alone stands for all of its \
         namespaces.",
    ),
    text("LogicalRegionIdFilter").about("Only applications in exactly this EDAS namespace."),
    CURRENT_PAGE,
    integer("PageSize", 1, 10_000).about("Applications on a page; all if absent."),
];

/// Of GetApplication.
pub const GET_APPLICATION: &[Parameter] = &[APP_ID];

/// Of CreateApplicationScalingRule.
pub const CREATE_APPLICATION_SCALING_RULE: &[Parameter] = &[
    APP_ID,
    text("ScalingRuleName").required()
        .about("The rule's name: a lower-case letter, then lower-case letters, digits and `-`, \
                at most 32."),
    text("ScalingRuleType")
        .about("`trigger`, which it is if absent; `metric` means the same."),
    text("ScalingRuleTrigger")
        .about("What it goes by: JSON with `minReplicas` (1 or more), `maxReplicas` (at most \
                1000) and `triggers` of the types `cpu` and `memory`, each with the average use \
                in percent that is aimed at. This or ScalingRuleMetric is needed.")
        .example(r#"{"minReplicas":2,"maxReplicas":10,"triggers":[{"name":"busy","type":"cpu","metaData":{"type":"Utilization","value":"60"}}]}"#),
    text("ScalingRuleMetric")
        .about("The same in the older form.")
        .example(r#"{"minReplicas":2,"maxReplicas":10,"metrics":[{"metricType":"CPU","metricTargetAverageUtilization":60}]}"#),
    text("ScalingBehaviour")
        .about("How fast it adds pods and takes them away: JSON as the `behavior` of a \
                HorizontalPodAutoscaler.")
        .example(r#"{"scaleUp":{"stabilizationWindowSeconds":0,"selectPolicy":"Max","policies":[{"type":"Pods","value":5,"periodSeconds":15}]}}"#),
    boolean("ScalingRuleEnable")
        .about("Whether it is enabled; yes if absent."),
];

/// Of UpdateApplicationScalingRule.
pub const UPDATE_APPLICATION_SCALING_RULE: &[Parameter] = &[
    APP_ID,
    SCALING_RULE_NAME,
    text("ScalingRuleType").about("As in CreateApplicationScalingRule."),
    text("ScalingRuleTrigger")
        .about("As in CreateApplicationScalingRule; it replaces range and triggers."),
    text("ScalingRuleMetric").about("The same in the older form."),
    text("ScalingBehaviour")
        .about("As in CreateApplicationScalingRule; empty or `{}` leaves it to Kubernetes."),
    boolean("ScalingRuleEnable").about("Whether it is enabled."),
];

/// Of DescribeApplicationScalingRules.
pub const DESCRIBE_APPLICATION_SCALING_RULES: &[Parameter] = &[APP_ID];

/// Of EnableApplicationScalingRule.
pub const ENABLE_APPLICATION_SCALING_RULE: &[Parameter] = &[APP_ID, SCALING_RULE_NAME];

/// Of DisableApplicationScalingRule.
pub const DISABLE_APPLICATION_SCALING_RULE: &[Parameter] = &[APP_ID, SCALING_RULE_NAME];

/// Of DeleteApplicationScalingRule.
pub const DELETE_APPLICATION_SCALING_RULE: &[Parameter] = &[APP_ID, SCALING_RULE_NAME];

/// Of QueryApplicationStatus.
pub const QUERY_APPLICATION_STATUS: &[Parameter] = &[APP_ID];

/// Of TagResources.
pub const TAG_RESOURCES: &[Parameter] = &[
    RESOURCE_TYPE,
    RESOURCE_REGION_ID,
    RESOURCE_IDS,
    text("Tags").required().about(
        "The tags: JSON list of `{\"key\",\"value\"}`, or `Tags.1.key`, `Tags.1.value` \
         and so on. An application has at most 20.",
    ),
];

/// Of UntagResources.
pub const UNTAG_RESOURCES: &[Parameter] = &[
    RESOURCE_TYPE,
    RESOURCE_REGION_ID,
    RESOURCE_IDS,
    text("TagKeys")
        .about("Keys of the tags, at most 20: JSON list of texts, or `TagKeys.1` and so on."),
    boolean("DeleteAll").about("Whether all tags go; only without TagKeys."),
];

/// Of ListTagResources.
pub const LIST_TAG_RESOURCES: &[Parameter] = &[
    RESOURCE_TYPE,
    RESOURCE_REGION_ID,
    text("ResourceIds").about(
        "Only tags of these applications, at most 20: JSON list of texts, or \
         `ResourceIds.1` and so on.",
    ),
    text("Tags").about(
        "Only of applications with these tags: JSON list of `{\"key\",\"value\"}`, \
         where without a value any counts; or `Tags.1.key` and so on.",
    ),
];
