//! The parameters of releases: ordered, asked about, and listed.

use domain::limits::{self, REPLICAS};

use super::{
    Parameter, boolean, integer, long,
    shared::{
        ANNOTATIONS, APP_ID, APPLICATION_DESCRIPTION, CLUSTER_ID_AS_SHOWN, CONFIG_MOUNT_DESCS,
        CPU_LIMIT, CPU_REQUEST, DEPLOY_ACROSS_NODES, DEPLOY_ACROSS_ZONES, EMPTY_DIRS,
        ENABLE_LOSSLESS_RULE, ENV_FROMS, JDK, LABELS, LIMIT_EPHEMERAL_STORAGE, LIMIT_MEM,
        LIMITM_CPU, LOCAL_VOLUME, LOGICAL_REGION_ID, LOSSLESS_RULE_ALIGNED,
        LOSSLESS_RULE_DELAY_TIME, LOSSLESS_RULE_FUNC_TYPE, LOSSLESS_RULE_RELATED,
        LOSSLESS_RULE_WARMUP_TIME, MCPU_LIMIT, MCPU_REQUEST, MEMORY_LIMIT, MEMORY_REQUEST,
        NAMESPACE, OPTIONAL_CLUSTER_ID, PVC_MOUNT_DESCS, REASON, REQUESTS_EPHEMERAL_STORAGE,
        REQUESTS_MEM, REQUESTSM_CPU, TERMINATE_GRACE_PERIOD, URI_ENCODING, USE_BODY_ENCODING,
        WEB_CONTAINER,
    },
    text,
};

/// Of AdoptDeployment.
pub const ADOPT_DEPLOYMENT: &[Parameter] = &[
    text("AppName")
        .required()
        .about("Name of the Deployment, which becomes the application's.")
        .example("web"),
    CLUSTER_ID_AS_SHOWN,
    text("Namespace").about("Kubernetes namespace; `default` if absent."),
    LOGICAL_REGION_ID,
    APPLICATION_DESCRIPTION,
    text("PackageVersion")
        .about("Text of the present version, for the history; the time if absent."),
    text("ContainerName")
        .about(
            "The container of its pods that is the application's. If absent, it is the one \
             that the template's annotation `kubectl.kubernetes.io/default-container` names, \
             the only one, or the one with the application's name; where that leaves a \
             doubt, the order says so. A release whose image has the repository of exactly one other \
             container is refused until somebody chooses.",
        )
        .example("app"),
];

/// Of ConvertK8sResource.
pub const CONVERT_K8S_RESOURCE: &[Parameter] = &[
    CLUSTER_ID_AS_SHOWN,
    NAMESPACE,
    text("ResourceType").required().about("Only `deployment`, in any case.").example("deployment"),
    text("ResourceName")
        .required()
        .about("Name of the Deployment, which becomes the application's.")
        .example("web"),
];

/// Of DeployK8sApplication, and of its preview.
pub const DEPLOY_K8S_APPLICATION: &[Parameter] = &[
    APP_ID,
    text("Image")
        .about("Full image address. If absent, the image stays.")
        .example("shop/web:2.0"),
    text("ImageTag")
        .about("Only the image's tag; the repository stays. Image comes first."),
    text("PackageUrl").secret()
        .about("Address of a JAR or WAR to release in place of an image; if absent, the \
                package stays. Only where the server's operator has set that up. Its query and \
                user are never shown. A checksum may stand behind `#`: `sha256=<hex>` or \
                `md5=<hex>`. Whether it is there is looked at first; on a private network only \
                where the operator named host or network, and nothing is said of it otherwise.")
        .example("https://files.example.com/shop/web-1.0.jar"),
    JDK,
    WEB_CONTAINER,
    text("JavaStartUpConfig")
        .about("Options of the JVM, for packages: JSON object `{Name:{original,startup}}`; the \
                startup texts are joined. Empty or `{}` removes them.")
        .example(r#"{"InitialHeapSize":{"original":512,"startup":"-Xms512m"}}"#),
    text("WebContainerConfig")
        .about("Settings of the web container, for WARs: JSON with `contextInputType` = `war` \
                (the path is the file's name), `root` or `custom` (the path is `contextPath`); \
                `httpPort` (8080 if absent), `maxThreads` (400), `uriEncoding` (ISO-8859-1), \
                `useBodyEncoding` (false); or `useDefaultConfig` = true. Empty or `{}` removes \
                them.")
        .example(r#"{"contextInputType":"custom","contextPath":"shop","httpPort":8088}"#),
    URI_ENCODING,
    USE_BODY_ENCODING,
    text("PackageVersionId")
        .about("Id of a version from ListHistoryDeployVersion to release again, in place of \
                other settings."),
    text("PackageVersion")
        .about("Text of the version, for the history; the time if absent.")
        .example("2.0"),
    integer("Replicas", 0, REPLICAS)
        .about("Number of instances after the release; if absent, it stays.")
        .example("4"),
    text("UpdateStrategy")
        .about("How the release reaches the instances: JSON with `type` = `BatchUpdate` or \
                `GrayBatchUpdate`; `batchUpdate` {`batch` = number of batches, at most one for \
                each instance; `releaseType` = `auto` or `manual` (a person confirms each batch \
                after the first); `batchWaitTime` = minutes between batches, with auto only}; \
                `grayUpdate` {`gray` = instances of the canary batch, at most half}. With a \
                canary, `batch` counts the batches after it, and a person always confirms what \
                follows the canary. If absent: all at once.")
        .example(r#"{"type":"BatchUpdate","batchUpdate":{"batch":3,"releaseType":"auto","batchWaitTime":0}}"#),
    long("BatchTimeout", 1, limits::SECONDS)
        .about("Seconds that one batch may take until the order has failed; the server's \
                setting if absent."),
    integer("BatchWaitTime", 0, 86_400)
        .about("Seconds that a new instance must be ready before it counts (Kubernetes' \
                minReadySeconds). Not the pause between batches: that is in UpdateStrategy."),
    text("ChangeOrderDesc")
        .about("Free text of at most 1024 characters, shown with the order."),
    text("Envs").secret()
        .about("Environment variables: JSON list of `{\"name\",\"value\"}`, replaces all that \
                are set; a value is text, number or boolean; or `{\"name\",\"valueFrom\"}` with \
                a configMapKeyRef or secretKeyRef. Those that are there keep their place, new \
                ones come last, and where the list has another order, that counts. Empty or \
                `[]` removes them.")
        .example(r#"[{"name":"A","value":"1"}]"#),
    text("AddEnvs").secret()
        .about("Not of EDAS: environment variables, in the same form, that are added to those \
                that are there, or replace those with their names. All others stay.")
        .example(r#"[{"name":"A","value":"1"}]"#),
    text("Command")
        .about("Start command, in place of the image's. Empty removes it."),
    text("Args")
        .about("Its arguments: JSON list of texts, or of `{\"argument\"}` objects. Empty or \
                `[]` removes them.")
        .example(r#"["-c","sleep 10"]"#),
    text("Readiness")
        .about("Readiness probe: JSON with one of `httpGet`, `tcpSocket`, `exec`, and \
                `initialDelaySeconds`, `periodSeconds`, `timeoutSeconds`, `successThreshold`, \
                `failureThreshold`. Keys in any case. Empty or `{}` removes it.")
        .example(r#"{"tcpSocket":{"port":8080},"periodSeconds":5}"#),
    text("Liveness")
        .about("Liveness probe, in the same form. Empty or `{}` removes it."),
    CPU_LIMIT,
    MCPU_LIMIT,
    CPU_REQUEST,
    MCPU_REQUEST,
    MEMORY_LIMIT,
    MEMORY_REQUEST,
    text("Annotations")
        .about("Annotations of the instances: JSON object of texts. Absent keeps those that \
                were given, empty or `{}` removes them. Others that are there stay.")
        .example(r#"{"team":"shop"}"#),
    text("Labels")
        .about("Labels of the instances: JSON object of texts. Absent keeps those that were \
                given, empty or `{}` removes them. Others that are there stay; those that \
                select the instances cannot change.")
        .example(r#"{"tier":"front"}"#),
    text("EnvFroms")
        .about("ConfigMaps and Secrets whose keys are all variables: JSON list of \
                `{\"configMapRef\":{\"name\"}}` or `{\"secretRef\":{\"name\"}}`. Absent keeps \
                those that were given, empty or `[]` removes them.")
        .example(r#"[{"configMapRef":{"name":"settings"}}]"#),
    text("Startup")
        .about("Start-up probe, in the form of Readiness. Empty removes it."),
    text("PostStart")
        .about("Hook after the start: JSON with one of `exec`, `httpGet`, `tcpSocket`. Empty \
                removes it.")
        .example(r#"{"exec":{"command":["sh","-c","echo hello"]}}"#),
    text("PreStop")
        .about("Hook before the end, in the same form. Empty removes it.")
        .example(r#"{"exec":{"command":["sleep","5"]}}"#),
    ENABLE_LOSSLESS_RULE,
    LOSSLESS_RULE_DELAY_TIME,
    LOSSLESS_RULE_WARMUP_TIME,
    LOSSLESS_RULE_FUNC_TYPE,
    LOSSLESS_RULE_ALIGNED,
    LOSSLESS_RULE_RELATED,
    TERMINATE_GRACE_PERIOD,
    integer("LimitEphemeralStorage", 0, 1_000_000)
        .about("Limit of the disk space in GB. 0 removes it."),
    integer("RequestsEphemeralStorage", 0, 1_000_000)
        .about("Request of disk space in GB. 0 removes it."),
    text("ConfigMountDescs")
        .about("ConfigMaps and Secrets as files: JSON list of `{name, type, mountPath}`, type \
                `ConfigMap` or `Secret`. Absent keeps those that were given, empty or `[]` \
                removes them.")
        .example(r#"[{"name":"settings","type":"ConfigMap","mountPath":"/etc/shop"}]"#),
    text("LocalVolume")
        .about("Folders of the node: JSON list of `{type, nodePath, mountPath}`, type empty or \
                a hostPath type of Kubernetes. Absent keeps those that were given, empty or \
                `[]` removes them.")
        .example(r#"[{"type":"","nodePath":"/var/log","mountPath":"/logs"}]"#),
    text("EmptyDirs")
        .about("Empty folders: JSON list of `{mountPath, readOnly, subPathExpr}`. Absent keeps \
                those that were given, empty or `[]` removes them.")
        .example(r#"[{"mountPath":"/scratch"}]"#),
    text("PvcMountDescs")
        .about("PersistentVolumeClaims: JSON list of `{pvcName, mountPaths: [{mountPath, \
                readOnly}]}`. Absent keeps those that were given, empty or `[]` removes them.")
        .example(r#"[{"pvcName":"data","mountPaths":[{"mountPath":"/data"}]}]"#),
    DEPLOY_ACROSS_NODES,
    DEPLOY_ACROSS_ZONES,
    text("CustomAffinity")
        .about("Kubernetes affinity as JSON; counts where neither DeployAcrossNodes nor \
                DeployAcrossZones is true. Empty removes it."),
    text("CustomTolerations")
        .about("Kubernetes tolerations as a JSON list; likewise. Empty removes it."),
    text("RuntimeClassName")
        .about("Name of the container runtime class. Empty removes it."),
    text("SecurityContext")
        .about("Kubernetes securityContext as YAML in base64: the instance's if it has a key \
                that only those have (such as fsGroup), else the container's. Empty removes it."),
    text("InitContainers")
        .about("Containers that run before: JSON list of `{yamlEncoded}`, a container's YAML \
                in base64. Absent keeps those that were given, empty or `[]` removes them."),
    text("Sidecars")
        .about("Containers beside, in the same form. Absent keeps those that were given, empty \
                or `[]` removes them."),
    integer("DrainSeconds", 0, 600)
        .about("Not of EDAS: seconds for which an instance that goes still answers (a preStop \
                hook that sleeps); its termination grace period is raised to hold them. A hook \
                of another kind is replaced. 0 removes it.")
        .example("5"),
    text("PlanHash")
        .about("Not of EDAS: the PlanHash of a preview. Where the release would do something \
                else by now, it is refused."),
    boolean("AllowNoSurge")
        .about("Not of EDAS: where there is no room for more instances than the desired number \
                (a quota, nodes), old ones may go before new ones come, one batch at a time. \
                Without it such a release is refused."),
];

/// Of RollbackApplication.
pub const ROLLBACK_APPLICATION: &[Parameter] = &[
    APP_ID,
    text("GroupId")
        .required()
        .about("Instance group: `all`, or any; a Kubernetes application has only one.")
        .example("all"),
    text("HistoryVersion")
        .required()
        .about("PackageVersion of an item of ListHistoryDeployVersion.")
        .example("1.0"),
    integer("Batch", 1, 5).about("Number of batches; 1 if absent."),
    integer("BatchWaitTime", 0, 5).about("Minutes between batches; 0 if absent."),
    REASON,
];

/// Of ListHistoryDeployVersion.
pub const LIST_HISTORY_DEPLOY_VERSION: &[Parameter] = &[APP_ID];

/// Of StartK8sAppPrecheck.
pub const START_K8S_APP_PRECHECK: &[Parameter] = &[
    CLUSTER_ID_AS_SHOWN,
    NAMESPACE,
    text("AppId").about("The application, where there is one: a release of it is looked at."),
    text("AppName")
        .about("Name of an application that does not exist yet: its creation is looked at.")
        .example("web"),
    text("ImageUrl").about("Full image address; required without AppId.").example("shop/web:1.0"),
    integer("Replicas", 0, REPLICAS)
        .about("Number of instances; that of the application, or 1, if absent."),
    text("Envs").secret().about("Environment variables, as in InsertK8sApplication."),
    LIMITM_CPU,
    REQUESTSM_CPU,
    LIMIT_MEM,
    REQUESTS_MEM,
    ANNOTATIONS,
    LABELS,
    ENV_FROMS,
    CONFIG_MOUNT_DESCS,
    LOCAL_VOLUME,
    EMPTY_DIRS,
    PVC_MOUNT_DESCS,
    LIMIT_EPHEMERAL_STORAGE,
    REQUESTS_EPHEMERAL_STORAGE,
];

/// Of GetK8sAppPrecheckResult.
pub const GET_K8S_APP_PRECHECK_RESULT: &[Parameter] = &[
    CLUSTER_ID_AS_SHOWN,
    NAMESPACE,
    text("AppName").required().about("Name of the application.").example("web"),
];

/// Of UpdateK8sResource.
pub const UPDATE_K8S_RESOURCE: &[Parameter] = &[
    OPTIONAL_CLUSTER_ID,
    text("Namespace").about("The Kubernetes namespace; if absent, the text's, or `default`."),
    text("ResourceContent").required().about(
        "The Deployment, as YAML or JSON: `apps/v1`, with the name of an application. \
         No error shows it.",
    ),
];
