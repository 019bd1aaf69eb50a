//! VRRP: virtual routers that elect one Active director (RFC 3768 for version 2, RFC 9568 for version 3; IPv4).
//!
//! | file | what it holds |
//! |---|---|
//! | `settings` | what one virtual router was told to do |
//! | `state` | the states, with their timers inside, and why a router is not Active |
//! | `timers` | the formulas of the two versions |
//! | `receive` | which adverts are believed, and the counters of those that are not |
//! | `announce` | when which address is announced by gratuitous ARP |
//! | `event` | what happened, for the log |
//! | `instance` | [`Router`]: the state machine of one virtual router |

mod announce;
mod event;
mod instance;
mod receive;
mod settings;
mod state;
mod timers;

pub use crate::wire::vrrp::Version;
pub use event::{Cause, Event};
pub use instance::{Router, Transmit};
pub use receive::{Counters, Reason, Received};
pub use settings::{GarpSettings, Settings};
pub use state::{Fault, Hears, Leaving, Peer, Source, State, StateName, Waits, Why};
