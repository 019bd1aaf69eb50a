//! The transitions of a virtual router: one table of state and trigger, and what each of its lines does.

use super::event::{Cause, Event};
use super::instance::{Noticed, Router};
use super::receive::Advert;
use super::state::{Active, Backup, Fault, Hears, Peer, Source, State, Waits};
use super::timers;
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
    /// The addresses are held already.
    Adopt,
    /// Give up for good reason.
    Resign {
        /// And never come back.
        stops: bool,
    },
    /// Compete again.
    Resume,
    /// The whole sync group is ready.
    TakeOver,
    /// The sync group can't be Active.
    LetGo,
}

/// Where a stopped router ends.
pub(super) const STOPPED: State = State::Initialize(Waits::Nothing);

impl Router {
    /// The transition table. "6.4.2" and the like are sections of RFC 9568; RFC 3768 has the same numbers.
    pub(super) fn step(&mut self, now: Instant, trigger: Trigger) {
        use {State as S, Trigger as T};
        match (self.state.clone(), trigger) {
            (state, _) if state == STOPPED => {}

            // 6.4.1: a Startup event, when the interface serves and the startup delay is over.
            (state, T::Link(link)) => self.link(now, state, link),
            (S::Initialize(Waits::StartupDelay { until }), T::Timer) if until <= now => {
                self.startup(now, Cause::StartupDelay);
            }

            // Ours: a restart in the middle of 6.4.3, unless somebody else is Active by now.
            (S::Backup(backup), T::Adopt) if matches!(backup.hears, Hears::Active(_)) => {}
            (S::Backup(_) | S::Initialize(Waits::StartupDelay { .. }), T::Adopt) => {
                self.become_active(now, Cause::Adopted);
            }
            (_, T::Adopt) => {}

            // Ours: a sync group is Active as a whole or not at all.
            (S::Backup(backup), T::TakeOver) if backup.ready => self.take_turn(now, backup),
            (S::Active(Active { leaving: None, .. }), T::LetGo) => self.yield_turn(now),
            (_, T::TakeOver | T::LetGo) => {}

            // 6.4.2: Active_Down_Timer fires.
            (S::Backup(backup), T::Timer) => self.backup_timer(now, backup),
            // 6.4.2: priority zero sets the timer to the skew; other adverts are followed or discarded.
            (S::Backup(backup), T::Advert(advert)) if advert.priority == 0 => {
                self.hear_resigned(now, backup.hears, advert);
            }
            (S::Backup(_), T::Advert(advert)) if self.follows(advert.priority) => {
                self.follow(now, advert);
            }
            (S::Backup(backup), T::Advert(advert)) => self.hear_lower(now, backup, advert),

            // A planned handover under way has a table of its own.
            (
                S::Active(Active {
                    leaving: Some(leaving),
                    ..
                }),
                trigger,
            ) => {
                self.leaving(now, leaving, trigger);
            }

            // 6.4.3: Adver_Timer fires.
            (S::Active(active), T::Timer) => self.active_timer(now, active.advert_at),
            // 6.4.3: priority zero is answered; the better router wins; the worse one is told.
            (S::Active(_), T::Advert(advert)) if advert.priority == 0 => self.hear_leaving(now),
            (S::Active(_), T::Advert(advert)) if self.loses_to(&advert) => {
                self.step_back(now, advert);
            }
            (S::Active(_), T::Advert(advert)) => self.hear_rival(now, advert),

            // 6.4.3: a Shutdown event, put off until somebody else serves.
            (S::Active(_), T::Resign { stops }) => self.leave(now, stops),
            (_, T::Resign { stops: true }) => self.enter(now, STOPPED, Cause::Stopped),
            (state, T::Resign { stops: false }) => self.refrain(now, &state),
            (_, T::Resume) => self.compete(),

            // Not running: adverts were dropped before, and no timer is due.
            (S::Initialize(_) | S::Fault(_), T::Timer | T::Advert(_)) => {}
        }
    }

    /// The part of the table about the interface: keepalived's Fault, for which the RFCs have Startup and Shutdown.
    fn link(&mut self, now: Instant, state: State, link: Result<Source, Fault>) {
        match (state, link) {
            (State::Fault(why), Err(new)) if why == new => {}
            (State::Active(active), Err(_)) if active.stops() => {
                self.enter(now, STOPPED, Cause::Stopped);
            }
            (_, Err(why)) => self.fail(now, why),
            (State::Initialize(Waits::Link) | State::Fault(_), Ok(source)) => {
                self.source = source.address;
                self.startup(now, Cause::LinkUp(source.address));
            }
            (state, Ok(source)) => self.relocate(now, &state, source),
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
        let held = State::Initialize(Waits::StartupDelay { until });
        if now < until && matches!(self.state, State::Initialize(_)) {
            self.state = held;
        } else if now < until {
            self.enter(now, held, cause);
        } else if self.settings.owner() && !self.handed_over {
            self.become_owner(now);
        } else {
            self.become_backup(now, Hears::Nobody, cause);
        }
    }

    /// Who owns the addresses does not wait, unless for the others of its sync group.
    fn become_owner(&mut self, now: Instant) {
        if !self.settings.grouped {
            return self.become_active(now, Cause::Owner);
        }
        let state = State::Backup(Backup {
            active_down_at: now,
            hears: Hears::Nobody,
            prolonged: false,
            queued: false,
            ready: true,
        });
        self.enter(now, state, Cause::Owner);
    }

    /// The interface does not serve: an Active router tells the others, twice as a loss would cost an Active_Down.
    fn fail(&mut self, now: Instant, why: Fault) {
        match &self.state {
            State::Active(active) if active.leaving.is_some() => self.handed_over = true,
            State::Active(_) if why != Fault::NoInterface => {
                (0..2).for_each(|_| self.send(now, 0));
            }
            _ => {}
        }
        self.enter(now, State::Fault(why.clone()), Cause::Fault(why));
    }

    /// The interface serves, perhaps with another address: an Active router says so at once, as it decides ties.
    fn relocate(&mut self, now: Instant, state: &State, source: Source) {
        let moved = core::mem::replace(&mut self.source, source.address) != source.address;
        if moved && matches!(state, State::Active(active) if active.leaving.is_none()) {
            self.answer(now);
        }
    }

    /// 6.4.2: the advert first, so that a router that is still Active lets go; the addresses follow.
    fn become_active(&mut self, now: Instant, cause: Cause) {
        self.handed_over = false;
        self.yielded = false;
        self.active_interval = self.settings.advert_interval;
        self.send(now, self.effective_priority());
        let active = Active {
            advert_at: self.advert_after(now),
            leaving: None,
            contest_until: None,
        };
        self.enter(now, State::Active(active), cause);
        self.announcer.start(now, &self.settings.garp);
    }

    /// A full Active_Down_Interval begins.
    pub(super) fn become_backup(&mut self, now: Instant, hears: Hears, cause: Cause) {
        let state = self.backup(now, hears);
        self.enter(now, state, cause);
    }

    pub(super) fn backup(&self, now: Instant, hears: Hears) -> State {
        backup_until(now + self.active_down_interval(), hears)
    }

    /// Backup to a router that was last heard a while ago; what should have been done by then is done now.
    pub(super) fn backup_to(&self, now: Instant, peer: Peer) -> State {
        let active_down_at = peer.at + self.active_down_interval();
        backup_until(active_down_at.max(now), Hears::Active(peer))
    }

    /// Takes over when it is time, unless this node itself was asleep: when it wakes later than a living Active
    /// router needs to send an advert, the silence may be its own. It then listens once more, for one interval and
    /// the skew. Only once in a silence: a node that is always late must take over in the end.
    fn backup_timer(&mut self, now: Instant, backup: Backup) {
        let due = backup.due();
        if now < due {
            return;
        }
        if self.overslept(now, &backup) {
            self.tell(Event::Stalled(now.since(due)));
            self.state = State::Backup(Backup {
                active_down_at: now + self.active_interval + self.skew_time(),
                hears: backup.hears.without_delay(),
                prolonged: true,
                queued: false,
                ready: false,
            });
            return;
        }
        if self.settings.grouped {
            self.state = State::Backup(Backup {
                ready: true,
                ..backup
            });
        } else {
            self.take_turn(now, backup);
        }
    }

    /// Whether it comes too late to know whose the silence is.
    fn overslept(&self, now: Instant, backup: &Backup) -> bool {
        let is_excused = backup.prolonged || backup.queued || backup.ready;
        now.since(backup.due()) > self.active_interval && !is_excused
    }

    /// Others go first in this look at the timers. Every advert up to `now` has been heard: unless the node was asleep
    /// before, the silence is the peer's, however late its turn comes.
    pub fn wait_turn(&mut self, now: Instant) {
        if let State::Backup(backup) = self.state
            && now >= backup.due()
            && !self.overslept(now, &backup)
        {
            self.state = State::Backup(Backup {
                queued: true,
                ..backup
            });
        }
    }

    /// Takes over.
    fn take_turn(&mut self, now: Instant, backup: Backup) {
        let cause = match backup.hears {
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
        self.state = State::Backup(Backup {
            active_down_at: now + self.skew_time(),
            hears: Hears::Resigned(advert.source),
            prolonged: false,
            queued: false,
            ready: false,
        });
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
    fn hear_lower(&mut self, now: Instant, mut backup: Backup, advert: Advert) {
        let delay = self.settings.preempt_delay;
        let delayed = !delay.is_zero() && !self.settings.state_master && !self.settings.owner();
        let preempt_at = match backup.hears {
            _ if !delayed => None,
            Hears::Lower { preempt_at, .. } => preempt_at,
            _ => Some(backup.active_down_at.max(now + delay)),
        };
        if preempt_at.is_some() {
            self.learn(&advert);
            backup.active_down_at = now + self.active_down_interval();
            backup.prolonged = false;
            let has_come = preempt_at.is_some_and(|at| at <= now);
            backup.queued &= has_come;
            backup.ready &= has_come;
        }
        let peer = peer(&advert, now);
        backup.hears = Hears::Lower { peer, preempt_at };
        if !core::mem::replace(&mut self.noticed.preempting, true) {
            let left = preempt_at.unwrap_or(backup.active_down_at).since(now);
            self.tell(Event::Preempting(peer, left));
        }
        self.state = State::Backup(backup);
    }

    /// The periodic advert. After a stall in which the others may have taken over, it announces the addresses again.
    fn active_timer(&mut self, now: Instant, advert_at: Instant) {
        if now < advert_at {
            return;
        }
        let interval = self.settings.advert_interval;
        let late = now.since(advert_at);
        // The last advert went out an interval before `advert_at`.
        let patience = interval * u32::from(self.settings.down_adverts.saturating_sub(1).max(1));
        if late > patience && self.settings.timer_expired_backup {
            return self.become_backup(now, Hears::Nobody, Cause::Stalled(late));
        }
        if late > patience {
            self.tell(Event::Stalled(late));
            self.announcer.restart(now, &self.settings.garp);
        }
        self.send(now, self.effective_priority());
        let on_time = advert_at + interval;
        self.schedule_advert(if on_time > now {
            on_time
        } else {
            self.advert_after(now)
        });
    }

    /// When the one after an advert of this moment is due.
    fn advert_after(&self, now: Instant) -> Instant {
        timers::next_advert(now, self.settings.advert_interval, self.settings.phase)
    }

    fn schedule_advert(&mut self, at: Instant) {
        if let State::Active(active) = &mut self.state {
            active.advert_at = at;
        }
    }

    /// An advert out of turn, at once unless one has just been sent: then as soon as the gap is kept.
    pub(super) fn answer(&mut self, now: Instant) {
        let free_at = self.sent_at.map_or(now, |at| at + limits::ADVERT_GAP_MIN);
        if free_at <= now {
            self.send(now, self.effective_priority());
            self.schedule_advert(self.advert_after(now));
        } else {
            self.schedule_advert(free_at);
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

    /// Another member of the sync group can't be Active: tells the others, twice as a loss would cost an Active_Down.
    fn yield_turn(&mut self, now: Instant) {
        (0..2).for_each(|_| self.send(now, 0));
        self.active_interval = self.settings.advert_interval;
        self.become_backup(now, Hears::Nobody, Cause::Group);
    }

    /// Another router was Active, perhaps unheard, and lets go: what it announced is announced over.
    fn hear_leaving(&mut self, now: Instant) {
        self.answer(now);
        self.announcer.handle_rival(now, &self.settings.garp);
    }

    /// Another router is Active and worse: it is told at once, and its announcements are announced over.
    fn hear_rival(&mut self, now: Instant, advert: Advert) {
        self.rival_at = Some(now);
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
        let State::Active(active) = &mut self.state else {
            return false;
        };
        match active.contest_until {
            Some(until) if now < until => false,
            Some(until) if now <= until + forgotten => true,
            _ => {
                active.contest_until = Some(now + time);
                false
            }
        }
    }
}

/// The Active_Down_Timer begins anew and runs until then.
const fn backup_until(active_down_at: Instant, hears: Hears) -> State {
    State::Backup(Backup {
        active_down_at,
        hears,
        prolonged: false,
        queued: false,
        ready: false,
    })
}

/// Who sent an advert.
pub(super) const fn peer(advert: &Advert, now: Instant) -> Peer {
    Peer {
        address: advert.source,
        priority: advert.priority,
        at: now,
    }
}
