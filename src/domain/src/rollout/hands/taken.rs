//! What somebody else sets while an order borrows it is theirs, and comes back at the end.

use super::{
    edit::{DEADLINE, STRATEGY, SURGE, UNAVAILABLE},
    *,
};
use crate::template::share::is_nothing;

/// The Deployment before the order, with what others set since.
pub(super) struct Taken {
    pub(super) before: DeploymentBefore,
    /// What else changes so that Kubernetes takes it, as sentences.
    pub(super) fitted: Vec<String>,
}

/// The snapshot with these values in place of those of before, and their owners; with those,
/// too, that somebody set to just what the order had written.
pub(super) fn taken_over(
    snapshot: &DeploymentBefore,
    view: &DeploymentView,
    edits: &[Edit],
) -> Taken {
    let Taken { before, fitted } = with_edits(snapshot, view, edits);
    Taken { before: with_what_others_set(&before, view, None), fitted }
}

fn with_edits(snapshot: &DeploymentBefore, view: &DeploymentView, edits: &[Edit]) -> Taken {
    let mut before = snapshot.clone();
    let mut fields = Vec::new();
    for edit in edits {
        if set(&mut before.settings, &view.settings, edit) {
            fields.push(if edit.is_of_strategy() { STRATEGY } else { edit.path });
        }
    }
    let fitted = fit(&mut before.settings, &snapshot.settings, edits);
    if !before.owners.is_null() {
        before.owners = ownership::taken_over(&before.owners, &view.owners, &fields);
    }
    Taken { before, fitted }
}

/// Puts what somebody set in place of what was the user's. False where that is no setting of
/// the user's, or none any more.
fn set(own: &mut BorrowedSettings, live: &BorrowedSettings, edit: &Edit) -> bool {
    match edit.path {
        MIN_READY => own.min_ready_seconds = live.min_ready_seconds,
        DEADLINE => own.progress_deadline_seconds = live.progress_deadline_seconds,
        STRATEGY => own.strategy = live.strategy.clone(),
        // They count only for a rolling update, which the live one is.
        SURGE | UNAVAILABLE if own.strategy["rollingUpdate"].is_object() => {
            own.strategy["rollingUpdate"][edit.path] = edit.theirs.clone();
        }
        _ => return false,
    }
    true
}

/// Settings that are given back, with what somebody set meanwhile in their place.
pub(super) fn beside(
    own: &BorrowedSettings,
    view: &DeploymentView,
    edits: &[Edit],
) -> BorrowedSettings {
    let mut now = own.clone();
    for edit in edits {
        set(&mut now, &view.settings, edit);
        if edit.path == PAUSED {
            now.paused = view.settings.paused;
        }
    }
    fit(&mut now, own, edits);
    now
}

/// The Deployment before an order that begins, with what others set since that was noted. What
/// Sluice borrows it owns alone, so what another owns has that one's value. `paused` is left
/// out: an order that begins overrules it, and a resume leaves no owner. `minReadySeconds` 0 has
/// none either, as it counts as not set: it is somebody's where Sluice `left` another number.
pub(in crate::rollout) fn with_what_others_set(
    snapshot: &DeploymentBefore,
    view: &DeploymentView,
    left: Option<i32>,
) -> DeploymentBefore {
    let own = &snapshot.settings;
    let before = Written {
        min_ready_seconds: Some(own.min_ready_seconds),
        progress_deadline_seconds: Some(own.progress_deadline_seconds),
        paused: None,
        strategy: Some(own.strategy.clone()),
    };
    let mut edits = edits(&before, view);
    let is_unset =
        |edit: &Edit| edit.path == MIN_READY && edit.theirs == 0 && left.is_some_and(|it| it != 0);
    edits.retain(|edit| edit.by.is_some() || is_unset(edit));
    with_edits(snapshot, view, &edits).before
}

/// Makes settings of several hands such that Kubernetes takes them together. What somebody
/// set was taken beside what the order wrote; beside the values of `before` it may be refused.
/// Then it stays, and its counterpart gives way. Says which does.
fn fit(own: &mut BorrowedSettings, before: &BorrowedSettings, edits: &[Edit]) -> Vec<String> {
    let is_theirs = |path| edits.iter().any(|edit| edit.path == path);
    let mut fitted = Vec::new();
    if own.min_ready_seconds >= own.progress_deadline_seconds {
        let (path, value) = if is_theirs(MIN_READY) {
            // As much above it as before.
            let room = before.progress_deadline_seconds.saturating_sub(before.min_ready_seconds);
            own.progress_deadline_seconds = own.min_ready_seconds.saturating_add(room.max(1));
            (DEADLINE, own.progress_deadline_seconds)
        } else {
            own.min_ready_seconds = own.progress_deadline_seconds.saturating_sub(1).max(0);
            (MIN_READY, own.min_ready_seconds)
        };
        fitted.push(format!(
            "{path} is {value} then, since Kubernetes wants {DEADLINE} above {MIN_READY}"
        ));
    }
    if let Some(bounds) = own.strategy.get_mut("rollingUpdate")
        && is_nothing(&bounds[SURGE])
        && is_nothing(&bounds[UNAVAILABLE])
    {
        let path = if is_theirs(SURGE) { UNAVAILABLE } else { SURGE };
        bounds[path] = 1.into();
        fitted.push(format!(
            "{path} is 1 then, since Kubernetes wants {SURGE} or {UNAVAILABLE} above 0"
        ));
    }
    fitted
}
