//! Asking first, over the wire: reply shapes, and what is said where nobody can look
//! at the cluster. No executor runs.

use super::{
    server::{DEPLOY, Server},
    *,
};

const PRECHECK: &str = "/pop/v5/k8s/app_precheck";
const PLAN: &str = "/sluice/v1/plan";

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_precheck_is_looked_at_until_an_executor_answers(pool: PgPool) {
    let server = Server::start_with(service_on(pool.clone()), pool).await;
    let asked = [("ClusterId", "default"), ("Namespace", "default"), ("AppName", "web")];
    let none = server.call("GET", PRECHECK, &asked).await;
    assert!(
        none["Code"] == 601 && none["Message"].as_str().unwrap().contains("does not exist"),
        "{none:?}"
    );

    let settings = [
        ("ImageUrl", "shop/web:1"),
        ("LimitmCpu", "500"),
        ("RequestsMem", "64"),
        ("Replicas", "2"),
    ];
    let started = server.call("POST", PRECHECK, &[&asked[..], &settings].concat()).await;
    assert_eq!(started["Code"], 200, "{started:?}");
    assert!(started["Data"]["Jobs"].as_array().unwrap().contains(&"Quota".into()));
    shape::check("StartK8sAppPrecheck", &started.into());
    let result = server.call("GET", PRECHECK, &asked).await;
    assert_eq!(
        (&result["Code"], &result["Data"]["Status"]),
        (&200.into(), &"checking".into()),
        "{result:?}"
    );
    shape::check("GetK8sAppPrecheckResult", &result.into());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn wrong_input_of_a_precheck_names_the_parameter_and_asks_nothing(pool: PgPool) {
    let server = Server::start_with(service_on(pool.clone()), pool).await;
    let good = [
        ("ClusterId", "default"),
        ("Namespace", "default"),
        ("AppName", "web"),
        ("ImageUrl", "shop/web:1"),
    ];
    for (name, value, says) in [
        ("AppName", "Web", "AppName"),
        ("ImageUrl", "", "ImageUrl"),
        ("ImageUrl", "a b", "ImageUrl"),
        ("ClusterId", "other", "the cluster other does not exist"),
        ("Replicas", "-1", "Replicas"),
        ("LimitmCpu", "much", "LimitmCpu"),
        ("Namespace", "", "Namespace"),
        ("AppId", "nobody", "the application nobody does not exist"),
    ] {
        let mut parameters = good.to_vec();
        parameters.retain(|(given, _)| *given != name);
        parameters.push((name, value));
        let refused = server.call("POST", PRECHECK, &parameters).await;
        assert!(
            refused["Code"] != 200 && refused["Message"].as_str().unwrap().contains(says),
            "{name}={value}: {refused:?}"
        );
    }
    let asked: i64 = sqlx::query_scalar("SELECT count(*) FROM precheck_request")
        .fetch_one(&server.pool)
        .await
        .unwrap();
    assert_eq!(asked, 0);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn without_anybody_to_look_there_is_no_plan_and_none_can_be_agreed_to(pool: PgPool) {
    let server = Server::start_with(service_on(pool.clone()), pool).await;
    let application = server.create_and_abort().await;
    let orders = server.orders().await;
    let release = [("AppId", application.as_str()), ("Image", "shop/web:2")];
    let preview = server.call("POST", PLAN, &release).await;
    assert!(
        preview["Code"] == 601
            && preview["Message"].as_str().unwrap().contains("nobody can look at the cluster now"),
        "{preview:?}"
    );
    let agreed =
        server.call("POST", DEPLOY, &[&release[..], &[("PlanHash", "ab12")]].concat()).await;
    assert!(
        agreed["Code"] == 601 && agreed["Message"].as_str().unwrap().contains("nobody can look"),
        "{agreed:?}"
    );
    assert_eq!(agreed["ChangeOrderId"], "");
    assert_eq!(server.orders().await, orders);
    // A release without a plan is judged by its executor when it begins.
    let accepted = server.call("POST", DEPLOY, &release).await;
    assert_eq!(accepted["Code"], 200, "{accepted:?}");
    let busy = server.call("POST", PLAN, &release).await;
    assert!(busy["Message"].as_str().unwrap().contains("is still running"), "{busy:?}");
}
