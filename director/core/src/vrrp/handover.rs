//! The planned handover: a router that gives up serves until somebody else does.
//!
//! keepalived, as the RFCs say, removes the addresses together with its last advert, and clients wait for the
//! successor's skew. Here the leaving router announces priority 0 and keeps the addresses until it hears a
//! successor's first advert, which the successor sends before it announces the addresses as its own.

use super::event::{Cause, Event};
use super::instance::Router;
use super::machine::{STOPPED, peer};
use super::receive::Advert;
use super::state::{Hears, Leaving, State};
use crate::limits;
use crate::time::{Duration, Instant};
use crate::wire::vrrp::Version;

impl Router {
    /// Gives up: says so, and serves on until a successor is heard. The bound is the worst skew (v2: a second, v3:
    /// an interval) and a margin.
    pub(super) fn leave(&mut self, now: Instant, leaving: Option<Leaving>, stops: bool) {
        let leaving = if let Some(leaving) = leaving {
            Leaving {
                stops: leaving.stops || stops,
                ..leaving
            }
        } else {
            let worst_skew = match self.settings.version {
                Version::V2 => Duration::from_secs(1),
                Version::V3 => self.settings.advert_interval,
            };
            let limit = worst_skew + limits::RESIGN_MARGIN;
            self.send(now, 0);
            self.tell(Event::Leaving(limit));
            Leaving {
                until: now + limit,
                repeat_at: Some(now + self.repeat_pause()),
                repeats: limits::RESIGN_REPEATS,
                stops,
            }
        };
        self.set_leaving(Some(leaving));
    }

    fn set_leaving(&mut self, to: Option<Leaving>) {
        if let State::Active { leaving, .. } = &mut self.state {
            *leaving = to;
        }
    }

    fn repeat_pause(&self) -> Duration {
        limits::RESIGN_REPEAT_PAUSE.min(self.settings.advert_interval / 4)
    }

    /// Repeats priority 0, or gives up waiting.
    pub(super) fn leaving_timer(&mut self, now: Instant, leaving: Leaving) {
        if leaving.until <= now {
            return self.let_go(now, leaving, None);
        }
        if leaving.repeat_at.is_some_and(|at| at <= now) {
            self.send(now, 0);
            let repeats = leaving.repeats.saturating_sub(1);
            let repeat_at = (repeats > 0).then(|| now + self.repeat_pause());
            self.set_leaving(Some(Leaving {
                repeats,
                repeat_at,
                ..leaving
            }));
        }
    }

    /// The end of a planned handover.
    pub(super) fn let_go(&mut self, now: Instant, leaving: Leaving, successor: Option<Advert>) {
        let cause = Cause::HandedOver(successor.map(|advert| advert.source));
        if leaving.stops {
            return self.enter(now, STOPPED, cause);
        }
        self.handed_over = true;
        let hears = successor.map_or(Hears::Nobody, |advert| {
            self.learn(&advert);
            Hears::Active(peer(&advert, now))
        });
        self.become_backup(now, hears, cause);
    }

    /// Not Active, and told to give up: does not preempt.
    pub(super) fn refrain(&mut self) {
        self.handed_over = true;
        if let State::Backup {
            hears: Hears::Lower { peer, .. },
            ..
        } = self.state
        {
            self.state = self.backup(peer.at, Hears::Active(peer));
        }
    }

    /// Takes a giving up back, also while it is under way; a stop is not taken back.
    pub(super) fn compete(&mut self, now: Instant) {
        if let State::Active {
            leaving: Some(leaving),
            ..
        } = &self.state
        {
            if !leaving.stops {
                self.set_leaving(None);
                self.answer(now);
                self.tell(Event::Resumed);
            }
        } else if core::mem::take(&mut self.handed_over) {
            self.tell(Event::Resumed);
        }
    }
}

/// Whether a handover under way ends in Initialize.
pub(super) fn stops(leaving: Option<Leaving>) -> bool {
    leaving.is_some_and(|leaving| leaving.stops)
}
