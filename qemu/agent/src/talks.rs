//! Talks: connections that are silent until one side is told to speak, to see which side can go on after a takeover.
//!
//! A client begins each with a letter, twice, `c` or `s` for the side that is to speak next, and the server gives it
//! back. From then on it gives back whatever comes; when it is told to, it speaks first on those of `s`. By UDP it is
//! the same, with whom it last heard of in the place of connections.
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::limits::TALKS_MAX;
use crate::{Speaker, TalkPlan, TalkReport, Transport, tally};

/// A thread that only passes bytes on.
const STACK_BYTES: usize = 64 << 10;
/// What is said when it is one's turn.
const WORD: &[u8] = b"!";

impl Speaker {
    const fn letter(self) -> u8 {
        match self {
            Self::Client => b'c',
            Self::Server => b's',
        }
    }
}

/// The server's side: a thread for each connection.
pub(crate) struct TalkServer {
    shared: Arc<Shared>,
    datagrams: UdpSocket,
}

#[derive(Default)]
struct Shared {
    open: AtomicUsize,
    /// Those on which the server is to speak, by number.
    speaking: Mutex<BTreeMap<usize, TcpStream>>,
    /// By UDP, those to whom it is to speak.
    peers: Mutex<BTreeSet<SocketAddr>>,
}

impl TalkServer {
    /// Listens on all addresses, IPv4 and IPv6, by TCP and UDP.
    pub(crate) fn start(port: u16) -> Result<Self, String> {
        Self::listen(port).map_err(|error| format!("port {port}: {error}"))
    }

    fn listen(port: u16) -> io::Result<Self> {
        let any = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        let (listener, datagrams) = (TcpListener::bind(any)?, UdpSocket::bind(any)?);
        let server = Self {
            shared: Arc::default(),
            datagrams: datagrams.try_clone()?,
        };
        let shared = Arc::clone(&server.shared);
        thread::spawn(move || shared.answer(&datagrams));
        let shared = Arc::clone(&server.shared);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if let Ok(stream) = stream {
                    shared.accept(number, stream);
                }
            }
        });
        Ok(server)
    }

    /// Speaks on every talk that waits for it; how many these are.
    pub(crate) fn speak(&self) -> u32 {
        let speaking = locked(&self.shared.speaking);
        let told = speaking.values().filter(|stream| say(stream).is_ok());
        let peers = locked(&self.shared.peers);
        let sent = peers
            .iter()
            .filter(|peer| self.datagrams.send_to(WORD, peer).is_ok());
        (told.count() + sent.count()) as u32
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
            locked(&shared.speaking).remove(&number);
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
            locked(&self.speaking).insert(number, stream.try_clone()?);
        }
        loop {
            stream.write_all(&letter)?;
            stream.read_exact(&mut letter)?;
        }
    }

    /// Gives datagrams back for as long as the socket works.
    fn answer(&self, socket: &UdpSocket) {
        let mut letter = [0];
        while let Ok((_, peer)) = socket.recv_from(&mut letter) {
            let mut peers = locked(&self.peers);
            if letter == [Speaker::Server.letter()] && peers.len() < TALKS_MAX {
                peers.insert(peer);
            }
            // One that can't be reached misses it.
            let _ = socket.send_to(&letter, peer);
        }
    }
}

/// These collections are whole at any moment, a panic's included.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A client's side of one talk.
enum Line {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

/// The client's side of one plan.
pub(crate) struct Talks {
    plan: TalkPlan,
    lines: Vec<Line>,
    lost: BTreeMap<String, u32>,
}

impl Talks {
    /// Opens them, one after the other.
    pub(crate) fn open(plan: TalkPlan) -> Self {
        let mut talks = Self {
            lines: Vec::new(),
            lost: BTreeMap::new(),
            plan,
        };
        for _ in 0..talks.plan.talks {
            match talks.begin() {
                Ok(line) => talks.lines.push(line),
                Err(error) => tally(&mut talks.lost, format!("begin: {}", error.kind())),
            }
        }
        talks
    }

    fn begin(&self) -> io::Result<Line> {
        let timeout = Duration::from_millis(self.plan.timeout_ms.into());
        let line = Line::open(&self.plan, timeout)?;
        // Twice: of one datagram IPVS synchronises nothing.
        for _ in 0..2 {
            line.say(&[self.plan.speaker.letter()])?;
            line.hear(Instant::now() + timeout)?;
        }
        Ok(line)
    }

    /// Lets each go on: the client speaks where it is its turn, and then something must be heard on all of them.
    pub(crate) fn go_on(&mut self) -> TalkReport {
        let deadline = Instant::now() + Duration::from_millis(self.plan.timeout_ms.into());
        let spoken: Vec<io::Result<()>> = match self.plan.speaker {
            Speaker::Client => self.lines.iter().map(|line| line.say(WORD)).collect(),
            Speaker::Server => self.lines.iter().map(|_| Ok(())).collect(),
        };
        let mut alive = Vec::new();
        for (line, spoken) in self.lines.drain(..).zip(spoken) {
            match spoken.and_then(|()| line.hear(deadline)) {
                Ok(()) => alive.push(line),
                Err(error) => tally(&mut self.lost, format!("go on: {}", error.kind())),
            }
        }
        self.lines = alive;
        self.report()
    }

    pub(crate) fn report(&self) -> TalkReport {
        TalkReport {
            target: self.plan.target,
            transport: self.plan.transport,
            speaker: self.plan.speaker,
            wanted: self.plan.talks,
            alive: self.lines.len() as u32,
            lost: self.lost.clone(),
        }
    }
}

impl Line {
    fn open(plan: &TalkPlan, timeout: Duration) -> io::Result<Self> {
        if plan.transport == Transport::Tcp {
            let stream = TcpStream::connect_timeout(&plan.target, timeout)?;
            stream.set_nodelay(true)?;
            return Ok(Self::Tcp(stream));
        }
        let any: IpAddr = match plan.target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind(plan.source.unwrap_or_else(|| (any, 0).into()))?;
        socket.connect(plan.target)?;
        Ok(Self::Udp(socket))
    }

    fn say(&self, word: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).write_all(word),
            Self::Udp(socket) => socket.send(word).map(drop),
        }
    }

    /// Takes one letter, by `deadline` at the latest.
    fn hear(&self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        // A timeout of zero would be none.
        let left = Some(left.max(Duration::from_millis(1)));
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(left)?;
                (&mut &*stream).read_exact(&mut [0])
            }
            Self::Udp(socket) => {
                socket.set_read_timeout(left)?;
                socket.recv(&mut [0]).map(drop)
            }
        }
    }
}

fn say(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(port: u16, transport: Transport, speaker: Speaker) -> TalkPlan {
        TalkPlan {
            target: SocketAddr::from(([127, 0, 0, 1], port)),
            transport,
            source: None,
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
        let open = |speaker| {
            let transports = [Transport::Tcp, Transport::Udp];
            transports.map(|transport| Talks::open(plan(port, transport, speaker)))
        };
        let (mut asked, mut told) = (open(Speaker::Client), open(Speaker::Server));
        for talks in asked.iter_mut() {
            assert_eq!(talks.go_on().alive, 3);
        }
        assert_eq!(server.speak(), 6);
        for talks in told.iter_mut() {
            assert_eq!(talks.go_on().alive, 3);
            // Nobody speaks now.
            talks.plan.timeout_ms = 10;
            let report = talks.go_on();
            assert_eq!((report.alive, report.lost.values().sum()), (0, 3));
        }
    }
}
