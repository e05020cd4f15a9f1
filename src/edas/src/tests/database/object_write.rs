//! Objects that an executor writes for a caller: once, also where an answer is lost or
//! nobody takes the write up.

use serde_json::json;

use super::{
    network::{PORTS, RECENT, SERVICE, service, services, traces, written},
    reading::Live,
    server::{KEY, Server},
    sign::Unsigned,
    *,
};
use simulated::Fault;

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_same_request_again_gets_the_same_order(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let parameters = [
        ("AppId", application.as_str()),
        ("Name", "front"),
        ("Type", "ClusterIP"),
        ("ServicePorts", PORTS),
    ];
    let create = Unsigned {
        method: "POST",
        path: SERVICE,
        parameters: &parameters,
        date: live.server.clock.now(),
        nonce: Some("n-1"),
    };
    let signed = create.acs3(KEY);
    // At once, and once more.
    let (first, second) =
        tokio::join!(live.server.send("POST", &signed), live.server.send("POST", &signed));
    let third = live.server.send("POST", &signed).await;
    assert_eq!(first.1["Code"], 200, "{first:?}");
    for again in [second, third] {
        assert_eq!(
            (&again.1["Code"], &again.1["ChangeOrderId"]),
            (&json!(200), &first.1["ChangeOrderId"])
        );
    }
    assert_eq!(traces(&live).await.1, 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn without_an_executor_nothing_is_written(pool: PgPool) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let parameters = [("AppId", application.as_str()), ("Name", "front")];
    let orders = server.orders().await;
    let refused = server.call("DELETE", SERVICE, &parameters).await;
    let said = refused["Message"].as_str().unwrap();
    assert!(
        refused["Code"] == 601 && said.contains("no executor reaches it; nothing was changed"),
        "{said}"
    );
    // One that is alive, and takes nothing up: it is withdrawn.
    Store::on(server.pool.clone(), test_support::keyring::keyring())
        .heartbeat(&"default".into(), "somebody", Ok(()), &[])
        .await
        .unwrap();
    let refused = server.call("DELETE", SERVICE, &parameters).await;
    let said = refused["Message"].as_str().unwrap();
    assert!(
        refused["Code"] == 601
            && said.contains("no executor took it up in time; nothing was changed"),
        "{said}"
    );
    let object_writes: i64 = sqlx::query_scalar("SELECT count(*) FROM object_write")
        .fetch_one(&server.pool)
        .await
        .unwrap();
    assert_eq!((object_writes, server.orders().await), (0, orders));
}

/// The object writes whose claims are this old are taken up again.
async fn age_claims(live: &Live) {
    sqlx::query("UPDATE object_write SET claimed_at = claimed_at - interval '11 seconds'")
        .execute(&live.server.pool)
        .await
        .unwrap();
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_write_whose_answer_was_lost_was_made_once(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    live.fail_next(1, Fault::LoseAnswer, |call| {
        call.resource == "services" && call.verb == "create"
    });
    let create = [
        ("AppId", application.as_str()),
        ("Name", "front"),
        ("Type", "ClusterIP"),
        ("ServicePorts", PORTS),
    ];
    written(&live, "CreateK8sService", ("POST", SERVICE), &create).await;
    assert_eq!(services(&live).list(&Default::default()).await.unwrap().items.len(), 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_takes_long_is_told_and_done_by_whoever_takes_it_up_next(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    live.fail_next(usize::MAX, Fault::Refuse(503), |call| {
        call.resource == "services" && call.verb == "create"
    });
    let app = ("AppId", application.as_str());
    let create = [app, ("Name", "front"), ("Type", "ClusterIP"), ("ServicePorts", PORTS)];
    let late = live.server.call("POST", SERVICE, &create).await;
    let said = late["Message"].as_str().unwrap();
    assert!(
        late["Code"] == 601 && said.contains("the Service front is still being written"),
        "{said}"
    );
    live.clear_faults();
    age_claims(&live).await;
    let recent = live
        .until("POST", RECENT, &[app], |reply| {
            reply["ChangeOrderList"]["ChangeOrder"].as_array().unwrap().len() == 2
        })
        .await;
    assert_eq!(
        recent["ChangeOrderList"]["ChangeOrder"][0]["ChangeOrderDescription"],
        "Create Service front"
    );
    assert_eq!(service(&live, "front").await["spec"]["ports"][0]["port"], 80);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_the_api_server_refuses_is_told_in_its_words(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    live.fail_next(1, Fault::Refuse(403), |call| {
        call.resource == "services" && call.verb == "create"
    });
    let create = [
        ("AppId", application.as_str()),
        ("Name", "front"),
        ("Type", "ClusterIP"),
        ("ServicePorts", PORTS),
    ];
    let reply = live.server.call("POST", SERVICE, &create).await;
    let said = reply["Message"].as_str().unwrap();
    assert!(
        reply["Code"] == 601 && said.contains("a test lets this request fail with 403"),
        "{said}"
    );
}
