//! Signed calls about what stands around applications: the cluster as an imported
//! one, regions, EDAS namespaces, tags and components. No cluster is involved.

use serde_json::json;

use super::{
    server::{CREATE, Server},
    *,
};

const CLUSTER: &str = "/pop/v5/resource/cluster";
const CLUSTERS: &str = "/pop/v5/resource/cluster_list";
const IMPORT: &str = "/pop/v5/import_k8s_cluster";
const NAMESPACES: &str = "/pop/v5/user_region_defs";
const NAMESPACE: &str = "/pop/v5/user_region_def";

async fn server(pool: PgPool) -> Server {
    Server::start_with(service_on(pool.clone()), pool).await
}

/// Each call must be refused with these words.
async fn refused(server: &Server, method: &str, path: &str, cases: &[(&[(&str, &str)], &str)]) {
    for (parameters, says) in cases {
        let reply = server.call(method, path, parameters).await;
        let said = format!("{} {}", reply["Code"], reply["Message"].as_str().unwrap());
        assert!(reply["Code"] != 200 && said.contains(says), "{parameters:?}: {said}");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_only_cluster_is_imported_and_every_other_does_not_exist(pool: PgPool) {
    let server = server(pool).await;
    let cluster: Value = server.call("GET", CLUSTER, &[("ClusterId", "default")]).await.into();
    shape::check("GetCluster", &cluster);
    let shown = &cluster["Cluster"];
    assert_eq!(
        (&shown["ClusterImportStatus"], &shown["ClusterType"], &shown["RegionId"]),
        (&json!(1), &json!(5), &json!("cn-test"))
    );
    let import = [
        ("ClusterId", "default"),
        ("NamespaceId", "cn-test:shop"),
        ("Mode", "1"),
        ("EnableAsm", "false"),
    ];
    let imported: Value = server.call("POST", IMPORT, &import).await.into();
    shape::check("ImportK8sCluster", &imported);
    assert_eq!(imported["Data"], "default");
    let listed: Value =
        server.call("POST", CLUSTERS, &[("LogicalRegionId", "cn-test:shop")]).await.into();
    shape::check("ListCluster", &listed);
    assert_eq!(listed["ClusterList"]["Cluster"][0]["ClusterId"], "default");
    let elsewhere = server.call("POST", CLUSTERS, &[("LogicalRegionId", "cn-other")]).await;
    assert_eq!(elsewhere["ClusterList"]["Cluster"], json!([]));

    let unknown = "601 the cluster c-1 does not exist";
    refused(
        &server,
        "GET",
        CLUSTER,
        &[(&[("ClusterId", "c-1")], unknown), (&[], "MissingClusterId")],
    )
    .await;
    refused(
        &server,
        "POST",
        CLUSTERS,
        &[(
            &[("ResourceGroupId", "1")],
            "The parameter ResourceGroupId of ListCluster is not applied",
        )],
    )
    .await;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("ClusterId", "c-1")], unknown),
        (&[("ClusterId", "default"), ("Mode", "x")], "InvalidMode"),
        (
            &[("ClusterId", "default"), ("NamespaceId", "a:b:c")],
            "parameter NamespaceId has the value a:b:c",
        ),
        (
            &[("ClusterId", "default"), ("EnableAsm", "true")],
            "The parameter EnableAsm of ImportK8sCluster is not applied",
        ),
    ];
    refused(&server, "POST", IMPORT, cases).await;
}

/// As Terraform destroys and makes its resource.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_cluster_without_applications_can_be_removed_and_imported_again(pool: PgPool) {
    let server = server(pool).await;
    let id = ("ClusterId", "default");
    let application = [("AppName", "web"), id, ("ImageUrl", "a")];
    assert_eq!(server.call("POST", CREATE, &application).await["Code"], 200);
    refused(
        &server,
        "DELETE",
        CLUSTER,
        &[(&[id], "601 the cluster default is in use: 1 application(s) are on it")],
    )
    .await;
    assert_eq!(server.call("GET", CLUSTER, &[id]).await["Code"], 200);

    sqlx::query("UPDATE application SET deleted_at = now()").execute(&server.pool).await.unwrap();
    let removed: Value = server.call("DELETE", CLUSTER, &[id, ("Mode", "0")]).await.into();
    shape::check("DeleteCluster", &removed);
    assert_eq!(removed["Data"], true);
    let gone = "601 the cluster default does not exist: it was removed. To have it back, import the cluster (ImportK8sCluster) or";
    refused(&server, "GET", CLUSTER, &[(&[id], gone)]).await;
    assert_eq!(server.call("POST", CLUSTERS, &[]).await["ClusterList"]["Cluster"], json!([]));
    let page = server.call("POST", "/pop/v5/k8s_clusters", &[("RegionTag", "cn-test")]).await;
    assert_eq!(
        (&page["ClusterPage"]["ClusterList"]["Cluster"], &page["ClusterPage"]["TotalSize"]),
        (&json!([]), &json!(0))
    );
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[id], gone),
        (&[("ClusterId", "c-1")], "601 the cluster c-1 does not exist"),
        (&[], "MissingClusterId"),
    ];
    refused(&server, "DELETE", CLUSTER, cases).await;

    assert_eq!(server.call("POST", IMPORT, &[id]).await["Code"], 200);
    assert_eq!(server.call("GET", CLUSTER, &[id]).await["Cluster"]["ClusterImportStatus"], 1);

    // Nobody who releases is locked out.
    assert_eq!(server.call("DELETE", CLUSTER, &[id]).await["Code"], 200);
    assert_eq!(server.call("POST", CREATE, &application).await["Code"], 200);
    assert_eq!(server.call("GET", CLUSTER, &[id]).await["Code"], 200);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn namespaces_are_described_changed_and_forgotten(pool: PgPool) {
    let server = server(pool).await;
    let describe = [
        ("RegionTag", "cn-test:prod"),
        ("RegionName", "Production"),
        ("Description", "for all"),
        ("DebugEnable", "false"),
    ];
    let described: Value = server.call("POST", NAMESPACE, &describe).await.into();
    shape::check("InsertOrUpdateRegion", &described);
    let entity = &described["UserDefineRegionEntity"];
    assert_eq!(
        (&entity["RegionId"], &entity["BelongRegion"], &entity["UserId"]),
        (&json!("cn-test:prod"), &json!("cn-test"), &json!("tests"))
    );
    let id = entity["Id"].as_i64().unwrap().to_string();
    assert_ne!(id, "0");

    // The description stays where none is given.
    let change = [
        ("Id", id.as_str()),
        ("RegionTag", "cn-test:prod"),
        ("RegionName", "Prod"),
        ("RegistryType", "default"),
    ];
    let changed = server.call("POST", NAMESPACE, &change).await;
    assert_eq!(
        (&changed["Code"], &changed["UserDefineRegionEntity"]["Description"]),
        (&json!(200), &json!("for all")),
        "{changed:?}"
    );

    // One that only an application names, and one that has both.
    for (name, region) in [("web", "cn-test:shop"), ("api", "cn-test:prod")] {
        let create = [
            ("AppName", name),
            ("ClusterId", "default"),
            ("ImageUrl", "a"),
            ("LogicalRegionId", region),
        ];
        assert_eq!(server.call("POST", CREATE, &create).await["Code"], 200);
    }
    let listed: Value = server.call("POST", NAMESPACES, &[]).await.into();
    shape::check("ListUserDefineRegion", &listed);
    let shown: Vec<_> = listed["UserDefineRegionList"]["UserDefineRegionEntity"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let of = |name: &str| shown.iter().map(|it| it[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("RegionId"), ["cn-test:prod", "cn-test:shop"]);
    assert_eq!(of("RegionName"), ["Prod", "cn-test:shop"]);
    assert_eq!(of("Id"), [json!(id.parse::<i64>().unwrap()), json!(0)]);
    let debugged = server.call("POST", NAMESPACES, &[("DebugEnable", "True")]).await;
    assert_eq!(debugged["UserDefineRegionList"]["UserDefineRegionEntity"], json!([]));

    let in_use = "601 the namespace cn-test:prod is in use: 1 application(s) are in it";
    refused(&server, "DELETE", NAMESPACE, &[(&[("Id", &id)], in_use)]).await;
    sqlx::query("UPDATE application SET deleted_at = now() WHERE name = 'api'")
        .execute(&server.pool)
        .await
        .unwrap();
    let forgotten: Value =
        server.call("DELETE", NAMESPACE, &[("RegionTag", "cn-test:prod")]).await.into();
    shape::check("DeleteUserDefineRegion", &forgotten);
    assert_eq!(forgotten["RegionDefine"]["RegionName"], "Prod");
    refused(&server, "DELETE", NAMESPACE, &[(&[("Id", &id)], "does not exist")]).await;
    let left = server.call("POST", NAMESPACES, &[]).await;
    let names: Vec<_> = left["UserDefineRegionList"]["UserDefineRegionEntity"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["RegionId"])
        .collect();
    assert_eq!(names, ["cn-test:shop"], "a deleted application is in no namespace");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_namespace_that_cannot_be_is_refused_by_parameter(pool: PgPool) {
    let server = server(pool).await;
    let (tag, title) = (("RegionTag", "cn-test:prod"), ("RegionName", "Production"));
    assert_eq!(server.call("POST", NAMESPACE, &[tag, title]).await["Code"], 200);
    let id: i64 =
        sqlx::query_scalar("SELECT id FROM logical_region").fetch_one(&server.pool).await.unwrap();
    let id = id.to_string();
    let long = "x".repeat(129);
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[title], "MissingRegionTag"),
        (&[tag], "MissingRegionName"),
        (
            &[tag, title],
            "parameter RegionTag has the value cn-test:prod: such a namespace exists already",
        ),
        (
            &[("RegionTag", "a:b:c"), title],
            "parameter RegionTag has the value a:b:c: must be a region or <region>:<name>",
        ),
        (&[("RegionTag", "cn-test:x"), ("RegionName", &long)], "parameter RegionName"),
        (&[("RegionTag", "cn-test:x"), title, ("Description", &long)], "parameter Description"),
        (
            &[("RegionTag", "cn-test:x"), title, ("Id", &id)],
            "the name of a namespace cannot be changed",
        ),
        (
            &[("RegionTag", "cn-test:x"), title, ("Id", "999")],
            "601 the namespace 999 does not exist",
        ),
        (&[tag, title, ("Id", "-1")], "InvalidId"),
        (
            &[tag, title, ("RegistryType", "exclusive_mse")],
            "parameter RegistryType has the value exclusive_mse",
        ),
        (
            &[tag, title, ("MseInstanceId", "m")],
            "The parameter MseInstanceId of InsertOrUpdateRegion is not applied",
        ),
        (
            &[tag, title, ("DebugEnable", "true")],
            "The parameter DebugEnable of InsertOrUpdateRegion is not applied",
        ),
    ];
    refused(&server, "POST", NAMESPACE, cases).await;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "MissingId"),
        (&[("Id", "x")], "InvalidId"),
        (&[("RegionTag", "cn-test:none")], "601 the namespace cn-test:none does not exist"),
        (&[("RegionTag", "cn-test:none"), ("Id", &id)], "does not exist"),
    ];
    refused(&server, "DELETE", NAMESPACE, cases).await;
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM logical_region")
        .fetch_one(&server.pool)
        .await
        .unwrap();
    assert_eq!(kept, 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_region_is_the_servers(pool: PgPool) {
    let server = server(pool).await;
    let regions: Value = server.call("POST", "/pop/v5/resource/region_list", &[]).await.into();
    shape::check("ListAliyunRegion", &regions);
    assert_eq!(
        regions["RegionEntityList"]["RegionEntity"],
        json!([{ "Id": "cn-test", "Name": "cn-test" }])
    );
    let config: Value = server.call("GET", "/pop/v5/region_config", &[]).await.into();
    shape::check("QueryRegionConfig", &config);
    let config = &config["RegionConfig"];
    assert_eq!(
        (&config["Id"], &config["Name"], &config["FileServerType"]),
        (&json!("cn-test"), &json!("cn-test"), &json!(""))
    );
    assert_eq!(
        config["FileServerConfig"],
        json!({ "Bucket": "", "PublicUrl": "", "InternalUrl": "", "VpcUrl": "" })
    );
}
