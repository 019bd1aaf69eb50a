//! What one virtual router was told to do.

use core::net::Ipv4Addr;

use crate::time::Duration;
use crate::wire::vrrp::Version;

/// One virtual router, resolved and valid: defaults filled in, bounds held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Virtual router identifier, 1..=255.
    pub vrid: u8,
    /// Protocol version; there is no dual listening.
    pub version: Version,
    /// Priority, 1..=255; 255 owns the addresses.
    pub priority: u8,
    /// `state MASTER`: nopreempt and preempt_delay do not apply. The router starts as Backup all the same.
    pub state_master: bool,
    /// Advertisement interval: whole seconds up to 255 in v2, multiples of 10 ms up to 40.95 s in v3.
    pub advert_interval: Duration,
    /// Whether a router of lower priority is preempted.
    pub preempt: bool,
    /// How long a living router of lower priority is heard before it is preempted; zero for no delay.
    pub preempt_delay: Duration,
    /// PASS authentication data of v2, padded with zeros.
    pub pass: Option<[u8; 8]>,
    /// Addresses that the adverts carry; at most [`crate::limits::ADVERT_ADDRESSES_MAX`].
    pub addresses: Vec<Ipv4Addr>,
    /// Addresses that are announced by gratuitous ARP: the former and the excluded ones.
    pub announced: Vec<Ipv4Addr>,
    /// Multicast group of the adverts, 224.0.0.18.
    pub group: Ipv4Addr,
    /// Adverts missed before a takeover, 3.
    pub down_adverts: u8,
    /// Send v3 adverts with a checksum without the IPv4 pseudo header.
    pub checksum_as_v2: bool,
    /// Active and hearing a lower priority: stay silent instead of sending an advert at once.
    pub lower_prio_no_advert: bool,
    /// Active and hearing a higher priority: send one advert before stepping back.
    pub higher_prio_send_advert: bool,
    /// Hold everything for this long after the start.
    pub startup_delay: Duration,
    /// Member of a sync group: takes over when the group says so ([`super::verdict`]).
    pub grouped: bool,
    /// Announcements.
    pub garp: GarpSettings,
}

/// Schedule of the gratuitous ARP announcements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GarpSettings {
    /// Second burst this long after the first; zero for none.
    pub delay: Duration,
    /// Rounds of a burst, 5.
    pub repeat: u32,
    /// Refresh interval; zero for none.
    pub refresh: Duration,
    /// Rounds of a refresh, 1.
    pub refresh_repeat: u32,
    /// After an advert of lower priority: second burst this long after the first; zero for none.
    pub lower_prio_delay: Duration,
    /// Rounds of such a burst; zero for none.
    pub lower_prio_repeat: u32,
    /// Pause between two frames; zero for the pacing of [`crate::limits::ANNOUNCE_BATCH`].
    pub interval: Duration,
}

impl Settings {
    /// Whether the router owns its addresses (RFC 9568 section 6.1).
    #[must_use]
    pub const fn owner(&self) -> bool {
        self.priority == 255
    }

    /// Whether the adverts of both are the same, sent as often to the same group.
    pub(super) fn advertises_like(&self, other: &Self) -> bool {
        let said = |of: &Self| {
            (
                of.version,
                of.priority,
                of.advert_interval,
                of.pass,
                of.group,
                of.checksum_as_v2,
            )
        };
        said(self) == said(other) && self.addresses == other.addresses
    }
}
