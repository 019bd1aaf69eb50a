//! Drivers: `keelson devices` loads those of what is there and of what appears later.
//!
//! A process of its own, because what it does can hang (a driver's probe) and reads what devices say about themselves;
//! PID 1 must do neither. It tells PID 1 on its standard output, one byte each: [`READY`] once the drivers that the
//! director needs are in, [`CHANGED`] when devices may have appeared. It lives as long as the node does.
//!
//! What the configuration asks for (a scheduler, a VLAN) is loaded when the kernel meets it: the kernel then runs this
//! program in the place of modprobe, see [`requested`].

mod coldplug;
mod loader;
mod uevent;

use std::{
    fs,
    io::{self, Write},
    process::ExitCode,
    time::Instant,
};

use self::{loader::Loader, uevent::Uevents};
use crate::{
    cmdline::{CommandLine, WatchdogChoice},
    logging,
    modules::Index,
};

/// The drivers that the director needs are loaded.
pub const READY: u8 = b'r';
/// Something may have appeared in /dev or /sys.
pub const CHANGED: u8 = b'c';

const INDEX: &str = "/lib/modules/index";

/// What a driver is for decides when it is loaded: the director waits for these parts of the kernel tree, and for what
/// they need. Disks, keyboards, IPVS schedulers and filters that it does not set itself come while it starts.
const EARLY: &[&str] = &[
    "/drivers/net/",
    "/ipvs/ip_vs.ko",
    "/nft_chain_nat.ko",
    "/nft_ct.ko",
    "/nft_hash.ko",
    "/nft_nat.ko",
    "/nf_conntrack_netlink.ko",
    "/virtio/",
    "/hv/",
    "/watchdog/",
    "/firmware/",
    "/hw_random/",
];
const ALL: &[&str] = &[""];

/// Runs the loader until it is told to end.
pub fn run() -> ExitCode {
    let asked = CommandLine::read();
    logging::install("devices", asked.log);
    match load_for_ever(&asked) {
        Ok(never) => match never {},
        Err(cause) => {
            log::error!("the device loader gives up: {cause}");
            ExitCode::FAILURE
        }
    }
}

/// The module or alias that the kernel asks for, when the arguments (without the program's name) are those with which
/// it runs modprobe: `-q -- NAME` (kernel/kmod.c).
pub fn requested(arguments: &[String]) -> Option<&str> {
    match arguments {
        [quiet, end, name] if quiet == "-q" && end == "--" => Some(name),
        _ => None,
    }
}

/// Loads the module of this name or alias, on behalf of the kernel.
pub fn load_requested(name: &str) -> ExitCode {
    let asked = CommandLine::read();
    // The kernel starts a program without any standard stream.
    let _ = logging::to_kernel_log();
    logging::install("modprobe", asked.log);
    let text = fs::read_to_string(INDEX).unwrap_or_default();
    let index = Index::parse(&text).unwrap_or_default();
    let mut loader = Loader::new(&index, &asked);
    // The kernel asks for much that it can do without; only its own caller knows whether that matters.
    if !loader.want_requested(name) || loader.load(|_| true) == 0 {
        log::debug!("{name}: not in this image");
        return ExitCode::FAILURE;
    }
    log::info!("{name}: loaded on request");
    ExitCode::SUCCESS
}

fn load_for_ever(asked: &CommandLine) -> io::Result<std::convert::Infallible> {
    let started = Instant::now();
    // Opened before the walk, so that nothing can appear between the two unseen.
    let mut uevents = Uevents::open()?;
    let text = fs::read_to_string(INDEX).unwrap_or_else(|cause| {
        log::error!("{INDEX}: {cause}: only built-in drivers");
        String::new()
    });
    let index = Index::parse(&text).unwrap_or_else(|cause| {
        log::error!("{INDEX}: {cause}: only built-in drivers");
        Index::default()
    });
    let mut loader = Loader::new(&index, asked);
    loader.want_always();
    if asked.watchdog == WatchdogChoice::Soft {
        loader.want_named("softdog");
    }
    coldplug::walk(|modalias| loader.want_for_device(modalias));
    load_all(&mut loader, &mut uevents, EARLY)?;
    log::info!(
        "drivers: the first {} in {} ms",
        loader.loaded(),
        started.elapsed().as_millis()
    );
    tell(READY)?;
    load_all(&mut loader, &mut uevents, ALL)?;
    log::info!(
        "drivers: {} of {} in {} ms",
        loader.loaded(),
        index.len(),
        started.elapsed().as_millis()
    );
    tell(CHANGED)?;
    loop {
        uevents.wait()?;
        load_all(&mut loader, &mut uevents, ALL)?;
        tell(CHANGED)?;
    }
}

/// Loads what is wanted from `parts` of the kernel tree, and again what the devices ask for that those drivers found (a
/// bus driver finds devices, a device has functions), until nothing new is asked for.
fn load_all(loader: &mut Loader<'_>, uevents: &mut Uevents, parts: &[&str]) -> io::Result<()> {
    loop {
        let complete = uevents.drain(|modalias| loader.want_for_device(modalias))?;
        if !complete {
            coldplug::walk(|modalias| loader.want_for_device(modalias));
        }
        if loader.load(|module| parts.iter().any(|part| module.path.contains(part))) == 0
            && complete
        {
            return Ok(());
        }
    }
}

fn tell(what: u8) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(&[what])?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_request_for_a_module_is_told_from_an_operators_command() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            requested(&words("-q -- rtnl-link-vlan")),
            Some("rtnl-link-vlan")
        );
        assert_eq!(requested(&words("-q rtnl-link-vlan")), None);
        assert_eq!(requested(&words("status --json x")), None);
    }
}
