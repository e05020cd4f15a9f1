//! Running errands: what the service wants written beside Deployments, one object each.
//!
//! What the cluster did not decide is left as it is claimed: whoever claims it next,
//! once the claim ran out, looks at the object and goes on from there.

use std::sync::Arc;

use super::Executor;
use domain::errand::Attempt;
use store::Claimed;

/// How often an errand is tried until it is answered that the cluster does not answer.
const MOST_ATTEMPTS: i32 = 6;

impl Executor {
    pub(super) async fn run_errand(self: Arc<Self>, claimed: Claimed) {
        let Claimed { id, namespace, errand, generation, attempts } = claimed;
        let (kind, name) = (errand.kind.word(), errand.name.as_str());
        let text = id.0.to_string();
        let attempt = Attempt { errand: &text, generation, repeated: attempts > 1 };
        let outcome = match self.cluster.carry_out(&namespace, &errand, attempt).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return,
            Err(error) if attempts < MOST_ATTEMPTS => {
                tracing::warn!(%error, errand.id = text, kind, namespace, name, "an errand is not done yet");
                return;
            }
            Err(error) => Err(error.to_string()),
        };
        match &outcome {
            Ok(_) => tracing::info!(errand.id = text, kind, namespace, name, "an errand is done"),
            Err(why) => tracing::info!(errand.id = text, kind, namespace, name, why, "an errand cannot be done"),
        }
        match self.store.answer_errand(id, generation, &outcome, self.clock.now()).await {
            Ok(true) => {}
            Ok(false) => tracing::info!(errand.id = text, "somebody else has the errand by now"),
            Err(error) => tracing::warn!(%error, errand.id = text, "an errand could not be answered"),
        }
    }
}
