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
use director_core::net::Name;
use director_core::status::Status;
use mio::Waker;

use crate::ctl::framed;
use crate::files::{Files, Loaded};
use crate::proto::{CHECKED_LINES_MAX, File, Reply, Tagged};
use crate::{process, track_files};

/// Why files are read, or written; or what else takes long.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Errand {
    /// To take them into force.
    Reload,
    /// To say what is wrong with them.
    Check,
    /// To say what taking them into force would change.
    Plan,
    /// To put this text in the place of a file, if it is good.
    Put(File, String),
    /// To write this number to the file of a `track_file`: its name and its path.
    Track(Name, String, i64),
    /// To put a long status into its frame.
    Tell(Box<Status>),
}

/// Who wants to know: a client and the tag of its request; none for a signal.
pub(crate) type Asker = Option<(u32, u32)>;

/// A reading that is done.
pub(crate) struct Done {
    pub(crate) asker: Asker,
    /// What is to be taken into force, when the files are good.
    pub(crate) reload: Option<Loaded>,
    /// What the one is told who asked, in its frame.
    pub(crate) frame: Vec<u8>,
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
                let reads = !matches!(job.errand, Errand::Track(..) | Errand::Tell(_));
                let done = job.run();
                if reads {
                    process::shrink();
                }
                // The loop has ended when nobody receives.
                if finished.send(done).is_err() || waker.wake().is_err() {
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
        let checked = |loaded: &Loaded| Reply::Checked(loaded.checked());
        let mut reload = None;
        let reply = match self.errand {
            Errand::Reload => {
                let mut loaded = self.files.load();
                let refused = loaded.is_refused();
                if let Some(config) = &mut loaded.parsed.config {
                    config.share(&self.running);
                    if !refused {
                        track_files::prepare(self.files.folder(), &config.watches, false);
                    }
                }
                checked(reload.insert(loaded))
            }
            Errand::Check => checked(&self.files.load()),
            Errand::Plan => {
                let loaded = self.files.load();
                match &loaded.parsed.config {
                    Some(new) if !loaded.is_refused() => {
                        let changes = changes(&self.running, new);
                        Reply::Text(lines(&changes, CHECKED_LINES_MAX).join("\n"))
                    }
                    _ => checked(&loaded),
                }
            }
            Errand::Put(file, text) => {
                let loaded = self.files.check(file, &text);
                let good = !loaded.is_refused();
                match good.then(|| self.files.replace(file, &text)) {
                    Some(Err(error)) => Reply::Error(format!("{file}: {error}")),
                    _ => checked(&loaded),
                }
            }
            Errand::Track(name, path, number) => {
                match track_files::write(self.files.folder(), &path, number) {
                    Ok(()) => Reply::Done(format!("{name} is at {number}")),
                    Err(error) => Reply::Error(format!("{path}: {error}")),
                }
            }
            Errand::Tell(status) => Reply::Status(status),
        };
        let frame = |(_, tag)| framed(&Tagged { tag, body: reply });
        Done {
            asker: self.asker,
            reload,
            frame: self.asker.map(frame).unwrap_or_default(),
        }
    }
}
