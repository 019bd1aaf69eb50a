//! The sender of announcements, gratuitous ARP and unsolicited neighbour advertisements: one packet socket for all
//! interfaces, which receives nothing.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use std::{fs, io};

use director_core::net::{Ifindex, Mac};
use director_core::wire::{arp, ndp};
use socket2::{Domain, Socket, Type};

use super::LastError;

/// How long it is taken for granted that an interface forwards, or does not: an administrator switches it, and a burst
/// must not ask for each frame.
const FORWARDING_AGE_MAX: Duration = Duration::from_secs(5);

/// The sender.
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
    /// Whether an interface forwards IPv6, and since when that is known.
    forwarding: BTreeMap<Ifindex, (bool, Instant)>,
    last_error: LastError,
}

impl Announcer {
    /// Opens the socket.
    ///
    /// # Errors
    /// Without CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        // Protocol 0 receives nothing; SOCK_DGRAM lets the kernel write the Ethernet header.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), None)?;
        Ok(Self {
            socket,
            forwarding: BTreeMap::new(),
            last_error: LastError::default(),
        })
    }

    /// Announces an address to everybody on an interface. An error is logged when it is another one than at the send
    /// before.
    pub fn announce(&mut self, ifindex: Ifindex, mac: Mac, address: IpAddr) {
        let sent = match address {
            IpAddr::V4(address) => {
                let packet = arp::Repr::gratuitous(mac, address).emit();
                self.send(ifindex, arp::ETHERTYPE, Mac::BROADCAST, &packet)
            }
            IpAddr::V6(target) => {
                let router = self.forwards(ifindex);
                let packet = ndp::Repr {
                    target,
                    mac,
                    router,
                };
                let packet = packet.emit();
                self.send(ifindex, ndp::ETHERTYPE, ndp::ALL_NODES_MAC, &packet)
            }
        };
        let what = format_args!("announcement of {address} on link {}", ifindex.0);
        self.last_error.note(sent, what);
    }

    /// Forgets an interface that is gone.
    pub fn forget(&mut self, ifindex: Ifindex) {
        self.forwarding.remove(&ifindex);
    }

    /// Whether this node is a router for the hosts of the interface (RFC 4861 section 6.2.2): the R flag.
    fn forwards(&mut self, ifindex: Ifindex) -> bool {
        let now = Instant::now();
        if let Some((known, at)) = self.forwarding.get(&ifindex)
            && now.duration_since(*at) < FORWARDING_AGE_MAX
        {
            return *known;
        }
        let forwards = reads_forwarding(ifindex);
        self.forwarding.insert(ifindex, (forwards, now));
        forwards
    }

    fn send(&self, ifindex: Ifindex, ethertype: u16, to: Mac, packet: &[u8]) -> io::Result<()> {
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

/// The kernel's switch; an interface without one does not forward.
fn reads_forwarding(ifindex: Ifindex) -> bool {
    let name = nix::net::if_::if_indextoname(ifindex.0);
    let name = name.ok().and_then(|name| name.into_string().ok());
    name.and_then(|name| {
        fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{name}/forwarding")).ok()
    })
    .is_some_and(|text| text.trim() != "0")
}
