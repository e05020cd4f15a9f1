//! Ordering releases: InsertK8sApplication, DeployK8sApplication and
//! RollbackApplication.
//!
//! The two big calls name the same settings differently; both are read into one
//! [`SpecChange`]. On a deploy, absent keeps a setting and empty clears it (R15).
//! Rules about the application (name, image, number of batches) are the service's.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Edge,
    edge::call::Call,
    value::{
        environment::{read_args, read_command, read_envs},
        java::{read_java, read_package, read_package_type},
        lossless, pods, ports, probe,
        resource::{ProcessorNames, read_memory, read_processor},
        strategy,
    },
    wire::{
        error::ApiError,
        offered,
        params::Params,
        reply::{Nothing, Reply},
    },
};
use domain::{
    ApplicationId, OrderId, Rejection, ReleaseId,
    template::{
        container::Known,
        graceful_start::GracefulStartChange,
        pods::PodChange,
        spec::{Field, SpecChange},
    },
};
use service::{Adopt, CreateApplication, Deploy, RollBackTo};

/// EDAS' number for an imported Kubernetes cluster.
pub(crate) const CLUSTER_TYPE: i32 = 5;

/// Most instances that are accepted.
pub(crate) const MOST_REPLICAS: i32 = 100_000;

/// Longest time for one batch, in seconds (a week).
pub(crate) const LONGEST_BATCH: i64 = 604_800;

/// Longest minReadySeconds that is accepted (a day).
const LONGEST_WAIT: i32 = 86_400;

/// Longest drain that is accepted, in seconds.
const LONGEST_DRAIN: u32 = 600;

/// Reply of every operation that orders something of an application.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct OrderReply {
    /// The new order's id, for GetChangeOrderInfo.
    #[schema(example = "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e")]
    pub change_order_id: String,
}

/// Reply of InsertK8sApplication.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InsertReply {
    /// The new application.
    pub application_info: ApplicationInfo,
}

/// A new application, and the order that brings it up.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ApplicationInfo {
    /// The application's id.
    pub app_id: String,
    /// Its name.
    pub app_name: String,
    /// The order that creates the Deployment.
    pub change_order_id: String,
    /// Always 5: a Kubernetes cluster.
    #[schema(example = 5)]
    pub cluster_type: i32,
    /// Always true.
    pub dockerize: bool,
    /// Name of the access key.
    pub edas_id: String,
    /// Name of the access key.
    pub owner: String,
    /// The region.
    pub region_id: String,
    /// Name of the access key.
    pub user_id: String,
}

/// Creates an application and brings up its first version.
///
/// The Deployment has the application's name. Creating it is a change order. One of
/// that name that is there already is taken over as it runs: its order is over at once,
/// and of the parameters only texts and the logical region count. Services and load
/// balancers are written as soon as the creation is accepted; each is a change order of
/// its own once it is over, which ListRecentChangeOrder shows.
#[utoipa::path(
    post, path = "/pop/v5/k8s/acs/create_k8s_app", operation_id = "InsertK8sApplication", tag = "Applications",
    params(
        ("AppName" = String, Query, description = "Name of the application and of its Deployment: begins with a lower-case letter; lower-case letters, digits and `-`, which does not stand last; at most 36 characters.", example = "web"),
        ("ClusterId" = String, Query, description = "The cluster's id, as GetK8sCluster shows it.", example = "default"),
        ("ImageUrl" = Option<String>, Query, description = "Full image address; required if there is no package.", example = "shop/web:1.0"),
        ("PackageUrl" = Option<String>, Query, description = "Address of a JAR or WAR to release in place of an image, where the server's operator has set that up. Its query and user are never shown. A checksum may stand behind `#`: `sha256=<hex>` or `md5=<hex>`. Whether it is there is looked at first; on a private network only where the operator named host or network, and nothing is said of it otherwise.", example = "https://files.example.com/shop/web-1.0.jar"),
        ("JDK" = Option<String>, Query, description = "JDK for the package, one of the operator's table. Says nothing with an image.", example = "Open JDK 8"),
        ("WebContainer" = Option<String>, Query, description = "Web container for a WAR, one of the operator's table. Says nothing with an image or a JAR.", example = "apache-tomcat-7.0.91"),
        ("JavaStartUpConfig" = Option<String>, Query, description = "Options of the JVM, for packages: JSON object `{Name:{original,startup}}`; the startup texts are joined.", example = r#"{"InitialHeapSize":{"original":512,"startup":"-Xms512m"}}"#),
        ("WebContainerConfig" = Option<String>, Query, description = "Settings of the web container, for WARs: JSON with `contextInputType` = `war` (the path is the file's name), `root` or `custom` (the path is `contextPath`); `httpPort` (8080 if absent), `maxThreads` (400), `uriEncoding` (ISO-8859-1), `useBodyEncoding` (false); or `useDefaultConfig` = true.", example = r#"{"contextInputType":"custom","contextPath":"shop","httpPort":8088}"#),
        ("UriEncoding" = Option<String>, Query, description = "The web container's encoding of addresses alone: `ISO-8859-1`, `GBK`, `GB2312` or `UTF-8`."),
        ("UseBodyEncoding" = Option<bool>, Query, description = "Whether the web container reads addresses in the encoding of the body, alone."),
        ("Namespace" = Option<String>, Query, description = "Kubernetes namespace; `default` if absent. It must exist."),
        ("LogicalRegionId" = Option<String>, Query, description = "EDAS namespace, `<region>` or `<region>:<name>`; the server's region if absent."),
        ("ApplicationDescription" = Option<String>, Query, description = "Free text of at most 1024 characters."),
        ("PackageType" = Option<String>, Query, description = "`Image`, `FatJar` or `War` (also `WAR`). If absent: what is given, an image or a package by its file's ending."),
        ("WorkloadType" = Option<String>, Query, description = "Must be `Deployment` if given."),
        ("PackageVersion" = Option<String>, Query, description = "Text of the first version, for the history; the time if absent."),
        ("Replicas" = Option<i32>, Query, minimum = 0, maximum = 100000, description = "Number of instances; 1 if absent."),
        ("Timeout" = Option<i64>, Query, minimum = 1, maximum = 1800, description = "Seconds until the creation has failed; 1800 if absent."),
        ("Envs" = Option<String>, Query, description = "Environment variables: JSON list of `{\"name\",\"value\"}`; a value is text, number or boolean; or `{\"name\",\"valueFrom\"}` with a configMapKeyRef or secretKeyRef.", example = r#"[{"name":"A","value":"1"}]"#),
        ("Command" = Option<String>, Query, description = "Start command, in place of the image's."),
        ("CommandArgs" = Option<String>, Query, description = "Its arguments: JSON list of `{\"argument\"}` objects, or of texts.", example = r#"[{"argument":"-c"}]"#),
        ("Readiness" = Option<String>, Query, description = "Readiness probe: JSON with one of `httpGet`, `tcpSocket`, `exec`, and `initialDelaySeconds`, `periodSeconds`, `timeoutSeconds`, `successThreshold`, `failureThreshold`. Keys in any case.", example = r#"{"httpGet":{"path":"/","port":8080},"timeoutSeconds":1}"#),
        ("Liveness" = Option<String>, Query, description = "Liveness probe, in the same form."),
        ("LimitCpu" = Option<u32>, Query, minimum = 0, maximum = 1000000, description = "Processor limit in cores; 0 = none. LimitmCpu comes first."),
        ("LimitmCpu" = Option<u32>, Query, minimum = 0, maximum = 1000000000, description = "Processor limit in millicores; 0 = none."),
        ("RequestsCpu" = Option<u32>, Query, minimum = 0, maximum = 1000000, description = "Processor request in cores; 0 = none. RequestsmCpu comes first."),
        ("RequestsmCpu" = Option<u32>, Query, minimum = 0, maximum = 1000000000, description = "Processor request in millicores; 0 = none."),
        ("LimitMem" = Option<u32>, Query, minimum = 0, maximum = 1000000000, description = "Memory limit in MB; 0 = none."),
        ("RequestsMem" = Option<u32>, Query, minimum = 0, maximum = 1000000000, description = "Memory request in MB; 0 = none."),
        ("Annotations" = Option<String>, Query, description = "Annotations of the instances: JSON object of texts. Others that are there stay.", example = r#"{"team":"shop"}"#),
        ("Labels" = Option<String>, Query, description = "Labels of the instances: JSON object of texts. Others that are there stay; those that select the instances cannot change.", example = r#"{"tier":"front"}"#),
        ("EnvFroms" = Option<String>, Query, description = "ConfigMaps and Secrets whose keys are all variables: JSON list of `{\"configMapRef\":{\"name\"}}` or `{\"secretRef\":{\"name\"}}`.", example = r#"[{"configMapRef":{"name":"settings"}}]"#),
        ("Startup" = Option<String>, Query, description = "Start-up probe, in the form of Readiness."),
        ("PostStart" = Option<String>, Query, description = "Hook after the start: JSON with one of `exec`, `httpGet`, `tcpSocket`.", example = r#"{"exec":{"command":["sh","-c","echo hello"]}}"#),
        ("PreStop" = Option<String>, Query, description = "Hook before the end, in the same form.", example = r#"{"exec":{"command":["sleep","5"]}}"#),
        ("EnableLosslessRule" = Option<bool>, Query, description = "Graceful start, as far as plain Kubernetes has it: `true` switches the rule on, which then holds for later versions too, and lets instances that go answer for 5 more seconds where they have no PreStop hook. `false` switches it off and brings back what was there before."),
        ("LosslessRuleDelayTime" = Option<i32>, Query, minimum = 0, maximum = 86400, description = "Seconds after its start until an instance is asked whether it is ready: the least `initialDelaySeconds` of the readiness probe. Without a probe it has no effect, and the order says so."),
        ("LosslessRuleWarmupTime" = Option<i32>, Query, minimum = 0, maximum = 86400, description = "Seconds for which an instance must have been ready before a release takes an old one away for it. Less than the time of a batch, together with the delay."),
        ("LosslessRuleFuncType" = Option<i32>, Query, minimum = 0, maximum = 20, description = "Curve of the traffic during the warm-up. Stored and shown; it has no effect, and the order says so."),
        ("LosslessRuleAligned" = Option<bool>, Query, description = "Readiness waits for the registration. Stored and shown; `true` has no effect, and the order says so."),
        ("LosslessRuleRelated" = Option<bool>, Query, description = "Readiness waits for the warm-up. Stored and shown; `true` has no effect, and the order says so."),
        ("TerminateGracePeriod" = Option<i64>, Query, minimum = 0, maximum = 86400, description = "Seconds that an instance has to end after it was told to."),
        ("LimitEphemeralStorage" = Option<u32>, Query, minimum = 0, maximum = 1000000, description = "Limit of the disk space in GB. 0 = none."),
        ("RequestsEphemeralStorage" = Option<u32>, Query, minimum = 0, maximum = 1000000, description = "Request of disk space in GB. 0 = none."),
        ("ConfigMountDescs" = Option<String>, Query, description = "ConfigMaps and Secrets as files: JSON list of `{name, type, mountPath}`, type `ConfigMap` or `Secret`.", example = r#"[{"name":"settings","type":"ConfigMap","mountPath":"/etc/shop"}]"#),
        ("LocalVolume" = Option<String>, Query, description = "Folders of the node: JSON list of `{type, nodePath, mountPath}`, type empty or a hostPath type of Kubernetes.", example = r#"[{"type":"","nodePath":"/var/log","mountPath":"/logs"}]"#),
        ("EmptyDirs" = Option<String>, Query, description = "Empty folders: JSON list of `{mountPath, readOnly, subPathExpr}`.", example = r#"[{"mountPath":"/scratch"}]"#),
        ("PvcMountDescs" = Option<String>, Query, description = "PersistentVolumeClaims: JSON list of `{pvcName, mountPaths: [{mountPath, readOnly}]}`.", example = r#"[{"pvcName":"data","mountPaths":[{"mountPath":"/data"}]}]"#),
        ("DeployAcrossNodes" = Option<String>, Query, description = "`true`: instances are kept apart by node where that is possible; the rest of the affinity stays. Any other text: they are not."),
        ("DeployAcrossZones" = Option<String>, Query, description = "`true`: the same by zone."),
        ("CustomAffinity" = Option<String>, Query, description = "Kubernetes affinity as JSON; counts where neither DeployAcrossNodes nor DeployAcrossZones is true."),
        ("CustomTolerations" = Option<String>, Query, description = "Kubernetes tolerations as a JSON list; likewise."),
        ("RuntimeClassName" = Option<String>, Query, description = "Name of the container runtime class."),
        ("SecurityContext" = Option<String>, Query, description = "Kubernetes securityContext as YAML in base64: the instance's if it has a key that only those have (such as fsGroup), else the container's."),
        ("InitContainers" = Option<String>, Query, description = "Containers that run before: JSON list of `{yamlEncoded}`, a container's YAML in base64."),
        ("Sidecars" = Option<String>, Query, description = "Containers beside, in the same form."),
        ("SecretName" = Option<String>, Query, description = "Name of a pull secret for the image."),
        ("ServiceConfigs" = Option<String>, Query, description = "Services in front of the instances: JSON list of `{name, serviceType, portMappings:[{servicePort:{protocol, port, targetPort}}]}`, as CreateK8sService makes them. Each has a change order when it is over.", example = r#"[{"name":"web","serviceType":"ClusterIP","portMappings":[{"servicePort":{"protocol":"TCP","port":80,"targetPort":8080}}]}]"#),
        ("InternetSlbId" = Option<String>, Query, description = "A load balancer on the Internet that exists, as in BindK8sSlb; the cloud makes one if only its ports are given."),
        ("InternetSlbPort" = Option<u16>, Query, minimum = 1, maximum = 65535, description = "Port of the load balancer on the Internet; needed for one."),
        ("InternetTargetPort" = Option<u16>, Query, minimum = 1, maximum = 65535, description = "The container's port behind it; needed for one."),
        ("InternetSlbProtocol" = Option<String>, Query, description = "What it speaks: `TCP` (if absent) or `HTTP`."),
        ("IntranetSlbId" = Option<String>, Query, description = "A load balancer on the private network that exists; the cloud makes one if only its ports are given."),
        ("IntranetSlbPort" = Option<u16>, Query, minimum = 1, maximum = 65535, description = "Port of the load balancer on the private network; needed for one."),
        ("IntranetTargetPort" = Option<u16>, Query, minimum = 1, maximum = 65535, description = "The container's port behind it; needed for one."),
        ("IntranetSlbProtocol" = Option<String>, Query, description = "What it speaks: `TCP` (if absent) or `HTTP`."),
        ("DrainSeconds" = Option<u32>, Query, minimum = 0, maximum = 600, description = "Not of EDAS: seconds for which an instance that goes still answers (a preStop hook that sleeps). 0 or absent = none.", example = 5),
    ),
    responses((status = 200, description = "Accepted.", body = Reply<InsertReply>))
)]
pub async fn insert(State(edge): State<Edge>, call: Call) -> Result<Reply<InsertReply>, ApiError> {
    let request = read_insert(&call.params)?;
    let region =
        request.logical_region.clone().unwrap_or_else(|| edge.service.settings().region.clone());
    let name = request.name.clone();
    let (application, order) = edge.service.create_application(&call.caller, request).await?;
    Ok(inserted(&call, name, &region, (application, order)))
}

fn inserted(
    call: &Call,
    name: String,
    region: &str,
    (application, order): (ApplicationId, OrderId),
) -> Reply<InsertReply> {
    let owner = &call.caller.name;
    call.success(InsertReply {
        application_info: ApplicationInfo {
            app_id: application.to_string(),
            app_name: name,
            change_order_id: order.to_string(),
            cluster_type: CLUSTER_TYPE,
            dockerize: true,
            edas_id: owner.clone(),
            owner: owner.clone(),
            region_id: region_of(region).into(),
            user_id: owner.clone(),
        },
    })
}

/// Takes a Deployment over as an application, as it runs.
///
/// Nothing is changed on the cluster: its present template becomes the first version
/// of the history. InsertK8sApplication does the same where the name's Deployment is
/// there already.
#[utoipa::path(
    post, path = "/sluice/v1/adopt", operation_id = "AdoptDeployment", tag = "Applications",
    params(
        ("AppName" = String, Query, description = "Name of the Deployment, which becomes the application's.", example = "web"),
        ("ClusterId" = String, Query, description = "The cluster's id, as GetK8sCluster shows it.", example = "default"),
        ("Namespace" = Option<String>, Query, description = "Kubernetes namespace; `default` if absent."),
        ("LogicalRegionId" = Option<String>, Query, description = "EDAS namespace, `<region>` or `<region>:<name>`; the server's region if absent."),
        ("ApplicationDescription" = Option<String>, Query, description = "Free text of at most 1024 characters."),
        ("PackageVersion" = Option<String>, Query, description = "Text of the present version, for the history; the time if absent."),
        ("ContainerName" = Option<String>, Query, description = "The container of its pods that is the application's. If absent, it is the one that the template's annotation `kubectl.kubernetes.io/default-container` names, the only one, or the one with the application's name; where that leaves a doubt, the order says so.", example = "app"),
    ),
    responses((status = 200, description = "Adopted.", body = Reply<InsertReply>))
)]
pub async fn adopt(State(edge): State<Edge>, call: Call) -> Result<Reply<InsertReply>, ApiError> {
    let params = &call.params;
    let request = Adopt {
        name: params.required("AppName")?.into(),
        cluster: params.required("ClusterId")?.into(),
        namespace: params.text("Namespace").unwrap_or("default").into(),
        logical_region: params.text("LogicalRegionId").map(Into::into),
        description: params.text("ApplicationDescription").unwrap_or_default().into(),
        version: params.text("PackageVersion").map(Into::into),
        container: params.text("ContainerName").map(Into::into),
    };
    let region =
        request.logical_region.clone().unwrap_or_else(|| edge.service.settings().region.clone());
    let name = request.name.clone();
    let adopted = edge.service.adopt(&call.caller, request).await?;
    Ok(inserted(&call, name, &region, adopted))
}

/// Takes a Deployment over as an application, as AdoptDeployment does; ListApplication has its id then.
#[utoipa::path(
    post, path = "/pop/v5/oam/k8s_resource_convert", operation_id = "ConvertK8sResource", tag = "Applications",
    params(
        ("ClusterId" = String, Query, description = "The cluster's id, as GetK8sCluster shows it.", example = "default"),
        ("Namespace" = String, Query, description = "The Kubernetes namespace."),
        ("ResourceType" = String, Query, description = "Only `deployment`, in any case.", example = "deployment"),
        ("ResourceName" = String, Query, description = "Name of the Deployment, which becomes the application's.", example = "web"),
    ),
    responses((status = 200, description = "Adopted.", body = Reply<Nothing>))
)]
pub async fn convert(State(edge): State<Edge>, call: Call) -> Result<Reply<Nothing>, ApiError> {
    let params = &call.params;
    let kind = params.required("ResourceType")?;
    if !kind.eq_ignore_ascii_case("deployment") {
        return Err(Rejection::invalid(
            "ResourceType",
            kind,
            "only deployment can be an application",
        )
        .into());
    }
    let request = Adopt {
        name: params.required("ResourceName")?.into(),
        cluster: params.required("ClusterId")?.into(),
        namespace: params.required("Namespace")?.into(),
        logical_region: None,
        description: String::new(),
        version: None,
        container: None,
    };
    match edge.service.adopt(&call.caller, request).await {
        Ok(_) => Ok(call.success(Nothing {})),
        // The name has another parameter here.
        Err(service::Error::Rejected(Rejection::Invalid { parameter, value, allowed }))
            if parameter == "AppName" =>
        {
            Err(Rejection::Invalid { parameter: "ResourceName".into(), value, allowed }.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Orders a release of an application.
///
/// Settings whose parameter is absent stay as they are; where the text says so,
/// an empty parameter removes the setting. Releasing the same image again makes
/// new instances.
#[utoipa::path(
    post, path = "/pop/v5/k8s/acs/k8s_apps", operation_id = "DeployK8sApplication", tag = "Change orders",
    params(
        ("AppId" = String, Query, description = "The application's id."),
        ("Image" = Option<String>, Query, description = "Full image address. If absent, the image stays.", example = "shop/web:2.0"),
        ("ImageTag" = Option<String>, Query, description = "Only the image's tag; the repository stays. Image comes first."),
        ("PackageUrl" = Option<String>, Query, description = "Address of a JAR or WAR to release in place of an image; if absent, the package stays. Only where the server's operator has set that up. Its query and user are never shown. A checksum may stand behind `#`: `sha256=<hex>` or `md5=<hex>`. Whether it is there is looked at first; on a private network only where the operator named host or network, and nothing is said of it otherwise.", example = "https://files.example.com/shop/web-1.0.jar"),
        ("JDK" = Option<String>, Query, description = "JDK for the package, one of the operator's table. Says nothing with an image.", example = "Open JDK 8"),
        ("WebContainer" = Option<String>, Query, description = "Web container for a WAR, one of the operator's table. Says nothing with an image or a JAR.", example = "apache-tomcat-7.0.91"),
        ("JavaStartUpConfig" = Option<String>, Query, description = "Options of the JVM, for packages: JSON object `{Name:{original,startup}}`; the startup texts are joined. Empty or `{}` removes them.", example = r#"{"InitialHeapSize":{"original":512,"startup":"-Xms512m"}}"#),
        ("WebContainerConfig" = Option<String>, Query, description = "Settings of the web container, for WARs: JSON with `contextInputType` = `war` (the path is the file's name), `root` or `custom` (the path is `contextPath`); `httpPort` (8080 if absent), `maxThreads` (400), `uriEncoding` (ISO-8859-1), `useBodyEncoding` (false); or `useDefaultConfig` = true. Empty or `{}` removes them.", example = r#"{"contextInputType":"custom","contextPath":"shop","httpPort":8088}"#),
        ("UriEncoding" = Option<String>, Query, description = "The web container's encoding of addresses alone: `ISO-8859-1`, `GBK`, `GB2312` or `UTF-8`."),
        ("UseBodyEncoding" = Option<bool>, Query, description = "Whether the web container reads addresses in the encoding of the body, alone."),
        ("PackageVersionId" = Option<String>, Query, description = "Id of a version from ListHistoryDeployVersion to release again, in place of other settings."),
        ("PackageVersion" = Option<String>, Query, description = "Text of the version, for the history; the time if absent.", example = "2.0"),
        ("Replicas" = Option<i32>, Query, minimum = 0, maximum = 100000, description = "Number of instances after the release; if absent, it stays.", example = 4),
        ("UpdateStrategy" = Option<String>, Query, description = "How the release reaches the instances: JSON with `type` = `BatchUpdate` or `GrayBatchUpdate`; `batchUpdate` {`batch` = number of batches, at most one for each instance; `releaseType` = `auto` or `manual` (a person confirms each batch after the first); `batchWaitTime` = minutes between batches, with auto only}; `grayUpdate` {`gray` = instances of the canary batch, at most half}. With a canary, `batch` counts the batches after it, and a person always confirms what follows the canary. If absent: all at once.", example = r#"{"type":"BatchUpdate","batchUpdate":{"batch":3,"releaseType":"auto","batchWaitTime":0}}"#),
        ("BatchTimeout" = Option<i64>, Query, minimum = 1, maximum = 604800, description = "Seconds that one batch may take until the order has failed; the server's setting if absent."),
        ("BatchWaitTime" = Option<i32>, Query, minimum = 0, maximum = 86400, description = "Seconds that a new instance must be ready before it counts (Kubernetes' minReadySeconds). Not the pause between batches: that is in UpdateStrategy."),
        ("ChangeOrderDesc" = Option<String>, Query, description = "Free text of at most 1024 characters, shown with the order."),
        ("Envs" = Option<String>, Query, description = "Environment variables: JSON list of `{\"name\",\"value\"}`, replaces all that are set; a value is text, number or boolean; or `{\"name\",\"valueFrom\"}` with a configMapKeyRef or secretKeyRef. Those that are there keep their place, new ones come last, and where the list has another order, that counts. Empty or `[]` removes them.", example = r#"[{"name":"A","value":"1"}]"#),
        ("Command" = Option<String>, Query, description = "Start command, in place of the image's. Empty removes it."),
        ("Args" = Option<String>, Query, description = "Its arguments: JSON list of texts, or of `{\"argument\"}` objects. Empty or `[]` removes them.", example = r#"["-c","sleep 10"]"#),
        ("Readiness" = Option<String>, Query, description = "Readiness probe: JSON with one of `httpGet`, `tcpSocket`, `exec`, and `initialDelaySeconds`, `periodSeconds`, `timeoutSeconds`, `successThreshold`, `failureThreshold`. Keys in any case. Empty or `{}` removes it.", example = r#"{"tcpSocket":{"port":8080},"periodSeconds":5}"#),
        ("Liveness" = Option<String>, Query, description = "Liveness probe, in the same form. Empty or `{}` removes it."),
        ("CpuLimit" = Option<u32>, Query, minimum = 0, maximum = 1000000, description = "Processor limit in cores; 0 removes it. McpuLimit comes first."),
        ("McpuLimit" = Option<u32>, Query, minimum = 0, maximum = 1000000000, description = "Processor limit in millicores; 0 removes it."),
        ("CpuRequest" = Option<u32>, Query, minimum = 0, maximum = 1000000, description = "Processor request in cores; 0 removes it. McpuRequest comes first."),
        ("McpuRequest" = Option<u32>, Query, minimum = 0, maximum = 1000000000, description = "Processor request in millicores; 0 removes it."),
        ("MemoryLimit" = Option<u32>, Query, minimum = 0, maximum = 1000000000, description = "Memory limit in MB; 0 removes it."),
        ("MemoryRequest" = Option<u32>, Query, minimum = 0, maximum = 1000000000, description = "Memory request in MB; 0 removes it."),
        ("Annotations" = Option<String>, Query, description = "Annotations of the instances: JSON object of texts. Absent keeps those that were given, empty or `{}` removes them. Others that are there stay.", example = r#"{"team":"shop"}"#),
        ("Labels" = Option<String>, Query, description = "Labels of the instances: JSON object of texts. Absent keeps those that were given, empty or `{}` removes them. Others that are there stay; those that select the instances cannot change.", example = r#"{"tier":"front"}"#),
        ("EnvFroms" = Option<String>, Query, description = "ConfigMaps and Secrets whose keys are all variables: JSON list of `{\"configMapRef\":{\"name\"}}` or `{\"secretRef\":{\"name\"}}`. Absent keeps those that were given, empty or `[]` removes them.", example = r#"[{"configMapRef":{"name":"settings"}}]"#),
        ("Startup" = Option<String>, Query, description = "Start-up probe, in the form of Readiness. Empty removes it."),
        ("PostStart" = Option<String>, Query, description = "Hook after the start: JSON with one of `exec`, `httpGet`, `tcpSocket`. Empty removes it.", example = r#"{"exec":{"command":["sh","-c","echo hello"]}}"#),
        ("PreStop" = Option<String>, Query, description = "Hook before the end, in the same form. Empty removes it.", example = r#"{"exec":{"command":["sleep","5"]}}"#),
        ("EnableLosslessRule" = Option<bool>, Query, description = "Graceful start, as far as plain Kubernetes has it: `true` switches the rule on, which then holds for later versions too, and lets instances that go answer for 5 more seconds where they have no PreStop hook. `false` switches it off and brings back what was there before."),
        ("LosslessRuleDelayTime" = Option<i32>, Query, minimum = 0, maximum = 86400, description = "Seconds after its start until an instance is asked whether it is ready: the least `initialDelaySeconds` of the readiness probe. Without a probe it has no effect, and the order says so."),
        ("LosslessRuleWarmupTime" = Option<i32>, Query, minimum = 0, maximum = 86400, description = "Seconds for which an instance must have been ready before a release takes an old one away for it. Less than the time of a batch, together with the delay."),
        ("LosslessRuleFuncType" = Option<i32>, Query, minimum = 0, maximum = 20, description = "Curve of the traffic during the warm-up. Stored and shown; it has no effect, and the order says so."),
        ("LosslessRuleAligned" = Option<bool>, Query, description = "Readiness waits for the registration. Stored and shown; `true` has no effect, and the order says so."),
        ("LosslessRuleRelated" = Option<bool>, Query, description = "Readiness waits for the warm-up. Stored and shown; `true` has no effect, and the order says so."),
        ("TerminateGracePeriod" = Option<i64>, Query, minimum = 0, maximum = 86400, description = "Seconds that an instance has to end after it was told to."),
        ("LimitEphemeralStorage" = Option<u32>, Query, minimum = 0, maximum = 1000000, description = "Limit of the disk space in GB. 0 removes it."),
        ("RequestsEphemeralStorage" = Option<u32>, Query, minimum = 0, maximum = 1000000, description = "Request of disk space in GB. 0 removes it."),
        ("ConfigMountDescs" = Option<String>, Query, description = "ConfigMaps and Secrets as files: JSON list of `{name, type, mountPath}`, type `ConfigMap` or `Secret`. Absent keeps those that were given, empty or `[]` removes them.", example = r#"[{"name":"settings","type":"ConfigMap","mountPath":"/etc/shop"}]"#),
        ("LocalVolume" = Option<String>, Query, description = "Folders of the node: JSON list of `{type, nodePath, mountPath}`, type empty or a hostPath type of Kubernetes. Absent keeps those that were given, empty or `[]` removes them.", example = r#"[{"type":"","nodePath":"/var/log","mountPath":"/logs"}]"#),
        ("EmptyDirs" = Option<String>, Query, description = "Empty folders: JSON list of `{mountPath, readOnly, subPathExpr}`. Absent keeps those that were given, empty or `[]` removes them.", example = r#"[{"mountPath":"/scratch"}]"#),
        ("PvcMountDescs" = Option<String>, Query, description = "PersistentVolumeClaims: JSON list of `{pvcName, mountPaths: [{mountPath, readOnly}]}`. Absent keeps those that were given, empty or `[]` removes them.", example = r#"[{"pvcName":"data","mountPaths":[{"mountPath":"/data"}]}]"#),
        ("DeployAcrossNodes" = Option<String>, Query, description = "`true`: instances are kept apart by node where that is possible; the rest of the affinity stays. Any other text: they are not."),
        ("DeployAcrossZones" = Option<String>, Query, description = "`true`: the same by zone."),
        ("CustomAffinity" = Option<String>, Query, description = "Kubernetes affinity as JSON; counts where neither DeployAcrossNodes nor DeployAcrossZones is true. Empty removes it."),
        ("CustomTolerations" = Option<String>, Query, description = "Kubernetes tolerations as a JSON list; likewise. Empty removes it."),
        ("RuntimeClassName" = Option<String>, Query, description = "Name of the container runtime class. Empty removes it."),
        ("SecurityContext" = Option<String>, Query, description = "Kubernetes securityContext as YAML in base64: the instance's if it has a key that only those have (such as fsGroup), else the container's. Empty removes it."),
        ("InitContainers" = Option<String>, Query, description = "Containers that run before: JSON list of `{yamlEncoded}`, a container's YAML in base64. Absent keeps those that were given, empty or `[]` removes them."),
        ("Sidecars" = Option<String>, Query, description = "Containers beside, in the same form. Absent keeps those that were given, empty or `[]` removes them."),
        ("DrainSeconds" = Option<u32>, Query, minimum = 0, maximum = 600, description = "Not of EDAS: seconds for which an instance that goes still answers (a preStop hook that sleeps); its termination grace period is raised to hold them. A hook of another kind is replaced. 0 removes it.", example = 5),
        ("PlanHash" = Option<String>, Query, description = "Not of EDAS: the PlanHash of a preview. Where the release would do something else by now, it is refused."),
        ("AllowNoSurge" = Option<bool>, Query, description = "Not of EDAS: where there is no room for more instances than the desired number (a quota, nodes), old ones may go before new ones come, one batch at a time. Without it such a release is refused."),
    ),
    responses((status = 200, description = "Accepted.", body = Reply<OrderReply>))
)]
pub async fn deploy(State(edge): State<Edge>, call: Call) -> Result<Reply<OrderReply>, ApiError> {
    let request = read_deploy(&call)?;
    let order = edge.service.deploy(&call.caller, request).await?;
    Ok(call.success(OrderReply { change_order_id: order.to_string() }))
}

/// Orders the release of a version from the history.
#[utoipa::path(
    post, path = "/pop/v5/changeorder/co_rollback", operation_id = "RollbackApplication", tag = "Change orders",
    params(
        ("AppId" = String, Query, description = "The application's id."),
        ("GroupId" = String, Query, description = "Instance group: `all`, or any; a Kubernetes application has only one.", example = "all"),
        ("HistoryVersion" = String, Query, description = "PackageVersion of an item of ListHistoryDeployVersion.", example = "1.0"),
        ("Batch" = Option<i32>, Query, minimum = 1, maximum = 5, description = "Number of batches; 1 if absent."),
        ("BatchWaitTime" = Option<u32>, Query, minimum = 0, maximum = 5, description = "Minutes between batches; 0 if absent."),
    ),
    responses((status = 200, description = "Accepted.", body = Reply<OrderReply>))
)]
pub async fn roll_back_to(
    State(edge): State<Edge>,
    call: Call,
) -> Result<Reply<OrderReply>, ApiError> {
    let request = read_roll_back(&call)?;
    let order = edge.service.roll_back_to(&call.caller, request).await?;
    Ok(call.success(OrderReply { change_order_id: order.to_string() }))
}

/// The region of an EDAS namespace, `<region>` or `<region>:<name>`.
pub(crate) fn region_of(logical_region: &str) -> &str {
    logical_region.split(':').next().unwrap_or(logical_region)
}

/// What of a request has no effect here.
fn notes(operation: &str, params: &Params, graceful_start: &GracefulStartChange) -> Vec<String> {
    let mut notes = offered::ignored(operation, params);
    notes.extend(lossless::without_effect(graceful_start));
    notes
}

fn read_insert(params: &Params) -> Result<CreateApplication, ApiError> {
    if let Some(value) = params.text("WorkloadType").filter(|value| *value != "Deployment") {
        return Err(Rejection::invalid(
            "WorkloadType",
            value,
            "only Deployment is offered by this server",
        )
        .into());
    }
    let kind = read_package_type(params)?;
    // An image is what is meant where nothing is said.
    if kind.is_some() {
        params.required("PackageUrl")?;
    } else if params.text("PackageUrl").is_none() || params.text("PackageType").is_some() {
        params.required("ImageUrl")?;
    }
    let env = read_envs(params)?;
    let has_envs = env != Field::Keep;
    let pull_secret = pods::thing(params, "SecretName")?;
    let graceful_start = lossless::read(params)?;
    Ok(CreateApplication {
        name: params.required("AppName")?.into(),
        cluster: params.required("ClusterId")?.into(),
        namespace: params.text("Namespace").map(Into::into),
        logical_region: params.text("LogicalRegionId").map(Into::into),
        description: params.text("ApplicationDescription").unwrap_or_default().into(),
        replicas: params.integer("Replicas", 0..=MOST_REPLICAS)?,
        version: params.text("PackageVersion").map(Into::into),
        spec: SpecChange {
            image: params.text("ImageUrl").map(Into::into),
            image_tag: None,
            env,
            command: read_command(params),
            args: read_args(params, "CommandArgs")?,
            readiness: probe::read(params, "Readiness")?,
            liveness: probe::read(params, "Liveness")?,
            cpu_limit: read_processor(
                params,
                ProcessorNames { cores: "LimitCpu", millicores: "LimitmCpu" },
            )?,
            cpu_request: read_processor(
                params,
                ProcessorNames { cores: "RequestsCpu", millicores: "RequestsmCpu" },
            )?,
            memory_limit: read_memory(params, "LimitMem")?,
            memory_request: read_memory(params, "RequestsMem")?,
            drain_seconds: params.integer("DrainSeconds", 0..=LONGEST_DRAIN)?,
            graceful_start,
            pods: Box::new(PodChange { pull_secret, ..pods::read(params, has_envs)? }),
            java: Box::new(read_java(params)?),
            container: Known::Nothing,
        },
        package: read_package(params, kind),
        timeout_seconds: params.integer("Timeout", 1..=1800)?,
        notes: notes("InsertK8sApplication", params, &graceful_start),
        services: ports::read_first_services(params)?,
    })
}

pub(crate) fn read_deploy(call: &Call) -> Result<Deploy, ApiError> {
    let params = &call.params;
    let application = call.application()?;
    let env = read_envs(params)?;
    let has_envs = env != Field::Keep;
    let graceful_start = lossless::read(params)?;
    Ok(Deploy {
        application,
        spec: SpecChange {
            image: params.text("Image").map(Into::into),
            image_tag: params.text("ImageTag").map(Into::into),
            env,
            command: read_command(params),
            args: read_args(params, "Args")?,
            readiness: probe::read(params, "Readiness")?,
            liveness: probe::read(params, "Liveness")?,
            cpu_limit: read_processor(
                params,
                ProcessorNames { cores: "CpuLimit", millicores: "McpuLimit" },
            )?,
            cpu_request: read_processor(
                params,
                ProcessorNames { cores: "CpuRequest", millicores: "McpuRequest" },
            )?,
            memory_limit: read_memory(params, "MemoryLimit")?,
            memory_request: read_memory(params, "MemoryRequest")?,
            drain_seconds: params.integer("DrainSeconds", 0..=LONGEST_DRAIN)?,
            graceful_start,
            pods: Box::new(pods::read(params, has_envs)?),
            java: Box::new(read_java(params)?),
            container: Known::Nothing,
        },
        package: read_package(params, None),
        release: read_release(params, application)?,
        version: params.text("PackageVersion").map(Into::into),
        replicas: params.integer("Replicas", 0..=MOST_REPLICAS)?,
        strategy: strategy::read(params)?,
        batch_timeout_seconds: params.integer("BatchTimeout", 1..=LONGEST_BATCH)?,
        min_ready_seconds: params.integer("BatchWaitTime", 0..=LONGEST_WAIT)?,
        description: params.text("ChangeOrderDesc").unwrap_or_default().into(),
        notes: notes("DeployK8sApplication", params, &graceful_start),
        plan_hash: params.text("PlanHash").map(Into::into),
        allows_no_surge: params.boolean("AllowNoSurge")?.unwrap_or(false),
        template: None,
    })
}

fn read_release(
    params: &Params,
    application: ApplicationId,
) -> Result<Option<ReleaseId>, ApiError> {
    let Some(text) = params.text("PackageVersionId") else { return Ok(None) };
    let unknown =
        || Rejection::UnknownVersion { application, version: text.chars().take(100).collect() };
    Ok(Some(text.parse().map_err(|_| unknown())?))
}

fn read_roll_back(call: &Call) -> Result<RollBackTo, ApiError> {
    let params = &call.params;
    let application = call.application()?;
    // Every group is the default one, but the documentation demands it.
    params.required("GroupId")?;
    Ok(RollBackTo {
        application,
        version: params.required("HistoryVersion")?.into(),
        batches: params.integer("Batch", 1..=5)?,
        wait_minutes: params.integer("BatchWaitTime", 0..=5)?,
    })
}

#[cfg(test)]
mod tests;
