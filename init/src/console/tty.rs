//! The line itself: a terminal device as controlling terminal, or a pair of descriptors in tests.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::termios::{
    ControlFlags, InputFlags, LocalFlags, OutputFlags, SetArg, SpecialCharacterIndices, Termios,
    cfmakeraw, tcgetattr, tcsetattr,
};

/// A console's line, non-blocking in both directions.
#[derive(Debug)]
pub struct Line {
    input: File,
    /// None where input and output are the same descriptor.
    output: Option<File>,
    before: Option<Termios>,
}

impl Line {
    /// Opens `/dev/NAME`, makes it the controlling terminal of a new session, and sets it to raw.
    ///
    /// # Errors
    /// The device is not there, or is no terminal.
    pub fn terminal(name: &str) -> io::Result<Self> {
        // Fails for a process group's leader, as when a shell started this; the terminal is then used as it is.
        let leader = nix::unistd::setsid().is_ok();
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
            .open(format!("/dev/{name}"))?;
        if leader {
            // SAFETY: TIOCSCTTY takes an int by value and no pointer; the descriptor is open.
            let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::TIOCSCTTY, 0) };
            if result < 0 {
                log::warn!(
                    "{name} is no controlling terminal: {}",
                    io::Error::last_os_error()
                );
            }
        }
        let before = raw(device.as_fd())?;
        Ok(Self {
            input: device,
            output: None,
            before: Some(before),
        })
    }

    /// Standard input and output: a terminal, or two pipes.
    ///
    /// # Errors
    /// They are closed.
    pub fn stdio() -> io::Result<Self> {
        let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        for descriptor in [&input, &output] {
            let flags = fcntl(descriptor, FcntlArg::F_GETFL)?;
            fcntl(
                descriptor,
                FcntlArg::F_SETFL(OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK),
            )?;
        }
        let before = raw(input.as_fd()).ok();
        Ok(Self {
            input,
            output: Some(output),
            before,
        })
    }

    /// What becomes readable.
    pub fn input(&self) -> RawFd {
        self.input.as_raw_fd()
    }

    /// What becomes writable, where that is another descriptor.
    pub fn output(&self) -> Option<RawFd> {
        self.output.as_ref().map(AsRawFd::as_raw_fd)
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.as_mut().unwrap_or(&mut self.input).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nobody is left to tell when it fails.
            let _ = tcsetattr(&self.input, SetArg::TCSANOW, before);
        }
    }
}

/// Sets a terminal to raw at its present speed; what it was set to before.
fn raw(terminal: BorrowedFd<'_>) -> io::Result<Termios> {
    let before = tcgetattr(terminal)?;
    let mut settings = before.clone();
    make_raw(&mut settings);
    tcsetattr(terminal, SetArg::TCSANOW, &settings)?;
    Ok(before)
}

/// Bytes as they are, both ways: 8 data bits, no parity, no echo, no signals, no modem lines, a break ignored.
pub fn make_raw(settings: &mut Termios) {
    cfmakeraw(settings);
    settings.input_flags |= InputFlags::IGNBRK;
    settings.input_flags &= !(InputFlags::IXOFF | InputFlags::IXANY);
    settings.output_flags &= !OutputFlags::OPOST;
    settings.local_flags &= !LocalFlags::ISIG;
    settings.control_flags |= ControlFlags::CLOCAL | ControlFlags::CREAD;
    settings.control_flags &= !(ControlFlags::CRTSCTS | ControlFlags::CSTOPB);
    for (index, value) in [
        (SpecialCharacterIndices::VMIN, 1),
        (SpecialCharacterIndices::VTIME, 0),
    ] {
        if let Some(character) = settings.control_chars.get_mut(index as usize) {
            *character = value;
        }
    }
}
