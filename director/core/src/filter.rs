//! What the kernel's packet filter does for the director: as values, without the filter's own language.
//!
//! FULLNAT is IPVS's masquerading with a source translation behind it: the real server sees a local address of the
//! director, and needs no route back to the client. Which of several local addresses a connection gets is a function
//! of the client's address and port, so that two directors choose alike and a takeover keeps the connection.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};

use crate::ipvs::Protocol;

/// What identifies the connections of one service: the protocol, and the destination that clients ask for.
pub type Match = (Protocol, SocketAddr);

/// The whole content of the director's table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// FULLNAT services by the local addresses, of the service's own family and never none, that they share.
    pub translated: BTreeMap<Vec<IpAddr>, BTreeSet<Match>>,
    /// Addresses that this node does not answer for itself. IPVS takes its packets before, and replies to what the
    /// node began pass; so does IPv6's neighbour discovery.
    pub closed: BTreeSet<IpAddr>,
}

impl Filter {
    /// Whether there is nothing to filter and nothing to translate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.translated.is_empty() && self.closed.is_empty()
    }

    /// The local addresses of each FULLNAT service.
    #[must_use]
    pub fn locals(&self) -> BTreeMap<Match, &[IpAddr]> {
        let pairs = self.translated.iter().flat_map(|(locals, services)| {
            services.iter().map(|service| (*service, locals.as_slice()))
        });
        pairs.collect()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: usize = self.translated.values().map(BTreeSet::len).sum();
        let closed = self.closed.len();
        write!(
            f,
            "{services} translated services, {closed} closed addresses"
        )
    }
}

/// Of a service's local addresses the one that a client's connection gets: what the kernel's rule computes, which
/// hashes address and port and scales the hash down to an index.
#[must_use]
pub fn local_of(locals: &[IpAddr], client: SocketAddr) -> Option<IpAddr> {
    let [high, low] = client.port().to_be_bytes();
    // Each value begins a register of four bytes.
    let port = [high, low, 0, 0];
    let key = match client.ip() {
        IpAddr::V4(address) => [&address.octets()[..], &port].concat(),
        IpAddr::V6(address) => [&address.octets()[..], &port].concat(),
    };
    let count = u64::try_from(locals.len()).ok()?;
    let index = (u64::from(jenkins(&key)) * count) >> 32;
    locals.get(usize::try_from(index).ok()?).copied()
}

/// `jhash` of linux/jhash.h with the seed 0, which is lookup3 of Bob Jenkins, on a little-endian machine.
fn jenkins(bytes: &[u8]) -> u32 {
    const INITIAL: u32 = 0xdead_beef;
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    let mut state = [INITIAL.wrapping_add(length); 3];
    let mut rest = bytes;
    while rest.len() > 12 {
        let (head, tail) = rest.split_at(12);
        state = mix(add(state, head));
        rest = tail;
    }
    let [a, b, c] = add(state, rest);
    if rest.is_empty() { c } else { finish(a, b, c) }
}

/// Adds up to twelve bytes as words, padded with zeros.
fn add(mut state: [u32; 3], bytes: &[u8]) -> [u32; 3] {
    for (word, bytes) in state.iter_mut().zip(bytes.chunks(4)) {
        let mut padded = [0; 4];
        for (to, from) in padded.iter_mut().zip(bytes) {
            *to = *from;
        }
        *word = word.wrapping_add(u32::from_le_bytes(padded));
    }
    state
}

fn mix([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    // Twice the same three steps, turned by other distances.
    for [first, second, third] in [[4, 6, 8], [16, 19, 4]] {
        a = a.wrapping_sub(c) ^ c.rotate_left(first);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(second);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(third);
        b = b.wrapping_add(a);
    }
    [a, b, c]
}

fn finish(mut a: u32, mut b: u32, mut c: u32) -> u32 {
    let step = |to: u32, from: u32, turn| (to ^ from).wrapping_sub(from.rotate_left(turn));
    c = step(c, b, 14);
    a = step(a, c, 11);
    b = step(b, a, 25);
    c = step(c, b, 16);
    a = step(a, c, 4);
    b = step(b, a, 14);
    step(c, b, 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_lookup3() {
        // Bob Jenkins' own vectors of hashlittle(), whose initial value 0xdeadbeef + length is jhash's with seed 0.
        assert_eq!(jenkins(b""), 0xdead_beef);
        assert_eq!(jenkins(b"Four score and seven years ago"), 0x1777_0551);
    }

    #[test]
    fn clients_are_spread_over_the_local_addresses_alike_everywhere() {
        let locals: Vec<IpAddr> = (1..=3).map(|last| [10, 77, 1, last].into()).collect();
        let client = |port| SocketAddr::new([10, 77, 0, 50].into(), port);
        let mut hits = BTreeMap::new();
        for port in 32_768..33_768 {
            let local = local_of(&locals, client(port)).unwrap();
            assert_eq!(local_of(&locals, client(port)), Some(local));
            *hits.entry(local).or_insert(0) += 1;
        }
        assert!(
            hits.len() == 3 && hits.values().all(|hits| *hits > 250),
            "{hits:?}"
        );
        assert_eq!(local_of(&locals[..1], client(1)), Some(locals[0]));
        assert_eq!(local_of(&[], client(1)), None);
    }
}
