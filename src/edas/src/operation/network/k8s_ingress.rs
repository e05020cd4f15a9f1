//! Ingress rules: CreateK8sIngressRule, UpdateK8sIngressRule, ListK8sIngressRules and
//! DeleteK8sIngressRule.
//!
//! An Ingress belongs to a namespace, not to an application, so there is no change order:
//! a write is done when the reply comes.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    value::ingress::{read, read_texts},
    wire::{
        condition::Condition,
        error::ApiError,
        params::Params,
        reply::{Nothing, Reply},
    },
};
use domain::object::ingress::{Backend, IngressRuleView, PathView};
use service::{Route, RouteView};

/// Reply of ListK8sIngressRules.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct IngressListReply {
    /// The clusters with their Ingresses: the server's; a plain list.
    pub data: Vec<ClusterIngresses>,
}

/// The Ingresses of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ClusterIngresses {
    /// The cluster's id.
    #[schema(example = "default")]
    pub cluster_id: String,
    /// The same.
    pub cluster_name: String,
    /// The server's region.
    pub region_id: String,
    /// The Ingresses, by namespace and name.
    pub ingress_confs: Vec<ListedIngress>,
}

/// An Ingress.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedIngress {
    /// Its name.
    pub name: String,
    /// Its Kubernetes namespace.
    pub namespace: String,
    /// When it was created, in UTC.
    #[schema(example = "2026-11-24T06:58:10Z")]
    pub creation_time: String,
    /// Its address, or several with a comma; empty while it has none.
    pub endpoint: String,
    /// `AlbIngress` where its class begins with `alb`, else `NginxIngress`.
    #[schema(example = "NginxIngress")]
    pub ingress_type: String,
    /// Its annotations, as JSON text.
    pub annotations: String,
    /// Its labels, as JSON text.
    pub labels: String,
    /// Whether its annotation `nginx.ingress.kubernetes.io/ssl-redirect` (or ALB's) is `true`.
    pub ssl_redirect: bool,
    /// Its rules.
    pub rules: Vec<ListedRule>,
}

/// A rule of an Ingress.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedRule {
    /// The host; empty = any.
    pub host: String,
    /// Whether it has a certificate.
    pub enable_tls: bool,
    /// The Secret with its certificate; empty if it has none.
    pub secret_name: String,
    /// Its paths.
    pub paths: Vec<ListedPath>,
}

/// A path of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedPath {
    /// The path.
    pub path: String,
    /// `ImplementationSpecific`, `Exact` or `Prefix`.
    pub path_type: String,
    /// Where it leads to.
    pub backend: ListedBackend,
    /// `Normal`, `ServiceNotFound`, `InvalidServicePort`, or `NotManagedService` where this server did not make the Service.
    #[schema(example = "Normal")]
    pub status: String,
    /// Id of the application that the Service was created for; empty if of none.
    pub app_id: String,
    /// Its name.
    pub app_name: String,
}

/// The Service that a path leads to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedBackend {
    /// Its name; empty where it is no Service.
    pub service_name: String,
    /// Its port: number or name.
    pub service_port: String,
}

/// Creates an Ingress (`networking.k8s.io/v1`).
///
/// Which controller serves it is said by the annotation `kubernetes.io/ingress.class`, or
/// by the cluster's default class.
#[utoipa::path(
    post, path = "/pop/v5/k8s/acs/k8s_ingress", operation_id = "CreateK8sIngressRule", tag = "Network",
    responses((status = 200, description = "Created.", body = Reply<Nothing>))
)]
pub async fn create(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let request = wanted(&call.params)?;
    if request.rules.is_none() {
        return Err(ApiError::missing("IngressConf"));
    }
    call.service.create_route(&call.caller, request).await?;
    Ok(call.success(Nothing {}))
}

/// Changes an Ingress that this server created.
///
/// IngressConf replaces all rules. Of labels and annotations those that are given change;
/// one whose value is null is removed. An Ingress of somebody else is refused.
#[utoipa::path(
    put, path = "/pop/v5/k8s/acs/k8s_ingress", operation_id = "UpdateK8sIngressRule", tag = "Network",
    responses((status = 200, description = "Changed.", body = Reply<Nothing>))
)]
pub async fn update(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.change_route(&call.caller, wanted(&call.params)?).await?;
    Ok(call.success(Nothing {}))
}

/// Lists Ingresses, as they are now, whoever made them.
#[utoipa::path(
    get, path = "/pop/v5/k8s/acs/k8s_ingress", operation_id = "ListK8sIngressRules", tag = "Network",
    responses((status = 200, description = "The Ingresses.", body = Reply<IngressListReply>))
)]
pub async fn list(call: Call) -> Result<Reply<IngressListReply>, ApiError> {
    let params = &call.params;
    let condition = Condition::read(params)?;
    let settings = call.service.settings();
    let mut found = call
        .service
        .routes(params.text("ClusterId"), params.text("Namespace").unwrap_or_default())
        .await?;
    if let Some(condition) = condition {
        found.retain(|route| {
            condition.has(&text(&route.object["metadata"]["name"]), route.cluster.as_str())
        });
    }
    let cluster = params.text("ClusterId").unwrap_or(settings.cluster.as_str());
    let cluster = ClusterIngresses {
        cluster_id: cluster.to_owned(),
        cluster_name: cluster.to_owned(),
        region_id: settings.region.clone(),
        ingress_confs: found.into_iter().map(show).collect(),
    };
    Ok(call.success(IngressListReply { data: vec![cluster] }))
}

/// Deletes an Ingress that this server created.
///
/// An Ingress of somebody else is refused.
#[utoipa::path(
    delete, path = "/pop/v5/k8s/acs/k8s_ingress", operation_id = "DeleteK8sIngressRule", tag = "Network",
    responses((status = 200, description = "Deleted.", body = Reply<Nothing>))
)]
pub async fn delete(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let params = &call.params;
    let (cluster, namespace, name) =
        (params.required("ClusterId")?, params.required("Namespace")?, params.required("Name")?);
    call.service.delete_route(&call.caller, cluster, namespace, name).await?;
    Ok(call.success(Nothing {}))
}

fn wanted(params: &Params) -> Result<Route, ApiError> {
    Ok(Route {
        cluster: params.required("ClusterId")?.into(),
        namespace: params.required("Namespace")?.into(),
        name: params.required("Name")?.into(),
        rules: read(params)?,
        labels: read_texts(params, "Labels")?,
        annotations: read_texts(params, "Annotations")?,
    })
}

fn show(route: RouteView) -> ListedIngress {
    let RouteView { object, rules, .. } = route;
    let metadata = &object["metadata"];
    let annotation = |name: &str| text(&metadata["annotations"][name]);
    let class = match object["spec"]["ingressClassName"].as_str() {
        Some(class) => class.to_owned(),
        None => annotation("kubernetes.io/ingress.class"),
    };
    let redirects =
        ["nginx.ingress.kubernetes.io/ssl-redirect", "alb.ingress.kubernetes.io/ssl-redirect"];
    let addresses = object["status"]["loadBalancer"]["ingress"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let addresses =
        addresses.iter().filter_map(|it| it["ip"].as_str().or_else(|| it["hostname"].as_str()));
    let json = |value: &Value| if value.is_null() { "{}".into() } else { value.to_string() };
    ListedIngress {
        name: text(&metadata["name"]),
        namespace: text(&metadata["namespace"]),
        creation_time: text(&metadata["creationTimestamp"]),
        endpoint: addresses.collect::<Vec<_>>().join(","),
        ingress_type: if class.starts_with("alb") { "AlbIngress" } else { "NginxIngress" }.into(),
        annotations: json(&metadata["annotations"]),
        labels: json(&metadata["labels"]),
        ssl_redirect: redirects.into_iter().any(|name| annotation(name) == "true"),
        rules: rules.into_iter().map(show_rule).collect(),
    }
}

fn show_rule(rule: IngressRuleView) -> ListedRule {
    ListedRule {
        host: rule.host,
        enable_tls: rule.secret.is_some(),
        secret_name: rule.secret.unwrap_or_default(),
        paths: rule.paths.into_iter().map(show_path).collect(),
    }
}

fn show_path(path: PathView) -> ListedPath {
    let status = match path.backend {
        Backend::Normal => "Normal",
        Backend::Missing => "ServiceNotFound",
        Backend::NoSuchPort => "InvalidServicePort",
        Backend::NotOurs => "NotManagedService",
    };
    let (app_id, app_name) = path.application.unwrap_or_default();
    ListedPath {
        path: path.path,
        path_type: path.matched,
        backend: ListedBackend { service_name: path.service, service_port: path.port },
        status: status.into(),
        app_id,
        app_name,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
