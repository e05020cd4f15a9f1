//! Calls that change an order.

use http::Method;
use serde_json::Value;

use crate::{Trouble, api::Api};

/// Why something is done, as a parameter.
pub(crate) fn because(reason: Option<&str>) -> Option<(&'static str, &str)> {
    reason.map(|text| ("Reason", text))
}

/// Lets the batch begin that waits.
pub(crate) async fn confirm(api: &Api, batch: &str, reason: Option<&str>) -> Result<(), Trouble> {
    let mut pairs = vec![("PipelineId", batch), ("Confirm", "true")];
    pairs.extend(because(reason));
    api.call(Method::GET, "/pop/v5/changeorder/pipeline_batch_confirm", &pairs).await.map(|_| ())
}

/// Ends an order where it is.
pub(crate) async fn abort(api: &Api, order: &str, reason: Option<&str>) -> Result<(), Trouble> {
    let path = "/pop/v5/changeorder/change_order_abort";
    let mut pairs = vec![("ChangeOrderId", order)];
    pairs.extend(because(reason));
    api.call(Method::PUT, path, &pairs).await.map(|_| ())
}

/// Ends an order and opens the one that rolls it back, whose id is returned.
pub(crate) async fn roll_back(
    api: &Api,
    order: &str,
    reason: Option<&str>,
) -> Result<Value, Trouble> {
    let path = "/pop/v5/changeorder/change_order_abort_and_rollback";
    let mut pairs = vec![("ChangeOrderId", order)];
    pairs.extend(because(reason));
    let mut reply = api.call(Method::PUT, path, &pairs).await?;
    Ok(reply["Data"]["ChangeOrderId"].take())
}
