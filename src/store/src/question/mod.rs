//! What the service asks the executors, and their answers.

pub(crate) mod cluster_query;
pub(crate) mod object_write;
pub(crate) mod precheck_request;

use super::{REQUEST_CHANNEL, StoreError, Tx};
use domain::ClusterId;

impl Tx {
    /// Tells the executors of a cluster that there is a question, once the transaction is
    /// committed.
    pub(crate) async fn wake_executors(&mut self, cluster: &ClusterId) -> Result<(), StoreError> {
        sqlx::query!(
            "/* wake_executors */ SELECT pg_notify($1, $2) AS \"sent: ()\"",
            REQUEST_CHANNEL,
            cluster.as_str()
        )
        .fetch_one(self.connection())
        .await?;
        Ok(())
    }
}
