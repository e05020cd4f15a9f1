//! Who may do what, changed over the API: keys come and go, whoever may do less than
//! everything changes nothing, and somebody who may do everything stays.

use serde_json::json;
use test_support::dump::dump;

use super::{
    log::Log,
    server::{KEY, Server},
    sign::{Key, Unsigned},
    *,
};

mod less;
mod stays;

const APPLICATIONS: &str = "/sluice/v1/applications";
const GRANTS: &str = "/sluice/v1/grants";
const ONE_KEY: &str = "/sluice/v1/key";
const KEYS: &str = "/sluice/v1/keys";
const ONE_POLICY: &str = "/sluice/v1/policy";
const POLICIES: &str = "/sluice/v1/policies";
const ONE_PRINCIPAL: &str = "/sluice/v1/principal";
const PRINCIPALS: &str = "/sluice/v1/principals";

const EVERYTHING: &str = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;

fn policy(statements: &str) -> String {
    format!(r#"{{"Version":"1","Statement":[{statements}]}}"#)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Server {
    /// What an operation answers that must succeed.
    async fn done(&self, method: &str, path: &str, parameters: &[(&str, &str)]) -> Value {
        let reply: Value = self.call(method, path, parameters).await.into();
        assert_eq!(reply["Code"], 200, "{method} {path} {parameters:?}: {reply}");
        reply
    }

    /// Why it is refused.
    async fn refusal(&self, method: &str, path: &str, parameters: &[(&str, &str)]) -> String {
        let reply = self.call(method, path, parameters).await;
        assert_ne!(reply["Code"], 200, "{method} {path} {parameters:?}");
        let code = reply["Code"].as_str().map_or_else(|| reply["Code"].to_string(), Into::into);
        format!("{code} {}", reply["Message"].as_str().unwrap())
    }

    /// What somebody else is answered.
    async fn by(
        &self,
        (id, secret): (&str, &str),
        method: &str,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> (StatusCode, Map<String, Value>) {
        let nonce = uuid::Uuid::now_v7().to_string();
        let date = self.clock.now();
        let unsigned = Unsigned { method, path, parameters, date, nonce: Some(&nonce) };
        self.send(method, &unsigned.acs3(Key { id, secret })).await
    }

    /// A key of a new principal, with what is granted.
    async fn key_with(&self, name: &str, granted: (&str, &str)) -> (String, String) {
        let created = self.done("POST", KEYS, &[("Name", name), granted]).await;
        let key = &created["AccessKey"];
        (text(&key["AccessKeyId"]), text(&key["AccessKeySecret"]))
    }

    /// Operation, object, principal and key of the changes on record, the oldest first.
    async fn record(&self) -> Vec<[String; 4]> {
        let rows: Vec<(String, String, String, String)> = sqlx::query_as(
            "SELECT operation, object, principal, key_id FROM audit_entry WHERE outcome = 'done' ORDER BY id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        rows.into_iter().map(|(a, b, c, d)| [a, b, c, d]).collect()
    }

    /// All that says who may do what.
    async fn access_rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for table in ["principal", "principal_grant", "policy", "access_key"] {
            let query = format!("SELECT (to_jsonb(t) - 'last_used_at')::text FROM {table} t");
            let found = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(query));
            rows.extend(found.fetch_all(&self.pool).await.unwrap());
        }
        rows.sort();
        rows
    }

    async fn dump(&self) -> String {
        let server = std::env::var("DATABASE_URL").unwrap();
        let options = self.pool.connect_options();
        let (base, query) = server.split_once('?').unwrap_or((&server, ""));
        let (base, _) = base.rsplit_once('/').unwrap();
        dump(&format!("{base}/{}?{query}", options.get_database().unwrap())).await
    }
}

fn shows(text: &str, secret: &str) -> bool {
    text.contains(secret) || text.contains(&hex::encode(secret))
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_key_is_created_rotated_disabled_and_removed_and_each_change_is_on_record(pool: PgPool) {
    let log = Log::default();
    let _logged = log.begin();
    let server = Server::start(pool).await;
    let wanted = [
        ("Name", "shop-ci"),
        ("Role", "deployer"),
        ("Namespace", "shop"),
        ("Application", "web-*"),
        ("ServiceAccounts", "web, api-*"),
        ("ExpiresIn", "86400"),
        ("Schemes", "acs3-hmac-sha256"),
        ("Networks", "127.0.0.0/8, 10.1.0.0/16"),
    ];
    let created = server.done("POST", KEYS, &wanted).await;
    let made = &created["AccessKey"];
    assert_eq!((&made["Name"], &made["Principal"]), (&json!("shop-ci"), &json!("shop-ci")));
    let (id, secret) = (text(&made["AccessKeyId"]), text(&made["AccessKeySecret"]));
    let lists = async |key: (&str, &str)| server.by(key, "GET", APPLICATIONS, &[]).await;
    assert_eq!(lists((&id, &secret)).await.1["Code"], 200);

    let shown = server.done("GET", ONE_KEY, &[("AccessKey", "shop-ci")]).await;
    let shown = &shown["AccessKey"];
    assert_eq!((&shown["AccessKeyId"], &shown["State"]), (&json!(id), &json!("enabled")));
    assert_eq!(shown["Networks"], json!(["127.0.0.0/8", "10.1.0.0/16"]));
    assert_eq!(shown["Schemes"], json!(["acs3-hmac-sha256"]));
    assert!(text(&shown["ExpiresAt"]) > text(&shown["CreatedAt"]), "{shown}");
    let principal = server.done("GET", ONE_PRINCIPAL, &[("Principal", "shop-ci")]).await;
    assert_eq!(
        principal["Principal"]["Grants"],
        json!([{
            "Policy": "", "Role": "deployer", "Namespace": "shop", "Application": "web-*",
            "PodSecurity": "", "ServiceAccounts": ["web", "api-*"], "Registries": [],
        }])
    );

    server.done("PUT", "/sluice/v1/key/disable", &[("AccessKey", &id)]).await;
    assert_eq!(lists((&id, &secret)).await.1["Code"], "InvalidAccessKeyId.Inactive");
    server.done("PUT", "/sluice/v1/key/enable", &[("AccessKey", &id)]).await;
    assert_eq!(lists((&id, &secret)).await.1["Code"], 200);

    let rotated = server
        .done("POST", "/sluice/v1/key/rotate", &[("AccessKey", "shop-ci"), ("Grace", "60")])
        .await;
    let second = &rotated["AccessKey"];
    let other = (text(&second["AccessKeyId"]), text(&second["AccessKeySecret"]));
    assert_eq!((&second["Name"], &second["Principal"]), (&json!("shop-ci-2"), &json!("shop-ci")));
    assert_eq!(lists((&other.0, &other.1)).await.1["Code"], 200);
    assert_eq!(lists((&id, &secret)).await.1["Code"], 200, "it goes on for a minute");
    let first = server.done("GET", ONE_KEY, &[("AccessKey", &id)]).await;
    let end: jiff::Timestamp = text(&first["AccessKey"]["ExpiresAt"]).parse().unwrap();
    assert!(end.duration_since(server.clock.now()).as_secs() <= 60, "{end}");

    let page = server.done("GET", KEYS, &[("Limit", "1"), ("Principal", "shop-ci")]).await;
    assert_eq!(
        (&page["AccessKeys"][0]["Name"], &page["Next"]),
        (&json!("shop-ci"), &json!("shop-ci"))
    );
    let page = server.done("GET", KEYS, &[("After", "shop-ci"), ("Principal", "shop-ci")]).await;
    assert_eq!((&page["AccessKeys"][0]["Name"], &page["Next"]), (&json!("shop-ci-2"), &json!("")));

    server.done("DELETE", ONE_KEY, &[("AccessKey", &id)]).await;
    assert_eq!(lists((&id, &secret)).await.1["Code"], "InvalidAccessKeyId.NotFound");
    server.done("DELETE", ONE_PRINCIPAL, &[("Principal", "shop-ci")]).await;
    assert_eq!(lists((&other.0, &other.1)).await.1["Code"], "InvalidAccessKeyId.NotFound");

    let entry =
        |operation: &str, object: &str| [operation, object, "tests", KEY.id].map(str::to_owned);
    let key = format!("key/{id}");
    assert_eq!(
        server.record().await,
        [
            entry("edas:CreateAccessKey", "principal/shop-ci"),
            entry("edas:DisableAccessKey", &key),
            entry("edas:EnableAccessKey", &key),
            entry("edas:RotateAccessKey", "key/shop-ci"),
            entry("edas:DeleteAccessKey", &key),
            entry("edas:DeletePrincipal", "principal/shop-ci"),
        ]
    );
    let (dump, log) = (server.dump().await, log.text());
    assert!(dump.contains("shop-ci") && log.contains("CreateAccessKey"), "they hold what was done");
    for secret in [secret, other.1] {
        assert!(!shows(&dump, &secret) && !shows(&log, &secret));
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_same_request_again_makes_no_second_key_and_its_answer_is_sealed(pool: PgPool) {
    let server = Server::start(pool).await;
    let parameters = [("Name", "ci"), ("Role", "reader")];
    let unsigned = Unsigned {
        method: "POST",
        path: KEYS,
        parameters: &parameters,
        date: server.clock.now(),
        nonce: Some("n-1"),
    };
    let signed = unsigned.acs3(KEY);
    let first = server.send("POST", &signed).await.1;
    assert_eq!(first["Code"], 200, "{first:?}");
    let again = server.send("POST", &signed).await.1;
    assert_eq!(again["AccessKey"], first["AccessKey"], "whoever lost the reply has the key");
    assert_eq!(server.record().await.len(), 1);
    let secret = text(&first["AccessKey"]["AccessKeySecret"]);
    let dump = server.dump().await;
    assert!(dump.contains("n-1") && !shows(&dump, &secret));
    let listed = server.done("GET", KEYS, &[]).await.to_string();
    let shown = server.done("GET", ONE_KEY, &[("AccessKey", "ci")]).await.to_string();
    assert!(listed.contains("\"ci\"") && !shows(&listed, &secret) && !shows(&shown, &secret));

    // What was answered holds a secret: it is for those only who may have it still.
    let other = server.key_with("bob", ("Role", "admin")).await;
    let mine = Unsigned { nonce: Some("n-2"), ..unsigned };
    let parameters = [("Name", "ci-2"), ("Role", "reader")];
    let mine = Unsigned { parameters: &parameters, ..mine };
    let signed = mine.acs3(Key { id: &other.0, secret: &other.1 });
    assert_eq!(server.send("POST", &signed).await.1["Code"], 200);
    server.done("DELETE", GRANTS, &[("Principal", "bob"), ("Role", "admin")]).await;
    assert_eq!(server.send("POST", &signed).await.1["Code"], "Forbidden.RAM");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_policy_is_written_attached_shown_detached_and_removed(pool: PgPool) {
    let server = Server::start(pool).await;
    let reads = r#"{"Effect":"Allow","Action":"edas:ReadApplication","Resource":"*"}"#;
    let document = policy(reads);
    let text = [("Name", "reads"), ("PolicyDocument", document.as_str())];
    server.done("POST", POLICIES, &text).await;
    server.done("POST", PRINCIPALS, &[("Name", "alice"), ("Person", "true")]).await;
    server.done("POST", GRANTS, &[("Principal", "alice"), ("Policy", "reads")]).await;
    let shown = server.done("GET", ONE_POLICY, &[("Policy", "reads")]).await;
    assert_eq!(shown["Policy"]["PolicyDocument"], document);
    assert_eq!(shown["Policy"]["Principals"], json!(["alice"]));
    let listed = server.done("GET", POLICIES, &[]).await;
    assert_eq!(listed["Roles"].as_array().unwrap().len(), 4);
    assert_eq!(listed["Policies"][0]["Name"], "reads");
    assert!(!listed.to_string().contains("Statement"), "a list has no texts: {listed}");
    let people = server.done("GET", PRINCIPALS, &[("Limit", "1")]).await;
    let alice = &people["Principals"][0];
    assert_eq!((&alice["Name"], &alice["Kind"]), (&json!("alice"), &json!("person")));
    assert_eq!(alice["Grants"][0]["Policy"], "reads");
    assert_eq!((&people["Next"], &alice["Keys"]), (&json!("alice"), &json!(0)));

    let (id, secret) = server.key_with("ci", ("Policy", "reads")).await;
    let call = async || server.by((&id, &secret), "GET", APPLICATIONS, &[]).await.1;
    assert_eq!(call().await["Code"], 200);
    let denies = policy(&reads.replace("Allow", "Deny"));
    let replaced = [("Name", "reads"), ("PolicyDocument", denies.as_str()), ("Replace", "true")];
    server.done("POST", POLICIES, &replaced).await;
    assert_eq!(call().await["Code"], "Forbidden.RAM", "it holds at the next request");
    for name in ["alice", "ci"] {
        let refused = server.refusal("DELETE", ONE_POLICY, &[("Policy", "reads")]).await;
        assert!(refused.contains("must be detached first"), "{refused}");
        server.done("DELETE", GRANTS, &[("Principal", name), ("Policy", "reads")]).await;
    }
    server.done("DELETE", ONE_POLICY, &[("Policy", "reads")]).await;
    let gone = server.refusal("GET", ONE_POLICY, &[("Policy", "reads")]).await;
    assert_eq!(gone, "601 the policy reads does not exist");
    let operations: Vec<String> = server.record().await.into_iter().map(|[it, ..]| it).collect();
    assert_eq!(
        operations.iter().filter_map(|it| it.strip_prefix("edas:")).collect::<Vec<_>>(),
        [
            "CreatePolicy",
            "CreatePrincipal",
            "AttachPolicy",
            "CreateAccessKey",
            "CreatePolicy",
            "DetachPolicy",
            "DetachPolicy",
            "DeletePolicy",
        ]
    );
}

/// Method, path and parameters of a call, and what its refusal says.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_cannot_be_is_refused_by_name_and_changes_nothing(pool: PgPool) {
    let server = Server::start(pool).await;
    server.key_with("ci", ("Role", "reader")).await;
    server.done("POST", KEYS, &[("Principal", "ci")]).await;
    server.done("PUT", "/sluice/v1/key/disable", &[("AccessKey", "ci-2")]).await;
    server.done("POST", KEYS, &[("Principal", "ci")]).await;
    server.done("POST", PRINCIPALS, &[("Name", "full")]).await;
    for number in 1..=20 {
        let namespace = format!("n-{number}");
        let grant = [("Principal", "full"), ("Role", "reader"), ("Namespace", namespace.as_str())];
        server.done("POST", GRANTS, &grant).await;
    }
    let document = policy(EVERYTHING);
    let all = [("Name", "all"), ("PolicyDocument", document.as_str())];
    server.done("POST", POLICIES, &all).await;
    let before = (server.access_rows().await, server.record().await);
    let many = vec!["10.0.0.0/8"; 51].join(",");
    let cases: &[Case] = &[
        ("POST", KEYS, &[("Role", "reader")], "MissingName Name is mandatory"),
        (
            "POST",
            KEYS,
            &[("Name", "ci"), ("Principal", "new")],
            "parameter Name has the value ci: there is an access key of this name",
        ),
        (
            "POST",
            KEYS,
            &[("Principal", "ci")],
            "parameter Principal has the value ci: the principal has 2 keys",
        ),
        (
            "POST",
            KEYS,
            &[("Name", "a"), ("Namespace", "shop")],
            "parameter Namespace has the value shop: can only be given together with Role",
        ),
        (
            "POST",
            KEYS,
            &[("Name", "a"), ("Networks", &many)],
            "parameter Networks has the value 51: a key may be used from at most 50",
        ),
        ("POST", KEYS, &[("Name", "a"), ("ExpiresIn", "59")], "InvalidExpiresIn"),
        ("POST", KEYS, &[("Name", "a"), ("Policy", "none")], "the policy none does not exist"),
        (
            "POST",
            KEYS,
            &[("Name", "a"), ("Principal", "full"), ("Role", "reader")],
            "parameter Principal has the value full: at most 20 roles",
        ),
        (
            "PUT",
            "/sluice/v1/key/enable",
            &[("AccessKey", "ci-2")],
            "parameter AccessKey has the value ci-2: the principal has 2 keys",
        ),
        ("POST", "/sluice/v1/key/rotate", &[("AccessKey", "ci")], "has 2 keys"),
        ("POST", "/sluice/v1/key/rotate", &[("AccessKey", "ci"), ("Grace", "0")], "InvalidGrace"),
        (
            "POST",
            PRINCIPALS,
            &[("Name", "full")],
            "parameter Name has the value full: there is a principal of this name",
        ),
        ("DELETE", ONE_PRINCIPAL, &[("Principal", "none")], "the principal none does not exist"),
        (
            "POST",
            GRANTS,
            &[("Principal", "full"), ("Role", "deployer")],
            "parameter Principal has the value full: at most 20",
        ),
        ("POST", GRANTS, &[("Principal", "ci")], "MissingRole"),
        (
            "POST",
            GRANTS,
            &[("Principal", "ci"), ("Role", "reader"), ("Policy", "all")],
            "parameter Policy has the value all: must be left out",
        ),
        (
            "POST",
            GRANTS,
            &[("Principal", "ci"), ("Role", "admin"), ("Namespace", "shop")],
            "parameter Role has the value admin: the role admin is for everything",
        ),
        (
            "POST",
            GRANTS,
            &[("Principal", "ci"), ("Role", "admin"), ("PodSecurity", "baseline")],
            "parameter Role has the value admin: no guardrail holds",
        ),
        (
            "DELETE",
            GRANTS,
            &[("Principal", "ci"), ("Role", "operator")],
            "parameter Principal has the value ci: this role or policy",
        ),
        (
            "POST",
            POLICIES,
            &all,
            "parameter Name has the value all: there is a policy of this name",
        ),
        (
            "POST",
            POLICIES,
            &[("Name", "b"), ("PolicyDocument", "{}")],
            "parameter PolicyDocument has the value {}: the policy cannot be read",
        ),
        ("GET", KEYS, &[("Limit", "101")], "InvalidLimit"),
    ];
    for (method, path, parameters, says) in cases {
        let said = server.refusal(method, path, parameters).await;
        assert!(said.contains(says), "{method} {path} {parameters:?}: {said}");
    }
    assert_eq!((server.access_rows().await, server.record().await), before);
}
