//! Histories of whole worlds: thousands by chance, and some that tell one story.

use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tests::sim;

/// Histories that `cargo test` lives; a number that takes about a minute on two cores.
const HISTORIES: u64 = 10_000;

/// Between two words of a long campaign.
const PROGRESS: Duration = Duration::from_secs(10);

/// Lines of the trace that are shown of a failed history.
const LINES: usize = 80;

#[test]
fn histories_by_chance_break_no_law() {
    let (seeds, show) = seeds();
    let first = seeds.start;
    let shown = first_failure(seeds).or_else(|| show.then_some(first));
    let Some(seed) = shown else {
        return;
    };
    let report = sim::live(seed, true);
    let skip = if show {
        0
    } else {
        report.trace.len().saturating_sub(LINES)
    };
    report
        .trace
        .iter()
        .take(1)
        .chain(report.trace.iter().skip(skip.max(1)))
        .for_each(|line| println!("{line}"));
    if let Some(violation) = report.violation {
        panic!("seed {seed}: {violation} (KEELSON_SEED={seed} shows all of it)");
    }
}

/// Lives the histories of these seeds on all processors, and tells now and then how far it is; the first seed of which
/// a law was broken before it noticed.
fn first_failure(seeds: Range<u64>) -> Option<u64> {
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicU64::new(u64::MAX));
    let ended = AtomicBool::new(false);
    let campaign = || {
        while failed.load(Ordering::Relaxed) == u64::MAX {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            if sim::live(seed, false).violation.is_some() {
                failed.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    let watch = || {
        let began = Instant::now();
        while !ended.load(Ordering::Relaxed) {
            thread::park_timeout(PROGRESS);
            let done = next.load(Ordering::Relaxed).min(seeds.end) - seeds.start;
            let (all, took) = (seeds.end - seeds.start, began.elapsed());
            if took >= PROGRESS {
                eprintln!("{done} of {all} histories after {} s", took.as_secs());
            }
        }
    };
    thread::scope(|scope| {
        let watcher = scope.spawn(watch);
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(campaign)).collect();
        let panics = workers.into_iter().filter_map(|worker| worker.join().err());
        let panics = panics.count();
        ended.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        assert_eq!(panics, 0, "a history's own panics are caught");
    });
    Some(failed.into_inner()).filter(|seed| *seed != u64::MAX)
}

#[test]
fn the_same_seed_lives_the_same_history() {
    for seed in 0..5 {
        let (one, other) = (sim::live(seed, false), sim::live(seed, true));
        assert_eq!(
            (one.steps, one.digest),
            (other.steps, other.digest),
            "seed {seed}"
        );
    }
}

/// Which seeds to live: `KEELSON_SEED=n` one, with its whole trace, `KEELSON_SEEDS=a..b` a range.
fn seeds() -> (Range<u64>, bool) {
    let number = |text: &str| text.trim().parse::<u64>().expect("a seed is a number");
    if let Ok(seed) = std::env::var("KEELSON_SEED") {
        let seed = number(&seed);
        return (seed..seed + 1, true);
    }
    match std::env::var("KEELSON_SEEDS") {
        Ok(range) => {
            let (from, to) = range.split_once("..").expect("KEELSON_SEEDS=a..b");
            (number(from)..number(to), false)
        }
        Err(_) => (0..HISTORIES, false),
    }
}
