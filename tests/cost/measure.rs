//! What a piece of work costs, in counts that are the same on every run: bytes,
//! allocations and, in a build that counts them, the blocks of code that ran. CPU time
//! is measured beside them, for the table of `make cost`.

use std::{fs, path::PathBuf, sync::Mutex, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// Reads one input that was made before; says whether it was accepted.
pub type Job = Box<dyn Fn() -> bool>;

/// What a job cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Most bytes that were held at one time, above those held before.
    pub peak: u64,
    /// Bytes that were asked for, all together.
    pub bytes: u64,
    pub allocations: u64,
    /// Blocks of code that ran; none = this build does not count them.
    pub blocks: Option<u64>,
    /// CPU time of the thread.
    pub cpu: Duration,
}

/// Blocks are counted for the whole process: one measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Does `work` while nothing else in this program is measured.
pub fn alone<T>(work: impl FnOnce() -> T) -> T {
    let guard = ALONE.lock();
    let done = work();
    drop(guard);
    done
}

/// Runs a job twice, the first time for what is made once in a process, and measures
/// the second. Also says whether its input was accepted.
pub fn measured(job: &Job) -> (Cost, bool) {
    let accepted = job();
    let (blocks, began) = (blocks_run(), cpu_time());
    let allocated = allocation_counter::measure(|| {
        job();
    });
    let (cpu, after) = (cpu_time().saturating_sub(began), blocks_run());
    let blocks = blocks.zip(after).map(|(before, after)| after - before);
    let cost = Cost {
        peak: allocated.bytes_max,
        bytes: allocated.bytes_total,
        allocations: allocated.count_total,
        blocks,
        cpu,
    };
    (cost, accepted)
}

/// Blocks of code that ran in this process so far, as `blocks.c` counts them into a file.
fn blocks_run() -> Option<u64> {
    let file = PathBuf::from(std::env::var_os("SLUICE_BLOCKS")?);
    let counted = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Some(u64::from_ne_bytes(counted.try_into().expect("blocks.c writes eight bytes")))
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).expect("less than a second"),
    )
}
