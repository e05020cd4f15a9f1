//! When a delivery that failed is tried again.

/// Seconds after the first attempt, the second one, and so on. Then it is given up: after
/// about two days.
const PAUSES: [u64; 9] = [5, 30, 120, 600, 3600, 10_800, 21_600, 43_200, 86_400];

/// Longest pause that a receiver may ask for, in seconds.
const LONGEST_ASKED: u64 = 3600;

/// Seconds until the next attempt after so many; none = there is none. `asked`: what the
/// receiver asked for. `luck` is random, and makes a pause longer by up to a fifth, so that
/// what failed together is not tried together.
#[must_use]
pub fn pause(attempts: u32, asked: Option<u64>, luck: u8) -> Option<u64> {
    let made = usize::try_from(attempts).unwrap_or(usize::MAX);
    let pause = *PAUSES.get(made.max(1) - 1)?;
    let later = pause * u64::from(luck) / (5 * u64::from(u8::MAX));
    let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
    Some((pause + later).max(asked))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::first(1, None, 0, Some(5))]
    #[case::with_luck(1, None, 255, Some(6))]
    #[case::second(2, None, 0, Some(30))]
    #[case::a_day(9, None, 0, Some(86_400))]
    #[case::longest(9, None, 255, Some(103_680))]
    #[case::given_up(10, None, 0, None)]
    #[case::given_up_whatever_is_asked(10, Some(5), 0, None)]
    #[case::asked_for_more(1, Some(60), 0, Some(60))]
    #[case::asked_for_less(5, Some(60), 0, Some(3600))]
    #[case::asked_for_too_much(1, Some(u64::MAX), 0, Some(3600))]
    #[case::none_made_yet(0, None, 0, Some(5))]
    fn a_pause_follows_from_the_attempts(
        #[case] attempts: u32,
        #[case] asked: Option<u64>,
        #[case] luck: u8,
        #[case] wanted: Option<u64>,
    ) {
        assert_eq!(pause(attempts, asked, luck), wanted);
    }
}
