//! The system calls that neither std nor nix offers in a safe form.

use std::{
    fs::File,
    os::fd::{AsRawFd, RawFd},
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    libc::{self, c_int},
    sys::{
        reboot::{RebootMode, reboot},
        socket::{AddressFamily, SockFlag, SockType, socket},
    },
    unistd::{ForkResult, fork},
};

/// Brings the loopback interface up; the kernel then gives it 127.0.0.1/8 and ::1 by itself (net/ipv4/devinet.c).
///
/// # Errors
/// What socket(2) or the SIOCSIFFLAGS request says.
pub(crate) fn raise_loopback() -> nix::Result<()> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: ifreq is made of integers, for which all bits zero is a value; the name is then NUL-terminated.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, &letter) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = letter.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which lives until the call returns.
    Errno::result(unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    })?;
    Ok(())
}

mod watchdog_ioctl {
    // linux/watchdog.h
    nix::ioctl_read!(boot_status, b'W', 2, nix::libc::c_int);
    nix::ioctl_readwrite!(set_timeout, b'W', 6, nix::libc::c_int);
}

/// Flags that say why the machine was last reset (WDIOC_GETBOOTSTATUS; linux/watchdog.h, `WDIOF_*`).
///
/// # Errors
/// What ioctl(2) says; many drivers do not know.
pub(crate) fn watchdog_boot_status(device: &File) -> nix::Result<c_int> {
    let mut flags = 0;
    // SAFETY: the request writes one int, to which the pointer is valid.
    unsafe { watchdog_ioctl::boot_status(fd(device), &raw mut flags) }?;
    Ok(flags)
}

/// Sets the time, in seconds, after which an unfed watchdog resets the machine (WDIOC_SETTIMEOUT).
///
/// # Errors
/// What ioctl(2) says.
///
/// Returns the time that the driver chose: hardware rounds.
pub(crate) fn set_watchdog_timeout(device: &File, seconds: c_int) -> nix::Result<c_int> {
    let mut chosen = seconds;
    // SAFETY: the request reads and writes one int, to which the pointer is valid.
    unsafe { watchdog_ioctl::set_timeout(fd(device), &raw mut chosen) }?;
    Ok(chosen)
}

fn fd(file: &File) -> RawFd {
    file.as_raw_fd()
}

/// Lowers the priority of a process against those that have the usual one, so that it does not delay them.
///
/// # Errors
/// What setpriority(2) says.
pub(crate) fn lower_priority(pid: u32) -> nix::Result<()> {
    // SAFETY: the call takes three numbers.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, pid, 10) }).map(drop)
}

/// Takes the machine down; called by PID 1 alone, or by a process that must not outlive an error.
///
/// A child makes the calls: sync(2) may hang with a dying disk, and where reboot(2) comes back (power off without ACPI,
/// halt) the kernel ends the process that called, which must not be PID 1 ("Attempted to kill init"). PID 1 gives the
/// child `patience` and then restarts the machine by itself.
pub(crate) fn take_down(mode: RebootMode, patience: Duration) -> ! {
    // SAFETY: this process has one thread, so the child may do all that the parent may.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            nix::unistd::sync();
            let _ = reboot(mode);
            // A halted machine stays here: the child ended inside the call.
        }
        Ok(ForkResult::Parent { .. }) => {
            thread::sleep(patience);
            if mode == RebootMode::RB_HALT_SYSTEM {
                loop {
                    nix::unistd::pause();
                }
            }
        }
        Err(_) => {}
    }
    loop {
        let _ = reboot(RebootMode::RB_AUTOBOOT);
        thread::sleep(Duration::from_secs(1));
    }
}
