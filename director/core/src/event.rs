//! All that is worth a line in the log: one enum, one `Display`, one ring that `log` shows.

use core::fmt;
use std::collections::VecDeque;

use crate::check;
pub use crate::config::Level;
use crate::config::Tracked;
use crate::ipvs::{DestId, ServiceId};
use crate::kernel::{Link, Op, OpError};
use crate::limits;
use crate::net::{IfName, Name};
use crate::overrides::Change;
use crate::status::LogLine;
use crate::time::{Duration, Instant};
use crate::tracking::Recovery;
use crate::vrrp;

/// The real server that a check belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckKey {
    /// Its service.
    pub service: ServiceId,
    /// Its identity in the pool.
    pub dest: DestId,
    /// Which of its checks, counted from 0.
    pub ordinal: u16,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A configuration took effect.
    Configured {
        /// Virtual routers in it.
        routers: u32,
        /// Services in it.
        services: u32,
        /// Checks in it.
        checks: u32,
    },
    /// The kernel holds what the configuration asks for.
    InForce {
        /// Operations that were acknowledged on the way.
        operations: u64,
        /// From the configuration's arrival.
        took: Duration,
    },
    /// Of a virtual router.
    Vrrp {
        /// Its name.
        router: Name,
        /// What happened.
        event: vrrp::Event,
    },
    /// A sync group changed its state.
    Group {
        /// Its name.
        group: Name,
        /// Before.
        old: vrrp::StateName,
        /// After.
        new: vrrp::StateName,
        /// How long the old state had lasted.
        lasted: Duration,
    },
    /// A check changed its mind.
    Check(check::Event<CheckKey>),
    /// A script or probe changed its mind.
    Watch(check::Event<Tracked>),
    /// A pool gained or lost its quorum.
    Quorum {
        /// The service.
        service: ServiceId,
        /// Gained, or lost.
        held: bool,
        /// Weight of the healthy real servers.
        weight: u64,
        /// Configured quorum.
        quorum: u32,
        /// How long it had been otherwise.
        lasted: Duration,
    },
    /// What holds for a dest against the configuration changed.
    Dest(ServiceId, DestId, Change),
    /// An interface changed.
    Link {
        /// The kernel's name.
        name: IfName,
        /// Before; none when it came.
        old: Option<LinkState>,
        /// Now; none when it is gone.
        new: Option<LinkState>,
        /// How long the director had known it as it was.
        lasted: Duration,
    },
    /// The kernel refused an operation; it is tried again.
    Refused {
        /// The operation.
        op: Op,
        /// What the kernel said.
        error: OpError,
    },
    /// Somebody else changed the kernel's state; it is repaired.
    ForeignEdit {
        /// Operations that repair it.
        operations: u32,
    },
    /// Notifications of the kernel were lost; everything is read again.
    Overrun,
    /// An operator gave up Active.
    Handover {
        /// One virtual router, or all.
        router: Option<Name>,
    },
    /// The connections of FULLNAT services are tracked as they were on the peer, as far as they could be.
    Recovered(Recovery),
    /// Something of the shell's own.
    Note {
        /// How much it matters.
        level: Level,
        /// One line.
        text: String,
    },
    /// The orderly stop began.
    Stopping,
    /// The orderly stop took longer than it may, and ends with this many operations undone.
    StopIncomplete {
        /// Operations left.
        operations: u32,
    },
}

impl Event {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Note { level, .. } => *level,
            Self::Refused { .. } | Self::StopIncomplete { .. } => Level::Error,
            Self::Quorum { held: false, .. } => Level::Error,
            Self::Check(check::Event { cause: Some(_), .. }) => Level::Warning,
            Self::Watch(event) if event.new == check::Health::Down => Level::Warning,
            Self::ForeignEdit { .. } | Self::Overrun => Level::Warning,
            Self::Recovered(recovery) if recovery.has_losses() => Level::Warning,
            Self::Link { new, .. } if *new != Some(LinkState::HasLink) => Level::Warning,
            _ => Level::Info,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured {
                routers,
                services,
                checks,
            } => {
                write!(f, "configuration in force: {routers} virtual routers, ")?;
                write!(f, "{services} services, {checks} checks")
            }
            Self::InForce { operations, took } => {
                let micros = took.as_micros();
                let (ms, us) = (micros / 1000, micros % 1000);
                write!(f, "in force after {operations} operations, {ms}.{us:03} ms")
            }
            Self::Vrrp { router, event } => write!(f, "router {router}: {event}"),
            Self::Group {
                group,
                old,
                new,
                lasted,
            } => {
                let lasted = lasted.as_secs_f64();
                write!(f, "sync group {group}: {old} -> {new} after {lasted:.3} s")
            }
            Self::Watch(event) => write_watch(f, event),
            Self::Check(event) => write!(f, "service {}: {event}", event.key.service),
            Self::Quorum {
                service,
                held,
                weight,
                quorum,
                lasted,
            } => {
                let turn = if *held { "gained" } else { "lost" };
                let lasted = lasted.as_secs_f64();
                write!(f, "service {service}: quorum {turn} after {lasted:.3} s: ")?;
                write!(f, "weight {weight} of {quorum}")
            }
            Self::Dest(service, dest, change) => write!(f, "service {service}: {dest}: {change}"),
            Self::Link {
                name,
                old,
                new,
                lasted,
            } => write_link(f, name, [*old, *new], *lasted),
            Self::Refused { op, error } => {
                write!(f, "kernel refused to {op}: {error}; trying again")
            }
            Self::ForeignEdit { operations } => {
                f.write_str("kernel state was changed from outside: ")?;
                write!(f, "repairing with {operations} operations")
            }
            Self::Overrun => {
                f.write_str("kernel notifications were lost: reading everything again")
            }
            Self::Handover { router: Some(name) } => {
                write!(f, "handover of router {name} asked for")
            }
            Self::Handover { router: None } => f.write_str("handover of all routers asked for"),
            Self::Recovered(recovery) => write!(f, "FULLNAT: {recovery}"),
            Self::Note { text, .. } => f.write_str(text),
            Self::Stopping => {
                f.write_str("stopping: handing over, then removing addresses and services")
            }
            Self::StopIncomplete { operations } => {
                write!(f, "stopped with {operations} operations undone")
            }
        }
    }
}

/// How an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Set to down.
    Down,
    /// Set to up, without a link.
    NoLink,
    /// Set to up, with a link.
    HasLink,
}

impl LinkState {
    /// That of a link.
    #[must_use]
    pub const fn of(link: &Link) -> Self {
        match (link.up, link.carrier) {
            (true, true) => Self::HasLink,
            (true, false) => Self::NoLink,
            (false, _) => Self::Down,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::HasLink => "up, has a link",
            Self::NoLink => "up, no link",
            Self::Down => "down",
        }
    }
}

fn write_link(
    f: &mut fmt::Formatter<'_>,
    name: &IfName,
    [old, new]: [Option<LinkState>; 2],
    lasted: Duration,
) -> fmt::Result {
    write!(f, "interface {name}: ")?;
    let new = new.map_or("gone", LinkState::words);
    match old.map(LinkState::words).filter(|old| *old != new) {
        None => f.write_str(new),
        Some(old) => write!(f, "{old} -> {new} after {:.3} s", lasted.as_secs_f64()),
    }
}

/// Without the target: a program tells of none, and the name is known.
fn write_watch(f: &mut fmt::Formatter<'_>, event: &check::Event<Tracked>) -> fmt::Result {
    if let Some(number) = event.value.filter(|_| event.cause.is_none()) {
        return write!(f, "{}: at {number}", event.key);
    }
    write!(f, "{}: {} -> {}", event.key, event.old, event.new)?;
    if event.old != event.new {
        write!(f, " after {:.3} s", event.lasted.as_secs_f64())?;
    }
    f.write_str(": ")?;
    match event.cause {
        Some(failure) => write!(f, "{failure}"),
        None => f.write_str("success"),
    }
}

/// The last events, oldest dropped first and counted.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    /// At most [`limits::EVENTS_MAX`]; room is taken as they come.
    records: VecDeque<(u64, Instant, Event)>,
    next: u64,
}

impl Ring {
    /// Keeps an event.
    pub fn push(&mut self, now: Instant, event: Event) {
        if self.records.len() == limits::EVENTS_MAX {
            self.records.pop_front();
        }
        self.records.push_back((self.next, now, event));
        self.next += 1;
    }

    /// The last `count` events, oldest first.
    #[must_use]
    pub fn last(&self, count: usize) -> Vec<LogLine> {
        let skip = self.records.len().saturating_sub(count);
        let line = |(sequence, at, event): &(u64, Instant, Event)| LogLine {
            sequence: *sequence,
            at_us: at.micros(),
            text: event.to_string(),
        };
        self.records.iter().skip(skip).map(line).collect()
    }
}
