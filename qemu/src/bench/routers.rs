//! Many virtual routers on two machines: what they cost while nothing happens, and how soon they take over.
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use lab_gauge::{Figures, Until};

use super::program::{Program, Running};
use super::{Bench, Pair, conf, pause};
use crate::lab::LabError;

/// How long nothing happens.
const WATCH: Duration = Duration::from_secs(20);
/// From the start of the one to the start of the other, and until all routers have found their state.
const SETTLING: Duration = Duration::from_secs(8);
/// All addresses are announced by then.
const TAKEOVER_MAX: Duration = Duration::from_secs(30);

/// Steady, then a power cut.
pub(super) fn case(bench: &mut Bench) -> Result<(), LabError> {
    let (mut cpu, mut late) = (Pair::default(), Pair::default());
    let mut usurped = Pair::default();
    for _ in 0..bench.runs {
        for program in Program::BOTH {
            let seen = one(bench, program)?;
            cpu.of(program).push(seen.cpu_us);
            usurped.of(program).push(seen.usurped);
            late.of(program).push(seen.late_us);
            if program == Program::Keelson {
                bench.note_end(&seen.said);
            }
            restart(bench)?;
        }
    }
    let most = |counts: &[u64]| counts.iter().max().copied().unwrap_or_default();
    let (theirs, ours) = (most(&usurped.keepalived), most(&usurped.keelson));
    bench.verdicts.must(
        "routers: adverts of the Backup in 20 s",
        theirs,
        ours,
        "0",
        ours == 0,
    );
    let [keepalived, keelson] = cpu.times();
    bench.verdicts.ratio(
        "routers: processor of both nodes in 20 s",
        keepalived,
        keelson,
        0.5,
    );
    let [keepalived, keelson] = late.times();
    bench.verdicts.ratio(
        "routers: last announced after Active_Down",
        keepalived,
        keelson,
        0.5,
    );
    Ok(())
}

struct Seen {
    cpu_us: u64,
    /// Adverts that the Backup sent while the Active was there.
    usurped: u64,
    late_us: u64,
    said: String,
}

fn one(bench: &Bench, program: Program) -> Result<Seen, LabError> {
    let (w1, w2) = (bench.lab.workbench("w1")?, bench.lab.workbench("w2")?);
    let active = Running::start(w1, program, "routers-w1", Until::Now)?;
    pause(SETTLING);
    let backup = Running::start(w2, program, "routers-w2", Until::Now)?;
    pause(SETTLING);
    let usurpers = bench.lab.switch().adverts_of("w2");
    let watch = |running: &Running<'_>| running.watch(WATCH);
    let (first, second): (Result<Figures, _>, Result<Figures, _>) = thread::scope(|scope| {
        let first = scope.spawn(|| watch(&active));
        let second = watch(&backup);
        let first = first
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (first, second)
    });
    let usurped = usurpers.drain().len() as u64;
    let cpu_us = first?.cpu_us + second?.cpu_us;
    let late_us = take_over(bench)?;
    let (_, said) = backup.stop()?;
    Ok(Seen {
        cpu_us,
        usurped,
        late_us,
        said,
    })
}

/// Cuts the Active node's power; by how much the latest address was announced after its router's Active_Down.
fn take_over(bench: &Bench) -> Result<u64, LabError> {
    let switch = bench.lab.switch();
    let adverts = switch.adverts_of("w1");
    let announcements =
        switch.tap(|frame| *frame.node == *"w2" && frame.arp_announcement().is_some());
    pause(Duration::from_secs(1));
    bench.lab.vm("w1")?.power_cut();
    let mut announced: BTreeMap<_, Instant> = BTreeMap::new();
    let deadline = Instant::now() + TAKEOVER_MAX;
    while announced.len() < usize::from(conf::ROUTERS) {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(frame) = announcements.next(left) else {
            return Err(LabError::TimedOut {
                what: "announcements of all virtual addresses".to_owned(),
                last: format!("{} of them", announced.len()),
            });
        };
        if let Some((address, _)) = frame.arp_announcement() {
            announced.entry(address).or_insert(frame.at);
        }
    }
    let mut last: BTreeMap<u8, Instant> = BTreeMap::new();
    for frame in adverts.drain() {
        if let Some(advert) = frame.advert() {
            last.insert(advert.vrid, frame.at);
        }
    }
    let late = (1..=conf::ROUTERS).filter_map(|vrid| {
        let possible = *last.get(&vrid)? + active_down();
        let announced = announced.get(&conf::virtual_address(vrid))?;
        Some(announced.saturating_duration_since(possible).as_micros() as u64)
    });
    Ok(late.max().unwrap_or(u64::MAX))
}

/// Three intervals and the skew of the Backup's priority (RFC 9568 section 6.1).
fn active_down() -> Duration {
    let interval = Duration::from_millis(conf::ADVERT_MS.into());
    3 * interval + interval * (256 - u32::from(conf::PRIORITIES[1])) / 256
}

/// The machine whose power was cut, switched on again.
fn restart(bench: &Bench) -> Result<(), LabError> {
    let w1 = bench.lab.vm("w1")?;
    w1.power_on()?;
    w1.wait_until_up()?;
    Ok(())
}
