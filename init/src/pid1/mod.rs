//! PID 1: sets the machine up, starts its children, keeps them running, takes the machine down.
//!
//! It never parses what comes from the network, never waits for anybody (once the boot is over), never returns.
//! `boot.rs` is the boot from top to bottom; here is the loop after it. Decisions are made by the machine in
//! `supervise.rs`.

mod boot;
mod button;
mod config;
pub mod limits;
mod mounts;
pub mod service;
pub mod stages;
mod stop;
pub mod supervise;
mod sysctl;
mod watchdog;

use std::{
    io::{self, Read},
    time::{Duration, Instant},
};

use mio::{
    Events, Interest, Poll, Token,
    unix::{SourceFd, pipe},
};
use nix::{
    errno::Errno,
    libc,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use signal_hook_mio::v1_0::Signals;

use self::{
    button::Button,
    service::Service,
    supervise::{Action, Ask, Next, Stop, Supervisor, UnitId},
    watchdog::Watchdog,
};
use crate::{cmdline::CommandLine, devices};

const SIGNALS: Token = Token(0);
const HEART: Token = Token(1);
const DEVICES: Token = Token(2);
/// Button number n has this token plus n.
const BUTTONS: usize = 16;

/// Runs the machine until it goes down.
pub fn run() -> ! {
    if std::process::id() != 1 {
        eprintln!("keelson: this role is for process 1 alone");
        std::process::exit(2);
    }
    let started = Instant::now();
    stop::reboot_on_panic();
    let down = boot::boot(started).and_then(|mut node| Ok((node.serve()?, node)));
    match down {
        Ok((how, mut node)) => {
            node.watchdog.release(how);
            stop::finish(how)
        }
        Err(cause) => stop::fail(&cause.to_string()),
    }
}

/// PID 1 could not do what it cannot do without.
#[derive(Debug)]
struct Fatal {
    step: &'static str,
    cause: io::Error,
}

/// All that PID 1 holds.
struct Node {
    poll: Poll,
    signals: Signals,
    asked: CommandLine,
    supervisor: Supervisor,
    /// By [`UnitId`], in the order in which they were added.
    services: Vec<(UnitId, Service)>,
    /// The director's signs of life.
    heart: Option<pipe::Receiver>,
    /// What the device loader says.
    devices: Option<pipe::Receiver>,
    /// The loader has said that the drivers for the network are in.
    drivers_ready: bool,
    buttons: Vec<Button>,
    watchdog: Watchdog,
    /// Every child has ended or been given up: nothing is left but to go down.
    finished: Option<Stop>,
}

impl Node {
    fn new(poll: Poll, signals: Signals, asked: CommandLine) -> Self {
        Self {
            poll,
            signals,
            supervisor: Supervisor::new(Instant::now()),
            services: Vec::new(),
            heart: None,
            devices: None,
            drivers_ready: false,
            buttons: Vec::new(),
            watchdog: Watchdog::new(asked.watchdog),
            asked,
            finished: None,
        }
    }

    /// The loop until the machine goes down: waits, hears everybody, then judges the timers, so that a sign of life
    /// that waited out a stall counts.
    fn serve(&mut self) -> Result<Stop, Fatal> {
        let mut events = Events::with_capacity(32);
        loop {
            self.act();
            if let Some(stop) = self.finished {
                return Ok(stop);
            }
            self.hear(&mut events, limits::TURN)?;
        }
    }

    /// Waits for events, `longest` at most, and takes them in.
    fn hear(&mut self, events: &mut Events, longest: Duration) -> Result<(), Fatal> {
        let due = self
            .supervisor
            .next_timeout()
            .map(|at| at.saturating_duration_since(Instant::now()));
        match self
            .poll
            .poll(events, Some(due.map_or(longest, |due| due.min(longest))))
        {
            Err(cause) if cause.kind() != io::ErrorKind::Interrupted => {
                return Err(Fatal {
                    step: "event loop",
                    cause,
                });
            }
            _ => {}
        }
        let now = Instant::now();
        for event in events.iter() {
            match event.token() {
                SIGNALS => self.hear_signals(now),
                HEART => self.hear_heart(now),
                DEVICES => self.hear_devices(now),
                Token(button) => self.hear_button(button.saturating_sub(BUTTONS)),
            }
        }
        Ok(())
    }

    /// Does what is to be done now.
    fn act(&mut self) {
        let now = Instant::now();
        while let Some(action) = self.supervisor.poll_action(now) {
            match action {
                Action::Start(unit) => self.start(now, unit),
                Action::Signal(unit, pid, ask) => self.ask(unit, pid, ask),
                Action::Finish(stop) => self.finished = Some(stop),
            }
        }
        let sane = self.supervisor.is_sane(now);
        self.watchdog.turn(now, sane);
    }

    fn add(&mut self, now: Instant, service: Service) {
        match self.supervisor.add(now, service.restart()) {
            Some(unit) => self.services.push((unit, service)),
            None => log::warn!("{service}: too many children"),
        }
    }

    fn start(&mut self, now: Instant, unit: UnitId) {
        let Some(service) = self.service(unit).cloned() else {
            return;
        };
        let started = service.start().and_then(|mut started| {
            if let Some(voice) = &mut started.voice {
                let token = if service == Service::Director {
                    HEART
                } else {
                    DEVICES
                };
                self.poll
                    .registry()
                    .register(voice, token, Interest::READABLE)?;
            }
            Ok(started)
        });
        match started {
            Ok(started) => {
                log::info!("{service}: started as process {}", started.pid);
                match service {
                    Service::Director => self.heart = started.voice,
                    Service::Devices => self.devices = started.voice,
                    Service::Console(_) => {}
                }
                self.supervisor.handle_started(now, unit, started.pid);
            }
            Err(cause) => {
                let next = self.supervisor.handle_start_failed(now, unit);
                report_end(&service, &format!("cannot be started: {cause}"), next);
            }
        }
    }

    fn ask(&self, unit: UnitId, pid: i32, ask: Ask) {
        let Some(service) = self.service(unit) else {
            return;
        };
        let signal = match ask {
            Ask::Terminate => Signal::SIGTERM,
            Ask::Kill => Signal::SIGKILL,
        };
        match ask {
            Ask::Terminate => log::info!("{service}: asked to end"),
            Ask::Kill => log::error!("{service}: killed, for it gave no sign of life in time"),
        }
        if let Err(errno) = kill(Pid::from_raw(pid), signal) {
            log::warn!("{service}: {signal}: {errno}");
        }
    }

    fn service(&self, unit: UnitId) -> Option<&Service> {
        self.services
            .iter()
            .find(|(own, _)| *own == unit)
            .map(|(_, service)| service)
    }

    fn hear_signals(&mut self, now: Instant) {
        let signals: Vec<i32> = self.signals.pending().collect();
        for signal in signals {
            if signal == libc::SIGCHLD {
                self.reap(now);
            } else if let Some(stop) = Stop::asked_by(signal) {
                let name = Signal::try_from(signal).map_or("a signal", Signal::as_str);
                log::info!("{stop:?} asked for by {name}");
                self.supervisor.handle_stop(stop);
            }
        }
    }

    /// Takes leave of every process that has ended: children, and orphans that the kernel gave to PID 1.
    fn reap(&mut self, now: Instant) {
        loop {
            let (pid, how) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, format!("exit code {code}")),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, signal.to_string()),
                Err(Errno::EINTR) => continue,
                // StillAlive: nobody else has ended. ECHILD: nobody is left.
                _ => return,
            };
            let Some(ended) = self.supervisor.handle_exit(now, pid.as_raw()) else {
                log::debug!("process {pid} ended: {how}");
                continue;
            };
            let Some(service) = self.service(ended.unit) else {
                continue;
            };
            let ran = ended.ran.as_millis();
            report_end(
                service,
                &format!("ended ({how}) after {ran} ms"),
                ended.next,
            );
        }
    }

    fn hear_heart(&mut self, now: Instant) {
        if hear_pipe(&mut self.heart, |_| ()) {
            self.supervisor.handle_heartbeat(now);
        }
    }

    fn hear_devices(&mut self, now: Instant) {
        let (mut ready, mut changed) = (false, false);
        hear_pipe(&mut self.devices, |byte| {
            ready |= byte == devices::READY;
            changed |= byte == devices::CHANGED;
        });
        self.drivers_ready |= ready;
        if ready || changed {
            self.adopt_devices(now);
        }
    }

    /// Takes up what may have appeared: a watchdog, power buttons, terminals.
    fn adopt_devices(&mut self, now: Instant) {
        match self.watchdog.open() {
            Some(Ok(line)) => log::info!("watchdog: {line}"),
            Some(Err(cause)) => log::warn!("watchdog: {cause}"),
            None => {}
        }
        for button in Button::find(&self.buttons) {
            use std::os::fd::AsRawFd;
            let token = Token(BUTTONS + self.buttons.len());
            match self.poll.registry().register(
                &mut SourceFd(&button.as_raw_fd()),
                token,
                Interest::READABLE,
            ) {
                Ok(()) => self.buttons.push(button),
                Err(cause) => log::warn!("power button: {cause}"),
            }
        }
        // Consoles come after the director, which adds none of its own.
        if self
            .services
            .iter()
            .any(|(_, service)| *service == Service::Director)
        {
            self.add_consoles(now);
        }
    }

    /// Adds a console for each terminal that has none yet.
    fn add_consoles(&mut self, now: Instant) {
        for terminal in service::terminals() {
            let console = Service::Console(terminal);
            if !self.services.iter().any(|(_, service)| *service == console) {
                self.add(now, console);
            }
        }
    }

    fn hear_button(&mut self, place: usize) {
        match self.buttons.get_mut(place).map(Button::was_pressed) {
            Some(Ok(true)) => {
                log::info!("PowerOff asked for by the power button");
                self.supervisor.handle_stop(Stop::PowerOff);
            }
            // A device that is gone stays in its place, closed for the kernel: places are tokens.
            Some(Err(cause)) => log::info!("power button: {cause}"),
            Some(Ok(false)) | None => {}
        }
    }
}

impl std::fmt::Display for Fatal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.step, self.cause)
    }
}

fn report_end(service: &Service, what: &str, next: Next) {
    match next {
        Next::Again(pause) => log::warn!("{service}: {what}, again in {} ms", pause.as_millis()),
        Next::StaysDown => log::info!("{service}: {what}"),
        // The kernel shows errors on the console even when it was told to be quiet.
        Next::Reboot => log::error!(
            "{service}: {what}, {} times within {} s; rebooting",
            limits::DIRECTOR_FAILURES_MAX,
            limits::DIRECTOR_FAILURE_WINDOW.as_secs()
        ),
    }
}

/// Reads all that is in a pipe and shows each byte to `hear`; true when there was any. A pipe that has ended is
/// dropped.
fn hear_pipe(voice: &mut Option<pipe::Receiver>, mut hear: impl FnMut(u8)) -> bool {
    let mut heard = false;
    let mut bytes = [0; 256];
    while let Some(receiver) = voice {
        match receiver.read(&mut bytes) {
            Ok(0) => *voice = None,
            Ok(length) => {
                heard = true;
                bytes.iter().take(length).for_each(|&byte| hear(byte));
            }
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => break,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => *voice = None,
        }
    }
    heard
}
