//! One attempt of a check, as a machine over bytes: connect, ask, judge, for each URL.

use super::{Action, Exit, Failure, Io, Kind, Settings, Url};
use crate::limits;
use crate::time::{Duration, Instant};
use crate::wire::http;

/// What came of an attempt; a success may tell a number.
pub(super) type Verdict = Result<Option<i64>, Failure>;

/// One attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    step: Step,
    /// Which URL is being asked.
    url: usize,
    /// When it began; none before the first `Connect` was taken.
    began: Option<Instant>,
    /// When it fails; counts from the `Connect` of the URL.
    deadline: Option<Instant>,
    /// Time that our own loop slept through has been given.
    graced: bool,
}

#[derive(Debug)]
enum Step {
    /// `Connect` or `Run` is due.
    Dial,
    /// The connection is being made, or the program runs.
    Dialing,
    /// Connected; `Send` is due.
    Ask(http::Reader),
    /// The request is on its way.
    Listen(http::Reader),
    /// This URL is done, its socket is still open: `Close` is due, then the next URL.
    HangUp,
}

impl Attempt {
    pub(super) fn new() -> Self {
        Self {
            step: Step::Dial,
            url: 0,
            began: None,
            deadline: None,
            graced: false,
        }
    }

    /// When it began.
    pub(super) const fn began(&self) -> Option<Instant> {
        self.began
    }

    /// When [`Self::handle_timeout`] fails it.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the shell holds a socket for it.
    pub(super) const fn is_open(&self) -> bool {
        !matches!(self.step, Step::Dial)
    }

    pub(super) fn poll_action(&mut self, now: Instant, settings: &Settings) -> Option<Action> {
        match std::mem::replace(&mut self.step, Step::Dial) {
            Step::HangUp => Some(Action::Close),
            Step::Dial => {
                self.step = Step::Dialing;
                self.began.get_or_insert(now);
                self.deadline = Some(now + settings.timeout.max(limits::CHECK_STEP_MIN));
                Some(match &settings.kind {
                    Kind::Exec(program) => Action::Run(program.clone()),
                    Kind::Tcp | Kind::Http { .. } => Action::Connect {
                        target: settings.target,
                    },
                })
            }
            Step::Ask(reader) => {
                self.step = Step::Listen(reader);
                let (url, http11) = self.asked(settings)?;
                let bytes = http::get(&url.path, &url.host, http11);
                Some(Action::Send { bytes })
            }
            waiting @ (Step::Dialing | Step::Listen(_)) => {
                self.step = waiting;
                None
            }
        }
    }

    /// Whether [`Self::poll_action`] has something.
    pub(super) const fn has_action(&self) -> bool {
        matches!(self.step, Step::Dial | Step::Ask(_) | Step::HangUp)
    }

    pub(super) fn handle_io(
        &mut self,
        now: Instant,
        settings: &Settings,
        io: Io<'_>,
    ) -> Option<Verdict> {
        if matches!(self.step, Step::Dial | Step::HangUp) {
            return None;
        }
        if let Some(deadline) = self.deadline.filter(|deadline| now >= *deadline) {
            // It was heard before its timer was judged: the loop came late, so the lateness is not the server's.
            self.grace(now, now.since(deadline).max(limits::CHECK_GRACE), settings);
        }
        match (io, &mut self.step) {
            (Io::Connected, Step::Dialing) => match self.asked(settings) {
                Some((url, _)) => {
                    self.step = Step::Ask(http::Reader::new(url.digest.is_some()));
                    None
                }
                None => Some(Ok(None)),
            },
            (Io::Received(bytes), Step::Ask(reader) | Step::Listen(reader)) => {
                match reader.read(bytes) {
                    Ok(None) => None,
                    Ok(Some(reply)) => self.judge(settings, reply, Step::HangUp),
                    Err(error) => Some(Err(Failure::Http(error))),
                }
            }
            (Io::Closed, Step::Ask(reader) | Step::Listen(reader)) => {
                let reply = reader.finish();
                self.step = Step::Dial;
                match reply {
                    Ok(reply) => self.judge(settings, reply, Step::Dial),
                    Err(error) => Some(Err(Failure::Http(error))),
                }
            }
            (Io::Closed, _) => {
                self.step = Step::Dial;
                Some(Err(Failure::Http(http::Error::NoHead)))
            }
            (Io::Failed(errno), _) => {
                self.step = Step::Dial;
                Some(Err(failed(errno)))
            }
            (Io::Exited(exit), _) => {
                self.step = Step::Dial;
                Some(ended(exit, &settings.kind))
            }
            (Io::Connected | Io::Received(_), _) => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, settings: &Settings) -> Option<Verdict> {
        let deadline = self.deadline.filter(|deadline| now >= *deadline)?;
        let late = now.since(deadline);
        if late >= limits::CHECK_GRACE && self.grace(now, late, settings) {
            return None;
        }
        Some(Err(match &self.step {
            Step::Ask(reader) | Step::Listen(reader) => Failure::ReplyTimeout(reader.received()),
            _ if matches!(settings.kind, Kind::Exec(_)) => Failure::RunTimeout,
            Step::Dial | Step::Dialing | Step::HangUp => Failure::ConnectTimeout,
        }))
    }

    /// Gives the time that the loop slept through, once for each URL and at most the whole timeout again.
    fn grace(&mut self, now: Instant, time: Duration, settings: &Settings) -> bool {
        if self.graced {
            return false;
        }
        self.graced = true;
        self.deadline = Some(now + time.min(settings.timeout).max(limits::CHECK_STEP_MIN));
        true
    }

    /// Judges the reply to one URL; goes on to the next one if there is one.
    fn judge(&mut self, settings: &Settings, reply: http::Reply, next: Step) -> Option<Verdict> {
        let (url, _) = self.asked(settings)?;
        if !url.status.iter().any(|range| range.contains(&reply.status)) {
            return Some(Err(Failure::Status(reply.status)));
        }
        if let (Some(want), Some(have)) = (url.digest, reply.digest)
            && want != have
        {
            return Some(Err(Failure::Digest(have)));
        }
        self.url += 1;
        if self.asked(settings).is_none() {
            return Some(Ok(None));
        }
        self.step = next;
        self.deadline = None;
        self.graced = false;
        None
    }

    /// The URL that is being asked; none for TCP.
    fn asked<'a>(&self, settings: &'a Settings) -> Option<(&'a Url, bool)> {
        match &settings.kind {
            Kind::Tcp | Kind::Exec(_) => None,
            Kind::Http { urls, http11 } => Some((urls.get(self.url)?, *http11)),
        }
    }
}

/// Tells our own trouble from the server's by errno (asm-generic/errno.h).
const fn failed(errno: i32) -> Failure {
    match errno {
        // ENOMEM, ENFILE, EMFILE, EADDRNOTAVAIL, ENOBUFS
        12 | 23 | 24 | 99 | 105 => Failure::Local(errno),
        _ => Failure::Network(errno),
    }
}

/// What the end of a program means.
fn ended(exit: Exit, kind: &Kind) -> Verdict {
    let dynamic = matches!(kind, Kind::Exec(program) if program.dynamic);
    match exit {
        Exit::Code(0) => Ok(None),
        Exit::Code(code @ 2..) if dynamic => Ok(Some(i64::from(code) - 2)),
        Exit::Code(code) => Err(Failure::Exit(code)),
        Exit::Signal(signal) => Err(Failure::Killed(signal)),
    }
}
