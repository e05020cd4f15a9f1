//! Which cluster it is that answers: told by the UID of its namespace `kube-system`.
//!
//! An API server can be swapped for another cluster's behind the same address. So what
//! was seen of the identity is doubted whenever a watch breaks or begins anew, and asked
//! for again; until it was seen to be the trusted one, nothing is decided on what the
//! watches show, and nothing is written. A Deployment that is there tells its cluster by
//! its own uid, which every change of it names; what is not there tells nothing, so that
//! the identity is asked for before something is created, and before somebody is told
//! that something is gone.

use std::time::Duration;

use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
};

use super::{
    Cluster, ClusterError, core,
    request::{bounded, error_of},
    view::{KUBE_SYSTEM, View},
};
use domain::{ClusterIdentity, order::outage::Obstacle};

/// How long the answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

impl Cluster {
    /// Asks the API server which cluster it is. The right to list namespaces, which the
    /// watches need anyway, is enough.
    ///
    /// # Errors
    /// [`ClusterError`], where it does not say so within two seconds.
    pub async fn identify(&self) -> Result<ClusterIdentity, ClusterError> {
        let found = identify(&self.client, &self.view).await;
        match &found {
            Ok(_) => self.view.answer(),
            Err(error) => {
                let unclear = || (Obstacle::Failing, error.to_string());
                self.view.miss(error.obstacle().unwrap_or_else(unclear));
            }
        }
        found
    }

    /// Lets changes be made on the cluster of this identity, and on no other; none =
    /// on none.
    pub fn trust(&self, identity: Option<&ClusterIdentity>) {
        self.view.trust(identity);
    }

    /// Returns when there is reason to ask for the identity again.
    pub async fn identity_doubted(&self) {
        self.view.identity_doubted().await;
    }
}

/// What is learnt of a cluster that is met for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    pub identity: ClusterIdentity,
    /// Its version, such as `v1.37.2`.
    pub version: String,
}

/// Asks a cluster, of which nothing is watched, who it is.
///
/// # Errors
/// [`ClusterError`], where it does not say so within `within`.
pub async fn meet(client: &Client, within: Duration) -> Result<Met, ClusterError> {
    let asked = async {
        let identity = ask(client).await?;
        let version = client.apiserver_version().await.map_err(|it| error_of(&it))?.git_version;
        Ok(Met { identity, version })
    };
    let unanswered =
        || ClusterError::Unanswered(format!("no answer within {} s", within.as_secs()));
    tokio::time::timeout(within, asked).await.unwrap_or_else(|_| Err(unanswered()))
}

async fn identify(client: &Client, view: &View) -> Result<ClusterIdentity, ClusterError> {
    let doubts = view.doubts();
    let asked = tokio::time::timeout(ANSWER_WITHIN, ask(client)).await;
    let seen = asked.unwrap_or_else(|_| {
        let why = format!("no answer within {} s", ANSWER_WITHIN.as_secs());
        Err(ClusterError::Unanswered(why))
    })?;
    view.see(seen.clone(), doubts);
    Ok(seen)
}

async fn ask(client: &Client) -> Result<ClusterIdentity, ClusterError> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &core("Namespace"));
    let selected = ListParams::default().fields(&format!("metadata.name={KUBE_SYSTEM}")).limit(1);
    let list = bounded(api.list_metadata(&selected)).await?;
    let found = list
        .items
        .into_iter()
        .find(|namespace| namespace.metadata.name.as_deref() == Some(KUBE_SYSTEM));
    let uid = found.and_then(|namespace| namespace.metadata.uid);
    let uid =
        uid.ok_or_else(|| ClusterError::Transient(format!("it shows no namespace {KUBE_SYSTEM}")))?;
    uid.parse().map_err(|why: &str| ClusterError::Transient(format!("the identity {why}")))
}

/// Asks anew, and refuses to go on with any cluster but the trusted one.
pub(super) async fn confirm(client: &Client, view: &View) -> Result<(), ClusterError> {
    identify(client, view).await?;
    known(view)
}

/// Refuses to go on with any cluster but the trusted one, by what was seen last.
pub(super) fn known(view: &View) -> Result<(), ClusterError> {
    if view.is_known() {
        return Ok(());
    }
    Err(match view.blindness() {
        Some((Obstacle::Denied, why)) => ClusterError::Denied { why, is_credential: false },
        Some((Obstacle::Unanswered, why)) => ClusterError::Unanswered(why),
        Some((Obstacle::Failing, why)) => ClusterError::Transient(why),
        None => ClusterError::Transient("it was not known which cluster it is".into()),
    })
}
