//! What a client sees that asks for tables, as `kubectl get` does.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, PostParams};
use serde_json::{Value, json};

use super::api::refusal;
use crate::support::{Space, web};

/// What `kubectl` sends.
const ACCEPT: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

async fn table(space: &Space, path: &str) -> Value {
    let request = http::Request::get(path)
        .header("accept", ACCEPT)
        .body(Vec::new())
        .expect("the test's path is one");
    let table: Value =
        space.client.request(request).await.unwrap_or_else(|why| panic!("GET {path}: {why}"));
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    table
}

/// Name, type and priority of each column.
fn columns(table: &Value) -> Vec<(&str, &str, i64)> {
    let columns = table["columnDefinitions"].as_array().expect("there are columns").iter();
    columns
        .map(|it| {
            (
                it["name"].as_str().unwrap(),
                it["type"].as_str().unwrap(),
                it["priority"].as_i64().unwrap(),
            )
        })
        .collect()
}

pub async fn a_table_has_the_cells_that_kubectl_shows(space: Space) {
    space.start(&web(2, "shop/web:1")).await;
    let namespace = &space.namespace;

    let deployments =
        table(&space, &format!("/apis/apps/v1/namespaces/{namespace}/deployments")).await;
    assert_eq!(
        columns(&deployments),
        [
            ("Name", "string", 0),
            ("Ready", "string", 0),
            ("Up-to-date", "string", 0),
            ("Available", "string", 0),
            ("Age", "string", 0),
            ("Containers", "string", 1),
            ("Images", "string", 1),
            ("Selector", "string", 1)
        ]
    );
    let row = &deployments["rows"][0];
    let cells = row["cells"].as_array().unwrap();
    assert_eq!(cells[..4], [json!("web"), json!("2/2"), json!(2), json!(2)]);
    assert_eq!(cells[5..], [json!("web"), json!("shop/web:1"), json!("app=web")]);
    assert!(cells[4].as_str().unwrap().ends_with('s'), "{}", cells[4]);
    assert_eq!(
        (&row["object"]["kind"], &row["object"]["metadata"]["name"]),
        (&json!("PartialObjectMetadata"), &json!("web"))
    );
    assert!(row["object"].get("spec").is_none());

    let one = table(
        &space,
        &format!("/apis/apps/v1/namespaces/{namespace}/deployments/web?includeObject=Object"),
    )
    .await;
    assert_eq!(one["rows"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&one["rows"][0]["object"]["kind"], &one["rows"][0]["object"]["spec"]["replicas"]),
        (&json!("Deployment"), &json!(2))
    );

    let sets = table(&space, &format!("/apis/apps/v1/namespaces/{namespace}/replicasets")).await;
    let names: Vec<&str> = columns(&sets).iter().map(|(name, ..)| *name).collect();
    assert_eq!(
        names,
        ["Name", "Desired", "Current", "Ready", "Age", "Containers", "Images", "Selector"]
    );
    assert_eq!(sets["rows"][0]["cells"].as_array().unwrap()[1..4], [json!(2), json!(2), json!(2)]);

    let pods =
        table(&space, &format!("/api/v1/namespaces/{namespace}/pods?includeObject=None")).await;
    let names: Vec<&str> = columns(&pods).iter().map(|(name, ..)| *name).collect();
    assert_eq!(
        names,
        [
            "Name",
            "Ready",
            "Status",
            "Restarts",
            "Age",
            "IP",
            "Node",
            "Nominated Node",
            "Readiness Gates"
        ]
    );
    assert_eq!(pods["rows"].as_array().unwrap().len(), 2);
    for row in pods["rows"].as_array().unwrap() {
        assert_eq!(
            row["cells"].as_array().unwrap()[1..4],
            [json!("1/1"), json!("Running"), json!("0")]
        );
        assert!(row["object"].is_null());
    }

    let expected: [(&str, &[&str]); 6] = [
        ("/api/v1/namespaces", &["Name", "Status", "Age"]),
        (
            &format!("/api/v1/namespaces/{namespace}/services"),
            &["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector"],
        ),
        (&format!("/api/v1/namespaces/{namespace}/configmaps"), &["Name", "Data", "Age"]),
        (&format!("/api/v1/namespaces/{namespace}/secrets"), &["Name", "Type", "Data", "Age"]),
        (
            &format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"),
            &["Name", "Class", "Hosts", "Address", "Ports", "Age"],
        ),
        (
            &format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"),
            &["Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"],
        ),
    ];
    for (path, wanted) in expected {
        let table = table(&space, path).await;
        let names: Vec<&str> = columns(&table).iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, wanted, "{path}");
    }
}

pub async fn a_body_may_have_3_mib(space: Space) {
    let maps: Api<ConfigMap> = space.api();
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some("large".to_owned()), ..ObjectMeta::default() },
        data: Some([("text".to_owned(), "x".repeat(3 << 20))].into()),
        ..ConfigMap::default()
    };
    let refused = refusal(maps.create(&PostParams::default(), &map).await);
    assert_eq!((refused.code, refused.reason.as_str()), (413, "RequestEntityTooLarge"));
    assert_eq!(refused.message, "Request entity too large: limit is 3145728");
}
