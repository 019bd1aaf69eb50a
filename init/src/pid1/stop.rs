//! The ends of PID 1. All of them take the machine down: it never returns and never just stops.

use std::{panic, thread, time::Duration};

use nix::{
    libc,
    sys::{
        reboot::RebootMode,
        signal::{Signal, kill},
    },
    unistd::Pid,
};

use super::{limits, supervise::Stop};
use crate::{logging, sys};

/// Time for the kernel to write out and go down before PID 1 restarts the machine by force.
const PATIENCE: Duration = Duration::from_secs(20);

impl Stop {
    /// What a signal to PID 1 asks for: the signals of sysvinit and busybox, which tools and hypervisors know.
    pub(super) fn asked_by(signal: i32) -> Option<Self> {
        match signal {
            // SIGINT is Ctrl-Alt-Del.
            libc::SIGTERM | libc::SIGINT => Some(Self::Reboot),
            libc::SIGUSR1 => Some(Self::Halt),
            // SIGPWR is a power supply that is about to fail.
            libc::SIGUSR2 | libc::SIGPWR => Some(Self::PowerOff),
            _ => None,
        }
    }
}

/// Takes the machine down after every child had its chance.
pub(super) fn finish(stop: Stop) -> ! {
    log::info!("going down: {stop:?}");
    // Whoever is left is nobody's child of note; -1 is everybody but PID 1.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    sys::take_down(
        match stop {
            Stop::Reboot => RebootMode::RB_AUTOBOOT,
            Stop::Halt => RebootMode::RB_HALT_SYSTEM,
            Stop::PowerOff => RebootMode::RB_POWER_OFF,
        },
        PATIENCE,
    )
}

/// Takes the machine down because PID 1 cannot go on; the peer takes over.
pub(super) fn fail(what: &str) -> ! {
    logging::last_words("keelson", &format!("{what}; rebooting"));
    // Long enough to be read on the console, and to keep a node that fails at every boot from spinning.
    thread::sleep(limits::FATAL_PAUSE);
    sys::take_down(RebootMode::RB_AUTOBOOT, PATIENCE)
}

/// Makes every panic of this process end in a reboot. Should even that fail, the process aborts, and for the kernel the
/// end of PID 1 is a panic, which `panic=10` turns into a reboot.
pub(super) fn reboot_on_panic() {
    panic::set_hook(Box::new(|panic| fail(&panic.to_string())));
}
