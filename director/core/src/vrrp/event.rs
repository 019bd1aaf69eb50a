//! What happened to a virtual router, for the log.

use core::fmt;
use core::net::IpAddr;

use super::receive::Reason;
use super::state::{Fault, Peer, Seconds, StateName, Why};
use crate::time::Duration;

/// Something that happened, without the router's name, which the reader of the queue knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The state changed.
    StateChanged {
        /// Before.
        old: StateName,
        /// After.
        new: StateName,
        /// Why.
        cause: Cause,
        /// How long the old state had lasted.
        lasted: Duration,
    },
    /// Adverts are dropped: the first of its kind in this state.
    Dropped {
        /// Why.
        reason: Reason,
        /// Its source address.
        source: IpAddr,
    },
    /// An advert carries other addresses than ours; it was believed all the same.
    AddressListMismatch {
        /// Its source address.
        source: IpAddr,
        /// How many addresses it has.
        theirs: usize,
        /// How many we have.
        ours: usize,
    },
    /// An advert says another interval than ours: dropped in v2, followed in v3.
    IntervalMismatch {
        /// Its source address.
        source: IpAddr,
        /// Its interval.
        theirs: Duration,
        /// Our interval.
        ours: Duration,
        /// Whether it was dropped (v2).
        dropped: bool,
    },
    /// Active, and another router of lower priority (or equal and a lower address) is Active too.
    LowerPriority(Peer),
    /// Backup, and about to preempt the Active router after this time.
    Preempting(Peer, Duration),
    /// Active with priority 255, and another router claims the same.
    BothOwners(IpAddr),
    /// Woken this much too late; a Backup router listens for a while more, an Active one announces itself again.
    Stalled(Duration),
    /// Trackers have changed the priority.
    Priority {
        /// Before.
        old: u8,
        /// After.
        new: u8,
    },
    /// Gives up: announced priority 0 and serves on until a successor is heard, or for this time.
    Leaving(Duration),
    /// Nobody took over in a planned handover: stays Active.
    NoSuccessor,
    /// The operator let it compete again.
    Resumed,
}

/// Why a state changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The interface serves; adverts come from this address.
    LinkUp(IpAddr),
    /// The interface does not serve.
    Fault(Fault),
    /// The startup delay is over, or begins because the interface serves now.
    StartupDelay,
    /// It owns the addresses.
    Owner,
    /// The director was restarted and found the addresses in place.
    Adopted,
    /// Nobody was heard for this time.
    ActiveDown(Duration),
    /// This router gave up by priority 0.
    PriorityZero(IpAddr),
    /// It preempted an Active router of lower priority.
    Preempted(Peer),
    /// It heard a higher priority, or an equal one from a higher address.
    Higher(Peer),
    /// It handed over to this successor, or gave up waiting for one.
    HandedOver(Option<IpAddr>),
    /// Another member of its sync group can't be Active.
    Group,
    /// It was stopped.
    Stopped,
    /// It was woken this much too late, and the others have taken over by now.
    Stalled(Duration),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkUp(source) => write!(f, "the interface serves, address {source}"),
            Self::Fault(why) => write!(f, "{why}"),
            Self::StartupDelay => f.write_str("startup delay"),
            Self::Owner => f.write_str("owns the addresses"),
            Self::Adopted => f.write_str("held the addresses before a restart"),
            Self::ActiveDown(silence) => write!(f, "no advert for {}", Seconds(*silence)),
            Self::PriorityZero(peer) => write!(f, "{peer} gave up"),
            Self::Preempted(peer) => {
                write!(
                    f,
                    "preempts {} with priority {}",
                    peer.address, peer.priority
                )
            }
            Self::Higher(peer) => {
                write!(f, "{} has priority {}", peer.address, peer.priority)
            }
            Self::HandedOver(Some(successor)) => write!(f, "handed over to {successor}"),
            Self::HandedOver(None) => f.write_str("gave up, no successor was heard"),
            Self::Group => f.write_str("another member of its sync group is not Active"),
            Self::Stopped => f.write_str("stopped"),
            Self::Stalled(late) => write!(f, "was stalled: woke {} late", Seconds(*late)),
        }
    }
}

impl Event {
    /// Whether the router becomes Active.
    #[must_use]
    pub const fn is_takeover(&self) -> bool {
        matches!(
            self,
            Self::StateChanged {
                new: StateName::Active,
                ..
            }
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StateChanged {
                old,
                new,
                cause,
                lasted,
            } => {
                write!(f, "{old} -> {new} after {}: {cause}", Seconds(*lasted))
            }
            Self::Dropped { reason, source } => {
                write!(f, "drops adverts of {source}: {reason}")
            }
            Self::AddressListMismatch {
                source,
                theirs,
                ours,
            } => write!(
                f,
                "{source} advertises other addresses: {theirs} there, {ours} here"
            ),
            Self::IntervalMismatch {
                source,
                theirs,
                ours,
                dropped,
            } => {
                let (theirs, ours) = (Seconds(*theirs), Seconds(*ours));
                if *dropped {
                    write!(
                        f,
                        "ALARM: {source} advertises every {theirs}, this node every {ours}: VRRPv2 routers that \
                         disagree ignore each other and both become Active"
                    )
                } else {
                    write!(
                        f,
                        "{source} advertises every {theirs}, this node every {ours}"
                    )
                }
            }
            Self::LowerPriority(peer) => write!(
                f,
                "{} is Active too, with priority {}: announces itself again",
                peer.address, peer.priority
            ),
            Self::Preempting(peer, left) => Why::Preempts(*peer, *left).fmt(f),
            Self::BothOwners(other) => write!(
                f,
                "ALARM: {other} claims priority 255 too; only one router can own the addresses"
            ),
            Self::Stalled(late) => write!(f, "was stalled: woke {} late", Seconds(*late)),
            Self::Priority { old, new } => write!(f, "priority {old} -> {new}"),
            Self::Leaving(limit) => write!(
                f,
                "gives up: priority 0 announced, serves until a successor is heard, at most {}",
                Seconds(*limit)
            ),
            Self::NoSuccessor => f.write_str("no successor was heard: stays Active"),
            Self::Resumed => f.write_str("competes again by its priority"),
        }
    }
}
