//! Talks: connections that are silent until one side is told to speak, to see which side can go on after a takeover.
//!
//! A client begins each with a letter, `c` or `s`, for the side that is to speak next, and the server gives the letter
//! back. From then on it gives back whatever comes; when it is told to, it speaks first on those of `s`.
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::limits::TALKS_MAX;
use crate::{Speaker, TalkPlan, TalkReport, tally};

/// A thread that only passes bytes on.
const STACK_BYTES: usize = 64 << 10;

impl Speaker {
    const fn letter(self) -> u8 {
        match self {
            Self::Client => b'c',
            Self::Server => b's',
        }
    }
}

/// The server's side: a thread for each connection.
pub(crate) struct TalkServer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    open: AtomicUsize,
    /// Those on which the server is to speak, by number.
    speaking: Mutex<BTreeMap<usize, TcpStream>>,
}

impl TalkServer {
    /// Listens on all addresses, IPv4 and IPv6.
    pub(crate) fn start(port: u16) -> Result<Self, String> {
        let any = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        let listener = TcpListener::bind(any).map_err(|error| format!("port {port}: {error}"))?;
        let server = Self(Arc::default());
        let shared = Arc::clone(&server.0);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if let Ok(stream) = stream {
                    shared.accept(number, stream);
                }
            }
        });
        Ok(server)
    }

    /// Speaks on every connection that waits for it; how many these are.
    pub(crate) fn speak(&self) -> u32 {
        let speaking = self.0.speaking();
        let told = speaking.values().filter(|stream| say(stream).is_ok());
        told.count() as u32
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, number: usize, stream: TcpStream) {
        if self.open.fetch_add(1, Ordering::Relaxed) >= TALKS_MAX {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let shared = Arc::clone(self);
        let serve = move || {
            // However it ends, it has ended: the client tells what became of it.
            let _ = shared.serve(number, &stream);
            shared.speaking().remove(&number);
            shared.open.fetch_sub(1, Ordering::Relaxed);
        };
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        if thread.spawn(serve).is_err() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn serve(&self, number: usize, mut stream: &TcpStream) -> io::Result<()> {
        let mut letter = [0];
        stream.set_nodelay(true)?;
        stream.read_exact(&mut letter)?;
        if letter == [Speaker::Server.letter()] {
            self.speaking().insert(number, stream.try_clone()?);
        }
        loop {
            stream.write_all(&letter)?;
            stream.read_exact(&mut letter)?;
        }
    }

    /// A map of sockets is whole at any moment, a panic's included.
    fn speaking(&self) -> MutexGuard<'_, BTreeMap<usize, TcpStream>> {
        self.speaking
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The client's side of one plan.
pub(crate) struct Talks {
    plan: TalkPlan,
    streams: Vec<TcpStream>,
    lost: BTreeMap<String, u32>,
}

impl Talks {
    /// Opens them, one after the other.
    pub(crate) fn open(plan: TalkPlan) -> Self {
        let mut talks = Self {
            streams: Vec::new(),
            lost: BTreeMap::new(),
            plan,
        };
        for _ in 0..talks.plan.talks {
            match talks.begin() {
                Ok(stream) => talks.streams.push(stream),
                Err(error) => tally(&mut talks.lost, format!("begin: {}", error.kind())),
            }
        }
        talks
    }

    fn begin(&self) -> io::Result<TcpStream> {
        let timeout = Duration::from_millis(self.plan.timeout_ms.into());
        let mut stream = TcpStream::connect_timeout(&self.plan.target, timeout)?;
        stream.set_nodelay(true)?;
        stream.write_all(&[self.plan.speaker.letter()])?;
        hear(&stream, Instant::now() + timeout)?;
        Ok(stream)
    }

    /// Lets each go on: the client speaks where it is its turn, and then something must be heard on all of them.
    pub(crate) fn go_on(&mut self) -> TalkReport {
        let deadline = Instant::now() + Duration::from_millis(self.plan.timeout_ms.into());
        let spoken: Vec<io::Result<()>> = match self.plan.speaker {
            Speaker::Client => self.streams.iter().map(say).collect(),
            Speaker::Server => self.streams.iter().map(|_| Ok(())).collect(),
        };
        let mut alive = Vec::new();
        for (stream, spoken) in self.streams.drain(..).zip(spoken) {
            match spoken.and_then(|()| hear(&stream, deadline)) {
                Ok(()) => alive.push(stream),
                Err(error) => tally(&mut self.lost, format!("go on: {}", error.kind())),
            }
        }
        self.streams = alive;
        self.report()
    }

    pub(crate) fn report(&self) -> TalkReport {
        TalkReport {
            target: self.plan.target,
            speaker: self.plan.speaker,
            wanted: self.plan.talks,
            alive: self.streams.len() as u32,
            lost: self.lost.clone(),
        }
    }
}

fn say(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"!")
}

/// Takes one letter, by `deadline` at the latest.
fn hear(mut stream: &TcpStream, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    // A timeout of zero would be none.
    stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
    stream.read_exact(&mut [0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(port: u16, speaker: Speaker) -> TalkPlan {
        TalkPlan {
            target: SocketAddr::from(([127, 0, 0, 1], port)),
            talks: 3,
            speaker,
            timeout_ms: 2000,
        }
    }

    #[test]
    fn both_sides_go_on_when_it_is_their_turn_and_a_deaf_one_is_lost() {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let server = TalkServer::start(port).unwrap();
        let mut asked = Talks::open(plan(port, Speaker::Client));
        let mut told = Talks::open(plan(port, Speaker::Server));
        assert_eq!((asked.report().alive, told.report().alive), (3, 3));
        assert_eq!(asked.go_on().alive, 3);
        assert_eq!(server.speak(), 3);
        assert_eq!(told.go_on().alive, 3);
        // Nobody speaks now.
        told.plan.timeout_ms = 10;
        let report = told.go_on();
        assert_eq!((report.alive, report.lost.values().sum()), (0, 3));
    }
}
