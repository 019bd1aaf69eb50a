//! The hardware watchdog: it resets the machine when nobody feeds it.
//!
//! PID 1 feeds it only while the supervisor says that the node is sane, so a director that hangs, a PID 1 that hangs
//! and a kernel that hangs all end in a reset.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    time::Instant,
};

use super::{limits, supervise::Stop};
use crate::{cmdline::WatchdogChoice, sys};

const DEVICE: &str = "/dev/watchdog0";

/// The watchdog of this machine, if it has one and it is wanted.
pub(super) struct Watchdog {
    wanted: bool,
    device: Option<File>,
    fed_at: Option<Instant>,
}

impl Watchdog {
    /// Not opened yet: its driver may come later.
    pub(super) fn new(choice: WatchdogChoice) -> Self {
        Self {
            wanted: choice != WatchdogChoice::Off,
            device: None,
            fed_at: None,
        }
    }

    /// Opens the watchdog if there is one by now; from then on it must be fed. Gives back a line about it when it is
    /// new.
    pub(super) fn open(&mut self) -> Option<Result<String, io::Error>> {
        if !self.wanted || self.device.is_some() {
            return None;
        }
        match OpenOptions::new().write(true).open(DEVICE) {
            Ok(device) => {
                let line = describe(&device);
                self.device = Some(device);
                Some(Ok(line))
            }
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound) => None,
            Err(cause) => {
                // One complaint is enough: a device that somebody else holds stays held.
                self.wanted = false;
                Some(Err(cause))
            }
        }
    }

    /// Feeds it when the node is sane and it is time.
    pub(super) fn turn(&mut self, now: Instant, sane: bool) {
        let due = self
            .fed_at
            .is_none_or(|at| now.saturating_duration_since(at) >= limits::FEED_EVERY);
        if !sane || !due {
            return;
        }
        if let Some(device) = &mut self.device {
            match device.write_all(&[0]) {
                Ok(()) => self.fed_at = Some(now),
                Err(cause) => log::warn!("watchdog: cannot feed it: {cause}"),
            }
        }
    }

    /// The last time, on the way down: for a reboot it stays armed and ends one that hangs; a machine that is to stay
    /// off must not be woken, so there it is disarmed by the letter that drivers wait for.
    pub(super) fn release(&mut self, stop: Stop) {
        let Some(mut device) = self.device.take() else {
            return;
        };
        let last = if stop == Stop::Reboot { 0 } else { b'V' };
        if let Err(cause) = device.write_all(&[last]) {
            log::warn!("watchdog: {cause}");
        }
        if stop == Stop::Reboot {
            // Closing it without the letter would be logged by the kernel as a mistake.
            std::mem::forget(device);
        }
    }
}

fn describe(device: &File) -> String {
    let identity = fs::read_to_string("/sys/class/watchdog/watchdog0/identity").unwrap_or_default();
    let timeout = match sys::set_watchdog_timeout(device, limits::WATCHDOG_TIMEOUT_S) {
        Ok(seconds) => format!("{seconds} s"),
        Err(errno) => format!("unchanged ({errno})"),
    };
    let last_boot = match sys::watchdog_boot_status(device) {
        Ok(0) => "not by the watchdog".to_owned(),
        Ok(flags) => reasons(flags),
        Err(_) => "unknown".to_owned(),
    };
    format!(
        "{}, timeout {timeout}, last reset: {last_boot}",
        identity.trim()
    )
}

/// The names of the reset reasons (linux/watchdog.h, `WDIOF_*`).
fn reasons(flags: i32) -> String {
    const NAMES: &[(i32, &str)] = &[
        (0x01, "overheated"),
        (0x02, "fan failed"),
        (0x04, "external 1"),
        (0x08, "external 2"),
        (0x10, "power bad"),
        (0x20, "reset by the watchdog"),
        (0x40, "power over"),
    ];
    let known: Vec<&str> = NAMES
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, name)| *name)
        .collect();
    if known.is_empty() {
        format!("flags {flags:#x}")
    } else {
        known.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_reasons_are_named() {
        assert_eq!(reasons(0x20), "reset by the watchdog");
        assert_eq!(reasons(0x21), "overheated, reset by the watchdog");
        assert_eq!(reasons(0x8000), "flags 0x8000");
    }

    #[test]
    fn a_watchdog_that_is_not_wanted_is_never_opened() {
        assert!(Watchdog::new(WatchdogChoice::Off).open().is_none());
    }
}
