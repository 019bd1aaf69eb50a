//! `keelson console`: one terminal line that serves a person and a program at once.
//!
//! What a person types goes to a [`session::Session`]; frames between the text go to the director's socket and their
//! replies back ([`forward`]). Nothing here waits: the line and both connections are non-blocking behind one poll, and
//! each queue has a bound ([`limits`]).

pub mod command;
mod complete;
mod editor;
mod forward;
mod keys;
pub mod limits;
mod link;
mod machine;
mod output;
pub mod render;
mod session;
pub mod tty;

use std::io::{self, Read};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use director::frame::{self, Decoder, Item};
use director::proto::{Reply, Tagged};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use forward::Forward;
use link::Link;
use output::Output;
use session::Session;
use tty::Line;

const INPUT: Token = Token(0);
const OUTPUT: Token = Token(1);
const PERSON: Token = Token(2);
const PROGRAM: Token = Token(3);
const SIGNALS: Token = Token(4);

/// How a console is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the terminal in /dev; none for standard input and output.
    pub tty: Option<String>,
    /// The director's control socket.
    pub socket: PathBuf,
}

/// Serves the line until it is hung up or a signal asks to end.
///
/// # Errors
/// The line can't be opened, or breaks.
pub fn run(options: &Options) -> io::Result<()> {
    let line = match &options.tty {
        Some(name) => {
            machine::quieten();
            Line::terminal(name)?
        }
        None => Line::stdio()?,
    };
    Console::new(line, options)?.serve()
}

struct Console {
    poll: Poll,
    signals: Signals,
    line: Line,
    output: Output,
    decoder: Decoder,
    /// When the last byte of a frame came that has not ended.
    frame_at: Instant,
    session: Session,
    link: Link,
    forward: Forward,
    /// Edge-triggered descriptors that were left half-read.
    unread: [bool; 3],
}

impl Console {
    fn new(line: Line, options: &Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        let both = Interest::READABLE | Interest::WRITABLE;
        let mut always_ready = false;
        match line.output() {
            None => registry.register(&mut SourceFd(&line.input()), INPUT, both)?,
            Some(output) => {
                always_ready = !register(registry, line.input(), INPUT, Interest::READABLE)?;
                register(registry, output, OUTPUT, Interest::WRITABLE)?;
            }
        }
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT])?;
        registry.register(&mut signals, SIGNALS, Interest::READABLE)?;
        let now = Instant::now();
        Ok(Self {
            link: Link::new(&options.socket, PERSON),
            forward: Forward::new(&options.socket, PROGRAM),
            session: Session::new(&machine::host(), now),
            output: Output::default(),
            decoder: Decoder::new(frame::REQUEST_MAX),
            frame_at: now,
            unread: [always_ready, false, false],
            poll,
            signals,
            line,
        })
    }

    fn serve(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(16);
        loop {
            let now = Instant::now();
            self.tick(now);
            self.grant(now);
            self.output.flush(&mut self.line)?;
            match self.poll.poll(&mut events, self.patience(Instant::now())) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let now = Instant::now();
            let [mut input, mut person, mut program] = std::mem::take(&mut self.unread);
            for event in &events {
                match event.token() {
                    INPUT => input = true,
                    PERSON => person = true,
                    PROGRAM => program = true,
                    SIGNALS if self.signals.pending().next().is_some() => return Ok(()),
                    _ => {}
                }
            }
            if input && !self.read(now)? {
                self.grant(now);
                return self.output.flush(&mut self.line);
            }
            if person {
                self.replies(now);
            }
            if program {
                let more = self
                    .forward
                    .ready(now, self.poll.registry(), &mut self.output);
                self.unread[2] = more;
            }
        }
    }

    /// How long there is nothing to do.
    fn patience(&self, now: Instant) -> Option<Duration> {
        if self.unread.contains(&true) {
            return Some(Duration::ZERO);
        }
        let frame = self
            .decoder
            .inside()
            .then(|| self.frame_at + limits::FRAME_PAUSE);
        let due = [self.session.next_tick(), self.forward.next_tick(), frame]
            .into_iter()
            .flatten()
            .min();
        due.map(|due| due.saturating_duration_since(now))
    }

    fn tick(&mut self, now: Instant) {
        if self.decoder.inside() && now >= self.frame_at + limits::FRAME_PAUSE {
            self.decoder.reset();
        }
        self.session.rename(&machine::host());
        self.session.tick(now);
        self.forward
            .tick(now, self.poll.registry(), &mut self.output);
    }

    /// Does what the session wishes for, until it wishes for nothing more: a refusal may lead to the next wish.
    fn grant(&mut self, now: Instant) {
        loop {
            let wishes = self.session.wishes();
            if wishes.is_empty() {
                return;
            }
            if wishes.discard {
                self.output.discard_text();
            }
            self.output.text(&wishes.text);
            for (tag, body) in wishes.requests {
                let sent = frame::encode(&Tagged { tag, body }, frame::REQUEST_MAX)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
                    .and_then(|frame| self.link.send(&frame, self.poll.registry()));
                if sent.is_err() {
                    self.hang_up(now);
                }
            }
            if let Some(Err(reason)) = wishes.power.map(machine::stop) {
                self.session.refused(&reason, now);
            }
        }
    }

    /// Reads the line; false at its end.
    fn read(&mut self, now: Instant) -> io::Result<bool> {
        let mut chunk = [0; limits::READ_CHUNK];
        for _ in 0..limits::READS_PER_TURN {
            let mut bytes = match self.line.read(&mut chunk) {
                Ok(0) => return Ok(false),
                Ok(count) => chunk.get(..count).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // How the kernel reports a terminal whose other end has gone.
                Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(false),
                Err(error) => return Err(error),
            };
            self.frame_at = now;
            while let Some(item) = self.decoder.next(&mut bytes) {
                match item {
                    Item::Text(text) => self.session.typed(text, now),
                    Item::Frame(payload) => {
                        self.forward
                            .frame(payload, now, self.poll.registry(), &mut self.output);
                    }
                    Item::Bad(error) => self.forward.bad(error, &mut self.output),
                }
            }
        }
        self.unread[0] = true;
        Ok(true)
    }

    fn replies(&mut self, now: Instant) {
        let session = &mut self.session;
        let served = self.link.flush().and_then(|()| {
            self.link.read(|payload| {
                if let Ok(reply) = frame::decode::<Tagged<Reply>>(payload) {
                    session.reply(reply, now);
                }
            })
        });
        match served {
            Ok(more) => self.unread[1] = more,
            Err(_) => self.hang_up(now),
        }
    }

    fn hang_up(&mut self, now: Instant) {
        self.link.close(self.poll.registry());
        self.session.unreachable(now);
    }
}

/// Registers a descriptor; false for a file, which no poll takes and which never makes anybody wait.
fn register(
    registry: &mio::Registry,
    descriptor: RawFd,
    token: Token,
    interest: Interest,
) -> io::Result<bool> {
    match registry.register(&mut SourceFd(&descriptor), token, interest) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(error),
    }
}
