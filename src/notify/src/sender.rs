//! The task that empties the outbox.

use std::{sync::Arc, time::Duration};

use clock::Clock;
use domain::{
    Source,
    audit::{NewEntry, Outcome},
    notice::{Topic, back_off},
};
use store::{Attempt, Claimed, Store, StoreError, Unread};
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::request::{self, Answer};

/// Longest sleep between two looks, should no wake-up arrive.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Attempts with a notice that only tries its channel: others wait for it.
const ATTEMPTS_OF_A_TEST: u32 = 3;

/// How often what is old is deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// How a sender works.
#[derive(Debug, Clone)]
pub struct SenderConfig {
    /// Deliveries at once; of a channel there is one.
    pub at_once: usize,
    /// Longest time for a request and its answer.
    pub answer_within: Duration,
    /// How long a claim lasts: longer than an attempt. Then another program may send again.
    pub claim: Duration,
    /// Time for deliveries under way to end after a stop was asked for.
    pub stop_within: Duration,
    /// Where browsers reach the console.
    pub console: Option<String>,
}

impl Default for SenderConfig {
    fn default() -> Self {
        Self {
            at_once: 8,
            answer_within: Duration::from_secs(10),
            claim: Duration::from_secs(30),
            stop_within: Duration::from_secs(7),
            console: None,
        }
    }
}

/// What sends. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sender {
    store: Store,
    clock: Clock,
    http: reqwest::Client,
    config: Arc<SenderConfig>,
}

impl Sender {
    /// A sender on a store.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(store: Store, clock: Clock, config: SenderConfig) -> Result<Self, reqwest::Error> {
        let http = request::client(config.answer_within)?;
        Ok(Self { store, clock, http, config: Arc::new(config) })
    }

    /// Sends what is due until `stop`. `wake`: there may be something.
    pub async fn run(self, wake: Arc<Notify>, stop: CancellationToken) {
        let mut sending: JoinSet<()> = JoinSet::new();
        let mut prune_at = Instant::now();
        while !stop.is_cancelled() {
            let woken = wake.notified();
            if prune_at <= Instant::now() {
                // The rest goes with the next round: sending does not wait for it.
                let pause = if self.prune().await { Duration::ZERO } else { PRUNE_EVERY };
                prune_at = Instant::now() + pause;
            }
            let free = self.config.at_once.saturating_sub(sending.len());
            if free > 0 {
                for claimed in self.claim(free).await {
                    let sender = self.clone();
                    sending.spawn(async move { sender.deliver(claimed).await });
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = woken => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                // Its channel may have more to be told.
                Some(ended) = sending.join_next() => note_end(ended),
            }
        }
        let limit = Instant::now() + self.config.stop_within;
        while let Ok(Some(ended)) = tokio::time::timeout_at(limit, sending.join_next()).await {
            note_end(ended);
        }
    }

    async fn claim(&self, most: usize) -> Vec<Claimed> {
        let claimed = match self.store.claim_notifications(most, self.config.claim).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%error, "could not look for what people are to be told");
                return Vec::new();
            }
        };
        let mut readable = Vec::with_capacity(claimed.len());
        for claimed in claimed {
            match claimed {
                Ok(claimed) => readable.push(claimed),
                Err(unread) => self.note_unread(unread).await,
            }
        }
        readable
    }

    /// A notice whose channel cannot be read, such as without its key of the keyring.
    async fn note_unread(&self, Unread { id, attempts, error }: Unread) {
        tracing::error!(%error, "a notice cannot be sent: its channel cannot be read");
        let why = "the channel's address or secret cannot be read: the server's log says why";
        let attempt = match back_off::pause(attempts, None, rand::random()) {
            Some(pause) => Attempt::Again { after: Duration::from_secs(pause), why },
            None => Attempt::GivenUp { why },
        };
        if let Err(error) = self.store.note_attempt(id, attempts, attempt).await {
            tracing::warn!(%error, "what came of a notice could not be noted");
        }
    }

    async fn deliver(&self, claimed: Claimed) {
        let console = self.config.console.as_deref();
        let answer = request::send(&self.http, &claimed, console, self.clock.now()).await;
        let luck = rand::random();
        let (attempt, outcome) = match &answer {
            Answer::Delivered => (Attempt::Delivered, "delivered"),
            Answer::Gone => {
                let why = "the receiver answered 410, that it wants nothing more: the channel was disabled";
                (Attempt::GivenUp { why }, "given_up")
            }
            Answer::Failed { why, asked } => {
                let is_last =
                    claimed.notice.topic == Topic::Test && claimed.attempts >= ATTEMPTS_OF_A_TEST;
                match back_off::pause(claimed.attempts, *asked, luck) {
                    Some(pause) if !is_last => {
                        (Attempt::Again { after: Duration::from_secs(pause), why }, "failed")
                    }
                    Some(_) | None => (Attempt::GivenUp { why }, "given_up"),
                }
            }
        };
        let kind = claimed.kind.to_string();
        metrics::counter!("sluice_notifications_total", "kind" => kind, "outcome" => outcome)
            .increment(1);
        let (channel, message) = (&claimed.channel, &claimed.message);
        match attempt {
            Attempt::Delivered => tracing::debug!(%channel, %message, "delivered a notice"),
            Attempt::Again { why, .. } | Attempt::GivenUp { why } => {
                let attempts = claimed.attempts;
                tracing::warn!(%channel, %message, attempts, outcome, "a notice was not delivered: {why}");
            }
        }
        if let Err(error) = self.note(&claimed, &answer, attempt).await {
            // The claim runs out, and it is sent again.
            tracing::warn!(%error, %channel, "what came of a notice could not be noted");
        }
    }

    async fn note(
        &self,
        claimed: &Claimed,
        answer: &Answer,
        attempt: Attempt<'_>,
    ) -> Result<(), StoreError> {
        let is_noted = self.store.note_attempt(claimed.id, claimed.attempts, attempt).await?;
        if is_noted && *answer == Answer::Gone {
            let mut tx = self.store.begin().await?;
            tx.switch_channel(&claimed.channel, false).await?;
            tx.add_audit_entry(disabled(&claimed.channel), None, self.clock.now()).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Deletes some of what is old. True = there may be more.
    async fn prune(&self) -> bool {
        self.store.prune_notifications().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not prune notifications");
            false
        })
    }
}

fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "delivering a notice ended in a panic");
    }
}

/// What is on record of a channel that its receiver has ended.
fn disabled(channel: &str) -> NewEntry {
    NewEntry {
        principal: "sluice".into(),
        key_id: String::new(),
        peer: String::new(),
        request_id: String::new(),
        source: Source::System,
        operation: "sluice:disable_channel".into(),
        object: format!("channel/{channel}"),
        outcome: Outcome::Done,
        asked: None,
        before: None,
        after: None,
    }
}
