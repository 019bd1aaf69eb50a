//! The transitions of a virtual router: one table of state and trigger, and what each of its lines does.

use super::event::{Cause, Event};
use super::handover::stops;
use super::instance::{Noticed, Router};
use super::receive::Advert;
use super::state::{Fault, Hears, Peer, Source, State, Waits};
use crate::limits;
use crate::time::{Duration, Instant};

/// What moves the machine.
#[derive(Debug)]
pub(super) enum Trigger {
    /// The interface serves or does not.
    Link(Result<Source, Fault>),
    /// A believed advert of another router.
    Advert(Advert),
    /// Time has passed.
    Timer,
    /// Give up for good reason.
    Resign {
        /// And never come back.
        stops: bool,
    },
    /// Compete again.
    Resume,
}

/// Where a stopped router ends.
pub(super) const STOPPED: State = State::Initialize {
    waits: Waits::Nothing,
};

impl Router {
    /// The transition table. "6.4.2" and the like are sections of RFC 9568; RFC 3768 has the same numbers.
    pub(super) fn step(&mut self, now: Instant, trigger: Trigger) {
        use State::{Active, Backup, Initialize};
        match (self.state.clone(), trigger) {
            (state, _) if state == STOPPED => {}

            // keepalived's Fault, which the RFCs leave to "the Shutdown event" (6.4.2, 6.4.3).
            (State::Fault { why }, Trigger::Link(Err(new))) if why == new => {}
            (Active { leaving, .. }, Trigger::Link(Err(_))) if stops(leaving) => {
                self.enter(now, STOPPED, Cause::Stopped);
            }
            (_, Trigger::Link(Err(why))) => self.fail(now, why),

            // 6.4.1: a Startup event, after the startup delay.
            (
                Initialize { waits: Waits::Link } | State::Fault { .. },
                Trigger::Link(Ok(source)),
            ) => {
                self.source = source.address;
                self.startup(now, Cause::LinkUp(source.address));
            }
            (
                Initialize {
                    waits: Waits::StartupDelay { until },
                },
                Trigger::Timer,
            ) if until <= now => {
                self.startup(now, Cause::StartupDelay);
            }
            (state, Trigger::Link(Ok(source))) => self.relocate(now, &state, source),

            // 6.4.2: Active_Down_Timer fires.
            (
                Backup {
                    active_down_at,
                    hears,
                    prolonged,
                },
                Trigger::Timer,
            ) => {
                let due = hears
                    .preempt_at()
                    .map_or(active_down_at, |at| at.min(active_down_at));
                self.backup_timer(now, due, hears, prolonged);
            }
            // 6.4.2: priority zero sets the timer to the skew; else an advert is followed or discarded.
            (Backup { hears, .. }, Trigger::Advert(advert)) if advert.priority == 0 => {
                self.hear_resigned(now, hears, advert);
            }
            (Backup { .. }, Trigger::Advert(advert)) if self.follows(advert.priority) => {
                self.follow(now, advert);
            }
            (
                Backup {
                    active_down_at,
                    hears,
                    prolonged,
                },
                Trigger::Advert(advert),
            ) => {
                self.hear_lower(now, advert, active_down_at, hears, prolonged);
            }

            // A planned handover: only a successor or the time ends it.
            (
                Active {
                    leaving: Some(leaving),
                    ..
                },
                Trigger::Timer,
            ) => {
                self.leaving_timer(now, leaving);
            }
            (
                Active {
                    leaving: Some(leaving),
                    ..
                },
                Trigger::Advert(advert),
            ) => {
                if advert.priority > 0 {
                    self.let_go(now, leaving, Some(advert));
                }
            }

            // 6.4.3: Adver_Timer fires.
            (Active { advert_at, .. }, Trigger::Timer) => self.active_timer(now, advert_at),
            // 6.4.3: priority zero is answered; the better router wins; the worse one is told.
            (Active { .. }, Trigger::Advert(advert)) if advert.priority == 0 => self.answer(now),
            (Active { .. }, Trigger::Advert(advert)) if self.loses_to(&advert) => {
                self.step_back(now, advert);
            }
            (Active { .. }, Trigger::Advert(advert)) => self.hear_rival(now, advert),

            // 6.4.3: a Shutdown event, prolonged until somebody else serves.
            (Active { leaving, .. }, Trigger::Resign { stops }) => self.leave(now, leaving, stops),
            (_, Trigger::Resign { stops: true }) => self.enter(now, STOPPED, Cause::Stopped),
            (_, Trigger::Resign { stops: false }) => self.refrain(),
            (_, Trigger::Resume) => self.compete(now),

            // Not running: adverts were dropped before, and there is no timer.
            (Initialize { .. } | State::Fault { .. }, Trigger::Timer | Trigger::Advert(_)) => {}
        }
    }

    /// Changes the state.
    pub(super) fn enter(&mut self, now: Instant, state: State, cause: Cause) {
        let (old, new) = (self.state.name(), state.name());
        if old != new && self.wants_addresses() {
            self.announcer.clear();
        }
        self.state = state;
        let lasted = now.since(self.since);
        if old != new {
            self.since = now;
            self.noticed = Noticed::default();
        }
        self.tell(Event::StateChanged {
            old,
            new,
            cause,
            lasted,
        });
    }

    /// The interface serves: competes, or waits for the end of the startup delay.
    fn startup(&mut self, now: Instant, cause: Cause) {
        self.active_interval = self.settings.advert_interval;
        let until = self.hold_until;
        let held = State::Initialize {
            waits: Waits::StartupDelay { until },
        };
        if now < until && matches!(self.state, State::Initialize { .. }) {
            self.state = held;
        } else if now < until {
            self.enter(now, held, cause);
        } else if self.settings.owner() && !self.handed_over {
            self.become_active(now, Cause::Owner);
        } else {
            self.become_backup(now, Hears::Nobody, cause);
        }
    }

    /// The interface does not serve: an Active router tells the others, twice as a loss would cost an Active_Down.
    fn fail(&mut self, now: Instant, why: Fault) {
        if let State::Active { leaving: None, .. } = self.state {
            self.send(now, 0);
            self.send(now, 0);
        }
        self.yielded = false;
        self.enter(now, State::Fault { why: why.clone() }, Cause::Fault(why));
    }

    /// The interface serves, perhaps with another address: an Active router says so at once, as it decides ties.
    fn relocate(&mut self, now: Instant, state: &State, source: Source) {
        let moved = core::mem::replace(&mut self.source, source.address) != source.address;
        if let (true, State::Active { leaving: None, .. }) = (moved, state) {
            self.answer(now);
        }
    }

    /// 6.4.2: the advert first, so that a router that is still Active lets go; the addresses follow.
    fn become_active(&mut self, now: Instant, cause: Cause) {
        self.handed_over = false;
        self.yielded = false;
        self.active_interval = self.settings.advert_interval;
        self.send(now, self.effective_priority());
        let state = State::Active {
            advert_at: now + self.settings.advert_interval,
            leaving: None,
            contest_until: None,
        };
        self.enter(now, state, cause);
        self.announcer.start(now, &self.settings.garp);
    }

    /// A full Active_Down_Interval begins.
    pub(super) fn become_backup(&mut self, now: Instant, hears: Hears, cause: Cause) {
        let state = self.backup(now, hears);
        self.enter(now, state, cause);
    }

    pub(super) fn backup(&self, now: Instant, hears: Hears) -> State {
        State::Backup {
            active_down_at: now + self.active_down_interval(),
            hears,
            prolonged: false,
        }
    }

    /// Takes over when it is time, unless this node itself was asleep: when it wakes later than a living Active
    /// router needs to send an advert, the silence may be its own. It then listens once more, for one interval and
    /// the skew. Only once in a silence: a node that is always late must take over in the end.
    fn backup_timer(&mut self, now: Instant, due: Instant, hears: Hears, prolonged: bool) {
        if now < due {
            return;
        }
        let late = now.since(due);
        if late > self.active_interval && !prolonged {
            self.tell(Event::Stalled(late));
            let hears = match hears {
                Hears::Lower { peer, .. } => Hears::Lower {
                    peer,
                    preempt_at: None,
                },
                hears => hears,
            };
            self.state = State::Backup {
                active_down_at: now + self.active_interval + self.skew_time(),
                hears,
                prolonged: true,
            };
            return;
        }
        let cause = match hears {
            Hears::Nobody => Cause::ActiveDown(now.since(self.since)),
            Hears::Active(peer) => Cause::ActiveDown(now.since(peer.at)),
            Hears::Lower { peer, .. } => Cause::Preempted(peer),
            Hears::Resigned(peer) => Cause::PriorityZero(peer),
        };
        self.become_active(now, cause);
    }

    /// A priority of 0. A second one does not prolong the wait, for a leaving router repeats it; and while another
    /// router is Active, one that leaves does not matter.
    fn hear_resigned(&mut self, now: Instant, hears: Hears, advert: Advert) {
        let other = matches!(hears, Hears::Active(peer) if peer.address != advert.source);
        if other || matches!(hears, Hears::Resigned(_)) {
            return;
        }
        self.state = State::Backup {
            active_down_at: now + self.skew_time(),
            hears: Hears::Resigned(advert.source),
            prolonged: false,
        };
    }

    /// Whether a Backup router leaves the addresses to a router of this priority (6.4.2).
    pub(super) fn follows(&self, priority: u8) -> bool {
        priority >= self.effective_priority() || !self.preempts()
    }

    /// Preempt_Mode. `state MASTER` and an owner always preempt, as in keepalived; who handed over does not.
    pub(super) fn preempts(&self) -> bool {
        let set = self.settings.preempt || self.settings.state_master || self.settings.owner();
        set && !self.handed_over
    }

    /// An advert that is followed: restarts the timer, with the interval that it promises.
    fn follow(&mut self, now: Instant, advert: Advert) {
        self.learn(&advert);
        self.state = self.backup(now, Hears::Active(peer(&advert, now)));
    }

    /// Active_Adver_Interval. An interval of zero promises nothing: then our own holds.
    pub(super) fn learn(&mut self, advert: &Advert) {
        self.active_interval = match advert.interval {
            Duration::ZERO => self.settings.advert_interval,
            interval => interval,
        };
    }

    /// An advert of lower priority. Without a preempt delay it is discarded and the timer runs out. With one it is
    /// followed until the delay is over, which is never before the timer would have run out without a delay.
    fn hear_lower(
        &mut self,
        now: Instant,
        advert: Advert,
        active_down_at: Instant,
        hears: Hears,
        prolonged: bool,
    ) {
        let delay = self.settings.preempt_delay;
        let delayed = !delay.is_zero() && !self.settings.state_master && !self.settings.owner();
        let preempt_at = match hears {
            _ if !delayed => None,
            Hears::Lower { preempt_at, .. } => preempt_at,
            _ => Some(active_down_at.max(now + delay)),
        };
        let (active_down_at, prolonged) = if preempt_at.is_some() {
            self.learn(&advert);
            (now + self.active_down_interval(), false)
        } else {
            (active_down_at, prolonged)
        };
        let peer = peer(&advert, now);
        if !core::mem::replace(&mut self.noticed.preempting, true) {
            let left = preempt_at.unwrap_or(active_down_at).since(now);
            self.tell(Event::Preempting(peer, left));
        }
        let hears = Hears::Lower { peer, preempt_at };
        self.state = State::Backup {
            active_down_at,
            hears,
            prolonged,
        };
    }

    /// The periodic advert. After a stall in which the others may have taken over, it announces the addresses again.
    fn active_timer(&mut self, now: Instant, advert_at: Instant) {
        if now < advert_at {
            return;
        }
        let interval = self.settings.advert_interval;
        let late = now.since(advert_at);
        if late + interval > interval * u32::from(self.settings.down_adverts) {
            self.tell(Event::Stalled(late));
            self.announcer.restart(now, &self.settings.garp);
        }
        self.send(now, self.effective_priority());
        let on_time = advert_at + interval;
        self.schedule_advert(if on_time > now {
            on_time
        } else {
            now + interval
        });
    }

    fn schedule_advert(&mut self, at: Instant) {
        if let State::Active { advert_at, .. } = &mut self.state {
            *advert_at = at;
        }
    }

    /// An advert out of turn, at once unless one has just been sent: then as soon as the gap is kept.
    pub(super) fn answer(&mut self, now: Instant) {
        let free_at = self.sent_at.map_or(now, |at| at + limits::ADVERT_GAP_MIN);
        if free_at <= now {
            self.send(now, self.effective_priority());
            self.schedule_advert(now + self.settings.advert_interval);
        } else if let State::Active { advert_at, .. } = &mut self.state {
            *advert_at = free_at.min(*advert_at);
        }
    }

    /// 6.4.3: a higher priority wins, and among equals the higher address.
    fn loses_to(&self, advert: &Advert) -> bool {
        (advert.priority, advert.source) > (self.effective_priority(), self.source)
    }

    /// Another router is Active and better.
    fn step_back(&mut self, now: Instant, advert: Advert) {
        if self.settings.owner() {
            self.tell_rival(now, &advert);
        }
        if self.settings.higher_prio_send_advert {
            self.send(now, self.effective_priority());
        }
        self.learn(&advert);
        let peer = peer(&advert, now);
        self.become_backup(now, Hears::Active(peer), Cause::Higher(peer));
    }

    /// Another router is Active and worse: it is told at once, and its announcements are announced over.
    fn hear_rival(&mut self, now: Instant, advert: Advert) {
        self.tell_rival(now, &advert);
        if advert.priority == 255 && self.contest_lost(now, &advert) {
            self.yielded = true;
            return self.step_back(now, advert);
        }
        if !self.settings.lower_prio_no_advert {
            self.answer(now);
        }
        self.announcer.handle_rival(now, &self.settings.garp);
    }

    fn tell_rival(&mut self, now: Instant, advert: &Advert) {
        if !core::mem::replace(&mut self.noticed.rival, true) {
            self.tell(match advert.priority {
                255 => Event::BothOwners(advert.source),
                _ => Event::LowerPriority(peer(advert, now)),
            });
        }
    }

    /// Two owners: whether the one of the lower address had its time to step back and did not. It gets two adverts of
    /// ours and 1.2 of the longer interval; then we compete with 254 until it is gone.
    fn contest_lost(&mut self, now: Instant, advert: &Advert) -> bool {
        let ours = self.settings.advert_interval;
        let time = ours * 2 + ours.max(advert.interval) * 6 / 5;
        let forgotten = self.active_down_interval();
        let State::Active { contest_until, .. } = &mut self.state else {
            return false;
        };
        match *contest_until {
            Some(until) if now < until => false,
            Some(until) if now <= until + forgotten => true,
            _ => {
                *contest_until = Some(now + time);
                false
            }
        }
    }
}

/// Who sent an advert.
pub(super) const fn peer(advert: &Advert, now: Instant) -> Peer {
    Peer {
        address: advert.source,
        priority: advert.priority,
        at: now,
    }
}
