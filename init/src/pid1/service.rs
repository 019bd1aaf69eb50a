//! The children of PID 1: what they are and how they are started.

use std::{
    fmt, fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use mio::unix::pipe;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::{
    config::{KEEPALIVED_CONF, ROUTER_CONF},
    limits,
    supervise::Restart,
};
use crate::sys;

/// One child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// The director.
    Director,
    /// The device loader.
    Devices,
    /// The console on one terminal, by the terminal's name in /dev.
    Console(String),
}

/// A child that was started.
pub struct Started {
    /// Its process.
    pub pid: i32,
    /// What it tells PID 1; a console tells nothing. It ends with the child.
    pub voice: Option<pipe::Receiver>,
}

impl Service {
    /// What happens when it ends.
    pub fn restart(&self) -> Restart {
        match self {
            Self::Director => Restart::AtOnceOrReboot,
            Self::Devices | Self::Console(_) => Restart::WithPause,
        }
    }

    /// Starts it: this same program in another role, with the default signals and an environment of its own. Standard
    /// output and error are PID 1's, the kernel's log.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(&self) -> io::Result<Started> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("keelson")
            .args(self.arguments())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null());
        let (pid, voice) = match self {
            Self::Director => {
                let (sender, voice) = pipe::new()?;
                command.env(director::HEARTBEAT, sender.as_raw_fd().to_string());
                // Only this child may inherit the descriptor: PID 1 has one thread, so nothing else starts meanwhile.
                // It stays non-blocking: a PID 1 that is late must not stop the director's loop.
                fcntl(sender.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))?;
                (command.spawn()?.id(), Some(voice))
            }
            Self::Devices => {
                let (sender, voice) = pipe::new()?;
                sender.set_nonblocking(false)?;
                command.stdout(Stdio::from(OwnedFd::from(sender)));
                (command.spawn()?.id(), Some(voice))
            }
            Self::Console(_) => (command.spawn()?.id(), None),
        };
        // Refusals of these two are of no consequence.
        if *self == Self::Director {
            // The last that the kernel may take for its memory.
            let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), "-900");
        } else {
            // Drivers that are loaded late and consoles must not delay the start of the director.
            let _ = sys::lower_priority(pid);
        }
        Ok(Started {
            pid: pid.cast_signed(),
            voice,
        })
    }

    fn arguments(&self) -> Vec<&str> {
        match self {
            Self::Director => {
                vec![
                    "director",
                    "--keepalived",
                    KEEPALIVED_CONF,
                    "--router",
                    ROUTER_CONF,
                    "--socket",
                    director::proto::SOCKET,
                ]
            }
            Self::Devices => vec!["devices"],
            Self::Console(terminal) => vec!["console", "--tty", terminal],
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Director => f.write_str("director"),
            Self::Devices => f.write_str("devices"),
            Self::Console(terminal) => write!(f, "console {terminal}"),
        }
    }
}

/// The terminals that the kernel prints to, each of which gets a console.
pub fn terminals() -> Vec<String> {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    terminals_in(&active)
        .into_iter()
        .filter(|name| Path::new("/dev").join(name).exists())
        .collect()
}

/// `tty0` stands for whichever virtual terminal is shown; a console needs one of its own.
fn terminals_in(active: &str) -> Vec<String> {
    active
        .split_whitespace()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .map(|name| if name == "tty0" { "tty1" } else { name }.to_owned())
        .take(limits::CONSOLES_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_active_terminal_gets_a_console() {
        assert_eq!(terminals_in("tty0 hvc0 ttyS0\n"), ["tty1", "hvc0", "ttyS0"]);
        assert_eq!(terminals_in(""), [""; 0]);
        assert_eq!(terminals_in("../x ttyS1"), ["ttyS1"]);
    }
}
