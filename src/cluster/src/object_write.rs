//! Applying an object write: an object beside a Deployment is read, [`next_request`] says what
//! follows, and that is one write which the API server refuses if the object changed
//! since.

use kube::{
    Api,
    api::{DeleteParams, DynamicObject, PostParams, Preconditions},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::Value;

use super::{
    Cluster, ClusterError, FIELD_MANAGER, identity,
    request::{bounded, value},
};
use domain::object::write::{
    Attempt, Next, ObjectKind, ObjectWrite, Outcome, next_request, written_metadata,
};

/// Writes that may be overtaken by somebody else's before it is given up for now.
const ATTEMPTS: usize = 5;

impl Cluster {
    /// Applies an object write in a namespace of the trusted cluster. None = somebody else has it by now.
    ///
    /// # Errors
    /// [`ClusterError::Transient`]: whether it is done is not known; carry it out again.
    pub async fn apply(
        &self,
        namespace: &str,
        object_write: &ObjectWrite,
        attempt: Attempt<'_>,
    ) -> Result<Option<Outcome>, ClusterError> {
        if let Some(why) = self.scope().refusal(namespace) {
            return Ok(Some(Err(why)));
        }
        identity::confirm(&self.client, &self.view).await?;
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource(object_write.kind));
        let mut overtaken = ClusterError::Transient("the object keeps changing".into());
        for _ in 0..ATTEMPTS {
            let live = match bounded(api.get(&object_write.name)).await.and_then(value) {
                Ok(object) => Some(object),
                Err(ClusterError::Gone) => None,
                Err(
                    ClusterError::Refused(why) | ClusterError::Denied { why, is_credential: false },
                ) => return Ok(Some(Err(why))),
                Err(other) => return Err(other),
            };
            let parameters =
                PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
            let written = match next_request(object_write, attempt, live.as_ref()) {
                Next::Create(object) => {
                    bounded(api.create(&parameters, &typed(object)?)).await.and_then(value)
                }
                Next::Replace(object) => {
                    bounded(api.replace(&object_write.name, &parameters, &typed(object)?))
                        .await
                        .and_then(value)
                }
                Next::Delete { uid, resource_version } => {
                    let as_read =
                        Preconditions { uid: Some(uid), resource_version: Some(resource_version) };
                    let parameters = DeleteParams::background().preconditions(as_read);
                    bounded(api.delete(&object_write.name, &parameters)).await.map(|_| Value::Null)
                }
                Next::Done(object) => Ok(object),
                Next::Refuse(why) => return Ok(Some(Err(why))),
                Next::Leave => return Ok(None),
            };
            match written {
                Ok(object) => return Ok(Some(Ok(written_metadata(&object)))),
                // Somebody was faster; looked at anew.
                Err(ClusterError::Refused(why))
                    if live.is_none() && why.contains("already exists") =>
                {
                    overtaken = ClusterError::Transient(why);
                }
                // Of a namespace that is not there, too.
                Err(ClusterError::Gone) if live.is_none() => {
                    return Ok(Some(Err(format!(
                        "the namespace {namespace} does not exist, or the cluster has no {}",
                        object_write.kind.word()
                    ))));
                }
                Err(ClusterError::Gone) => {}
                Err(
                    ClusterError::Refused(why) | ClusterError::Denied { why, is_credential: false },
                ) => return Ok(Some(Err(why))),
                // A conflict, or no answer: the object itself says whether it was written.
                Err(error) => overtaken = error,
            }
        }
        Err(overtaken)
    }
}

pub(super) fn resource(kind: ObjectKind) -> ApiResource {
    let (group, version) = kind.group_version();
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind.word()))
}

fn typed(object: Value) -> Result<DynamicObject, ClusterError> {
    serde_json::from_value(object).map_err(|error| ClusterError::Transient(error.to_string()))
}
