//! Signed calls about tags of applications and about what packages run on.

use serde_json::json;

use super::{
    packages::packages,
    server::{KEY, Server},
    sign::Unsigned,
    *,
};

const TAGS: &str = "/pop/v5/tag/tags";
const OF: [(&str, &str); 2] = [("ResourceType", "application"), ("ResourceRegionId", "cn-test")];

/// A method, parameters, and what the refusal of them must say.
type Refused<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// A call with what every call about tags has.
async fn call(server: &Server, method: &str, parameters: &[(&str, &str)]) -> Map<String, Value> {
    server.call(method, TAGS, &[&OF[..], parameters].concat()).await
}

async fn listed(server: &Server, parameters: &[(&str, &str)]) -> Vec<(String, String)> {
    let reply: Value = call(server, "GET", parameters).await.into();
    shape::check("ListTagResources", &reply);
    let items = reply["TagResources"]["TagResource"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    items.map(|it| (text(&it["TagKey"]), text(&it["TagValue"]))).collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.into(), value.into())
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn tags_are_given_found_and_taken_away(pool: PgPool) {
    let server = Server::start_with(service_on(pool.clone()), pool).await;
    let application = server.create_and_abort().await;
    let ids = format!(r#"["{application}"]"#);
    let given = [
        ("ResourceIds", ids.as_str()),
        ("Tags", r#"[{"key":"team","value":"shop"},{"key":"stage","value":"prod"}]"#),
    ];
    let reply: Value = call(&server, "POST", &given).await.into();
    assert_eq!(reply["Code"], 200, "{reply}");
    shape::check("TagResources", &reply);
    // As newer SDKs send lists, and a key that is there already.
    let numbered = [
        ("ResourceIds.1", application.as_str()),
        ("Tags.1.key", "stage"),
        ("Tags.1.value", "test"),
    ];
    assert_eq!(call(&server, "POST", &numbered).await["Code"], 200);
    let all = [pair("stage", "test"), pair("team", "shop")];
    assert_eq!(listed(&server, &[("ResourceIds", &ids)]).await, all);
    assert_eq!(listed(&server, &[]).await, all);
    assert_eq!(
        listed(&server, &[("Tags", r#"[{"key":"team"},{"key":"stage","value":"test"}]"#)]).await,
        all
    );
    assert_eq!(listed(&server, &[("Tags.1.key", "stage"), ("Tags.1.value", "prod")]).await, []);
    let other = r#"["01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e"]"#;
    assert_eq!(listed(&server, &[("ResourceIds", other)]).await, []);

    let reply: Value =
        call(&server, "DELETE", &[("ResourceIds", &ids), ("TagKeys", r#"["stage","none"]"#)])
            .await
            .into();
    shape::check("UntagResources", &reply);
    assert_eq!(listed(&server, &[("ResourceIds", &ids)]).await, [pair("team", "shop")]);
    // With keys, DeleteAll says nothing.
    assert_eq!(
        call(
            &server,
            "DELETE",
            &[("ResourceIds", &ids), ("TagKeys", r#"["x"]"#), ("DeleteAll", "true")]
        )
        .await["Code"],
        200
    );
    assert_eq!(listed(&server, &[]).await.len(), 1);
    assert_eq!(
        call(&server, "DELETE", &[("ResourceIds", &ids), ("DeleteAll", "True")]).await["Code"],
        200
    );
    assert_eq!(listed(&server, &[]).await, []);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn tags_that_cannot_be_are_refused_by_parameter_and_none_is_written(pool: PgPool) {
    let server = Server::start_with(service_on(pool.clone()), pool).await;
    let application = server.create_and_abort().await;
    let ids = format!(r#"["{application}"]"#);
    let mixed = format!(r#"["{application}","01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e"]"#);
    let tags = |count: i32| {
        json!(
            (0..count)
                .map(|it| json!({ "key": format!("k{it}"), "value": "" }))
                .collect::<Vec<_>>()
        )
        .to_string()
    };
    let (many, full) = (tags(21), tags(20));
    let (ids, one) =
        (("ResourceIds", ids.as_str()), ("Tags", r#"[{"key":"one-more","value":"v"}]"#));
    let cases: &[Refused<'_>] = &[
        ("POST", &[one], "MissingResourceIds"),
        ("POST", &[ids], "MissingTags"),
        ("POST", &[("ResourceIds", "[\"x\"]"), one], "601 the application x does not exist"),
        (
            "POST",
            &[("ResourceIds", &mixed), one],
            "601 the application 01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e does not exist",
        ),
        ("POST", &[("ResourceIds", "x"), one], "parameter ResourceIds has the value x"),
        ("POST", &[ids, ("Tags", "{\"a\":1}")], "parameter Tags"),
        (
            "POST",
            &[ids, ("Tags", r#"[{"key":"acs:x","value":"v"}]"#)],
            "parameter Tags has the value acs:x",
        ),
        (
            "POST",
            &[ids, ("Tags", r#"[{"key":"a","value":"1"},{"key":"a","value":"2"}]"#)],
            "parameter Tags has the value a: a key may be given only once",
        ),
        ("POST", &[ids, ("Tags", &many)], "parameter Tags has the value 21 items"),
        (
            "POST",
            &[ids, ("Tags.1.value", "v")],
            "parameter Tags has the value (empty): a key must have",
        ),
        ("DELETE", &[ids], "parameter TagKeys"),
        ("DELETE", &[("DeleteAll", "true")], "MissingResourceIds"),
        ("DELETE", &[ids, ("DeleteAll", "perhaps")], "InvalidDeleteAll"),
        ("GET", &[("ResourceIds", "[\"x\"]")], "601 the application x does not exist"),
    ];
    for (method, parameters, says) in cases {
        let reply = call(&server, method, parameters).await;
        let said = format!("{} {}", reply["Code"], reply["Message"].as_str().unwrap());
        assert!(reply["Code"] != 200 && said.contains(says), "{method} {parameters:?}: {said}");
    }
    for (parameters, says) in [
        (vec![("ResourceRegionId", "cn-test")], "MissingResourceType"),
        (vec![("ResourceType", "application")], "MissingResourceRegionId"),
        (
            vec![("ResourceType", "cluster"), ("ResourceRegionId", "cn-test")],
            "601 parameter ResourceType has the value cluster",
        ),
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let reply = server.call(method, TAGS, &parameters).await;
            let said = format!("{} {}", reply["Code"], reply["Message"].as_str().unwrap());
            assert!(said.contains(says), "{method}: {said}");
        }
    }
    assert_eq!(listed(&server, &[]).await, []);
    assert_eq!(call(&server, "POST", &[ids, ("Tags", &full)]).await["Code"], 200);
    let over = call(&server, "POST", &[ids, one]).await;
    assert!(
        over["Message"].as_str().unwrap().contains("would have 21 tags; allowed are 20"),
        "{over:?}"
    );
    assert_eq!(listed(&server, &[]).await.len(), 20);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_same_request_again_changes_nothing(pool: PgPool) {
    let server = Server::start_with(service_on(pool.clone()), pool).await;
    let application = server.create_and_abort().await;
    let parameters = [
        &OF[..],
        &[("ResourceIds.1", application.as_str()), ("Tags.1.key", "a"), ("Tags.1.value", "b")],
    ]
    .concat();
    let tag = Unsigned {
        method: "POST",
        path: TAGS,
        parameters: &parameters,
        date: server.clock.now(),
        nonce: Some("n-1"),
    };
    assert_eq!(server.send("POST", &tag.acs3(KEY)).await.1["Code"], 200);
    assert_eq!(
        call(&server, "DELETE", &[("ResourceIds.1", &application), ("DeleteAll", "true")]).await["Code"],
        200
    );
    assert_eq!(server.send("POST", &tag.acs3(KEY)).await.1["Code"], 200, "the first answer again");
    assert_eq!(listed(&server, &[]).await, []);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn components_are_those_of_the_operators_table(pool: PgPool) {
    let server =
        Server::start_with(service_on(pool.clone()).with_packages(packages()), pool.clone()).await;
    let components: Value = server.call("GET", "/pop/v5/resource/components", &[]).await.into();
    shape::check("ListComponents", &components);
    let keys: Vec<_> = components["ComponentList"]["Component"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["ComponentKey"])
        .collect();
    assert_eq!(keys, ["Open JDK 8", "Open JDK 17", "apache-tomcat-7.0.91"]);
    let packs: Value = server.call("POST", "/pop/v5/app/build_pack_list", &[]).await.into();
    shape::check("ListBuildPack", &packs);
    assert_eq!(packs["BuildPackList"]["BuildPack"], json!([]));

    let plain = router(service_on(pool.clone()), EdgeConfig::default());
    let server = Server { router: plain, ..server };
    let none = server.call("GET", "/pop/v5/resource/components", &[]).await;
    assert_eq!((&none["Code"], &none["ComponentList"]["Component"]), (&json!(200), &json!([])));
}
