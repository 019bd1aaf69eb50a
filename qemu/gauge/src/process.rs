//! Programs: starting them, signalling them, and what they use.
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use director::kernel::ipvs::Ipvs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Figures, Until, listen, table};

/// Between two looks: a fiftieth of the shortest time that is compared, and cheap enough not to count.
const LOOK_PERIOD: Duration = Duration::from_millis(5);
/// A second of /proc/PID/stat has so many ticks (USER_HZ, fixed for user space).
const TICK_US: u64 = 10_000;

pub(crate) fn start(
    program: &[String],
    log: &str,
    until: &Until,
    limit_ms: u64,
) -> Result<Figures, String> {
    let (path, arguments) = program.split_first().ok_or("no program")?;
    let out = File::create(log).map_err(|error| format!("{log}: {error}"))?;
    let err = out.try_clone().map_err(|error| format!("{log}: {error}"))?;
    let begin = Instant::now();
    let mut child = Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|error| format!("{path}: {error}"))?;
    let pid = child.id() as i32;
    let mut figures = wait(begin, pid, Some(&mut child), until, limit_ms)
        .map_err(|why| format!("{why}; {path} said: {}", tail(log)))?;
    figures.pid = pid;
    Ok(figures)
}

pub(crate) fn signal(
    pid: i32,
    signal: i32,
    until: &Until,
    limit_ms: u64,
) -> Result<Figures, String> {
    let signal = Signal::try_from(signal).map_err(|error| error.to_string())?;
    let begin = Instant::now();
    kill(Pid::from_raw(pid), signal).map_err(|error| format!("process {pid}: {error}"))?;
    wait(begin, pid, None, until, limit_ms)
}

/// Waits for what `until` says.
fn wait(
    begin: Instant,
    pid: i32,
    mut child: Option<&mut Child>,
    until: &Until,
    limit_ms: u64,
) -> Result<Figures, String> {
    let mut ipvs = match until {
        Until::Now | Until::Answers(_) | Until::Gone => None,
        _ => Some(Ipvs::open().map_err(|error| format!("IPVS {error}"))?),
    };
    let deadline = begin + Duration::from_millis(limit_ms);
    loop {
        let ended = match &mut child {
            Some(child) => child.try_wait().map_err(|error| error.to_string())?,
            None => None,
        };
        if ended.is_some_and(|status| !status.success()) {
            return Err("it ended without success".to_owned());
        }
        let there = match (until, &mut ipvs) {
            (Until::Now, _) => true,
            (Until::Answers(control), _) => listen::ask(*control).is_ok(),
            (Until::Gone, _) => ended.is_some() || (child.is_none() && !is_there(pid)),
            (_, Some(ipvs)) => table::holds(ipvs, until)?,
            (_, None) => false,
        };
        if there {
            let elapsed_us = begin.elapsed().as_micros() as u64;
            return Ok(Figures {
                elapsed_us,
                ..Figures::default()
            });
        }
        if Instant::now() >= deadline {
            return Err(format!("waited {limit_ms} ms for {until:?}"));
        }
        thread::sleep(LOOK_PERIOD);
    }
}

/// Whether the process runs. One that has ended and that nobody asks for does not.
fn is_there(pid: i32) -> bool {
    stat(pid).is_some_and(|fields| fields.first().is_some_and(|state| state != "Z"))
}

pub(crate) fn watch(name: &str, for_ms: u64) -> Result<Figures, String> {
    let before = used(name);
    let begin = Instant::now();
    thread::sleep(Duration::from_millis(for_ms));
    let after = used(name);
    let elapsed_us = begin.elapsed().as_micros() as u64;
    if before.is_empty() || before.len() != after.len() {
        return Err(format!(
            "{} processes {name} at first, {} at the end",
            before.len(),
            after.len()
        ));
    }
    let sum = |of: &[(i32, u64)]| of.iter().map(|(_, ticks)| ticks).sum::<u64>();
    let rss_kib = after.iter().map(|(pid, _)| resident(*pid)).max();
    Ok(Figures {
        elapsed_us,
        cpu_us: sum(&after).saturating_sub(sum(&before)) * TICK_US,
        rss_kib: rss_kib.unwrap_or(0),
        ..Figures::default()
    })
}

/// Process and used ticks of each process whose name begins so.
fn used(name: &str) -> Vec<(i32, u64)> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<i32>().ok());
    let named = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.starts_with(name))
    };
    pids.filter(named)
        .filter_map(|pid| {
            let fields = stat(pid)?;
            // utime and stime, fields 14 and 15 of proc(5).
            let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
            Some((pid, ticks(11)? + ticks(12)?))
        })
        .collect()
}

/// The fields of /proc/PID/stat from the third on, the state: the second may hold spaces.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// In KiB, counted page by page: the sum in /proc/PID/status leaves out what a processor has not yet added to it, some
/// hundred KiB (proc_pid_status(5)).
fn resident(pid: i32) -> u64 {
    let sums = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = sums.lines().find_map(|line| line.strip_prefix("Rss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Processor time of this process so far.
pub(crate) fn own_cpu_us() -> u64 {
    let pid = std::process::id() as i32;
    let ticks = stat(pid).and_then(|fields| {
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(ticks(11)? + ticks(12)?)
    });
    ticks.unwrap_or(0) * TICK_US
}

fn tail(log: &str) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(10).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_waited_for_and_its_failure_is_told() {
        let log = std::env::temp_dir().join(format!("gauge-{}", std::process::id()));
        let log = log.to_str().unwrap();
        let shell = |line: &str| vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()];
        let figures = start(&shell("exit 0"), log, &Until::Gone, 10_000).unwrap();
        assert!(figures.pid > 0 && figures.elapsed_us > 0);
        let why = start(&shell("echo no; exit 3"), log, &Until::Gone, 10_000).unwrap_err();
        assert!(
            why.contains("without success") && why.ends_with("no"),
            "{why}"
        );
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn the_fields_of_a_process_are_found_behind_its_name() {
        let pid = std::process::id() as i32;
        assert!(is_there(pid));
        let fields = stat(pid).unwrap();
        assert!(fields.len() > 40, "{fields:?}");
        assert!(resident(pid) > 0);
    }
}
