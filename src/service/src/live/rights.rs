//! What somebody may do with an order: the one part of it that is not the same for all.

use crate::{Permit, Service, access::resource_named};
use domain::{
    access::Action as Permitted,
    snapshot::{Action, ApplicationName, Snapshot},
};

/// The operations behind the actions of an order.
const OPERATIONS: [Permitted; 9] = [
    Permitted::CONFIRM,
    Permitted::STEP_BACK,
    Permitted::ABORT,
    Permitted::ROLL_BACK,
    Permitted::ABORT_AND_ROLL_BACK,
    Permitted::RETRY,
    Permitted::APPROVE,
    Permitted::REJECT,
    Permitted::LIFT_FREEZE,
];

/// Which of them somebody may do. All who may do the same are shown the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rights(u16);

impl Rights {
    fn of(permit: &Permit, application: &ApplicationName) -> Self {
        let resource = resource_named(application);
        let places = OPERATIONS.iter().enumerate();
        let allowed = places.filter(|(_, it)| permit.allows_anyway(**it, &resource));
        Self(allowed.fold(0, |bits, (place, _)| bits | (1 << place)))
    }

    fn allow(self, action: &Action) -> bool {
        let needs: &[Permitted] = match action {
            Action::Continue { .. } => &[Permitted::CONFIRM],
            Action::StepBack { .. } => &[Permitted::STEP_BACK],
            Action::Approve => &[Permitted::APPROVE],
            Action::Reject => &[Permitted::REJECT],
            Action::LiftFreeze => &[Permitted::LIFT_FREEZE],
            Action::Abort => &[Permitted::ABORT],
            // Either operation does it.
            Action::RollBack => &[Permitted::ROLL_BACK, Permitted::ABORT_AND_ROLL_BACK],
            Action::Retry { .. } => &[Permitted::RETRY],
        };
        let places = OPERATIONS.iter().enumerate();
        let mut allowed = places.filter(|(place, _)| self.0 & (1 << place) != 0);
        allowed.any(|(_, it)| needs.contains(it))
    }

    /// Takes the actions out of a snapshot that are not allowed, and returns them.
    pub(super) fn cut(self, snapshot: &mut Snapshot) -> Vec<Action> {
        let all = std::mem::take(&mut snapshot.actions);
        let (kept, withheld) = all.into_iter().partition(|action| self.allow(action));
        snapshot.actions = kept;
        withheld
    }
}

impl Service {
    /// What the caller may do with the orders of an application.
    pub(super) fn rights_on(&self, application: &ApplicationName) -> Rights {
        Rights::of(&self.permit, application)
    }
}
