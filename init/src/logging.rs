//! Log lines: to the standard error output, one write for each.
//!
//! On the node PID 1 points that output, its own and its children's, at the kernel's log (`/dev/kmsg`): one ring that
//! survives every process, is read from the console, and never makes a writer wait for a stalled terminal. There a line
//! begins with its priority (`<6>`); anywhere else it does not.

use std::{
    fmt::Write as _,
    fs::OpenOptions,
    io::{self, Write as _},
    os::fd::AsFd,
};

use log::{Level, LevelFilter};
use nix::{
    sys::stat::{fstat, makedev},
    unistd::{dup2_stderr, dup2_stdin, dup2_stdout},
};

/// Bytes of one record in the kernel's log; it refuses more than about 1000 (kernel/printk: `LOG_LINE_MAX`).
const RECORD_BYTES_MAX: usize = 900;

/// Points the standard streams of this process, and so of its children, at the kernel's log: from here on no write to
/// them waits for a terminal.
///
/// # Errors
/// What the system says; then the streams may be as they were.
pub fn to_kernel_log() -> io::Result<()> {
    let null = OpenOptions::new().read(true).open("/dev/null")?;
    let log = OpenOptions::new().write(true).open("/dev/kmsg")?;
    dup2_stdin(&null)?;
    dup2_stdout(&log)?;
    dup2_stderr(&log)?;
    Ok(())
}

/// Installs the logger of this process. `name` stands in each line, so that the lines of several processes can be told
/// apart. A second call changes nothing.
pub fn install(name: &'static str, level: LevelFilter) {
    let to_kernel = stderr_is_kernel_log();
    let id = std::process::id();
    // An error means that there is a logger already.
    let _ = env_logger::Builder::new()
        .filter_level(level)
        .format(move |out, record| {
            let mut line = String::new();
            if to_kernel {
                let _ = write!(line, "<{}>", priority(record.level()));
            }
            let _ = write!(line, "{name}[{id}]: {}", record.args());
            out.write_all(cut(&line).as_bytes())?;
            out.write_all(b"\n")
        })
        .try_init();
}

/// Writes one line of the highest urgency, past the logger: for the last words of a process. It shows on the console
/// even when the kernel was told to be quiet.
pub fn last_words(name: &str, text: &str) {
    let prefix = if stderr_is_kernel_log() { "<2>" } else { "" };
    let line = format!("{prefix}{name}[{}]: {text}", std::process::id());
    let _ = io::stderr().write_all(format!("{}\n", cut(&line)).as_bytes());
}

fn stderr_is_kernel_log() -> bool {
    fstat(io::stderr().as_fd()).is_ok_and(|stat| stat.st_rdev == makedev(1, 11))
}

/// The kernel's priority (syslog's severity) of a log level.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

fn cut(line: &str) -> &str {
    &line[..line.floor_char_boundary(RECORD_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_letters() {
        assert_eq!(cut("short"), "short");
        let long = "é".repeat(RECORD_BYTES_MAX);
        assert_eq!(cut(&format!("x{long}")).len(), RECORD_BYTES_MAX - 1);
    }
}
