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
    supervise::Supervisor,
    sysctl,
    watchdog::Watchdog,
};
use crate::{cmdline::CommandLine, logging, sys};

/// One step of the boot.
struct Stage {
    name: &'static str,
    on_failure: OnFailure,
    /// Does it and says in a few words what was done.
    run: fn(&mut Node) -> io::Result<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// The node is of no use without: reboot.
    Reboot,
    /// Log it and go on: a node that is reachable on its console is better than none.
    GoOn,
}

use OnFailure::{GoOn, Reboot};

/// Signals, mounts and the log come before these, in [`boot`]: without them there is nobody to report to.
const STAGES: &[Stage] = &[
    Stage {
        name: "settings",
        on_failure: GoOn,
        run: |_| settings(SYSCTLS),
    },
    // The longest part; what follows up to the wait for it goes on meanwhile.
    Stage {
        name: "device loader",
        on_failure: GoOn,
        run: start_device_loader,
    },
    Stage {
        name: "loopback",
        on_failure: GoOn,
        run: loopback,
    },
    Stage {
        name: "core files",
        on_failure: GoOn,
        run: core_limit,
    },
    Stage {
        name: "host name",
        on_failure: GoOn,
        run: host_name,
    },
    Stage {
        name: "drivers",
        on_failure: GoOn,
        run: wait_for_drivers,
    },
    Stage {
        name: "ipvs settings",
        on_failure: GoOn,
        run: |_| settings(IPVS_SYSCTLS),
    },
    Stage {
        name: "configuration",
        on_failure: Reboot,
        run: configuration,
    },
    Stage {
        name: "children",
        on_failure: Reboot,
        run: children,
    },
];

/// Boots the machine up to its running children.
///
/// # Errors
/// What the node is of no use without.
pub(super) fn boot(started: Instant) -> Result<Node, Fatal> {
    // Before anything that could send one: the default action of a signal would be lost, that of Ctrl-Alt-Del is to reset.
    let (poll, signals) = signals().map_err(|cause| Fatal {
        doing: "receive signals",
        cause,
    })?;
    let (mounted, missing) = mounts::mount_all(MOUNTS).map_err(|cause| Fatal {
        doing: "mount",
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

    let watchdog = Watchdog::new(asked.watchdog);
    let mut node = Node {
        poll,
        signals,
        asked,
        supervisor: Supervisor::new(Instant::now()),
        services: Vec::new(),
        heart: None,
        devices: None,
        drivers_ready: false,
        buttons: Vec::new(),
        watchdog,
        finished: None,
    };
    for stage in STAGES {
        let since = Instant::now();
        match (stage.run)(&mut node) {
            Ok(done) => log::info!(
                "boot: {}: {done} in {} ms, {} ms after start",
                stage.name,
                since.elapsed().as_millis(),
                started.elapsed().as_millis()
            ),
            Err(cause) if stage.on_failure == GoOn => log::error!("boot: {}: {cause}", stage.name),
            Err(cause) => {
                return Err(Fatal {
                    doing: stage.name,
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

/// IPVS refuses every dest while no address exists (facts of its inet_addr_type check), so this comes before the director.
fn loopback(_: &mut Node) -> io::Result<String> {
    sys::raise_loopback()?;
    Ok("up".to_owned())
}

/// No core files: nobody could collect them, and /run is small.
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
    found.write(Path::new(config::RUN_DIRECTORY))?;
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
