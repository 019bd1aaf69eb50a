//! The machine around the console: its name, its kernel's messages, its PID 1.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::command::Power;
use super::render;

/// Up to which priority the kernel writes messages to its consoles, in the first of four numbers.
const PRINTK: &str = "/proc/sys/kernel/printk";

/// The node's name, up to the first dot and short enough for a prompt.
pub(super) fn host() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = render::ascii(&name.to_string_lossy());
    name.split('.')
        .next()
        .unwrap_or_default()
        .chars()
        .take(32)
        .collect()
}

/// Keeps messages of priority error off the line on a node that was booted with `quiet`, which lets them through: they
/// are in the log, and would stand in the middle of what a person reads. What ends the machine is more urgent than
/// that. A node booted to show more goes on showing it.
pub(super) fn quieten() {
    let quiet = fs::read_to_string(PRINTK)
        .is_ok_and(|levels| levels.split_whitespace().next() == Some("4"));
    if quiet && pid_1_is_keelson() {
        // It is only less quiet when that fails.
        let _ = fs::write(PRINTK, "3");
    }
}

/// Asks PID 1 for an orderly stop.
pub(super) fn stop(power: Power) -> Result<(), String> {
    if !pid_1_is_keelson() {
        return Err("not done: PID 1 of this machine is not keelson".to_owned());
    }
    let signal = match power {
        Power::Reboot => Signal::SIGTERM,
        Power::Off => Signal::SIGUSR2,
    };
    kill(Pid::from_raw(1), signal).map_err(|error| format!("PID 1 could not be told: {error}"))
}

fn pid_1_is_keelson() -> bool {
    let file = |path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((file("/proc/1/exe"), file("/proc/self/exe")), (Ok(theirs), Ok(ours)) if theirs == ours)
}
