//! The sender of announcements, gratuitous ARP and unsolicited neighbour advertisements: one packet socket for all
//! interfaces, which receives nothing.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use std::{fs, io};

use director_core::net::{Ifindex, Mac};
use director_core::wire::{arp, ndp};
use socket2::{Socket, Type};

use super::{LastError, packet};

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
        Ok(Self {
            socket: packet::open(Type::DGRAM)?,
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
                let to = (arp::ETHERTYPE, Mac::BROADCAST);
                packet::send(&self.socket, ifindex, to, &packet)
            }
            IpAddr::V6(target) => {
                let router = self.forwards(ifindex);
                let packet = ndp::Repr {
                    target,
                    mac,
                    router,
                };
                let packet = packet.emit();
                let to = (ndp::ETHERTYPE, ndp::ALL_NODES_MAC);
                packet::send(&self.socket, ifindex, to, &packet)
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
