//! Routes of the kernel, and the rules of its routing policy.

use core::fmt;
use core::net::IpAddr;

use crate::net::{Cidr, Family, IfName, Ifindex};

/// A route: only those that carry the director's protocol number are ever reported or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
