//! How many pods of the new version a plan has after each batch, reckoned anew: even
//! shares, the remainder one by one in the last batches, and a canary before them.

use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Batches {
    canary: i64,
    batches: i64,
}

impl Batches {
    /// Of an order's column `strategy`.
    pub fn of(strategy: &Value) -> Self {
        Self {
            canary: strategy["canary"].as_i64().unwrap_or(0),
            batches: strategy["batches"].as_i64().unwrap_or(1).max(1),
        }
    }

    pub fn count(self) -> i64 {
        self.batches + i64::from(self.canary > 0)
    }

    /// New pods when the batch with this index is done. The plan was made for `base` pods: a
    /// canary is the same share of another number.
    pub fn after(self, index: i64, replicas: i64, base: i64) -> i64 {
        if index >= self.count() - 1 {
            return replicas;
        }
        let canary =
            if base > 0 && base != replicas { self.canary * replicas / base } else { self.canary };
        let canary = canary.min(replicas);
        let full = if self.canary > 0 { index } else { index + 1 };
        let rest = replicas - canary;
        let sizes = (0..self.batches).map(|batch| {
            rest / self.batches + i64::from(batch >= self.batches - rest % self.batches)
        });
        canary + sizes.take(usize::try_from(full).unwrap_or(0)).sum::<i64>()
    }
}

#[test]
fn ten_pods_in_three_batches_are_three_three_and_four() {
    let plan = Batches { canary: 0, batches: 3 };
    assert_eq!([0, 1, 2].map(|index| plan.after(index, 10, 10)), [3, 6, 10]);
    let canary = Batches { canary: 2, batches: 3 };
    assert_eq!([0, 1, 2, 3].map(|index| canary.after(index, 10, 10)), [2, 4, 7, 10]);
}

#[test]
fn a_canary_of_three_of_ten_pods_is_nine_of_thirty() {
    let canary = Batches { canary: 3, batches: 1 };
    assert_eq!([0, 1].map(|index| canary.after(index, 30, 10)), [9, 30]);
    assert_eq!(canary.after(0, 2, 10), 0);
}
