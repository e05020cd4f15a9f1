//! A Deployment and its ReplicaSets as the controller reads them.
//!
//! Plain values with the arithmetic of surge and unavailability; no writing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::super::field::{self, count, flag, int, text};
use super::super::objects::Key;
use super::super::validation::percent;

/// A number of pods, or a share of the Deployment's size.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Share {
    Count(i32),
    Percent(i32),
}

impl Share {
    fn read(value: &Value) -> Self {
        match (value.as_i64(), value.as_str().and_then(percent)) {
            (Some(number), _) => Share::Count(i32::try_from(number).unwrap_or(i32::MAX)),
            (None, Some(share)) => Share::Percent(share),
            (None, None) => Share::Count(0),
        }
    }

    fn of(&self, size: i32, up: bool) -> i32 {
        match *self {
            Share::Count(number) => number,
            Share::Percent(share) => {
                let product = i64::from(share) * i64::from(size);
                let rounded = if up { (product + 99) / 100 } else { product / 100 };
                i32::try_from(rounded).unwrap_or(i32::MAX)
            }
        }
    }
}

/// `spec.strategy`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Strategy {
    Recreate,
    Rolling { surge: Share, unavailable: Share },
}

/// A Deployment.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    pub(super) key: Key,
    pub(super) uid: String,
    pub(super) object: Arc<Value>,
    pub(super) generation: i64,
    pub(super) replicas: i32,
    pub(super) min_ready: i32,
    pub(super) deadline: Option<i32>,
    pub(super) paused: bool,
    pub(super) history_limit: Option<i32>,
    pub(super) strategy: Strategy,
    pub(super) annotations: BTreeMap<String, String>,
    /// The status as it was read, with what this look has changed so far.
    pub(super) status: Value,
    pub(super) deleting: bool,
}

impl Deployment {
    pub(super) fn read(key: &Key, object: &Arc<Value>) -> Self {
        let rolling = &object["spec"]["strategy"]["rollingUpdate"];
        let strategy = match text(object, "/spec/strategy/type") {
            Some("Recreate") => Strategy::Recreate,
            _ => Strategy::Rolling {
                surge: Share::read(&rolling["maxSurge"]),
                unavailable: Share::read(&rolling["maxUnavailable"]),
            },
        };
        let optional =
            |pointer| int(object, pointer).map(|number| i32::try_from(number).unwrap_or(i32::MAX));
        Self {
            key: key.clone(),
            uid: text(object, "/metadata/uid").unwrap_or_default().to_owned(),
            object: Arc::clone(object),
            generation: int(object, "/metadata/generation").unwrap_or(0),
            replicas: count(object, "/spec/replicas"),
            min_ready: count(object, "/spec/minReadySeconds"),
            // 2^31-1 stands for "no deadline".
            deadline: optional("/spec/progressDeadlineSeconds").filter(|d| *d != i32::MAX),
            paused: flag(object, "/spec/paused"),
            history_limit: optional("/spec/revisionHistoryLimit"),
            strategy,
            annotations: field::strings(object, "/metadata/annotations"),
            status: object.get("status").cloned().unwrap_or_default(),
            deleting: text(object, "/metadata/deletionTimestamp").is_some(),
        }
    }

    pub(super) fn template(&self) -> &Value {
        &self.object["spec"]["template"]
    }

    /// How many pods there may be beyond the size. Percent rounds up.
    pub(super) fn max_surge(&self) -> i32 {
        match &self.strategy {
            Strategy::Recreate => 0,
            Strategy::Rolling { surge, .. } => surge.of(self.replicas, true),
        }
    }

    /// How many pods of the size may be missing. Percent rounds down; when both
    /// figures come out as 0 it is 1, for else nothing could move.
    pub(super) fn max_unavailable(&self) -> i32 {
        let Strategy::Rolling { surge, unavailable } = &self.strategy else {
            return 0;
        };
        if self.replicas == 0 {
            return 0;
        }
        let number = unavailable.of(self.replicas, false);
        if number == 0 && surge.of(self.replicas, true) == 0 {
            return 1;
        }
        number.min(self.replicas)
    }
}

/// A ReplicaSet of it.
#[derive(Clone, Debug)]
pub(super) struct ReplicaSet {
    pub(super) key: Key,
    pub(super) uid: String,
    pub(super) object: Arc<Value>,
    pub(super) created: String,
    pub(super) generation: i64,
    pub(super) observed: i64,
    /// `spec.replicas`.
    pub(super) replicas: i32,
    /// `status.replicas`.
    pub(super) actual: i32,
    pub(super) ready: i32,
    pub(super) available: i32,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) deleting: bool,
}

impl ReplicaSet {
    pub(super) fn read(key: &Key, object: &Arc<Value>) -> Self {
        let named = |pointer| text(object, pointer).unwrap_or_default().to_owned();
        Self {
            key: key.clone(),
            uid: named("/metadata/uid"),
            object: Arc::clone(object),
            created: named("/metadata/creationTimestamp"),
            generation: int(object, "/metadata/generation").unwrap_or(0),
            observed: int(object, "/status/observedGeneration").unwrap_or(0),
            replicas: count(object, "/spec/replicas"),
            actual: count(object, "/status/replicas"),
            ready: count(object, "/status/readyReplicas"),
            available: count(object, "/status/availableReplicas"),
            annotations: field::strings(object, "/metadata/annotations"),
            deleting: text(object, "/metadata/deletionTimestamp").is_some(),
        }
    }

    /// A number in an annotation; none when it is not there or not a number.
    pub(super) fn number(&self, annotation: &str) -> Option<i32> {
        let number = self.annotations.get(annotation)?.parse::<i32>().ok()?;
        (number >= 0).then_some(number)
    }

    /// Its revision; 0 when it has none.
    pub(super) fn revision(&self) -> i64 {
        self.annotations
            .get(super::REVISION)
            .and_then(|revision| revision.parse().ok())
            .unwrap_or(0)
    }

    /// The order by age; of two of the same second by name.
    pub(super) fn age(&self) -> (String, String) {
        (self.created.clone(), self.key.name.clone())
    }
}

/// The sum of `spec.replicas`.
pub(super) fn wanted<'a>(sets: impl IntoIterator<Item = &'a ReplicaSet>) -> i32 {
    sets.into_iter().map(|set| set.replicas).sum()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::super::super::kind::Kind;
    use super::*;

    fn deployment(replicas: i32, surge: Value, unavailable: Value) -> Deployment {
        let object = json!({"spec": {
            "replicas": replicas,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
            },
        }});
        Deployment::read(&Key::new(Kind::Deployment, "n", "d"), &Arc::new(object))
    }

    #[rstest]
    #[case(10, json!("25%"), json!("25%"), 3, 2)]
    #[case(1, json!("25%"), json!("25%"), 1, 0)]
    #[case(2, json!(0), json!("1%"), 0, 1)]
    #[case(10, json!(0), json!(3), 0, 3)]
    #[case(2, json!(0), json!(5), 0, 2)]
    #[case(0, json!("50%"), json!("50%"), 0, 0)]
    #[case(10, json!("100%"), json!(0), 10, 0)]
    #[case(3, json!("0%"), json!("10%"), 0, 1)]
    fn surge_rounds_up_and_unavailability_down(
        #[case] replicas: i32,
        #[case] surge: Value,
        #[case] unavailable: Value,
        #[case] max_surge: i32,
        #[case] max_unavailable: i32,
    ) {
        let deployment = deployment(replicas, surge, unavailable);
        assert_eq!(deployment.max_surge(), max_surge);
        assert_eq!(deployment.max_unavailable(), max_unavailable);
    }
}
