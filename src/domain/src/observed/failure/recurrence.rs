//! Whether trouble lasts that Kubernetes reports only at moments: an Event, a pod that
//! failed. One report is no sign that it lasts; it lasts while reports repeat about as
//! often as before. Pure.

use jiff::{SignedDuration, Timestamp};

use super::JudgeContext;
use crate::observed::Warning;

/// Longest silence within one course of trouble: the kubelet's longest pause between
/// two attempts is 2 min 2 s.
const LONGEST_SILENCE: SignedDuration = SignedDuration::from_secs(130);

/// The moments of one course of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::observed::failure) struct Recurrence {
    /// The first one.
    pub first: Timestamp,
    /// The last one.
    pub last: Timestamp,
    /// The one before it.
    before: Option<Timestamp>,
    /// How many there were.
    count: usize,
}

impl Recurrence {
    /// The course that ends with the last of these moments, which come in order.
    pub fn of(moments: impl DoubleEndedIterator<Item = Timestamp>) -> Option<Self> {
        let mut moments = moments.rev();
        let last = moments.next()?;
        let mut course = Self { first: last, last, before: None, count: 1 };
        for moment in moments {
            if course.first.duration_since(moment) > LONGEST_SILENCE {
                break;
            }
            course.before = course.before.or(Some(moment));
            (course.first, course.count) = (moment, course.count + 1);
        }
        Some(course)
    }

    /// The same of warnings of one reason: each may have been given several times, and
    /// some texts differ each time.
    pub fn of_warnings<'a>(warnings: impl Iterator<Item = &'a Warning>) -> Option<Self> {
        let mut told: Vec<(Timestamp, &Warning)> =
            warnings.filter_map(|warning| Some((warning.at?, warning))).collect();
        told.sort_by_key(|(at, _)| *at);
        let mut told = told.into_iter().rev();
        let (last, newest) = told.next()?;
        let mut course = Self {
            first: newest.first.unwrap_or(last).min(last),
            last,
            before: newest.before,
            count: times(newest),
        };
        // Not watched from its beginning: as if it had come evenly.
        if course.before.is_none()
            && let Some(others) = i32::try_from(course.count).ok().filter(|count| *count > 1)
        {
            course.before = last.checked_sub(last.duration_since(course.first) / (others - 1)).ok();
        }
        for (at, warning) in told {
            if course.first.duration_since(at) > LONGEST_SILENCE {
                break;
            }
            course.before = Some(course.before.map_or(at, |before| before.max(at)));
            course.first = course.first.min(warning.first.unwrap_or(at));
            course.count += times(warning);
        }
        Some(course)
    }

    /// Whether it came `least` times, and can still be expected to come again.
    pub fn goes_on(&self, least: usize, context: JudgeContext) -> bool {
        let Some(before) = self.before else { return false };
        // Back-offs double the pause each time.
        let pause = (self.last.duration_since(before) * 2).min(LONGEST_SILENCE) + leeway(context);
        self.count >= least && self.last.checked_add(pause).is_ok_and(|end| context.now <= end)
    }
}

/// How long the word of it may take to reach us.
fn leeway(context: JudgeContext) -> SignedDuration {
    SignedDuration::from_secs((context.failure_policy.grace_seconds / 6).clamp(2, 10))
}

fn times(warning: &Warning) -> usize {
    usize::try_from(warning.count).unwrap_or(1).max(1)
}

impl Warning {
    /// The warning as it is told `now`, which was `earlier` before: when it came the
    /// time before, and since when it comes without a long silence.
    #[must_use]
    pub fn after(self, earlier: &Self, now: Timestamp) -> Self {
        if self.total <= earlier.total && self.at <= earlier.at {
            return earlier.clone();
        }
        // One that is counted without a time came just now.
        let at = if self.at > earlier.at { self.at } else { Some(now) };
        let silence = at.zip(earlier.at).map(|(at, before)| at.duration_since(before));
        if silence.is_none_or(|silence| silence > LONGEST_SILENCE) {
            return Self { first: at, at, before: None, count: 1, ..self };
        }
        let count = earlier.count.saturating_add((self.total - earlier.total).max(1));
        Self { first: earlier.first, at, before: earlier.at, count, ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};
    use rstest::rstest;

    use super::*;
    use crate::order::FailurePolicy;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn context(now: i64) -> JudgeContext {
        JudgeContext { failure_policy: FailurePolicy::default(), since: at(0), now: at(now) }
    }

    fn told(seconds: i64, total: i32) -> Warning {
        let (first, at) = (Some(at(0)), Some(at(seconds)));
        Warning {
            reason: "FailedMount".into(),
            message: String::new(),
            first,
            at,
            before: None,
            count: total,
            total,
        }
    }

    /// The one Event that is written again each time.
    fn watched(moments: &[i64]) -> Warning {
        let mut moments = moments.iter().zip(1..);
        let first = moments
            .next()
            .map(|(seconds, total)| Warning { first: Some(at(*seconds)), ..told(*seconds, total) })
            .unwrap();
        moments.fold(first, |known, (seconds, total)| {
            told(*seconds, total).after(&known, at(*seconds))
        })
    }

    #[rstest]
    #[case::once(&[0], 1, false)]
    #[case::twice(&[0, 1], 2, false)]
    #[case::every_13_s(&[0, 13, 26, 39, 52], 60, true)]
    #[case::every_5_s_until_it_passed(&[0, 5, 10, 15, 20, 25, 30], 60, false)]
    #[case::back_off_of_the_kubelet(&[0, 1, 2, 4, 8, 16, 32], 60, true)]
    #[case::three_times_and_over(&[0, 1, 2], 60, false)]
    #[case::long_pauses_of_the_kubelet(&[0, 122, 244], 250, true)]
    #[case::passed_and_back_much_later(&[0, 1, 2, 500], 501, false)]
    fn a_warning_lasts_while_it_comes_again_as_soon_as_before(
        #[case] moments: &[i64],
        #[case] now: i64,
        #[case] lasts: bool,
    ) {
        let one = Recurrence::of_warnings([&watched(moments)].into_iter()).unwrap();
        assert_eq!(one.goes_on(3, context(now)), lasts, "{one:?}");
        // The same in as many Events of one time each, in any order.
        let each: Vec<Warning> = moments.iter().rev().map(|seconds| watched(&[*seconds])).collect();
        let many = Recurrence::of_warnings(each.iter()).unwrap();
        assert_eq!((many, many.goes_on(3, context(now))), (one, lasts));
        assert_eq!(Recurrence::of(moments.iter().map(|seconds| at(*seconds))), Some(one));
    }

    #[test]
    fn a_warning_that_was_not_watched_from_its_beginning_is_taken_as_coming_evenly() {
        let course = Recurrence::of_warnings([&told(52, 5)].into_iter()).unwrap();
        assert!(course.goes_on(3, context(60)) && !course.goes_on(3, context(100)), "{course:?}");
        let burst = Recurrence::of_warnings([&told(2, 3)].into_iter()).unwrap();
        assert!(!burst.goes_on(3, context(60)), "{burst:?}");
    }

    #[test]
    fn a_list_that_tells_it_again_changes_nothing_and_a_count_without_a_time_does() {
        let known = watched(&[0, 13]);
        assert_eq!(told(13, 2).after(&known, at(20)), known);
        let counted = told(13, 3).after(&known, at(26));
        assert_eq!((counted.at, counted.before, counted.count), (Some(at(26)), Some(at(13)), 3));
    }

    proptest! {
        #[test]
        fn what_is_watched_counts_as_often_as_it_came(pauses in proptest::collection::vec(0..130i64, 0..20)) {
            let moments: Vec<i64> = pauses.iter().scan(0, |sum, pause| { *sum += pause; Some(*sum) }).collect();
            let all: Vec<i64> = std::iter::once(0).chain(moments).collect();
            let last = *all.last().unwrap();
            // Kubernetes tells whole seconds: two in one of them are told apart by the count alone.
            let warning = watched(&all);
            prop_assert_eq!(warning.total, i32::try_from(all.len()).unwrap());
            prop_assert_eq!(warning.count, warning.total);
            prop_assert_eq!(warning.at.unwrap(), at(last));
        }
    }
}
