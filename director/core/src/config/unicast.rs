//! From where and to whom the adverts of one virtual router go: source, group, unicast peers.

use core::net::IpAddr;

use super::addresses::lines;
use super::diagnostic::Place;
use super::global::{Global, address, byte, required};
use super::read::Reader;
use super::tree::{Statement, Word};
use crate::limits;
use crate::net::Family;
use crate::vrrp::{Unicast, UnicastPeer};

/// The keywords, as far as they were given.
#[derive(Default)]
pub(super) struct Addressing<'t> {
    multicast_source: Option<(IpAddr, Word<'t>)>,
    unicast_source: Option<(IpAddr, Word<'t>)>,
    track_source: Option<Place>,
    group: Option<(IpAddr, Word<'t>)>,
    peers: Vec<(UnicastPeer, Word<'t>)>,
    ttl: Option<(u8, Place)>,
    fault_without_peers: Option<Place>,
    check_source: Option<bool>,
    /// `unicast_peer` is there, perhaps without a line.
    unicast: Option<Place>,
}

impl<'t> Addressing<'t> {
    /// Reads one of the keywords.
    pub(super) fn read(
        &mut self,
        reader: &mut Reader<'_, '_>,
        word: &str,
        statement: Statement<'t>,
    ) {
        let at = statement.keyword().at;
        match word {
            "mcast_src_ip" => self.multicast_source = named(reader, statement),
            "unicast_src_ip" => self.unicast_source = named(reader, statement),
            "mcast_dst_ip" => self.group = named(reader, statement),
            "track_src_ip" => {
                reader.bare(statement);
                self.track_source = Some(at);
            }
            "unicast_ttl" => {
                let ttl = reader.number(statement, 0..=255);
                self.ttl = ttl.map(|ttl| (byte(ttl), at));
            }
            "unicast_fault_no_peer" => {
                reader.bare(statement);
                self.fault_without_peers = Some(at);
            }
            "check_unicast_src" => self.check_source = reader.flag(statement),
            "unicast_peer" => {
                self.unicast = Some(at);
                for line in lines(reader, statement) {
                    self.peers.extend(peer(reader, line));
                }
            }
            _ => {}
        }
    }

    /// The family that the addresses say, for a router without virtual addresses.
    pub(super) fn family(&self) -> Option<Family> {
        let peer = self.peers.first().map(|(peer, _)| peer.address);
        self.source().or(peer).map(Family::of)
    }

    /// Where adverts come from, if not from the interface's own address.
    pub(super) fn source(&self) -> Option<IpAddr> {
        let unicast = self.unicast_source.or(self.multicast_source);
        let source = if self.is_unicast() {
            unicast
        } else {
            self.multicast_source
        };
        source.map(|(address, _)| address)
    }

    /// `track_src_ip`, where there is a source.
    pub(super) const fn tracks_source(&self) -> bool {
        self.track_source.is_some()
    }

    /// The multicast group.
    pub(super) fn group(&self, family: Family, global: &Global) -> IpAddr {
        self.group
            .map_or_else(|| global.group(family), |(group, _)| group)
    }

    /// Whether the adverts go to peers; a block without a peer means multicast, unless that is to be a fault.
    pub(super) fn is_unicast(&self) -> bool {
        !self.peers.is_empty() || self.unicast.is_some() && self.fault_without_peers.is_some()
    }

    /// Where the file asks for adverts to peers.
    pub(super) const fn unicast_at(&self) -> Option<Place> {
        self.unicast
    }

    /// The peers, if the adverts go to them.
    pub(super) fn unicast(&self, global: &Global) -> Option<Unicast> {
        self.is_unicast().then(|| Unicast {
            peers: self.peers.iter().map(|(peer, _)| peer.clone()).collect(),
            ttl: self.ttl.map_or(u8::MAX, |(ttl, _)| ttl),
            // A limit of one peer is for nothing when anybody may send.
            check_source: self.check_source.unwrap_or(global.check_unicast_source)
                || self.peers.iter().any(|(peer, _)| peer.is_limited()),
        })
    }

    /// What the keywords mean together for a router of this family.
    pub(super) fn settle(&self, reader: &mut Reader<'_, '_>, family: Family) {
        let sources = [self.multicast_source, self.unicast_source, self.group];
        let peers = self.peers.iter().map(|(peer, word)| (peer.address, *word));
        for (address, word) in sources.into_iter().flatten().chain(peers) {
            if Family::of(address) != family {
                let what = format!("not an {family} address, as this virtual router speaks it");
                reader.wrong(word, what);
            }
        }
        if let Some((group, word)) = self.group
            && !group.is_multicast()
        {
            reader.wrong(word, "not a multicast address");
        }
        for (index, (peer, word)) in self.peers.iter().enumerate() {
            let mut before = self.peers.iter().take(index);
            if before.any(|(other, _)| other.address == peer.address) {
                reader.wrong(*word, "this peer is already there");
            }
            if self.source() == Some(peer.address) {
                reader.wrong(*word, "it is the source of this virtual router itself");
            }
        }
        if self.peers.len() > limits::UNICAST_PEERS_MAX
            && let Some((_, word)) = self.peers.get(limits::UNICAST_PEERS_MAX)
        {
            let message = format!("more than {} unicast peers", limits::UNICAST_PEERS_MAX);
            reader.sink.error(word.at, message);
        }
        self.settle_effects(reader);
    }

    /// What has no effect.
    fn settle_effects(&self, reader: &mut Reader<'_, '_>) {
        if let Some(at) = self.unicast
            && !self.is_unicast()
        {
            let message = "`unicast_peer` names no peer: adverts go to the multicast group";
            let report = reader.sink.warning(at, message);
            report.hint("`unicast_fault_no_peer` makes that a fault");
        }
        if let Some(at) = self.track_source
            && self.source().is_none()
        {
            let message = "`track_src_ip` has no effect without a source address";
            reader.sink.warning(at, message);
        }
        let unused = [
            (
                "unicast_src_ip",
                self.unicast_source.map(|(_, word)| word.at),
            ),
            ("unicast_ttl", self.ttl.map(|(_, at)| at)),
            ("unicast_fault_no_peer", self.fault_without_peers),
        ];
        for (word, at) in unused {
            if let Some(at) = at.filter(|_| !self.is_unicast()) {
                let message = format!("`{word}` has no effect without `unicast_peer`");
                reader.sink.warning(at, message);
            }
        }
    }
}

fn named<'t>(reader: &mut Reader<'_, '_>, statement: Statement<'t>) -> Option<(IpAddr, Word<'t>)> {
    let word = reader.value(statement)?;
    Some((address(reader, word)?, word))
}

/// `ADDR [min_ttl N] [max_ttl N]`
fn peer<'t>(reader: &mut Reader<'_, '_>, line: Statement<'t>) -> Option<(UnicastPeer, Word<'t>)> {
    let word = line.keyword();
    let address = address(reader, word)?;
    if address.is_multicast() || address.is_unspecified() || address.is_loopback() {
        reader.wrong(word, "not an address of another machine");
        return None;
    }
    let mut peer = UnicastPeer {
        address,
        ttl_min: 0,
        ttl_max: u8::MAX,
    };
    let mut words = line.arguments();
    while let Some(option) = words.next() {
        let limit = match option.bytes {
            b"min_ttl" => &mut peer.ttl_min,
            b"max_ttl" => &mut peer.ttl_max,
            _ => {
                reader.wrong(option, "not an option of a unicast peer");
                return None;
            }
        };
        let value = required(reader, option, words.next())?;
        *limit = byte(reader.number_word(value, option.bytes, 0..=255)?);
    }
    if peer.ttl_min > peer.ttl_max {
        reader.wrong(word, "`min_ttl` is above `max_ttl`: nothing would pass");
        return None;
    }
    Some((peer, word))
}
