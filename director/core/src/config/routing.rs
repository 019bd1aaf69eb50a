//! `static_routes` and `virtual_routes`, `static_rules` and `virtual_rules`: one a line, in the words of `ip route` and
//! `ip rule`.
//!
//! ```text
//! [TYPE] [to] DESTINATION|default [via|gw ADDRESS] [dev|oif INTERFACE] [src ADDRESS] [table TABLE]
//!        [metric|priority|preference N] [scope SCOPE] [onlink] [inet|inet6]
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

use super::addresses::lines;
use super::global::{address, required};
use super::read::{Reader, decimal};
use super::tree::{Statement, Word};
use crate::net::{Cidr, Family, IfName};
use crate::routing::{MAIN, RouteKind};
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
        if self.table != MAIN {
            write!(f, " table {}", self.table)?;
        }
        Ok(())
    }
}

/// RT_SCOPE_LINK (linux/rtnetlink.h).
const LINK: u8 = 253;

/// Words of `ip route` that are known and do nothing here yet.
const ROUTE_OPTIONS: [&str; 20] = [
    "or",
    "nexthop",
    "tos",
    "dsfield",
    "mtu",
    "hoplimit",
    "advmss",
    "rtt",
    "rttvar",
    "reordering",
    "window",
    "cwnd",
    "ssthresh",
    "realms",
    "rto_min",
    "initcwnd",
    "initrwnd",
    "features",
    "quickack",
    "congctl",
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
            b"onlink" => draft.onlink = true,
            b"inet6" => draft.inet6 = true,
            b"inet" | b"unicast" => {}
            b"blackhole" => draft.kind = RouteKind::Blackhole,
            b"unreachable" => draft.kind = RouteKind::Unreachable,
            b"prohibit" => draft.kind = RouteKind::Prohibit,
            b"throw" => draft.kind = RouteKind::Throw,
            bytes if is_of(&ROUTE_OPTIONS, bytes) => {
                reader.wrong(word, "this option of a route is not yet supported");
                return None;
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
}

impl Draft {
    pub(super) fn via(&mut self, reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<()> {
        self.via = Some(address(reader, word)?);
        Some(())
    }

    pub(super) fn source(&mut self, reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<()> {
        self.source = Some(address(reader, word)?);
        Some(())
    }

    pub(super) fn interface(&mut self, reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<()> {
        self.interface = Some(reader.parse_word(word)?);
        Some(())
    }

    pub(super) fn metric(&mut self, reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<()> {
        self.metric = reader.number_word(word, b"metric", 0..=u32::MAX)?;
        Some(())
    }

    /// The route, when its parts belong together.
    pub(super) fn finish(self, reader: &mut Reader<'_, '_>, to: Word<'_>) -> Option<Route> {
        let (via, source) = (self.via, self.source);
        let said = via.or(source).map(Family::of);
        let destination = match said.or_else(|| self.inet6.then_some(Family::V6)) {
            family if to.bytes == b"default" => everything(family.unwrap_or(Family::V4)),
            _ => network(reader, to)?,
        };
        let is_sent = self.kind == RouteKind::Unicast;
        if is_sent && via.is_none() && self.interface.is_none() {
            reader.wrong(to, "a route needs `via` or `dev`");
            return None;
        }
        if !is_sent && (via.is_some() || self.interface.is_some()) {
            reader.wrong(to, "a route that leads nowhere has neither `via` nor `dev`");
            return None;
        }
        let family = Family::of(destination.address);
        if [via, source]
            .into_iter()
            .flatten()
            .any(|address| Family::of(address) != family)
        {
            reader.wrong(to, "the addresses of a route are of one family");
            return None;
        }
        let near = is_sent && via.is_none();
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
        })
    }
}

fn is_of(options: &[&str], word: &[u8]) -> bool {
    options.iter().any(|option| option.as_bytes() == word)
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
