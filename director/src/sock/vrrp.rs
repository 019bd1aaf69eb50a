//! Raw sockets for VRRP, IP protocol 112: one for each interface, which both receives and sends.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::num::NonZeroU32;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice, Read};
use std::os::fd::AsRawFd;

use director_core::net::Ifindex;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};

use super::LastError;

/// IANA's number of VRRP (RFC 9568 section 5.1.1.4).
const PROTOCOL: i32 = 112;
/// Internetwork control, as routers mark what keeps the network alive.
const TOS: u8 = 0xc0;
/// The matching queueing priority (TC_PRIO_INTERACTIVE, linux/pkt_sched.h).
const PRIORITY: u32 = 6;
/// A receiver drops what came through a router (RFC 9568 section 5.1.1.3).
const TTL: u8 = 255;

/// The sockets, by interface.
#[derive(Debug, Default)]
pub struct VrrpSockets {
    sockets: BTreeMap<Ifindex, VrrpSocket>,
}

#[derive(Debug)]
struct VrrpSocket {
    socket: Socket,
    groups: BTreeSet<Ipv4Addr>,
    last_error: LastError,
}

impl VrrpSockets {
    /// Listens for a group on an interface. A group that was joined before is joined anew, so that the switch hears
    /// of it again.
    ///
    /// # Errors
    /// When the interface is gone, or without CAP_NET_RAW.
    pub fn join(
        &mut self,
        registry: &Registry,
        token: Token,
        ifindex: Ifindex,
        group: Ipv4Addr,
    ) -> io::Result<()> {
        let entry = match self.sockets.entry(ifindex) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let socket = open(ifindex)?;
                let source = &mut SourceFd(&socket.as_raw_fd());
                registry.register(source, token, Interest::READABLE)?;
                entry.insert(VrrpSocket {
                    socket,
                    groups: BTreeSet::new(),
                    last_error: LastError::default(),
                })
            }
        };
        let interface = InterfaceIndexOrAddress::Index(ifindex.0);
        if entry.groups.contains(&group) {
            // The membership may be gone with an interface's addresses; what counts is the join.
            let _ = entry.socket.leave_multicast_v4_n(&group, &interface);
        }
        entry.socket.join_multicast_v4_n(&group, &interface)?;
        entry.groups.insert(group);
        Ok(())
    }

    /// Closes the socket of an interface that is gone; a new one of the same name has another number.
    pub fn forget(&mut self, registry: &Registry, ifindex: Ifindex) {
        if let Some(entry) = self.sockets.remove(&ifindex) {
            // Closing takes it out of the poll as well.
            let _ = registry.deregister(&mut SourceFd(&entry.socket.as_raw_fd()));
        }
    }

    /// Reads the next packet, from its IP header on; none when there is no more for now.
    ///
    /// # Errors
    /// What the interface did, e.g. ENETDOWN; the next read may go well.
    pub fn receive(&self, ifindex: Ifindex, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(entry) = self.sockets.get(&ifindex) else {
            return Ok(None);
        };
        match (&entry.socket).read(buffer) {
            Ok(length) => Ok(Some(length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends an advert. An error is logged when it is another one than at the send before.
    pub fn send(
        &mut self,
        ifindex: Ifindex,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        payload: &[u8],
    ) {
        let Some(entry) = self.sockets.get_mut(&ifindex) else {
            log::debug!("no socket for an advert on link {}", ifindex.0);
            return;
        };
        let header = ip_header(source, destination);
        let to = SockAddr::from(SocketAddrV4::new(destination, 0));
        let parts = [IoSlice::new(&header), IoSlice::new(payload)];
        let sent = entry.socket.send_to_vectored(&parts, &to).map(drop);
        let what = format_args!("advert from {source} on link {}", ifindex.0);
        entry.last_error.note(sent, what);
    }
}

fn open(ifindex: Ifindex) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::IPV4,
        Type::RAW.nonblocking().cloexec(),
        Some(Protocol::from(PROTOCOL)),
    )?;
    // Bound by number: adverts leave by this interface, and none of another one is read, whatever its name becomes.
    socket.bind_device_by_index_v4(NonZeroU32::new(ifindex.0))?;
    // Our own header, because the source may be an address that is not the interface's first, or not ours at all.
    socket.set_header_included_v4(true)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_multicast_all_v4(false)?;
    socket.set_priority(PRIORITY)?;
    Ok(socket)
}

/// An IPv4 header; the kernel fills in length, identification and checksum (raw(7)).
fn ip_header(source: Ipv4Addr, destination: Ipv4Addr) -> [u8; 20] {
    let [s0, s1, s2, s3] = source.octets();
    let [d0, d1, d2, d3] = destination.octets();
    [
        0x45,
        TOS,
        0,
        0,
        0,
        0,
        0,
        0,
        TTL,
        PROTOCOL as u8,
        0,
        0,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_version_length_ttl_and_protocol() {
        let header = ip_header(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(224, 0, 0, 18));
        assert_eq!(
            header,
            [
                0x45, 0xc0, 0, 0, 0, 0, 0, 0, 255, 112, 0, 0, 192, 0, 2, 1, 224, 0, 0, 18
            ]
        );
    }
}
