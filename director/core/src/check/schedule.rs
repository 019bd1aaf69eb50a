//! One check: when it runs, and what its results make of the server's health.

use super::attempt::{Attempt, Verdict};
use super::{Action, Ask, Failure, Health, Io, Random, Settings, TlsError};
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

/// One check. A node may have two hundred thousand of them: what most have not is boxed, and no field is here twice.
#[derive(Debug)]
pub(super) struct Check {
    ask: Ask,
    phase: Phase,
    /// The attempt that was due, while it is under way. Most checks are waiting at any time: boxed, and not in `phase`,
    /// which would take seven bytes more then.
    attempt: Option<Box<Attempt>>,
    /// When the next attempt begins, or the one under way was to; 0 while it is suspended.
    due: Instant,
    /// Planned start of the present run, or of the next one while none is under way.
    planned: Instant,
    since: Instant,
    /// When the last attempt began; boot before the first.
    last_run: Instant,
    runs: u64,
    odd: Option<Box<Odd>>,
    /// In microseconds, as far as they go.
    latency_us: u32,
    health: Health,
    /// An attempt has ended.
    tried: bool,
    /// An attempt ended while its socket was open: `Close` is due.
    hang_up: bool,
}

/// What a check that never failed, and tells no number, has not.
#[derive(Debug, Default)]
struct Odd {
    failures: u64,
    failures_in_row: u32,
    /// Which run failed last; 0 when none did.
    failed_run: u64,
    /// Why the last attempt failed.
    failure: Option<Failure>,
    /// The number of the last success.
    value: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing happens.
    Suspended,
    /// Until it is due nothing happens.
    Waiting,
    /// It is due, and waits for one of the node's sockets unless it has one.
    Due,
}

impl Check {
    /// A check that has not run yet, with the health that it goes on from. Its first run comes within this time.
    pub(super) fn new(
        now: Instant,
        within: Duration,
        (ask, health): (Ask, Health),
        random: &mut Random,
    ) -> Self {
        let first = now + random.below(ask.how.warmup.min(within));
        // From the second run on the phase is random over the whole interval, so that the load is even.
        let planned = first + random.below(interval(&ask.how));
        Self {
            ask,
            phase: Phase::Waiting,
            attempt: None,
            due: first,
            planned,
            since: now,
            last_run: Instant::ZERO,
            runs: 0,
            odd: None,
            latency_us: 0,
            health,
            tried: false,
            hang_up: false,
        }
    }

    /// Takes settings that ask the same of the same target, but at other times; the history stays.
    pub(super) fn retime(&mut self, now: Instant, ask: Ask, random: &mut Random) {
        self.ask = ask;
        if self.phase == Phase::Waiting {
            let soon = now + random.below(interval(&self.ask.how));
            self.planned = self.planned.min(soon);
            self.due = self.due.min(self.planned);
        }
    }

    /// Lets it rest, or go on at once. An attempt under way tells nothing.
    pub(super) fn suspend(&mut self, now: Instant, suspended: bool) {
        if (self.phase == Phase::Suspended) == suspended {
            return;
        }
        if suspended {
            self.hang_up = self.is_open();
            self.attempt = None;
            (self.phase, self.due) = (Phase::Suspended, Instant::ZERO);
        } else {
            self.wait(now);
        }
    }

    fn wait(&mut self, until: Instant) {
        self.attempt = None;
        (self.phase, self.due) = (Phase::Waiting, until);
    }

    /// Takes over a health from elsewhere, until an attempt has told.
    pub(super) fn assume(&mut self, now: Instant, health: Health) {
        if self.runs == 0 && self.health != health {
            self.health = health;
            self.since = now;
        }
    }

    /// Whether somebody who thinks that of the server can share this check: it knows better, or thinks the same.
    pub(super) fn agrees(&self, health: Health) -> bool {
        self.runs > 0 || self.health == health
    }

    pub(super) const fn ask(&self) -> &Ask {
        &self.ask
    }

    pub(super) const fn health(&self) -> Health {
        self.health
    }

    /// The number of the last success, of a check that tells one.
    pub(super) fn value(&self) -> Option<i64> {
        self.odd.as_ref()?.value
    }

    /// Attempts that failed so far.
    fn failures(&self) -> u64 {
        self.odd.as_ref().map_or(0, |odd| odd.failures)
    }

    fn successes_in_row(&self) -> u32 {
        let failed_run = self.odd.as_ref().map_or(0, |odd| odd.failed_run);
        u32::try_from(self.runs - failed_run).unwrap_or(u32::MAX)
    }

    /// Whether the last attempt failed.
    pub(super) fn has_failed(&self) -> bool {
        self.odd.as_ref().is_some_and(|odd| odd.failure.is_some())
    }

    pub(super) fn status(&self) -> Status {
        let odd = self.odd.as_deref();
        let failure = odd.and_then(|odd| odd.failure);
        Status {
            health: self.health,
            since: self.since,
            last: self.tried.then(|| failure.map_or(Ok(()), Err)),
            latency: Duration::from_micros(self.latency_us.into()),
            last_run: self.tried.then_some(self.last_run),
            next_run: self.due,
            failures_in_row: odd.map_or(0, |odd| odd.failures_in_row),
            successes_in_row: self.successes_in_row(),
            value: self.value(),
            runs: self.runs,
            failures: self.failures(),
        }
    }

    /// Whether it waits for a socket.
    pub(super) fn is_due(&self) -> bool {
        self.phase == Phase::Due && !self.is_running()
    }

    pub(super) const fn is_running(&self) -> bool {
        self.attempt.is_some()
    }

    /// Whether the shell holds a socket for it.
    pub(super) fn is_open(&self) -> bool {
        let attempt = self.attempt.as_ref();
        self.hang_up || attempt.is_some_and(|attempt| attempt.is_open())
    }

    /// Whether [`Self::poll_action`] has something.
    pub(super) fn has_action(&self) -> bool {
        let attempt = self.attempt.as_ref();
        self.hang_up || attempt.is_some_and(|attempt| attempt.has_action())
    }

    /// A socket is free: a due check begins its attempt.
    pub(super) fn start(&mut self, token: u64) {
        if self.is_due() {
            self.attempt = Some(Box::new(Attempt::new(token)));
        }
    }

    pub(super) fn poll_action(&mut self, now: Instant) -> Option<Action> {
        if std::mem::take(&mut self.hang_up) {
            return Some(Action::Close);
        }
        self.attempt.as_mut()?.poll_action(now, &self.ask)
    }

    pub(super) fn handle_io(&mut self, now: Instant, io: Io<'_>) -> Option<Change> {
        let verdict = self.attempt.as_mut()?.handle_io(now, &self.ask, io)?;
        self.conclude(now, verdict)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Change> {
        if self.phase == Phase::Waiting && now >= self.due {
            self.phase = Phase::Due;
        }
        let verdict = self.attempt.as_mut()?.handle_timeout(now, &self.ask)?;
        self.conclude(now, verdict)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match &self.attempt {
            Some(attempt) => attempt.deadline(),
            None => (self.phase == Phase::Waiting).then_some(self.due),
        }
    }

    /// The hysteresis: what a verdict makes of the health, and when the next attempt follows.
    fn conclude(&mut self, now: Instant, verdict: Verdict) -> Option<Change> {
        self.hang_up = self.is_open();
        let began = self.attempt.as_ref().and_then(|attempt| attempt.began());
        let took = began.map_or(Duration::ZERO, |at| now.since(at));
        self.last_run = began.unwrap_or(Instant::ZERO);
        self.tried = true;
        self.latency_us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let old = (self.health, self.value());
        let value = verdict.unwrap_or(old.1);
        self.note_odd(verdict.err(), value);
        let pause = self.ask.how.delay_before_retry;
        let again = match verdict {
            Ok(_) => {
                self.succeed();
                self.next_planned(now)
            }
            Err(
                Failure::Local(_)
                | Failure::Barred(_)
                | Failure::Number
                | Failure::Tls(TlsError::Files),
            ) => {
                self.wait(now + pause.max(limits::CHECK_LOCAL_PAUSE));
                return None;
            }
            Err(_) => match self.fail() {
                Health::Up => now + pause,
                Health::Down => self.next_planned(now),
            },
        };
        self.wait(again);
        let health = self.health;
        let told = verdict.is_err() && self.ask.how.log_all;
        if old == (health, value) && !told {
            return None;
        }
        let lasted = now.since(self.since);
        if old.0 != health {
            self.since = now;
        }
        Some(Change {
            old: old.0,
            new: health,
            cause: verdict.err(),
            value,
            lasted,
            took,
        })
    }

    fn note_odd(&mut self, failure: Option<Failure>, value: Option<i64>) {
        if failure.is_some() || value.is_some() || self.odd.is_some() {
            let odd = self.odd.get_or_insert_default();
            (odd.failure, odd.value) = (failure, value);
        }
    }

    fn succeed(&mut self) {
        if let Some(odd) = &mut self.odd {
            odd.failures_in_row = 0;
        }
        self.runs += 1;
        let never_failed = self.failures() == 0;
        if never_failed || self.successes_in_row() >= self.ask.how.rise {
            self.health = Health::Up;
        }
    }

    /// Counts a failure; still Up means that it is not enough of them.
    fn fail(&mut self) -> Health {
        let never_succeeded = self.runs == self.failures();
        self.runs += 1;
        let odd = self.odd.get_or_insert_default();
        odd.failed_run = self.runs;
        odd.failures += 1;
        odd.failures_in_row = odd.failures_in_row.saturating_add(1);
        if never_succeeded || odd.failures_in_row > self.ask.how.retry {
            self.health = Health::Down;
        }
        self.health
    }

    /// The next planned start after `now`. Starts that passed during a long run are left out.
    fn next_planned(&mut self, now: Instant) -> Instant {
        if self.planned <= now {
            let step = interval(&self.ask.how).as_micros();
            let past = now.since(self.planned).as_micros();
            let left = step - past % step;
            self.planned = now + Duration::from_micros(u64::try_from(left).unwrap_or(u64::MAX));
        }
        self.planned
    }
}

/// Time over which the first runs of so many checks are spread.
pub(super) fn first_within(checks: usize) -> Duration {
    let micros = checks as u64 * 1_000_000 / limits::CHECK_FIRST_RATE;
    Duration::from_micros(micros).max(limits::CHECK_FIRST_WITHIN)
}

fn interval(settings: &Settings) -> Duration {
    settings.interval.max(limits::CHECK_STEP_MIN)
}
