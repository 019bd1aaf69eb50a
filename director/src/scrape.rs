//! The listener for Prometheus: `GET /metrics` over HTTP/1, read-only.
//!
//! Whoever asks is a stranger: there are a few connections at a time, each with one short request and little time, and
//! an answer is made in pieces, the next one when the socket has taken the one before. Nothing here waits.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use director_core::metrics::{CONTENT_TYPE, Metrics};
use director_core::status::Status;
use director_core::time::{Instant, earliest};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use socket2::{Domain, Protocol, Socket, Type};

use crate::limits;
use crate::token::Key;

/// The listener, when one is configured, and its clients.
#[derive(Debug, Default)]
pub(crate) struct Scrapes {
    listener: Option<(SocketAddr, TcpListener)>,
    clients: BTreeMap<u32, Client>,
    next: u32,
}

#[derive(Debug)]
struct Client {
    stream: TcpStream,
    until: Instant,
    request: Vec<u8>,
    /// What is to be sent, from `sent` on.
    outbox: Vec<u8>,
    sent: usize,
    /// Where the next pieces come from.
    metrics: Option<Metrics>,
    answered: bool,
}

/// What a client that is ready wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing until the next readiness.
    Nothing,
    /// The metrics: [`Scrapes::answer`].
    Metrics,
    /// To go on in another turn.
    More,
}

/// What became of a request.
enum Request {
    Incomplete,
    Metrics,
    Refused(&'static str),
}

impl Scrapes {
    /// Listens where the configuration says, or no longer. Connections that are open are served to their end.
    ///
    /// # Errors
    /// When it can't listen there; then it does not listen at all.
    pub(crate) fn configure(
        &mut self,
        registry: &Registry,
        address: Option<SocketAddr>,
    ) -> io::Result<()> {
        if self.listener.as_ref().map(|(address, _)| *address) == address {
            return Ok(());
        }
        self.listener = None;
        if let Some(address) = address {
            let mut listener = listen(address)?;
            registry.register(&mut listener, Key::Scrapes.token(), Interest::READABLE)?;
            self.listener = Some((address, listener));
        }
        Ok(())
    }

    /// Takes the clients that have come; those beyond [`limits::SCRAPES_MAX`] are closed at once.
    pub(crate) fn accept(&mut self, registry: &Registry, now: Instant) {
        let Some((_, listener)) = &self.listener else {
            return;
        };
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // What is left waits for the next client that comes, as it does when descriptors are short.
                Err(_) => return,
            };
            if self.clients.len() >= limits::SCRAPES_MAX {
                continue;
            }
            let number = self.next;
            self.next = self.next.wrapping_add(1);
            let token = Key::Scrape(number).token();
            if registry
                .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)
                .is_ok()
            {
                self.clients.insert(number, Client::new(stream, now));
            }
        }
    }

    /// Goes on with a client that is ready; one that is done, or broke the rules, is dropped.
    pub(crate) fn serve(&mut self, number: u32, buffer: &mut [u8]) -> Wish {
        let Some(client) = self.clients.get_mut(&number) else {
            return Wish::Nothing;
        };
        client.serve(buffer).unwrap_or_else(|_| {
            self.clients.remove(&number);
            Wish::Nothing
        })
    }

    /// Answers a client that wants the metrics.
    pub(crate) fn answer(&mut self, number: u32, status: Status) {
        if let Some(client) = self.clients.get_mut(&number) {
            client.begin("200 OK", CONTENT_TYPE);
            client.metrics = Some(Metrics::new(status));
        }
    }

    /// When the next client has had its time.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.clients
            .values()
            .fold(None, |next, client| earliest(next, Some(client.until)))
    }

    /// Drops the clients that have had their time.
    pub(crate) fn drop_late(&mut self, now: Instant) {
        self.clients.retain(|_, client| client.until > now);
    }
}

/// Listens also at an address that the node does not have yet: its interfaces may come later.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(limits::SCRAPES_MAX).unwrap_or(i32::MAX))?;
    Ok(TcpListener::from_std(socket.into()))
}

impl Client {
    fn new(stream: TcpStream, now: Instant) -> Self {
        Self {
            stream,
            until: now + limits::SCRAPE_TIME_MAX,
            request: Vec::new(),
            outbox: Vec::new(),
            sent: 0,
            metrics: None,
            answered: false,
        }
    }

    fn serve(&mut self, buffer: &mut [u8]) -> io::Result<Wish> {
        if self.answered {
            return self.send();
        }
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self
                    .request
                    .extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Wish::Nothing);
                }
                Err(error) => return Err(error),
            }
            match request(&self.request) {
                Request::Incomplete if self.request.len() <= limits::SCRAPE_REQUEST_MAX => {}
                Request::Incomplete => {
                    self.begin("431 Request Header Fields Too Large", "text/plain");
                    return self.send();
                }
                Request::Metrics => return Ok(Wish::Metrics),
                Request::Refused(status) => {
                    self.begin(status, "text/plain");
                    return self.send();
                }
            }
        }
    }

    /// The answer's head. Its body ends with the connection, so that its length need not be known before.
    fn begin(&mut self, status: &str, content: &str) {
        self.answered = true;
        self.request = Vec::new();
        let allow = if status.starts_with("405") {
            "Allow: GET\r\n"
        } else {
            ""
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content}\r\n{allow}Connection: close\r\n\r\n"
        );
        self.outbox = head.into_bytes();
        if !status.starts_with('2') {
            self.outbox
                .extend_from_slice(format!("{status}\n").as_bytes());
        }
    }

    /// Sends some pieces; an error when all is sent.
    fn send(&mut self) -> io::Result<Wish> {
        for _ in 0..limits::SCRAPE_PIECES_PER_TURN {
            while let Some(rest @ [_, ..]) = self.outbox.get(self.sent..) {
                match self.stream.write(rest) {
                    Ok(length) => self.sent += length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(Wish::Nothing);
                    }
                    Err(error) => return Err(error),
                }
            }
            let Some(piece) = self.metrics.as_mut().and_then(Metrics::next_piece) else {
                // The end of the answer goes before the close: unread bytes of the client would make it a reset.
                self.stream.shutdown(std::net::Shutdown::Write)?;
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            self.outbox = piece.into_bytes();
            self.sent = 0;
        }
        Ok(Wish::More)
    }
}

fn request(bytes: &[u8]) -> Request {
    let mut headers = [httparse::EMPTY_HEADER; limits::SCRAPE_HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Partial) => Request::Incomplete,
        Err(httparse::Error::TooManyHeaders) => {
            Request::Refused("431 Request Header Fields Too Large")
        }
        Err(_) => Request::Refused("400 Bad Request"),
        Ok(httparse::Status::Complete(_)) => {
            let path = parsed.path.unwrap_or_default();
            match (parsed.method, path.split('?').next()) {
                (Some("GET"), Some("/metrics")) => Request::Metrics,
                (Some("GET"), _) => Request::Refused("404 Not Found"),
                _ => Request::Refused("405 Method Not Allowed"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream as StdTcpStream;

    use mio::{Events, Poll};

    use super::*;

    const NOW: Instant = Instant::from_millis(1000);

    /// Asks in pieces and serves until the client is gone; what came back.
    fn exchange(
        scrapes: &mut Scrapes,
        poll: &mut Poll,
        address: SocketAddr,
        request: &[u8],
        status: &Status,
    ) -> String {
        let mut peer = StdTcpStream::connect(address).unwrap();
        let bytes = request.to_vec();
        let reader = std::thread::spawn(move || {
            for piece in bytes.chunks(7) {
                let _ = peer.write_all(piece);
            }
            let mut text = String::new();
            let _ = peer.read_to_string(&mut text);
            text
        });
        let mut events = Events::with_capacity(8);
        let mut buffer = [0; 1024];
        let mut again = Vec::new();
        while scrapes.next == 0 || !scrapes.clients.is_empty() {
            let timeout = if again.is_empty() {
                None
            } else {
                Some(std::time::Duration::ZERO)
            };
            poll.poll(&mut events, timeout).unwrap();
            let ready = events.iter().filter_map(|event| Key::of(event.token()));
            let keys: Vec<Key> = ready.chain(again.drain(..)).collect();
            for key in keys {
                match key {
                    Key::Scrapes => scrapes.accept(poll.registry(), NOW),
                    Key::Scrape(number) => match scrapes.serve(number, &mut buffer) {
                        Wish::Nothing => {}
                        Wish::Metrics => {
                            scrapes.answer(number, status.clone());
                            again.push(key);
                        }
                        Wish::More => again.push(key),
                    },
                    _ => {}
                }
            }
        }
        scrapes.next = 0;
        reader.join().unwrap()
    }

    fn listening() -> (Scrapes, Poll, SocketAddr) {
        let poll = Poll::new().unwrap();
        let mut scrapes = Scrapes::default();
        scrapes
            .configure(poll.registry(), Some("127.0.0.1:0".parse().unwrap()))
            .unwrap();
        let address = scrapes.listener.as_ref().unwrap().1.local_addr().unwrap();
        (scrapes, poll, address)
    }

    #[test]
    fn only_get_of_the_metrics_is_answered() {
        let (mut scrapes, mut poll, address) = listening();
        let status = Status::default();
        for (request, expected) in [
            (
                "GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n",
                "HTTP/1.1 200 OK\r\n",
            ),
            ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
            ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "),
            ("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "),
            ("\x16\x03\x01 hello\r\n\r\n", "HTTP/1.1 400 "),
        ] {
            let text = exchange(
                &mut scrapes,
                &mut poll,
                address,
                request.as_bytes(),
                &status,
            );
            assert!(text.starts_with(expected), "{request:?}: {text}");
        }
        let endless = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 5000]].concat();
        let text = exchange(&mut scrapes, &mut poll, address, &endless, &status);
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 431 "),
            "{text}"
        );
    }

    #[test]
    fn a_large_table_is_whole() {
        let (mut scrapes, mut poll, address) = listening();
        let status = large(10_000);
        let request = b"GET /metrics HTTP/1.1\r\n\r\n";
        let text = exchange(&mut scrapes, &mut poll, address, request, &status);
        assert_eq!(text.matches("\nkeelson_dest_weight{").count(), 10_000);
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn there_are_few_clients_and_each_has_little_time() {
        let (mut scrapes, poll, address) = listening();
        let mut peers = Vec::new();
        for _ in 0..limits::SCRAPES_MAX + 3 {
            peers.push(StdTcpStream::connect(address).unwrap());
            scrapes.accept(poll.registry(), NOW);
        }
        assert_eq!(scrapes.clients.len(), limits::SCRAPES_MAX);
        assert_eq!(scrapes.next_timeout(), Some(NOW + limits::SCRAPE_TIME_MAX));
        scrapes.drop_late(NOW + limits::SCRAPE_TIME_MAX);
        assert!(scrapes.clients.is_empty());
        drop(peers);
    }

    fn large(dests: u16) -> Status {
        let dest = |port| director_core::status::DestStatus {
            address: "10.0.0.1".to_owned(),
            port,
            state: "up".to_owned(),
            ..Default::default()
        };
        let service = director_core::status::ServiceStatus {
            protocol: "TCP".to_owned(),
            address: "10.0.0.100".to_owned(),
            port: 80,
            dests: (0..dests).map(dest).collect(),
            ..Default::default()
        };
        Status {
            services: vec![service],
            ..Status::default()
        }
    }
}
