//! The changes that transitions hold: absolute values for the fields that Sluice
//! borrows, as the availability gate needs them.
//!
//! With the gate closed (`minReadySeconds` at its highest) the native controller
//! comes to rest at exactly `maxUnavailable + maxSurge` new and `replicas −
//! maxUnavailable` old pods: new pods are Ready and serve, but never count as
//! available.

use serde_json::{Value, json};

use super::{min_ready_seconds_of, warm_up_seconds};
use crate::{
    observed::{DeploymentView, ReplicaSetView},
    order::{
        DeploymentBefore, Order, TemplateSource,
        intent::{Borrow, Change, GATE_SECONDS, NO_DEADLINE_SECONDS, Patch, SizeChange},
    },
    template::{
        ownership::GiveBack,
        settings::BorrowedSettings,
        share::{self, Rounding},
        spec::{first_template, renewed},
    },
};

/// A RollingUpdate strategy; numbers are pods, texts are percentages.
fn rolling(max_surge: impl Into<Value>, max_unavailable: impl Into<Value>) -> Value {
    json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": max_surge.into(), "maxUnavailable": max_unavailable.into() } })
}

/// Whether the user's strategy replaces all pods at once, so that no batch is possible.
pub(in crate::rollout) fn is_recreate(settings: &BorrowedSettings) -> bool {
    settings.strategy["type"] == "Recreate"
}

/// Whether the user's strategy lets old pods go before new ones come.
fn has_no_surge(settings: &BorrowedSettings) -> bool {
    share::is_nothing(&settings.strategy["rollingUpdate"]["maxSurge"])
}

/// The template of the version that the order releases, on top of `base`.
pub(in crate::rollout) fn template(order: &Order, base: &Value) -> Value {
    match (&order.target.source, order.target.release) {
        (TemplateSource::Exact(template), _) => template.clone(),
        (TemplateSource::Change(change), Some(release)) => change.apply(base, &order.name, release),
        (TemplateSource::Renewed(mark), _) => renewed(base, mark),
        // Only rollbacks have no release, and theirs is an exact template.
        (TemplateSource::Change(_), None) | (TemplateSource::Unchanged, _) => base.clone(),
    }
}

/// Creates the Deployment with its first version, or again with one of its history.
pub(in crate::rollout) fn create(order: &Order) -> Change {
    Change::Create {
        template: template(order, &first_template(&order.name, order.application)),
        replicas: order.target.replicas_to_create(),
        min_ready_seconds: order.target.min_ready_seconds.unwrap_or(0),
    }
}

/// Lets the new pods of batch `index` come up beside the old ones, and lets go
/// the old pods that earlier batches replaced: one write a batch. `first` also
/// brings the template and keeps the user's settings on the object.
///
/// Kubernetes may have shared another number otherwise than planned. No old pod goes for a
/// new one that is not there.
pub(in crate::rollout) fn bring_up(
    order: &Order,
    snapshot: &DeploymentBefore,
    view: &DeploymentView,
    index: usize,
    replicas: i32,
    first: bool,
) -> Change {
    let own = &snapshot.settings;
    let mut patch = Patch { paused: Some(false), ..Patch::default() };
    if order.strategy.count() > 1 {
        let planned = if index == 0 { 0 } else { order.planned(index - 1, replicas) };
        let replaced = view.new.as_ref().map_or(0, ReplicaSetView::ready);
        let before = planned.min(replaced.max(replicas - view.old_desired()));
        let size = order.planned(index, replicas) - before;
        patch.min_ready_seconds = Some(GATE_SECONDS);
        patch.progress_deadline_seconds = Some(NO_DEADLINE_SECONDS);
        patch.strategy = Some(if order.target.max_unavailable > 0 {
            // Old pods go first, and the new ones take their places.
            rolling(0, (before + size).max(1))
        } else {
            let size = if before == 0 { size.max(1) } else { size };
            rolling(
                share::of(size, replicas, Rounding::Up),
                share::of(before, replicas, Rounding::Down),
            )
        });
    } else {
        // All at once is the native rolling update, with the user's own surge
        // and no pod missing meanwhile. Without any surge the user accepted that
        // pods are missing, and Recreate asks for it.
        let surge = &own.strategy["rollingUpdate"]["maxSurge"];
        let no_surge = is_recreate(own) || has_no_surge(own);
        let (min_ready, warm_up) =
            (min_ready_seconds_of(order, own), warm_up_seconds(order, Some(snapshot)));
        patch.min_ready_seconds = Some(min_ready.max(warm_up));
        // Kubernetes wants it above minReadySeconds. The batch's own time is what counts.
        patch.progress_deadline_seconds = Some(if warm_up > min_ready {
            NO_DEADLINE_SECONDS
        } else {
            own.progress_deadline_seconds
        });
        patch.strategy = Some(match order.target.max_unavailable {
            0 if no_surge => own.strategy.clone(),
            0 => rolling(surge.clone(), 0),
            missing => rolling(0, missing),
        });
    }
    if first {
        patch.template = Some(template(order, &snapshot.template));
        patch.replicas = order.target.replicas;
        patch.borrow = Borrow::Borrowed(own.clone());
    }
    Change::Patch(patch)
}

/// Lets the old pods go that the `done` new ones of `replicas` replace, while these are Ready.
pub(in crate::rollout) fn scale_down_old(done: i32, replicas: i32) -> Change {
    let share = share::of(done, replicas, Rounding::Down);
    Change::Patch(Patch {
        strategy: Some(rolling(0, share)),
        ready: Some(done),
        ..Patch::default()
    })
}

/// Holds the numbers of both versions still while they are set by hand. With none beyond the
/// desired number, the Deployment controller adds no pod. It lets old ones go only beyond
/// those that may be unavailable, new ones counted: one, whatever an autoscaler makes of the
/// number meanwhile. A share would let one more go where it is rounded otherwise than the
/// controller shares the pods.
pub(in crate::rollout) fn hold_still() -> Change {
    gated(1)
}

/// [`scale_down_old`] once more, with every field that is borrowed.
pub(in crate::rollout) fn scale_down_old_again(done: i32, replicas: i32) -> Change {
    gated(share::of(done.max(1), replicas, Rounding::Down))
}

/// No pod beyond the desired number, and so many unavailable, while the gate is closed.
fn gated(max_unavailable: impl Into<Value>) -> Change {
    Change::Patch(Patch {
        paused: Some(false),
        min_ready_seconds: Some(GATE_SECONDS),
        progress_deadline_seconds: Some(NO_DEADLINE_SECONDS),
        strategy: Some(rolling(0, max_unavailable)),
        ..Patch::default()
    })
}

/// Sets the number of pods, and nothing else. It is theirs again who owned it `before`,
/// where the number of then comes back.
pub(in crate::rollout) fn resize(replicas: i32, before: &Value) -> Change {
    Change::Patch(Patch {
        replicas: Some(replicas),
        give_back: owned_by(before, ["replicas"]),
        ..Patch::default()
    })
}

/// Sets the number of pods of before, whose owner has it again.
pub(in crate::rollout) fn resize_back(before: &DeploymentBefore) -> Change {
    Change::Patch(Patch {
        replicas: Some(before.replicas),
        give_back: give_back(before, ["replicas"]),
        ..Patch::default()
    })
}

/// Lets all pods go where a release rests half way: the version of before is the
/// Deployment's again, and so are the user's settings.
pub(in crate::rollout) fn stop(before: &DeploymentBefore) -> Change {
    let own = &before.settings;
    Change::Patch(Patch {
        template: Some(before.template.clone()),
        replicas: Some(0),
        paused: Some(own.paused),
        strategy: Some(own.strategy.clone()),
        min_ready_seconds: Some(own.min_ready_seconds),
        progress_deadline_seconds: Some(own.progress_deadline_seconds),
        borrow: Borrow::Returned,
        give_back: give_back(before, ["template"].into_iter().chain(SETTINGS)),
        ..Patch::default()
    })
}

/// These fields of the spec are as they were, and their owners' again; none where it was not
/// seen who these were.
fn give_back<'a>(
    before: &DeploymentBefore,
    fields: impl IntoIterator<Item = &'a str>,
) -> Option<GiveBack> {
    owned_by(&before.owners, fields)
}

fn owned_by<'a>(owners: &Value, fields: impl IntoIterator<Item = &'a str>) -> Option<GiveBack> {
    (!owners.is_null()).then(|| GiveBack {
        fields: fields.into_iter().map(Into::into).collect(),
        owners: owners.clone(),
    })
}

/// The fields of the spec that are borrowed.
const SETTINGS: [&str; 4] = ["strategy", "minReadySeconds", "progressDeadlineSeconds", "paused"];

/// Sets the size of a ReplicaSet to `replicas` of the `all` pods of its Deployment.
pub(in crate::rollout) fn scale(set: &ReplicaSetView, replicas: i32, all: i32) -> SizeChange {
    SizeChange { part_of: Some(all), ..sized(set, replicas) }
}

/// Opens the gate of a ReplicaSet that is not the newest.
pub(in crate::rollout) fn open(set: &ReplicaSetView, min_ready_seconds: i32) -> SizeChange {
    SizeChange { min_ready_seconds: Some(min_ready_seconds), ..sized(set, set.desired) }
}

fn sized(set: &ReplicaSetView, replicas: i32) -> SizeChange {
    let (name, uid) = (set.name.clone(), set.uid.clone());
    SizeChange { name, uid, replicas, part_of: None, min_ready_seconds: None }
}

/// Takes a release up again that failed in a later batch: the gate closes, and the
/// user's settings are kept on the object as at its beginning.
pub(in crate::rollout) fn take_up(order: &Order, snapshot: &DeploymentBefore) -> Change {
    Change::Patch(Patch {
        template: Some(template(order, &snapshot.template)),
        paused: Some(true),
        min_ready_seconds: Some(GATE_SECONDS),
        progress_deadline_seconds: Some(NO_DEADLINE_SECONDS),
        borrow: Borrow::Borrowed(snapshot.settings.clone()),
        ..Patch::default()
    })
}

/// The strategy of a Deployment that rests between two batches.
pub(in crate::rollout) fn held_strategy() -> Value {
    rolling(0, 1)
}

/// Rests between two batches: a normal paused Deployment. Foreign edits stay
/// inert, and nothing looks unavailable to those who watch.
pub(in crate::rollout) fn pause(settings: &BorrowedSettings, min_ready_seconds: i32) -> Change {
    Change::Patch(Patch {
        paused: Some(true),
        strategy: Some(held_strategy()),
        min_ready_seconds: Some(min_ready_seconds),
        progress_deadline_seconds: Some(settings.progress_deadline_seconds),
        ..Patch::default()
    })
}

/// Closes the gate while still paused. Unpausing waits until the new pods no
/// longer count as available: an availability still in the controller's cache
/// would let old pods go too early.
pub(in crate::rollout) fn close_gate() -> Change {
    Change::Patch(Patch {
        min_ready_seconds: Some(GATE_SECONDS),
        progress_deadline_seconds: Some(NO_DEADLINE_SECONDS),
        ..Patch::default()
    })
}

/// The same with every borrowed field, where somebody else set one of them.
pub(in crate::rollout) fn close_gate_again() -> Change {
    Change::Patch(Patch {
        paused: Some(true),
        strategy: Some(held_strategy()),
        min_ready_seconds: Some(GATE_SECONDS),
        progress_deadline_seconds: Some(NO_DEADLINE_SECONDS),
        ..Patch::default()
    })
}

/// Gives the user's settings back, and their owners the fields. `paused` is as the user
/// had it only where the Deployment is to be as it was before.
pub(in crate::rollout) fn restore_settings(
    before: &DeploymentBefore,
    min_ready_seconds: i32,
    paused: bool,
) -> Change {
    let own = &before.settings;
    let is_as_before = |field: &str| match field {
        "minReadySeconds" => min_ready_seconds == own.min_ready_seconds,
        "paused" => paused == own.paused,
        _ => true,
    };
    Change::Patch(Patch {
        paused: Some(paused),
        strategy: Some(own.strategy.clone()),
        min_ready_seconds: Some(min_ready_seconds),
        progress_deadline_seconds: Some(own.progress_deadline_seconds),
        borrow: Borrow::Returned,
        give_back: give_back(before, SETTINGS.into_iter().filter(|field| is_as_before(field))),
        ..Patch::default()
    })
}

/// Ends a way back: with the settings everything else is as it was, too.
pub(in crate::rollout) fn finish_return(before: &DeploymentBefore, replicas: bool) -> Change {
    let change =
        restore_settings(before, before.settings.min_ready_seconds, before.settings.paused);
    let Change::Patch(mut patch) = change else { return change };
    if let Some(back) = &mut patch.give_back {
        back.fields.push("template".into());
        back.fields.extend(replicas.then(|| "replicas".into()));
    }
    Change::Patch(patch)
}

/// Brings the version of the snapshot back in one write: every pod that is
/// missing comes at once, and no Ready pod goes before one took its place.
pub(in crate::rollout) fn roll_back(order: &Order, snapshot: &DeploymentBefore) -> Change {
    let own = &snapshot.settings;
    Change::Patch(Patch {
        template: Some(snapshot.template.clone()),
        replicas: order.target.replicas,
        paused: Some(false),
        min_ready_seconds: Some(own.min_ready_seconds),
        progress_deadline_seconds: Some(own.progress_deadline_seconds),
        strategy: Some(match order.target.max_unavailable {
            _ if is_recreate(own) => own.strategy.clone(),
            0 => rolling("100%", 0),
            missing => rolling(0, missing),
        }),
        borrow: Borrow::Borrowed(own.clone()),
        ..Patch::default()
    })
}

/// How many new and old pods the native controller comes to rest at behind a
/// closed gate, where there are `old` ones now; none where it is open or nothing moves.
pub(in crate::rollout) fn rest(
    settings: &BorrowedSettings,
    replicas: i32,
    old: i32,
) -> Option<(i32, i32)> {
    let bound = |name: &str, rounding| {
        share::pods(&settings.strategy["rollingUpdate"][name], replicas, rounding)
    };
    if settings.paused || settings.min_ready_seconds != GATE_SECONDS {
        return None;
    }
    let (surge, unavailable) =
        (bound("maxSurge", Rounding::Up)?, bound("maxUnavailable", Rounding::Down)?);
    // Old ones may have gone before the gate closed: new ones come up in their places.
    let old_at_rest = (replicas - unavailable).max(0);
    let new_at_rest = replicas + surge - old.min(old_at_rest);
    Some((new_at_rest.min(replicas), old_at_rest))
}

/// The same, which says on the Deployment that these settings are borrowed, if they are others
/// by now.
pub(in crate::rollout) fn noting(change: Change, borrowed: Option<Borrow>) -> Change {
    match (change, borrowed) {
        (Change::Patch(patch), Some(borrow)) => Change::Patch(Patch { borrow, ..patch }),
        (change, _) => change,
    }
}

/// Changes nothing but the fence: no earlier write arrives after it.
pub(in crate::rollout) fn fence() -> Change {
    Change::Patch(Patch::default())
}

/// Closes the gate around the pods that are there, where all come at once, so that
/// the Deployment controller comes to rest: it lets no Ready pod go, and adds no more
/// than there are too many already. Where none is too many it goes on missing as many
/// as the order or its user allowed, or adds one.
pub(in crate::rollout) fn halt(
    order: &Order,
    snapshot: &DeploymentBefore,
    view: &DeploymentView,
) -> Change {
    let surplus = view.new_desired() + view.old_desired() - view.replicas;
    let own = &snapshot.settings.strategy["rollingUpdate"];
    let may_miss = match (order.target.max_unavailable, &own["maxUnavailable"]) {
        (missing @ 1.., _) => missing,
        (_, _) if !has_no_surge(&snapshot.settings) => 0,
        (_, missing @ Value::Number(_)) => {
            share::pods(missing, view.replicas, Rounding::Down).unwrap_or(1)
        }
        // Kubernetes lets one be missing where a share comes to none.
        (_, missing) => share::pods(missing, view.replicas, Rounding::Down).unwrap_or(1).max(1),
    };
    let strategy = match (surplus, may_miss) {
        (1.., _) => rolling(surplus, 0),
        (_, 1..) => rolling(0, may_miss),
        _ => rolling(1, 0),
    };
    Change::Patch(Patch {
        paused: Some(false),
        strategy: Some(strategy),
        min_ready_seconds: Some(GATE_SECONDS),
        progress_deadline_seconds: Some(NO_DEADLINE_SECONDS),
        ..Patch::default()
    })
}

/// Stops everything where it is. `surplus` pods above the desired number are
/// allowed to stay: a paused Deployment is scaled to `replicas + maxSurge`.
pub(in crate::rollout) fn pause_in_place(
    settings: &BorrowedSettings,
    min_ready_seconds: i32,
    surplus: i32,
) -> Change {
    let strategy = if is_recreate(settings) {
        settings.strategy.clone()
    } else {
        rolling(surplus, i32::from(surplus == 0))
    };
    Change::Patch(Patch {
        paused: Some(true),
        strategy: Some(strategy),
        min_ready_seconds: Some(min_ready_seconds),
        progress_deadline_seconds: Some(settings.progress_deadline_seconds),
        ..Patch::default()
    })
}
