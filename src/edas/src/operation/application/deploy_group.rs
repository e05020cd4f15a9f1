//! ListDeployGroup: the instance groups of an application.
//!
//! An application is one Deployment, so it has one group, the default one; its id
//! is the application's. Amounts are in EDAS' units: cores, MB, GB.

use serde::Serialize;
use serde_json::Map;
use utoipa::ToSchema;

use super::k8s_application::json_at;
use crate::{
    edge::call::Call,
    operation::order::pipeline,
    wire::{
        error::ApiError,
        quantity::{gibibytes, mebibytes, millicores},
        reply::{Reply, wrapped},
    },
};
use domain::{ApplicationId, application::Application, order, template::given::as_given};
use service::{CurrentSpec, OrderView};

/// Name of the only instance group, as in EDAS.
pub(crate) const GROUP_NAME: &str = "_DEFAULT_GROUP";

/// Reply of ListDeployGroup.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DeployGroupReply {
    /// The instance groups.
    pub deploy_group_list: DeployGroupList,
}

wrapped! {
    /// Instance groups: always the default one.
    DeployGroupList, "DeployGroup": ListedGroup
}

/// An instance group.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedGroup {
    /// The application's id.
    pub app_id: String,
    /// Its id: the application's.
    pub group_id: String,
    /// Always `_DEFAULT_GROUP`.
    #[schema(example = "_DEFAULT_GROUP")]
    pub group_name: String,
    /// Always 0: the default group.
    pub group_type: i32,
    /// The application's id.
    pub selector: String,
    /// Its cluster.
    pub cluster_id: String,
    /// Its cluster.
    pub cluster_name: String,
    /// Its cluster.
    pub cs_cluster_id: String,
    /// Its Kubernetes namespace.
    pub name_space: String,
    /// Name of the Deployment.
    pub deployment_name: String,
    /// Always `RollingUpdate`.
    #[schema(example = "RollingUpdate")]
    pub strategy: String,
    /// State of the newest change order, as text: 0 ready, 1 in progress or waiting, 2 success, 3 failed, 6 aborted, 10 system error.
    #[schema(example = "2")]
    pub status: String,
    /// The newest change order.
    pub app_version_id: String,
    /// The version that runs; empty while none was released to its end.
    pub package_version_id: String,
    /// Its text.
    pub package_version: String,
    /// Its image, or its package's address.
    pub package_url: String,
    /// Its image, or its package's address.
    pub package_public_url: String,
    /// When the application was created, in milliseconds since 1970.
    pub create_time: i64,
    /// When the newest change order began or ended, in milliseconds since 1970.
    pub update_time: i64,
    /// The same.
    pub last_update_time: i64,
    /// Processor limit in cores; 0 = none.
    #[schema(example = "0.5")]
    pub cpu_limit: String,
    /// Processor request in cores; 0 = none.
    pub cpu_request: String,
    /// Memory limit in MB; 0 = none.
    pub memory_limit: String,
    /// Memory request in MB; 0 = none.
    pub memory_request: String,
    /// Limit of ephemeral storage in GB; 0 = none.
    pub ephemeral_storage_limit: String,
    /// Request of ephemeral storage in GB; 0 = none.
    pub ephemeral_storage_request: String,
    /// Environment variables, as JSON text of a list; empty if there are none.
    pub env: String,
    /// Pod labels, as JSON text; empty if there are none.
    pub labels: String,
    /// Hook after the start, as JSON text; empty if there is none.
    pub post_start: String,
    /// Hook before the stop, as JSON text; empty if there is none.
    pub pre_stop: String,
}

/// Lists the instance groups of an application: one, with what the version that runs has.
#[utoipa::path(
    post, path = "/pop/v5/app/deploy_group_list", operation_id = "ListDeployGroup", tag = "Applications",
    responses((status = 200, description = "The group.", body = Reply<DeployGroupReply>))
)]
pub async fn list(call: Call) -> Result<Reply<DeployGroupReply>, ApiError> {
    let id = call.application()?;
    let application = call.service.application(id).await?;
    let spec = call.service.current_spec(id).await?;
    let newest = call.service.newest_order(id).await?;
    Ok(call.success(DeployGroupReply {
        deploy_group_list: DeployGroupList {
            items: vec![show(&application, &spec, newest.as_ref())],
        },
    }))
}

/// Id of an application's only group.
pub(crate) fn group_id(application: &Application) -> String {
    id_of_group(application.id)
}

/// As [`group_id`].
pub(crate) fn id_of_group(application: ApplicationId) -> String {
    application.to_string()
}

/// When an application changed last, in milliseconds since 1970.
pub(crate) fn changed_at(application: &Application, newest: Option<&OrderView>) -> i64 {
    newest
        .map_or(application.created_at, |order| order.finished_at.unwrap_or(order.created_at))
        .as_millisecond()
}

fn show(application: &Application, spec: &CurrentSpec, newest: Option<&OrderView>) -> ListedGroup {
    let nothing = Map::new();
    let container = application.container_of(&spec.template).unwrap_or(&nothing);
    let amount = |kind: &str, resource: &str| {
        container
            .get("resources")
            .and_then(|it| it.get(kind)?.get(resource)?.as_str())
            .unwrap_or("0")
    };
    let cores = |kind: &str| in_cores(millicores(amount(kind, "cpu")));
    let memory = |kind: &str| mebibytes(amount(kind, "memory")).to_string();
    let storage = |kind: &str| gibibytes(amount(kind, "ephemeral-storage")).to_string();
    let release = spec.release.as_ref();
    let address = release
        .map(|it| it.package.as_ref().map_or(&it.image, |package| &package.address).clone())
        .unwrap_or_default();
    let changed_at = changed_at(application, newest);
    ListedGroup {
        app_id: application.id.to_string(),
        group_id: group_id(application),
        group_name: GROUP_NAME.into(),
        group_type: 0,
        selector: application.id.to_string(),
        cluster_id: application.cluster.to_string(),
        cluster_name: application.cluster.to_string(),
        cs_cluster_id: application.cluster.to_string(),
        name_space: application.namespace.clone(),
        deployment_name: application.name.clone(),
        strategy: "RollingUpdate".into(),
        status: newest.map(|order| group_status(order.state).to_string()).unwrap_or_default(),
        app_version_id: newest.map(|order| order.id.to_string()).unwrap_or_default(),
        package_version_id: release.map(|it| it.id.to_string()).unwrap_or_default(),
        package_version: release.map(|it| it.version.clone()).unwrap_or_default(),
        package_url: address.clone(),
        package_public_url: address,
        create_time: application.created_at.as_millisecond(),
        update_time: changed_at,
        last_update_time: changed_at,
        cpu_limit: cores("limits"),
        cpu_request: cores("requests"),
        memory_limit: memory("limits"),
        memory_request: memory("requests"),
        ephemeral_storage_limit: storage("limits"),
        ephemeral_storage_request: storage("requests"),
        env: json_at(container.get("env")),
        labels: json_at(spec.template.pointer("/metadata/labels")),
        post_start: json_at(as_given(&spec.template, container, "postStart").as_ref()),
        pre_stop: json_at(as_given(&spec.template, container, "preStop").as_ref()),
    }
}

/// A group has no numbers for waiting: an order that waits is in progress.
fn group_status(state: order::State) -> i32 {
    match state {
        order::State::WaitingConfirmation | order::State::WaitingInterval => {
            pipeline::status(order::State::Running)
        }
        state => pipeline::status(state),
    }
}

/// `500` millicores are `0.5` cores.
fn in_cores(millicores: i64) -> String {
    let text = format!("{}.{:03}", millicores / 1000, millicores % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::{group_status, *};
    use crate::wire::shape;
    use domain::{ReleaseId, order::State};
    use service::ReleaseView;

    pub(crate) fn application() -> Application {
        Application {
            id: "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e".parse().unwrap(),
            name: "web".into(),
            cluster: "default".into(),
            namespace: "shop".into(),
            namespace_named: true,
            logical_region: "cn-test:shop".into(),
            description: String::new(),
            created_at: "2026-11-24T00:00:00Z".parse().unwrap(),
            created_by: "ci".into(),
            owner: "ci".into(),
            email: String::new(),
            phone: String::new(),
            container: domain::template::container::Known::Nothing,
            replicas: 2,
            replicas_before_stop: None,
            deployment_missing: false,
            ready_replicas: 2,
            release: None,
            package: None,
            last_order: None,
        }
    }

    #[test]
    fn the_only_group_has_what_the_version_has() {
        let release = ReleaseView {
            id: ReleaseId::new(),
            application: application().id,
            version: "2.0".into(),
            image: "shop/web:2.0".into(),
            package: None,
            description: String::new(),
            created_at: "2026-11-24T00:00:00Z".parse().unwrap(),
            released_at: "2026-11-24T00:01:00Z".parse().unwrap(),
        };
        let template = json!({
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{
                "name": "web",
                "env": [{ "name": "A", "value": "b" }],
                "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } },
                "resources": { "limits": { "cpu": "1500m", "memory": "1Gi", "ephemeral-storage": "8Gi" }, "requests": { "cpu": "250m" } },
            }] },
        });
        let spec = CurrentSpec { release: Some(release), template };
        let reply = json!(DeployGroupReply {
            deploy_group_list: DeployGroupList { items: vec![show(&application(), &spec, None)] }
        });
        shape::check("ListDeployGroup", &reply);
        let group = &reply["DeployGroupList"]["DeployGroup"][0];
        let of = |names: &[&str]| {
            names.iter().map(|name| group[name].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            of(&[
                "CpuLimit",
                "CpuRequest",
                "MemoryLimit",
                "MemoryRequest",
                "EphemeralStorageLimit"
            ]),
            ["1.5", "0.25", "1024", "0", "8"]
        );
        assert_eq!(
            of(&["GroupName", "DeploymentName", "PackageVersion", "PackageUrl"]),
            ["_DEFAULT_GROUP", "web", "2.0", "shop/web:2.0"]
        );
        assert_eq!(
            of(&["Env", "PreStop", "PostStart"]),
            [r#"[{"name":"A","value":"b"}]"#, r#"{"sleep":{"seconds":5}}"#, ""]
        );
    }

    #[rstest]
    #[case(State::Ready, 0)]
    #[case(State::WaitingConfirmation, 1)]
    #[case(State::WaitingInterval, 1)]
    #[case(State::Aborted, 6)]
    #[case(State::SystemFailed, 10)]
    fn a_group_has_only_the_numbers_that_are_documented_for_it(
        #[case] state: State,
        #[case] expected: i32,
    ) {
        assert_eq!(group_status(state), expected);
    }
}
