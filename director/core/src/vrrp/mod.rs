//! VRRP: virtual routers that elect one Active director (RFC 3768 for version 2, RFC 9568 for version 3; IPv4).
//!
//! | file | what it holds |
//! |---|---|
//! | `settings` | what one virtual router was told to do |
//! | `state` | the states, with their timers inside, and why a router is not Active |
//! | `instance` | [`Router`]: what one virtual router is told and asked |
//! | `machine` | its transitions: one table of state and trigger |
//! | `handover` | giving up while serving on |
//! | `group` | what the members of a sync group do together |
//! | `reload` | new settings for a running router |
//! | `track` | what tracked things do to the priority |
//! | `timers` | the formulas of the two versions |
//! | `receive` | which adverts are believed, and the counters of those that are not |
//! | `auth` | signed adverts: keepalived's `auth_hmac` |
//! | `announce` | when which address is announced by gratuitous ARP |
//! | `event` | what happened, for the log |
//!
//! A router knows one VRID on one interface. Who has many finds the one that a packet is for by the interface and
//! [`crate::wire::vrrp::vrid`].
//!
//! # Where it differs from the RFCs
//!
//! As keepalived does, for the sake of its peers and users:
//! - Fault is a state: an interface without link or address, or a tracked one without link. Leaving it is a new start.
//! - The interface's own hardware address and gratuitous ARP instead of the virtual router's MAC address (7.3), and
//!   packets to the virtual addresses are accepted (Accept_Mode).
//! - An Active router answers a lower priority at once in both versions, as RFC 9568 says; `lower_prio_no_advert`
//!   is what RFC 3768 says. `preempt_delay`, the startup delay, the number of missed adverts and
//!   `higher_prio_send_advert` are extensions.
//! - An address list that differs never drops an advert, not even an empty one (RFC 9568 section 5.2.5): two Active
//!   routers are worse than one that is configured wrongly.
//! - Of two owners that do not get along, the one of the higher address yields, with priority 254, until the other
//!   is gone.
//!
//! Beyond both:
//! - Both checksum forms of v3 over IPv4 are accepted, and counted apart.
//! - Planned handover (`handover`): after priority 0 the addresses stay until the successor's first advert.
//! - Priority 0 is ignored by a Backup router that hears another Active router, and a repeated one does not restart the
//!   skew: a leaving router repeats it against loss.
//! - Own stalls (`machine`): a Backup router that wakes more than an interval late listens once more before it takes
//!   over; an Active one that slept longer than its peers wait announces its addresses again.
//! - `preempt_delay` ends with the takeover itself; keepalived begins to wait for Active_Down then.
//! - Adverts out of turn keep a distance of 10 ms, so that answering can't be made a flood.
//! - An interval of zero in a v3 advert is not learned.

mod announce;
mod auth;
mod event;
mod group;
mod handover;
mod instance;
mod machine;
mod receive;
mod reload;
mod settings;
mod state;
mod timers;
mod track;

pub use crate::wire::vrrp::Version;
pub use auth::{Hmac, Key, Mode};
pub use event::{Cause, Event};
pub use group::{Member, Verdict, state as group_state, verdict};
pub use instance::{Router, Transmit};
pub use receive::{Counters, Reason, Received};
pub use settings::{GarpSettings, Settings, Unicast, UnicastPeer};
pub use state::{
    Active, Backup, Fault, Hears, Leaving, Peer, Source, State, StateName, Waits, Why,
};
pub use track::{Effect, Standing, Weight};

#[cfg(test)]
mod tests;
