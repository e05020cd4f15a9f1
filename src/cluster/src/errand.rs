//! Carrying out an errand: an object beside a Deployment is read, [`decide`] says what
//! follows, and that is one write which the API server refuses if the object changed
//! since.

use kube::{
    Api,
    api::{DeleteParams, DynamicObject, PostParams, Preconditions},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::Value;

use super::{
    Cluster, ClusterError, FIELD_MANAGER,
    apply::{bounded, value},
    identity,
};
use domain::errand::{Attempt, Errand, Next, ObjectKind, Outcome, decide, told};

/// Writes that may be overtaken by somebody else's before it is given up for now.
const ATTEMPTS: usize = 5;

impl Cluster {
    /// Carries out an errand in a namespace of the trusted cluster. None = somebody else has it by now.
    ///
    /// # Errors
    /// [`ClusterError::Transient`]: whether it is done is not known; carry it out again.
    pub async fn carry_out(&self, namespace: &str, errand: &Errand, attempt: Attempt<'_>) -> Result<Option<Outcome>, ClusterError> {
        identity::confirm(&self.client, &self.view).await?;
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource(errand.kind));
        let mut overtaken = ClusterError::Transient("the object keeps changing".into());
        for _ in 0..ATTEMPTS {
            let live = match bounded(api.get(&errand.name)).await.and_then(value) {
                Ok(object) => Some(object),
                Err(ClusterError::Gone) => None,
                Err(ClusterError::Refused(why)) => return Ok(Some(Err(why))),
                Err(other) => return Err(other),
            };
            let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
            let written = match decide(errand, attempt, live.as_ref()) {
                Next::Create(object) => bounded(api.create(&parameters, &typed(object)?)).await.and_then(value),
                Next::Replace(object) => bounded(api.replace(&errand.name, &parameters, &typed(object)?)).await.and_then(value),
                Next::Delete { uid, version } => {
                    let as_read = Preconditions { uid: Some(uid), resource_version: Some(version) };
                    let parameters = DeleteParams::background().preconditions(as_read);
                    bounded(api.delete(&errand.name, &parameters)).await.map(|_| Value::Null)
                }
                Next::Done(object) => Ok(object),
                Next::Refuse(why) => return Ok(Some(Err(why))),
                Next::Leave => return Ok(None),
            };
            match written {
                Ok(object) => return Ok(Some(Ok(told(&object)))),
                // Somebody was faster; looked at anew.
                Err(ClusterError::Refused(why)) if live.is_none() && why.contains("already exists") => {
                    overtaken = ClusterError::Transient(why);
                }
                // Of a namespace that is not there, too.
                Err(ClusterError::Gone) if live.is_none() => {
                    return Ok(Some(Err(format!(
                        "the namespace {namespace} does not exist, or the cluster has no {}",
                        errand.kind.word()
                    ))));
                }
                Err(ClusterError::Gone) => {}
                Err(ClusterError::Refused(why)) => return Ok(Some(Err(why))),
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
