//! The kernel's device events.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt,
        socket, sockopt,
    },
};

/// Multicast group of the kernel's own events (group 2 is udev's).
const KERNEL_GROUP: u32 = 1;
/// Receive buffer: loading one bus driver may announce hundreds of devices before anybody reads.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// Longest event; the kernel's own buffer is 2048 (include/linux/kobject.h, `UEVENT_BUFFER_SIZE`) plus the header.
const EVENT_BYTES_MAX: usize = 8192;

/// A socket that hears the kernel's device events.
pub(super) struct Uevents {
    socket: OwnedFd,
}

impl Uevents {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkKObjectUEvent;
        let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)?;
        // A smaller buffer is no reason to do without: an overrun is noticed, see `drain`.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES);
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
        Ok(Self { socket })
    }

    /// Waits until there is an event.
    pub(super) fn wait(&self) -> io::Result<()> {
        let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads all events that are there and calls `found` with the modalias of each device that appeared. False when the
    /// kernel had to drop some: then only a walk of /sys tells what there is.
    pub(super) fn drain(&mut self, mut found: impl FnMut(&str)) -> io::Result<bool> {
        let mut buffer = [0; EVENT_BYTES_MAX];
        let mut complete = true;
        loop {
            match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut buffer) {
                // Port 0 is the kernel; anybody else who writes to the group is not believed.
                Ok((length, Some(sender))) if sender.pid() == 0 => {
                    if let Some(modalias) = appeared(buffer.get(..length).unwrap_or_default()) {
                        found(modalias);
                    }
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => complete = false,
                Err(Errno::EAGAIN) => return Ok(complete),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// The modalias in an event that says that a device was added. The event is `add@DEVPATH` and then `KEY=VALUE`, each
/// ended by NUL.
fn appeared(event: &[u8]) -> Option<&str> {
    let mut fields = event.split(|&byte| byte == 0);
    if !fields.next()?.starts_with(b"add@") {
        return None;
    }
    fields
        .find_map(|field| field.strip_prefix(b"MODALIAS="))
        .and_then(|modalias| std::str::from_utf8(modalias).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_added_device_shows_its_modalias() {
        let event = b"add@/devices/pci0000:00/0000:00:02.0/virtio0\0ACTION=add\0SUBSYSTEM=virtio\0\
                      MODALIAS=virtio:d00000001v00001AF4\0SEQNUM=1234\0";
        assert_eq!(appeared(event), Some("virtio:d00000001v00001AF4"));
    }

    #[test]
    fn other_events_and_garbage_show_nothing() {
        for event in [
            b"remove@/devices/x\0ACTION=remove\0MODALIAS=virtio:d1\0".as_slice(),
            b"add@/devices/virtual/tty/tty1\0ACTION=add\0",
            b"add@/x\0MODALIAS=\xff\xfe\0",
            b"libudev\0\xfe\xed\xca\xfe",
            b"",
        ] {
            assert_eq!(appeared(event), None);
        }
    }
}
