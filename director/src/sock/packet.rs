//! Packet sockets: frames that are written below IP, and leave by an interface whatever the routes say.

use core::net::IpAddr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use director_core::net::{Ifindex, Mac};
use director_core::wire::ipv4::PROTOCOL_VRRP;
use director_core::wire::{ipv4, ipv6, vrrp};
use socket2::{Domain, Socket, Type};

use super::vrrp::Header;

/// ETH_P_IP, ETH_P_IPV6 (linux/if_ether.h).
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// Bytes of an Ethernet header.
const ETHERNET_BYTES: usize = 14;

/// Opens a socket that receives nothing, for packets (DGRAM: the kernel writes the Ethernet header) or frames (RAW).
///
/// # Errors
/// Without CAP_NET_RAW.
pub(super) fn open(kind: Type) -> io::Result<Socket> {
    // Protocol 0 receives nothing.
    Socket::new(Domain::PACKET, kind.nonblocking().cloexec(), None)
}

/// Sends by an interface.
///
/// # Errors
/// What the interface did, e.g. ENETDOWN.
pub(super) fn send(
    socket: &impl AsFd,
    ifindex: Ifindex,
    (ethertype, to): (u16, Mac),
    packet: &[u8],
) -> io::Result<()> {
    let [a, b, c, d, e, f] = to.0;
    let to = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: ethertype.to_be(),
        sll_ifindex: ifindex.0.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [a, b, c, d, e, f, 0, 0],
    };
    // SAFETY: both pointers are to live values of the lengths given, which the kernel only reads.
    let sent = unsafe {
        libc::sendto(
            socket.as_fd().as_raw_fd(),
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

/// The sender of adverts that come from a virtual hardware address.
///
/// They leave by the interface that the address's device is made on, and look on the wire as if they had left by the
/// device itself. That one is up only while its router is Active, and the first advert comes before that, the last one
/// after it.
#[derive(Debug, Default)]
pub(super) struct Frames {
    socket: Option<Socket>,
    /// Keeps its memory: nothing on the way of an advert allocates.
    frame: Vec<u8>,
}

impl Frames {
    /// Sends an advert to a multicast group.
    ///
    /// # Errors
    /// What the interface did, or without CAP_NET_RAW.
    pub(super) fn send(
        &mut self,
        ifindex: Ifindex,
        from: Mac,
        header: Header,
        payload: &[u8],
    ) -> io::Result<()> {
        let to = Mac::of_group(header.destination);
        let length = u16::try_from(payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.frame.clear();
        self.frame
            .reserve(ETHERNET_BYTES + ipv6::HEADER_BYTES + payload.len());
        self.frame.extend(to.0);
        self.frame.extend(from.0);
        let ethertype = match (header.source, header.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = ipv4::Repr {
                    source,
                    destination,
                    ttl: header.ttl,
                    protocol: PROTOCOL_VRRP,
                    // Nobody numbers the packets of this socket.
                    dont_fragment: true,
                };
                self.frame.extend(IPV4.to_be_bytes());
                self.frame.extend(header.emit(vrrp::TOS, length));
                IPV4
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = ipv6::Repr {
                    source,
                    destination,
                    traffic_class: vrrp::TOS,
                    next_header: PROTOCOL_VRRP,
                    hop_limit: header.ttl,
                };
                self.frame.extend(IPV6.to_be_bytes());
                self.frame.extend(header.emit(length));
                IPV6
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        self.frame.extend_from_slice(payload);
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => {
                let socket = open(Type::RAW)?;
                socket.set_priority(super::vrrp::PRIORITY)?;
                none.insert(socket)
            }
        };
        send(socket, ifindex, (ethertype, to), &self.frame)
    }
}
