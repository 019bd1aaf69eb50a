//! `cargo lab parse`: how long a large configuration takes to be read, beside Debian's keepalived on this host.
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use image::{Error, Workspace};
use nix::sys::resource::{UsageWho, getrusage};

use crate::packages::PackageError;
use crate::reference::Keepalived;

/// Services of the two configurations, and real servers of each.
const SERVICES: [u32; 2] = [2_500, 10_000];
const REAL_SERVERS: u32 = 10;
/// What the large one may cost of keepalived's time, and of four times the small one's.
const RATIO_MAX: f64 = 0.5;
const GROWTH_MAX: f64 = 1.25;

/// Reads both configurations with both programs and prints how they relate; whether the bounds held.
///
/// # Errors
/// Downloading, compiling, or running a program.
pub fn run(runs: u32) -> Result<bool, PackageError> {
    let workspace = Workspace::new();
    let keepalived = Keepalived::unpacked(&workspace, image::to_stderr)?;
    let keelson = image::keelson(&workspace, image::to_stderr)?;
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for services in SERVICES {
        let path = workspace
            .target
            .join(format!("lab-cache/parse-{services}.conf"));
        fs::write(&path, text(services)).map_err(Error::io(&path))?;
        let mut check = Command::new(&keelson.path);
        check.arg("check").arg("--keepalived").arg(&path);
        ours.push(least(runs, &mut check, &path)?);
        theirs.push(least(runs, &mut keepalived.check(&path), &path)?);
        println!(
            "{services} services x {REAL_SERVERS}: keelson {:?}, keepalived {:?} of processor time",
            ours.last().copied().unwrap_or_default(),
            theirs.last().copied().unwrap_or_default()
        );
    }
    let of =
        |times: &[Duration], index: usize| times.get(index).map_or(f64::NAN, Duration::as_secs_f64);
    let times = f64::from(SERVICES[1] / SERVICES[0]);
    let ratio = of(&ours, 1) / of(&theirs, 1);
    let growth = of(&ours, 1) / (of(&ours, 0) * times);
    println!("keelson takes {ratio:.2} of keepalived's time (at most {RATIO_MAX})");
    println!(
        "{times} times the services take {growth:.2} of {times} times the time (at most {GROWTH_MAX})"
    );
    Ok(ratio <= RATIO_MAX && growth <= GROWTH_MAX)
}

/// The least processor time of several runs: what the others took more is the machine's.
fn least(runs: u32, command: &mut Command, path: &Path) -> Result<Duration, PackageError> {
    let mut least = Duration::MAX;
    for _ in 0..runs {
        least = least.min(cost(command).map_err(Error::io(path))?);
    }
    Ok(least)
}

fn cost(command: &mut Command) -> io::Result<Duration> {
    let before = children()?;
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(children()?.saturating_sub(before))
}

/// Processor time of all children that have ended.
fn children() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let (user, system) = (usage.user_time(), usage.system_time());
    let micros =
        |seconds: i64, micros: i64| seconds.unsigned_abs() * 1_000_000 + micros.unsigned_abs();
    let user = micros(user.tv_sec(), user.tv_usec());
    Ok(Duration::from_micros(
        user + micros(system.tv_sec(), system.tv_usec()),
    ))
}

fn text(services: u32) -> String {
    let mut text = String::new();
    for service in 0..services {
        let [_, a, b, c] = service.to_be_bytes();
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "virtual_server 10.{a}.{b}.{c} 80 {{\n    delay_loop 6\n    lb_algo wrr\n    lb_kind DR\n    protocol TCP"
        );
        for server in 0..REAL_SERVERS {
            let _ = writeln!(
                text,
                "    real_server 172.{}.{b}.{c} 80 {{\n        weight 1\n        TCP_CHECK {{\n            \
                 connect_timeout 3\n        }}\n    }}",
                16 + server
            );
        }
        text += "}\n";
    }
    text
}
