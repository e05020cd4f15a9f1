//! GetK8sApplication: an application with what it runs.
//!
//! Read from the pod template of the version that runs. The object is under
//! the misspelt key `Applcation` alone (R12), the component list is
//! `Components.Components` (R13), `BuildpackId` is always a number and no JDK
//! is listed for an image, or Terraform would plan a change for ever (R29). For
//! the same reason the start command that a package gets by itself is none.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::slb_info;
use crate::{
    edge::call::Call,
    operation::{application::list::type_of, release::deploy::region_of},
    wire::{
        error::ApiError,
        quantity::{gibibytes, mebibytes, millicores},
        reply::{Reply, wrapped},
    },
};
use domain::{
    application::Application,
    package::PackageKind,
    template::{given::as_given, graceful_start::GracefulStart, java::Running},
};
use service::CurrentSpec;

mod pod;

/// Reply of GetK8sApplication.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct K8sApplicationReply {
    /// The application; the key is misspelt in EDAS too.
    #[serde(rename = "Applcation")]
    pub application: K8sApplication,
}

/// An application with what it runs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct K8sApplication {
    /// Its id.
    pub app_id: String,
    /// Free text; Terraform compares it.
    pub description: String,
    /// Its Kubernetes namespace where its creator named one, else empty: Terraform compares it with what was set.
    pub name_space: String,
    /// The application and its settings.
    pub app: App,
    /// Settings as texts.
    pub conf: Conf,
    /// Its instance groups: always the default one.
    pub deploy_groups: DeployGroups,
    /// The image that runs; empty where a package does, or Terraform would plan to take it away.
    pub image_info: ImageInfo,
    /// The version that runs.
    pub latest_version: LatestVersion,
}

/// The application and its settings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct App {
    /// Its id.
    pub app_id: String,
    /// Its name.
    pub application_name: String,
    /// `Image`, `FatJar` or `War`.
    #[schema(example = "Image")]
    pub application_type: String,
    /// The same.
    #[schema(example = "Image")]
    pub deploy_type: String,
    /// `Multilingual` for an image, `General` for a package.
    #[schema(example = "Multilingual")]
    pub develop_type: String,
    /// Always -1: none.
    pub buildpack_id: i32,
    /// Its cluster.
    pub cluster_id: String,
    /// Its cluster.
    pub cs_cluster_id: String,
    /// Its Kubernetes namespace.
    pub k8s_namespace: String,
    /// Its region.
    pub region_id: String,
    /// Desired number of instances.
    pub instances: i32,
    /// Instances that StartK8sApplication brings back, where the application was stopped; else 0.
    pub instances_before_scaling: i32,
    /// Start command; empty = the image's or the package's.
    pub cmd: String,
    /// Its arguments.
    pub cmd_args: CmdArgs,
    /// Environment variables with plain values.
    pub env_list: EnvList,
    /// Processor limit in millicores; 0 = none.
    pub limit_cpu_m: i64,
    /// Processor request in millicores; 0 = none.
    pub request_cpu_m: i64,
    /// Memory limit in MB; 0 = none.
    pub limit_mem: i64,
    /// Memory request in MB; 0 = none.
    pub request_mem: i64,
    /// Disk space limit in GB, as text; `0` = none.
    #[schema(example = "0")]
    pub limit_ephemeral_storage: String,
    /// Disk space request in GB, as text; `0` = none.
    #[schema(example = "0")]
    pub request_ephemeral_storage: String,
    /// Security settings of the container, else of the pod, as YAML in base64; empty if there are none.
    pub security_context: String,
    /// Pod annotations, as JSON text.
    pub annotations: String,
    /// Pod labels, as JSON text.
    pub labels: String,
    /// Whether its graceful start is on.
    pub enable_lossless_rule: bool,
    /// As in DeployK8sApplication, in seconds; 0 = none.
    pub lossless_rule_delay_time: i32,
    /// As in DeployK8sApplication, in seconds; 0 = none.
    pub lossless_rule_warmup_time: i32,
    /// As in DeployK8sApplication; 2 if nobody said anything.
    #[schema(example = 2)]
    pub lossless_rule_func_type: i32,
    /// As in DeployK8sApplication.
    pub lossless_rule_aligned: bool,
    /// As in DeployK8sApplication.
    pub lossless_rule_related: bool,
    /// Always `Deployment`.
    #[schema(example = "Deployment")]
    pub workload_type: String,
    /// Always empty.
    pub edas_container_version: String,
    /// Web container of a WAR; empty otherwise.
    pub tomcat_version: String,
    /// The load balancers that it is bound to, as in GetApplication.
    pub slb_info: String,
}

wrapped! {
    /// Arguments of the start command.
    CmdArgs, "CmdArg": String
}

wrapped! {
    /// Environment variables.
    EnvList, "Env": Env
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Env {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Settings as texts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Conf {
    /// Always false.
    pub ahas_enabled: bool,
    /// Arguments of a JAR's program, with blanks between; empty for everything else.
    pub jar_start_args: String,
    /// Options of a JAR's JVM; empty for everything else.
    pub jar_start_options: String,
    /// Start command; empty = the image's or the package's.
    pub k8s_cmd: String,
    /// Its arguments, as JSON text of a list; empty if there are none.
    pub k8s_cmd_args: String,
    /// Folders of the node that the container has, as in LocalVolume, as JSON text of a list; empty if there are none.
    pub k8s_localvolume_info: String,
    /// These (`hostPaths`) and folders that live as long as the pod (`emptyDirs`, as in EmptyDirs): JSON text of an object of JSON texts of lists.
    #[schema(example = r#"{"emptyDirs":"[]","hostPaths":"[]"}"#)]
    pub k8s_volume_info: String,
    /// Readiness probe, as JSON text; empty if there is none.
    pub readiness: String,
    /// Liveness probe, as JSON text; empty if there is none.
    pub liveness: String,
    /// Hook after the start, as JSON text; empty if there is none.
    pub post_start: String,
    /// Hook before the stop, as JSON text; empty if there is none.
    pub pre_stop: String,
    /// Kubernetes affinity, as JSON text; empty if there is none.
    pub affinity: String,
    /// Kubernetes tolerations, as JSON text; empty if there are none.
    pub tolerations: String,
    /// Always empty.
    pub deploy_across_nodes: String,
    /// Always empty.
    pub deploy_across_zones: String,
    /// Name of the container runtime class; empty if there is none.
    pub runtime_class_name: String,
}

wrapped! {
    /// Instance groups.
    DeployGroups, "DeployGroup": DeployGroup
}

/// An instance group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DeployGroup {
    /// What a package runs on; nothing is listed for an image.
    pub components: Components,
    /// Processor request in cores, where they are whole: Terraform reads no others; 0 = none.
    #[schema(example = "1")]
    pub cpu_request: String,
    /// Processor limit in cores, where they are whole; 0 = none.
    pub cpu_limit: String,
    /// Memory request in MB; 0 = none.
    #[schema(example = "512")]
    pub memory_request: String,
    /// Memory limit in MB; 0 = none.
    pub memory_limit: String,
    /// Environment variables whose values are in ConfigMaps and Secrets: JSON list of JSON texts.
    #[schema(
        example = r#"["{\"name\":\"A\",\"valueFrom\":{\"configMapKeyRef\":{\"key\":\"a\",\"name\":\"settings\"}}}"]"#
    )]
    pub env: String,
    /// ConfigMaps and Secrets whose keys are all variables: JSON list.
    #[schema(example = r#"[{"configMapRef":{"name":"settings"}}]"#)]
    pub env_from: String,
}

wrapped! {
    /// Components; the inner key is the same as the outer one.
    Components, "Components": Component
}

/// A component, such as a JDK.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Component {
    /// Its id.
    pub component_id: String,
    /// Its name.
    pub component_key: String,
    /// Its kind.
    pub r#type: String,
}

/// The image that runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ImageInfo {
    /// Full address, exactly as it was given.
    pub image_url: String,
    /// Its tag; empty if it has none.
    pub tag: String,
    /// Last part of the address, without the tag.
    pub repo_name: String,
    /// What stands between host and last part.
    pub repo_namespace: String,
    /// Always empty.
    pub region_id: String,
    /// Always empty.
    pub repo_id: String,
    /// Always empty.
    pub repo_origin_type: String,
}

/// The version that runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct LatestVersion {
    /// Its text; empty while none was released to its end.
    pub package_version: String,
    /// Its image, or its package's address.
    pub url: String,
    /// Its image, or its package's address.
    pub war_url: String,
}

/// Shows an application with its image, command, environment, probes and limits.
#[utoipa::path(
    get, path = "/pop/v5/changeorder/co_application", operation_id = "GetK8sApplication", tag = "Applications",
    responses((status = 200, description = "The application.", body = Reply<K8sApplicationReply>))
)]
pub async fn get(call: Call) -> Result<Reply<K8sApplicationReply>, ApiError> {
    let id = call.application()?;
    if let Some(from) = call.params.text("From").filter(|from| *from != "deploy") {
        return Err(ApiError::invalid("From", from, "must be deploy, or absent"));
    }
    let application = call.service.application(id).await?;
    let spec = call.service.current_spec(id).await?;
    let mut shown = show(&application, &spec);
    shown.app.slb_info = slb_info::show(&call.service.bindings(&application).await?);
    Ok(call.success(K8sApplicationReply { application: shown }))
}

fn show(application: &Application, spec: &CurrentSpec) -> K8sApplication {
    let nothing = Map::new();
    let container = application.container_of(&spec.template).unwrap_or(&nothing);
    let image = application.image_of(&spec.template).unwrap_or_default();
    let running = Running::of(&spec.template);
    let command = command(container, running.as_ref());
    let address = spec
        .release
        .as_ref()
        .map(|it| it.package.as_ref().map_or(&it.image, |package| &package.address).clone());
    K8sApplication {
        app_id: application.id.to_string(),
        description: application.description.clone(),
        name_space: if application.namespace_named {
            application.namespace.clone()
        } else {
            String::new()
        },
        app: app(application, spec, container, running.as_ref(), &command),
        conf: conf(&spec.template, container, running.as_ref(), &command),
        deploy_groups: DeployGroups { items: vec![group(container, running.as_ref())] },
        image_info: if running.is_some() { ImageInfo::default() } else { image_info(image) },
        latest_version: LatestVersion {
            package_version: spec.release.as_ref().map(|it| it.version.clone()).unwrap_or_default(),
            url: address.clone().unwrap_or_default(),
            war_url: address.unwrap_or_default(),
        },
    }
}

/// The start command that somebody gave: not the one that a package gets by itself.
fn command(container: &Map<String, Value>, running: Option<&Running>) -> String {
    match running {
        Some(running) if running.starts(container) => String::new(),
        _ => texts_at(container.get("command")).join(" "),
    }
}

fn group(container: &Map<String, Value>, running: Option<&Running>) -> DeployGroup {
    let kept = |key: &str| container.get(key).and_then(Value::as_array).into_iter().flatten();
    let elsewhere = kept("env").filter(|variable| {
        ["configMapKeyRef", "secretKeyRef"]
            .iter()
            .any(|from| variable["valueFrom"].get(from).is_some())
    });
    let texts: Vec<String> = elsewhere.map(Value::to_string).collect();
    let sources: Vec<&Value> = kept("envFrom").collect();
    let amount = |kind: &str, resource: &str| {
        container.get("resources").and_then(|it| it.get(kind)?.get(resource)?.as_str())
    };
    let cores = |kind: &str| match amount(kind, "cpu").map_or(0, millicores) {
        whole if whole % 1000 == 0 => (whole / 1000).to_string(),
        _ => String::new(),
    };
    let memory = |kind: &str| amount(kind, "memory").map_or(0, mebibytes).to_string();
    DeployGroup {
        components: components(running),
        cpu_request: cores("requests"),
        cpu_limit: cores("limits"),
        memory_request: memory("requests"),
        memory_limit: memory("limits"),
        env: json!(texts).to_string(),
        env_from: json!(sources).to_string(),
    }
}

fn components(running: Option<&Running>) -> Components {
    let Some(Running { runtime, .. }) = running else { return Components::default() };
    let component = |key: &str, kind: &str| Component {
        component_id: key.into(),
        component_key: key.into(),
        r#type: kind.into(),
    };
    let container = runtime.web_container.as_deref().map(|key| component(key, "TOMCAT"));
    Components { items: std::iter::once(component(&runtime.jdk, "JDK")).chain(container).collect() }
}

fn app(
    application: &Application,
    spec: &CurrentSpec,
    container: &Map<String, Value>,
    running: Option<&Running>,
    command: &str,
) -> App {
    let amount = |kind: &str, resource: &str| {
        container.get("resources").and_then(|it| it.get(kind)?.get(resource)?.as_str())
    };
    let variables = container.get("env").and_then(Value::as_array).into_iter().flatten();
    let plain = variables.filter(|variable| variable.get("valueFrom").is_none()).map(|variable| {
        Env { name: text_at(variable.get("name")), value: text_at(variable.get("value")) }
    });
    let rule = GracefulStart::of(&spec.template).unwrap_or_default();
    App {
        enable_lossless_rule: rule.on,
        lossless_rule_delay_time: rule.delay_seconds,
        lossless_rule_warmup_time: rule.warm_up_seconds,
        lossless_rule_func_type: rule.curve,
        lossless_rule_aligned: rule.registered_first,
        lossless_rule_related: rule.warm_first,
        app_id: application.id.to_string(),
        application_name: application.name.clone(),
        application_type: type_of(application).into(),
        deploy_type: type_of(application).into(),
        develop_type: if application.package.is_some() { "General" } else { "Multilingual" }.into(),
        tomcat_version: running.and_then(|it| it.runtime.web_container.clone()).unwrap_or_default(),
        buildpack_id: -1,
        cluster_id: application.cluster.to_string(),
        cs_cluster_id: application.cluster.to_string(),
        k8s_namespace: application.namespace.clone(),
        region_id: region_of(&application.logical_region).into(),
        instances: application.replicas,
        instances_before_scaling: application.replicas_before_stop.unwrap_or(0),
        cmd: command.into(),
        cmd_args: CmdArgs { items: texts_at(container.get("args")) },
        env_list: EnvList { items: plain.collect() },
        limit_cpu_m: amount("limits", "cpu").map_or(0, millicores),
        request_cpu_m: amount("requests", "cpu").map_or(0, millicores),
        limit_mem: amount("limits", "memory").map_or(0, mebibytes),
        request_mem: amount("requests", "memory").map_or(0, mebibytes),
        limit_ephemeral_storage: amount("limits", "ephemeral-storage")
            .map_or(0, gibibytes)
            .to_string(),
        request_ephemeral_storage: amount("requests", "ephemeral-storage")
            .map_or(0, gibibytes)
            .to_string(),
        security_context: pod::security(&spec.template, container),
        annotations: json_at(spec.template.pointer("/metadata/annotations")),
        labels: json_at(spec.template.pointer("/metadata/labels")),
        workload_type: "Deployment".into(),
        ..App::default()
    }
}

fn conf(
    template: &Value,
    container: &Map<String, Value>,
    running: Option<&Running>,
    command: &str,
) -> Conf {
    let jar = running.filter(|running| running.kind == PackageKind::FatJar);
    let node_folders = pod::node_folders(template, container);
    let volumes = json!({ "hostPaths": json!(node_folders).to_string(), "emptyDirs": json!(pod::empty_folders(template, container)).to_string() });
    Conf {
        jar_start_args: jar.map(|_| texts_at(container.get("args")).join(" ")).unwrap_or_default(),
        jar_start_options: jar.map(|jar| jar.jvm_options.clone()).unwrap_or_default(),
        k8s_localvolume_info: if node_folders.is_empty() {
            String::new()
        } else {
            json!(node_folders).to_string()
        },
        k8s_volume_info: volumes.to_string(),
        k8s_cmd: command.into(),
        k8s_cmd_args: json_at(container.get("args")),
        readiness: json_at(as_given(template, container, "readinessProbe").as_ref()),
        liveness: json_at(as_given(template, container, "livenessProbe").as_ref()),
        post_start: json_at(as_given(template, container, "postStart").as_ref()),
        pre_stop: json_at(as_given(template, container, "preStop").as_ref()),
        affinity: json_at(template.pointer("/spec/affinity")),
        tolerations: json_at(template.pointer("/spec/tolerations")),
        runtime_class_name: text_at(template.pointer("/spec/runtimeClassName")),
        ..Conf::default()
    }
}

/// `registry.example:5000/team/web:2.0@sha256:…` in parts.
fn image_info(image: &str) -> ImageInfo {
    let undigested = image.split('@').next().unwrap_or(image);
    let (path, last) = undigested.rsplit_once('/').unwrap_or(("", undigested));
    let (repo_name, tag) = last.split_once(':').unwrap_or((last, ""));
    // As in Docker: the first part is a host if it has a dot or a port.
    let (host, namespace) = path.split_once('/').unwrap_or((path, ""));
    let is_host = host.contains(['.', ':']) || host == "localhost";
    ImageInfo {
        image_url: image.into(),
        tag: tag.into(),
        repo_name: repo_name.into(),
        repo_namespace: if is_host { namespace.into() } else { path.into() },
        ..ImageInfo::default()
    }
}

fn text_at(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().into()
}

fn texts_at(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).into_iter().flatten().map(|item| text_at(Some(item))).collect()
}

/// JSON as text; empty where there is nothing.
pub(crate) fn json_at(value: Option<&Value>) -> String {
    value.filter(|value| !value.is_null()).map(Value::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests;
