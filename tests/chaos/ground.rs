//! What a life is lived on: a simulated cluster of its own, in which everything can go wrong,
//! or a namespace of a real control plane, where only people, executors and pods do.

use std::time::Duration;

use domain::ApplicationId;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::{
    Api, Client, Config as Access, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use simulated::{Config, Fault as Wrong, SimulatedCluster};

use crate::{
    hand::{Hand, Hands},
    line::{Line, Server},
    operation::Trouble,
};

pub enum Ground {
    Simulated(SimulatedCluster),
    Real { client: Client, namespace: String },
}

impl Ground {
    pub fn simulated(seed: u64) -> Self {
        Self::Simulated(SimulatedCluster::start(Config {
            seed,
            // The same seed may be lived again.
            identity: Some(ApplicationId::new().to_string()),
            start_delay: Duration::from_millis(5),
            jitter: Duration::from_millis(10),
            shuffle: seed.is_multiple_of(2),
            ..Config::default()
        }))
    }

    /// A new namespace of the control plane of `SLUICE_TEST_KUBECONFIG`.
    pub async fn real() -> Self {
        let path = std::env::var("SLUICE_TEST_KUBECONFIG")
            .expect("SLUICE_TEST_KUBECONFIG must name the kubeconfig of a test cluster");
        let kubeconfig = Kubeconfig::read_from(&path).unwrap();
        let options = KubeConfigOptions::default();
        let access = Access::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        let client = Client::try_from(access).unwrap();
        let name = format!("chaos-{}", ApplicationId::new());
        let namespace = Namespace {
            metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
        let has_account = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            while accounts.get_opt("default").await.unwrap().is_none() {
                ticks.tick().await;
            }
        };
        let made = tokio::time::timeout(Duration::from_secs(30), has_account).await;
        made.expect("pods must be possible in a new namespace");
        Self::Real { client, namespace: name }
    }

    pub fn client(&self) -> Client {
        match self {
            Self::Simulated(simulation) => simulation.client(),
            Self::Real { client, .. } => client.clone(),
        }
    }

    pub fn namespace(&self) -> &str {
        match self {
            Self::Simulated(_) => "default",
            Self::Real { namespace, .. } => namespace,
        }
    }

    /// A line of its own for an executor.
    pub fn line(&self) -> Line {
        Line::new(match self {
            Self::Simulated(simulation) => Server::Simulated(simulation.service()),
            Self::Real { client, .. } => Server::Real(client.clone()),
        })
    }

    /// Time without any change after which nothing more is to come.
    pub fn quiet(&self) -> Duration {
        match self {
            Self::Simulated(_) => Duration::from_millis(200),
            Self::Real { .. } => Duration::from_secs(3),
        }
    }

    /// The next writes of Sluice go wrong.
    pub fn fail(&self, trouble: Trouble, times: usize) {
        let Self::Simulated(simulation) = self else { return };
        let wrong = match trouble {
            Trouble::LoseRequest => Wrong::LoseRequest,
            Trouble::LoseAnswer => Wrong::LoseAnswer,
            Trouble::Refuse(code) => Wrong::Refuse(code),
        };
        simulation.fail_next(times, wrong, |call| call.manager == "sluice");
    }

    pub fn drop_watches(&self) {
        if let Self::Simulated(simulation) = self {
            simulation.drop_watches();
        }
    }

    pub fn expire_watches(&self) {
        if let Self::Simulated(simulation) = self {
            simulation.expire_watches();
            simulation.drop_watches();
        }
    }

    pub fn clear_faults(&self) {
        if let Self::Simulated(simulation) = self {
            simulation.clear_faults();
        }
    }

    /// Its calendar goes with the executor's, where it can be moved.
    pub fn pass(&self, seconds: i64) {
        if let Self::Simulated(simulation) = self {
            simulation.advance_calendar(seconds);
        }
    }

    /// A pod goes: with its node, or by a hand where there is no node to lose.
    pub async fn lose_pod(&self, hands: &mut Hands<'_>) {
        let Self::Simulated(simulation) = self else {
            return hands.lay(Hand::DeletePod(0)).await;
        };
        let pods: Api<Pod> = Api::namespaced(simulation.client(), self.namespace());
        let Ok(list) = pods.list(&ListParams::default()).await else { return };
        if let Some(pod) = list.items.first() {
            simulation.kill_pod(self.namespace(), &pod.name_any());
        }
    }

    /// Leaves nothing behind.
    pub async fn end(&self) {
        if let Self::Real { client, namespace } = self {
            let namespaces: Api<Namespace> = Api::all(client.clone());
            let _ = namespaces.delete(namespace, &DeleteParams::background()).await;
        }
    }
}
