//! Routes of the kernel, and the rules of its routing policy.

use core::fmt;
use core::net::IpAddr;
use core::num::NonZeroU8;
use std::collections::BTreeMap;

use crate::net::{Cidr, Family, IfName, Ifindex};

/// A route: only those that carry the director's protocol number are ever reported or changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Destination; 0.0.0.0/0 is the default route.
    pub destination: Cidr,
    /// What becomes of packets.
    pub kind: RouteKind,
    /// Next hop, none for a directly attached network.
    pub via: Option<IpAddr>,
    /// Outgoing interface, none when the next hop decides.
    pub ifindex: Option<Ifindex>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Metric (priority); 0 for the kernel's default.
    pub metric: u32,
    /// Routing table; [`MAIN`] without a word of it.
    pub table: u32,
    /// RT_SCOPE_.. (linux/rtnetlink.h); always 0 over IPv6.
    pub scope: u8,
    /// The next hop is on the link, whatever the interface's own networks say (RTNH_F_ONLINK).
    pub onlink: bool,
    /// Several next hops, which share the packets, instead of the one above.
    pub hops: Vec<NextHop>,
    /// What connections by it are told.
    pub metrics: Metrics,
}

/// One of several next hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHop {
    /// Its address, none for a directly attached network.
    pub via: Option<IpAddr>,
    /// Outgoing interface, none when the address decides.
    pub ifindex: Option<Ifindex>,
    /// Its share, beside the others.
    pub weight: NonZeroU8,
    /// It is on the link, whatever the interface's own networks say.
    pub onlink: bool,
}

/// Metrics of a route by their numbers (RTAX_.., linux/rtnetlink.h), without those that are the kernel's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metrics(BTreeMap<u8, u32>);

impl Metrics {
    /// The metrics that a configuration names, with their numbers and the highest that the kernel takes as it is
    /// (ip_metrics_convert): what it cuts would never be what was asked for.
    const WORDS: [(&str, u8, u32); 10] = [
        ("mtu", 2, 65_520),
        ("window", 3, u32::MAX),
        ("ssthresh", 6, u32::MAX),
        ("cwnd", 7, u32::MAX),
        ("advmss", 8, 65_495),
        ("reordering", 9, u32::MAX),
        ("hoplimit", 10, 255),
        ("initcwnd", 11, u32::MAX),
        ("initrwnd", 14, u32::MAX),
        ("quickack", 15, 1),
    ];

    /// RTAX_LOCK: a bit for each metric that the kernel must not adapt.
    pub const LOCK: u8 = 1;

    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// The number of a metric by its word, and the highest that it can be.
    #[must_use]
    pub fn named(word: &[u8]) -> Option<(u8, u32)> {
        let mut words = Self::WORDS.iter();
        let found = words.find(|(known, ..)| known.as_bytes() == word);
        found.map(|(_, number, high)| (*number, *high))
    }

    /// Sets one; 0 is the kernel's own.
    pub fn set(&mut self, number: u8, value: u32) {
        if value == 0 {
            self.0.remove(&number);
        } else {
            self.0.insert(number, value);
        }
    }

    /// Has the kernel leave one as it is.
    pub fn lock(&mut self, number: u8) {
        let locks = self.0.entry(Self::LOCK).or_default();
        *locks |= 1_u32.checked_shl(number.into()).unwrap_or(0);
    }

    /// Those that are set, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u8, u32)> {
        self.0.iter().map(|(number, value)| (*number, *value))
    }
}

/// RT_TABLE_MAIN (linux/rtnetlink.h).
pub const MAIN: u32 = 254;

impl Route {
    /// A route of the main table, with nothing said but where to.
    #[must_use]
    pub const fn to(destination: Cidr) -> Self {
        Self {
            destination,
            kind: RouteKind::Unicast,
            via: None,
            ifindex: None,
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

/// What becomes of packets that a route takes (RTN_.., linux/rtnetlink.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteKind {
    /// They are sent on.
    #[default]
    Unicast,
    /// They are dropped.
    Blackhole,
    /// They are dropped, and the sender is told that nobody is there.
    Unreachable,
    /// They are dropped, and the sender is told that it must not.
    Prohibit,
    /// The next rule decides.
    Throw,
}

impl RouteKind {
    /// What stands before the destination.
    pub(crate) const fn before(self) -> &'static str {
        match self {
            Self::Unicast => "",
            Self::Blackhole => "blackhole ",
            Self::Unreachable => "unreachable ",
            Self::Prohibit => "prohibit ",
            Self::Throw => "throw ",
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.before(), self.destination)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
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

/// A rule of the routing policy: only those that carry the director's protocol number are ever reported or changed.
/// Interfaces have their configured names in a configuration, and the kernel's in the kernel's state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Family.
    pub family: Family,
    /// Rules are asked in this order, lower numbers first.
    pub priority: u32,
    /// Of packets from here.
    pub from: Option<Cidr>,
    /// Of packets to here.
    pub to: Option<Cidr>,
    /// Of packets that came in there.
    pub iif: Option<IfName>,
    /// Of packets of sockets that are bound there.
    pub oif: Option<IfName>,
    /// Of packets with this firewall mark, of the bits of the mask.
    pub mark: Option<(u32, u32)>,
    /// Of all packets but those that the rest of it says (FIB_RULE_INVERT).
    pub invert: bool,
    /// Of packets with this type of service; 0 for any.
    pub tos: u8,
    /// Of packets of this protocol.
    pub protocol: Option<u8>,
    /// Of packets from these ports, first and last.
    pub from_ports: Option<(u16, u16)>,
    /// Of packets to these ports.
    pub to_ports: Option<(u16, u16)>,
    /// Of packets of sockets of these users, first and last.
    pub users: Option<(u32, u32)>,
    /// Goes on with the next rule where the table has a route of no longer prefix than this.
    pub suppress_prefix: Option<u32>,
    /// Goes on with the next rule where the table has a route by an interface of this group.
    pub suppress_group: Option<u32>,
    /// What it does.
    pub action: RuleAction,
}

impl Rule {
    /// A rule that is asked first, of all packets of a family.
    #[must_use]
    pub const fn of(family: Family, action: RuleAction) -> Self {
        Self {
            family,
            priority: 0,
            from: None,
            to: None,
            iif: None,
            oif: None,
            mark: None,
            invert: false,
            tos: 0,
            protocol: None,
            from_ports: None,
            to_ports: None,
            users: None,
            suppress_prefix: None,
            suppress_group: None,
            action,
        }
    }
}

/// What a rule does with packets that it takes (FR_ACT_.., linux/fib_rules.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleAction {
    /// Looks them up in a table.
    Table(u32),
    /// Goes on with the first rule that has this priority or a higher number.
    Goto(u32),
    /// Nothing: a place to go to.
    Nop,
    /// Drops them.
    Blackhole,
    /// Drops them, and tells the sender that nobody is there.
    Unreachable,
    /// Drops them, and tells the sender that it must not.
    Prohibit,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.invert { " not" } else { "" };
        write!(f, "{}{not}", self.priority)?;
        if let Some(from) = self.from {
            write!(f, " from {from}")?;
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        match self.action {
            RuleAction::Table(table) => write!(f, " table {table}"),
            RuleAction::Goto(priority) => write!(f, " goto {priority}"),
            RuleAction::Nop => f.write_str(" nop"),
            RuleAction::Blackhole => f.write_str(" blackhole"),
            RuleAction::Unreachable => f.write_str(" unreachable"),
            RuleAction::Prohibit => f.write_str(" prohibit"),
        }
    }
}
