//! A Deployment's whole text: read, edited and sent back as a signed form, to what an
//! executor makes of it on the simulated cluster.

use serde_json::json;

use super::{
    reading::{DEPLOYMENT, Live},
    server::KEY,
    sign::Unsigned,
    *,
};

const RESOURCE: &str = "/pop/v5/oam/update_k8s_resource_config";
const INFO: &str = "/pop/v5/changeorder/change_order_info";
const HISTORY: &str = "/pop/v5/app/deploy_history_version_list";

impl Live {
    /// The Deployment as GetAppDeployment tells it.
    async fn text(&self, application: &str) -> Value {
        let shown = self.server.call("GET", DEPLOYMENT, &[("AppId", application)]).await;
        serde_json::from_str(shown["Data"].as_str().unwrap()).unwrap()
    }

    async fn send_back(&self, text: &str) -> Value {
        let sent = [("ClusterId", "default"), ("Namespace", "default"), ("ResourceContent", text)];
        let reply: Value = self.server.call("POST", RESOURCE, &sent).await.into();
        shape::check("UpdateK8sResource", &reply);
        reply
    }

    /// Sends it back, and waits until its order has ended well.
    async fn carried_out(&self, text: &str) -> Value {
        let reply = self.send_back(text).await;
        let order = reply["ChangeOrderId"].as_str().unwrap_or_default().to_owned();
        assert!(reply["Code"] == 200 && !order.is_empty(), "{reply}");
        let shown = self
            .until("POST", INFO, &[("ChangeOrderId", &order)], |it| {
                it["changeOrderInfo"]["Status"] == 2
            })
            .await;
        shown["changeOrderInfo"].clone()
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_was_read_is_edited_and_sent_back(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let mut text = live.text(&application).await;
    let (orders, writes) = (live.server.orders().await, live.writes());
    let unchanged = live.send_back(&text.to_string()).await;
    assert_eq!((&unchanged["Code"], &unchanged["ChangeOrderId"]), (&json!(200), &json!("")));
    assert_eq!((live.server.orders().await, live.writes()), (orders, writes), "nothing is ordered");

    // Everything of the template may be edited, and what is not known here, too.
    text["spec"]["template"]["spec"]["containers"][0]["image"] = json!("shop/web:2");
    text["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{ "name": "PASSWORD", "value": "geheim" }]);
    text["spec"]["template"]["spec"]["hostAliases"] =
        json!([{ "ip": "10.0.0.9", "hostnames": ["db"] }]);
    text["spec"]["replicas"] = json!(2);
    text["spec"]["minReadySeconds"] = json!(1);
    let order = live.carried_out(&text.to_string()).await;
    assert_eq!((&order["CoType"], &order["BatchCount"]), (&json!("Deploy"), &json!(1)), "{order}");
    let made = live.text(&application).await;
    assert_eq!(
        (&made["spec"]["replicas"], &made["spec"]["minReadySeconds"]),
        (&json!(2), &json!(1))
    );
    let pods = &made["spec"]["template"]["spec"];
    assert_eq!(
        (&pods["containers"], &pods["hostAliases"]),
        (
            &text["spec"]["template"]["spec"]["containers"],
            &text["spec"]["template"]["spec"]["hostAliases"]
        )
    );
    let mark = |text: &Value| {
        text["spec"]["template"]["metadata"]["annotations"]["sluice.dev/release"].clone()
    };
    assert!(mark(&made).is_string() && mark(&made) != mark(&text), "a version of its own");
    let history: Value = live.server.call("GET", HISTORY, &[("AppId", &application)]).await.into();
    assert_eq!(
        history["PackageVersionList"]["PackageVersion"].as_array().map(Vec::len),
        Some(2),
        "{history}"
    );

    // Only the number of pods: no pod of the others is touched.
    let more = made.to_string().replace("\"replicas\":2", "\"replicas\":3");
    let order = live.carried_out(&more).await;
    assert_eq!(order["CoType"], "Application Scale Out");
    assert_eq!(mark(&live.text(&application).await), mark(&made));

    // A short text written by hand.
    let yaml = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    metadata:\n      labels:\n        sluice.dev/application: {application}\n    spec:\n      containers:\n      - name: web\n        image: \"shop/web:3\"\n"
    );
    live.carried_out(&yaml).await;
    let made = live.text(&application).await;
    assert_eq!(
        (&made["spec"]["replicas"], &made["spec"]["minReadySeconds"]),
        (&json!(3), &json!(1)),
        "what is absent stays"
    );
    let pods = &made["spec"]["template"]["spec"];
    assert_eq!(
        (&pods["containers"][0]["image"], &pods["hostAliases"]),
        (&json!("shop/web:3"), &Value::Null)
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_same_text_again_gets_the_same_order(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let mut text = live.text(&application).await;
    for (nonce, image) in [("n-1", None), ("n-2", Some("shop/web:2"))] {
        if let Some(image) = image {
            text["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        }
        let (text, date) = (text.to_string(), live.server.clock.now());
        let parameters = [("ResourceContent", text.as_str())];
        let sent = Unsigned {
            method: "POST",
            path: RESOURCE,
            parameters: &parameters,
            date,
            nonce: Some(nonce),
        }
        .acs3_form(KEY);
        let first = live.server.send("POST", &sent).await.1;
        assert!(
            first["Code"] == 200 && (first["ChangeOrderId"] == "") == image.is_none(),
            "{first:?}"
        );
        if image.is_some() {
            let order = first["ChangeOrderId"].as_str().unwrap();
            live.until("POST", INFO, &[("ChangeOrderId", order)], |it| {
                it["changeOrderInfo"]["Status"] == 2
            })
            .await;
        }
        let orders = live.server.orders().await;
        let second = live.server.send("POST", &sent).await.1;
        assert_eq!(
            (&second["Code"], &second["ChangeOrderId"]),
            (&json!(200), &first["ChangeOrderId"])
        );
        assert_eq!(live.server.orders().await, orders);
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_cannot_be_is_refused_by_its_place_and_writes_nothing(pool: PgPool) {
    let live = Live::start(pool).await;
    let application = live.create().await;
    let text = live.text(&application).await;
    let (orders, writes) = (live.server.orders().await, live.writes());
    let edited = |path: &str, value: Value| {
        let mut edited = text.clone();
        *edited.pointer_mut(path).unwrap() = value;
        edited.to_string()
    };
    let (label, missing) = (
        "/spec/template/metadata/labels",
        json!([{ "name": "web", "image": "geheim", "envFrom": [{ "secretRef": { "name": "nowhere" } }] }]),
    );
    let cases = [
        (
            edited("/metadata/name", json!("other")),
            "the application other in namespace default does not exist",
        ),
        (
            edited("/metadata/namespace", json!("shop")),
            "parameter Namespace has the value default: must be that of the Deployment",
        ),
        (
            edited("/spec/selector", json!({ "matchLabels": { "a": "geheim" } })),
            "(not shown): spec.selector must be",
        ),
        (
            edited("/spec/strategy", json!({ "type": "Recreate" })),
            "(not shown): spec.strategy must be",
        ),
        (
            edited(label, json!({ "a": "geheim" })),
            "(not shown): spec.template.metadata.labels must have",
        ),
        (edited("/kind", json!("Secret")), "(not shown): kind must be Deployment"),
        (
            edited("/spec/template/spec/containers", missing),
            "it cannot work: the Secret nowhere does not exist",
        ),
        (
            "password: geheim: x".into(),
            "(not shown): must be one document of YAML or JSON, and is not, at line 1",
        ),
        ("a: 1\n---\nb: 2".into(), "must be one document"),
    ];
    for (text, says) in cases {
        let reply: Value = live
            .server
            .call("POST", RESOURCE, &[("Namespace", "default"), ("ResourceContent", &text)])
            .await
            .into();
        let said = reply["Message"].as_str().unwrap();
        assert!(
            reply["Code"] == 601 && said.contains(says) && !said.contains("geheim"),
            "{says}: {said}"
        );
    }
    let text = text.to_string();
    for (parameters, says) in [
        (
            vec![("ClusterId", "x"), ("ResourceContent", text.as_str())],
            "601 the cluster x does not exist",
        ),
        (vec![("Namespace", "default")], "MissingResourceContent"),
    ] {
        let reply = live.server.call("POST", RESOURCE, &parameters).await;
        let said = format!("{} {}", reply["Code"], reply["Message"].as_str().unwrap());
        assert!(said.contains(says), "{said}");
    }
    assert_eq!((live.server.orders().await, live.writes()), (orders, writes));
}
