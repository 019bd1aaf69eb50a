//! Real servers in every mood.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use director_core::check::{Exit, Program, Transport};
use director_core::config::{Check, CheckKind};
use director_core::time::Duration;

/// How a real server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Well,
    /// Not at all: the machine is off.
    Silent,
    /// By a reset: the program is not there.
    Refuses,
    /// With a server error.
    Errs,
    /// Later than any check waits.
    Slow,
    /// With bytes that mean nothing.
    Garbage,
    /// A line of the head now and then, for ever.
    Drips,
    /// By a reset in the middle.
    Breaks,
}

impl Mood {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Well,
        Self::Silent,
        Self::Refuses,
        Self::Errs,
        Self::Slow,
        Self::Garbage,
        Self::Drips,
        Self::Breaks,
    ];

    /// Whether a check of a connection succeeds.
    #[must_use]
    pub const fn connects(self) -> bool {
        !matches!(self, Self::Silent | Self::Refuses)
    }
}

/// What comes from a socket; an owned [`director_core::check::Io`].
#[derive(Clone, Debug)]
pub enum Heard {
    /// Connected.
    Connected,
    /// Failed with an errno.
    Failed(i32),
    /// Bytes.
    Received(&'static [u8]),
    /// Bytes that depend on what was asked.
    Datagram(Vec<u8>),
    /// Closed by the server.
    Closed,
    /// The program has ended.
    Exited(Exit),
}

/// The port of mail servers.
pub const MAIL: u16 = 25;

/// The weight that a program tells of a server that is well.
pub const TOLD: u32 = 7;

/// The real servers of a world, by address.
#[derive(Clone, Debug, Default)]
pub struct Reals(pub BTreeMap<IpAddr, Mood>);

impl Reals {
    /// The mood of the server at this address; nobody is there, when it is unknown.
    #[must_use]
    pub fn mood(&self, address: IpAddr) -> Mood {
        self.0.get(&address).copied().unwrap_or(Mood::Silent)
    }

    /// Whether a check succeeds.
    #[must_use]
    pub fn passes(&self, check: &Check) -> bool {
        let mood = self.mood(check.target.address);
        match &check.how.kind {
            CheckKind::Tcp => mood.connects(),
            // Who answers nonsense to a datagram has answered.
            CheckKind::Udp(udp) if udp.reply.is_none() => mood != Mood::Refuses,
            CheckKind::File(_) => true,
            _ => mood == Mood::Well,
        }
    }

    /// How a program ends that looks at the server of its first argument, and when.
    #[must_use]
    pub fn run(&self, program: &Program) -> Vec<(Duration, Heard)> {
        let address = program.arguments.first().and_then(|word| word.parse().ok());
        let mood = address.map_or(Mood::Silent, |address| self.mood(address));
        let ends = |after, exit| vec![(after, Heard::Exited(exit))];
        match mood {
            Mood::Well if program.dynamic => ends(micros(900), Exit::Code(2 + TOLD as u8)),
            Mood::Well => ends(micros(900), Exit::Code(0)),
            Mood::Silent | Mood::Drips => Vec::new(),
            Mood::Refuses | Mood::Errs => ends(micros(500), Exit::Code(1)),
            Mood::Slow => ends(Duration::from_secs(30), Exit::Code(0)),
            Mood::Garbage | Mood::Breaks => ends(micros(400), Exit::Signal(11)),
        }
    }

    /// What answers a connection attempt, and when.
    #[must_use]
    pub fn connect(&self, target: SocketAddr) -> Vec<(Duration, Heard)> {
        match self.mood(target.ip()) {
            Mood::Silent => Vec::new(),
            Mood::Refuses => vec![(micros(300), Heard::Failed(111))],
            // A mail server, by its port, speaks first.
            Mood::Well if target.port() == MAIL => vec![
                (micros(300), Heard::Connected),
                (micros(900), Heard::Received(b"220 mail\r\n")),
            ],
            _ => vec![(micros(300), Heard::Connected)],
        }
    }

    /// What answers a datagram, and when: an echo of it, with the bit set that makes it an answer of DNS and of ICMP.
    #[must_use]
    pub fn echo(
        &self,
        target: SocketAddr,
        transport: Transport,
        bytes: &[u8],
    ) -> Vec<(Duration, Heard)> {
        let mut reply = bytes.to_vec();
        match (transport, reply.as_mut_slice()) {
            (Transport::Udp, [_, _, flags, ..]) => *flags |= 0x80,
            (Transport::Icmp, [kind, ..]) => *kind = 0,
            _ => {}
        }
        match self.mood(target.ip()) {
            Mood::Well => vec![(micros(400), Heard::Datagram(reply))],
            Mood::Silent | Mood::Drips => Vec::new(),
            Mood::Refuses => vec![(micros(300), Heard::Failed(111))],
            Mood::Slow => vec![(Duration::from_secs(30), Heard::Datagram(reply))],
            Mood::Errs | Mood::Garbage | Mood::Breaks => {
                vec![(micros(400), Heard::Datagram(b"?".to_vec()))]
            }
        }
    }

    /// What answers the words of a client, and when.
    #[must_use]
    pub fn said(&self, target: SocketAddr, line: &[u8]) -> Vec<(Duration, Heard)> {
        let said: &[u8] = match line {
            [b'H', ..] => b"250-mail\r\n250 HELP\r\n",
            [b'Q', ..] => b"221 bye\r\n",
            _ => return self.reply(target),
        };
        match self.mood(target.ip()) {
            Mood::Well => vec![(micros(700), Heard::Datagram(said.to_vec()))],
            _ => self.reply(target),
        }
    }

    /// What answers a request, and when.
    #[must_use]
    pub fn reply(&self, target: SocketAddr) -> Vec<(Duration, Heard)> {
        let well = Heard::Received(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n");
        match self.mood(target.ip()) {
            Mood::Well => vec![(micros(700), well)],
            Mood::Silent => Vec::new(),
            Mood::Refuses => vec![(micros(300), Heard::Failed(104))],
            Mood::Errs => vec![
                (
                    micros(500),
                    Heard::Received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"),
                ),
                (micros(900), Heard::Closed),
            ],
            Mood::Slow => vec![(Duration::from_secs(30), well)],
            Mood::Garbage => vec![(micros(400), Heard::Received(b"\0\xff\x7fELF garbage\n\n"))],
            Mood::Drips => (0..100)
                .map(|n| {
                    let line: &[u8] = if n == 0 {
                        b"HTTP/1.1 200 OK\r\n"
                    } else {
                        b"X: y\r\n"
                    };
                    (Duration::from_millis(n * 90), Heard::Received(line))
                })
                .collect(),
            Mood::Breaks => vec![
                (
                    micros(300),
                    Heard::Received(b"HTTP/1.1 200 OK\r\nContent-Le"),
                ),
                (micros(600), Heard::Failed(104)),
            ],
        }
    }
}

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}
