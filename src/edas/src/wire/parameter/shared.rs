//! Parameters that operations of several families read.

use super::{Parameter, boolean, integer, long, text};

pub(super) const APP_ID: Parameter = text("AppId").required().about("The application's id.");

pub(super) const REASON: Parameter = text("Reason").about(
    "Not of EDAS: why, in at most 500 characters. It stands with what happened to the order.",
);

pub(super) const OPTIONAL_CLUSTER_ID: Parameter =
    text("ClusterId").about("The cluster's id, if given.");

pub(super) const CPU_LIMIT: Parameter = integer("CpuLimit", 0, 1_000_000)
    .about("Processor limit in cores; 0 removes it. McpuLimit comes first.");

pub(super) const MCPU_LIMIT: Parameter =
    integer("McpuLimit", 0, 1_000_000_000).about("Processor limit in millicores; 0 removes it.");

pub(super) const CPU_REQUEST: Parameter = integer("CpuRequest", 0, 1_000_000)
    .about("Processor request in cores; 0 removes it. McpuRequest comes first.");

pub(super) const MCPU_REQUEST: Parameter = integer("McpuRequest", 0, 1_000_000_000)
    .about("Processor request in millicores; 0 removes it.");

pub(super) const MEMORY_LIMIT: Parameter =
    integer("MemoryLimit", 0, 1_000_000_000).about("Memory limit in MB; 0 removes it.");

pub(super) const MEMORY_REQUEST: Parameter =
    integer("MemoryRequest", 0, 1_000_000_000).about("Memory request in MB; 0 removes it.");

pub(super) const CURRENT_PAGE: Parameter =
    integer("CurrentPage", 1, 1_000_000).about("Number of the page, from 1.");

pub(super) const CLUSTER_ID: Parameter = text("ClusterId").required().about("The cluster's id.");

pub(super) const NAMESPACE: Parameter =
    text("Namespace").required().about("The Kubernetes namespace.");

pub(super) const ONLY_NAMESPACE: Parameter =
    text("Namespace").about("Only those of this Kubernetes namespace; all if absent.");

pub(super) const CONDITION: Parameter = text("Condition").about(
    "Only those whose name begins so: JSON `{\"field\":\"Name\",\"pattern\":\"…\"}`; or \
     with the field `ClusterName`, whose cluster's name does.",
);

pub(super) const CLUSTER_ID_AS_SHOWN: Parameter = text("ClusterId")
    .required()
    .about("The cluster's id, as GetK8sCluster shows it.")
    .example("default");

pub(super) const JDK: Parameter = text("JDK")
    .about("JDK for the package, one of the operator's table. Says nothing with an image.")
    .example("Open JDK 8");

pub(super) const WEB_CONTAINER: Parameter = text("WebContainer")
    .about(
        "Web container for a WAR, one of the operator's table. Says nothing with an image \
         or a JAR.",
    )
    .example("apache-tomcat-7.0.91");

pub(super) const URI_ENCODING: Parameter = text("UriEncoding").about(
    "The web container's encoding of addresses alone: `ISO-8859-1`, `GBK`, `GB2312` or \
     `UTF-8`.",
);

pub(super) const USE_BODY_ENCODING: Parameter = boolean("UseBodyEncoding")
    .about("Whether the web container reads addresses in the encoding of the body, alone.");

pub(super) const LOGICAL_REGION_ID: Parameter = text("LogicalRegionId")
    .about("EDAS namespace, `<region>` or `<region>:<name>`; the server's region if absent.");

pub(super) const APPLICATION_DESCRIPTION: Parameter =
    text("ApplicationDescription").about("Free text of at most 1024 characters.");

pub(super) const LIMITM_CPU: Parameter =
    integer("LimitmCpu", 0, 1_000_000_000).about("Processor limit in millicores; 0 = none.");

pub(super) const REQUESTSM_CPU: Parameter =
    integer("RequestsmCpu", 0, 1_000_000_000).about("Processor request in millicores; 0 = none.");

pub(super) const LIMIT_MEM: Parameter =
    integer("LimitMem", 0, 1_000_000_000).about("Memory limit in MB; 0 = none.");

pub(super) const REQUESTS_MEM: Parameter =
    integer("RequestsMem", 0, 1_000_000_000).about("Memory request in MB; 0 = none.");

pub(super) const ANNOTATIONS: Parameter = text("Annotations")
    .about("Annotations of the instances: JSON object of texts. Others that are there stay.")
    .example(r#"{"team":"shop"}"#);

pub(super) const LABELS: Parameter = text("Labels")
    .about(
        "Labels of the instances: JSON object of texts. Others that are there stay; those \
         that select the instances cannot change.",
    )
    .example(r#"{"tier":"front"}"#);

pub(super) const ENV_FROMS: Parameter = text("EnvFroms")
    .about(
        "ConfigMaps and Secrets whose keys are all variables: JSON list of \
         `{\"configMapRef\":{\"name\"}}` or `{\"secretRef\":{\"name\"}}`.",
    )
    .example(r#"[{"configMapRef":{"name":"settings"}}]"#);

pub(super) const ENABLE_LOSSLESS_RULE: Parameter = boolean("EnableLosslessRule").about(
    "Graceful start, as far as plain Kubernetes has it: `true` switches the rule on, \
     which then holds for later versions too, and lets instances that go answer for 5 \
     more seconds where they have no PreStop hook. `false` switches it off and brings \
     back what was there before.",
);

pub(super) const LOSSLESS_RULE_DELAY_TIME: Parameter = integer("LosslessRuleDelayTime", 0, 86_400)
    .about(
        "Seconds after its start until an instance is asked whether it is ready: the least \
         `initialDelaySeconds` of the readiness probe. Without a probe it has no effect, and \
         the order says so.",
    );

pub(super) const LOSSLESS_RULE_WARMUP_TIME: Parameter =
    integer("LosslessRuleWarmupTime", 0, 86_400).about(
        "Seconds for which an instance must have been ready before a release takes an old \
         one away for it. Less than the time of a batch, together with the delay.",
    );

pub(super) const LOSSLESS_RULE_FUNC_TYPE: Parameter = integer("LosslessRuleFuncType", 0, 20).about(
    "Curve of the traffic during the warm-up. Stored and shown; it has no effect, and \
     the order says so.",
);

pub(super) const LOSSLESS_RULE_ALIGNED: Parameter = boolean("LosslessRuleAligned").about(
    "Readiness waits for the registration. Stored and shown; `true` has no effect, and \
     the order says so.",
);

pub(super) const LOSSLESS_RULE_RELATED: Parameter = boolean("LosslessRuleRelated").about(
    "Readiness waits for the warm-up. Stored and shown; `true` has no effect, and the \
     order says so.",
);

pub(super) const TERMINATE_GRACE_PERIOD: Parameter = long("TerminateGracePeriod", 0, 86_400)
    .about("Seconds that an instance has to end after it was told to.");

pub(super) const LIMIT_EPHEMERAL_STORAGE: Parameter =
    integer("LimitEphemeralStorage", 0, 1_000_000)
        .about("Limit of the disk space in GB. 0 = none.");

pub(super) const REQUESTS_EPHEMERAL_STORAGE: Parameter =
    integer("RequestsEphemeralStorage", 0, 1_000_000)
        .about("Request of disk space in GB. 0 = none.");

pub(super) const CONFIG_MOUNT_DESCS: Parameter = text("ConfigMountDescs")
    .about(
        "ConfigMaps and Secrets as files: JSON list of `{name, type, mountPath}`, type \
         `ConfigMap` or `Secret`.",
    )
    .example(r#"[{"name":"settings","type":"ConfigMap","mountPath":"/etc/shop"}]"#);

pub(super) const LOCAL_VOLUME: Parameter = text("LocalVolume")
    .about(
        "Folders of the node: JSON list of `{type, nodePath, mountPath}`, type empty or a \
         hostPath type of Kubernetes.",
    )
    .example(r#"[{"type":"","nodePath":"/var/log","mountPath":"/logs"}]"#);

pub(super) const EMPTY_DIRS: Parameter = text("EmptyDirs")
    .about("Empty folders: JSON list of `{mountPath, readOnly, subPathExpr}`.")
    .example(r#"[{"mountPath":"/scratch"}]"#);

pub(super) const PVC_MOUNT_DESCS: Parameter = text("PvcMountDescs")
    .about(
        "PersistentVolumeClaims: JSON list of `{pvcName, mountPaths: [{mountPath, \
         readOnly}]}`.",
    )
    .example(r#"[{"pvcName":"data","mountPaths":[{"mountPath":"/data"}]}]"#);

pub(super) const DEPLOY_ACROSS_NODES: Parameter = text("DeployAcrossNodes").about(
    "`true`: instances are kept apart by node where that is possible; the rest of the \
     affinity stays. Any other text: they are not.",
);

pub(super) const DEPLOY_ACROSS_ZONES: Parameter =
    text("DeployAcrossZones").about("`true`: the same by zone.");
