//! One attempt of a check: connect, talk, hang up, for each URL; or run a program.

use super::talk::{Place, Talk, Turn};
use super::{Action, Ask, Exit, Failure, Io, Kind, TlsError};
use crate::limits;
use crate::time::{Duration, Instant};

/// What came of an attempt; a success may tell a number.
pub(super) type Verdict = Result<Option<i64>, Failure>;

/// One attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    step: Step,
    /// The conversation, from the connection on.
    talk: Option<Talk>,
    place: Place,
    /// The connection stands, and is being secured.
    reached: bool,
    /// When it began; none before the first `Connect` was taken.
    began: Option<Instant>,
    /// When it fails; counts from the `Connect` of the URL.
    deadline: Option<Instant>,
    /// Time that our own loop slept through has been given.
    graced: bool,
}

#[derive(Debug)]
enum Step {
    /// `Connect`, `Run` or `Read` is due.
    Dial,
    /// The connection is being made, or the program runs.
    Dialing,
    /// Connected; `Send` is due.
    Say(Vec<u8>),
    /// The other side is to speak.
    Listen,
    /// This URL is done, its socket is still open: `Close` is due, then the next URL.
    HangUp,
}

impl Attempt {
    /// `token` tells its packets from those of others.
    pub(super) fn new(token: u64) -> Self {
        Self {
            step: Step::Dial,
            talk: None,
            place: Place { url: 0, token },
            reached: false,
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

    pub(super) fn poll_action(&mut self, now: Instant, ask: &Ask) -> Option<Action> {
        match std::mem::replace(&mut self.step, Step::Dial) {
            Step::HangUp => Some(Action::Close),
            Step::Dial => {
                self.step = Step::Dialing;
                self.began.get_or_insert(now);
                self.deadline = Some(now + ask.how.timeout.max(limits::CHECK_STEP_MIN));
                Some(begin(ask))
            }
            Step::Say(bytes) => {
                self.step = Step::Listen;
                Some(Action::Send { bytes })
            }
            waiting @ (Step::Dialing | Step::Listen) => {
                self.step = waiting;
                None
            }
        }
    }

    /// Whether [`Self::poll_action`] has something.
    pub(super) const fn has_action(&self) -> bool {
        matches!(self.step, Step::Dial | Step::Say(_) | Step::HangUp)
    }

    pub(super) fn handle_io(&mut self, now: Instant, ask: &Ask, io: Io<'_>) -> Option<Verdict> {
        if matches!(self.step, Step::Dial | Step::HangUp) {
            return None;
        }
        if let Some(deadline) = self.deadline.filter(|deadline| now >= *deadline) {
            // It was heard before its timer was judged: the loop came late, so the lateness is not the server's.
            self.grace(now, now.since(deadline).max(limits::CHECK_GRACE), ask);
        }
        match io {
            Io::Connected if matches!(self.step, Step::Dialing) => {
                let Some((talk, turn)) = Talk::open(ask, self.place) else {
                    return Some(Ok(None));
                };
                self.talk = Some(talk);
                self.step = Step::Listen;
                self.follow(ask, turn)
            }
            Io::Connected => None,
            Io::Reached => {
                self.reached = true;
                None
            }
            Io::Received(bytes) => {
                let turn = self.talk.as_mut()?.hear(ask, self.place, bytes);
                self.follow(ask, turn)
            }
            Io::Closed => {
                self.step = Step::Dial;
                let verdict = match &mut self.talk {
                    Some(talk) => talk.close(ask, self.place),
                    None => Err(Failure::Http(crate::wire::http::Error::NoHead)),
                };
                self.end(ask, verdict)
            }
            Io::Failed(errno) => {
                self.step = Step::Dial;
                Some(Err(failed(errno)))
            }
            Io::Barred(barrier) => {
                self.step = Step::Dial;
                Some(Err(Failure::Barred(barrier)))
            }
            Io::Insecure(error) => {
                self.step = Step::Dial;
                Some(Err(Failure::Tls(error)))
            }
            Io::Exited(exit) => {
                self.step = Step::Dial;
                Some(ended(exit, &ask.how.kind))
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, ask: &Ask) -> Option<Verdict> {
        let deadline = self.deadline.filter(|deadline| now >= *deadline)?;
        let late = now.since(deadline);
        if late >= limits::CHECK_GRACE && self.grace(now, late, ask) {
            return None;
        }
        Some(match &self.talk {
            Some(talk) => talk.expire(ask),
            None if matches!(ask.how.kind, Kind::Exec(_)) => Err(Failure::RunTimeout),
            None if self.reached => Err(Failure::Tls(TlsError::Late)),
            None => Err(Failure::ConnectTimeout),
        })
    }

    /// Gives the time that the loop slept through, once for each URL and at most the whole timeout again.
    fn grace(&mut self, now: Instant, time: Duration, ask: &Ask) -> bool {
        if self.graced {
            return false;
        }
        self.graced = true;
        self.deadline = Some(now + time.min(ask.how.timeout).max(limits::CHECK_STEP_MIN));
        true
    }

    fn follow(&mut self, ask: &Ask, turn: Turn) -> Option<Verdict> {
        match turn {
            Turn::Wait => None,
            Turn::Say(bytes) => {
                self.step = Step::Say(bytes);
                None
            }
            Turn::End(verdict) => self.end(ask, verdict),
        }
    }

    /// One talk is over: goes on to the next URL if there is one.
    fn end(&mut self, ask: &Ask, verdict: Verdict) -> Option<Verdict> {
        let urls = match &ask.how.kind {
            Kind::Http { urls, .. } => urls.len(),
            _ => 0,
        };
        self.place.url += 1;
        if verdict.is_err() || self.place.url >= urls {
            return Some(verdict);
        }
        if self.is_open() {
            self.step = Step::HangUp;
        }
        self.talk = None;
        self.reached = false;
        self.deadline = None;
        self.graced = false;
        None
    }
}

fn begin(ask: &Ask) -> Action {
    match &ask.how.kind {
        Kind::Exec(program) => Action::Run(program.clone()),
        Kind::File(watch) => Action::Read(watch.path.clone()),
        kind => Action::Connect {
            target: ask.target.into(),
            transport: kind.transport(),
            bind: ask.how.bind.clone(),
            tls: match kind {
                Kind::Http { tls, .. } => tls.clone(),
                _ => None,
            },
        },
    }
}

/// Tells our own trouble from the server's by errno (asm-generic/errno.h).
const fn failed(errno: i32) -> Failure {
    match errno {
        // EPERM, EAGAIN, ENOMEM, EACCES, ENODEV, ENFILE, EMFILE, EADDRINUSE, EADDRNOTAVAIL, ENOBUFS
        1 | 11 | 12 | 13 | 19 | 23 | 24 | 98 | 99 | 105 => Failure::Local(errno),
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
