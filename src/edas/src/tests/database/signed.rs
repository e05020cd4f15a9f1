//! Who may call, what is refused, and that the same call again changes nothing.

use jiff::{SignedDuration, Timestamp};

use super::{
    server::{DEPLOY, KEY, Server},
    sign::{Key, Unsigned},
    *,
};

fn code(reply: &(StatusCode, Map<String, Value>)) -> (u16, &str) {
    (reply.0.as_u16(), reply.1["Code"].as_str().unwrap_or("a number"))
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn both_schemes_are_accepted_and_everything_else_has_its_documented_code(pool: PgPool) {
    let server = Server::start(pool).await;
    let now = server.clock.now();
    let list = Unsigned {
        method: "POST",
        path: "/pop/v5/app/app_list",
        parameters: &[("AppName", "a b*~")],
        date: now,
        nonce: None,
    };
    for signed in [list.acs3(KEY), list.hmac_sha1(KEY)] {
        let reply = server.send("POST", &signed).await;
        assert_eq!(reply.1["Code"], 200, "{reply:?}");
    }
    let other = Key { secret: "wrong", ..KEY };
    for signed in [list.acs3(other), list.hmac_sha1(other)] {
        let reply = server.send("POST", &signed).await;
        assert_eq!(code(&reply), (400, "SignatureDoesNotMatch"));
        assert!(reply.1["Message"].as_str().unwrap().contains("server string to sign is:"));
    }
    let stranger = Key { id: "nobody", ..KEY };
    assert_eq!(
        code(&server.send("POST", &list.acs3(stranger)).await),
        (404, "InvalidAccessKeyId.NotFound")
    );
    for minutes in [-16, 16] {
        let late = Unsigned { date: now + SignedDuration::from_mins(minutes), ..list };
        assert_eq!(
            code(&server.send("POST", &late.hmac_sha1(KEY)).await),
            (400, "InvalidTimeStamp.Expired")
        );
    }
    let mut altered = list.acs3(KEY);
    altered.target = altered.target.replace("AppName=a", "AppName=b");
    assert_eq!(code(&server.send("POST", &altered).await), (400, "SignatureDoesNotMatch"));

    sqlx::query("UPDATE access_key SET enabled = false").execute(&server.pool).await.unwrap();
    assert_eq!(
        code(&server.send("POST", &list.acs3(KEY)).await),
        (400, "InvalidAccessKeyId.Inactive")
    );
    assert_eq!(code(&server.send("POST", &list.acs3(other)).await), (400, "SignatureDoesNotMatch"));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_same_deploy_again_gets_the_same_order_and_changes_nothing(pool: PgPool) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let parameters = [("AppId", application.as_str()), ("Image", "shop/web:2")];
    let deploy = Unsigned {
        method: "POST",
        path: DEPLOY,
        parameters: &parameters,
        date: server.clock.now(),
        nonce: Some("n-1"),
    };
    let first = server.send("POST", &deploy.acs3(KEY)).await.1;
    assert_eq!(first["Code"], 200, "{first:?}");
    let orders = server.orders().await;
    let second = server.send("POST", &deploy.acs3(KEY)).await.1;
    assert_eq!(first["ChangeOrderId"], second["ChangeOrderId"]);
    assert_ne!(first["RequestId"], second["RequestId"]);

    // The same nonce in another request.
    let parameters = [("AppId", application.as_str()), ("Image", "shop/web:3")];
    let other =
        server.send("POST", &Unsigned { parameters: &parameters, ..deploy }.acs3(KEY)).await;
    assert_eq!(code(&other), (400, "SignatureNonceUsed"));
    assert_eq!(server.orders().await, orders);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_request_without_a_nonce_that_is_sent_again_byte_for_byte_changes_nothing(pool: PgPool) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let parameters =
        [("AppId", application.as_str()), ("Image", "shop/web:2"), ("ServiceCode", "edas")];
    let deploy = Unsigned {
        method: "POST",
        path: DEPLOY,
        parameters: &parameters,
        date: server.clock.now(),
        nonce: None,
    };
    let first = server.send("POST", &deploy.hmac_sha1(KEY)).await.1;
    let second = server.send("POST", &deploy.hmac_sha1(KEY)).await.1;
    assert_eq!(
        (&first["Code"], &first["ChangeOrderId"]),
        (&second["Code"], &second["ChangeOrderId"])
    );

    // A second later it is another request, and the first order is still open.
    let later = Unsigned { date: deploy.date + SignedDuration::from_secs(1), ..deploy };
    let third = server.send("POST", &later.hmac_sha1(KEY)).await.1;
    assert_eq!((&third["Code"], &third["ChangeOrderId"]), (&Value::from(601), &Value::from("")));
    assert!(third["Message"].as_str().unwrap().contains("still running"), "{third:?}");

    // Reads that repeat are simply served (K8).
    let list = Unsigned {
        method: "POST",
        path: "/pop/v5/app/app_list",
        parameters: &[],
        date: deploy.date,
        nonce: Some("n-1"),
    };
    for _ in 0..2 {
        assert_eq!(server.send("POST", &list.acs3(KEY)).await.1["Code"], 200);
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn hmac_sha1_can_be_switched_off(pool: PgPool) {
    let server = Server::start(pool).await;
    let strict = router(
        service_on(server.pool.clone()),
        EdgeConfig { hmac_sha1: false, ..EdgeConfig::default() },
    );
    let server = Server { router: strict, ..server };
    let list = Unsigned {
        method: "POST",
        path: "/pop/v5/app/app_list",
        parameters: &[],
        date: server.clock.now(),
        nonce: None,
    };
    assert_eq!(
        code(&server.send("POST", &list.hmac_sha1(KEY)).await),
        (400, "InvalidSignatureMethod")
    );
    assert_eq!(server.send("POST", &list.acs3(KEY)).await.1["Code"], 200);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn every_operation_that_is_not_offered_says_so_in_edas_form(pool: PgPool) {
    let server = Server::start(pool).await;
    let mut refused = 0;
    for operation in contract::operations() {
        if offered::OFFERS.iter().any(|offer| offer.operation == operation.name) {
            continue;
        }
        let body = server.call(&operation.method, &operation.path, &[]).await;
        assert_eq!(body["Code"], 601, "{}", operation.name);
        let message = body["Message"].as_str().unwrap();
        assert!(
            message.starts_with(&format!(
                "The operation {} is not offered by this server",
                operation.name
            )),
            "{message}"
        );
        if let Some(family) = family::of(operation) {
            assert!(
                message.contains(family.name)
                    && message.contains("outside of what this server does"),
                "{message}"
            );
        }
        for (key, value) in operation.blank() {
            assert_eq!(body[&key], value);
        }
        refused += 1;
    }
    assert_eq!(refused + offered::OFFERS.len(), 162 + contract::own().len());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn every_operation_of_the_contract_answers_in_edas_form(pool: PgPool) {
    let server = Server::start(pool).await;
    let (mut served, mut refused, mut missing) = (0, 0, 0);
    for operation in contract::operations() {
        let nonce = uuid::Uuid::now_v7().to_string();
        let unsigned = Unsigned {
            method: &operation.method,
            path: &operation.path,
            parameters: &[],
            date: server.clock.now(),
            nonce: Some(&nonce),
        };
        // `read` has looked at the envelope.
        let (status, body) = server.send(&operation.method, &unsigned.acs3(KEY)).await;
        match (status, &body["Code"]) {
            (StatusCode::OK, code) if *code == 200 => served += 1,
            (StatusCode::OK, code) if *code == 601 => refused += 1,
            (StatusCode::BAD_REQUEST, code)
                if code.as_str().is_some_and(|code| code.starts_with("Missing")) =>
            {
                missing += 1
            }
            _ => panic!("{}: {status} {body:?}", operation.name),
        }
    }
    assert_eq!(served + refused + missing, 162);
    assert!(served > 0 && refused > 0 && missing > 0, "{served} {refused} {missing}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn bad_input_is_refused_with_parameter_value_and_what_is_allowed_and_writes_nothing(
    pool: PgPool,
) {
    let server = Server::start(pool).await;
    let application = server.create_and_abort().await;
    let orders = server.orders().await;
    let strategy = |batch: i32, gray: i32| match gray {
        0 => format!(r#"{{"type":"BatchUpdate","batchUpdate":{{"batch":{batch}}}}}"#),
        _ => format!(
            r#"{{"type":"GrayBatchUpdate","batchUpdate":{{"batch":{batch}}},"grayUpdate":{{"gray":{gray}}}}}"#
        ),
    };
    let (none, many, wide) = (strategy(0, 0), strategy(5, 0), strategy(1, 3));
    // The application has 4 instances.
    let cases: [(&str, &str, &[&str]); 13] = [
        ("Replicas", "-1", &["InvalidReplicas", "-1", "from 0 to"]),
        ("Replicas", "many", &["InvalidReplicas", "many", "whole number"]),
        ("UpdateStrategy", &none, &["601", "\"batch\":0", "must be from 1"]),
        ("UpdateStrategy", &many, &["601", "5 batches", "at most 4 batches"]),
        ("UpdateStrategy", &wide, &["601", "a canary of 3", "at most half"]),
        ("UpdateStrategy", "{\"type\":", &["601", "{\"type\":", "allowed is"]),
        (
            "UpdateStrategy",
            "{\"type\":\"Rolling\"}",
            &["601", "\"Rolling\" is unknown", "BatchUpdate"],
        ),
        ("Image", "shop/web: 2", &["601", "shop/web: 2", "without blanks"]),
        ("Envs", "[{\"name\":\"\"}]", &["601", "[0].name", "allowed is"]),
        ("Readiness", "{\"tcpSocket\":{}}", &["601", "missing field `port`", "allowed is"]),
        ("BatchTimeout", "0", &["InvalidBatchTimeout", "0", "from 1 to"]),
        ("CpuLimit", "0.5", &["InvalidCpuLimit", "0.5", "whole number"]),
        ("EnableAhas", "true", &["601", "not applied by this server yet"]),
    ];
    for (name, value, says) in cases {
        let body = server.call("POST", DEPLOY, &[("AppId", &application), (name, value)]).await;
        let text = format!("{} {}", body["Code"], body["Message"].as_str().unwrap());
        assert!(
            text.contains(name) && says.iter().all(|part| text.contains(part)),
            "{name}={value}: {text}"
        );
    }
    for (parameters, says) in [
        (vec![("AppId", "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e")], "does not exist"),
        (vec![("AppId", "x")], "the application x does not exist"),
        (vec![("AppId", "")], "AppId is mandatory"),
        (vec![("Image", "a")], "AppId is mandatory"),
        (
            vec![("AppId", &application), ("PackageVersionId", "pv-1")],
            "the version pv-1 of application",
        ),
    ] {
        let body = server.call("POST", DEPLOY, &parameters).await;
        assert!(body["Message"].as_str().unwrap().contains(says), "{parameters:?}: {body:?}");
        if body["Code"] == 601 {
            assert_eq!(body["ChangeOrderId"], "");
        }
    }
    assert_eq!(server.orders().await, orders);
}

#[test]
fn dates_of_the_signer_are_those_of_the_wire() {
    let date: Timestamp = "2026-11-23T06:54:25Z".parse().unwrap();
    let unsigned = Unsigned { method: "GET", path: "/", parameters: &[], date, nonce: None };
    assert!(
        unsigned.hmac_sha1(KEY).headers.contains(&("date", "Mon, 23 Nov 2026 06:54:25 GMT".into()))
    );
    assert!(unsigned.acs3(KEY).headers.contains(&("x-acs-date", "2026-11-23T06:54:25Z".into())));
}
