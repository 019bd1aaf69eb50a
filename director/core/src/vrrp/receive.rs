//! Which adverts are believed, and the counters of those that are not.

use core::fmt;
use core::net::IpAddr;

use super::auth::Guard;
use super::settings::Settings;
use crate::time::{Duration, Instant};
use crate::wire::vrrp::{self, Addresses, Auth, Form, Repr};

/// A VRRP packet as it came from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// IP source address.
    pub source: IpAddr,
    /// IP destination address.
    pub destination: IpAddr,
    /// IP time to live, or hop limit; must be 255.
    pub ttl: u8,
    /// What follows the IP header.
    pub payload: &'a [u8],
}

/// Why an advert was dropped: one counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The router was in Initialize or Fault. No event.
    NotReady,
    /// It carries our own source address: an echo, or another node with our address. An event only while Backup,
    /// for then we send none.
    Own,
    /// The time to live is not 255: it came through a router (RFC 9568 section 7.1). Of a unicast peer, that it is
    /// outside the limits.
    Ttl,
    /// Sent to another destination than the group, or than our source address in unicast.
    Destination,
    /// Not from one of the unicast peers.
    Peer,
    /// This router owns the addresses and does not listen. No event.
    Owner,
    /// Its length does not fit its address count.
    Length,
    /// Not an advert (type 1).
    Type,
    /// The checksum is wrong in every accepted form.
    Checksum,
    /// Another protocol version than ours.
    Version,
    /// Another VRID; the caller sorted it wrongly.
    Vrid,
    /// Another authentication type than ours (v2), or a signature where we know no key.
    AuthType,
    /// Another password (v2).
    AuthData,
    /// Without a signature, which it must have.
    Unsigned,
    /// Signed with a key that we don't have.
    UnknownKey,
    /// Its signature is wrong.
    Signature,
    /// Its time is too far from ours.
    Clock,
    /// Not newer than one that was believed before: recorded, or overtaken.
    Replay,
    /// Another advertisement interval (v2): both sides ignore each other and both become Active.
    Interval,
}

impl Reason {
    /// All reasons, in the order of [`Counters::dropped`].
    pub const ALL: [Self; 19] = [
        Self::NotReady,
        Self::Own,
        Self::Ttl,
        Self::Destination,
        Self::Peer,
        Self::Owner,
        Self::Length,
        Self::Type,
        Self::Checksum,
        Self::Version,
        Self::Vrid,
        Self::AuthType,
        Self::AuthData,
        Self::Unsigned,
        Self::UnknownKey,
        Self::Signature,
        Self::Clock,
        Self::Replay,
        Self::Interval,
    ];

    /// The name of its counter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotReady => "not-ready",
            Self::Own => "own",
            Self::Ttl => "ttl",
            Self::Destination => "destination",
            Self::Peer => "peer",
            Self::Owner => "owner",
            Self::Length => "length",
            Self::Type => "type",
            Self::Checksum => "checksum",
            Self::Version => "version",
            Self::Vrid => "vrid",
            Self::AuthType => "auth-type",
            Self::AuthData => "auth-data",
            Self::Unsigned => "unsigned",
            Self::UnknownKey => "unknown-key",
            Self::Signature => "signature",
            Self::Clock => "clock",
            Self::Replay => "replay",
            Self::Interval => "interval",
        }
    }
}

/// Counters of one virtual router since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Adverts sent, those with priority 0 included.
    pub sent: u64,
    /// Adverts with priority 0 sent.
    pub sent_zero: u64,
    /// Announcements sent.
    pub announced: u64,
    /// Adverts that came and were believed.
    pub received: u64,
    /// Of these, adverts with priority 0.
    pub received_zero: u64,
    /// Of these, v3 adverts whose checksum has no pseudo header.
    pub without_pseudo_header: u64,
    /// Of these, adverts with another address list than ours.
    pub address_list_mismatch: u64,
    /// Of these, v3 adverts with another interval than ours.
    pub interval_mismatch: u64,
    /// Adverts dropped, by [`Reason::ALL`].
    pub dropped: [u64; Reason::ALL.len()],
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotReady => "not ready",
            Self::Own => "they come from our own address, which another node must have",
            Self::Ttl => "TTL is not 255, or outside the limits of the peer",
            Self::Destination => "not sent to the group, or not to our source address",
            Self::Peer => "not one of the unicast peers",
            Self::Owner => "this router owns the addresses and does not listen",
            Self::Length => "wrong length",
            Self::Type => "not an advert",
            Self::Checksum => "wrong checksum",
            Self::Version => "another VRRP version",
            Self::Vrid => "another VRID",
            Self::AuthType => "another authentication type",
            Self::AuthData => "another password",
            Self::Unsigned => "not signed, which `auth_hmac` asks for",
            Self::UnknownKey => "signed with a key that this node does not have",
            Self::Signature => "wrong signature",
            Self::Clock => "its time is too far from this node's: look after the clocks",
            Self::Replay => "not newer than what was heard before",
            Self::Interval => "another advertisement interval",
        })
    }
}

impl Counters {
    /// The dropped adverts by reason.
    pub fn dropped(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.dropped)
    }

    /// Counts a dropped advert.
    pub(super) fn drop(&mut self, reason: Reason) {
        let counters = Reason::ALL.into_iter().zip(&mut self.dropped);
        for (_, counter) in counters.filter(|(of, _)| *of == reason) {
            *counter += 1;
        }
    }
}

/// What the state machine learns from an advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advert {
    /// Who sent it.
    pub(super) source: IpAddr,
    /// Its priority; 0 gives up.
    pub(super) priority: u8,
    /// The interval it promises: our own in v2.
    pub(super) interval: Duration,
    /// A v3 checksum without pseudo header.
    pub(super) without_pseudo_header: bool,
    /// How many addresses it carries, when they are not ours.
    pub(super) other_addresses: Option<usize>,
}

/// Why an advert is not believed; the interval of a v2 advert is told for the alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// For this reason.
    Reason(Reason),
    /// Another interval (v2).
    Interval(Duration),
}

/// Judges a packet that came to a router whose adverts come from `own`. `ours` are the advertised addresses.
///
/// The order is that of section 7.1 of RFC 9568 and RFC 3768; it decides only which counter is raised when several
/// things are wrong. An address list that differs never drops an advert, nor does an empty one, which keepalived can
/// be told to send: two Active routers are worse.
pub(super) fn judge(
    now: Instant,
    settings: &Settings,
    guard: &mut Guard,
    own: IpAddr,
    ours: Addresses<'_>,
    received: &Received<'_>,
) -> Result<Advert, Refusal> {
    let &Received {
        source,
        destination,
        payload,
        ..
    } = received;
    route(settings, own, received).map_err(Refusal::Reason)?;
    let (repr, signed) = Repr::parse_signed(payload, source, destination)
        .map_err(|error| Refusal::Reason(error.into()))?;
    if repr.version() != settings.version {
        return Err(Refusal::Reason(Reason::Version));
    }
    if repr.vrid != settings.vrid {
        return Err(Refusal::Reason(Reason::Vrid));
    }
    guard
        .judge(now, settings.hmac.as_ref(), source, signed.as_ref())
        .map_err(Refusal::Reason)?;
    let interval = match repr.form {
        Form::V2 { interval_s, auth } => {
            authenticate(settings.pass, auth).map_err(Refusal::Reason)?;
            let interval = Duration::from_secs(interval_s.into());
            if interval != settings.advert_interval {
                return Err(Refusal::Interval(interval));
            }
            interval
        }
        Form::V3 { interval_cs, .. } => Duration::from_millis(u64::from(interval_cs) * 10),
    };
    Ok(Advert {
        source,
        priority: repr.priority,
        interval,
        without_pseudo_header: matches!(
            repr.form,
            Form::V3 {
                pseudo_header: false,
                ..
            }
        ),
        other_addresses: (!repr.addresses.same(&ours)).then_some(repr.addresses.len()),
    })
}

/// Whether an advert took the way that adverts of this router take: on the link and to the group, or from a peer.
fn route(settings: &Settings, own: IpAddr, received: &Received<'_>) -> Result<(), Reason> {
    let Some(unicast) = &settings.unicast else {
        return match received {
            Received { ttl, .. } if *ttl != vrrp::TTL => Err(Reason::Ttl),
            Received { destination, .. } if *destination != settings.group => {
                Err(Reason::Destination)
            }
            _ => Ok(()),
        };
    };
    if received.destination != own {
        return Err(Reason::Destination);
    }
    let mut peers = unicast.peers.iter();
    match peers.find(|peer| peer.address == received.source) {
        Some(peer) if !(peer.ttl_min..=peer.ttl_max).contains(&received.ttl) => Err(Reason::Ttl),
        None if unicast.check_source => Err(Reason::Peer),
        _ => Ok(()),
    }
}

impl From<vrrp::Error> for Reason {
    fn from(error: vrrp::Error) -> Self {
        match error {
            vrrp::Error::Version => Self::Version,
            vrrp::Error::Length => Self::Length,
            vrrp::Error::Type => Self::Type,
            vrrp::Error::Checksum => Self::Checksum,
        }
    }
}

/// Compares the authentication (RFC 2338 section 5.3.6); how long that takes says nothing of the password.
fn authenticate(ours: Option<[u8; 8]>, theirs: Auth) -> Result<(), Reason> {
    match (ours, theirs) {
        (None, Auth::None) => Ok(()),
        (Some(ours), Auth::Pass(theirs)) => {
            let pairs = ours.into_iter().zip(theirs);
            match pairs.fold(0, |differs, (a, b)| differs | (a ^ b)) {
                0 => Ok(()),
                _ => Err(Reason::AuthData),
            }
        }
        _ => Err(Reason::AuthType),
    }
}
