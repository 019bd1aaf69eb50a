//! Which adverts are believed, and the counters of those that are not.

use core::net::Ipv4Addr;

/// A VRRP packet as it came from the network.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// IP source address.
    pub source: Ipv4Addr,
    /// IP destination address.
    pub destination: Ipv4Addr,
    /// IP time to live; must be 255.
    pub ttl: u8,
    /// What follows the IP header.
    pub payload: &'a [u8],
}

/// Why an advert was dropped: one counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The router was in Initialize or Fault. No event.
    NotReady,
    /// It carries our own source address: an echo of our own. No event.
    Own,
    /// The time to live is not 255: it came through a router (RFC 9568 section 7.1).
    Ttl,
    /// Sent to another destination than the group.
    Destination,
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
    /// Another authentication type than ours (v2).
    AuthType,
    /// Another password (v2).
    AuthData,
    /// Another advertisement interval (v2): both sides ignore each other and both become Active.
    Interval,
}

impl Reason {
    /// All reasons, in the order of [`Counters::dropped`].
    pub const ALL: [Self; 12] = [
        Self::NotReady,
        Self::Own,
        Self::Ttl,
        Self::Destination,
        Self::Length,
        Self::Type,
        Self::Checksum,
        Self::Version,
        Self::Vrid,
        Self::AuthType,
        Self::AuthData,
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
            Self::Length => "length",
            Self::Type => "type",
            Self::Checksum => "checksum",
            Self::Version => "version",
            Self::Vrid => "vrid",
            Self::AuthType => "auth-type",
            Self::AuthData => "auth-data",
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

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotReady => "not ready",
            Self::Own => "our own source address",
            Self::Ttl => "TTL is not 255",
            Self::Destination => "not sent to the group",
            Self::Length => "wrong length",
            Self::Type => "not an advert",
            Self::Checksum => "wrong checksum",
            Self::Version => "another VRRP version",
            Self::Vrid => "another VRID",
            Self::AuthType => "another authentication type",
            Self::AuthData => "another password",
            Self::Interval => "another advertisement interval",
        })
    }
}
