//! Update strategy → batches with pod counts.
//!
//! Batches split evenly, with the remainder in the later ones, as EDAS does: 10
//! pods in 3 batches are 3, 3 and 4. A canary is one more batch in front,
//! with its own count; a person always confirms what comes after it. Pure
//! arithmetic; it knows nothing of Deployments.

use serde::{Deserialize, Serialize};

use super::Target;
use crate::{Input, Rejection, limits::BATCHES};

/// How batches follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "pace")]
pub enum Pace {
    /// The next batch starts by itself, `wait_minutes` after the one before (0 = at once).
    Automatic {
        /// Minutes between two batches.
        wait_minutes: u32,
    },
    /// A person confirms each batch after the first.
    Manual,
}

/// How a release reaches its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strategy {
    /// Pods of the canary batch; 0 = no canary.
    pub canary: i32,
    /// Number of batches (with a canary: of those after it), 1 or more.
    pub batches: i32,
    /// How they follow each other.
    #[serde(flatten)]
    pub pace: Pace,
}

/// What a batch waits for before the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchGate {
    /// Nothing: the next batch begins at once.
    None,
    /// A pause of so many minutes.
    Pause(u32),
    Confirmation,
}

impl Strategy {
    /// Everything in one batch.
    pub const ALL_AT_ONCE: Self =
        Self { canary: 0, batches: 1, pace: Pace::Automatic { wait_minutes: 0 } };

    /// Checks what can be said of the strategy of a new order before the number of
    /// instances is known.
    ///
    /// # Errors
    /// [`Rejection::Invalid`] naming the strategy: 0 batches, or more than
    /// [`BATCHES`].
    pub fn check(&self) -> Result<(), Rejection> {
        if self.batches > BATCHES {
            let allowed = format!("a release has at most {BATCHES} batches");
            return Err(Rejection::invalid(
                Input::Strategy,
                format!("{} batches", self.batches),
                allowed,
            ));
        }
        self.fits(0)
    }

    /// Checks the strategy against the number of instances.
    ///
    /// # Errors
    /// [`Rejection::Invalid`] naming the strategy: 0 batches, more batches
    /// than instances, or a canary over half of them, where there are any.
    pub fn fits(&self, replicas: i32) -> Result<(), Rejection> {
        let refuse = |value: String, allowed: String| {
            Err(Rejection::invalid(Input::Strategy, value, allowed))
        };
        if self.batches < 1 {
            return refuse(
                format!("{} batches", self.batches),
                "the number of batches must be 1 or more".into(),
            );
        }
        if self.canary < 0 {
            return refuse(
                format!("a canary of {}", self.canary),
                "the number of canary instances must be 1 or more".into(),
            );
        }
        // Without instances there is nothing to divide: the version is set at once.
        if replicas == 0 || (self.canary == 0 && self.batches == 1) {
            return Ok(());
        }
        if self.canary * 2 > replicas {
            return refuse(
                format!("a canary of {}", self.canary),
                format!(
                    "at most half of the application's {replicas} instances ({}) can be the canary",
                    replicas / 2
                ),
            );
        }
        let rest = replicas - self.canary;
        if self.batches > rest {
            return refuse(
                format!("{} batches", self.batches),
                format!(
                    "at most {rest} batches are possible, one for each instance{}",
                    if self.canary > 0 { " that is not the canary" } else { "" }
                ),
            );
        }
        Ok(())
    }

    /// Number of batches, the canary counted.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(self.batches).unwrap_or(1).max(1) + usize::from(self.canary > 0)
    }

    /// How many pods of the new version there are when batch `index` (from 0) is
    /// done, out of `replicas`. Grows with `index` and ends at `replicas`, also
    /// if the number of replicas changed since the strategy was checked.
    #[must_use]
    pub fn cumulative(&self, index: usize, replicas: i32) -> i32 {
        self.done(index, replicas, self.canary.min(replicas))
    }

    /// The same where the plan was made for `base` pods: the canary is the same share of
    /// the number that there is now, rounded down.
    #[must_use]
    pub fn share(&self, index: usize, replicas: i32, base: i32) -> i32 {
        if base <= 0 || base == replicas {
            return self.cumulative(index, replicas);
        }
        let canary = i64::from(self.canary) * i64::from(replicas) / i64::from(base);
        self.done(index, replicas, i32::try_from(canary).unwrap_or(replicas).min(replicas))
    }

    fn done(&self, index: usize, replicas: i32, canary: i32) -> i32 {
        if index + 1 >= self.count() {
            return replicas;
        }
        let (position, rest) =
            if self.canary > 0 { (index, replicas - canary) } else { (index + 1, replicas) };
        let batches = self.batches.max(1);
        let done = i32::try_from(position).unwrap_or(batches).min(batches);
        // Even shares, and the remainder one by one in the last batches.
        let (share, remainder) = (rest / batches, rest % batches);
        canary + done * share + (done - (batches - remainder)).max(0)
    }

    /// Pods in batch `index`, out of `replicas`.
    #[must_use]
    pub fn size(&self, index: usize, replicas: i32) -> i32 {
        let before = if index == 0 { 0 } else { self.cumulative(index - 1, replicas) };
        self.cumulative(index, replicas) - before
    }

    /// How many of `replicas` pods are missing at once where old ones go before new
    /// ones come: one batch; all at once a quarter of them, as in a rolling update of
    /// Kubernetes. 1 or more.
    #[must_use]
    pub fn max_unavailable(&self, replicas: i32) -> i32 {
        let largest = (0..self.count()).map(|index| self.size(index, replicas)).max().unwrap_or(1);
        if self.count() > 1 { largest.max(1) } else { (replicas / 4).max(1) }
    }

    /// What happens between batch `index` and the next. The canary always waits
    /// for a person, whatever the pace of the others.
    #[must_use]
    pub fn batch_gate_after(&self, index: usize) -> BatchGate {
        if index + 1 >= self.count() {
            return BatchGate::None;
        }
        match self.pace {
            _ if index == 0 && self.canary > 0 => BatchGate::Confirmation,
            Pace::Manual => BatchGate::Confirmation,
            Pace::Automatic { wait_minutes: 0 } => BatchGate::None,
            Pace::Automatic { wait_minutes } => BatchGate::Pause(wait_minutes),
        }
    }
}

impl Target {
    /// Number of pods of the Deployment that the order creates.
    #[must_use]
    pub fn replicas_to_create(&self) -> i32 {
        self.replicas.or(self.replicas_if_created).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, prop_assume, proptest};
    use rstest::rstest;

    use super::*;

    fn strategy(canary: i32, batches: i32) -> Strategy {
        Strategy { canary, batches, pace: Pace::Manual }
    }

    fn sizes(strategy: Strategy, replicas: i32) -> Vec<i32> {
        (0..strategy.count()).map(|i| strategy.size(i, replicas)).collect()
    }

    #[rstest]
    #[case(0, 3, 10, vec![3, 3, 4])]
    #[case(0, 1, 10, vec![10])]
    #[case(0, 4, 10, vec![2, 2, 3, 3])]
    #[case(0, 7, 7, vec![1; 7])]
    #[case(0, 1, 0, vec![0])]
    #[case(1, 2, 10, vec![1, 4, 5])]
    #[case(1, 1, 2, vec![1, 1])]
    #[case(5, 3, 10, vec![5, 1, 2, 2])]
    fn batches_split_evenly_with_the_remainder_in_the_later_ones(
        #[case] canary: i32,
        #[case] batches: i32,
        #[case] replicas: i32,
        #[case] expected: Vec<i32>,
    ) {
        assert_eq!(sizes(strategy(canary, batches), replicas), expected);
    }

    #[rstest]
    #[case(0, 0, 10, "0 batches")]
    #[case(0, 101, 100_000, "at most 100 batches")]
    #[case(1, 43_200, 100_000, "at most 100 batches")]
    #[case(0, -1, 10, "-1 batches")]
    #[case(0, 11, 10, "at most 10 batches")]
    #[case(0, 2, 1, "at most 1 batches")]
    #[case(6, 1, 10, "a canary of 6")]
    #[case(1, 1, 1, "a canary of 1")]
    #[case(5, 6, 10, "at most 5 batches")]
    fn a_strategy_that_cannot_be_carried_out_is_refused(
        #[case] canary: i32,
        #[case] batches: i32,
        #[case] replicas: i32,
        #[case] says: &str,
    ) {
        let strategy = strategy(canary, batches);
        let refusal = strategy
            .check()
            .and_then(|()| strategy.fits(replicas))
            .expect_err("must be refused")
            .to_string();
        assert!(refusal.starts_with("the strategy has") && refusal.contains(says), "{refusal}");
    }

    #[rstest]
    #[case(0, 2)]
    #[case(3, 5)]
    fn without_instances_any_strategy_is_carried_out(#[case] canary: i32, #[case] batches: i32) {
        assert_eq!(strategy(canary, batches).fits(0), Ok(()));
        assert!(sizes(strategy(canary, batches), 0).iter().all(|size| *size == 0));
        assert!(strategy(canary, 0).fits(0).is_err());
    }

    #[test]
    fn a_canary_waits_for_a_person_even_if_the_batches_are_automatic() {
        let plan = Strategy { canary: 1, batches: 2, pace: Pace::Automatic { wait_minutes: 0 } };
        assert_eq!(
            [plan.batch_gate_after(0), plan.batch_gate_after(1), plan.batch_gate_after(2)],
            [BatchGate::Confirmation, BatchGate::None, BatchGate::None]
        );
        let plan = Strategy { canary: 0, batches: 3, pace: Pace::Automatic { wait_minutes: 2 } };
        assert_eq!(
            [plan.batch_gate_after(0), plan.batch_gate_after(2)],
            [BatchGate::Pause(2), BatchGate::None]
        );
    }

    proptest! {
        #[test]
        fn sizes_add_up_and_never_shrink(replicas in 1..200i32, batches in 1..40i32, canary in 0..100i32) {
            let plan = strategy(canary, batches);
            prop_assume!(plan.fits(replicas).is_ok());
            let sizes = sizes(plan, replicas);
            prop_assert_eq!(sizes.iter().sum::<i32>(), replicas);
            prop_assert!(sizes.iter().all(|&size| size >= 1));
            let even = &sizes[usize::from(canary > 0)..];
            prop_assert!(even.windows(2).all(|pair| pair[0] <= pair[1] && pair[1] - pair[0] <= 1));
        }

        #[test]
        fn another_number_of_replicas_still_gives_a_plan_that_grows_to_the_end(
            replicas in 0..60i32, batches in 1..12i32, canary in 0..30i32,
        ) {
            let plan = strategy(canary, batches);
            let steps: Vec<i32> = (0..plan.count()).map(|i| plan.cumulative(i, replicas)).collect();
            prop_assert!(steps.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert_eq!(steps.last().copied(), Some(replicas));
        }

        #[test]
        fn a_share_of_another_number_is_never_more_than_the_plans_share(
            replicas in 0..200i32, base in 1..60i32, batches in 1..12i32, canary in 0..30i32,
        ) {
            let plan = strategy(canary, batches);
            prop_assume!(plan.fits(base).is_ok());
            let steps: Vec<i32> = (0..plan.count()).map(|i| plan.share(i, replicas, base)).collect();
            prop_assert!(steps.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert_eq!(steps.last().copied(), Some(replicas));
            if canary > 0 {
                prop_assert!(steps[0] * base <= canary * replicas);
            }
            prop_assert_eq!(plan.share(0, base, base), plan.cumulative(0, base));
        }
    }
}
