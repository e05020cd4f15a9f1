//! A bounded log of the writes this cluster was asked for.
//!
//! Tests count with it who wrote what: the clients' requests with their answer's
//! code, and the writes of the built-in controllers under their own managers.

use std::collections::VecDeque;

/// One request, as knobs choose it and the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `get`, `list`, `watch`, `create`, `update` (PUT), `patch` or `delete`.
    pub verb: &'static str,
    /// The plural of the resource, such as `deployments`; empty for requests
    /// about none (`/version`).
    pub resource: &'static str,
    /// `status`, `scale` or nothing.
    pub subresource: &'static str,
    /// Empty for cluster-wide resources and for lists over all namespaces.
    pub namespace: String,
    /// The object's name; of a logged creation the name it got.
    pub name: String,
    /// The `fieldManager` of the request, or else the start of its user agent;
    /// `kube-controller-manager`, `kube-scheduler` and `kubelet` for the
    /// built-in ones.
    pub manager: String,
    /// Whether it was asked for as a dry run.
    pub dry_run: bool,
}

/// One write and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What was asked.
    pub call: Call,
    /// The HTTP status of the answer.
    pub code: u16,
}

/// The newest writes, oldest first.
#[derive(Debug)]
pub(super) struct Audit {
    writes: VecDeque<Write>,
    limit: usize,
}

impl Audit {
    /// A log that keeps this many.
    pub(super) fn new(limit: usize) -> Self {
        Self { writes: VecDeque::new(), limit: limit.max(1) }
    }

    /// Adds a write and drops the oldest beyond the limit.
    pub(super) fn record(&mut self, call: Call, code: u16) {
        if self.writes.len() >= self.limit {
            self.writes.pop_front();
        }
        self.writes.push_back(Write { call, code });
    }

    /// A copy of the log.
    pub(super) fn writes(&self) -> Vec<Write> {
        self.writes.iter().cloned().collect()
    }
}
