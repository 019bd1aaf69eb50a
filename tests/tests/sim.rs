//! Histories of whole worlds: thousands by chance, and some that tell one story.

use tests::sim;

/// Histories that `cargo test` lives; a number that takes less than a minute on two cores.
const HISTORIES: u64 = 2000;

/// Lines of the trace that are shown of a failed history.
const LINES: usize = 80;

#[test]
fn histories_by_chance_break_no_law() {
    let (from, to, show) = seeds();
    let middle = from + (to - from) / 2;
    let failed = std::thread::scope(|scope| {
        let other = scope.spawn(|| (from..middle).find(|seed| fails(*seed)));
        let own = (middle..to).find(|seed| fails(*seed));
        other.join().expect("it catches its panics").or(own)
    });
    let shown = failed.or_else(|| show.then_some(from));
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

fn fails(seed: u64) -> bool {
    sim::live(seed, false).violation.is_some()
}

/// Which seeds to live: `KEELSON_SEED=n` one, with its whole trace, `KEELSON_SEEDS=a..b` a range.
fn seeds() -> (u64, u64, bool) {
    let number = |text: &str| text.trim().parse::<u64>().expect("a seed is a number");
    if let Ok(seed) = std::env::var("KEELSON_SEED") {
        let seed = number(&seed);
        return (seed, seed + 1, true);
    }
    match std::env::var("KEELSON_SEEDS") {
        Ok(range) => {
            let (from, to) = range.split_once("..").expect("KEELSON_SEEDS=a..b");
            (number(from), number(to), false)
        }
        Err(_) => (0, HISTORIES, false),
    }
}
