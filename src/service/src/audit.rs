//! The audit: who did what is on record, and a log over it that nobody can alter unseen.

mod checkpoint;
mod log;
mod refusals;

use sha2::{Digest as _, Sha256};

use crate::{Caller, Error, Service};
use domain::{
    Source,
    audit::{NewEntry, Outcome},
};

pub use self::{
    checkpoint::CheckpointsTo,
    log::{AuditLog, LogError},
};
pub use refusals::{Refusals, Refused};

/// Prefix of the actions that are none of policies.
const OWN: &str = "sluice:";

impl Service {
    /// What is on record of a request.
    pub(crate) fn entry_of(&self, caller: &Caller, name: &str, outcome: Outcome) -> NewEntry {
        let operation = self.permit.shown_action().unwrap_or_else(|| format!("{OWN}{name}"));
        NewEntry {
            principal: caller.name.clone(),
            key_id: caller.key_id.clone(),
            peer: caller.peer.map(|peer| peer.to_string()).unwrap_or_default(),
            request_id: caller.request_id.clone(),
            source: caller.source,
            operation,
            object: self.permit.shown_objects(),
            outcome,
            asked: caller.identity.as_ref().map(|it| Sha256::digest(&it.digest).into()),
            before: None,
            after: None,
        }
    }

    /// Puts on record that a caller read something that may hold secrets.
    ///
    /// # Errors
    /// [`Error::Store`]: what was read must not be given then.
    pub(crate) async fn record_read(&self, caller: &Caller, object: &str) -> Result<(), Error> {
        let entry =
            NewEntry { object: object.into(), ..self.entry_of(caller, "read", Outcome::Read) };
        Ok(self.store.add_audit_entry(entry, self.clock.now()).await?)
    }

    /// Puts on record that a program begins to serve, with a digest of its settings.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn record_start(&self, version: &str, settings: &str) -> Result<(), Error> {
        let entry = NewEntry {
            after: Some(Sha256::digest(settings).into()),
            ..by_program("serve", &format!("version/{version}"), Outcome::Started)
        };
        Ok(self.store.add_audit_entry(entry, self.clock.now()).await?)
    }
}

/// What is on record of what the program itself does, or somebody at its command line.
pub(crate) fn by_program(name: &str, object: &str, outcome: Outcome) -> NewEntry {
    NewEntry {
        principal: "sluice".into(),
        key_id: String::new(),
        peer: String::new(),
        request_id: String::new(),
        source: if outcome == Outcome::Started { Source::System } else { Source::Cli },
        operation: format!("{OWN}{name}"),
        object: object.into(),
        outcome,
        asked: None,
        before: None,
        after: None,
    }
}
