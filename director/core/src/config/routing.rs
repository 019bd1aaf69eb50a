//! `static_routes` and `virtual_routes`, `static_rules` and `virtual_rules`: one a line, in the words of `ip route` and
//! `ip rule`.
//!
//! ```text
//! [TYPE] [to] DESTINATION|default [via|gw ADDRESS] [dev|oif INTERFACE] [src ADDRESS] [table TABLE]
//!        [metric|priority|preference N] [scope SCOPE] [onlink] [inet|inet6] [or ADDRESS] [METRIC [lock] N]..
//!        [nexthop [via ADDRESS] [dev INTERFACE] [weight N] [onlink]]..
//! [from PREFIX|all] [to PREFIX|all] [iif|dev INTERFACE] [oif INTERFACE] [fwmark MARK[/MASK]]
//!        [not] [tos|dsfield TOS] [ipproto PROTOCOL] [sport PORT[-PORT]] [dport PORT[-PORT]] [uidrange USER-USER]
//!        [suppress_prefixlength N] [suppress_ifgroup N] [preference|priority|pref|order N] [inet|inet6]
//!        table|lookup TABLE | goto PRIORITY | nop | blackhole | unreachable | prohibit
//! ```
//!
//! TYPE is unicast, blackhole, unreachable, prohibit or throw; TABLE a number, or main, default or local. What goes
//! away in the kernel is put back, so that there is nothing to fail for (`no_track`, `track_group`).

mod rules;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::num::NonZeroU8;

use super::addresses::lines;
use super::global::{address, byte, required};
use super::read::{Reader, decimal};
use super::tree::{Statement, Word};
use crate::limits;
use crate::net::{Cidr, Family, IfName};
use crate::routing::{MAIN, Metrics, RouteKind};
pub(super) use rules::rules;

/// A route by the names of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination; `default` is 0.0.0.0/0 or ::/0.
    pub destination: Cidr,
    /// What becomes of packets.
    pub kind: RouteKind,
    /// Next hop.
    pub via: Option<IpAddr>,
    /// Outgoing interface, by its configured name.
    pub interface: Option<IfName>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Metric; 0 for the kernel's default.
    pub metric: u32,
    /// Routing table.
    pub table: u32,
    /// RT_SCOPE_.. (linux/rtnetlink.h); always 0 over IPv6.
    pub scope: u8,
    /// The next hop is on the link, whatever the interface's own networks say.
    pub onlink: bool,
    /// Several next hops instead of the one above, at most [`limits::NEXT_HOPS_MAX`].
    pub hops: Vec<Hop>,
    /// What connections by it are told.
    pub metrics: Metrics,
}

/// One of several next hops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Its address.
    pub via: Option<IpAddr>,
    /// Outgoing interface, by its configured name.
    pub interface: Option<IfName>,
    /// Its share, beside the others.
    pub weight: NonZeroU8,
    /// It is on the link, whatever the interface's own networks say.
    pub onlink: bool,
}

impl Hop {
    const fn to(via: Option<IpAddr>, interface: Option<IfName>) -> Self {
        Self {
            via,
            interface,
            weight: NonZeroU8::MIN,
            onlink: false,
        }
    }
}

impl Route {
    /// A route of the main table, with nothing said but where to.
    #[must_use]
    pub const fn to(destination: Cidr) -> Self {
        Self {
            destination,
            kind: RouteKind::Unicast,
            via: None,
            interface: None,
            source: None,
            metric: 0,
            table: MAIN,
            scope: 0,
            onlink: false,
            hops: Vec::new(),
            metrics: Metrics::none(),
        }
    }
}

impl core::fmt::Display for Route {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}{}", self.kind.before(), self.destination)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " dev {interface}")?;
        }
        if !self.hops.is_empty() {
            write!(f, " by {} next hops", self.hops.len())?;
        }
        if self.table != MAIN {
            write!(f, " table {}", self.table)?;
        }
        Ok(())
    }
}

/// RT_SCOPE_LINK (linux/rtnetlink.h).
const LINK: u8 = 253;

/// Words that are known and refused, and why.
type Refused = [(&'static [&'static str], &'static str)];

const NO_REALMS: (&[&str], &str) = (&["realms"], "nothing here counts or sorts by realms");

/// Those of `ip route`.
const ROUTE_REFUSED: &Refused = &[
    NO_REALMS,
    (
        &["tos", "dsfield"],
        "a route is for all types of service; a rule with `tos` can have a table of its own",
    ),
    (
        &["append", "add"],
        "which of two routes to one destination holds follows from their metrics here",
    ),
    (
        &["proto", "protocol"],
        "routes have the director's own number there, by which it knows them",
    ),
    (
        &["encap", "ttl-propagate"],
        "no routes into tunnels are made here",
    ),
    (
        &[
            "rtt",
            "rttvar",
            "rto_min",
            "features",
            "congctl",
            "fastopen_no_cookie",
            "expires",
            "pref",
        ],
        "this is left to the kernel",
    ),
    (
        &["local", "broadcast", "multicast", "anycast", "nat"],
        "a route is unicast, blackhole, unreachable, prohibit or throw",
    ),
];

/// Reads a block of routes.
pub(super) fn routes(reader: &mut Reader<'_, '_>, block: Statement<'_>, list: &mut Vec<Route>) {
    for line in lines(reader, block) {
        let Some(route) = route(reader, line) else {
            continue;
        };
        let key = |route: &Route| (route.destination, route.table, route.metric);
        if list.iter().any(|had| key(had) == key(&route)) {
            let message = format!("a route to {} is already there", route.destination);
            let hint = "routes to one destination differ in their table or their metric";
            reader.sink.error(line.keyword().at, message).hint(hint);
        } else {
            list.push(route);
        }
    }
}

fn route(reader: &mut Reader<'_, '_>, line: Statement<'_>) -> Option<Route> {
    let mut words = line.words();
    let (mut draft, mut destination) = (Draft::default(), None);
    while let Some(word) = words.next() {
        let mut value = |reader: &mut Reader<'_, '_>| required(reader, word, words.next());
        match word.bytes {
            b"via" | b"gw" => {
                let value = value(reader)?;
                draft.via(reader, value)?;
            }
            b"dev" | b"oif" => {
                let value = value(reader)?;
                draft.interface(reader, value)?;
            }
            b"src" => {
                let value = value(reader)?;
                draft.source(reader, value)?;
            }
            b"metric" | b"priority" | b"preference" => {
                let value = value(reader)?;
                draft.metric(reader, value)?;
            }
            b"table" => draft.table = Some(value(reader).and_then(|word| table(reader, word))?),
            b"scope" => draft.scope = Some(value(reader).and_then(|word| scope(reader, word))?),
            b"to" => destination = Some(value(reader)?),
            b"track_group" => drop(value(reader)?),
            b"no_track" => {}
            b"onlink" => draft.onlink(),
            b"weight" => {
                let value = value(reader)?;
                draft.weight(reader, word, value)?;
            }
            b"nexthop" => draft.hops.push(Hop::to(None, None)),
            b"or" => draft.or = Some(value(reader).and_then(|word| address(reader, word))?),
            b"inet6" => draft.inet6 = true,
            // The director's way.
            b"prepend" => {}
            b"inet" | b"unicast" => {}
            b"blackhole" => draft.kind = RouteKind::Blackhole,
            b"unreachable" => draft.kind = RouteKind::Unreachable,
            b"prohibit" => draft.kind = RouteKind::Prohibit,
            b"throw" => draft.kind = RouteKind::Throw,
            _ if is_refused(reader, word, ROUTE_REFUSED) => return None,
            bytes if Metrics::named(bytes).is_some() => {
                let mut value = value(reader)?;
                let locked = value.bytes == b"lock";
                if locked {
                    value = required(reader, word, words.next())?;
                }
                draft.told(reader, word, (locked, value))?;
            }
            _ if destination.is_none() => destination = Some(word),
            _ => {
                reader.wrong(word, "not an option of a route");
                return None;
            }
        }
    }
    let Some(destination) = destination else {
        reader.wrong(line.keyword(), "a route needs a destination");
        return None;
    };
    draft.finish(reader, destination)
}

/// A route as far as it has been read.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    kind: RouteKind,
    via: Option<IpAddr>,
    interface: Option<IfName>,
    source: Option<IpAddr>,
    metric: u32,
    table: Option<u32>,
    scope: Option<u8>,
    onlink: bool,
    inet6: bool,
    /// A second next hop.
    or: Option<IpAddr>,
    hops: Vec<Hop>,
    metrics: Metrics,
}

impl Draft {
    pub(super) fn via(&mut self, reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<()> {
        let via = Some(address(reader, word)?);
        match self.hops.last_mut() {
            Some(hop) => hop.via = via,
            None => self.via = via,
        }
        Some(())
    }

    fn onlink(&mut self) {
        match self.hops.last_mut() {
            Some(hop) => hop.onlink = true,
            None => self.onlink = true,
        }
    }

    /// The share of a next hop.
    fn weight(
        &mut self,
        reader: &mut Reader<'_, '_>,
        word: Word<'_>,
        value: Word<'_>,
    ) -> Option<()> {
        let Some(hop) = self.hops.last_mut() else {
            reader.wrong(word, "only a `nexthop` has a weight");
            return None;
        };
        let weight = reader.number_word(value, word.bytes, 1..=255)?;
        hop.weight = NonZeroU8::new(byte(weight))?;
        Some(())
    }

    /// A metric of the kernel's, which it must not adapt where it is locked.
    fn told(
        &mut self,
        reader: &mut Reader<'_, '_>,
        word: Word<'_>,
        (locked, value): (bool, Word<'_>),
    ) -> Option<()> {
        let (number, high) = Metrics::named(word.bytes)?;
        let value = reader.number_word(value, word.bytes, 0..=high)?;
        self.metrics.set(number, value);
        if locked {
            self.metrics.lock(number);
        }
        Some(())
    }

    /// The next hops, when there are several.
    fn several(&mut self) -> Vec<Hop> {
        let mut hops = core::mem::take(&mut self.hops);
        if hops.is_empty() && self.via.is_some() && self.or.is_some() {
            let both = [self.via.take(), self.or.take()];
            let interface = self.interface.take();
            hops.extend(both.map(|via| Hop::to(via, interface.clone())));
        }
        // Said of the route, it is said of each.
        if !hops.is_empty() && core::mem::take(&mut self.onlink) {
            hops.iter_mut().for_each(|hop| hop.onlink = true);
        }
        // One alone is the route's own.
        if let [only] = hops.as_slice()
            && self.via.is_none()
            && self.interface.is_none()
        {
            self.via = only.via;
            self.interface.clone_from(&only.interface);
            self.onlink = only.onlink;
            return Vec::new();
        }
        hops
    }

    pub(super) fn source(&mut self, reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<()> {
        self.source = Some(address(reader, word)?);
        Some(())
    }

    pub(super) fn interface(&mut self, reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<()> {
        let interface = Some(reader.parse_word(word)?);
        match self.hops.last_mut() {
            Some(hop) => hop.interface = interface,
            None => self.interface = interface,
        }
        Some(())
    }

    pub(super) fn metric(&mut self, reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<()> {
        self.metric = reader.number_word(word, b"metric", 0..=u32::MAX)?;
        Some(())
    }

    /// The route, when its parts belong together.
    pub(super) fn finish(mut self, reader: &mut Reader<'_, '_>, to: Word<'_>) -> Option<Route> {
        let hops = self.several();
        if let Some(wrong) = self.wrong(&hops) {
            reader.wrong(to, wrong);
            return None;
        }
        let (via, source) = (self.via, self.source);
        let mut vias = hops.iter().filter_map(|hop| hop.via);
        let said = via.or_else(|| vias.next()).or(source).map(Family::of);
        let destination = match said.or_else(|| self.inet6.then_some(Family::V6)) {
            family if to.bytes == b"default" => everything(family.unwrap_or(Family::V4)),
            _ => network(reader, to)?,
        };
        let family = Family::of(destination.address);
        let vias = hops.iter().filter_map(|hop| hop.via);
        if [via, source]
            .into_iter()
            .flatten()
            .chain(vias)
            .any(|address| Family::of(address) != family)
        {
            reader.wrong(to, "the addresses of a route are of one family");
            return None;
        }
        let near = self.kind == RouteKind::Unicast
            && via.is_none()
            && hops.iter().all(|hop| hop.via.is_none());
        let scope = self.scope.unwrap_or(if near { LINK } else { 0 });
        Some(Route {
            destination,
            kind: self.kind,
            via,
            interface: self.interface,
            source,
            metric: self.metric,
            table: self.table.unwrap_or(MAIN),
            scope: if family == Family::V4 { scope } else { 0 },
            onlink: self.onlink,
            hops,
            metrics: self.metrics,
        })
    }

    /// What is wrong with where it leads; `hops` are all next hops when there are several.
    fn wrong(&self, hops: &[Hop]) -> Option<&'static str> {
        let is_sent = self.kind == RouteKind::Unicast;
        let is_one = self.via.is_some() || self.interface.is_some();
        let leads_nowhere = |hop: &Hop| hop.via.is_none() && hop.interface.is_none();
        if self.or.is_some() && hops.is_empty() {
            Some("`or` names a second next hop beside that of `via`")
        } else if (is_one || self.or.is_some()) && !hops.is_empty() {
            Some("a route has `via` and `dev`, or `nexthop`, and not both")
        } else if hops.iter().any(leads_nowhere) {
            Some("a next hop needs `via` or `dev`")
        } else if hops.len() > limits::NEXT_HOPS_MAX {
            const { assert!(limits::NEXT_HOPS_MAX == 8) };
            Some("a route has at most 8 next hops")
        } else if is_sent && !is_one && hops.is_empty() {
            Some("a route needs `via` or `dev`")
        } else if !is_sent && (is_one || !hops.is_empty()) {
            Some("a route that leads nowhere has neither `via` nor `dev`")
        } else {
            None
        }
    }
}

/// Whether a word is one of those that are refused; says why.
fn is_refused(reader: &mut Reader<'_, '_>, word: Word<'_>, refused: &Refused) -> bool {
    let has = |words: &[&str]| words.iter().any(|known| known.as_bytes() == word.bytes);
    let Some((_, why)) = refused.iter().find(|(words, _)| has(words)) else {
        return false;
    };
    reader.wrong(word, why);
    true
}

/// A network: no bits are set behind its prefix.
fn network(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<Cidr> {
    let network: Cidr = reader.parse_word(word)?;
    let behind = match network.address {
        IpAddr::V4(address) => u32::from(address)
            .checked_shl(network.prefix.into())
            .is_some_and(|bits| bits != 0),
        IpAddr::V6(address) => u128::from(address)
            .checked_shl(network.prefix.into())
            .is_some_and(|bits| bits != 0),
    };
    if behind {
        reader.wrong(word, "a network has no bits set after its prefix");
        return None;
    }
    Some(network)
}

const fn everything(family: Family) -> Cidr {
    let address = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Cidr { address, prefix: 0 }
}

fn table(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<u32> {
    let number = match word.bytes {
        b"main" => Some(MAIN),
        b"default" => Some(253),
        b"local" => Some(255),
        bytes => decimal(bytes).and_then(|number| u32::try_from(number).ok()),
    };
    let number = number.filter(|number| *number > 0);
    if number.is_none() {
        reader.wrong(word, "a table is a number, or one of main, default, local");
    }
    number
}

pub(super) fn scope(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<u8> {
    let number = match word.bytes {
        b"global" | b"universe" => Some(0),
        b"site" => Some(200),
        b"link" => Some(LINK),
        b"host" => Some(254),
        b"nowhere" => Some(255),
        bytes => decimal(bytes).and_then(|number| u8::try_from(number).ok()),
    };
    if number.is_none() {
        reader.wrong(
            word,
            "a scope is a number, or one of global, site, link, host, nowhere",
        );
    }
    number
}
