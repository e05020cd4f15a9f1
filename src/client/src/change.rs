//! Calls that change an order.

use http::Method;
use serde_json::Value;

use crate::{Trouble, api::Api};

/// Lets the batch begin that waits.
pub(crate) async fn confirm(api: &Api, batch: &str) -> Result<(), Trouble> {
    let pairs = [("PipelineId", batch), ("Confirm", "true")];
    api.call(Method::GET, "/pop/v5/changeorder/pipeline_batch_confirm", &pairs).await.map(|_| ())
}

/// Ends an order where it is.
pub(crate) async fn abort(api: &Api, order: &str) -> Result<(), Trouble> {
    let path = "/pop/v5/changeorder/change_order_abort";
    api.call(Method::PUT, path, &[("ChangeOrderId", order)]).await.map(|_| ())
}

/// Ends an order and opens the one that rolls it back, whose id is returned.
pub(crate) async fn roll_back(api: &Api, order: &str) -> Result<Value, Trouble> {
    let path = "/pop/v5/changeorder/change_order_abort_and_rollback";
    let mut reply = api.call(Method::PUT, path, &[("ChangeOrderId", order)]).await?;
    Ok(reply["Data"]["ChangeOrderId"].take())
}
