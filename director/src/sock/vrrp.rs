//! Raw sockets for VRRP, IP protocol 112: one for each interface and family, which both receives and sends.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::num::NonZeroU32;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::os::fd::AsRawFd;

use director_core::net::{Family, Ifindex, Mac};
use director_core::vrrp::Received;
use director_core::wire::ipv4::PROTOCOL_VRRP;
use director_core::wire::{ipv4, ipv6, vrrp};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::socket::sockopt::Ipv6RecvPacketInfo;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};

use super::LastError;
use super::packet::Frames;

/// The matching queueing priority (TC_PRIO_INTERACTIVE, linux/pkt_sched.h).
pub(super) const PRIORITY: u32 = 6;

/// Room for the two control messages that are asked for: destination with interface, and hop limit.
const CONTROL_BYTES: usize = 128;

/// What one socket is for.
pub type Place = (Ifindex, Family);

/// The sockets, by interface and family.
#[derive(Debug, Default)]
pub struct VrrpSockets {
    sockets: BTreeMap<Place, VrrpSocket>,
    /// For adverts from virtual hardware addresses.
    frames: Frames,
}

/// The parts of an advert's IP header that are not the same for all.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Source address.
    pub source: IpAddr,
    /// A multicast group, or a peer.
    pub destination: IpAddr,
    /// Time to live, or hop limit.
    pub ttl: u8,
}

#[derive(Debug)]
struct VrrpSocket {
    socket: Socket,
    groups: BTreeSet<IpAddr>,
    last_error: LastError,
}

impl VrrpSockets {
    /// Listens for a group on an interface. A group that was joined before is joined anew, so that the switch hears
    /// of it again. An unspecified address is no group, and needs the socket alone.
    ///
    /// # Errors
    /// When the interface is gone, or without CAP_NET_RAW.
    pub fn join(
        &mut self,
        registry: &Registry,
        token: Token,
        ifindex: Ifindex,
        group: IpAddr,
    ) -> io::Result<()> {
        let family = Family::of(group);
        let entry = match self.sockets.entry((ifindex, family)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let socket = match family {
                    Family::V4 => open_v4(ifindex)?,
                    Family::V6 => open_v6(ifindex)?,
                };
                let source = &mut SourceFd(&socket.as_raw_fd());
                registry.register(source, token, Interest::READABLE)?;
                entry.insert(VrrpSocket {
                    socket,
                    groups: BTreeSet::new(),
                    last_error: LastError::default(),
                })
            }
        };
        if group.is_unspecified() {
            return Ok(());
        }
        if entry.groups.contains(&group) {
            // The membership may be gone with an interface's addresses; what counts is the join.
            let _ = entry.leave(ifindex, group);
        }
        entry.join(ifindex, group)?;
        entry.groups.insert(group);
        Ok(())
    }

    /// Closes the sockets of an interface that is gone; a new one of the same name has another number.
    pub fn forget(&mut self, registry: &Registry, ifindex: Ifindex) {
        for family in [Family::V4, Family::V6] {
            if let Some(entry) = self.sockets.remove(&(ifindex, family)) {
                // Closing takes it out of the poll as well.
                let _ = registry.deregister(&mut SourceFd(&entry.socket.as_raw_fd()));
            }
        }
    }

    /// Reads the next packet; none when there is no more for now.
    ///
    /// # Errors
    /// What the interface did, e.g. ENETDOWN, or what is wrong with one packet; the next read may go well.
    pub fn receive<'b>(
        &self,
        place: Place,
        buffer: &'b mut [u8],
    ) -> io::Result<Option<Received<'b>>> {
        let Some(entry) = self.sockets.get(&place) else {
            return Ok(None);
        };
        let received = match place.1 {
            Family::V4 => receive_v4(&entry.socket, buffer),
            Family::V6 => receive_v6(&entry.socket, buffer),
        };
        match received {
            Ok(received) => Ok(Some(received)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends an advert, from the interface's own hardware address or from another one. An error is logged when it is
    /// another one than at the send before.
    pub fn send(&mut self, ifindex: Ifindex, mac: Option<Mac>, header: Header, payload: &[u8]) {
        let source = header.source;
        let Some(entry) = self.sockets.get_mut(&(ifindex, Family::of(source))) else {
            log::debug!("no socket for an advert on link {}", ifindex.0);
            return;
        };
        let sent = match mac {
            None => entry.send(ifindex, header, payload),
            Some(mac) => self.frames.send(ifindex, mac, header, payload),
        };
        let what = format_args!("advert from {source} on link {}", ifindex.0);
        entry.last_error.note(sent, what);
    }
}

impl VrrpSocket {
    fn join(&self, ifindex: Ifindex, group: IpAddr) -> io::Result<()> {
        match group {
            IpAddr::V4(group) => self
                .socket
                .join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(ifindex.0)),
            IpAddr::V6(group) => self.socket.join_multicast_v6(&group, ifindex.0),
        }
    }

    fn leave(&self, ifindex: Ifindex, group: IpAddr) -> io::Result<()> {
        match group {
            IpAddr::V4(group) => self
                .socket
                .leave_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(ifindex.0)),
            IpAddr::V6(group) => self.socket.leave_multicast_v6(&group, ifindex.0),
        }
    }

    fn send(&self, ifindex: Ifindex, header: Header, payload: &[u8]) -> io::Result<()> {
        let Header {
            source,
            destination,
            ttl,
        } = header;
        let mut to = SocketAddr::new(destination, 0);
        if let SocketAddr::V6(to) = &mut to {
            to.set_scope_id(ifindex.0);
        }
        let length = u16::try_from(payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let header_v4;
        let header_v6;
        let header: &[u8] = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = ipv4::Repr {
                    source,
                    destination,
                    ttl,
                    protocol: PROTOCOL_VRRP,
                    dont_fragment: false,
                };
                header_v4 = header.emit(vrrp::TOS, length);
                &header_v4
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = ipv6::Repr {
                    source,
                    destination,
                    traffic_class: vrrp::TOS,
                    next_header: PROTOCOL_VRRP,
                    hop_limit: ttl,
                };
                header_v6 = header.emit(length);
                &header_v6
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let parts = [IoSlice::new(header), IoSlice::new(payload)];
        self.socket
            .send_to_vectored(&parts, &SockAddr::from(to))
            .map(drop)
    }
}

fn open(domain: Domain) -> io::Result<Socket> {
    let protocol = Protocol::from(i32::from(PROTOCOL_VRRP));
    let socket = Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(protocol))?;
    socket.set_priority(PRIORITY)?;
    Ok(socket)
}

/// Bound by number: adverts leave by this interface, and none of another one is read, whatever its name becomes. With
/// our own header, because the source may be an address that is not the interface's first, or not ours at all.
fn open_v4(ifindex: Ifindex) -> io::Result<Socket> {
    let socket = open(Domain::IPV4)?;
    socket.bind_device_by_index_v4(NonZeroU32::new(ifindex.0))?;
    socket.set_header_included_v4(true)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_multicast_all_v4(false)?;
    Ok(socket)
}

/// The same for IPv6, where the header does not come with the packet: what it says is asked for. The kernel's own
/// checksum (IPV6_CHECKSUM) is not, so that a wrong one is counted.
fn open_v6(ifindex: Ifindex) -> io::Result<Socket> {
    let socket = open(Domain::IPV6)?;
    socket.bind_device_by_index_v6(NonZeroU32::new(ifindex.0))?;
    socket.set_header_included_v6(true)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_all_v6(false)?;
    socket.set_recv_hoplimit_v6(true)?;
    setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
    Ok(socket)
}

fn receive_v4<'b>(mut socket: &Socket, buffer: &'b mut [u8]) -> io::Result<Received<'b>> {
    let length = socket.read(buffer)?;
    let packet = buffer.get(..length).unwrap_or_default();
    let invalid =
        |error: ipv4::Error| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let (header, payload) = ipv4::Repr::parse(packet).map_err(invalid)?;
    Ok(Received {
        source: header.source.into(),
        destination: header.destination.into(),
        ttl: header.ttl,
        payload,
    })
}

fn receive_v6<'b>(socket: &Socket, buffer: &'b mut [u8]) -> io::Result<Received<'b>> {
    let mut control = [0; CONTROL_BYTES];
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrIn6>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::empty(),
    )?;
    let source = message.address.map(|address| address.ip());
    let (mut destination, mut ttl) = (None, None);
    for control in message.cmsgs()? {
        match control {
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
            }
            ControlMessageOwned::Ipv6HopLimit(limit) => ttl = u8::try_from(limit).ok(),
            _ => {}
        }
    }
    let length = message.bytes;
    let (Some(source), Some(destination), Some(ttl)) = (source, destination, ttl) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    Ok(Received {
        source: source.into(),
        destination: destination.into(),
        ttl,
        payload: buffer.get(..length).unwrap_or_default(),
    })
}
