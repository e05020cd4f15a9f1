//! The operations of an application's life, signed and down to Postgres: what they
//! answer and write, and what they refuse. No executor runs, so orders stay where they
//! begin.

use jiff::Timestamp;

use super::{server::Server, *};
use domain::{
    observed::Observation,
    order::intent::Applied,
    rights::Scope,
    rollout::{self, Decision},
};
use store::{Lease, Made};

const APPS: &str = "/pop/v5/k8s/acs/k8s_apps";
const STOP: &str = "/pop/v5/k8s/acs/stop_k8s_app";
const START: &str = "/pop/v5/k8s/acs/start_k8s_app";
const RESTART: &str = "/pop/v5/k8s/acs/restart_k8s_app";
const CONFIGURE: &str = "/pop/v5/k8s/acs/k8s_app_configuration";
const DESCRIBE: &str = "/pop/v5/oam/update_app_basic_info";
const DELETE: &str = "/pop/v5/changeorder/co_delete_app";
const INFO: &str = "/pop/v5/changeorder/change_order_info";
const ABORT: &str = "/pop/v5/changeorder/change_order_abort";

/// Orders something; the reply has the form that is declared, and is read back.
async fn ordered(
    server: &Server,
    operation: &str,
    (method, path): (&str, &str),
    parameters: &[(&str, &str)],
) -> Map<String, Value> {
    let reply = server.call(method, path, parameters).await;
    assert_eq!(reply["Code"], 200, "{operation}: {reply:?}");
    shape::check(operation, &reply.clone().into());
    let order = reply["ChangeOrderId"].as_str().unwrap().to_owned();
    let shown = server.call("POST", INFO, &[("ChangeOrderId", &order)]).await;
    shape::check("GetChangeOrderInfo", &shown.clone().into());
    let info = shown["changeOrderInfo"].as_object().unwrap().clone();
    assert_eq!(
        (&info["Status"], &info["BatchCount"], &info["BatchType"]),
        (&0.into(), &1.into(), &"Automatic".into())
    );
    // Another one must wait for this one's end; here it ends at once.
    let second = server.call("PUT", APPS, &[parameters[0], ("Replicas", "1")]).await;
    assert!(second["Code"] == 601 && second["ChangeOrderId"] == "", "{second:?}");
    assert!(second["Message"].as_str().unwrap().contains(&order), "{second:?}");
    assert_eq!(server.call("PUT", ABORT, &[("ChangeOrderId", &order)]).await["Code"], 200);
    info
}

async fn set_replicas(server: &Server, replicas: i32, before_stop: Option<i32>) {
    sqlx::query("UPDATE application SET replicas = $1, replicas_before_stop = $2")
        .bind(replicas)
        .bind(before_stop)
        .execute(&server.pool)
        .await
        .unwrap();
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn each_operation_is_an_order_with_a_kind_of_its_own(pool: PgPool) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let app = ("AppId", application.as_str());
    let said = |info: &Map<String, Value>| {
        (
            info["CoType"].as_str().unwrap().to_owned(),
            info["ChangeOrderDescription"].as_str().unwrap().to_owned(),
        )
    };
    let out = ordered(
        &server,
        "ScaleK8sApplication",
        ("PUT", APPS),
        &[app, ("Replicas", "6"), ("Timeout", "60")],
    )
    .await;
    assert_eq!(
        said(&out),
        ("Application Scale Out".into(), "Instances: 4 to 6 | Deploy to: all groups".into())
    );
    let down =
        ordered(&server, "ScaleK8sApplication", ("PUT", APPS), &[app, ("Replicas", "0")]).await;
    assert_eq!(
        said(&down),
        ("Application Scale In".into(), "Instances: 4 to 0 | Deploy to: all groups".into())
    );
    let stop =
        ordered(&server, "StopK8sApplication", ("POST", STOP), &[app, ("Timeout", "30")]).await;
    assert_eq!(said(&stop), ("Stop".into(), "Instances: 4 to 0 | Deploy to: all groups".into()));
    let restart =
        ordered(&server, "RestartK8sApplication", ("POST", RESTART), &[app, ("Timeout", "30")])
            .await;
    assert_eq!(restart["CoType"], "Restart");

    let amounts = [
        app,
        ("ClusterId", "default"),
        ("McpuLimit", "1500"),
        ("MemoryLimit", "256"),
        ("MemoryRequest", "0"),
        ("Timeout", "60"),
    ];
    let configure =
        ordered(&server, "UpdateK8sApplicationConfig", ("PUT", CONFIGURE), &amounts).await;
    assert_eq!(
        (
            &configure["CoType"],
            configure["ChangeOrderDescription"].as_str().unwrap().contains("shop/web:1")
        ),
        (&"Update Config".into(), true)
    );

    set_replicas(&server, 0, Some(4)).await;
    let start = ordered(&server, "StartK8sApplication", ("POST", START), &[app]).await;
    assert_eq!(said(&start), ("Start".into(), "Instances: 0 to 4 | Deploy to: all groups".into()));
    let start = ordered(
        &server,
        "StartK8sApplication",
        ("POST", START),
        &[app, ("Replicas", "2"), ("Timeout", "1800")],
    )
    .await;
    assert_eq!(said(&start).1, "Instances: 0 to 2 | Deploy to: all groups");
    let shown = server.call("GET", "/pop/v5/changeorder/co_application", &[app]).await;
    let shown = &shown["Applcation"]["App"];
    assert_eq!((&shown["Instances"], &shown["InstancesBeforeScaling"]), (&0.into(), &4.into()));

    let gone =
        ordered(&server, "DeleteK8sApplication", ("DELETE", APPS), &[app, ("Force", "True")]).await;
    assert_eq!(said(&gone), ("Delete".into(), "Delete: all groups".into()));
    let gone = ordered(&server, "DeleteApplication", ("DELETE", DELETE), &[app]).await;
    assert_eq!(gone["CoType"], "Delete");

    let listed = server.call("POST", "/pop/v5/changeorder/change_order_list", &[app]).await;
    shape::check("ListRecentChangeOrder", &listed.clone().into());
    let codes = listed["ChangeOrderList"]["ChangeOrder"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| order["CoTypeCode"].as_str().unwrap());
    let expected = [
        "CoDeleteApp",
        "CoDeleteApp",
        "CoStart",
        "CoStart",
        "CoRescaleApplicationVertically",
        "CoRestartApplication",
        "CoStop",
        "CoScaleIn",
        "CoScaleOut",
        "CoCreateApp",
    ];
    assert_eq!(codes.collect::<Vec<_>>(), expected);
}

/// Method, path and parameters of a call, and what its refusal must say.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn bad_input_is_named_and_writes_nothing(pool: PgPool) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let app = ("AppId", application.as_str());
    let orders = server.orders().await;
    let unknown = ("AppId", "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e");
    let cases: &[Case] = &[
        ("PUT", APPS, &[app], &["MissingReplicas", "Replicas is mandatory"]),
        ("PUT", APPS, &[app, ("Replicas", "-1")], &["InvalidReplicas", "-1", "from 0 to 100000"]),
        ("PUT", APPS, &[app, ("Replicas", "100001")], &["InvalidReplicas", "100001"]),
        ("PUT", APPS, &[app, ("Replicas", "two")], &["InvalidReplicas", "two", "whole number"]),
        (
            "PUT",
            APPS,
            &[app, ("Replicas", "2"), ("Timeout", "0")],
            &["InvalidTimeout", "from 1 to"],
        ),
        ("PUT", APPS, &[("Replicas", "2")], &["MissingAppId"]),
        ("PUT", APPS, &[unknown, ("Replicas", "2")], &["601", "does not exist"]),
        ("POST", STOP, &[], &["MissingAppId"]),
        ("POST", STOP, &[app, ("Timeout", "x")], &["InvalidTimeout", "x"]),
        ("POST", STOP, &[unknown], &["601", "does not exist"]),
        ("POST", START, &[app], &["601", "runs already, with 4 instances"]),
        ("POST", START, &[app, ("Replicas", "0")], &["InvalidReplicas", "from 1 to"]),
        ("POST", START, &[app, ("Timeout", "1801")], &["InvalidTimeout", "from 1 to 1800"]),
        ("POST", RESTART, &[app, ("Timeout", "-5")], &["InvalidTimeout", "-5"]),
        ("POST", RESTART, &[unknown], &["601", "does not exist"]),
        ("PUT", CONFIGURE, &[app], &["601", "CpuLimit", "at least one amount"]),
        (
            "PUT",
            CONFIGURE,
            &[app, ("CpuLimit", "half")],
            &["InvalidCpuLimit", "half", "whole number"],
        ),
        (
            "PUT",
            CONFIGURE,
            &[app, ("MemoryRequest", "300"), ("MemoryLimit", "200")],
            &["601", "MemoryRequest", "must not be above MemoryLimit"],
        ),
        (
            "PUT",
            CONFIGURE,
            &[app, ("CpuLimit", "1"), ("ClusterId", "other")],
            &["601", "the cluster other does not exist"],
        ),
        (
            "PUT",
            CONFIGURE,
            &[app, ("EphemeralStorageLimit", "-2")],
            &["InvalidEphemeralStorageLimit", "-2", "from 0 to"],
        ),
        (
            "PUT",
            CONFIGURE,
            &[app, ("CpuLimit", "1"), ("Timeout", "1801")],
            &["InvalidTimeout", "from 1 to 1800"],
        ),
        ("POST", DESCRIBE, &[], &["MissingAppId"]),
        ("POST", DESCRIBE, &[unknown, ("Owner", "me")], &["601", "does not exist"]),
        ("DELETE", APPS, &[app, ("Force", "maybe")], &["InvalidForce", "maybe", "true or false"]),
        ("DELETE", APPS, &[unknown], &["601", "does not exist"]),
        ("DELETE", DELETE, &[], &["MissingAppId"]),
    ];
    for (method, path, parameters, says) in cases {
        let body = server.call(method, path, parameters).await;
        let text = format!("{} {}", body["Code"], body["Message"].as_str().unwrap());
        assert!(
            says.iter().all(|part| text.contains(part)),
            "{method} {path} {parameters:?}: {text}"
        );
        if body["Code"] == 601 && *path != DESCRIBE {
            assert_eq!(
                body["ChangeOrderId"], "",
                "clients read it before they look at the code (R10)"
            );
        }
    }
    set_replicas(&server, 0, Some(4)).await;
    let stopped = server.call("POST", RESTART, &[app]).await;
    assert!(stopped["Message"].as_str().unwrap().contains("is stopped"), "{stopped:?}");
    assert_eq!(server.orders().await, orders);
}

/// One round of an executor that sees no Deployment.
async fn execute(store: &Store, lease: Lease, now: Timestamp) {
    let order = store.order(lease.order).await.unwrap().unwrap();
    let Decision::Transition(transition) =
        rollout::decide(&order, &Observation::Absent.into(), now)
    else {
        panic!("there is something to do: {order:#?}")
    };
    store.advance(lease, &order, &transition, None, now).await.unwrap();
    if transition.effect.is_some() {
        let order = store.order(lease.order).await.unwrap().unwrap();
        let applied = Applied { deployment: 0, replica_set: None };
        let made = Made { applied, template: None };
        store.record_applied(lease, &order, &made, now).await.unwrap();
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_deleted_application_is_gone_for_every_client_and_its_name_is_free(pool: PgPool) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let app = ("AppId", application.as_str());
    let reply = server.call("DELETE", APPS, &[app]).await;
    let order = reply["ChangeOrderId"].as_str().unwrap().to_owned();
    let listed = server.call("POST", "/pop/v5/app/app_list", &[]).await;
    assert_eq!(listed["ApplicationList"]["Application"][0]["State"], "DELETING");
    let store = Store::on(server.pool.clone(), test_support::keyring::keyring());
    let recorded =
        store.record_identity(&"default".into(), &"the-test".parse().unwrap()).await.unwrap();
    let store::Recorded::Known(cluster) = recorded else { panic!("{recorded:?}") };
    let lease = store
        .acquire(&cluster, "one", Duration::from_secs(60), server.clock.now(), 1, &Scope::Whole)
        .await
        .unwrap()[0];
    execute(&store, lease, server.clock.now()).await;
    let refused = server.call("PUT", ABORT, &[("ChangeOrderId", &order)]).await;
    assert!(
        refused["Message"].as_str().unwrap().contains("has deleted the Deployment already"),
        "{refused:?}"
    );
    execute(&store, lease, server.clock.now()).await;

    for (method, path) in [
        ("POST", "/pop/v5/app/app_info"),
        ("GET", "/pop/v5/changeorder/co_application"),
        ("DELETE", APPS),
    ] {
        let gone = server.call(method, path, &[app]).await;
        assert_eq!(
            (&gone["Code"], gone["Message"].as_str()),
            (&601.into(), Some(&*format!("the application {application} does not exist")))
        );
    }
    let listed = server.call("POST", "/pop/v5/app/app_list", &[]).await;
    assert_eq!(listed["ApplicationList"]["Application"], Value::Array(vec![]));
    let shown = server.call("POST", INFO, &[("ChangeOrderId", &order)]).await;
    assert_eq!(shown["changeOrderInfo"]["Status"], 2, "its orders can still be read");
    let (again, _) = server.create().await;
    assert_ne!(again, application);
    let taken = server
        .call(
            "POST",
            server::CREATE,
            &[("AppName", "web"), ("ClusterId", "default"), ("ImageUrl", "shop/web:1")],
        )
        .await;
    assert!(taken["Message"].as_str().unwrap().contains("exists already"), "{taken:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_is_said_of_an_application_changes_at_once_and_no_order_is_made(pool: PgPool) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let app = ("AppId", application.as_str());
    let orders = server.orders().await;
    let long = "x".repeat(257);
    let refused =
        server.call("POST", DESCRIBE, &[app, ("Owner", "somebody"), ("Description", &long)]).await;
    assert!(
        refused["Code"] == 601
            && refused["Message"].as_str().unwrap().contains("parameter Description"),
        "{refused:?}"
    );
    let said = [
        app,
        ("Description", "the shop/ü"),
        ("Owner", "team"),
        ("Email", "team@example.com"),
        ("PhoneNumber", "+49 1"),
    ];
    let reply = server.call("POST", DESCRIBE, &said).await;
    assert_eq!((&reply["Code"], &reply["Result"]), (&200.into(), &"success".into()));
    shape::check("UpdateK8sApplicationBaseInfo", &reply.into());
    let reply = server.call("POST", DESCRIBE, &[app, ("Description", "")]).await;
    assert_eq!(reply["Code"], 200, "{reply:?}");
    let shown = server.call("POST", "/pop/v5/app/app_info", &[app]).await;
    let shown = &shown["Application"];
    assert_eq!(
        (&shown["Description"], &shown["Owner"], &shown["Email"]),
        (&"".into(), &"team".into(), &"team@example.com".into())
    );
    assert_eq!(shown["UserId"], "tests", "who created it stays");
    assert_eq!(server.orders().await, orders);
}
