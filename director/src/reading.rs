//! The configuration files are read and judged beside the loop: a large one takes longer than an advert may be late.
//!
//! One thread does one errand at a time; [`crate::token::Key::Worker`] wakes the loop when it is done. The thread is
//! an ordinary one, however urgent the loop is.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use director_core::change::{changes, lines};
use director_core::config::Config;
use mio::Waker;

use crate::files::{Files, Loaded};
use crate::proto::{CHECKED_LINES_MAX, File};

/// Why files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// To take them into force.
    Reload,
    /// To say what is wrong with them.
    Check,
    /// To say what taking them into force would change.
    Plan,
    /// To put this text in the place of a file, if it is good.
    Put(File, String),
}

/// Who wants to know: a client and the tag of its request; none for a signal.
pub(crate) type Asker = Option<(u32, u32)>;

/// A reading that is done.
pub(crate) struct Done {
    pub(crate) asker: Asker,
    pub(crate) errand: Errand,
    pub(crate) loaded: Loaded,
    /// What would change, when that was asked and the files are good.
    pub(crate) planned: Option<String>,
    /// The text was good, and could not be put in the file's place.
    pub(crate) unwritten: Option<String>,
}

struct Job {
    asker: Asker,
    errand: Errand,
    files: Files,
    /// What it is to share its services with.
    running: Config,
}

/// The readings that are wanted.
pub(crate) struct Readings {
    jobs: SyncSender<Job>,
    done: Receiver<Done>,
    under_way: Option<Asker>,
    /// Each client has at most one, and all signals together have one: no more than there may be clients, and one.
    waiting: VecDeque<(Asker, Errand)>,
}

impl Readings {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can't be another thread.
    pub(crate) fn start() -> io::Result<(Self, SyncSender<Arc<Waker>>)> {
        let (jobs, received) = sync_channel::<Job>(1);
        let (finished, done) = sync_channel(1);
        let (wakers, waker) = sync_channel::<Arc<Waker>>(1);
        let work = move || {
            let Ok(waker) = waker.recv() else {
                return;
            };
            for job in received {
                // The loop has ended when nobody receives.
                if finished.send(job.run()).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("reading".to_owned())
            .spawn(work)?;
        let readings = Self {
            jobs,
            done,
            under_way: None,
            waiting: VecDeque::new(),
        };
        Ok((readings, wakers))
    }

    /// Wants a reading. A signal that comes while another one waits is the same.
    pub(crate) fn want(&mut self, asker: Asker, errand: Errand) {
        if asker.is_some() || !self.waiting.contains(&(asker, errand.clone())) {
            self.waiting.push_back((asker, errand));
        }
    }

    /// Whether a client waits for one: its next request has to wait too.
    pub(crate) fn owes(&self, client: u32) -> bool {
        let is_its = |asker: &Asker| asker.is_some_and(|(number, _)| number == client);
        self.under_way.as_ref().is_some_and(is_its)
            || self.waiting.iter().any(|(asker, _)| is_its(asker))
    }

    /// Begins the next reading, if none is under way.
    pub(crate) fn begin(&mut self, files: &Files, running: &Config) {
        if self.under_way.is_some() {
            return;
        }
        let Some((asker, errand)) = self.waiting.pop_front() else {
            return;
        };
        let job = Job {
            asker,
            errand,
            files: files.clone(),
            running: running.clone(),
        };
        match self.jobs.try_send(job) {
            Ok(()) => self.under_way = Some(asker),
            Err(error) => log::error!("the configuration can't be read: {error}"),
        }
    }

    /// The reading that is done.
    pub(crate) fn take(&mut self) -> Option<Done> {
        let done = self.done.try_recv().ok()?;
        self.under_way = None;
        Some(done)
    }
}

impl Job {
    fn run(self) -> Done {
        let mut loaded = match &self.errand {
            Errand::Reload | Errand::Check | Errand::Plan => self.files.load(),
            Errand::Put(file, text) => self.files.check(*file, text),
        };
        let (mut unwritten, mut planned) = (None, None);
        match &self.errand {
            Errand::Reload => {
                if let Some(config) = &mut loaded.parsed.config {
                    config.share(&self.running);
                }
            }
            Errand::Check => {}
            Errand::Plan if !loaded.is_refused() => {
                let new = loaded.parsed.config.as_ref();
                let changes = new.map(|new| changes(&self.running, new));
                planned = changes.map(|changes| lines(&changes, CHECKED_LINES_MAX).join("\n"));
            }
            Errand::Plan => {}
            Errand::Put(file, text) if !loaded.is_refused() => {
                let written = self.files.replace(*file, text);
                unwritten = written.err().map(|error| format!("{file}: {error}"));
            }
            Errand::Put(..) => {}
        }
        Done {
            asker: self.asker,
            errand: self.errand,
            loaded,
            planned,
            unwritten,
        }
    }
}
