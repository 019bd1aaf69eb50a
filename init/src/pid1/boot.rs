//! The boot, from top to bottom.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll};
use nix::{
    libc,
    sys::{
        reboot::set_cad_enabled,
        resource::{Resource, setrlimit},
    },
    unistd::sethostname,
};
use signal_hook_mio::v1_0::Signals;

use super::{
    Fatal, Node, SIGNALS, config,
    config::Configuration,
    limits, mounts,
    service::Service,
    stages::{IPVS_SYSCTLS, MOUNTS, SYSCTLS, Sysctl},
    sysctl,
};
use crate::{cmdline::CommandLine, logging, sys};

/// One step of the boot.
struct Stage {
    name: &'static str,
    fatal: bool,
    run: Run,
}

/// Does the step and says in a few words what was done.
type Run = fn(&mut Node) -> io::Result<String>;

/// Signals, mounts and the log come before these, in [`boot`]: without them there is nobody to report to.
const STAGES: &[Stage] = &[
    or_go_on("settings", |_| settings(SYSCTLS)),
    // The longest part; what follows up to the wait for it goes on meanwhile.
    or_go_on("device loader", start_device_loader),
    or_go_on("loopback", loopback),
    or_go_on("core files", core_limit),
    or_go_on("host name", host_name),
    or_go_on("drivers", wait_for_drivers),
    or_go_on("ipvs settings", |_| settings(IPVS_SYSCTLS)),
    or_reboot("configuration", configuration),
    or_reboot("children", children),
];

/// A step without which the node is of no use: it reboots.
const fn or_reboot(name: &'static str, run: Run) -> Stage {
    Stage {
        name,
        fatal: true,
        run,
    }
}

/// A step whose failure is logged: a node that is reachable on its console is better than none.
const fn or_go_on(name: &'static str, run: Run) -> Stage {
    Stage {
        name,
        fatal: false,
        run,
    }
}

/// Boots the machine up to its running children.
///
/// # Errors
/// What the node is of no use without.
pub(super) fn boot(started: Instant) -> Result<Node, Fatal> {
    // First of all, for a signal without a handler is lost, and Ctrl-Alt-Del without one resets the machine.
    let (poll, signals) = signals().map_err(|cause| Fatal {
        step: "signals",
        cause,
    })?;
    let (mounted, missing) = mounts::mount_all(MOUNTS).map_err(|cause| Fatal {
        step: "mounts",
        cause: io::Error::other(cause),
    })?;
    let kernel_log = logging::to_kernel_log();
    let asked = CommandLine::read();
    logging::install("keelson", asked.log);
    log::info!("boot: keelson {} as process 1", env!("CARGO_PKG_VERSION"));
    if let Err(cause) = kernel_log {
        log::error!("boot: no kernel log: {cause}");
    }
    missing.iter().for_each(|line| log::warn!("boot: {line}"));
    log::info!(
        "boot: {mounted} mounts in {} ms",
        started.elapsed().as_millis()
    );

    let mut node = Node::new(poll, signals, asked);
    for stage in STAGES {
        let since = Instant::now();
        match (stage.run)(&mut node) {
            Ok(done) => log::info!(
                "boot: {}: {done} in {} ms, {} ms after start",
                stage.name,
                since.elapsed().as_millis(),
                started.elapsed().as_millis()
            ),
            Err(cause) if !stage.fatal => log::error!("boot: {}: {cause}", stage.name),
            Err(cause) => {
                return Err(Fatal {
                    step: stage.name,
                    cause,
                });
            }
        }
    }
    Ok(node)
}

fn signals() -> io::Result<(Poll, Signals)> {
    let poll = Poll::new()?;
    let mut signals = Signals::new([
        libc::SIGCHLD,
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGPWR,
        // A terminal that hangs up must not matter to PID 1.
        libc::SIGHUP,
    ])?;
    poll.registry()
        .register(&mut signals, SIGNALS, Interest::READABLE)?;
    set_cad_enabled(false)?;
    Ok((poll, signals))
}

fn settings(table: &[Sysctl]) -> io::Result<String> {
    let report = sysctl::apply(Path::new("/proc/sys"), table);
    report
        .refused
        .iter()
        .for_each(|line| log::warn!("setting {line}"));
    Ok(format!(
        "{} hold, {} absent, {} refused",
        report.held,
        report.absent,
        report.refused.len()
    ))
}

/// IPVS refuses every dest (EINVAL) while the machine has no address at all, so this comes before the director.
fn loopback(_: &mut Node) -> io::Result<String> {
    sys::raise_loopback()?;
    Ok("up".to_owned())
}

/// No core files: nobody could collect them.
fn core_limit(_: &mut Node) -> io::Result<String> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok("off".to_owned())
}

/// A name for the log until the director has read router.conf.
fn host_name(node: &mut Node) -> io::Result<String> {
    let name = node.asked.node.as_deref().unwrap_or("keelson");
    sethostname(name)?;
    Ok(name.to_owned())
}

fn start_device_loader(node: &mut Node) -> io::Result<String> {
    node.add(Instant::now(), Service::Devices);
    node.act();
    Ok("started".to_owned())
}

/// Waits until the drivers that the director needs are in, or until it takes too long.
fn wait_for_drivers(node: &mut Node) -> io::Result<String> {
    let mut events = Events::with_capacity(8);
    let started = Instant::now();
    while !node.drivers_ready && node.finished.is_none() {
        let left = limits::DRIVERS_WITHIN.saturating_sub(started.elapsed());
        if left == Duration::ZERO {
            return Err(io::ErrorKind::TimedOut.into());
        }
        node.hear(&mut events, left.min(limits::TURN))
            .map_err(|fatal| fatal.cause)?;
        node.act();
    }
    Ok("waited".to_owned())
}

fn configuration(_: &mut Node) -> io::Result<String> {
    let found = Configuration::find(Path::new("/"));
    found
        .complaints
        .iter()
        .for_each(|line| log::error!("configuration: {line}"));
    found.write(
        Path::new(config::CONFIG_DIRECTORY),
        Path::new(config::RUN_DIRECTORY),
    )?;
    Ok(found.source)
}

fn children(node: &mut Node) -> io::Result<String> {
    let now = Instant::now();
    node.add(now, Service::Director);
    node.act();
    node.add_consoles(now);
    node.act();
    Ok(format!("{} of them", node.services.len()))
}
