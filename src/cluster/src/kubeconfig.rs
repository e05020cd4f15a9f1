//! Kubeconfigs that are given as texts: reading one that an operator hands in, and the client that
//! one makes which is on record.
//!
//! An error shows nothing of the text: the reader quotes the lines that it stumbles on.

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

/// The document of a kubeconfig in YAML or JSON.
///
/// # Errors
/// That it is none.
pub fn read(text: &str) -> Result<Value, &'static str> {
    let read = Kubeconfig::from_yaml(text).map_err(|_| "it is no kubeconfig in YAML or JSON")?;
    serde_json::to_value(read).map_err(|_| "it is no kubeconfig in YAML or JSON")
}

/// The client that a kubeconfig makes. Nothing is asked.
///
/// # Errors
/// What of it cannot be used.
pub async fn client(text: &str) -> Result<Client, String> {
    let read = Kubeconfig::from_yaml(text).map_err(|_| "it is no kubeconfig in YAML or JSON")?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .map_err(|_| "its address or its certificates cannot be read")?;
    Client::try_from(config).map_err(|_| {
        "no client can be made: its certificate or key cannot be used, or HTTPS_PROXY is set".into()
    })
}
