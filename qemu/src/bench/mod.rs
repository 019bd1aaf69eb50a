//! `cargo lab bench`: the director beside Debian's keepalived and ipvsadm, in one machine, in one run.
//!
//! On a workbench the programs run one after the other with the same configuration; what is printed is how they relate,
//! since absolute times of an emulated machine say little. The cases:
//!
//! | name | what |
//! |---|---|
//! | `fill` | 1,000 services x 10 dests from nothing |
//! | `reload` | the same after one weight was changed |
//! | `checks` | a TCP_CHECK on each of the 10,000: processor, memory, a reload, an orderly stop |
//! | `removal` | a server's port is closed |
//! | `routers` | 255 virtual routers, steady and at the Active node's power cut |
mod cases;
mod conf;
mod program;
mod routers;
mod verdicts;

use std::time::{Duration, Instant};

use self::conf::Large;
use self::program::Program;
use self::verdicts::{Figure, Verdicts, median};
use crate::lab::{Lab, LabError};
use crate::roles::Workbench;
use crate::topology;

/// The longest turn of the director's loop, in the median of runs.
const TURN_MAX_US: u64 = 20_000;

/// A case by name.
type Case = (&'static str, fn(&mut Bench) -> Result<(), LabError>);

const CASES: &[Case] = &[
    ("fill", cases::fill),
    ("reload", cases::reload),
    ("checks", cases::checks),
    ("removal", cases::removal),
    ("routers", routers::case),
];

/// The names of the cases.
pub fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _)| *name)
}

/// Runs the cases of these names, or all; whether every bound held. Errors: a case could not be run at all.
pub fn run(names: &[String], runs: u32) -> Result<bool, LabError> {
    let began = Instant::now();
    let lab = Lab::start(&topology::workbenches("bench", files()))?;
    let mut bench = Bench {
        lab,
        runs,
        verdicts: Verdicts::default(),
        turns_us: Vec::new(),
    };
    for (name, case) in CASES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            eprintln!("{name} ({runs} runs) ...");
            case(&mut bench)?;
        }
    }
    let longest = median(bench.turns_us.clone());
    let longest_of_all = bench.turns_us.iter().max().copied().unwrap_or_default();
    bench.verdicts.must(
        "longest turn of the loop (median of all lives)",
        "",
        Figure::micros(longest),
        &format!("< {}", Figure::micros(TURN_MAX_US)),
        longest < TURN_MAX_US,
    );
    bench.verdicts.note(
        "longest turn of the loop (of all)",
        "",
        Figure::micros(longest_of_all),
    );
    println!("\n{}", bench.verdicts);
    println!("It took {:.0} s.", began.elapsed().as_secs_f64());
    Ok(bench.verdicts.held())
}

fn files() -> Vec<(String, String)> {
    let large = |checks, router, weight| {
        let large = Large {
            checks,
            router,
            weight,
        };
        large.text()
    };
    let file = |(name, text): (&str, String)| (format!("bench/{name}"), text);
    let files = [
        ("plain", large(false, false, 1)),
        ("plain-1", large(false, true, 1)),
        ("plain-2", large(false, true, 2)),
        ("checks-1", large(true, false, 1)),
        ("checks-2", large(true, false, 2)),
        ("rules", conf::rules()),
        ("failing", conf::failing()),
        (
            "routers-w1",
            conf::routers(conf::ROUTERS, conf::PRIORITIES[0]),
        ),
        (
            "routers-w2",
            conf::routers(conf::ROUTERS, conf::PRIORITIES[1]),
        ),
    ];
    files.into_iter().map(file).collect()
}

/// A bench under way.
struct Bench {
    lab: Lab,
    runs: u32,
    verdicts: Verdicts,
    /// The longest turn of each life of the director.
    turns_us: Vec<u64>,
}

/// What a case measured of one thing, by program.
#[derive(Default)]
struct Pair {
    keepalived: Vec<u64>,
    keelson: Vec<u64>,
}

impl Pair {
    fn of(&mut self, program: Program) -> &mut Vec<u64> {
        match program {
            Program::Keepalived => &mut self.keepalived,
            Program::Keelson => &mut self.keelson,
        }
    }

    /// The medians.
    fn medians(&self) -> [u64; 2] {
        [
            median(self.keepalived.clone()),
            median(self.keelson.clone()),
        ]
    }

    /// The medians as times.
    fn times(&self) -> [Figure; 2] {
        self.medians().map(Figure::micros)
    }
}

impl Bench {
    /// The workbench on which the programs run.
    fn w1(&self) -> Result<Workbench<'_>, LabError> {
        self.lab.workbench("w1")
    }

    /// Notes what the director says of itself at its end.
    fn note_end(&mut self, said: &str) {
        self.turns_us.extend(number_behind(said, "the longest "));
    }
}

/// The number that stands behind these words.
fn number_behind(text: &str, words: &str) -> Option<u64> {
    let (_, rest) = text.split_once(words)?;
    let digits = rest.split(|byte: char| !byte.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Entries of the kernel's table, services and dests alike.
fn entries(bench: Workbench<'_>) -> Result<u64, LabError> {
    let lines = bench.shell("ipvsadm -Ln | wc -l")?;
    // Three lines of headings.
    Ok(lines.trim().parse::<u64>().unwrap_or(0).saturating_sub(3))
}

/// Whether something has come about; looked at now and then, up to a time.
fn pause(period: Duration) {
    std::thread::sleep(period);
}
