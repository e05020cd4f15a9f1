//! The parameters of InsertK8sApplication.

use domain::limits::REPLICAS;

use super::{
    Parameter, integer, long,
    shared::{
        ANNOTATIONS, APPLICATION_DESCRIPTION, CLUSTER_ID_AS_SHOWN, CONFIG_MOUNT_DESCS,
        DEPLOY_ACROSS_NODES, DEPLOY_ACROSS_ZONES, EMPTY_DIRS, ENABLE_LOSSLESS_RULE, ENV_FROMS, JDK,
        LABELS, LIMIT_EPHEMERAL_STORAGE, LIMIT_MEM, LIMITM_CPU, LOCAL_VOLUME, LOGICAL_REGION_ID,
        LOSSLESS_RULE_ALIGNED, LOSSLESS_RULE_DELAY_TIME, LOSSLESS_RULE_FUNC_TYPE,
        LOSSLESS_RULE_RELATED, LOSSLESS_RULE_WARMUP_TIME, PVC_MOUNT_DESCS,
        REQUESTS_EPHEMERAL_STORAGE, REQUESTS_MEM, REQUESTSM_CPU, TERMINATE_GRACE_PERIOD,
        URI_ENCODING, USE_BODY_ENCODING, WEB_CONTAINER,
    },
    text,
};

/// Of InsertK8sApplication.
pub const INSERT_K8S_APPLICATION: &[Parameter] = &[
    text("AppName").required()
        .about("Name of the application and of its Deployment: begins with a lower-case \
                letter; lower-case letters, digits and `-`, which does not stand last; at most \
                36 characters.")
        .example("web"),
    CLUSTER_ID_AS_SHOWN,
    text("ImageUrl")
        .about("Full image address; required if there is no package.")
        .example("shop/web:1.0"),
    text("PackageUrl").secret()
        .about("Address of a JAR or WAR to release in place of an image, where the server's \
                operator has set that up. Its query and user are never shown. A checksum may \
                stand behind `#`: `sha256=<hex>` or `md5=<hex>`. Whether it is there is looked \
                at first; on a private network only where the operator named host or network, \
                and nothing is said of it otherwise.")
        .example("https://files.example.com/shop/web-1.0.jar"),
    JDK,
    WEB_CONTAINER,
    text("JavaStartUpConfig")
        .about("Options of the JVM, for packages: JSON object `{Name:{original,startup}}`; the \
                startup texts are joined.")
        .example(r#"{"InitialHeapSize":{"original":512,"startup":"-Xms512m"}}"#),
    text("WebContainerConfig")
        .about("Settings of the web container, for WARs: JSON with `contextInputType` = `war` \
                (the path is the file's name), `root` or `custom` (the path is `contextPath`); \
                `httpPort` (8080 if absent), `maxThreads` (400), `uriEncoding` (ISO-8859-1), \
                `useBodyEncoding` (false); or `useDefaultConfig` = true.")
        .example(r#"{"contextInputType":"custom","contextPath":"shop","httpPort":8088}"#),
    URI_ENCODING,
    USE_BODY_ENCODING,
    text("Namespace")
        .about("Kubernetes namespace; `default` if absent. It must exist."),
    LOGICAL_REGION_ID,
    APPLICATION_DESCRIPTION,
    text("PackageType")
        .about("`Image`, `FatJar` or `War` (also `WAR`). If absent: what is given, an image or \
                a package by its file's ending."),
    text("WorkloadType")
        .about("Must be `Deployment` if given."),
    text("PackageVersion")
        .about("Text of the first version, for the history; the time if absent."),
    integer("Replicas", 0, REPLICAS)
        .about("Number of instances; 1 if absent."),
    long("Timeout", 1, 1800)
        .about("Seconds until the creation has failed; 1800 if absent."),
    text("Envs").secret()
        .about("Environment variables: JSON list of `{\"name\",\"value\"}`; a value is text, \
                number or boolean; or `{\"name\",\"valueFrom\"}` with a configMapKeyRef or \
                secretKeyRef.")
        .example(r#"[{"name":"A","value":"1"}]"#),
    text("Command")
        .about("Start command, in place of the image's."),
    text("CommandArgs")
        .about("Its arguments: JSON list of `{\"argument\"}` objects, or of texts.")
        .example(r#"[{"argument":"-c"}]"#),
    text("Readiness")
        .about("Readiness probe: JSON with one of `httpGet`, `tcpSocket`, `exec`, and \
                `initialDelaySeconds`, `periodSeconds`, `timeoutSeconds`, `successThreshold`, \
                `failureThreshold`. Keys in any case.")
        .example(r#"{"httpGet":{"path":"/","port":8080},"timeoutSeconds":1}"#),
    text("Liveness")
        .about("Liveness probe, in the same form."),
    integer("LimitCpu", 0, 1_000_000)
        .about("Processor limit in cores; 0 = none. LimitmCpu comes first."),
    LIMITM_CPU,
    integer("RequestsCpu", 0, 1_000_000)
        .about("Processor request in cores; 0 = none. RequestsmCpu comes first."),
    REQUESTSM_CPU,
    LIMIT_MEM,
    REQUESTS_MEM,
    ANNOTATIONS,
    LABELS,
    ENV_FROMS,
    text("Startup")
        .about("Start-up probe, in the form of Readiness."),
    text("PostStart")
        .about("Hook after the start: JSON with one of `exec`, `httpGet`, `tcpSocket`.")
        .example(r#"{"exec":{"command":["sh","-c","echo hello"]}}"#),
    text("PreStop")
        .about("Hook before the end, in the same form.")
        .example(r#"{"exec":{"command":["sleep","5"]}}"#),
    ENABLE_LOSSLESS_RULE,
    LOSSLESS_RULE_DELAY_TIME,
    LOSSLESS_RULE_WARMUP_TIME,
    LOSSLESS_RULE_FUNC_TYPE,
    LOSSLESS_RULE_ALIGNED,
    LOSSLESS_RULE_RELATED,
    TERMINATE_GRACE_PERIOD,
    LIMIT_EPHEMERAL_STORAGE,
    REQUESTS_EPHEMERAL_STORAGE,
    CONFIG_MOUNT_DESCS,
    LOCAL_VOLUME,
    EMPTY_DIRS,
    PVC_MOUNT_DESCS,
    DEPLOY_ACROSS_NODES,
    DEPLOY_ACROSS_ZONES,
    text("CustomAffinity")
        .about("Kubernetes affinity as JSON; counts where neither DeployAcrossNodes nor \
                DeployAcrossZones is true."),
    text("CustomTolerations")
        .about("Kubernetes tolerations as a JSON list; likewise."),
    text("RuntimeClassName")
        .about("Name of the container runtime class."),
    text("SecurityContext")
        .about("Kubernetes securityContext as YAML in base64: the instance's if it has a key \
                that only those have (such as fsGroup), else the container's."),
    text("InitContainers")
        .about("Containers that run before: JSON list of `{yamlEncoded}`, a container's YAML \
                in base64."),
    text("Sidecars")
        .about("Containers beside, in the same form."),
    text("SecretName")
        .about("Name of a pull secret for the image."),
    text("ServiceConfigs")
        .about("Services in front of the instances: JSON list of `{name, serviceType, \
                portMappings:[{servicePort:{protocol, port, targetPort}}]}`, as \
                CreateK8sService makes them. Each has a change order when it is over.")
        .example(r#"[{"name":"web","serviceType":"ClusterIP","portMappings":[{"servicePort":{"protocol":"TCP","port":80,"targetPort":8080}}]}]"#),
    text("InternetSlbId")
        .about("A load balancer on the Internet that exists, as in BindK8sSlb; the cloud makes \
                one if only its ports are given."),
    integer("InternetSlbPort", 1, 65_535)
        .about("Port of the load balancer on the Internet; needed for one."),
    integer("InternetTargetPort", 1, 65_535)
        .about("The container's port behind it; needed for one."),
    text("InternetSlbProtocol")
        .about("What it speaks: `TCP` (if absent) or `HTTP`."),
    text("IntranetSlbId")
        .about("A load balancer on the private network that exists; the cloud makes one if \
                only its ports are given."),
    integer("IntranetSlbPort", 1, 65_535)
        .about("Port of the load balancer on the private network; needed for one."),
    integer("IntranetTargetPort", 1, 65_535)
        .about("The container's port behind it; needed for one."),
    text("IntranetSlbProtocol")
        .about("What it speaks: `TCP` (if absent) or `HTTP`."),
    integer("DrainSeconds", 0, 600)
        .about("Not of EDAS: seconds for which an instance that goes still answers (a preStop \
                hook that sleeps). 0 or absent = none.")
        .example("5"),
];
