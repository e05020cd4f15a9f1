//! QueryApplicationStatus: an application with its instances as they are now.
//!
//! EDAS' words are those of ECS: an "Ecc" is a pod here and an "Ecu" the node that
//! it is on. The pods are looked at when the call comes in; where nobody can look,
//! the reply says so instead of something old.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::deploy_group::{GROUP_NAME, changed_at, group_id};
use crate::{
    edge::call::Call,
    wire::{
        error::ApiError,
        reply::{Reply, wrapped},
    },
};
use domain::{
    application::Application,
    observed::cluster_state::{Pod, PodHealth},
};
use service::{InstanceView, OrderView, ReleaseView};

/// Reply of QueryApplicationStatus.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StatusReply {
    /// The application.
    pub app_info: AppInfo,
}

/// An application with its instances.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AppInfo {
    /// The application itself.
    pub application: StatusApplication,
    /// Its instances.
    pub ecc_list: EccList,
    /// The nodes that they are on.
    pub ecu_list: EcuList,
    /// Its instance groups: always the default one.
    pub group_list: GroupList,
    /// Which version each instance runs.
    pub deploy_record_list: DeployRecordList,
}

/// The application itself.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StatusApplication {
    /// Its id.
    pub application_id: String,
    /// Its name.
    pub name: String,
    /// Always -1: none.
    pub build_package_id: i32,
    /// Its cluster.
    pub cluster_id: String,
    /// When it was created, in milliseconds since 1970.
    pub create_time: i64,
    /// When the version that it runs was released to its end, in milliseconds since 1970; 0 = none was.
    pub launch_time: i64,
    /// Always true.
    pub dockerize: bool,
    /// Desired number of instances.
    pub instance_count: i32,
    /// Instances that are ready.
    pub running_instance_count: i32,
    /// Its EDAS namespace.
    pub region_id: String,
    /// Whose it is: the access key's name that created it, unless UpdateK8sApplicationBaseInfo named somebody.
    pub owner: String,
    /// The owner's address; empty unless UpdateK8sApplicationBaseInfo gave one.
    pub email: String,
    /// The owner's telephone number, likewise.
    pub phone: String,
    /// Name of the access key that created it.
    pub user_id: String,
}

wrapped! {
    /// Instances, by name.
    EccList, "Ecc": Ecc
}

/// An instance: a pod.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Ecc {
    /// The application's id.
    pub app_id: String,
    /// Name of the pod.
    pub ecc_id: String,
    /// Name of its node; empty while it has none.
    pub ecu_id: String,
    /// Its instance group.
    pub group_id: String,
    /// 7 it runs and is ready, 3 it runs and is not ready, 1 it does not run, 0 not known.
    #[schema(example = 7)]
    pub app_state: i32,
    /// 2 it came up, 1 it is coming up, 3 it cannot, 0 not known.
    #[schema(example = 2)]
    pub task_state: i32,
    /// Kubernetes' phase, or what a container of it waits for in vain.
    #[schema(example = "Running")]
    pub container_status: String,
    /// Address of the pod; empty while it has none.
    pub ip: String,
    /// When the pod was created, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<i64>,
    /// When it became ready, or stopped being so, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<i64>,
}

wrapped! {
    /// Nodes, by name.
    EcuList, "Ecu": Ecu
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Ecu {
    /// Its name.
    pub ecu_id: String,
    /// Its name.
    pub name: String,
    /// Its address.
    pub ip_addr: String,
    /// The instance group that is on it.
    pub group_id: String,
    /// Always true: it runs containers.
    pub docker_env: bool,
}

wrapped! {
    /// Instance groups.
    GroupList, "Group": Group
}

/// An instance group.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Group {
    /// The application's id.
    pub app_id: String,
    /// Its id: the application's.
    pub group_id: String,
    /// Always `_DEFAULT_GROUP`.
    #[schema(example = "_DEFAULT_GROUP")]
    pub group_name: String,
    /// Always 0: the default group.
    pub group_type: i32,
    /// Its cluster.
    pub cluster_id: String,
    /// The newest change order.
    pub app_version_id: String,
    /// The version that runs; empty while none was released to its end.
    pub package_version_id: String,
    /// When the application was created, in milliseconds since 1970.
    pub create_time: i64,
    /// When the newest change order began or ended, in milliseconds since 1970.
    pub update_time: i64,
}

wrapped! {
    /// Which version each instance runs.
    DeployRecordList, "DeployRecord": DeployRecord
}

/// Which version an instance runs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DeployRecord {
    /// Name of the pod.
    pub deploy_record_id: String,
    /// Name of the pod.
    pub ecc_id: String,
    /// Name of its node; empty while it has none.
    pub ecu_id: String,
    /// The version that it was made from.
    pub package_version_id: String,
    /// When the pod was created, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<i64>,
}

/// Shows an application with its instances (pods) and where they run, as they are now.
///
/// Where no executor can look at the cluster, the reply is a business error.
#[utoipa::path(
    get, path = "/pop/v5/app/app_status", operation_id = "QueryApplicationStatus", tag = "Applications",
    responses((status = 200, description = "The application and its instances.", body = Reply<StatusReply>))
)]
pub async fn query(call: Call) -> Result<Reply<StatusReply>, ApiError> {
    let id = call.application()?;
    let instances = call.service.instances(id, false, false).await?;
    let application = call.service.application(id).await?;
    let release = call.service.current_spec(id).await?.release;
    let newest = call.service.newest_order(id).await?;
    Ok(call.success(StatusReply {
        app_info: show(&application, release.as_ref(), newest.as_ref(), &instances),
    }))
}

fn show(
    application: &Application,
    release: Option<&ReleaseView>,
    newest: Option<&OrderView>,
    instances: &[InstanceView],
) -> AppInfo {
    let pods = || instances.iter().map(|instance| &instance.pod);
    let nodes: BTreeMap<&str, &str> = pods()
        .filter(|pod| !pod.node.is_empty())
        .map(|pod| (pod.node.as_str(), pod.node_ip.as_str()))
        .collect();
    let ecu = |(name, address): (&str, &str)| Ecu {
        ecu_id: name.into(),
        name: name.into(),
        ip_addr: address.into(),
        group_id: group_id(application),
        docker_env: true,
    };
    AppInfo {
        application: StatusApplication {
            application_id: application.id.to_string(),
            name: application.name.clone(),
            build_package_id: -1,
            cluster_id: application.cluster.to_string(),
            create_time: application.created_at.as_millisecond(),
            launch_time: release.map_or(0, |release| release.released_at.as_millisecond()),
            dockerize: true,
            instance_count: application.replicas,
            running_instance_count: application.ready_replicas,
            region_id: application.logical_region.clone(),
            owner: application.owner.clone(),
            email: application.email.clone(),
            phone: application.phone.clone(),
            user_id: application.created_by.clone(),
        },
        ecc_list: EccList { items: pods().map(|pod| ecc(application, pod)).collect() },
        ecu_list: EcuList { items: nodes.into_iter().map(ecu).collect() },
        group_list: GroupList {
            items: vec![Group {
                app_id: application.id.to_string(),
                group_id: group_id(application),
                group_name: GROUP_NAME.into(),
                group_type: 0,
                cluster_id: application.cluster.to_string(),
                app_version_id: newest.map(|order| order.id.to_string()).unwrap_or_default(),
                package_version_id: release
                    .map(|release| release.id.to_string())
                    .unwrap_or_default(),
                create_time: application.created_at.as_millisecond(),
                update_time: changed_at(application, newest),
            }],
        },
        deploy_record_list: DeployRecordList { items: pods().filter_map(deploy_record).collect() },
    }
}

fn ecc(application: &Application, pod: &Pod) -> Ecc {
    let health = pod.health();
    let task_state = match health {
        PodHealth::Ready | PodHealth::Ended => 2,
        PodHealth::Failed => 3,
        PodHealth::Unknown => 0,
        PodHealth::Starting | PodHealth::Unready if pod.trouble.is_empty() => 1,
        PodHealth::Starting | PodHealth::Unready => 3,
    };
    Ecc {
        app_id: application.id.to_string(),
        ecc_id: pod.name.clone(),
        ecu_id: pod.node.clone(),
        group_id: group_id(application),
        app_state: match health {
            PodHealth::Ready => 7,
            PodHealth::Unready => 3,
            PodHealth::Starting | PodHealth::Ended | PodHealth::Failed => 1,
            PodHealth::Unknown => 0,
        },
        task_state,
        container_status: if pod.trouble.is_empty() {
            pod.phase.clone()
        } else {
            pod.trouble.clone()
        },
        ip: pod.ip.clone(),
        create_time: pod.created_at.map(Timestamp::as_millisecond),
        update_time: pod.ready_since.or(pod.unready_since).map(Timestamp::as_millisecond),
    }
}

/// None for a pod of which no version is known: it was not released by Sluice.
fn deploy_record(pod: &Pod) -> Option<DeployRecord> {
    Some(DeployRecord {
        deploy_record_id: pod.name.clone(),
        ecc_id: pod.name.clone(),
        ecu_id: pod.node.clone(),
        package_version_id: pod.release?.to_string(),
        create_time: pod.created_at.map(Timestamp::as_millisecond),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::super::deploy_group::tests::application;
    use super::*;
    use crate::wire::shape;
    use domain::ReleaseId;

    fn pod(phase: &str, ready: bool, trouble: &str) -> Pod {
        let since: Timestamp = "2026-11-24T00:01:00Z".parse().unwrap();
        Pod {
            name: "web-1".into(),
            ip: "10.1.0.7".into(),
            node: "node-1".into(),
            node_ip: "10.0.0.1".into(),
            phase: phase.into(),
            trouble: trouble.into(),
            created_at: Some("2026-11-24T00:00:00Z".parse().unwrap()),
            ready_since: ready.then_some(since),
            unready_since: (!ready).then_some(since),
            release: Some(ReleaseId::new()),
            object: None,
        }
    }

    #[rstest]
    #[case(pod("Running", true, ""), (7, 2, "Running"))]
    #[case(pod("Running", false, ""), (3, 1, "Running"))]
    #[case(pod("Running", false, "CrashLoopBackOff"), (3, 3, "CrashLoopBackOff"))]
    #[case(pod("Pending", false, ""), (1, 1, "Pending"))]
    #[case(pod("Pending", false, "ImagePullBackOff"), (1, 3, "ImagePullBackOff"))]
    #[case(pod("Failed", false, ""), (1, 3, "Failed"))]
    #[case(pod("", false, ""), (0, 0, ""))]
    fn an_instance_is_shown_as_its_pod_is(#[case] pod: Pod, #[case] expected: (i32, i32, &str)) {
        let ecc = ecc(&application(), &pod);
        assert_eq!((ecc.app_state, ecc.task_state, ecc.container_status.as_str()), expected);
        assert_eq!(
            (ecc.ecc_id.as_str(), ecc.ip.as_str(), ecc.update_time),
            ("web-1", "10.1.0.7", Some(1_795_478_460_000))
        );
    }

    #[test]
    fn a_pod_without_a_version_has_no_record_and_two_on_one_node_have_one_node() {
        let instance = |pod: Pod| InstanceView {
            pod,
            version: String::new(),
            canary: false,
            node_labels: None,
        };
        let foreign = Pod { release: None, name: "web-2".into(), ..pod("Running", true, "") };
        let waiting =
            Pod { node: String::new(), name: "web-3".into(), ..pod("Pending", false, "") };
        let instances = [pod("Running", true, ""), foreign, waiting].map(instance);
        let reply = json!(StatusReply { app_info: show(&application(), None, None, &instances) });
        shape::check("QueryApplicationStatus", &reply);
        let info = &reply["AppInfo"];
        assert_eq!(info["EccList"]["Ecc"].as_array().unwrap().len(), 3);
        assert_eq!(
            info["EcuList"]["Ecu"],
            json!([{ "EcuId": "node-1", "Name": "node-1", "IpAddr": "10.0.0.1", "GroupId": application().id.to_string(), "DockerEnv": true }])
        );
        let records = info["DeployRecordList"]["DeployRecord"].as_array().unwrap();
        assert_eq!(records.iter().map(|it| &it["EccId"]).collect::<Vec<_>>(), ["web-1", "web-3"]);
    }
}
