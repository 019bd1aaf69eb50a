//! A serial device of the workstation: opened for ourselves alone, raw, 8N1, and given back as it was.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sys::termios::{self, BaudRate, ControlFlags, FlushArg, SetArg, Termios};

use crate::console::tty::make_raw;

/// Speeds that every driver knows.
const SPEEDS: [(u32, BaudRate); 9] = [
    (1200, BaudRate::B1200),
    (2400, BaudRate::B2400),
    (4800, BaudRate::B4800),
    (9600, BaudRate::B9600),
    (19_200, BaudRate::B19200),
    (38_400, BaudRate::B38400),
    (57_600, BaudRate::B57600),
    (115_200, BaudRate::B115200),
    (230_400, BaudRate::B230400),
];

/// An open serial device, non-blocking.
#[derive(Debug)]
pub(super) struct Device {
    file: File,
    before: Termios,
}

impl Device {
    /// Opens the device at a speed.
    ///
    /// # Errors
    /// It is not there, not ours to open, in use, no terminal, or the speed is none of the usual ones.
    pub(super) fn open(path: &Path, baud: u32) -> io::Result<Self> {
        let speed = SPEEDS
            .iter()
            .find(|(rate, _)| *rate == baud)
            .map(|(_, speed)| *speed);
        let speed = speed.ok_or_else(|| io::Error::other(format!("{baud} is no usual speed")))?;
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let before = termios::tcgetattr(&file)?;
        let mut settings = before.clone();
        make_raw(&mut settings);
        settings.control_flags &= !(ControlFlags::PARENB | ControlFlags::CSIZE);
        settings.control_flags |= ControlFlags::CS8;
        termios::cfsetspeed(&mut settings, speed)?;
        termios::tcsetattr(&file, SetArg::TCSANOW, &settings)?;
        // What an earlier program left unread is no answer to us.
        termios::tcflush(&file, FlushArg::TCIOFLUSH)?;
        Ok(Self { file, before })
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Read for Device {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Write for Device {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Nobody is left to tell when it fails.
        let _ = termios::tcsetattr(&self.file, SetArg::TCSANOW, &self.before);
    }
}
