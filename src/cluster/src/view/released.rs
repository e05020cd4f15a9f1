//! What the Deployments themselves say of who released them.

use serde_json::Value;

use super::{Key, View};
use crate::manifest;
use domain::{InstallationId, OrderId, template::names::INSTALLATION_ANNOTATION};

/// Deployments that are looked at, at most.
const MOST: usize = 20_000;

/// A Deployment, as an order left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    pub key: Key,
    /// The order that wrote it last.
    pub order: OrderId,
    /// The image of its first container.
    pub image: String,
}

impl View {
    /// The Deployments that orders of this installation wrote, or of one that did not say
    /// which it is.
    pub(in super::super) fn released(&self, installation: InstallationId) -> Vec<Released> {
        let state = self.lock();
        let is_ours = |object: &Value| {
            let by = object["metadata"]["annotations"][INSTALLATION_ANNOTATION].as_str();
            by.is_none_or(|by| by == installation.to_string())
        };
        let released = state.deployments.iter().filter(|(_, object)| is_ours(object));
        let released = released.filter_map(|(key, object)| {
            let image = &object["spec"]["template"]["spec"]["containers"][0]["image"];
            Some(Released {
                key: key.clone(),
                order: manifest::order(object)?,
                image: image.as_str().unwrap_or_default().chars().take(300).collect(),
            })
        });
        released.take(MOST).collect()
    }
}
