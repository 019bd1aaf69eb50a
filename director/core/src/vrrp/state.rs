//! The states of a virtual router, with their timers inside, and why a router is not Active.

use core::fmt;
use core::net::IpAddr;

use crate::net::{Family, IfName, Name};
use crate::time::{Duration, Instant};

/// State of a virtual router (RFC 9568 section 6.4), and keepalived's Fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not started yet, or stopped.
    Initialize(Waits),
    /// The interface does not serve.
    Fault(Fault),
    /// Ready to take over.
    Backup(Backup),
    /// Holds the addresses.
    Active(Active),
}

/// Ready to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Active_Down_Timer: takes over when it has heard nothing until then.
    pub active_down_at: Instant,
    /// What it hears meanwhile.
    pub hears: Hears,
    /// Whether the timer was prolonged because of an own stall; done once in a silence.
    pub prolonged: bool,
    /// Its time has come while the node was awake, and others go first: what it waits for them is no stall.
    pub queued: bool,
    /// Its time has come, and it waits for the other members of its sync group.
    pub ready: bool,
}

/// Holds the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// Adver_Timer: the next advert.
    pub advert_at: Instant,
    /// A planned handover is under way: it serves on, but sends no more adverts.
    pub leaving: Option<Leaving>,
    /// Another owner (priority 255) of a lower address was heard: it has until then to step back.
    pub contest_until: Option<Instant>,
}

/// What a router in Initialize waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The first word on its interface.
    Link,
    /// The end of the startup delay.
    StartupDelay {
        /// When that is.
        until: Instant,
    },
    /// Nothing: it was stopped, and is never started again.
    Nothing,
}

/// Why an interface does not serve a virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no such interface.
    NoInterface,
    /// It has no carrier, or is set down.
    LinkDown,
    /// It has no address to send adverts from; over IPv6 that is a link-local one.
    NoAddress(Family),
    /// It is to speak to peers, and has none.
    NoPeer,
    /// Its configured source is not an address of the interface.
    NoSource(IpAddr),
    /// Its adverts, with the IP header, are longer than the interface's MTU.
    Mtu {
        /// Bytes of an advert.
        advert: u32,
        /// Bytes that pass.
        mtu: u32,
    },
    /// The kernel refuses the device of its virtual hardware address: this one.
    NoDevice(IfName),
    /// A tracked thing is not as it must be: what it is, in words.
    Tracked(String),
    /// This member of its sync group is in Fault.
    Mate(Name),
}

/// The address that adverts are sent from: the primary address of RFC 9568 section 1.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The address.
    pub address: IpAddr,
}

/// Another router of the same VRID, as last heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Source address of its adverts.
    pub address: IpAddr,
    /// Its priority, 1..=255.
    pub priority: u8,
    /// When its last advert came.
    pub at: Instant,
}

/// What a Backup router hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hears {
    /// Nobody yet.
    Nobody,
    /// An Active router that it follows; each advert restarts the Active_Down_Timer.
    Active(Peer),
    /// An Active router of lower priority that it will preempt.
    Lower {
        /// The router.
        peer: Peer,
        /// When the preempt delay ends; without one the Active_Down_Timer just runs out.
        preempt_at: Option<Instant>,
    },
    /// An Active router that gave up by priority 0; the Active_Down_Timer is one skew time.
    Resigned(IpAddr),
}

/// A planned handover under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Lets go then even when no successor was heard.
    pub until: Instant,
    /// Next repetition of the priority-0 advert.
    pub repeat_at: Option<Instant>,
    /// Repetitions left.
    pub repeats: u8,
    /// Ends in Initialize instead of Backup.
    pub stops: bool,
}

/// A state's name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateName {
    /// [`State::Initialize`].
    Initialize,
    /// [`State::Fault`].
    Fault,
    /// [`State::Backup`].
    Backup,
    /// [`State::Active`].
    Active,
}

impl Backup {
    /// When it takes over: after a silence, or after the preempt delay.
    #[must_use]
    pub fn due(&self) -> Instant {
        let preempt_at = self.hears.preempt_at();
        preempt_at.map_or(self.active_down_at, |at| at.min(self.active_down_at))
    }
}

impl Active {
    /// When it has to do something next.
    #[must_use]
    pub fn due(&self) -> Instant {
        match self.leaving {
            Some(Leaving {
                until, repeat_at, ..
            }) => repeat_at.map_or(until, |at| at.min(until)),
            None => self.advert_at,
        }
    }

    /// Whether a handover under way ends in Initialize.
    #[must_use]
    pub fn stops(&self) -> bool {
        self.leaving.is_some_and(|leaving| leaving.stops)
    }
}

impl Hears {
    /// The Active router, followed or to be preempted.
    #[must_use]
    pub const fn peer(&self) -> Option<Peer> {
        match self {
            Self::Active(peer) | Self::Lower { peer, .. } => Some(*peer),
            Self::Nobody | Self::Resigned(_) => None,
        }
    }

    /// The same, without a preempt delay: the Active_Down_Timer decides.
    pub(super) const fn without_delay(self) -> Self {
        match self {
            Self::Lower { peer, .. } => Self::Lower {
                peer,
                preempt_at: None,
            },
            other => other,
        }
    }

    /// When a preempt delay ends.
    #[must_use]
    pub const fn preempt_at(&self) -> Option<Instant> {
        match self {
            Self::Lower { preempt_at, .. } => *preempt_at,
            Self::Nobody | Self::Active(_) | Self::Resigned(_) => None,
        }
    }
}

impl State {
    /// The name alone.
    #[must_use]
    pub const fn name(&self) -> StateName {
        match self {
            Self::Initialize(_) => StateName::Initialize,
            Self::Fault(_) => StateName::Fault,
            Self::Backup(_) => StateName::Backup,
            Self::Active(_) => StateName::Active,
        }
    }
}

impl StateName {
    /// The name as a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initialize => "Initialize",
            Self::Fault => "Fault",
            Self::Backup => "Backup",
            Self::Active => "Active",
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInterface => f.write_str("no such interface"),
            Self::LinkDown => f.write_str("link down"),
            Self::Mtu { advert, mtu } => {
                write!(
                    f,
                    "its adverts have {advert} bytes, and the interface's MTU is {mtu}"
                )
            }
            Self::NoDevice(name) => write!(f, "the kernel refuses its device {name}"),
            Self::NoPeer => f.write_str("no unicast peer is configured"),
            Self::NoSource(address) => {
                write!(f, "its source {address} is not an address of the interface")
            }
            Self::NoAddress(Family::V4) => f.write_str("no IPv4 address on the interface"),
            Self::NoAddress(Family::V6) => {
                f.write_str("no link-local IPv6 address on the interface")
            }
            Self::Tracked(what) => write!(f, "tracked {what}"),
            Self::Mate(name) => write!(f, "{name} of the same sync group is in Fault"),
        }
    }
}

/// Why a router is not Active, or will soon not be: one line for the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its interface was not reported yet.
    NoLinkYet,
    /// The startup delay runs for this much longer.
    StartupDelay(Duration),
    /// It was stopped.
    Stopped,
    /// The interface does not serve.
    Fault(Fault),
    /// It hears an Active router of its own priority or a higher one.
    Hears(Peer),
    /// It hears an Active router of lower priority, and preemption is off.
    NoPreempt(Peer),
    /// It hears an Active router of lower priority and takes over after this time.
    Preempts(Peer, Duration),
    /// It gave up at the operator's request, and follows who is Active now.
    HandedOver(Peer),
    /// A router gave up by priority 0; it takes over after this time.
    Resigned(IpAddr, Duration),
    /// It has heard nobody and takes over after this time.
    Waits(Duration),
    /// Its time has come, but not that of another member of its sync group.
    Group,
    /// It is Active and gives up: waits this much longer at most for a successor.
    Leaving(Duration),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLinkYet => f.write_str("waits for its interface"),
            Self::StartupDelay(left) => {
                write!(f, "startup delay, {} left", Seconds(*left))
            }
            Self::Stopped => f.write_str("stopped"),
            Self::Fault(why) => write!(f, "{why}"),
            Self::Hears(peer) => {
                write!(f, "hears {} with priority {}", peer.address, peer.priority)
            }
            Self::NoPreempt(peer) => write!(
                f,
                "hears {} with priority {}, and nopreempt is set",
                peer.address, peer.priority
            ),
            Self::Preempts(peer, left) => write!(
                f,
                "hears {} with priority {}, preempts it in {}",
                peer.address,
                peer.priority,
                Seconds(*left)
            ),
            Self::HandedOver(peer) => write!(
                f,
                "handed over at the operator's request; {} is Active",
                peer.address
            ),
            Self::Resigned(peer, left) => {
                write!(f, "{peer} gave up, takes over in {}", Seconds(*left))
            }
            Self::Waits(left) => write!(f, "waits {} for adverts", Seconds(*left)),
            Self::Group => f.write_str("would take over, waits for the rest of its sync group"),
            Self::Leaving(left) => write!(
                f,
                "hands over: serves until a successor is heard, at most {} more",
                Seconds(*left)
            ),
        }
    }
}

/// A time for people: seconds with as many decimals as matter.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        match seconds {
            ..1.0 => write!(f, "{seconds:.3} s"),
            ..10.0 => write!(f, "{seconds:.2} s"),
            _ => write!(f, "{seconds:.0} s"),
        }
    }
}
