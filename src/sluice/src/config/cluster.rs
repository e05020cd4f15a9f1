//! What an id of a cluster stands for, and which container is an application's.

use clap::{Args, Subcommand};

use domain::{ClusterIdentity, name::DEFAULT_NAMESPACE};

use super::Database;

/// `sluice container`.
#[derive(Debug, Args)]
pub struct ShowContainer {
    /// The application's name.
    #[arg(long)]
    pub name: String,
    /// Its Kubernetes namespace.
    #[arg(long, default_value = DEFAULT_NAMESPACE)]
    pub namespace: String,
    /// The cluster's EDAS ClusterId.
    #[arg(long, env = "SLUICE_CLUSTER_ID", default_value = "default", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub cluster_id: String,
    /// Choose this one; an empty name leaves it to the pod template.
    #[arg(long)]
    pub set: Option<String>,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// What can be done with the id of a cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Put another cluster behind an id, such as one that was built anew. Refused while change orders are open on the one before.
    Replace {
        /// The cluster's EDAS ClusterId.
        #[arg(long, env = "SLUICE_CLUSTER_ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        cluster_id: String,
        /// UID of the new cluster's namespace kube-system: `kubectl get namespace kube-system -o jsonpath={.metadata.uid}`.
        #[arg(long, value_parser = ClusterIdentity::named)]
        identity: ClusterIdentity,
        /// End the change orders that are open where they are. Nothing of them is carried out any more, on no cluster.
        #[arg(long)]
        let_orders_go: bool,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// List the Deployments that moved on since the database was backed up from which it was restored, as an executor saw them at its start.
    MovedOn {
        /// The cluster's EDAS ClusterId.
        #[arg(long, env = "SLUICE_CLUSTER_ID", default_value = "default", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        cluster_id: String,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
}
