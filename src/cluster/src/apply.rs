//! Making one change, under the fencing token.
//!
//! Every change is absolute, so making it again is harmless; what came back from
//! the API server goes into the view at once, so that nobody decides on an older
//! state. A test that fails because somebody else wrote meanwhile is tried again
//! on the object as it is now, unless that one carries a newer token.

use jiff::Timestamp;
use kube::{
    Client,
    api::{
        Api, DeleteParams, DynamicObject, Patch as KubePatch, PatchParams, PostParams,
        Preconditions,
    },
};
use serde_json::Value;

use super::{
    ClusterError, FIELD_MANAGER, apps, core, identity,
    key::Key,
    manifest,
    manifest::{EventText, WriteContext},
    request::{bounded, value},
    view::View,
};
use domain::template::names::ORDER_ANNOTATION;
use domain::{
    ApplicationId,
    observed::Observation,
    order::intent::{Applied, Change, Effect, Patch, SizeChange},
    template::ownership::{GiveBack, given_back},
};

/// Attempts at one change before the executor is asked again.
pub(super) const ATTEMPTS: usize = 3;

/// The field manager of the write that gives fields back. It changes no field, and owns none.
const GIVING_BACK: &str = "owners-of-before";

/// Attempts at giving fields back to their owners.
const GIVE_BACK_ATTEMPTS: usize = 10;

/// Writes to one cluster.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    pub(super) client: &'a Client,
    pub(super) view: &'a View,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteResult {
    /// What the objects are afterwards.
    pub applied: Applied,
    /// Its template afterwards, with the API server's defaults; none where only a
    /// ReplicaSet was written.
    pub template: Option<Value>,
}

impl std::fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer<'_> {
    /// Makes an effect of an order on the Deployment `key`, on the trusted cluster.
    ///
    /// # Errors
    /// See [`ClusterError`]; after one that may pass it may have been made.
    pub async fn make(
        &self,
        key: &Key,
        context: WriteContext,
        effect: &Effect,
    ) -> Result<WriteResult, ClusterError> {
        let made = match effect {
            Effect::Deployment(change) => {
                match change {
                    Change::Create { .. } => identity::confirm(self.client, self.view).await?,
                    Change::Patch(_) | Change::Delete { .. } => identity::known(self.view)?,
                }
                self.change(key, context, change).await
            }
            Effect::ReplicaSet(change) => {
                identity::known(self.view)?;
                let applied = self.resize(key, context, change).await;
                applied.map(|applied| WriteResult { applied, template: None })
            }
        };
        match (&made, effect) {
            // Another cluster, without the Deployment, would have said the same.
            (Err(ClusterError::Gone | ClusterError::Refused(_)), _)
            | (Ok(_), Effect::Deployment(Change::Delete { .. })) => {
                identity::confirm(self.client, self.view).await?;
            }
            _ => {}
        }
        made
    }

    async fn change(
        &self,
        key: &Key,
        context: WriteContext,
        change: &Change,
    ) -> Result<WriteResult, ClusterError> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &apps("Deployment"));
        let object = match change {
            Change::Delete { uid, former_applications } => {
                self.delete(key, context, uid.as_deref(), former_applications).await?;
                let applied = Applied { deployment: 0, replica_set: None };
                return Ok(WriteResult { applied, template: None });
            }
            Change::Create { template, replicas, min_ready_seconds } => {
                let manifest = manifest::deployment(
                    &key.namespace,
                    &key.name,
                    context,
                    template,
                    *replicas,
                    *min_ready_seconds,
                );
                create(&api, &key.name, context, manifest).await?
            }
            Change::Patch(patch) => {
                if !self.lets(key, patch) {
                    return Err(ClusterError::Changed);
                }
                let mut live = match self.view.deployment(key) {
                    Some(live) => live,
                    None => get(&api, &key.name).await?,
                };
                let mut attempt = 1;
                loop {
                    manifest::guard(&live, context)?;
                    if !manifest::is_expected(&live, patch) {
                        // What the watches show may be old.
                        let now = get(&api, &key.name).await?;
                        self.view.put_deployment(key, now.clone());
                        if !manifest::is_expected(&now, patch) {
                            return Err(ClusterError::Changed);
                        }
                        live = now;
                        continue;
                    }
                    let operations = manifest::json_patch(&live, context, patch)
                        .map_err(|error| ClusterError::Refused(error.to_string()))?;
                    let parameters = PatchParams {
                        field_manager: Some(FIELD_MANAGER.into()),
                        ..PatchParams::default()
                    };
                    let sent = KubePatch::Json::<()>(operations);
                    match bounded(api.patch(&key.name, &parameters, &sent)).await {
                        Ok(object) => {
                            let object = value(object)?;
                            break match &patch.give_back {
                                Some(back) => self.give_back(&api, context, object, back).await?,
                                None => object,
                            };
                        }
                        Err(ClusterError::Refused(why)) => {
                            // A failed test and an invalid object are both a 422; only
                            // the object itself says which.
                            let now = get(&api, &key.name).await?;
                            if !manifest::fails_tests(&live, &now, change) {
                                return Err(ClusterError::Refused(why));
                            }
                            if attempt == ATTEMPTS {
                                return Err(ClusterError::Transient(format!(
                                    "the Deployment keeps changing: {why}"
                                )));
                            }
                            attempt += 1;
                            live = now;
                        }
                        Err(other) => return Err(other),
                    }
                }
            }
        };
        let made = WriteResult {
            applied: Applied { deployment: super::object::version(&object), replica_set: None },
            template: Some(object["spec"]["template"].clone()),
        };
        self.view.put_deployment(key, object);
        Ok(made)
    }
}

impl Writer<'_> {
    /// Whether pods and ReplicaSets are as the patch wants them, as far as the watches show.
    fn lets(&self, key: &Key, patch: &Patch) -> bool {
        if !patch.counted && patch.ready.is_none() {
            return true;
        }
        match self.view.observe(key) {
            Observation::Present(view) => {
                (!patch.counted || view.is_counted())
                    && patch.ready.is_none_or(|ready| view.new_ready(0, Timestamp::MAX) >= ready)
            }
            Observation::Absent | Observation::Unknown => true,
        }
    }

    /// Makes the fields that were just given back their owners' again. That takes a write
    /// of its own: one that changes a field makes whoever writes it its owner. Returns the
    /// Deployment as it is then.
    ///
    /// Made again after a crash it comes to the same. Where it keeps failing because the
    /// Deployment's other owners write all the time, it is left: nothing of a release
    /// stands on it.
    async fn give_back(
        &self,
        api: &Api<DynamicObject>,
        context: WriteContext,
        mut object: Value,
        back: &GiveBack,
    ) -> Result<Value, ClusterError> {
        for _ in 0..GIVE_BACK_ATTEMPTS {
            let Some(owners) =
                given_back(&object["metadata"]["managedFields"], back, FIELD_MANAGER)
            else {
                return Ok(object);
            };
            let operations = manifest::own(&object, &owners)
                .map_err(|error| ClusterError::Refused(error.to_string()))?;
            let parameters =
                PatchParams { field_manager: Some(GIVING_BACK.into()), ..PatchParams::default() };
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            match bounded(api.patch(&name, &parameters, &KubePatch::Json::<()>(operations))).await {
                Ok(object) => return value(object),
                // Somebody wrote meanwhile, most likely.
                Err(ClusterError::Refused(_)) => {}
                Err(other) => return Err(other),
            }
            object = get(api, &name).await?;
            manifest::guard(&object, context)?;
        }
        tracing::warn!(
            "fields that were given back are still noted as Sluice's, since others keep writing the Deployment"
        );
        Ok(object)
    }

    /// Sets the size of a ReplicaSet.
    ///
    /// A ReplicaSet carries no token of ours that others respect. So it is read
    /// first and the Deployment's token after it, and the write is refused unless
    /// the ReplicaSet is still as it was read: whoever took over since then has
    /// changed it, as the Deployment controller follows the Deployment.
    async fn resize(
        &self,
        key: &Key,
        context: WriteContext,
        change: &SizeChange,
    ) -> Result<Applied, ClusterError> {
        let SizeChange { name, uid, replicas, part_of, min_ready_seconds } = change;
        let sets: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &apps("ReplicaSet"));
        let deployments: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &apps("Deployment"));
        for _ in 0..ATTEMPTS {
            let set = match get(&sets, name).await {
                Err(ClusterError::Gone) => None,
                found => Some(found?),
            };
            let deployment = get(&deployments, &key.name).await?;
            manifest::guard(&deployment, context)?;
            // The Deployment is there all the same, so that the order is decided anew.
            let Some(set) = set.filter(|set| set["metadata"]["uid"] == **uid) else {
                return Err(ClusterError::Changed);
            };
            let applied = |set: &Value| Applied {
                deployment: super::object::version(&deployment),
                replica_set: Some(super::object::version(set)),
            };
            let seconds = set["spec"]["minReadySeconds"].as_i64().unwrap_or(0);
            let is_opened = min_ready_seconds.is_none_or(|wanted| i64::from(wanted) == seconds);
            if set["spec"]["replicas"] == *replicas && is_opened {
                return Ok(applied(&set));
            }
            if part_of.is_some_and(|all| deployment["spec"]["replicas"] != all) {
                self.view.put_deployment(key, deployment);
                return Err(ClusterError::Changed);
            }
            let operations = manifest::resize(&set, *replicas, *min_ready_seconds, &deployment)
                .map_err(|error| ClusterError::Refused(error.to_string()))?;
            let parameters =
                PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
            match bounded(sets.patch(name, &parameters, &KubePatch::Json::<()>(operations))).await {
                Ok(set) => return Ok(applied(&value(set)?)),
                Err(ClusterError::Refused(why)) => {
                    // A failed test and a no are both refusals: only the object itself says
                    // whether its status moved on meanwhile.
                    match get(&sets, name).await {
                        Ok(now)
                            if now["metadata"]["resourceVersion"]
                                == set["metadata"]["resourceVersion"] =>
                        {
                            return Err(ClusterError::Refused(why));
                        }
                        Ok(_) | Err(ClusterError::Gone) => {}
                        Err(other) => return Err(other),
                    }
                }
                Err(ClusterError::Gone) => {}
                Err(other) => return Err(other),
            }
        }
        Err(ClusterError::Transient(format!("the ReplicaSet {name} keeps changing")))
    }

    /// Deletes the Deployment, and lets the cluster delete what is beneath it. One of
    /// that name which is not the application's, or is another by now, stays: then the
    /// application's own is gone already.
    ///
    /// It is deleted as it was read, or not at all: whoever took over since then has
    /// written it.
    async fn delete(
        &self,
        key: &Key,
        context: WriteContext,
        uid: Option<&str>,
        former_applications: &[ApplicationId],
    ) -> Result<(), ClusterError> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &apps("Deployment"));
        let live = match get(&api, &key.name).await {
            Err(ClusterError::Gone) => return Ok(()),
            other => other?,
        };
        let found = live["metadata"]["uid"].as_str().unwrap_or_default();
        let is_ours = match manifest::application(&live) {
            Some(application) if application == context.application.to_string() => true,
            Some(application)
                if !former_applications.iter().any(|former| former.to_string() == application) =>
            {
                false
            }
            // Adopted, and never written since.
            _ => uid.is_some(),
        };
        if !is_ours || uid.is_some_and(|uid| uid != found) {
            return Ok(());
        }
        manifest::guard(&live, context)?;
        let version = live["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        let as_read = Preconditions { uid: Some(found.to_owned()), resource_version: version };
        match bounded(api.delete(&key.name, &DeleteParams::background().preconditions(as_read)))
            .await
        {
            Ok(_) | Err(ClusterError::Gone) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Leaves an Event about the Deployment where `kubectl describe` shows it. The same one
    /// again (same order, reason and turn) is left once.
    ///
    /// # Errors
    /// See [`ClusterError`]; nothing of an order stands on it.
    pub async fn leave_event(
        &self,
        key: &Key,
        context: WriteContext,
        event_text: &EventText<'_>,
    ) -> Result<(), ClusterError> {
        identity::known(self.view)?;
        let deployment = self.view.deployment(key).ok_or(ClusterError::Gone)?;
        let event = manifest::event(&deployment, context, event_text);
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &core("Event"));
        let object: DynamicObject = serde_json::from_value(event)
            .map_err(|error| ClusterError::Refused(error.to_string()))?;
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        match bounded(api.create(&parameters, &object)).await {
            Err(ClusterError::Refused(why)) if why.contains("already exists") => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }
}

async fn create(
    api: &Api<DynamicObject>,
    name: &str,
    context: WriteContext,
    manifest: Value,
) -> Result<Value, ClusterError> {
    let object: DynamicObject = serde_json::from_value(manifest)
        .map_err(|error| ClusterError::Refused(error.to_string()))?;
    let parameters =
        PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    match bounded(api.create(&parameters, &object)).await {
        Ok(object) => value(object),
        Err(ClusterError::Refused(why)) => {
            // Ours already, from an attempt whose answer was lost?
            let present = match get(api, name).await {
                Ok(present) => present,
                Err(ClusterError::Gone) => return Err(ClusterError::Refused(why)),
                Err(other) => return Err(other),
            };
            let ours =
                present["metadata"]["annotations"][ORDER_ANNOTATION] == context.order.to_string();
            if ours { Ok(present) } else { Err(ClusterError::Refused(why)) }
        }
        Err(ClusterError::Gone) => {
            Err(ClusterError::Refused("the namespace does not exist".into()))
        }
        Err(other) => Err(other),
    }
}

pub(super) async fn get(api: &Api<DynamicObject>, name: &str) -> Result<Value, ClusterError> {
    value(bounded(api.get(name)).await?)
}
