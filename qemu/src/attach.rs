//! A terminal on a machine's serial console: `cargo lab attach NODE`.
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use image::Workspace;
use nix::sys::termios::{self, SetArg, Termios};

/// Ctrl-], as in telnet and virsh: no line editor wants it.
const LEAVE: u8 = 0x1d;

/// Connects this terminal to the console of `node` in the lab that is running, until Ctrl-] or the console's end.
/// Errors: no lab is running, the lab has no such node, somebody else has the console.
pub fn attach(node: &str) -> io::Result<()> {
    let announced = Workspace::new().target.join("lab/current");
    let folder = fs::read_to_string(&announced).map_err(|_| {
        io::Error::other("no lab is running here; start one with: cargo demo --keep")
    })?;
    let path = Path::new(&folder).join(format!("{node}.console"));
    let console = UnixStream::connect(&path).map_err(|error| {
        io::Error::other(format!(
            "{node} has no console in the running lab ({}: {error})",
            path.display()
        ))
    })?;
    eprintln!("Attached to {node}. Enter shows the prompt, Ctrl-] leaves.");
    let raw = RawTerminal::enter()?;
    let result = copy_both_ways(console);
    drop(raw);
    eprintln!("\nLeft {node}.");
    result
}

fn copy_both_ways(console: UnixStream) -> io::Result<()> {
    let (mut from_console, mut to_console) = (console.try_clone()?, console);
    let output = thread::spawn(move || io::copy(&mut from_console, &mut FlushedStdout).map(drop));
    let mut input = io::stdin().lock();
    let mut bytes = [0; 256];
    loop {
        let count = input.read(&mut bytes)?;
        let typed = bytes.get(..count).unwrap_or_default();
        let leave = typed.iter().position(|byte| *byte == LEAVE);
        to_console.write_all(typed.get(..leave.unwrap_or(count)).unwrap_or_default())?;
        if count == 0 || leave.is_some() {
            break;
        }
    }
    to_console.shutdown(Shutdown::Both)?;
    // The copy ends with an error or without one when its source is shut down; both are what was asked for.
    let _ = output.join();
    Ok(())
}

/// A prompt has no line end, so nothing may wait in a buffer for one.
struct FlushedStdout;

impl Write for FlushedStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal without echo and line editing, which the console does itself; as it was before when dropped.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(Self(None));
        }
        let before = termios::tcgetattr(&stdin)?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&stdin, SetArg::TCSANOW, &raw)?;
        Ok(Self(Some(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // The terminal may be gone; then nobody sees its settings.
            let _ = termios::tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        }
    }
}
