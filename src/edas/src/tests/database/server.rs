//! The router on a real Postgres, and signed calls of it.
//!
//! The signer is `src/test-support/src/sign.rs`, written from the rules and not with the
//! program's own code. No executor runs, so orders stay where they begin.

use super::{
    sign::{Key, Signed, Unsigned},
    *,
};

pub(super) const KEY: Key<'static> = Key { id: "test-key", secret: "test-secret" };
pub(super) const DEPLOY: &str = "/pop/v5/k8s/acs/k8s_apps";
pub(super) const CREATE: &str = "/pop/v5/k8s/acs/create_k8s_app";

pub(super) struct Server {
    pub(super) router: Router,
    pub(super) pool: PgPool,
    pub(super) clock: Clock,
}

impl Server {
    pub(super) async fn start(pool: PgPool) -> Self {
        Self::start_with(service_on(pool.clone()), pool).await
    }

    pub(super) async fn start_with(service: Service, pool: PgPool) -> Self {
        let clock = service.clock().clone();
        let store = Store::on(pool.clone(), test_support::keyring::keyring());
        assert!(store.insert_key(KEY.id, &KEY.secret.into(), "tests", clock.now()).await.unwrap());
        store.register_cluster(&"default".into()).await.unwrap();
        Self { router: router(service, EdgeConfig::default()), pool, clock }
    }

    pub(super) async fn send(
        &self,
        method: &str,
        signed: &Signed,
    ) -> (StatusCode, Map<String, Value>) {
        let mut request = Request::builder().method(method).uri(&signed.target);
        for (name, value) in &signed.headers {
            request = request.header(*name, value);
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::from(signed.body.clone())).unwrap())
            .await
            .unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        read(response).await
    }

    /// A call with a nonce of its own, with a form where the operation takes one.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Map<String, Value> {
        self.answer(method, path, parameters).await.1
    }

    /// The same, with the reply's status.
    pub(super) async fn answer(
        &self,
        method: &str,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> (StatusCode, Map<String, Value>) {
        let nonce = uuid::Uuid::now_v7().to_string();
        let unsigned =
            Unsigned { method, path, parameters, date: self.clock.now(), nonce: Some(&nonce) };
        let takes_form =
            contract::find(&method.parse().unwrap(), path).is_some_and(|operation| operation.form);
        self.send(method, &if takes_form { unsigned.acs3_form(KEY) } else { unsigned.acs3(KEY) })
            .await
    }

    pub(super) async fn create(&self) -> (String, String) {
        let parameters = [
            ("AppName", "web"),
            ("ClusterId", "default"),
            ("ImageUrl", "shop/web:1"),
            ("Replicas", "4"),
            ("PackageVersion", "1"),
        ];
        let created = self.call("POST", CREATE, &parameters).await;
        assert_eq!(created["Code"], 200, "{created:?}");
        shape::check("InsertK8sApplication", &created.clone().into());
        let id = |name: &str| created["ApplicationInfo"][name].as_str().unwrap().to_owned();
        (id("AppId"), id("ChangeOrderId"))
    }

    /// An application whose first order is over, so that it can be released.
    pub(super) async fn create_and_abort(&self) -> String {
        let (application, order) = self.create().await;
        self.abort(&order).await;
        application
    }

    pub(super) async fn abort(&self, order: &str) {
        let aborted = self
            .call("PUT", "/pop/v5/changeorder/change_order_abort", &[("ChangeOrderId", order)])
            .await;
        assert_eq!(aborted["Code"], 200, "{aborted:?}");
        shape::check("AbortChangeOrder", &aborted.into());
    }

    pub(super) async fn orders(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM change_order").fetch_one(&self.pool).await.unwrap()
    }
}
