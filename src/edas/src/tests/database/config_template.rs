//! Config templates: signed forms down to Postgres, and what is refused. No cluster is
//! involved.

use serde_json::json;

use super::{
    server::{KEY, Server},
    sign::Unsigned,
    *,
};

const TEMPLATE: &str = "/pop/v5/config_template";

impl Server {
    async fn template(&self, operation: &str, method: &str, parameters: &[(&str, &str)]) -> Value {
        let reply: Value = self.call(method, TEMPLATE, parameters).await.into();
        assert_eq!(reply["Code"], 200, "{operation}: {reply}");
        shape::check(operation, &reply);
        reply["Data"].clone()
    }

    async fn templates(&self) -> Value {
        self.template("ListConfigTemplates", "GET", &[]).await
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_template_is_kept_changed_listed_and_forgotten(pool: PgPool) {
    let server = Server::start(pool).await;
    let content = "port: 80\nname: ü&=+ %\n";
    let text =
        [("Name", "shop"), ("Description", "for all"), ("Format", "YAML"), ("Content", content)];
    let made = server.template("CreateConfigTemplate", "POST", &text).await;
    let number = made["Id"].as_i64().unwrap();
    let id = number.to_string();
    let other = server
        .template("CreateConfigTemplate", "POST", &[("Name", "other"), ("Content", "<")])
        .await;

    let listed = server.templates().await;
    assert_eq!(
        (&listed["CurrentPage"], &listed["PageSize"], &listed["TotalSize"]),
        (&json!(1), &json!(100), &json!(2))
    );
    let (first, second) = (&listed["Result"][0], &listed["Result"][1]);
    assert_eq!(
        (&first["Id"], &first["Name"], &first["Description"]),
        (&json!(id), &json!("shop"), &json!("for all"))
    );
    assert_eq!((&first["Format"], &first["Content"]), (&json!("YAML"), &json!(content)));
    assert_eq!((&second["Format"], &second["Description"]), (&json!("Custom"), &json!("")));
    let created = first["GmtCreate"].as_i64().unwrap();
    assert!(created > 1_700_000_000_000 && first["GmtModified"] == created, "{first}");

    server
        .template(
            "UpdateConfigTemplate",
            "PUT",
            &[("Id", &id), ("Description", ""), ("Name", "shop-2")],
        )
        .await;
    let named = server.template("ListConfigTemplates", "GET", &[("Name", "shop-2")]).await;
    let shown = &named["Result"][0];
    assert_eq!(
        (&named["TotalSize"], &shown["Description"], &shown["Content"]),
        (&json!(1), &json!(""), &json!(content))
    );
    assert!(
        shown["GmtModified"].as_i64().unwrap() >= created && shown["GmtCreate"] == created,
        "{shown}"
    );
    server
        .template(
            "UpdateConfigTemplate",
            "PUT",
            &[("Id", &id), ("Format", "JSON"), ("Content", "[]")],
        )
        .await;
    let by_id = server.template("ListConfigTemplates", "GET", &[("Id", &id)]).await;
    assert_eq!(
        (&by_id["Result"][0]["Format"], &by_id["Result"][0]["Content"]),
        (&json!("JSON"), &json!("[]"))
    );
    assert_eq!(
        server.template("ListConfigTemplates", "GET", &[("Id", &id), ("Name", "shop")]).await["Result"],
        json!([])
    );
    let page = server
        .template("ListConfigTemplates", "GET", &[("CurrentPage", "2"), ("PageSize", "1")])
        .await;
    assert_eq!(
        (&page["TotalSize"], &page["Result"][0]["Id"]),
        (&json!(2), &json!(other["Id"].to_string()))
    );

    server.template("DeleteConfigTemplate", "DELETE", &[("Id", &id)]).await;
    assert_eq!(server.templates().await["Result"].as_array().unwrap().len(), 1);
    let gone = server.call("DELETE", TEMPLATE, &[("Id", &id)]).await;
    assert_eq!(gone["Message"], format!("the config template {id} does not exist"));
    let again = server
        .template("CreateConfigTemplate", "POST", &[("Name", "shop-2"), ("Content", "x")])
        .await;
    assert!(again["Id"].as_i64().unwrap() > number, "a number is not given twice");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_same_request_again_gets_the_first_answer_and_the_content_is_in_the_template_only(
    pool: PgPool,
) {
    let server = Server::start(pool).await;
    let send = async |method: &str, nonce: &str, parameters: &[(&str, &str)]| {
        let unsigned = Unsigned {
            method,
            path: TEMPLATE,
            parameters,
            date: server.clock.now(),
            nonce: Some(nonce),
        };
        let signed = if method == "DELETE" { unsigned.acs3(KEY) } else { unsigned.acs3_form(KEY) };
        let first = server.send(method, &signed).await.1;
        assert_eq!(first["Code"], 200, "{first:?}");
        assert_eq!(server.send(method, &signed).await.1.get("Data"), first.get("Data"));
        first
    };
    let made = send("POST", "n-1", &[("Name", "shop"), ("Content", "geheim")]).await;
    assert_eq!(server.templates().await["TotalSize"], 1);
    let id = made["Data"]["Id"].to_string();
    send("PUT", "n-2", &[("Id", &id), ("Content", "auch geheim")]).await;
    let mut kept: Vec<String> = Vec::new();
    for table in ["object_write", "event", "precheck_request", "nonce"] {
        let query = format!("SELECT to_jsonb(t)::text FROM {table} t");
        kept.extend(
            sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(query))
                .fetch_all(&server.pool)
                .await
                .unwrap(),
        );
    }
    assert!(kept.len() >= 2 && kept.iter().all(|row| !row.contains("geheim")), "{kept:?}");
    send("DELETE", "n-3", &[("Id", &id)]).await;
    assert_eq!(server.templates().await["TotalSize"], 0);
}

/// Method and parameters of a call, and what its refusal must say.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_cannot_be_kept_is_refused_by_name_and_changes_nothing(pool: PgPool) {
    let server = Server::start(pool).await;
    let made = server
        .template(
            "CreateConfigTemplate",
            "POST",
            &[("Name", "shop"), ("Content", "a: b"), ("Format", "YAML")],
        )
        .await;
    server.template("CreateConfigTemplate", "POST", &[("Name", "other"), ("Content", "x")]).await;
    let before = server.templates().await;
    let id = made["Id"].to_string();
    let (id, name, content, long) =
        (("Id", id.as_str()), ("Name", "new"), ("Content", "x"), "x".repeat(256));
    let most = "x".repeat(65_537);
    let cases: &[Case] = &[
        ("POST", &[content], "MissingName"),
        ("POST", &[name], "MissingContent"),
        (
            "POST",
            &[("Name", "shop"), content],
            "601 parameter Name has the value shop: a config template of that name exists already",
        ),
        ("POST", &[("Name", &long[..65]), content], "601 parameter Name has the value"),
        ("POST", &[name, content, ("Description", &long)], "must have at most 255 characters"),
        (
            "POST",
            &[name, content, ("Format", "yaml")],
            "601 parameter Format has the value yaml: allowed are JSON, XML, YAML",
        ),
        (
            "POST",
            &[name, ("Content", "{"), ("Format", "JSON")],
            "601 parameter Content has the value (not shown): must be in the format",
        ),
        ("POST", &[name, ("Content", &most)], "must have 1 to 65536 characters"),
        ("PUT", &[name], "MissingId"),
        ("PUT", &[("Id", "x"), name], "InvalidId"),
        ("PUT", &[("Id", "0"), name], "InvalidId"),
        ("PUT", &[("Id", "9999"), name], "601 the config template 9999 does not exist"),
        (
            "PUT",
            &[id, ("Name", "other")],
            "601 parameter Name has the value other: a config template of that name exists already",
        ),
        ("PUT", &[id, ("Name", "")], "601 parameter Name has the value (empty)"),
        ("PUT", &[id, ("Content", "")], "601 parameter Content"),
        ("PUT", &[id, ("Format", "JSON")], "it is no JSON: line 1"),
        ("PUT", &[id, ("Content", "{")], "it is no YAML"),
        ("DELETE", &[], "MissingId"),
        ("DELETE", &[("Id", "9999")], "601 the config template 9999 does not exist"),
        ("GET", &[("Id", "-1")], "InvalidId"),
        ("GET", &[("PageSize", "101")], "InvalidPageSize"),
        ("GET", &[("CurrentPage", "0")], "InvalidCurrentPage"),
    ];
    for (method, parameters, says) in cases {
        let reply = server.call(method, TEMPLATE, parameters).await;
        let said = format!("{} {}", reply["Code"], reply["Message"].as_str().unwrap());
        assert!(reply["Code"] != 200 && said.contains(says), "{method} {parameters:.80?}: {said}");
    }
    assert_eq!(server.templates().await, before);
}
