//! The cases of one machine: the table, the checks.
use std::net::SocketAddrV4;
use std::time::Duration;

use lab_gauge::{Figures, Plan, Until};

use super::program::{KILL, Program, Running, gauge};
use super::verdicts::Figure;
use super::{Bench, Pair, conf, entries, number_behind, pause};
use crate::lab::LabError;
use crate::roles::Workbench;

/// Services and dests of the large table.
const ENTRIES: u64 = conf::SERVICES as u64 * (1 + conf::DESTS as u64);
/// From the full table to the steady state of the checks: the first round, spread over an interval, and a margin.
const SETTLING: Duration = Duration::from_secs(2 * conf::DELAY_LOOP_S as u64);
/// Time over which processor time is measured: twice the interval of a check.
const WATCH: Duration = Duration::from_secs(2 * conf::DELAY_LOOP_S as u64);
/// A check that is later than this was not made in time: a tenth of the interval.
const LATE_US: u64 = conf::DELAY_LOOP_S as u64 * 1_100_000;
/// The listener's port of control.
const CONTROL: u16 = 9;
/// The port of the large table's servers.
const PORT: u16 = 80;
/// An advert may be so late.
const ADVERT_LATE_MAX_US: u64 = 50_000;

fn full() -> Until {
    let (service, dest) = conf::last();
    Until::Dest {
        service,
        dest,
        weight: 1,
    }
}

fn changed_to(weight: u32) -> Until {
    let (service, dest) = conf::changed();
    Until::Dest {
        service,
        dest,
        weight,
    }
}

/// The table from nothing.
pub(super) fn fill(bench: &mut Bench) -> Result<(), LabError> {
    let (mut took, mut rules, mut ends) = (Pair::default(), Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        let w1 = bench.w1()?;
        rules.push(restore(w1)?);
        for program in Program::BOTH {
            w1.empty_table()?;
            let running = Running::start(w1, program, "plain", full())?;
            took.of(program).push(running.started_us);
            let found = entries(w1)?;
            let (_, said) = running.stop()?;
            if found != ENTRIES {
                return Err(incomplete(program, found));
            }
            if program == Program::Keelson {
                ends.push(said);
            }
        }
    }
    ends.iter().for_each(|said| bench.note_end(said));
    let [keepalived, keelson] = took.times();
    bench
        .verdicts
        .ratio("fill: 1,000 x 10, keepalived", keepalived, keelson, 0.5);
    let rules = Figure::micros(super::median(rules));
    bench
        .verdicts
        .ratio("fill: 1,000 x 10, ipvsadm -R", rules, keelson, 0.15);
    Ok(())
}

fn restore(w1: Workbench<'_>) -> Result<u64, LabError> {
    w1.empty_table()?;
    let plan = Plan::Start {
        program: ["/bin/sh", "-c", "exec ipvsadm -R < /bench/rules"]
            .map(str::to_owned)
            .to_vec(),
        log: "/bench/log".to_owned(),
        until: Until::Gone,
        limit_ms: 120_000,
    };
    Ok(gauge(w1, plan)?.elapsed_us)
}

fn incomplete(program: Program, found: u64) -> LabError {
    LabError::TimedOut {
        what: format!("{ENTRIES} entries by {}", program.name()),
        last: format!("{found} entries"),
    }
}

/// One weight changes, no checks; a virtual router advertises meanwhile.
pub(super) fn reload(bench: &mut Bench) -> Result<(), LabError> {
    let mut took = Pair::default();
    let mut gaps = Pair::default();
    let (mut said, mut in_force) = (String::new(), String::new());
    for program in Program::BOTH {
        let w1 = bench.w1()?;
        w1.empty_table()?;
        let running = Running::start(w1, program, "plain-1", full())?;
        // Until the router is Active.
        pause(Duration::from_secs(2));
        for run in 0..bench.runs {
            let weight = 2 - run % 2;
            let adverts = bench.lab.switch().adverts_of("w1");
            pause(Duration::from_millis(500));
            let us = running.reload(&format!("plain-{weight}"), changed_to(weight))?;
            pause(Duration::from_millis(500));
            took.of(program).push(us);
            let at: Vec<_> = adverts.drain().iter().map(|frame| frame.at).collect();
            let gap = at
                .windows(2)
                .map(|pair| (pair[1] - pair[0]).as_micros() as u64);
            gaps.of(program).push(gap.max().unwrap_or(u64::MAX));
        }
        in_force = running.said("in force after ")?;
        (_, said) = running.stop()?;
    }
    bench.note_end(&said);
    let [keepalived, keelson] = took.times();
    bench
        .verdicts
        .ratio("reload: one weight of 10,000", keepalived, keelson, 0.3);
    // The first is of the start.
    let operations = in_force
        .lines()
        .skip(1)
        .filter_map(|line| number_behind(line, "in force after "));
    let most = operations.max().unwrap_or(u64::MAX);
    bench
        .verdicts
        .must("reload: operations for it", "", most, "1", most == 1);
    let late = |gap: u64| gap.saturating_sub(u64::from(conf::ADVERT_MS) * 1000);
    let [theirs, ours] = gaps.medians().map(late);
    bench.verdicts.must(
        "reload: latest advert, as the switch sees it",
        Figure::micros(theirs),
        Figure::micros(ours),
        "<= 50 ms",
        ours <= ADVERT_LATE_MAX_US,
    );
    let own = number_behind(&said, "adverts at most ").unwrap_or(u64::MAX);
    bench.verdicts.must(
        "reload: latest advert, by the director",
        "",
        Figure::micros(own),
        "<= 50 ms",
        own <= ADVERT_LATE_MAX_US,
    );
    Ok(())
}

/// A check on each dest: what it costs, a reload, the orderly stop.
pub(super) fn checks(bench: &mut Bench) -> Result<(), LabError> {
    let mut seen = [Checking::default(), Checking::default()];
    let floor = {
        let w1 = bench.w1()?;
        let listener = listen(w1, PORT)?;
        for (program, seen) in Program::BOTH.into_iter().zip(&mut seen) {
            *seen = checking(w1, program, bench.runs)?;
        }
        let floor = gauge(
            w1,
            Plan::Floor {
                first: conf::server(0),
                count: conf::SERVICES * conf::DESTS,
                port: PORT,
                rate: conf::SERVICES * conf::DESTS / conf::DELAY_LOOP_S,
                for_ms: WATCH.as_millis() as u64,
            },
        )?;
        kill(w1, listener)?;
        floor
    };
    bench.note_end(&seen[1].said);
    judge_steady(bench, &seen, &floor);
    judge_changes(bench, &seen);
    Ok(())
}

/// What the steady state must be.
fn judge_steady(bench: &mut Bench, [theirs, ours]: &[Checking; 2], floor: &Figures) {
    let share = |figures: &Figures| figures.cpu_us * 1_000_000 / figures.elapsed_us.max(1);
    // What a connection of the floor costs, at the rate of the checks: with its listener it may not reach that rate.
    let rate = u64::from(conf::SERVICES * conf::DESTS / conf::DELAY_LOOP_S);
    let least = floor.cpu_us * rate / floor.connections.max(1);
    let time = Figure::micros;
    let of = |checking: &Checking| super::median(checking.watches.iter().map(share).collect());
    let (cpu_theirs, cpu_ours) = (time(of(theirs)), time(of(ours)));
    let verdicts = &mut bench.verdicts;
    verdicts.ratio("checks: processor in a second", cpu_theirs, cpu_ours, 0.6);
    verdicts.ratio("checks: the same, floor", time(least), cpu_ours, 1.5);
    // A program that does not keep up does fewer of them in a second.
    let [each_theirs, each_ours] = [theirs, ours].map(|seen| time(seen.cpu_us_of_one()));
    verdicts.ratio("checks: processor for one", each_theirs, each_ours, 0.6);
    verdicts.must(
        "checks: longest time without one",
        time(theirs.gap_us()),
        time(ours.gap_us()),
        "<= 1.1 x 10 s",
        ours.gap_us() <= LATE_US,
    );
    let all = u64::from(conf::SERVICES * conf::DESTS);
    verdicts.must(
        "checks: servers asked",
        theirs.targets(),
        ours.targets(),
        "all",
        ours.targets() == all,
    );
    let rss = |checking: &Checking| {
        Figure::Kib(
            checking
                .watches
                .iter()
                .map(|w| w.rss_kib)
                .max()
                .unwrap_or(0),
        )
    };
    verdicts.ratio("checks: memory", rss(theirs), rss(ours), 0.5);
}

/// What a reload and the orderly stop must be.
fn judge_changes(bench: &mut Bench, [theirs, ours]: &[Checking; 2]) {
    let time = Figure::micros;
    let verdicts = &mut bench.verdicts;
    let reload = |checking: &Checking| time(super::median(checking.reloads.clone()));
    verdicts.ratio(
        "checks: reload after one weight",
        reload(theirs),
        reload(ours),
        0.05,
    );
    verdicts.ratio(
        "checks: orderly stop",
        time(theirs.stop_us),
        time(ours.stop_us),
        0.3,
    );
    verdicts.must(
        "checks: entries left",
        theirs.residue,
        ours.residue,
        "0",
        ours.residue == 0,
    );
}

/// What one program showed while it checked.
#[derive(Default)]
struct Checking {
    watches: Vec<Figures>,
    tallies: Vec<Figures>,
    reloads: Vec<u64>,
    stop_us: u64,
    residue: u64,
    said: String,
}

impl Checking {
    fn gap_us(&self) -> u64 {
        self.tallies
            .iter()
            .map(|tally| tally.longest_gap_us)
            .max()
            .unwrap_or(u64::MAX)
    }

    /// What one check took of the processor.
    fn cpu_us_of_one(&self) -> u64 {
        let runs = self.watches.iter().zip(&self.tallies);
        super::median(
            runs.map(|(watch, tally)| watch.cpu_us / tally.connections.max(1))
                .collect(),
        )
    }

    fn targets(&self) -> u64 {
        self.tallies
            .iter()
            .map(|tally| tally.targets)
            .min()
            .unwrap_or(0)
    }
}

fn checking(w1: Workbench<'_>, program: Program, runs: u32) -> Result<Checking, LabError> {
    let mut seen = Checking::default();
    w1.empty_table()?;
    let running = Running::start(w1, program, "checks-1", full())?;
    pause(SETTLING);
    for _ in 0..runs {
        gauge(w1, Plan::Tally { control: CONTROL })?;
        seen.watches.push(running.watch(WATCH)?);
        seen.tallies
            .push(gauge(w1, Plan::Tally { control: CONTROL })?);
    }
    for run in 0..runs {
        let weight = 2 - run % 2;
        let us = running.reload(&format!("checks-{weight}"), changed_to(weight))?;
        seen.reloads.push(us);
        pause(Duration::from_secs(3));
    }
    (seen.stop_us, seen.said) = running.stop()?;
    seen.residue = entries(w1)?;
    Ok(seen)
}

fn listen(w1: Workbench<'_>, port: u16) -> Result<i32, LabError> {
    let plan = Plan::Listen {
        port,
        control: CONTROL,
    };
    let plan = serde_json::to_string(&plan).unwrap_or_default();
    let figures = gauge(
        w1,
        Plan::Start {
            program: vec!["/lab/gauge".to_owned(), plan],
            log: "/bench/listener".to_owned(),
            until: Until::Answers(CONTROL),
            limit_ms: 10_000,
        },
    )?;
    Ok(figures.pid)
}

fn kill(w1: Workbench<'_>, pid: i32) -> Result<(), LabError> {
    let plan = Plan::Signal {
        pid,
        signal: KILL,
        until: Until::Gone,
        limit_ms: 10_000,
    };
    gauge(w1, plan).map(drop)
}

/// The servers of one service fail all at once.
pub(super) fn removal(bench: &mut Bench) -> Result<(), LabError> {
    let service: SocketAddrV4 = conf::service(0);
    let dests = |count| Until::Dests { service, count };
    let mut took = Pair::default();
    for _ in 0..bench.runs {
        for program in Program::BOTH {
            let w1 = bench.w1()?;
            w1.empty_table()?;
            let listener = listen(w1, conf::FAILING_PORT)?;
            let all = dests(conf::FAILING as usize);
            let running = Running::start(w1, program, "failing", all)?;
            pause(Duration::from_secs(
                2 * u64::from(conf::FAILING_DELAY_LOOP_S),
            ));
            let found = entries(w1)?;
            if found != 1 + u64::from(conf::FAILING) {
                // Servers that were out before their port was closed say nothing.
                return Err(LabError::TimedOut {
                    what: format!("all servers in, by {}", program.name()),
                    last: format!("{found} entries"),
                });
            }
            let plan = Plan::Signal {
                pid: listener,
                signal: KILL,
                until: dests(0),
                limit_ms: 60_000,
            };
            took.of(program).push(gauge(w1, plan)?.elapsed_us);
            let (_, said) = running.stop()?;
            if program == Program::Keelson {
                bench.note_end(&said);
            }
        }
    }
    let [keepalived, keelson] = took.times();
    // Both check every server once in an interval, at a phase of its own: the last of fifty is removed at its end.
    bench.verdicts.ratio(
        "removal: last of 50 closed ports",
        keepalived,
        keelson,
        1.05,
    );
    let interval_us = u64::from(conf::FAILING_DELAY_LOOP_S) * 1_000_000;
    let [_, ours] = took.medians();
    bench.verdicts.must(
        "removal: all inside one interval (fall 1)",
        "",
        Figure::micros(ours),
        "<= 2.1 s",
        ours <= interval_us * 105 / 100,
    );
    Ok(())
}
