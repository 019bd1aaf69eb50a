//! The control socket: a few programs at a time, each in turn asking and being answered, in frames.
//!
//! Nothing here waits for a client. It is asked for its next request only when it has taken the answer to the last
//! one, so it can hold no more memory than one request and one reply; who takes nothing for long is dropped.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use director_core::time::{Instant, earliest};
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry};
use nix::sys::stat::{Mode, umask};

use crate::frame::{self, Decoder, Item, REPLY_MAX, REQUEST_MAX};
use crate::limits;
use crate::proto::{Reply, Request, Tagged};
use crate::token::Key;

/// The listener and its clients.
#[derive(Debug)]
pub(crate) struct Ctl {
    path: PathBuf,
    listener: UnixListener,
    clients: BTreeMap<u32, Client>,
    next: u32,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    decoder: Decoder,
    /// What was read and not decoded yet, from `decoded` on.
    inbox: Vec<u8>,
    decoded: usize,
    /// What is to be sent, from `sent` on.
    outbox: Vec<u8>,
    sent: usize,
    /// When it last took something, or was given something to take.
    moved_at: Instant,
    authorized: bool,
}

/// What a client that is ready brought.
#[derive(Debug)]
pub(crate) enum Received {
    /// Nothing until the next readiness.
    Nothing,
    /// A request; there may be more when it has been answered.
    Request(Tagged<Request>),
    /// Something that is no request: the answer is sent by [`Ctl`] itself; there may be more.
    Refused,
}

impl Ctl {
    /// Listens at `path`, for the owner of the process alone. A file that a former director left is replaced.
    ///
    /// # Errors
    /// `AddrInUse` when another director listens there, otherwise what the file system says.
    pub(crate) fn open(path: &Path, registry: &Registry) -> io::Result<Self> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        match StdUnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            Err(_) => {}
        }
        // The mask, not a later chmod: at no moment may somebody else connect.
        let before = umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(path);
        umask(before);
        let mut listener = listener?;
        registry.register(&mut listener, Key::Listener.token(), Interest::READABLE)?;
        Ok(Self {
            path: path.to_path_buf(),
            listener,
            clients: BTreeMap::new(),
            next: 0,
        })
    }

    /// Takes the clients that have come; those beyond [`limits::CLIENTS_MAX`] are closed at once.
    pub(crate) fn accept(&mut self, registry: &Registry, now: Instant) {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    log::warn!("control socket: {error}");
                    return;
                }
            };
            if self.clients.len() >= limits::CLIENTS_MAX {
                log::warn!(
                    "more than {} clients at the control socket",
                    limits::CLIENTS_MAX
                );
                continue;
            }
            let number = self.next;
            self.next = self.next.wrapping_add(1);
            let token = Key::Client(number).token();
            if let Err(error) =
                registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)
            {
                log::warn!("control socket: {error}");
                continue;
            }
            self.clients.insert(number, Client::new(stream, now));
        }
    }

    /// Goes on with a client that is ready. One that has closed, or broke the rules, is dropped.
    pub(crate) fn receive(&mut self, number: u32, now: Instant, buffer: &mut [u8]) -> Received {
        let Some(client) = self.clients.get_mut(&number) else {
            return Received::Nothing;
        };
        client.receive(now, buffer).unwrap_or_else(|error| {
            log::debug!("control client {number}: {error}");
            self.clients.remove(&number);
            Received::Nothing
        })
    }

    /// Answers a request. What the client does not take at once is sent when it is ready.
    pub(crate) fn reply(&mut self, number: u32, now: Instant, reply: &Tagged<Reply>) {
        self.reply_with(number, now, framed(reply));
    }

    /// The same with an answer that is in its frame already.
    pub(crate) fn reply_with(&mut self, number: u32, now: Instant, frame: Vec<u8>) {
        let Some(client) = self.clients.get_mut(&number) else {
            return;
        };
        client.reply(now, frame);
        if let Err(error) = client.flush(now) {
            log::debug!("control client {number}: {error}");
            self.clients.remove(&number);
        }
    }

    /// Whether a client has shown the secret.
    pub(crate) fn is_authorized(&self, number: u32) -> bool {
        self.clients
            .get(&number)
            .is_some_and(|client| client.authorized)
    }

    /// Notes that a client has shown the secret, or gives up what it may.
    pub(crate) fn set_authorized(&mut self, number: u32, authorized: bool) {
        if let Some(client) = self.clients.get_mut(&number) {
            client.authorized = authorized;
        }
    }

    /// When the next client is to be dropped, should it not move.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.clients
            .values()
            .fold(None, |next, client| earliest(next, client.stalls_at()))
    }

    /// Drops the clients that have not moved.
    pub(crate) fn drop_stalled(&mut self, now: Instant) {
        self.clients.retain(|number, client| {
            let stalled = client.stalls_at().is_some_and(|at| at <= now);
            if stalled {
                log::warn!("control client {number} takes nothing of its answer and is dropped");
            }
            !stalled
        });
    }
}

impl Drop for Ctl {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Client {
    fn new(stream: UnixStream, now: Instant) -> Self {
        Self {
            stream,
            decoder: Decoder::new(REQUEST_MAX),
            inbox: Vec::new(),
            decoded: 0,
            outbox: Vec::new(),
            sent: 0,
            moved_at: now,
            authorized: false,
        }
    }

    fn receive(&mut self, now: Instant, buffer: &mut [u8]) -> io::Result<Received> {
        self.flush(now)?;
        // Its next request has to wait until it has taken the answer to the last one.
        if !self.outbox.is_empty() {
            return Ok(Received::Nothing);
        }
        loop {
            if let Some(received) = self.decode(now) {
                return Ok(received);
            }
            match self.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    self.inbox = buffer.get(..length).unwrap_or_default().to_vec();
                    self.decoded = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Received::Nothing);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The next request out of what was read.
    fn decode(&mut self, now: Instant) -> Option<Received> {
        let mut rest = self.inbox.get(self.decoded..)?;
        let refusal = loop {
            let before = rest.len();
            let item = self.decoder.next(&mut rest);
            self.decoded += before - rest.len();
            match item? {
                Item::Text(_) => {}
                Item::Frame(payload) => match frame::decode::<Tagged<Request>>(payload) {
                    Ok(request) => return Some(Received::Request(request)),
                    Err(error) => break error,
                },
                Item::Bad(error) => break error,
            }
        };
        // Which request it was is not known: tag 0.
        let body = Reply::Error(refusal.to_string());
        self.reply(now, framed(&Tagged { tag: 0, body }));
        Some(Received::Refused)
    }

    fn reply(&mut self, now: Instant, frame: Vec<u8>) {
        self.outbox.extend(frame);
        self.moved_at = now;
    }

    fn flush(&mut self, now: Instant) -> io::Result<()> {
        while let Some(rest @ [_, ..]) = self.outbox.get(self.sent..) {
            match self.stream.write(rest) {
                Ok(length) => {
                    self.sent += length;
                    self.moved_at = now;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        // A long answer's memory is given back.
        self.outbox = Vec::new();
        self.sent = 0;
        Ok(())
    }

    fn stalls_at(&self) -> Option<Instant> {
        (!self.outbox.is_empty()).then(|| self.moved_at + limits::CLIENT_STALL_MAX)
    }
}

/// An answer in its frame; one that is too long becomes an error.
pub(crate) fn framed(reply: &Tagged<Reply>) -> Vec<u8> {
    let frame = frame::encode(reply, REPLY_MAX).or_else(|error| {
        let body = Reply::Error(format!("the answer can't be sent: {error}"));
        let tag = reply.tag;
        frame::encode(&Tagged { tag, body }, REPLY_MAX)
    });
    frame.unwrap_or_else(|error| {
        log::error!("an answer that can't be written: {error}");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use mio::Poll;

    use super::*;

    const NOW: Instant = Instant::from_millis(1000);

    #[test]
    fn requests_are_answered_one_by_one_and_what_is_no_request_is_refused() {
        let (mut ctl, poll) = listening("requests");
        let mut peer = StdUnixStream::connect(&ctl.path).unwrap();
        let ask = |tag, body| frame::encode(&Tagged { tag, body }, REQUEST_MAX).unwrap();
        let mut broken = ask(9, Request::Status);
        broken[3] ^= 0x40;
        let bytes = [ask(1, Request::Status), broken, ask(2, Request::Leave)].concat();
        peer.write_all(&bytes).unwrap();
        ctl.accept(poll.registry(), NOW);
        let mut buffer = [0; 256];
        let first = ctl.receive(0, NOW, &mut buffer);
        assert!(matches!(
            first,
            Received::Request(Tagged {
                tag: 1,
                body: Request::Status
            })
        ));
        ctl.reply(
            0,
            NOW,
            &Tagged {
                tag: 1,
                body: Reply::Done("a".into()),
            },
        );
        assert!(matches!(
            ctl.receive(0, NOW, &mut buffer),
            Received::Refused
        ));
        let second = ctl.receive(0, NOW, &mut buffer);
        assert!(matches!(
            second,
            Received::Request(Tagged {
                tag: 2,
                body: Request::Leave
            })
        ));
        assert!(matches!(
            ctl.receive(0, NOW, &mut buffer),
            Received::Nothing
        ));
        let replies = read_replies(&mut peer, 2);
        assert_eq!(
            replies[0],
            Tagged {
                tag: 1,
                body: Reply::Done("a".into())
            }
        );
        assert!(matches!(
            replies[1],
            Tagged {
                tag: 0,
                body: Reply::Error(_)
            }
        ));
        drop(peer);
        assert!(matches!(
            ctl.receive(0, NOW, &mut buffer),
            Received::Nothing
        ));
        assert!(ctl.clients.is_empty());
    }

    #[test]
    fn a_client_that_takes_nothing_is_asked_nothing_and_is_dropped() {
        let (mut ctl, poll) = listening("stalled");
        let mut peer = StdUnixStream::connect(&ctl.path).unwrap();
        let request = frame::encode(
            &Tagged {
                tag: 1,
                body: Request::Status,
            },
            REQUEST_MAX,
        )
        .unwrap();
        peer.write_all(&[request.clone(), request].concat())
            .unwrap();
        ctl.accept(poll.registry(), NOW);
        let mut buffer = [0; 256];
        assert!(matches!(
            ctl.receive(0, NOW, &mut buffer),
            Received::Request(_)
        ));
        ctl.reply(
            0,
            NOW,
            &Tagged {
                tag: 1,
                body: Reply::Text("x".repeat(8 << 20)),
            },
        );
        assert!(matches!(
            ctl.receive(0, NOW, &mut buffer),
            Received::Nothing
        ));
        let stalls_at = ctl.next_timeout().unwrap();
        assert_eq!(stalls_at, NOW + limits::CLIENT_STALL_MAX);
        ctl.drop_stalled(NOW);
        assert_eq!(ctl.clients.len(), 1);
        ctl.drop_stalled(stalls_at);
        assert!(ctl.clients.is_empty() && ctl.next_timeout().is_none());
    }

    #[test]
    fn there_is_one_director_and_a_bounded_number_of_clients() {
        use std::os::unix::fs::PermissionsExt;
        let (mut ctl, poll) = listening("bounded");
        let mode = std::fs::metadata(&ctl.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Ctl::open(&ctl.path, poll.registry()).map(|_| ());
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let connect = || StdUnixStream::connect(&ctl.path).unwrap();
        let _peers: Vec<_> = (0..=limits::CLIENTS_MAX).map(|_| connect()).collect();
        ctl.accept(poll.registry(), NOW);
        assert_eq!(ctl.clients.len(), limits::CLIENTS_MAX);
    }

    #[test]
    fn the_socket_of_a_dead_director_is_replaced() {
        let path = std::env::temp_dir().join(format!("director-ctl-{}/dead", std::process::id()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let poll = Poll::new().unwrap();
        let ctl = Ctl::open(&path, poll.registry()).unwrap();
        assert!(StdUnixStream::connect(&path).is_ok());
        drop(ctl);
        assert!(!path.exists());
    }

    fn listening(name: &str) -> (Ctl, Poll) {
        let path = std::env::temp_dir().join(format!("director-ctl-{}/{name}", std::process::id()));
        let poll = Poll::new().unwrap();
        (Ctl::open(&path, poll.registry()).unwrap(), poll)
    }

    fn read_replies(peer: &mut StdUnixStream, count: usize) -> Vec<Tagged<Reply>> {
        let (mut decoder, mut replies) = (Decoder::new(REPLY_MAX), Vec::new());
        while replies.len() < count {
            let mut buffer = [0; 64];
            let length = peer.read(&mut buffer).unwrap();
            assert!(length > 0);
            let mut rest = &buffer[..length];
            while let Some(item) = decoder.next(&mut rest) {
                let Item::Frame(payload) = item else {
                    panic!("{item:?}")
                };
                replies.push(frame::decode(payload).unwrap());
            }
        }
        replies
    }
}
