//! Which clusters are driven, what an id of one stands for, and which container is an
//! application's.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use domain::{ClusterId, ClusterIdentity, name::DEFAULT_NAMESPACE, rights::Scope};

use super::Database;

/// Which cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClusterKind {
    /// A real one.
    Kubernetes,
    /// One in memory, gone with the program.
    Simulated,
    /// None.
    None,
}

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

/// `sluice cluster add`.
#[derive(Debug, Args)]
pub struct AddCluster {
    /// The EDAS ClusterId that it gets: at most 64 letters, digits, '-', '_' and '.'.
    #[arg(value_parser = ClusterId::named)]
    pub id: ClusterId,
    /// The kubeconfig with which servers drive it, of at most 256 KiB; `-` reads it from standard input. Files that it names are read now, and kept with it.
    #[arg(long, required_unless_present = "agent")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of it; its current-context if not given.
    #[arg(long)]
    pub context: Option<String>,
    /// Record the id only, for an executor that runs inside the cluster. Servers forget a kubeconfig of it that they have.
    #[arg(long, conflicts_with_all = ["kubeconfig", "context", "namespaces"])]
    pub agent: bool,
    /// Kubernetes namespaces whose applications are released, with commas between, 100 at most; empty = all. Nothing else of the cluster is looked at then.
    #[arg(long, default_value = "")]
    pub namespaces: Scope,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// `sluice cluster rotate`.
#[derive(Debug, Args)]
pub struct RotateCluster {
    /// The cluster's EDAS ClusterId.
    pub id: String,
    /// The kubeconfig that takes the place of the one before, of at most 256 KiB; `-` reads it from standard input. Files that it names are read now, and kept with it.
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// The context of it; its current-context if not given.
    #[arg(long)]
    pub context: Option<String>,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// What can be done with clusters and their ids.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Have servers drive a cluster with a kubeconfig, which is sealed in the database, or let an executor inside it drive it.
    Add(Box<AddCluster>),
    /// List the clusters: how each is driven, and how it stands with it.
    List {
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// Put another kubeconfig of the same cluster in the place of the one before. Servers use it from then on.
    Rotate(Box<RotateCluster>),
    /// Remove a cluster: servers forget its kubeconfig, and requests do not know it any more. Refused while applications or open change orders are on it.
    Remove {
        /// The cluster's EDAS ClusterId.
        id: String,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
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
