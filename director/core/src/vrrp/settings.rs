//! What one virtual router was told to do.

use core::net::IpAddr;

use super::auth::Hmac;
use crate::limits;
use crate::net::Family;
use crate::time::Duration;
use crate::wire::trailer;
use crate::wire::vrrp::{Addresses, Auth, Form, Version};

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
    /// Signs adverts, and believes signed ones.
    pub hmac: Option<Hmac>,
    /// Addresses that the adverts carry, all of the family of the group; at most
    /// [`crate::limits::ADVERT_ADDRESSES_MAX`].
    pub addresses: Vec<IpAddr>,
    /// Addresses of both families that are announced: the former and the excluded ones.
    pub announced: Vec<IpAddr>,
    /// Those of them that are on interfaces which no advert comes from: they are announced again and again.
    pub extra: Vec<IpAddr>,
    /// Multicast group of the adverts, 224.0.0.18 or ff02::12: it decides the family.
    pub group: IpAddr,
    /// Adverts go to these peers instead of the group, and come from them.
    pub unicast: Option<Unicast>,
    /// An owner does not listen to adverts.
    pub owner_ignores_adverts: bool,
    /// Active and woken so late that the others have taken over: steps back instead of announcing itself again.
    pub timer_expired_backup: bool,
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
    /// Hold everything until the machine has run for this long.
    pub delay_after_boot: Duration,
    /// Member of a sync group: takes over when the group says so ([`super::verdict`]).
    pub grouped: bool,
    /// Adverts leave this long behind the whole intervals since boot, so that the routers of a node take turns; none
    /// where there are few. The first interval as Active is shortened for that.
    pub phase: Option<Duration>,
    /// Announcements.
    pub garp: GarpSettings,
}

/// Adverts from and to single addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unicast {
    /// To whom they go; at most [`limits::UNICAST_PEERS_MAX`]. Without any the router is in Fault.
    pub peers: Vec<UnicastPeer>,
    /// The time to live, or hop limit, that ours have.
    pub ttl: u8,
    /// Believe the peers alone.
    pub check_source: bool,
}

/// One of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnicastPeer {
    /// Its address.
    pub address: IpAddr,
    /// The least time to live of its adverts.
    pub ttl_min: u8,
    /// The greatest.
    pub ttl_max: u8,
}

impl UnicastPeer {
    /// Whether not every time to live is taken.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.ttl_min > 0 || self.ttl_max < u8::MAX
    }
}

/// Schedule of the announcements: gratuitous ARP for IPv4, unsolicited neighbour advertisements for IPv6.
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
    /// How often addresses on interfaces without adverts are announced, so that switches there do not forget where to
    /// send; zero for never.
    pub extra: Duration,
    /// Pause between two frames; zero for the pacing of [`crate::limits::ANNOUNCE_BATCH`].
    pub interval: Duration,
    /// The same between two neighbour advertisements (IPv6).
    pub interval_v6: Duration,
}

impl Settings {
    /// The family that the router speaks.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.group)
    }

    /// Whether the router owns its addresses (RFC 9568 section 6.1).
    #[must_use]
    pub const fn owner(&self) -> bool {
        self.priority == 255
    }

    /// Bytes of an advert, with its trailer where it is signed.
    pub(super) fn advert_bytes(&self) -> usize {
        let advert = self
            .version
            .advert_bytes(self.family(), self.addresses.len());
        advert + self.hmac.as_ref().map_or(0, |_| trailer::BYTES)
    }

    /// What only one of the versions says in an advert.
    pub(super) fn form(&self) -> Form {
        let interval = self.advert_interval;
        match self.version {
            Version::V2 => Form::V2 {
                interval_s: u8::try_from(interval.as_secs()).unwrap_or(u8::MAX),
                auth: self.pass.map_or(Auth::None, Auth::Pass),
            },
            Version::V3 => Form::V3 {
                interval_cs: u16::try_from(interval.as_millis() / 10).unwrap_or(u16::MAX),
                pseudo_header: !self.checksum_as_v2,
            },
        }
    }

    /// Whether the adverts of both are the same, sent as often to the same group.
    pub(super) fn advertises_like(&self, other: &Self) -> bool {
        let said = |of: &Self| {
            (
                of.version,
                of.priority,
                of.advert_interval,
                of.pass,
                of.hmac.clone(),
                of.group,
                of.unicast.clone(),
                of.checksum_as_v2,
            )
        };
        said(self) == said(other) && self.addresses == other.addresses
    }
}

/// The advertised addresses as they are on the wire.
#[derive(Debug)]
pub(super) enum Octets {
    V4(Vec<[u8; 4]>),
    V6(Vec<[u8; 16]>),
}

impl Octets {
    /// Those of the router's family; there are no others in valid settings.
    pub(super) fn of(settings: &Settings) -> Self {
        let addresses = settings.addresses.iter().take(limits::ADVERT_ADDRESSES_MAX);
        match settings.family() {
            Family::V4 => Self::V4(
                addresses
                    .filter_map(|address| match address {
                        IpAddr::V4(address) => Some(address.octets()),
                        IpAddr::V6(_) => None,
                    })
                    .collect(),
            ),
            Family::V6 => Self::V6(
                addresses
                    .filter_map(|address| match address {
                        IpAddr::V4(_) => None,
                        IpAddr::V6(address) => Some(address.octets()),
                    })
                    .collect(),
            ),
        }
    }

    /// The same, borrowed.
    pub(super) fn as_addresses(&self) -> Addresses<'_> {
        match self {
            Self::V4(list) => Addresses::V4(list),
            Self::V6(list) => Addresses::V6(list),
        }
    }
}
