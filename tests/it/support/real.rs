//! The real control plane that tests run on: the test bed's, by the kubeconfig in
//! `SLUICE_TEST_KUBECONFIG`. Without it they fail; they are never skipped.

use domain::ApplicationId;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::{
    Api, Client, Config,
    api::{ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};

use super::eventually;

/// The test cluster's kubeconfig.
pub fn kubeconfig() -> Kubeconfig {
    let path = std::env::var("SLUICE_TEST_KUBECONFIG").expect(
        "SLUICE_TEST_KUBECONFIG must name the kubeconfig of a test cluster: `make test` sets it, or start one with \
         `tests/testbed/cluster up` and take the path that it prints",
    );
    Kubeconfig::read_from(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
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
