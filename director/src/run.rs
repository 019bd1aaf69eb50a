//! The loop: what is ready goes into the core, what the core wants is done, and nothing waits.
//!
//! Time is measured in turns. Each has eight steps ([`Shell::turn`]), and one moment, `now`, that holds for all of
//! it: it is taken after the poll and before the adverts are read, so that no timer is judged by a later moment than
//! that up to which every advert has been heard. A process that was stopped for seconds therefore hears first what
//! its peer said meanwhile, and does not mistake its own stall for the peer's death.
//!
//! mio's timeout has milliseconds and is rounded up, so a timer fires up to 1 ms late. That is a tenth of the
//! shortest advert interval (10 ms), the skew of neighbouring priorities is 4 ms, and a timerfd would gain nothing
//! that the scheduler does not take again.

use core::fmt;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::ops::Bound;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use director_core::config::Config;
use director_core::director::{Command, Director, Input, Reason, Telling};
use director_core::event::Level;
use director_core::time::{Duration, Instant, earliest};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Waker};
use signal_hook_mio::v1_0::Signals;

use crate::answer::Listener;
use crate::ctl::{Ctl, Received};
use crate::effects::Batch;
use crate::exec::Programs;
use crate::fact::Facts;
use crate::files::{Files, Loaded};
use crate::kernel::Kernel;
use crate::kernel::monitor::Monitor;
use crate::monitoring::Monitoring;
use crate::notices::Notices;
use crate::pace::Pace;
use crate::process::{self, Process, Work};
use crate::reading::{Errand, Readings};
use crate::recovery::Recoveries;
use crate::saved::SavedFile;
use crate::signal::{self, Wish};
use crate::sock::announce::Announcer;
use crate::sock::probe::Probes;
use crate::sock::vrrp::{Place, VrrpSockets};
use crate::tls::Sessions;
use crate::token::Key;
use crate::{clock, limits, track_files};

/// How a director is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// keepalived.conf.
    pub keepalived: PathBuf,
    /// router.conf; it may be missing.
    pub router: PathBuf,
    /// Where the control socket is made.
    pub socket: PathBuf,
    /// A binary that has the role [`crate::exec::launch::ROLE`]: this one, for all but tests.
    pub launcher: PathBuf,
}

/// Why a director could not start, or go on.
#[derive(Debug)]
pub struct Error {
    what: &'static str,
    error: io::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}

impl std::error::Error for Error {}

/// Names what failed.
fn on<T>(what: &'static str, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|error| Error { what, error })
}

/// Runs a director until it is told to stop and has let go of everything.
///
/// # Errors
/// When the kernel lacks what nothing can replace: epoll, rtnetlink, packet sockets, the control socket. A missing or
/// broken configuration is none: the director then serves nothing, and says so.
pub fn run(options: &Options) -> Result<(), Error> {
    process::begin();
    // Before the loop becomes urgent: a thread is as urgent as the one that starts it.
    let readings = on("threads", Readings::start())?;
    process::prepare();
    let mut shell = Shell::open(options, readings)?;
    shell.drain();
    process::shrink();
    while shell.pace.owes || !shell.core.stopped() {
        shell.turn()?;
    }
    // What is told of the end is told before it.
    while shell.core.has_events() {
        shell.log_events();
    }
    let until = shell.now + limits::NOTICES_STOP_WITHIN;
    shell.notices.end_by(until);
    while shell.notices.is_busy() && shell.now < until {
        shell.turn()?;
    }
    log::info!("stopped: {}", shell.process.figures());
    Ok(())
}

/// The core with all that it needs of the world.
pub(crate) struct Shell {
    pub(crate) core: Director,
    /// The moment of this turn.
    pub(crate) now: Instant,
    wall: clock::WallClock,
    pub(crate) pace: Pace,
    pub(crate) poll: Poll,
    events: Events,
    pub(crate) kernel: Kernel,
    monitor: Monitor,
    pub(crate) vrrp: VrrpSockets,
    pub(crate) announcer: Announcer,
    pub(crate) batch: Batch,
    pub(crate) probes: Probes,
    pub(crate) programs: Programs,
    pub(crate) monitoring: Monitoring,
    pub(crate) facts: Facts,
    pub(crate) notices: Notices,
    pub(crate) tls: Sessions,
    pub(crate) recoveries: Recoveries,
    signals: Signals,
    pub(crate) ctl: Ctl,
    pub(crate) files: Files,
    pub(crate) readings: Readings,
    /// Statuses that are being made, the first one first: one at most for each client and each reader of the metrics.
    pub(crate) tellings: VecDeque<(Listener, Telling)>,
    /// What became of the files when they were last read.
    pub(crate) loaded: Loaded,
    pub(crate) process: Process,
    /// What outlives this director.
    pub(crate) saved: SavedFile,
    /// No secret is looked at before.
    pub(crate) secret_at: Instant,
    /// Sockets that may hold adverts. A list that keeps its memory: nothing on the way of an advert
    /// allocates.
    pub(crate) adverts: Vec<Place>,
    /// When adverts were read last.
    pub(crate) heard_at: Instant,
    /// Everything else that may be read; edge-triggered readiness must not be forgotten before it is used up.
    pub(crate) ready: BTreeSet<Key>,
    /// The one that was served last: the next turn begins behind it, so that none starves.
    served: Key,
    pub(crate) buffer: Vec<u8>,
}

impl Shell {
    fn open(
        options: &Options,
        (readings, wakers): (Readings, SyncSender<Arc<Waker>>),
    ) -> Result<Self, Error> {
        let poll = on("epoll", Poll::new())?;
        let mut signals = on("signals", signal::catch())?;
        let mut monitor = on("rtnetlink", Monitor::open())?;
        let registry = poll.registry();
        // One for all threads: a poll has one waker at most.
        let waker = Arc::new(on("epoll", Waker::new(registry, Key::Worker.token()))?);
        let _ = wakers.send(Arc::clone(&waker)); // the thread waits for it
        register(registry, &mut signals, monitor.fd())?;
        let ctl = on("control socket", Ctl::open(&options.socket, registry))?;
        let files = Files::of(&options.keepalived, &options.router);
        let mut loaded = files.load();
        loaded.log();
        let good = loaded.take_config();
        let refused = good.is_none();
        if let Some(config) = &good {
            track_files::prepare(files.folder(), &config.watches, true);
        }
        let config = good.unwrap_or_else(|| Config {
            node: loaded.parsed.node.clone(),
            ..Config::default()
        });
        let folder = files.folder().to_path_buf();
        let tls = Sessions::new(folder.clone(), Arc::clone(&waker));
        let recoveries = Recoveries::new(Arc::clone(&waker));
        let launcher = options.launcher.clone();
        let noticing = Programs::new(launcher.clone(), folder.clone(), Arc::clone(&waker));
        let programs = Programs::new(launcher, folder, waker);
        process::name_node(config.node.hostname.as_deref());
        let now = clock::now();
        let mut shell = Self {
            core: Director::new(config, now, process::seed()),
            now,
            wall: clock::WallClock::default(),
            pace: Pace::new(now),
            events: Events::with_capacity(limits::EVENTS_PER_POLL),
            kernel: on("rtnetlink", Kernel::open())?,
            monitor,
            vrrp: VrrpSockets::default(),
            announcer: on("packet socket", Announcer::open())?,
            batch: Batch::default(),
            probes: Probes::default(),
            programs,
            monitoring: Monitoring::new(now),
            facts: Facts::default(),
            notices: Notices::new(noticing),
            tls,
            recoveries,
            signals,
            ctl,
            files,
            readings,
            tellings: VecDeque::new(),
            loaded,
            process: Process::new(),
            saved: SavedFile::beside(&options.socket),
            secret_at: now,
            adverts: Vec::new(),
            heard_at: Instant::ZERO,
            ready: BTreeSet::new(),
            served: Key::Monitor,
            buffer: vec![0; limits::READ_BYTES],
            poll,
        };
        shell.begin(refused);
        Ok(shell)
    }

    /// Takes up the first configuration, or tells that there is none.
    fn begin(&mut self, refused: bool) {
        self.configure_monitoring();
        self.look_at_the_wall();
        let saved = self.saved.load();
        self.feed(Input::Restore(saved));
        if refused {
            let text = "the configuration is refused: no virtual router and no service until there is a good one";
            self.feed(Input::Note(Level::Error, text.to_string()));
        }
    }

    /// One turn of the loop.
    fn turn(&mut self) -> Result<(), Error> {
        let timeout = self.timeout(); // 1: until when
        self.wait(timeout)?; // 2: sleep
        self.gather_adverts(timeout);
        let started = clock::now(); // 3: the moment of this turn
        self.now = started;
        self.pace.began = started;
        // Who waits for nothing and comes late was held up.
        if timeout != Some(Duration::ZERO) {
            self.process.note_sleep(started.since(self.pace.ended));
        }
        self.look_at_the_wall();
        self.read_adverts(); // 4: adverts before timers
        if self.pace.owes {
            self.drain();
        }
        if let Some(late) = self.due() {
            self.process.note_lateness(late);
            self.feed(Input::Timeout); // 5: timers
        }
        self.read_kernel(); // 6: everything else that is ready, in slices
        self.go_on_telling();
        self.serve_ready()?;
        self.log_events(); // 7: each input above was followed by all that the core wanted; now the log
        self.ctl.drop_stalled(self.now);
        self.monitoring
            .handle_timeout(self.poll.registry(), self.now);
        self.programs.handle_timeout(self.now);
        self.end_notices();
        self.pace.ended = clock::now();
        self.process.end_turn(started, self.pace.ended); // 8: figures, and the beat for PID 1
        Ok(())
    }

    fn look_at_the_wall(&mut self) {
        if let Some(micros) = self.wall.moved(self.now) {
            self.feed(Input::WallClock(micros));
        }
    }

    /// How long to sleep; not at all while there is work left.
    fn timeout(&self) -> Option<Duration> {
        let waits = self.pace.owes || !self.adverts.is_empty() || !self.ready.is_empty();
        if waits || !self.tellings.is_empty() || self.core.has_events() {
            return Some(Duration::ZERO);
        }
        let core = self.core.next_timeout().map(|(at, _)| at);
        let others = [
            self.kernel.next_read(),
            self.ctl.next_timeout(),
            self.monitoring.next_timeout(),
            self.process.next_beat(),
            self.programs.next_timeout(),
            self.notices.next_timeout(),
        ];
        let next = others.into_iter().fold(core, earliest)?;
        Some(next.since(self.pace.ended))
    }

    /// Whether a timer of the core has come, by the moment of this turn, and how long ago if it is a virtual router's.
    pub(crate) fn due(&self) -> Option<Duration> {
        let next = self.core.next_timeout();
        let (at, reason) = next.filter(|(at, _)| *at <= self.now)?;
        Some(match reason {
            Reason::Vrrp => self.now.since(at),
            Reason::Kernel | Reason::Check | Reason::Drain | Reason::Stop => Duration::ZERO,
        })
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => on("epoll", result)?,
        }
        for event in &self.events {
            let Some(key) = Key::of(event.token()) else {
                continue;
            };
            if let Key::Vrrp(place) = key {
                if !self.adverts.contains(&place) {
                    self.adverts.push(place);
                }
                continue;
            }
            let writable = event.is_writable() && !event.is_error() && !event.is_write_closed();
            if let Key::Probe(id) = key
                && writable
            {
                self.probes.note_writable(id);
            }
            self.ready.insert(key);
        }
        Ok(())
    }

    /// Goes on with a reading of the kernel's tables.
    pub(crate) fn read_kernel(&mut self) {
        if self.kernel.next_read().is_some_and(|at| at <= self.now) {
            self.process.note(Work::Reading);
        }
        // A takeover that falls into a reading must not wait for as many turns as that has dumps.
        if self.core.reconciler().network_awaits_reading() {
            self.kernel.outdate_network();
        }
        let known = &self.core.reconciler().actual().table;
        if let Some(snapshot) = self.kernel.read(self.now, known) {
            self.now = clock::now();
            self.feed(Input::Actual(snapshot));
        }
    }

    /// Serves each source that is ready once, or as many as a turn has time for.
    fn serve_ready(&mut self) -> Result<(), Error> {
        let mut again = BTreeSet::new();
        let mut served = 0;
        while let Some(key) = self.next_ready() {
            if self.serve(key)? {
                again.insert(key);
            }
            served += 1;
            let looks = served % limits::SERVED_PER_LOOK == 0;
            if looks && self.pace.is_late() {
                break;
            }
        }
        self.ready.append(&mut again);
        Ok(())
    }

    /// The next one behind the one that was served last.
    fn next_ready(&mut self) -> Option<Key> {
        let behind = (Bound::Excluded(self.served), Bound::Unbounded);
        let key = *self
            .ready
            .range(behind)
            .next()
            .or_else(|| self.ready.first())?;
        self.ready.remove(&key);
        self.served = key;
        Some(key)
    }

    /// Serves one source; true when there may be more.
    fn serve(&mut self, key: Key) -> Result<bool, Error> {
        match key {
            Key::Vrrp(place) => return Ok(self.read_adverts_of(place)),
            Key::Probe(id) => return Ok(self.serve_probe(id)),
            Key::Program(id) => self.serve_program(id),
            Key::Notice(id) => self.serve_notice(id),
            Key::Worker => {
                self.collect_programs();
                self.collect_notices();
                self.collect_tls();
                for recovery in self.recoveries.collect() {
                    self.feed(Input::Recovered(recovery));
                }
                self.end_reading();
            }
            Key::Client(number) => return Ok(self.serve_client(number)),
            Key::Scrapes | Key::Scrape(_) | Key::Syslog(_) => {
                self.process.note(Work::Answers);
                return Ok(self.serve_monitoring(key));
            }
            Key::Listener => self.ctl.accept(self.poll.registry(), self.now),
            Key::Monitor => self.serve_monitor()?,
            Key::Signals => {
                for wish in signal::wishes(&mut self.signals) {
                    match wish {
                        Wish::Reload => self.begin_reading(None, Errand::Reload),
                        Wish::Stop => self.feed(Input::Command(Command::Stop)),
                    }
                }
            }
        }
        Ok(false)
    }

    fn serve_client(&mut self, number: u32) -> bool {
        self.process.note(Work::Answers);
        // Answers are given in order: it is ready again when it has its answer.
        let is_told =
            self.is_told(|to| matches!(to, Listener::Client(client, _) if *client == number));
        if is_told || self.readings.owes(number) {
            return false;
        }
        let mut buffer = core::mem::take(&mut self.buffer);
        let received = self.ctl.receive(number, self.now, &mut buffer);
        self.buffer = buffer;
        match received {
            Received::Nothing => return false,
            Received::Request(request) => self.answer(number, request),
            Received::Refused => {}
        }
        true
    }

    fn serve_monitor(&mut self) -> Result<(), Error> {
        let before = self.monitor.fd();
        let events = on("rtnetlink", self.monitor.events())?;
        if self.monitor.fd() != before {
            watch_monitor(self.poll.registry(), self.monitor.fd())?;
        }
        if !events.is_empty() {
            self.kernel.outdate_network();
        }
        for event in events {
            if let director_core::kernel::KernelEvent::LinkGone(ifindex) = event {
                self.vrrp.forget(self.poll.registry(), ifindex);
                self.announcer.forget(ifindex);
            }
            // A takeover of many virtual routers brings one for each address: what they want is done once.
            self.take(Input::Kernel(event));
        }
        self.drain();
        Ok(())
    }
}

/// Has the poll watch what does not change with the configuration.
fn register(registry: &Registry, signals: &mut Signals, monitor: RawFd) -> Result<(), Error> {
    on(
        "signals",
        registry.register(signals, Key::Signals.token(), Interest::READABLE),
    )?;
    watch_monitor(registry, monitor)
}

fn watch_monitor(registry: &Registry, monitor: RawFd) -> Result<(), Error> {
    let token = Key::Monitor.token();
    let watched = registry.register(&mut SourceFd(&monitor), token, Interest::READABLE);
    on("rtnetlink", watched)
}
