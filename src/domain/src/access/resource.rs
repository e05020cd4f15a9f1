//! What an action is done to, as policies name it.

use super::{Action, Group, Pattern};
use crate::ApplicationId;

/// Where the resources of a server are, as the third part of their names says.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    pub region: &'a str,
    /// The id of the cluster that the server drives; it may stand for the region.
    pub cluster: &'a str,
    /// Kubernetes namespaces that are protected.
    pub protected: &'a [Pattern],
}

/// Something that an action is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// An application, also one that is to be created.
    Application {
        /// The Kubernetes namespace.
        namespace: &'a str,
        name: &'a str,
        /// None while it is not there.
        id: Option<ApplicationId>,
    },
    /// An object beside the Deployments of a Kubernetes namespace.
    Object {
        namespace: &'a str,
        /// `configmap`, `secret`, `ingress` or `serviceaccount`.
        kind: &'a str,
        name: &'a str,
    },
    /// The cluster of this id.
    Cluster(&'a str),
    /// Something that belongs to the server as a whole, such as `template/7`.
    Shared { kind: &'a str, name: &'a str },
}

/// Reading an application, and reading its orders.
const READING: &[Action] = &[
    Action::new("GetApplication", Group::ReadApplication),
    Action::new("GetChangeOrderInfo", Group::ReadApplication),
];

impl Resource<'_> {
    /// What stands behind the account in its name; an application also goes by its id.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Application { namespace, name, id } => {
                let named = |name: &str| format!("namespace/{namespace}/application/{name}");
                let id = id.map(|id| named(&id.to_string()));
                id.into_iter().chain([named(name)]).collect()
            }
            Self::Object { namespace, kind, name } => {
                vec![format!("namespace/{namespace}/{kind}/{name}")]
            }
            Self::Cluster(id) => vec![format!("cluster/{id}")],
            Self::Shared { kind, name } => vec![format!("{kind}/{name}")],
        }
    }

    /// The Kubernetes namespace that it is in.
    pub(super) fn namespace(&self) -> Option<&str> {
        match self {
            Self::Application { namespace, .. } | Self::Object { namespace, .. } => Some(namespace),
            Self::Cluster(_) | Self::Shared { .. } => None,
        }
    }

    /// The actions of which one must be allowed for somebody to know that it is there.
    pub(super) fn reading(&self) -> &'static [Action] {
        match self {
            Self::Application { .. } => READING,
            _ => &[],
        }
    }

    /// Its name as refusals show it.
    #[must_use]
    pub fn shown(&self) -> String {
        self.names().pop().unwrap_or_default()
    }
}
