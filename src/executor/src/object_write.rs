//! Carries out object writes: each writes one object beside a Deployment.
//!
//! If the cluster gave no answer, the object write stays claimed. Once the claim has run
//! out, an executor claims it again, reads the object and continues from there.

use std::sync::Arc;

use super::Executor;
use domain::object::write::Attempt;
use store::ClaimedWrite;

/// How often an object write is tried until it is answered that the cluster does not answer.
const MOST_ATTEMPTS: i32 = 6;

impl Executor {
    pub(super) async fn run_object_write(self: Arc<Self>, claimed: ClaimedWrite) {
        let ClaimedWrite { id, namespace, object_write, generation, attempts } = claimed;
        let (kind, name) = (object_write.kind.word(), object_write.name.as_str());
        let text = id.0.to_string();
        let attempt = Attempt { object_write: &text, generation, repeated: attempts > 1 };
        let outcome = match self.cluster.apply(&namespace, &object_write, attempt).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return,
            Err(error) if attempts < MOST_ATTEMPTS => {
                tracing::warn!(%error, object_write.id = text, kind, namespace, name, "an object write is not done yet");
                return;
            }
            Err(error) => Err(error.to_string()),
        };
        match &outcome {
            Ok(_) => tracing::info!(
                object_write.id = text,
                kind,
                namespace,
                name,
                "an object write is done"
            ),
            Err(why) => tracing::info!(
                object_write.id = text,
                kind,
                namespace,
                name,
                why,
                "an object write cannot be done"
            ),
        }
        match self.store.answer_object_write(id, generation, &outcome, self.clock.now()).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::info!(object_write.id = text, "somebody else has the object write by now")
            }
            Err(error) => {
                tracing::warn!(%error, object_write.id = text, "an object write could not be answered")
            }
        }
    }
}
