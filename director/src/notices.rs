//! `notify_..`: programs of the operator's that are run when something changes, by the machinery of [`exec`].
//!
//! Of one virtual router, group or real server they run one after the other, in the order of what happened; of
//! different ones at the same time. What waits is bounded: a change for which there is no room is lost, counted and
//! logged.

use std::collections::{BTreeMap, VecDeque};

use director_core::check::{Exit, Failure, Id, Program};
use director_core::config::{Config, Subject, Turn};
use director_core::director::Input;
use director_core::event::Level;
use director_core::time::{Instant, earliest};
use mio::Registry;

use crate::exec::Programs;
use crate::fact::Fact;
use crate::limits;
use crate::run::Shell;
use crate::token::Key;

/// The programs, those that run, and those that wait.
#[derive(Debug)]
pub(crate) struct Notices {
    programs: Programs,
    configured: BTreeMap<Subject, Vec<(Turn, Program)>>,
    /// Behind the one that runs; a subject without one has no entry.
    waiting: BTreeMap<Subject, VecDeque<Job>>,
    running: BTreeMap<Id, (Subject, Job, Instant)>,
    /// Of the last program.
    last: u32,
    /// When all of them end, at the latest.
    end: Option<Instant>,
    /// Programs that were not run, for want of room.
    pub(crate) lost: u64,
}

/// A program for a change.
#[derive(Debug)]
struct Job {
    program: Program,
    /// What happened, as the FIFOs tell it.
    what: String,
}

impl Notices {
    pub(crate) fn new(programs: Programs) -> Self {
        Self {
            programs,
            configured: BTreeMap::new(),
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            last: 0,
            end: None,
            lost: 0,
        }
    }

    /// Takes up a configuration. Those of what is gone stay for once: that it is gone is still to be told.
    pub(crate) fn configure(&mut self, config: &Config) {
        let mut wanted: BTreeMap<Subject, Vec<_>> = BTreeMap::new();
        for notice in &config.notices {
            let of = wanted.entry(notice.of.clone()).or_default();
            of.push((notice.on, notice.program.clone()));
        }
        for (subject, mut programs) in core::mem::take(&mut self.configured) {
            programs.retain(|(on, _)| *on == Turn::Deleted || *on == Turn::Any);
            let is_router = matches!(subject, Subject::Router(_));
            let is_gone = !config
                .routers
                .iter()
                .any(|router| subject == Subject::Router(router.name.clone()));
            if is_router && is_gone && !programs.is_empty() {
                wanted.entry(subject).or_insert(programs);
            }
        }
        self.configured = wanted;
    }

    /// Lets the programs for a change wait for their turn.
    pub(crate) fn tell(&mut self, now: Instant, fact: &Fact) {
        let Some((subject, turn)) = fact.subject() else {
            return;
        };
        let Some(programs) = self.configured.get(&subject) else {
            return;
        };
        for (on, program) in programs {
            let mut program = program.clone();
            match on {
                Turn::Any => program.arguments.extend(fact.words()),
                on if *on == turn => {}
                _ => continue,
            }
            let waiting: usize = self.waiting.values().map(VecDeque::len).sum();
            if waiting >= limits::NOTICES_MAX {
                self.lost += 1;
                continue;
            }
            let what = fact.to_string();
            let queue = self.waiting.entry(subject.clone()).or_default();
            queue.push_back(Job { program, what });
        }
        if turn == Turn::Deleted {
            self.configured.remove(&subject);
        }
        self.start(now);
    }

    /// Starts the first of each queue that has none running.
    fn start(&mut self, now: Instant) {
        let busy = |running: &BTreeMap<Id, (Subject, Job, Instant)>, subject: &Subject| {
            running.values().any(|(of, _, _)| of == subject)
        };
        let subjects: Vec<Subject> = self.waiting.keys().cloned().collect();
        for subject in subjects {
            if self.running.len() >= limits::NOTICES_AT_ONCE || busy(&self.running, &subject) {
                continue;
            }
            let Some(queue) = self.waiting.get_mut(&subject) else {
                continue;
            };
            let job = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&subject);
            }
            let Some(job) = job else { continue };
            self.last = self.last.wrapping_add(1);
            let id = Id {
                index: 0,
                generation: self.last,
            };
            match self.programs.run(id, &job.program) {
                Ok(()) => {
                    let until = now + limits::NOTICE_WITHIN;
                    let until = self.end.map_or(until, |end| end.min(until));
                    self.running.insert(id, (subject, job, until));
                }
                Err(_) => self.lost += 1,
            }
        }
    }

    /// Programs have been started, or could not be. Gives what is to be logged.
    pub(crate) fn collect(&mut self, now: Instant, registry: &Registry) -> Vec<String> {
        let token = |id| Key::Notice(id).token();
        let mut lines = Vec::new();
        for (id, came) in self.programs.collect(now, registry, token) {
            if let Err(errno) = came {
                lines.extend(self.ended(now, id, Some(&Failure::Local(errno))));
            }
        }
        lines
    }

    /// A program may have ended. Gives what is to be logged.
    pub(crate) fn progress(&mut self, now: Instant, id: Id) -> Option<String> {
        let failure = match self.programs.progress(id)?.0 {
            Exit::Code(0) => None,
            Exit::Code(code) => Some(Failure::Exit(code)),
            Exit::Signal(signal) => Some(Failure::Killed(signal)),
        };
        self.ended(now, id, failure.as_ref())
    }

    fn ended(&mut self, now: Instant, id: Id, failure: Option<&Failure>) -> Option<String> {
        let (_, job, _) = self.running.remove(&id)?;
        self.start(now);
        failure.map(|failure| format!("{}: {}: {failure}", job.program.path, job.what))
    }

    /// When [`Notices::handle_timeout`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let times = self.running.values().map(|(_, _, until)| Some(*until));
        times.fold(self.programs.next_timeout(), earliest)
    }

    /// Ends those whose time is over. Gives what is to be logged.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<String> {
        self.programs.handle_timeout(now);
        let late = self
            .running
            .iter()
            .filter(|(_, (_, _, until))| *until <= now);
        let late: Vec<Id> = late.map(|(id, _)| *id).collect();
        let end = |id| {
            self.programs.close(now, id);
            self.ended(now, id, Some(&Failure::RunTimeout))
        };
        late.into_iter().filter_map(end).collect()
    }

    /// No program may take longer than until then.
    pub(crate) fn end_by(&mut self, end: Instant) {
        self.end = Some(end);
        for (_, _, until) in self.running.values_mut() {
            *until = end.min(*until);
        }
    }

    /// Whether programs run or wait.
    pub(crate) fn is_busy(&self) -> bool {
        !self.running.is_empty() || !self.waiting.is_empty()
    }
}

impl Shell {
    /// Programs for notifications have been started, or could not be.
    pub(crate) fn collect_notices(&mut self) {
        let lines = self.notices.collect(self.now, self.poll.registry());
        self.warn_of(lines);
    }

    /// A program for notifications may have ended.
    pub(crate) fn serve_notice(&mut self, id: Id) {
        let line = self.notices.progress(self.now, id);
        self.warn_of(line);
    }

    /// Ends the programs for notifications whose time is over.
    pub(crate) fn end_notices(&mut self) {
        let lines = self.notices.handle_timeout(self.now);
        self.warn_of(lines);
    }

    fn warn_of(&mut self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            self.feed(Input::Note(Level::Warning, line));
        }
    }
}
