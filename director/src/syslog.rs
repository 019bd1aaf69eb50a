//! Events to other machines' syslog: RFC 5424 over UDP (RFC 5426) or TCP with octet counting (RFC 6587).
//!
//! Lines wait in a bounded queue for each receiver until the network is up and the receiver there; the oldest go first
//! when it is full, and their number is sent in a line of its own. Nothing here waits.

mod line;

use core::net::SocketAddr;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use director_core::config::{Syslog, Transport};
use director_core::event::Level;
use director_core::status::OutletStatus;
use director_core::time::{Duration, Instant};
use mio::net::{TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::limits;

/// One receiver.
#[derive(Debug)]
pub(crate) struct Receiver {
    config: Syslog,
    queue: VecDeque<Vec<u8>>,
    /// Lines that were dropped since the last one that was sent.
    dropped: u64,
    /// All that were.
    lost: u64,
    /// Bytes of the first line that the stream has taken.
    sent: usize,
    link: Link,
    /// The pause before the next attempt.
    backoff: Duration,
}

#[derive(Debug)]
enum Link {
    /// Nothing is open; it is tried again then, if there is something to send.
    Down {
        retry_at: Instant,
    },
    Connecting(TcpStream),
    Stream(TcpStream),
    Datagrams(UdpSocket),
}

impl Receiver {
    pub(crate) fn new(config: Syslog, now: Instant) -> Self {
        Self {
            config,
            queue: VecDeque::new(),
            dropped: 0,
            lost: 0,
            sent: 0,
            link: Link::Down { retry_at: now },
            backoff: limits::SYSLOG_BACKOFF_MIN,
        }
    }

    pub(crate) const fn config(&self) -> &Syslog {
        &self.config
    }

    pub(crate) fn status(&self) -> OutletStatus {
        OutletStatus {
            kind: "syslog".to_string(),
            to: self.config.server.to_string(),
            waiting: self.queue.len() as u64,
            lost: self.lost,
        }
    }

    /// Takes a line, unless it matters less than the receiver wants to know.
    pub(crate) fn push(&mut self, level: Level, text: &str) {
        if level > self.config.level {
            return;
        }
        if self.queue.len() >= limits::SYSLOG_LINES_MAX {
            // The first one may be half sent.
            let oldest = usize::from(self.sent > 0);
            self.queue.remove(oldest);
            self.dropped += 1;
            self.lost += 1;
        }
        self.queue.push_back(line::format(level, text));
    }

    /// Goes on: opens, sends, gives up for a while. To be called after [`Receiver::push`], when the socket is ready,
    /// and at [`Receiver::next_timeout`].
    pub(crate) fn progress(&mut self, now: Instant, registry: &Registry, token: Token) {
        if let Err(error) = self.try_progress(now, registry, token)
            && error.kind() != io::ErrorKind::WouldBlock
        {
            log::debug!("syslog {}: {error}", self.config.server);
            self.link = Link::Down {
                retry_at: now + self.backoff,
            };
            self.backoff = (self.backoff * 2).min(limits::SYSLOG_BACKOFF_MAX);
            self.sent = 0;
        }
    }

    /// When to go on without readiness.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match self.link {
            Link::Down { retry_at } if !self.queue.is_empty() => Some(retry_at),
            _ => None,
        }
    }

    fn try_progress(&mut self, now: Instant, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.link {
            Link::Down { retry_at } if self.queue.is_empty() || *retry_at > now => return Ok(()),
            Link::Down { .. } => self.link = open(&self.config, registry, token)?,
            Link::Connecting(stream) => {
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
                match stream.peer_addr() {
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                    result => drop(result?),
                }
                let Link::Connecting(stream) =
                    core::mem::replace(&mut self.link, Link::Down { retry_at: now })
                else {
                    return Ok(());
                };
                self.link = Link::Stream(stream);
            }
            Link::Stream(stream) => hear(stream)?,
            Link::Datagrams(socket) => {
                if let Some(error) = socket.take_error()? {
                    return Err(error);
                }
            }
        }
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        if matches!(self.link, Link::Down { .. } | Link::Connecting(_)) {
            return Ok(());
        }
        if self.dropped > 0 && self.sent == 0 {
            let text = format!(
                "{} lines before this one were lost: the receiver did not take them",
                self.dropped
            );
            self.queue.push_front(line::format(Level::Warning, &text));
            self.dropped = 0;
        }
        while let Some(line) = self.queue.front() {
            match &mut self.link {
                Link::Stream(stream) => {
                    let frame = line::counted(line);
                    while let Some(rest @ [_, ..]) = frame.get(self.sent..) {
                        self.sent += stream.write(rest)?;
                    }
                }
                Link::Datagrams(socket) => drop(socket.send(line)?),
                Link::Down { .. } | Link::Connecting(_) => return Ok(()),
            }
            self.sent = 0;
            self.queue.pop_front();
            self.backoff = limits::SYSLOG_BACKOFF_MIN;
        }
        Ok(())
    }
}

fn open(config: &Syslog, registry: &Registry, token: Token) -> io::Result<Link> {
    let ready = Interest::READABLE | Interest::WRITABLE;
    match config.transport {
        Transport::Tcp => {
            let mut stream = TcpStream::connect(config.server)?;
            // A receiver that vanishes is found by what it does not acknowledge.
            SockRef::from(&stream).set_tcp_user_timeout(Some(limits::SYSLOG_STALL_MAX))?;
            registry.register(&mut stream, token, ready)?;
            Ok(Link::Connecting(stream))
        }
        Transport::Udp => {
            let any: SocketAddr = match config.server {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let mut socket = UdpSocket::bind(any)?;
            socket.connect(config.server)?;
            registry.register(&mut socket, token, ready)?;
            Ok(Link::Datagrams(socket))
        }
    }
}

/// A receiver has nothing to say; but it may have closed.
fn hear(stream: &mut TcpStream) -> io::Result<()> {
    let mut ignored = [0; 256];
    loop {
        match stream.read(&mut ignored) {
            Ok(0) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;
    use std::net::{TcpListener, UdpSocket as StdUdpSocket};

    use mio::{Events, Poll};

    use super::*;

    const TOKEN: Token = Token(1);

    fn receiver(server: SocketAddr, transport: Transport, level: Level) -> Receiver {
        let config = Syslog {
            server,
            transport,
            level,
        };
        Receiver::new(config, Instant::ZERO)
    }

    /// Goes on as the loop does until nothing is left to send.
    fn drain(receiver: &mut Receiver, poll: &mut Poll) {
        let mut events = Events::with_capacity(4);
        let mut now = Instant::ZERO;
        while !receiver.queue.is_empty() {
            receiver.progress(now, poll.registry(), TOKEN);
            now = receiver.next_timeout().unwrap_or(now);
            let wait = std::time::Duration::from_millis(5);
            poll.poll(&mut events, Some(wait)).unwrap();
        }
    }

    /// One line with octet counting.
    fn read_line(stream: &mut impl Read) -> String {
        let mut length = String::new();
        loop {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            match byte[0] {
                b' ' => break,
                digit => length.push(digit as char),
            }
        }
        let mut line = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut line).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn udp_carries_a_line_in_each_datagram_and_leaves_out_what_is_below_the_level() {
        let server = StdUdpSocket::bind("127.0.0.1:0").unwrap();
        let mut poll = Poll::new().unwrap();
        let mut receiver = receiver(server.local_addr().unwrap(), Transport::Udp, Level::Warning);
        receiver.push(Level::Info, "left out");
        receiver.push(Level::Warning, "first");
        receiver.push(Level::Error, "second");
        drain(&mut receiver, &mut poll);
        let mut buffer = [0; 2048];
        for (priority, text) in [("<28>1 ", "first"), ("<27>1 ", "second")] {
            let length = server.recv(&mut buffer).unwrap();
            let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
            assert!(
                line.starts_with(priority) && line.ends_with(&format!(" - - {text}")),
                "{line}"
            );
        }
    }

    #[test]
    fn tcp_waits_for_the_receiver_counts_what_was_lost_and_connects_again() {
        let mut poll = Poll::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        drop(listener);
        let mut receiver = receiver(server, Transport::Tcp, Level::Info);
        for number in 0..limits::SYSLOG_LINES_MAX + 3 {
            receiver.push(Level::Info, &format!("line {number}"));
        }
        let mut events = Events::with_capacity(4);
        receiver.progress(Instant::ZERO, poll.registry(), TOKEN);
        while receiver.next_timeout().is_none() {
            poll.poll(&mut events, None).unwrap();
            receiver.progress(Instant::ZERO, poll.registry(), TOKEN);
        }
        assert_eq!(
            receiver.next_timeout(),
            Some(Instant::ZERO + limits::SYSLOG_BACKOFF_MIN)
        );

        let listener = TcpListener::bind(server).unwrap();
        let reader = std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let lines: Vec<String> = (0..=limits::SYSLOG_LINES_MAX)
                .map(|_| read_line(&mut stream))
                .collect();
            drop(stream);
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            (lines, read_line(&mut stream))
        });
        drain(&mut receiver, &mut poll);
        // The receiver closes: the next line goes over a new connection.
        loop {
            receiver.progress(Instant::ZERO, poll.registry(), TOKEN);
            if matches!(receiver.link, Link::Down { .. }) {
                break;
            }
            poll.poll(&mut events, None).unwrap();
        }
        receiver.push(Level::Info, "after");
        drain(&mut receiver, &mut poll);
        let (lines, after) = reader.join().unwrap();
        assert!(
            lines[0]
                .ends_with(" 3 lines before this one were lost: the receiver did not take them"),
            "{}",
            lines[0]
        );
        assert!(lines[1].ends_with(" line 3"), "{}", lines[1]);
        assert!(after.ends_with(" after"), "{after}");
    }
}
