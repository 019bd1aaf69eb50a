//! Connection tracking's part in FULLNAT, and what of it a takeover has to make anew.
//!
//! The peer's connections come to IPVS by synchronisation. The translation behind them is connection tracking's, which
//! nobody synchronises; but it follows from the connection: the local address by [`Filter::locals`], and the port is
//! the client's own, which the kernel keeps while it is free. Where two clients have the same port, and with it one
//! local address and one real server, the second one got a port by chance: that one can't be known again, and which of
//! the two was the second neither.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::BTreeMap;

use crate::filter::{Match, local_of};
use crate::ipvs::Protocol;
use crate::time::Duration;

/// TCP's states in which data may still come, as the table of connections calls them (ip_vs_proto_tcp.c), with their
/// numbers in connection tracking (`enum tcp_conntrack` of linux/netfilter/nf_conntrack_tcp.h).
const STATES: [(&str, u8); 4] = [
    ("ESTABLISHED", 3),
    ("FIN_WAIT", 4),
    ("CLOSE_WAIT", 5),
    ("LAST_ACK", 6),
];

/// A connection of a FULLNAT service, as connection tracking is to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Whom the service serves.
    pub client: SocketAddr,
    /// What the client asked for.
    pub service: SocketAddr,
    /// The real server.
    pub dest: SocketAddr,
    /// Whom the real server sees, with the client's port.
    pub local: SocketAddr,
    /// Connection tracking's number of TCP's state.
    pub state: Option<u8>,
    /// Seconds until IPVS forgets it.
    pub expires_s: u32,
}

impl Tracked {
    /// Reads a line of /proc/net/ip_vs_conn:
    ///
    /// ```text
    /// Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
    /// TCP 0A4D0032 9C40 0A4D0064 0050 0A4D0115 0050 ESTABLISHED     897
    /// ```
    ///
    /// None for the head, a template of persistence, a connection that ends, and what is of no FULLNAT service.
    #[must_use]
    pub fn parse(line: &str, locals: &BTreeMap<Match, &[IpAddr]>) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let protocol = match words.next()? {
            "TCP" => Protocol::Tcp,
            "UDP" => Protocol::Udp,
            _ => return None,
        };
        let mut endpoint = || {
            let (address, port) = (address(words.next()?)?, words.next()?);
            let port = u16::from_str_radix(port, 16).ok()?;
            Some(SocketAddr::new(address, port)).filter(|endpoint| endpoint.port() != 0)
        };
        let (client, service, dest) = (endpoint()?, endpoint()?, endpoint()?);
        let local = local_of(locals.get(&(protocol, service))?, client)?;
        let state = words.next()?;
        let state = match protocol {
            Protocol::Tcp => Some(STATES.iter().find(|(name, _)| *name == state)?.1),
            _ => None,
        };
        // All of one family, whatever the line says.
        let family = |address: &SocketAddr| address.is_ipv4() == service.is_ipv4();
        if ![client, dest].iter().all(family) {
            return None;
        }
        Some(Self {
            protocol,
            client,
            service,
            dest,
            local: SocketAddr::new(local, client.port()),
            state,
            expires_s: words.next()?.parse().ok()?,
        })
    }
}

/// Eight hexadecimal digits, or IPv6 in full.
fn address(word: &str) -> Option<IpAddr> {
    match word.parse::<Ipv6Addr>() {
        Ok(address) => Some(IpAddr::V6(address)),
        Err(_) => {
            let number = u32::from_str_radix(word, 16).ok()?;
            Some(IpAddr::V4(Ipv4Addr::from_bits(number)))
        }
    }
}

/// What came of making the tracking anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Connections that are tracked again.
    pub restored: u64,
    /// Connections that were tracked already.
    pub present: u64,
    /// Connections whose local port another one has.
    pub contested: u64,
    /// Connections that the kernel refused to track.
    pub failed: u64,
    /// How long it took.
    pub took: Duration,
}

impl Recovery {
    /// Sums up.
    pub fn add(&mut self, other: Self) {
        self.restored = self.restored.saturating_add(other.restored);
        self.present = self.present.saturating_add(other.present);
        self.contested = self.contested.saturating_add(other.contested);
        self.failed = self.failed.saturating_add(other.failed);
        self.took += other.took;
    }

    /// Whether connections are lost.
    #[must_use]
    pub const fn has_losses(&self) -> bool {
        self.contested > 0 || self.failed > 0
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            restored,
            present,
            contested,
            failed,
            took,
        } = self;
        write!(f, "{restored} connections are tracked again, ")?;
        write!(f, "{present} were, {contested} have no port of their own, ")?;
        write!(f, "{failed} were refused, in {} ms", took.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVICES: [&str; 2] = ["10.77.0.100:80", "[2001:db8:77::100]:53"];

    fn parse(line: &str) -> Option<Tracked> {
        let local4 = ["10.77.1.100".parse().unwrap()];
        let local6 = ["2001:db8:78::100".parse().unwrap()];
        let [web, names] = SERVICES.map(|service| service.parse().unwrap());
        let locals = BTreeMap::from([
            ((Protocol::Tcp, web), &local4[..]),
            ((Protocol::Udp, names), &local6[..]),
        ]);
        Tracked::parse(line, &locals)
    }

    #[test]
    fn a_connection_is_tracked_with_its_clients_port() {
        let line = "TCP 0A4D0032 9C40 0A4D0064 0050 0A4D0115 1F90 ESTABLISHED     897\n";
        let expected = Tracked {
            protocol: Protocol::Tcp,
            client: "10.77.0.50:40000".parse().unwrap(),
            service: "10.77.0.100:80".parse().unwrap(),
            dest: "10.77.1.21:8080".parse().unwrap(),
            local: "10.77.1.100:40000".parse().unwrap(),
            state: Some(3),
            expires_s: 897,
        };
        assert_eq!(parse(line), Some(expected));
        let line = "UDP 2001:0db8:0077:0000:0000:0000:0000:0050 C350 \
                    2001:0db8:0077:0000:0000:0000:0000:0100 0035 \
                    2001:0db8:0078:0000:0000:0000:0000:0021 0035 UDP             300";
        let found = parse(line).unwrap();
        assert_eq!(found.local, "[2001:db8:78::100]:50000".parse().unwrap());
        assert_eq!((found.state, found.expires_s), (None, 300));
    }

    #[test]
    fn what_needs_no_tracking_is_passed_over() {
        for (line, why) in [
            (
                "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData",
                "the head",
            ),
            (
                "TCP 0A4D0032 9C40 0A4D0064 0051 0A4D0115 0050 ESTABLISHED     897",
                "another service",
            ),
            (
                "UDP 0A4D0032 9C40 0A4D0064 0050 0A4D0115 0050 UDP             297",
                "another protocol",
            ),
            (
                "TCP 0A4D0032 9C40 0A4D0064 0050 0A4D0115 0050 TIME_WAIT        97",
                "it is over",
            ),
            (
                "TCP 0A4D0032 0000 0A4D0064 0050 0A4D0115 0050 NONE            300",
                "a template",
            ),
            ("TCP 0A4D0032 9C40 0A4D0064 0050 0A4D0115", "it is cut off"),
            (
                "TCP ::1 9C40 0A4D0064 0050 0A4D0115 0050 ESTABLISHED 897",
                "two families",
            ),
        ] {
            assert_eq!(parse(line), None, "{why}");
        }
        let line = "TCP 0A4D0032 9C40 0A4D0064 0050 0A4D0115 0050 CLOSE_WAIT       59 sip x";
        assert_eq!(parse(line).unwrap().state, Some(5));
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_an_end(line in "[TU]?[CD]?P? ?[0-9A-F: ]{0,60}.{0,20}") {
            let _ = parse(&line);
        }
    }
}
