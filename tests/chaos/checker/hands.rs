//! What other hands excuse, and what they do not: pods that they took or brought are theirs,
//! but new pods beyond the plan go again within a bound, what they set is the user's from then
//! on, nobody is fought for ever, and what was deleted is not made again.

use std::collections::{BTreeMap, BTreeSet};

use super::{Deployment, Hand, Settings, cluster::Eye};

/// Longest time for which there may be more new pods than planned, in microseconds.
pub const BOUND: i64 = 20_000_000;

/// Time in which the controllers carry out what a hand did, in microseconds.
pub const CARRIED_OUT: i64 = 3_000_000;

/// Who puts a field back again within so many seconds is not fought any more.
const AGAIN_WITHIN: i64 = 60;

/// The steps that answer a hand: the plan, or a way back.
const ANSWERS: [&str; 6] =
    ["bring_up", "scale_down_old", "paused", "close_gate", "step_back", "roll_back"];

#[derive(Default)]
pub struct Hands {
    /// Whether pods may go by a hand that was not answered yet, and until when what it did
    /// is carried out.
    takes_pods: bool,
    until: i64,
    /// Whether there may be new pods that a hand brought.
    brings_pods: bool,
    /// How the names of pods begin that a hand took.
    taken: Vec<String>,
    /// Since when there are more new pods than planned.
    beyond_since: Option<i64>,
    /// Fields that hands set while the order ran, and when Sluice put one back.
    set: BTreeSet<&'static str>,
    put_back: BTreeMap<&'static str, i64>,
    /// Whether a hand said last whether the Deployment is paused.
    pauses: bool,
    /// When the Deployment was deleted, and when another hand made this one.
    gone_at: Option<i64>,
    made_at: Option<i64>,
    /// Orders that wrote, and those of them that wrote the one that was deleted.
    writers: BTreeSet<String>,
    former: BTreeSet<String>,
}

impl Hands {
    pub fn order_begins(&mut self) {
        self.set.clear();
        self.put_back.clear();
        self.beyond_since = None;
    }

    /// Whether no pod goes by a hand any more.
    pub fn are_answered(&self, at: i64) -> bool {
        !self.takes_pods && at >= self.until
    }

    /// Whether an order wrote a Deployment that was deleted since.
    pub fn wrote_one_before(&self, order: &str) -> bool {
        self.former.contains(order)
    }

    /// A Ready pod was lost.
    pub fn lost_pod(&mut self, at: i64) {
        self.until = self.until.max(at + CARRIED_OUT);
    }

    pub fn may_bring_pods(&self) -> bool {
        self.brings_pods
    }

    pub fn took(&self, pod: &str) -> bool {
        self.taken.iter().any(|name| pod.starts_with(name))
    }

    /// Sluice wrote; there are as many new pods as planned, or not.
    pub fn answered(&mut self, at: i64, step: &str, as_planned: bool) {
        self.pauses = false;
        if ANSWERS.contains(&step) {
            self.takes_pods = false;
        }
        if as_planned && at >= self.until && matches!(step, "paused" | "bring_up") {
            (self.brings_pods, self.beyond_since) = (false, None);
        }
    }

    pub fn beyond(&mut self, at: i64, pods: i64) {
        if pods > 0 {
            self.beyond_since.get_or_insert(at);
        } else {
            self.beyond_since = None;
        }
    }
}

impl Eye<'_> {
    pub(super) fn hand(&mut self, at: i64, hand: &Hand) {
        let hands = &mut self.hands;
        match hand {
            Hand::Annotations => return,
            Hand::Takes(name) => hands.taken.push(name.clone()),
            Hand::Scale => {}
            Hand::Template | Hand::Settings | Hand::Pause => {
                hands.takes_pods = true;
                self.least = 0;
            }
            Hand::Delete => self.least = 0,
        }
        let hands = &mut self.hands;
        hands.brings_pods = true;
        hands.until = hands.until.max(at + CARRIED_OUT);
        self.each_batch_again(at);
    }

    /// What a hand set is the user's.
    pub(super) fn changed_by_hand(
        &mut self,
        before: &Deployment,
        seen: &Deployment,
        changed: &[&'static str],
    ) {
        let (user, is) = (&mut self.user, &seen.settings);
        for field in changed {
            match *field {
                "minReadySeconds" => user.min_ready = is.min_ready,
                "progressDeadlineSeconds" => user.deadline = is.deadline,
                "strategy.type" => user.strategy = is.strategy.clone(),
                "paused" => {
                    user.paused = is.paused;
                    self.hands.pauses = true;
                }
                "strategy.rollingUpdate.maxSurge" | "strategy.rollingUpdate.maxUnavailable" => {
                    let part = field.rsplit('.').next().unwrap_or_default();
                    if user.strategy["rollingUpdate"].is_object() {
                        user.strategy["rollingUpdate"][part] =
                            is.strategy["rollingUpdate"][part].clone();
                    }
                }
                _ => {}
            }
        }
        if seen.replicas < before.replicas {
            // Which pods go then is Kubernetes' choice.
            self.least = 0;
        }
        self.hands.set.extend(changed);
    }

    /// Nobody is fought for ever.
    pub(super) fn put_back(
        &mut self,
        before: &Deployment,
        seen: &Deployment,
        changed: &[&'static str],
    ) {
        let Some(last) = self.last_made() else { return };
        // A change whose answer was lost is made once more, and knows nothing of a hand.
        if self.made_again {
            return;
        }
        let is_fought = ANSWERS.contains(&last.step.as_str()) && last.step != "roll_back";
        // Whoever paused it is obeyed, until a person lets the order go on with its plan.
        let goes_on = before.settings.paused && !seen.settings.paused;
        for field in changed {
            if !self.hands.set.remove(field) || !is_fought || goes_on {
                continue;
            }
            let earlier = self.hands.put_back.insert(field, last.decided);
            if earlier.is_some_and(|at| last.decided - at < AGAIN_WITHIN) {
                self.wrong(format!("{field} was put back twice within a minute"));
            }
        }
    }

    /// New pods beyond the plan go again, while an order may write.
    pub(super) fn patience(&mut self, at: i64) {
        let Some(since) = self.hands.beyond_since else { return };
        let is_obeyed =
            self.hands.pauses && self.now.as_ref().is_some_and(|now| now.settings.paused);
        if is_obeyed || !self.is_under_way(at) {
            self.hands.beyond_since = None;
        } else if at - since > BOUND {
            self.wrong(format!(
                "there were more new pods than planned for {} s",
                (at - since) / 1_000_000
            ));
            self.hands.beyond_since = None;
        }
    }

    /// The Deployment is there no more.
    pub(super) fn goes(&mut self, at: i64) {
        (self.now, self.least) = (None, 0);
        self.hands.former.clone_from(&self.hands.writers);
        self.hands.gone_at = Some(at);
        self.hands.beyond_since = None;
        // Its pods go with it.
        self.hands.taken.extend(self.pods.keys().cloned());
    }

    /// A Deployment is there that was not.
    pub(super) fn comes(&mut self, at: i64, seen: &Deployment) {
        let Some(gone_at) = self.hands.gone_at else { return };
        match seen.order.as_ref().and_then(|id| self.of_id(id)) {
            Some(order) if order.at < gone_at => {
                self.wrong("a Deployment that was deleted was made again".into());
            }
            Some(_) => self.hands.made_at = None,
            None => self.hands.made_at = Some(at),
        }
    }

    /// A Deployment that another hand made is nothing to orders that wrote the one before.
    pub(super) fn may_write(&mut self) {
        let writes = self.order.as_ref().is_some_and(|id| self.hands.wrote_one_before(id));
        if self.hands.made_at.is_some() && writes {
            self.wrong("an order wrote a Deployment that somebody made anew".into());
        }
        self.hands.writers.extend(self.order.clone());
    }

    /// Whether an order that ended half way rests paused.
    pub(super) fn rests_paused(&self, settings: &Settings) -> bool {
        !self.hands.pauses || settings.paused
    }
}
