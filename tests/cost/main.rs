//! What it costs to read what comes from outside: for each reader its worst input at its
//! limits, and what is nested without end.
//!
//! Bytes and allocations are counted in every build. A build by `scripts/counting-rustc`
//! also counts the blocks of code that run, which shows work that allocates nothing; the
//! step `cost` of `make test` uses it. `make cost` measures CPU time in a release build.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy only knows it of the functions marked as tests"
)]

mod entries;
mod entry;
mod listed;
mod measure;
mod nested;
mod parameter;
#[allow(dead_code, reason = "the fuzzing uses all of it")]
mod seed;
mod target;

use std::{fmt::Write, time::Duration};

use entry::{Entry, Expected};
use measure::{Cost, alone, measured};
use test_support::sign;

/// Most bytes that reading one input may hold at a time, besides the input.
const MOST_BYTES: u64 = 16 << 20;

/// Most blocks of code that may run for one input. A release build runs a hundred thousand
/// of them in less than a millisecond, so this is far below [`MOST_TIME`].
const MOST_BLOCKS: u64 = 60_000_000;

/// Most CPU time for one input in a release build, where that is asked for.
const MOST_TIME: Duration = Duration::from_millis(50);

/// How much more an input of twice the size may cost, as a fraction. Linear work doubles, but
/// for lists that grow by leaps, and quadratic work takes four times as much.
const GROWTH: (u64, u64) = (3, 1);

/// Below these nothing is told about growth: a hash table grows by leaps.
const FEW_BYTES: u64 = 256 << 10;
const FEW_BLOCKS: u64 = 200_000;

#[test]
fn no_input_costs_more_than_it_may_and_twice_as_much_costs_twice() {
    let (mut table, mut wrong) = (String::new(), Vec::new());
    alone(|| {
        for entry in entries::all() {
            let [half, whole] =
                [2, 1].map(|part| measured(&(entry.prepare)((entry.most / part).max(1))));
            writeln!(table, "{}", row(&entry, whole.0)).unwrap();
            wrong.extend(
                faults(&entry, half.0, whole)
                    .into_iter()
                    .map(|fault| format!("{}: {fault}", entry.name)),
            );
        }
    });
    println!("{HEAD}\n{table}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

const HEAD: &str = "| input | size | outcome | peak, KiB | bytes, KiB | allocations | blocks, thousands | CPU, ms |\n|---|--:|---|--:|--:|--:|--:|--:|";

fn row(entry: &Entry, cost: Cost) -> String {
    let blocks = cost.blocks.map_or("-".into(), |blocks| (blocks / 1000).to_string());
    let ms = cost.cpu.as_secs_f64() * 1000.0;
    let (peak, bytes) = (cost.peak >> 10, cost.bytes >> 10);
    format!(
        "| {} | {} | {:?} | {peak} | {bytes} | {} | {blocks} | {ms:.2} |",
        entry.name, entry.most, entry.outcome, cost.allocations
    )
}

/// What is wrong with the cost of the largest input, of which `half` is that of half its size.
fn faults(entry: &Entry, half: Cost, (whole, accepted): (Cost, bool)) -> Vec<String> {
    let mut faults = Vec::new();
    if accepted != (entry.outcome == Expected::Accepted) {
        faults.push(format!("accepted: {accepted}, and the table says {:?}", entry.outcome));
    }
    if whole.peak > MOST_BYTES {
        faults.push(format!("{} bytes at one time, and {MOST_BYTES} may be", whole.peak));
    }
    if grows(half.bytes, whole.bytes, FEW_BYTES) {
        faults
            .push(format!("twice the size takes {} bytes instead of {}", whole.bytes, half.bytes));
    }
    if let Some((half, whole)) = half.blocks.zip(whole.blocks) {
        if whole > MOST_BLOCKS {
            faults.push(format!("{whole} blocks of code run, and {MOST_BLOCKS} may"));
        }
        if grows(half, whole, FEW_BLOCKS) {
            faults.push(format!("twice the size runs {whole} blocks of code instead of {half}"));
        }
    }
    // Only where it is asked for: a debug build is slower, and so is a busy machine.
    if std::env::var_os("SLUICE_COST_TIME").is_some() && whole.cpu > MOST_TIME {
        faults.push(format!("{:?} of CPU, and {MOST_TIME:?} may be", whole.cpu));
    }
    faults
}

fn grows(half: u64, whole: u64, few: u64) -> bool {
    whole > few && whole * GROWTH.1 > half * GROWTH.0
}

#[test]
fn every_seed_of_the_fuzzing_is_read_as_the_fuzzing_reads_it() {
    let seeds = seed::all();
    assert!(seeds.len() > 400, "{} seeds", seeds.len());
    alone(|| {
        seeds
            .iter()
            .for_each(|seed| assert!(target::read(seed), "{}", String::from_utf8_lossy(seed)))
    });
}

#[test]
fn the_limits_bite() {
    let cost = |bytes, blocks| Cost {
        peak: bytes,
        bytes,
        allocations: 1,
        blocks: Some(blocks),
        cpu: Duration::ZERO,
    };
    let entry = entry::accepted("quadratic", &[], 1, |_| Box::new(|| true));
    let found = |half, whole, accepted| faults(&entry, half, (whole, accepted)).len();
    assert_eq!(found(cost(1 << 20, 1_000_000), cost(2 << 20, 2_000_000), true), 0);
    assert_eq!(
        found(cost(1 << 20, 1_000_000), cost(4 << 20, 2_000_000), true),
        1,
        "four times the bytes"
    );
    assert_eq!(
        found(cost(1 << 20, 1_000_000), cost(2 << 20, 4_000_000), true),
        1,
        "four times the blocks"
    );
    assert_eq!(
        found(cost(9 << 20, 1_000_000), cost(18 << 20, 2_000_000), true),
        1,
        "too many bytes"
    );
    assert_eq!(
        found(cost(1 << 20, 40_000_000), cost(2 << 20, 80_000_000), true),
        1,
        "too many blocks"
    );
    assert_eq!(found(cost(1 << 20, 1_000_000), cost(2 << 20, 2_000_000), false), 1, "not accepted");
}

#[test]
fn work_that_allocates_nothing_is_seen_where_blocks_are_counted() {
    let scan = |count: u32| -> measure::Job {
        let all: Vec<u32> = (0..count).collect();
        Box::new(move || {
            all.iter().all(|number| all.iter().all(|other| number + 1 != other + count))
        })
    };
    let [half, whole] = alone(|| [200, 400].map(|count| measured(&scan(count)).0));
    assert_eq!((whole.bytes, whole.allocations), (0, 0));
    if let Some((half, whole)) = half.blocks.zip(whole.blocks) {
        assert!(grows(half, whole, 0), "{half} and {whole}");
    }
}
