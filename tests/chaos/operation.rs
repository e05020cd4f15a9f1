//! What happens in a life, by its seed alone.

use domain::order::plan::{Pace, Strategy};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::hand::Hand;

/// A life before it is lived.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// Pods at the beginning.
    pub replicas: i32,
    /// Whether a failed release is rolled back by itself.
    pub rolls_back: bool,
    pub acts: Vec<Act>,
}

/// An operation, and how many changes of the cluster are seen before the next one.
#[derive(Debug, Clone)]
pub struct Act {
    pub operation: Operation,
    pub then: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    /// A new version; `fault` is how its pods behave.
    Release(Strategy, Fault),
    /// The newest version of the history but one, again.
    ReleaseEarlier(i32),
    Confirm,
    StepBack(i32),
    Abort,
    RollBack,
    /// The failed batch once more.
    Retry,
    Scale(i32),
    Stop,
    Start,
    Restart,
    /// The user's own settings, while no order is open.
    Edit(User),
    /// Somebody else's hand, whatever the order does.
    Hand(Hand),
    /// A node takes a pod with it.
    LosePod,
    /// So many requests of Sluice go wrong.
    Break(Trouble, usize),
    DropWatches,
    ExpireWatches,
    /// The executor ends at once, and another one starts.
    Crash,
    /// The executor is held up with a write, loses its leases to another, and goes on later.
    Stall,
    /// What was held up goes on.
    GoOn,
    /// Seconds pass.
    Pass(i64),
    /// The clock of the servers is set back by so many seconds; that of the cluster is not.
    SetClockBack(i64),
    /// Postgres ends all connections, whatever they are doing.
    LoseDatabase,
    /// The order comes to rest, or ends.
    Rest,
}

/// How the pods of a version behave, as the simulated nodes read it in its image's tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    NeverReady,
    ImagePullError,
    CrashLoop,
}

impl Fault {
    pub fn tag(self) -> &'static str {
        match self {
            Self::None => "",
            Self::NeverReady => "--never-ready",
            Self::ImagePullError => "--image-pull-error",
            Self::CrashLoop => "--crash-loop",
        }
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    LoseRequest,
    LoseAnswer,
    Refuse(u16),
}

/// Settings of a Deployment as its user may have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub max_surge: i32,
    pub max_unavailable: i32,
    pub progress_deadline_seconds: i32,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let replicas = chance.random_range(1..=7);
        let rolls_back = chance.random_ratio(2, 3);
        let count = chance.random_range(10..=20);
        // Half of the lives know no hands but those of people who wait for their turn.
        let hands = if chance.random_ratio(1, 2) { 30 } else { 0 };
        let mut acts: Vec<Act> = (0..count).map(|_| Act::at_random(&mut chance, hands)).collect();
        // Drawn last: the other operations of a seed stay what they were without these.
        if chance.random_ratio(1, 3) {
            for _ in 0..chance.random_range(1..=2) {
                let operation = Operation::SetClockBack(chance.random_range(1..=300));
                acts.insert(chance.random_range(0..=acts.len()), Act { operation, then: 0 });
            }
        }
        Self { seed, replicas, rolls_back, acts }
    }
}

impl Act {
    /// `hands` of 100 operations are other hands.
    fn at_random(chance: &mut StdRng, hands: u32) -> Self {
        let operation = match chance.random_range(0..100) {
            _ if chance.random_range(0..100) < hands => Operation::Hand(Hand::at_random(chance)),
            0..=27 => Operation::Release(strategy(chance), fault(chance)),
            28..=30 => Operation::ReleaseEarlier(chance.random_range(1..=3)),
            31..=44 => Operation::Confirm,
            45..=48 => Operation::StepBack(chance.random_range(1..=2)),
            49..=52 => Operation::Abort,
            53..=57 => Operation::RollBack,
            58..=59 => Operation::Retry,
            60..=63 => Operation::Scale(chance.random_range(1..=8)),
            64 => Operation::Stop,
            65..=66 => Operation::Start,
            67..=68 => Operation::Restart,
            69..=71 => Operation::Edit(User {
                max_surge: chance.random_range(1..=3),
                max_unavailable: chance.random_range(0..=2),
                progress_deadline_seconds: chance.random_range(300..=900),
            }),
            72..=73 => Operation::LosePod,
            74..=79 => Operation::Break(trouble(chance), chance.random_range(1..=3)),
            80..=81 => Operation::DropWatches,
            82 => Operation::ExpireWatches,
            83..=86 => Operation::Crash,
            87..=89 => Operation::Stall,
            90..=91 => Operation::GoOn,
            92..=93 => Operation::Pass(chance.random_range(1..=90)),
            94..=95 => Operation::LoseDatabase,
            _ => Operation::Rest,
        };
        let then = if chance.random_ratio(1, 3) { 0 } else { chance.random_range(1..=40) };
        Self { operation, then }
    }
}

fn strategy(chance: &mut StdRng) -> Strategy {
    let batches = chance.random_range(1..=4);
    let canary = if chance.random_ratio(1, 4) { chance.random_range(1..=2) } else { 0 };
    let pace = match chance.random_range(0..4) {
        0 => Pace::Automatic { wait_minutes: 0 },
        1 => Pace::Automatic { wait_minutes: 1 },
        _ => Pace::Manual,
    };
    Strategy { canary, batches, pace }
}

fn fault(chance: &mut StdRng) -> Fault {
    match chance.random_range(0..12) {
        0 => Fault::NeverReady,
        1 => Fault::ImagePullError,
        2 => Fault::CrashLoop,
        _ => Fault::None,
    }
}

fn trouble(chance: &mut StdRng) -> Trouble {
    match chance.random_range(0..6) {
        0 => Trouble::LoseRequest,
        1 | 2 => Trouble::LoseAnswer,
        3 => Trouble::Refuse(500),
        _ => Trouble::Refuse(429),
    }
}
