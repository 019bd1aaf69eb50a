//! One check: when it runs, and what its results make of the server's health.

use super::attempt::{Attempt, Verdict};
use super::{Action, Failure, Health, Io, Random, Settings, TlsError};
use crate::limits;
use crate::time::{Duration, Instant};

/// What a check knows about its server and about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Health in force.
    pub health: Health,
    /// When the health last changed, or when the check began.
    pub since: Instant,
    /// Result of the last attempt; none before the first.
    pub last: Option<Result<(), Failure>>,
    /// How long that attempt took.
    pub latency: Duration,
    /// When that attempt began.
    pub last_run: Option<Instant>,
    /// When the next attempt begins; in the past while one is under way or waits for a socket, and 0 while it is
    /// suspended.
    pub next_run: Instant,
    /// Failed attempts since the last success.
    pub failures_in_row: u32,
    /// Successes since the last failed attempt.
    pub successes_in_row: u32,
    /// The number of the last success, of a check that tells one.
    pub value: Option<i64>,
    /// Attempts so far that say something about the server.
    pub runs: u64,
    /// Those that failed.
    pub failures: u64,
}

/// What one verdict changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) old: Health,
    pub(super) new: Health,
    pub(super) cause: Option<Failure>,
    pub(super) value: Option<i64>,
    pub(super) lasted: Duration,
    pub(super) took: Duration,
}

/// One check.
#[derive(Debug)]
pub(super) struct Check {
    settings: Settings,
    phase: Phase,
    /// An attempt ended while its socket was open: `Close` is due.
    hang_up: bool,
    /// Planned start of the present run, or of the next one while none is under way.
    planned: Instant,
    status: Status,
}

#[derive(Debug)]
enum Phase {
    /// Nothing happens.
    Suspended,
    /// Until this moment nothing happens.
    Waiting(Instant),
    /// Due; waits for one of the node's sockets.
    Due,
    /// Boxed: most checks are waiting at any time.
    Running(Box<Attempt>),
}

impl Check {
    /// A check that has not run yet, with the health that it goes on from.
    pub(super) fn new(
        now: Instant,
        settings: Settings,
        health: Health,
        random: &mut Random,
    ) -> Self {
        let first = now + random.below(settings.warmup.min(limits::CHECK_FIRST_WITHIN));
        // From the second run on the phase is random over the whole interval, so that the load is even.
        let planned = first + random.below(interval(&settings));
        Self {
            settings,
            phase: Phase::Waiting(first),
            hang_up: false,
            planned,
            status: Status {
                health,
                since: now,
                last: None,
                latency: Duration::ZERO,
                last_run: None,
                next_run: first,
                failures_in_row: 0,
                successes_in_row: 0,
                value: None,
                runs: 0,
                failures: 0,
            },
        }
    }

    /// Takes settings that ask the same of the same target, but at other times; the history stays.
    pub(super) fn retime(&mut self, now: Instant, settings: Settings, random: &mut Random) {
        self.settings = settings;
        if let Phase::Waiting(at) = self.phase {
            self.planned = self
                .planned
                .min(now + random.below(interval(&self.settings)));
            self.wait_until(at.min(self.planned));
        }
    }

    /// Lets it rest, or go on at once. An attempt under way tells nothing.
    pub(super) fn suspend(&mut self, now: Instant, suspended: bool) {
        if matches!(self.phase, Phase::Suspended) == suspended {
            return;
        }
        if suspended {
            self.hang_up = self.is_open();
            self.phase = Phase::Suspended;
            self.status.next_run = Instant::ZERO;
        } else {
            self.wait_until(now);
        }
    }

    /// Takes over a health from elsewhere, until an attempt has told.
    pub(super) fn assume(&mut self, now: Instant, health: Health) {
        if self.status.runs == 0 && self.status.health != health {
            self.status.health = health;
            self.status.since = now;
        }
    }

    /// Whether somebody who thinks that of the server can share this check: it knows better, or thinks the same.
    pub(super) fn agrees(&self, health: Health) -> bool {
        self.status.runs > 0 || self.status.health == health
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) const fn status(&self) -> &Status {
        &self.status
    }

    pub(super) const fn is_due(&self) -> bool {
        matches!(self.phase, Phase::Due)
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running(_))
    }

    /// Whether the shell holds a socket for it.
    pub(super) fn is_open(&self) -> bool {
        let open = matches!(&self.phase, Phase::Running(attempt) if attempt.is_open());
        open || self.hang_up
    }

    /// Whether [`Self::poll_action`] has something.
    pub(super) fn has_action(&self) -> bool {
        let wants = matches!(&self.phase, Phase::Running(attempt) if attempt.has_action());
        wants || self.hang_up
    }

    /// A socket is free: a due check begins its attempt.
    pub(super) fn start(&mut self, token: u64) {
        if self.is_due() {
            self.phase = Phase::Running(Box::new(Attempt::new(token)));
        }
    }

    pub(super) fn poll_action(&mut self, now: Instant) -> Option<Action> {
        if std::mem::take(&mut self.hang_up) {
            return Some(Action::Close);
        }
        match &mut self.phase {
            Phase::Running(attempt) => attempt.poll_action(now, &self.settings),
            Phase::Suspended | Phase::Waiting(_) | Phase::Due => None,
        }
    }

    pub(super) fn handle_io(&mut self, now: Instant, io: Io<'_>) -> Option<Change> {
        let Phase::Running(attempt) = &mut self.phase else {
            return None;
        };
        let verdict = attempt.handle_io(now, &self.settings, io)?;
        self.conclude(now, verdict)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Change> {
        match &mut self.phase {
            Phase::Waiting(at) if now >= *at => {
                self.phase = Phase::Due;
                None
            }
            Phase::Suspended | Phase::Waiting(_) | Phase::Due => None,
            Phase::Running(attempt) => {
                let verdict = attempt.handle_timeout(now, &self.settings)?;
                self.conclude(now, verdict)
            }
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting(at) => Some(*at),
            Phase::Suspended | Phase::Due => None,
            Phase::Running(attempt) => attempt.deadline(),
        }
    }

    /// The hysteresis: what a verdict makes of the health, and when the next attempt follows.
    fn conclude(&mut self, now: Instant, verdict: Verdict) -> Option<Change> {
        if let Phase::Running(attempt) = &self.phase {
            self.hang_up = attempt.is_open();
            self.status.last_run = attempt.began();
            self.status.latency = attempt.began().map_or(Duration::ZERO, |at| now.since(at));
        }
        self.status.last = Some(verdict.map(|_| ()));
        let pause = self.settings.delay_before_retry;
        let old = (self.status.health, self.status.value);
        let again = match verdict {
            Ok(value) => {
                self.succeed();
                self.status.value = value;
                self.next_planned(now)
            }
            Err(Failure::Local(_) | Failure::Number | Failure::Tls(TlsError::Files)) => {
                self.wait_until(now + pause.max(limits::CHECK_LOCAL_PAUSE));
                return None;
            }
            Err(_) => match self.fail() {
                Health::Up => now + pause,
                Health::Down => self.next_planned(now),
            },
        };
        self.status.runs += 1;
        self.wait_until(again);
        let (health, value) = (self.status.health, self.status.value);
        let told = verdict.is_err() && self.settings.log_all;
        if old == (health, value) && !told {
            return None;
        }
        let lasted = now.since(self.status.since);
        if old.0 != health {
            self.status.since = now;
        }
        Some(Change {
            old: old.0,
            new: health,
            cause: verdict.err(),
            value,
            lasted,
            took: self.status.latency,
        })
    }

    fn succeed(&mut self) {
        let status = &mut self.status;
        status.failures_in_row = 0;
        status.successes_in_row = status.successes_in_row.saturating_add(1);
        let never_failed = status.failures == 0;
        if never_failed || status.successes_in_row >= self.settings.rise {
            status.health = Health::Up;
        }
    }

    /// Counts a failure; still Up means that it is not enough of them.
    fn fail(&mut self) -> Health {
        let status = &mut self.status;
        let never_succeeded = status.runs == status.failures;
        status.failures += 1;
        status.successes_in_row = 0;
        status.failures_in_row = status.failures_in_row.saturating_add(1);
        if never_succeeded || status.failures_in_row > self.settings.retry {
            status.health = Health::Down;
        }
        status.health
    }

    fn wait_until(&mut self, at: Instant) {
        self.phase = Phase::Waiting(at);
        self.status.next_run = at;
    }

    /// The next planned start after `now`. Starts that passed during a long run are left out.
    fn next_planned(&mut self, now: Instant) -> Instant {
        if self.planned <= now {
            let step = interval(&self.settings).as_micros();
            let past = now.since(self.planned).as_micros();
            let left = step - past % step;
            self.planned = now + Duration::from_micros(u64::try_from(left).unwrap_or(u64::MAX));
        }
        self.planned
    }
}

fn interval(settings: &Settings) -> Duration {
    settings.interval.max(limits::CHECK_STEP_MIN)
}
