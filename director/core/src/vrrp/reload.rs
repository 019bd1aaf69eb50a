//! New settings for a running router.

use super::event::Event;
use super::instance::Router;
use super::settings::Settings;
use super::state::{Hears, State};
use crate::time::{Duration, Instant};
use crate::wire::vrrp::Version;

impl Router {
    /// New settings for the same VRID on the same interface. The state stays, a handover that was done is forgotten,
    /// changes of priority and interval hold at once: a running timer keeps the moment when it was started; a
    /// [`Router::stop`] under way is taken back. The caller then repeats [`Router::addresses_present`], which announces
    /// new addresses.
    pub fn reconfigure(&mut self, now: Instant, settings: Settings) {
        let old_wait = self.backup_wait();
        let old = self.replace_settings(settings);
        self.yielded &= self.settings.priority == old.priority;
        match &self.state {
            // It was to stop for good, and is wanted again.
            State::Active(active) if active.stops() => {
                self.tell(Event::Resumed);
                self.stay(now);
            }
            State::Active(active) if active.leaving.is_some() => {}
            State::Active(_) => {
                self.active_interval = self.settings.advert_interval;
                if !self.settings.advertises_like(&old) {
                    self.answer(now);
                }
                let times = |of: &Settings| (of.garp.refresh, of.garp.extra, of.extra.clone());
                if times(&self.settings) != times(&old) {
                    self.announcer.schedule_refresh(now, &self.settings.garp);
                }
            }
            State::Backup(_) => {
                self.handed_over = false;
                self.reschedule(now, &old, old_wait);
            }
            State::Initialize(_) | State::Fault(_) => self.handed_over = false,
        }
    }

    /// The weights of trackers have changed the priority: an Active router says so at once, and for a Backup one the
    /// skew is another.
    pub(super) fn reprioritised(&mut self, now: Instant, old_wait: Duration) {
        match &self.state {
            State::Active(active) if active.leaving.is_none() => self.answer(now),
            State::Backup(_) => {
                let settings = self.settings.clone();
                self.reschedule(now, &settings, old_wait);
            }
            State::Active(_) | State::Initialize(_) | State::Fault(_) => {}
        }
    }

    /// Moves the Active_Down_Timer by what the wait has changed. Who owns the addresses now does not wait.
    fn reschedule(&mut self, now: Instant, old: &Settings, old_wait: Duration) {
        let State::Backup(mut backup) = self.state else {
            return;
        };
        let hears = backup.hears;
        if self.settings.version == Version::V2 || hears.peer().is_none() {
            self.active_interval = self.settings.advert_interval;
        }
        if let Hears::Lower { peer, .. } = hears
            && (self.follows(peer.priority) || self.settings.preempt_delay != old.preempt_delay)
        {
            // Followed from now on, or the delay begins anew with the next advert.
            self.state = self.backup_to(now, peer);
            return;
        }
        let peer_owns = hears.peer().is_some_and(|peer| peer.priority == 255);
        backup.active_down_at = if self.settings.owner() && !old.owner() && !peer_owns {
            now
        } else {
            (backup.active_down_at + self.backup_wait() - old_wait).max(now)
        };
        backup.queued = false;
        self.state = State::Backup(backup);
    }

    /// What the timer of a Backup router was set to when it was started.
    pub(super) fn backup_wait(&self) -> Duration {
        match &self.state {
            State::Backup(backup) if matches!(backup.hears, Hears::Resigned(_)) => self.skew_time(),
            State::Backup(backup) if backup.prolonged => self.active_interval + self.skew_time(),
            _ => self.active_down_interval(),
        }
    }
}
