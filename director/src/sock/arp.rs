//! The sender of gratuitous ARP: one packet socket for all interfaces, which receives nothing.

use core::net::Ipv4Addr;
use std::io;
use std::os::fd::AsRawFd;

use director_core::net::{Ifindex, Mac};
use director_core::wire::arp;
use socket2::{Domain, Socket, Type};

use super::LastError;

/// The sender.
#[derive(Debug)]
pub struct ArpSender {
    socket: Socket,
    last_error: LastError,
}

impl ArpSender {
    /// Opens the socket.
    ///
    /// # Errors
    /// Without CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        // Protocol 0 receives nothing; SOCK_DGRAM lets the kernel write the Ethernet header.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), None)?;
        Ok(Self {
            socket,
            last_error: LastError::default(),
        })
    }

    /// Announces an address to everybody on an interface. An error is logged when it is another one than at the send
    /// before.
    pub fn announce(&mut self, ifindex: Ifindex, mac: Mac, address: Ipv4Addr) {
        let sent = self.send(ifindex, &arp::Repr::gratuitous(mac, address).emit());
        let what = format_args!("announcement of {address} on link {}", ifindex.0);
        self.last_error.note(sent, what);
    }

    fn send(&self, ifindex: Ifindex, packet: &[u8]) -> io::Result<()> {
        let [a, b, c, d, e, f] = Mac::BROADCAST.0;
        let to = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: arp::ETHERTYPE.to_be(),
            sll_ifindex: ifindex.0.cast_signed(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 6,
            sll_addr: [a, b, c, d, e, f, 0, 0],
        };
        // SAFETY: both pointers are to live values of the lengths given, which the kernel only reads.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const to).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}
