//! What happened, as keepalived tells it: the lines of the FIFOs, and what programs are run for.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use director_core::check::Health;
use director_core::config::{Config, FifoScope, Subject, Turn};
use director_core::event::Event;
use director_core::ipvs::{DestId, Protocol, ServiceId};
use director_core::net::Name;
use director_core::vrrp::{self, StateName};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// Of a virtual router, with its priority.
    Router(Name, Turn, u8),
    /// Of a sync group.
    Group(Name, Turn),
    /// Of a real server.
    Server(ServiceId, DestId, Turn),
    /// Of a service's quorum.
    Service(ServiceId, Turn),
}

/// Finds the facts in the events.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The failed checks of each real server: it is down while there is one.
    down: BTreeMap<(ServiceId, DestId), BTreeSet<u16>>,
}

impl Facts {
    /// Forgets the real servers that a configuration no longer has.
    pub(crate) fn configure(&mut self, config: &Config) {
        self.down.retain(|(service, dest), _| {
            let mut servers = config.services.iter();
            let server = servers.find(|server| server.id == *service);
            server.is_some_and(|server| server.real_servers.iter().any(|real| real.id == *dest))
        });
    }

    /// The fact in an event, if there is one. `config` is the one in force.
    pub(crate) fn of(&mut self, event: &Event, config: &Config) -> Option<Fact> {
        match event {
            Event::Vrrp { router, event } => {
                let configured = config.routers.iter().find(|other| other.name == *router);
                let priority = configured.map_or(0, |router| router.priority);
                let turn = match event {
                    vrrp::Event::StateChanged { .. } if configured.is_none() => Turn::Deleted,
                    vrrp::Event::StateChanged { new, .. } => turn(*new),
                    vrrp::Event::LowerPriority(_) => Turn::LowerPriority,
                    _ => return None,
                };
                Some(Fact::Router(router.clone(), turn, priority))
            }
            Event::Group { group, new, .. } => Some(Fact::Group(group.clone(), turn(*new))),
            Event::Check(event) => {
                let (service, dest) = (event.key.service, event.key.dest);
                let failed = self.down.entry((service, dest)).or_default();
                let was_up = failed.is_empty();
                let turn = match event.new {
                    Health::Down => {
                        failed.insert(event.key.ordinal);
                        was_up.then_some(Turn::Down)
                    }
                    Health::Up => {
                        failed.remove(&event.key.ordinal);
                        // What only tells another number was up before.
                        let turned = event.old == Health::Down && failed.is_empty();
                        turned.then_some(Turn::Up)
                    }
                };
                Some(Fact::Server(service, dest, turn?))
            }
            Event::Quorum { service, held, .. } => {
                let turn = if *held { Turn::Up } else { Turn::Down };
                Some(Fact::Service(*service, turn))
            }
            _ => None,
        }
    }
}

const fn turn(state: StateName) -> Turn {
    match state {
        StateName::Active => Turn::Active,
        StateName::Backup => Turn::Backup,
        StateName::Fault => Turn::Fault,
        StateName::Initialize => Turn::Stop,
    }
}

impl Fact {
    pub(crate) const fn scope(&self) -> FifoScope {
        match self {
            Self::Router(..) | Self::Group(..) => FifoScope::Vrrp,
            Self::Server(..) | Self::Service(..) => FifoScope::Lvs,
        }
    }

    /// What programs are run for.
    pub(crate) fn subject(&self) -> Option<(Subject, Turn)> {
        Some(match self {
            Self::Router(name, turn, _) => (Subject::Router(name.clone()), *turn),
            Self::Group(name, turn) => (Subject::Group(name.clone()), *turn),
            Self::Server(service, dest, turn) => (Subject::Server(*service, *dest), *turn),
            Self::Service(..) => return None,
        })
    }

    /// The words that a program for any change is given, as keepalived does: `INSTANCE NAME MASTER 100`.
    pub(crate) fn words(&self) -> Vec<String> {
        let (kind, name, turn, priority) = match self {
            Self::Router(name, turn, priority) => ("INSTANCE", name, turn, *priority),
            Self::Group(name, turn) => ("GROUP", name, turn, 0),
            Self::Server(..) | Self::Service(..) => return Vec::new(),
        };
        let words = [kind, name.as_str(), word(*turn)].map(str::to_owned);
        words.into_iter().chain([priority.to_string()]).collect()
    }
}

/// keepalived's word.
const fn word(turn: Turn) -> &'static str {
    match turn {
        Turn::Any => "",
        Turn::Active => "MASTER",
        Turn::Backup => "BACKUP",
        Turn::Fault => "FAULT",
        Turn::Stop => "STOP",
        Turn::Deleted => "DELETED",
        Turn::LowerPriority => "MASTER_RX_LOWER_PRI",
        Turn::Up => "UP",
        Turn::Down => "DOWN",
    }
}

impl fmt::Display for Fact {
    /// As in the FIFO, without the line's end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router(name, turn, priority) => {
                write!(f, "INSTANCE \"{name}\" {} {priority}", word(*turn))
            }
            Self::Group(name, turn) => write!(f, "GROUP \"{name}\" {} 0", word(*turn)),
            Self::Server(service, dest, turn) => {
                let protocol = match service {
                    ServiceId::Address { protocol, .. } => *protocol,
                    ServiceId::Fwmark { .. } => Protocol::Tcp,
                };
                let protocol = protocol_name(protocol);
                write!(f, "RS [{}]:{protocol}:{} ", dest.address, dest.port)?;
                write!(f, "{} {}", service_name(*service), word(*turn))
            }
            Self::Service(service, turn) => {
                write!(f, "VS {} {}", service_name(*service), word(*turn))
            }
        }
    }
}

/// `[ADDRESS]:tcp:PORT`, or `FWM MARK`.
fn service_name(service: ServiceId) -> String {
    match service {
        ServiceId::Address {
            protocol,
            address,
            port,
        } => format!("[{address}]:{}:{port}", protocol_name(protocol)),
        ServiceId::Fwmark { mark, .. } => format!("FWM {mark}"),
    }
}

const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}
