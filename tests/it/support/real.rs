//! The real control plane that tests run on: the test bed's, by the kubeconfig in
//! `SLUICE_TEST_KUBECONFIG`. Without it they fail; they are never skipped.

use std::path::PathBuf;

use domain::ApplicationId;
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::{Namespace, ServiceAccount},
};
use kube::{
    Api, Client, Config,
    api::{ObjectMeta, PostParams},
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use super::eventually;

fn path() -> PathBuf {
    let path = std::env::var("SLUICE_TEST_KUBECONFIG").expect(
        "SLUICE_TEST_KUBECONFIG must name the kubeconfig of a test cluster: `make test` sets it, or start one with \
         `tests/testbed/cluster up` and take the path that it prints",
    );
    path.into()
}

/// The test cluster's kubeconfig, with the administrator's token.
pub fn kubeconfig() -> Kubeconfig {
    let path = path();
    Kubeconfig::read_from(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A kubeconfig of it that names files: the administrator's client certificate and its key.
pub fn certificate_kubeconfig() -> PathBuf {
    path().with_file_name("certificate.kubeconfig")
}

/// The test bed's state directory (`SLUICE_TESTBED`).
pub fn folder() -> PathBuf {
    let path = path().canonicalize().unwrap();
    path.ancestors().nth(2).expect("RUN/admin.kubeconfig in the test bed's folder").to_owned()
}

/// A kubeconfig of it with the token of a new ServiceAccount of this name.
pub async fn token_kubeconfig(client: &Client, namespace: &str, account: &str) -> Kubeconfig {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let new: ServiceAccount =
        serde_json::from_value(json!({ "metadata": { "name": account } })).unwrap();
    accounts.create(&PostParams::default(), &new).await.unwrap();
    let asked = json!({ "spec": { "audiences": [], "expirationSeconds": 3600 } });
    let asked: TokenRequest = serde_json::from_value(asked).unwrap();
    let made = accounts.create_token_request(account, &PostParams::default(), &asked).await;
    let token = made.unwrap().status.unwrap().token;
    let mut kubeconfig = kubeconfig();
    for named in &mut kubeconfig.auth_infos {
        named.auth_info =
            Some(AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() });
    }
    kubeconfig
}

pub async fn client_of(kubeconfig: Kubeconfig) -> Client {
    let config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

pub async fn client() -> Client {
    client_of(kubeconfig()).await
}

/// A client of the test cluster in the name of another user.
pub async fn as_user(user: &str) -> Client {
    let mut kubeconfig = kubeconfig();
    for named in &mut kubeconfig.auth_infos {
        named.auth_info.as_mut().unwrap().impersonate = Some(user.into());
    }
    client_of(kubeconfig).await
}

/// A new namespace in which pods can be created.
pub async fn namespace(client: &Client) -> String {
    let name = format!("it-{}", ApplicationId::new());
    let namespace = Namespace {
        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
    eventually(async || accounts.get("default").await.map_err(|error| error.to_string())).await;
    name
}
