//! Connection tracking over nfnetlink: entries for connections that this kernel has not seen begin
//! (linux/netfilter/nfnetlink_conntrack.h).

use core::net::{IpAddr, SocketAddr};

use director_core::ipvs::Protocol;
use director_core::tracking::Tracked;
use neli::consts::socket::NlFamily;

use super::super::exchange::{Exchange, NetlinkError};
use super::super::netlink;
use super::header;
use crate::kernel::message::{ACK, Attributes, CREATE, EXCLUSIVE, Head, Requests};

/// NFNL_SUBSYS_CTNETLINK, and of its messages IPCTNL_MSG_CT_NEW and IPCTNL_MSG_CT_GET.
const CONNTRACK: u16 = 1;
const NEW: u16 = 0;
const GET: u16 = 1;

/// CTA_*
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const STATUS: u16 = 3;
const PROTOCOL: u16 = 4;
const SOURCE: u16 = 6;
const TIMEOUT: u16 = 7;

/// IPS_SEEN_REPLY, IPS_ASSURED and IPS_CONFIRMED (linux/netfilter/nf_conntrack_common.h): both sides have spoken.
const ESTABLISHED: u32 = 2 | 4 | 8;

/// What became of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is tracked now.
    Restored,
    /// It was tracked before.
    Present,
    /// Another one has its local port.
    Contested,
    /// The kernel refused, with a positive errno.
    Refused(i32),
}

/// The connection tracking of this network namespace.
pub struct Conntrack(Exchange);

impl Conntrack {
    /// # Errors
    /// [`NetlinkError::Missing`] when the kernel has no netfilter, or the socket's error.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self(Exchange::open(NlFamily::Netfilter)?))
    }

    /// Has some connections tracked, as many as their answers fit a socket; what became of each.
    ///
    /// # Errors
    /// See [`NetlinkError`].
    pub fn track(&mut self, connections: &[Tracked]) -> Result<Vec<Outcome>, NetlinkError> {
        let mut requests = Requests::default();
        let first = self.0.sequence().wrapping_add(1);
        for connection in connections {
            let sequence = self.0.next_sequence();
            let flags = ACK | CREATE | EXCLUSIVE;
            new(
                &mut requests,
                head(connection, NEW, flags, sequence),
                connection,
            );
        }
        self.0.send(&requests.bytes)?;
        let mut errnos = vec![None; connections.len()];
        let answered = self.0.until_answered(|message| {
            if message.kind == netlink::ERROR {
                let index = usize::try_from(message.sequence.wrapping_sub(first)).ok()?;
                *errnos.get_mut(index)? = Some(message.errno());
            }
            errnos.iter().all(Option::is_some).then_some(0)
        });
        match answered {
            Ok(_) | Err(NetlinkError::Silent) => {}
            Err(error) => return Err(error),
        }
        let pairs = connections.iter().zip(errnos);
        pairs
            .map(|(connection, errno)| match errno {
                Some(0) => Ok(Outcome::Restored),
                Some(libc::EEXIST) if self.has(connection)? => Ok(Outcome::Present),
                Some(libc::EEXIST) => Ok(Outcome::Contested),
                errno => Ok(Outcome::Refused(errno.unwrap_or(libc::ETIMEDOUT))),
            })
            .collect()
    }

    /// Whether what the client says is tracked, wherever it goes.
    fn has(&mut self, connection: &Tracked) -> Result<bool, NetlinkError> {
        let mut requests = Requests::default();
        let sequence = self.0.next_sequence();
        requests.add(head(connection, GET, ACK, sequence), |message| {
            original(message, connection);
        });
        self.0.send(&requests.bytes)?;
        let answer = self.0.until_answered(|message| {
            let is_end = message.sequence == sequence && message.kind == netlink::ERROR;
            is_end.then(|| message.errno())
        });
        Ok(answer? == 0)
    }
}

const fn head(connection: &Tracked, kind: u16, flags: u16, sequence: u32) -> Head {
    let family = match connection.service {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    Head {
        kind: CONNTRACK << 8 | kind,
        flags,
        sequence,
        header: header(family as u8, 0), // 2 or 10
    }
}

/// The reply as IPVS alone would have it, so that the kernel finds something to translate.
fn new(requests: &mut Requests, head: Head, connection: &Tracked) {
    requests.add(head, |message| {
        original(message, connection);
        let (dest, client) = (connection.dest, connection.client);
        tuple(message, REPLY, connection.protocol, dest, client);
        message.number(STATUS, ESTABLISHED);
        message.number(TIMEOUT, connection.expires_s);
        if let Some(state) = connection.state {
            message.nest(PROTOCOL, |of| of.nest(1, |tcp| tcp.put(1, &[state])));
        }
        message.nest(SOURCE, |source| {
            // CTA_NAT_V4_MINIP and _MAXIP, or those of IPv6; CTA_NAT_PROTO.
            let (from, to) = match connection.local {
                SocketAddr::V4(_) => (1, 2),
                SocketAddr::V6(_) => (4, 5),
            };
            address(source, from, connection.local.ip());
            address(source, to, connection.local.ip());
            source.nest(3, |ports| {
                let port = connection.local.port().to_be_bytes();
                ports.put(1, &port);
                ports.put(2, &port);
            });
        });
    });
}

fn original(message: &mut Attributes<'_>, connection: &Tracked) {
    let (client, service) = (connection.client, connection.service);
    tuple(message, ORIGINAL, connection.protocol, client, service);
}

/// CTA_TUPLE_*: from where to where.
fn tuple(
    message: &mut Attributes<'_>,
    kind: u16,
    protocol: Protocol,
    from: SocketAddr,
    to: SocketAddr,
) {
    message.nest(kind, |tuple| {
        tuple.nest(1, |addresses| {
            let (source, target) = match from {
                SocketAddr::V4(_) => (1, 2),
                SocketAddr::V6(_) => (3, 4),
            };
            address(addresses, source, from.ip());
            address(addresses, target, to.ip());
        });
        tuple.nest(2, |ports| {
            ports.put(1, &[protocol.number()]);
            ports.put(2, &from.port().to_be_bytes());
            ports.put(3, &to.port().to_be_bytes());
        });
    });
}

fn address(to: &mut Attributes<'_>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => to.put(kind, &address.octets()),
        IpAddr::V6(address) => to.put(kind, &address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netlink::{attributes, messages};

    #[test]
    fn a_connection_is_written_with_its_translation() {
        let connection = Tracked {
            protocol: Protocol::Tcp,
            client: "10.77.0.50:40000".parse().unwrap(),
            service: "10.77.0.100:80".parse().unwrap(),
            dest: "10.77.1.21:8080".parse().unwrap(),
            local: "10.77.1.100:40000".parse().unwrap(),
            state: Some(3),
            expires_s: 897,
        };
        let mut requests = Requests::default();
        new(
            &mut requests,
            head(&connection, NEW, CREATE, 7),
            &connection,
        );
        let message = messages(&requests.bytes).next().unwrap();
        assert_eq!((message.kind, message.sequence), (0x100, 7));
        assert_eq!(message.payload[..4], [2, 0, 0, 0]);
        let value = |bytes: &[u8], path: &[u16]| -> Vec<u8> {
            path.iter().fold(bytes.to_vec(), |bytes, wanted| {
                let mut found = attributes(&bytes);
                let (_, value) = found.find(|(kind, _)| kind == wanted).unwrap();
                value.to_vec()
            })
        };
        let of = |path: &[u16]| value(&message.payload[4..], path);
        assert_eq!(of(&[ORIGINAL, 1, 1]), [10, 77, 0, 50]);
        assert_eq!(of(&[ORIGINAL, 1, 2]), [10, 77, 0, 100]);
        assert_eq!(of(&[ORIGINAL, 2, 1]), [6]);
        assert_eq!(of(&[ORIGINAL, 2, 3]), [0, 80]);
        assert_eq!(of(&[REPLY, 1, 1]), [10, 77, 1, 21]);
        assert_eq!(of(&[REPLY, 1, 2]), [10, 77, 0, 50]);
        assert_eq!(of(&[REPLY, 2, 2]), 8080_u16.to_be_bytes());
        assert_eq!(of(&[REPLY, 2, 3]), 40_000_u16.to_be_bytes());
        assert_eq!(of(&[STATUS]), [0, 0, 0, 14]);
        assert_eq!(of(&[TIMEOUT]), 897_u32.to_be_bytes());
        assert_eq!(of(&[PROTOCOL, 1, 1]), [3]);
        assert_eq!(of(&[SOURCE, 1]), [10, 77, 1, 100]);
        assert_eq!(of(&[SOURCE, 2]), [10, 77, 1, 100]);
        assert_eq!(of(&[SOURCE, 3, 1]), 40_000_u16.to_be_bytes());
    }
}
