//! The way from this binary to a program of the operator's: gives up everything that the program must not have.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chdir, setgid, setgroups, setuid};

/// The role's name on the command line.
pub const ROLE: &str = "launch";

/// What is to be run, and as whom.
#[derive(Clone, Debug)]
pub struct Launch {
    /// User, by number.
    pub user: u32,
    /// Group, by number; the only one.
    pub group: u32,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// Files that a program may have open: what a login shell gives.
const FILES: u64 = 1024;

/// Memory that a program may lock: the kernel's default in the days when programs could rely on it.
const LOCKED: u64 = 64 << 10;

impl Launch {
    /// The words of the command line that [`ROLE`] takes.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![
            ROLE.into(),
            self.user.to_string().into(),
            self.group.to_string().into(),
            self.program.clone().into(),
            "--".into(),
        ];
        words.extend(self.arguments.iter().cloned());
        words
    }

    /// Becomes the program; comes back only with the reason why that is not possible.
    #[must_use]
    pub fn run(&self) -> io::Error {
        match self.give_up() {
            // exec resets the signal mask and SIGPIPE, which this runtime has changed.
            Ok(()) => Command::new(&self.program).args(&self.arguments).exec(),
            Err(error) => error,
        }
    }

    fn give_up(&self) -> io::Result<()> {
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        setrlimit(Resource::RLIMIT_NOFILE, FILES, FILES)?;
        setrlimit(Resource::RLIMIT_MEMLOCK, LOCKED, LOCKED)?;
        umask(Mode::S_IWGRP | Mode::S_IWOTH);
        chdir("/")?;
        close_all()?;
        // The order matters: each step needs what the next one gives up. Another user than root has no capability.
        setgroups(&[])?;
        setgid(Gid::from_raw(self.group))?;
        setuid(Uid::from_raw(self.user))?;
        nix::sys::prctl::set_no_new_privs()?;
        // A change of user takes this back, so it comes last. The director is the parent: without it, nobody would
        // keep to the deadline.
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        Ok(())
    }
}

/// Closes what the director was given by PID 1 and did not open itself: all above standard error.
fn close_all() -> io::Result<()> {
    // SAFETY: from here on this process uses no descriptor above 2. By its number, for musl has no such function; with
    // CLOSE_RANGE_CLOEXEC, so that nothing is pulled away under this runtime.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, CLOEXEC) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// CLOSE_RANGE_CLOEXEC of linux/close_range.h, Linux 5.11 and later.
const CLOEXEC: u32 = 4;

/// The exit code that says of a program why it could not be run, as a shell's does.
#[must_use]
pub fn exit_code(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound {
        127
    } else {
        126
    }
}
