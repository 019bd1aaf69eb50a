//! The planned handover: a router that gives up serves until somebody else does.
//!
//! keepalived, as the RFCs say, removes the addresses together with its last advert, and clients wait for the
//! successor's skew. Here the leaving router announces priority 0 and keeps the addresses until it hears a
//! successor's first advert, which the successor sends before it announces the addresses as its own.

use super::event::{Cause, Event};
use super::instance::Router;
use super::machine::{STOPPED, Trigger, peer};
use super::receive::Advert;
use super::state::{Backup, Hears, Leaving, State};
use crate::limits;
use crate::time::{Duration, Instant};
use crate::wire::vrrp::Version;

impl Router {
    /// Whether it may announce its addresses: what a router that gives up still says would cover up its successor's
    /// word.
    #[must_use]
    pub fn may_announce(&self) -> bool {
        matches!(&self.state, State::Active(active) if active.leaving.is_none())
    }

    /// Gives up: says so, and serves on until a successor is heard. The bound is the worst skew (v2: a second, v3:
    /// an interval) and a margin; without a stop to wait for it, also the interval in which a successor whose first
    /// advert was lost sends its second.
    pub(super) fn leave(&mut self, now: Instant, stops: bool) {
        let worst_skew = match self.settings.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.settings.advert_interval,
        };
        let second_advert = if stops {
            Duration::ZERO
        } else {
            self.settings.advert_interval
        };
        let limit = worst_skew + second_advert + limits::RESIGN_MARGIN;
        self.send(now, 0);
        self.announcer.silence();
        self.tell(Event::Leaving(limit));
        self.set_leaving(Some(Leaving {
            until: now + limit,
            repeat_at: Some(now + self.repeat_pause()),
            repeats: limits::RESIGN_REPEATS,
            stops,
        }));
    }

    /// The part of the transition table about a handover under way: only a successor or its time ends it. Any other
    /// router that is Active now is a successor; one that gives up as well is none, and is not answered either.
    pub(super) fn leaving(&mut self, now: Instant, leaving: Leaving, trigger: Trigger) {
        match trigger {
            Trigger::Timer if leaving.until <= now && leaving.stops => {
                self.enter(now, STOPPED, Cause::HandedOver(None));
            }
            Trigger::Timer if leaving.until <= now => {
                self.tell(Event::NoSuccessor);
                self.stay(now);
            }
            Trigger::Timer => self.repeat(now, leaving),
            Trigger::Advert(advert) if advert.priority > 0 => {
                self.let_go(now, leaving, &advert);
            }
            Trigger::Resign { stops: true } => self.set_leaving(Some(Leaving {
                stops: true,
                ..leaving
            })),
            Trigger::Resume if !leaving.stops => {
                self.tell(Event::Resumed);
                self.stay(now);
            }
            // A stop is not taken back, a second word changes nothing, and the interface was looked at before.
            Trigger::Advert(_)
            | Trigger::Adopt
            | Trigger::Resume
            | Trigger::Resign { .. }
            | Trigger::TakeOver
            | Trigger::LetGo
            | Trigger::Link(_) => {}
        }
    }

    /// Priority 0 once more.
    fn repeat(&mut self, now: Instant, leaving: Leaving) {
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

    fn repeat_pause(&self) -> Duration {
        limits::RESIGN_REPEAT_PAUSE.min(self.settings.advert_interval / 4)
    }

    fn set_leaving(&mut self, to: Option<Leaving>) {
        if let State::Active(active) = &mut self.state {
            active.leaving = to;
        }
    }

    /// The end of a planned handover to a successor. It may have been Active all the time, and not have heard us until
    /// now: the last word tells it to announce the addresses over what we announced.
    fn let_go(&mut self, now: Instant, leaving: Leaving, successor: &Advert) {
        self.send(now, 0);
        let cause = Cause::HandedOver(Some(successor.source));
        if leaving.stops {
            return self.enter(now, STOPPED, cause);
        }
        self.handed_over = true;
        self.learn(successor);
        self.become_backup(now, Hears::Active(peer(successor, now)), cause);
    }

    /// Stays Active: to give up where nobody takes over would be an outage that nobody asked for. What it did not
    /// announce meanwhile follows.
    pub(super) fn stay(&mut self, now: Instant) {
        self.set_leaving(None);
        self.announcer.restart(now, &self.settings.garp);
        self.announcer.schedule_refresh(now, &self.settings.garp);
        self.answer(now);
    }

    /// Not Active, and told to give up: does not preempt.
    pub(super) fn refrain(&mut self, now: Instant, state: &State) {
        self.handed_over = true;
        if let State::Backup(Backup {
            hears: Hears::Lower { peer, .. },
            ..
        }) = state
        {
            self.state = self.backup_to(now, *peer);
        }
    }

    /// Takes back a handover that was done.
    pub(super) fn compete(&mut self) {
        if core::mem::take(&mut self.handed_over) {
            self.noticed.preempting = false;
            self.tell(Event::Resumed);
        }
    }
}
