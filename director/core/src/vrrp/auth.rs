//! Signed adverts: `auth_hmac` of keepalived 2.4.
//!
//! A router signs with its active key and believes whatever a key it knows has signed. An advert is believed once: its
//! sequence must be above that of the last one believed from the same source, and, unless told otherwise, its time near
//! ours, for a router that has just started has believed none yet.

use core::fmt;
use core::net::IpAddr;

use super::instance::Router;
use super::receive::Reason;
use crate::limits;
use crate::time::{Duration, Instant};
use crate::wire::trailer::Sequence;
use crate::wire::vrrp::{Repr, Signed};

/// How adverts are signed, and which are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hmac {
    /// The keys, with different numbers; never none, at most [`limits::HMAC_KEYS_MAX`].
    pub keys: Vec<Key>,
    /// The number of the one that signs.
    pub active: u8,
    /// An advert's time may be as far from ours; none where only the order counts.
    pub window: Option<Duration>,
    /// What becomes of adverts without a signature.
    pub mode: Mode,
}

/// A shared secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its number in the trailers.
    pub id: u8,
    /// The secret, 32 to 64 bytes.
    pub secret: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The steps by which a running pair comes to signed adverts. A wrong signature is never believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Signs, and believes signed adverts alone.
    Enforce,
    /// Signs, and believes adverts without a signature too.
    Permissive,
    /// Does not sign, and believes both.
    ReceiveOnly,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enforce => "enforce",
            Self::Permissive => "permissive",
            Self::ReceiveOnly => "receive-only",
        })
    }
}

impl Router {
    /// What the wall clock shows, in microseconds since 1970; to be told at the start and whenever it was set. Signed
    /// adverts need it, and nothing else.
    pub fn set_wall(&mut self, now: Instant, micros: u64) {
        self.guard.set_wall(now, micros);
    }
}

impl Hmac {
    fn key(&self, id: u8) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The key to sign with, unless adverts are not to be signed.
    pub(super) fn signing_key(&self) -> Option<&Key> {
        self.key(self.active)
            .filter(|_| self.mode != Mode::ReceiveOnly)
    }
}

/// The wall clock of a router, and what it has said and believed.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// What the wall clock showed, in microseconds since 1970, and when.
    wall: Option<(Instant, u64)>,
    said: Sequence,
    believed: heapless::Vec<Believed, { limits::HMAC_SENDERS_MAX }>,
}

/// What sends an advert: its source, its destination, and the moment.
pub(super) type Way = (IpAddr, IpAddr, Instant);

/// The last advert that was believed from a source.
#[derive(Debug)]
struct Believed {
    source: IpAddr,
    sequence: Sequence,
    at: Instant,
}

impl Guard {
    /// What the wall clock shows now; it runs on by itself.
    pub(super) fn set_wall(&mut self, now: Instant, micros: u64) {
        self.wall = Some((now, micros));
    }

    fn wall(&self, now: Instant) -> u64 {
        self.wall.map_or(0, |(at, micros)| {
            let passed = u64::try_from(now.since(at).as_micros()).unwrap_or(u64::MAX);
            micros.saturating_add(passed)
        })
    }

    /// The sequence of the next advert of ours.
    fn next(&mut self, now: Instant) -> Sequence {
        self.said = Sequence::at(self.wall(now)).max(self.said.next());
        self.said
    }

    /// Writes an advert, signed where it is to be.
    pub(super) fn emit(
        &mut self,
        hmac: Option<&Hmac>,
        (source, destination, now): Way,
        advert: &Repr<'_>,
        message: &mut Vec<u8>,
    ) {
        match hmac.and_then(Hmac::signing_key) {
            Some(Key { id, secret }) => {
                let at = self.next(now);
                advert.emit_signed(source, destination, (*id, secret), at, message);
            }
            None => advert.emit(source, destination, message),
        }
    }

    /// Whether an advert is believed as far as its signature goes.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        hmac: Option<&Hmac>,
        source: IpAddr,
        signed: Option<&Signed<'_>>,
    ) -> Result<(), Reason> {
        let (hmac, signed) = match (hmac, signed) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err(Reason::AuthType),
            (Some(hmac), None) if hmac.mode == Mode::Enforce => return Err(Reason::Unsigned),
            (Some(_), None) => return Ok(()),
            (Some(hmac), Some(signed)) => (hmac, signed),
        };
        let trailer = &signed.trailer;
        let key = hmac.key(trailer.key).ok_or(Reason::UnknownKey)?;
        if !trailer.is_made_with(&key.secret, source, signed.advert) {
            return Err(Reason::Signature);
        }
        let (theirs, ours) = (trailer.sequence.seconds(), self.wall(now) / 1_000_000);
        if hmac
            .window
            .is_some_and(|window| theirs.abs_diff(ours) > window.as_secs())
        {
            return Err(Reason::Clock);
        }
        self.believe(now, source, trailer.sequence)
    }

    /// Remembers an advert, unless it is not newer than the last. Where there are too many sources, the one that was
    /// not heard for the longest time is forgotten: all of them have a key.
    fn believe(&mut self, now: Instant, source: IpAddr, sequence: Sequence) -> Result<(), Reason> {
        let mut known = self.believed.iter_mut();
        if let Some(last) = known.find(|last| last.source == source) {
            if sequence <= last.sequence {
                return Err(Reason::Replay);
            }
            (last.sequence, last.at) = (sequence, now);
            return Ok(());
        }
        if self.believed.is_full() {
            let sources = self.believed.iter().enumerate();
            if let Some((oldest, _)) = sources.min_by_key(|(_, last)| last.at) {
                self.believed.swap_remove(oldest);
            }
        }
        let _fits = self.believed.push(Believed {
            source,
            sequence,
            at: now,
        });
        Ok(())
    }
}
