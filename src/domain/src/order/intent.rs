//! A change to the Deployment, decided and written down before it is made.
//!
//! A change is absolute ("two new pods", never "one more"), so making it twice has the
//! same effect as making it once. After a crash, an executor that finds it written down
//! makes it again. Pure data; `cluster` turns it into a JSON Patch.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ApplicationId,
    template::{ownership::GiveBack, sameness::is_same, settings::BorrowedSettings},
};

/// The value of `minReadySeconds` with which new pods serve, but never count as
/// available for the Deployment controller: the gate is closed.
pub const GATE_SECONDS: i32 = i32::MAX - 1;

/// The value of `progressDeadlineSeconds` with which Kubernetes tracks no
/// deadline. It must be above `minReadySeconds`.
pub const NO_DEADLINE_SECONDS: i32 = i32::MAX;

/// An effect, and how far it got.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    pub effect: Effect,
    /// What the objects were once it was made; none = not known to be made.
    pub applied: Option<Applied>,
}

/// What an order does on the cluster in one write, by the object that is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "an order holds one of them")]
pub enum Effect {
    Deployment(Change),
    ReplicaSet(SizeChange),
}

impl Effect {
    /// The effect as events show it, which are kept for ever: with something else in place
    /// of the template, whose variables can be secrets.
    ///
    /// # Errors
    /// Those of `instead`.
    pub fn with_template_as<E>(
        &self,
        instead: impl Fn(&Value) -> Result<String, E>,
    ) -> Result<Value, E> {
        let mut shown = serde_json::to_value(self).unwrap_or_default();
        for path in ["/template", "/expects/template"] {
            if let Some(template) = shown.pointer_mut(path).filter(|it| !it.is_null()) {
                *template = instead(template)?.into();
            }
        }
        Ok(shown)
    }

    /// The effect, to be made only while the Deployment is as expected.
    #[must_use]
    pub fn standing_on(mut self, expected: Expected) -> Self {
        if let Self::Deployment(Change::Patch(patch)) = &mut self {
            patch.expects = Some(expected);
            // It was looked at: nobody waits for a status or for pods besides.
            (patch.counted, patch.ready) = (false, None);
        }
        self
    }

    /// Whether it writes the pod template: what the Deployment has after any other effect
    /// may be somebody else's.
    #[must_use]
    pub fn sets_template(&self) -> bool {
        match self {
            Self::Deployment(Change::Create { .. }) => true,
            Self::Deployment(Change::Patch(patch)) => patch.template.is_some(),
            Self::Deployment(Change::Delete { .. }) | Self::ReplicaSet(_) => false,
        }
    }
}

impl From<Change> for Effect {
    fn from(change: Change) -> Self {
        Self::Deployment(change)
    }
}

impl From<SizeChange> for Effect {
    fn from(change: SizeChange) -> Self {
        Self::ReplicaSet(change)
    }
}

/// The `resourceVersion` of each object that an effect wrote, or stood on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Of the Deployment; 0 = it was deleted.
    pub deployment: u64,
    /// Of the ReplicaSet, if one was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_set: Option<u64>,
}

/// What is to be done to the Deployment in one write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
#[allow(clippy::large_enum_variant, reason = "an order holds one of them")]
pub enum Change {
    Create {
        template: Value,
        replicas: i32,
        /// `minReadySeconds`.
        min_ready_seconds: i32,
    },
    /// Patch it. Absent fields are left alone.
    Patch(Patch),
    /// Delete it, with everything beneath it. Another Deployment of its name stays.
    Delete {
        /// Its uid; none = it was not there any more, as far as could be seen.
        uid: Option<String>,
        /// Applications that are no more, one of which it may still say that it is.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        former_applications: Vec<ApplicationId>,
    },
}

/// The new size of one of the Deployment's ReplicaSets: going back within a release,
/// where the Deployment controller, its gate closed, leaves both versions alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename = "scale")]
pub struct SizeChange {
    /// `metadata.name` of the ReplicaSet.
    pub name: String,
    /// Its `metadata.uid`.
    pub uid: String,
    /// `spec.replicas`.
    pub replicas: i32,
    /// `spec.replicas` of the Deployment that this is a part of. Where it is another by now, this
    /// is not made, and the order is decided anew; none = it is made in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<i32>,
    /// `spec.minReadySeconds`, in seconds; none = as it is. The Deployment controller sets that
    /// of its newest ReplicaSet alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<i32>,
}

/// Absolute values for the fields that Sluice owns during an order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Patch {
    /// `spec.template`, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Value>,
    /// `spec.replicas`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// `spec.minReadySeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<i32>,
    /// `spec.progressDeadlineSeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline_seconds: Option<i32>,
    /// `spec.paused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// `spec.strategy`, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Value>,
    /// The user's settings, kept on the Deployment while they are borrowed.
    pub borrow: Borrow,
    /// Fields that are their owners' again with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub give_back: Option<GiveBack>,
    /// `metadata.uid` of the Deployment that this is for: another one of its name is left
    /// alone. None = whichever there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// What the Deployment was when this was decided. Where it is something else by now, this
    /// is not made, and the order is decided anew; none = it is made in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expects: Option<Expected>,
    /// Whether it is made only while each ReplicaSet's status counts its pods as they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub counted: bool,
    /// Pods of the Deployment's template that must be Ready when this is made, since others go
    /// for them: they may be gone by the time that it is made after a crash. None = any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<i32>,
}

/// The Deployment that a patch was decided for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Its `metadata.uid`.
    pub uid: String,
    /// The fields that are borrowed, as they were.
    pub settings: BorrowedSettings,
    /// The pod template, as it was, of a patch that brings the order's own in its place: one
    /// that somebody sets meanwhile is not overwritten unseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Value>,
    /// `spec.replicas`, as it was, of the first patch of a release in batches: the same batch is
    /// another number of pods where it is another one. None = any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
}

impl Patch {
    /// Whether a Deployment with these settings and this pod template is one that this was
    /// decided for, or one that it was made to already.
    #[must_use]
    pub fn is_expected(&self, uid: &str, found: &BorrowedSettings, template: &Value) -> bool {
        if !self.is_for(uid) {
            return false;
        }
        let Some(Expected { settings: before, .. }) = &self.expects else { return true };
        let is = |before: bool, made: Option<bool>| before || made == Some(true);
        !self.is_overtaken(template)
            && is(
                found.min_ready_seconds == before.min_ready_seconds,
                self.min_ready_seconds.map(|it| it == found.min_ready_seconds),
            )
            && is(
                found.progress_deadline_seconds == before.progress_deadline_seconds,
                self.progress_deadline_seconds.map(|it| it == found.progress_deadline_seconds),
            )
            && is(found.paused == before.paused, self.paused.map(|it| it == found.paused))
            && is(
                found.strategy == before.strategy,
                self.strategy.as_ref().map(|it| is_strategy(it, &found.strategy)),
            )
    }
}

impl Patch {
    /// Whether this was decided for a Deployment with so many pods.
    #[must_use]
    pub fn is_planned_for(&self, replicas: i32) -> bool {
        let planned = self.expects.as_ref().and_then(|expected| expected.replicas);
        planned.is_none_or(|planned| planned == replicas)
    }

    /// Whether this is for the Deployment with this `metadata.uid`.
    #[must_use]
    pub fn is_for(&self, uid: &str) -> bool {
        let expected = self.expects.as_ref().map(|expected| &expected.uid);
        self.uid.as_ref().or(expected).is_none_or(|wanted| wanted == uid)
    }

    /// Whether `found` is neither the pod template that this was decided for nor the one that
    /// it brings.
    #[must_use]
    pub fn is_overtaken(&self, found: &Value) -> bool {
        let before = self.expects.as_ref().and_then(|expected| expected.template.as_ref());
        before.is_some_and(|before| before != found)
            && !self.template.as_ref().is_some_and(|made| is_same(made, found))
    }
}

/// Whether `found` is the strategy `written`, with what the API server filled in.
#[must_use]
pub fn is_strategy(written: &Value, found: &Value) -> bool {
    let part = |name: &str| {
        let written = &written["rollingUpdate"][name];
        written.is_null() || *written == found["rollingUpdate"][name]
    };
    (written["type"].is_null() || written["type"] == found["type"])
        && part("maxSurge")
        && part("maxUnavailable")
}

/// What happens to the annotation that holds the user's own settings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Borrow {
    /// It stays as it is.
    #[default]
    Unchanged,
    /// It says this: Sluice borrows the fields.
    Borrowed(BorrowedSettings),
    /// It goes: the fields are the user's again.
    Returned,
}
