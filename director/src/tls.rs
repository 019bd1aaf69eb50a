//! TLS for the checks that want it: a thread without priority holds the sessions, the loop carries the bytes.
//!
//! A handshake is milliseconds of arithmetic, on small machines tens of them, and no advert waits for that. So what a
//! server sends goes to the thread as it is, and what comes back is either for the socket or for the core.

mod config;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use core::net::IpAddr;

use director_core::check::{Id, Tls, TlsError};
use mio::Waker;
use nix::errno::Errno;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use self::config::Configs;
use crate::limits;

/// All sessions, by the core's number of the attempt.
#[derive(Debug)]
pub struct Sessions {
    /// Where the files of the configuration are.
    folder: PathBuf,
    waker: Arc<Waker>,
    /// Started with the first session.
    worker: Option<Worker>,
    /// Those that have not ended.
    open: BTreeMap<Id, Open>,
}

#[derive(Debug)]
struct Open {
    /// What is needed to open it, while it has not begun.
    with: Option<(IpAddr, Box<Tls>)>,
    /// Orders that the thread has not answered.
    owed: u32,
}

#[derive(Debug)]
struct Worker {
    orders: SyncSender<(Id, Order)>,
    answers: Receiver<(Id, Answer)>,
}

#[derive(Debug)]
enum Order {
    Open(IpAddr, Box<Tls>),
    /// Bytes of the server.
    Hear(Vec<u8>),
    /// The server has sent all it had to send.
    End,
    /// Bytes for the server.
    Say(Vec<u8>),
    Drop,
}

/// What came of an order.
#[derive(Debug, Default)]
pub struct Answer {
    /// For the socket.
    pub wire: Vec<u8>,
    /// The handshake is over.
    pub ready: bool,
    /// What the server said.
    pub plain: Vec<u8>,
    /// The session is over, well or not.
    pub end: Option<Result<(), TlsError>>,
}

impl Sessions {
    /// No sessions yet. `waker` wakes the loop for [`Sessions::collect`].
    #[must_use]
    pub fn new(folder: PathBuf, waker: Arc<Waker>) -> Self {
        Self {
            folder,
            waker,
            worker: None,
            open: BTreeMap::new(),
        }
    }

    /// Keeps in mind that the connection of this attempt is to be secured.
    pub fn expect(&mut self, id: Id, server: IpAddr, tls: Box<Tls>) {
        let with = Some((server, tls));
        self.open.insert(id, Open { with, owed: 0 });
    }

    /// Whether the bytes of this attempt are TLS.
    #[must_use]
    pub fn has(&self, id: Id) -> bool {
        self.open.contains_key(&id)
    }

    /// Whether the thread has yet to answer for this attempt. Until then nothing more is read from its socket: who
    /// sends faster than the thread works is made to wait, and does not fill the thread's queue.
    #[must_use]
    pub fn is_busy(&self, id: Id) -> bool {
        self.open.get(&id).is_some_and(|open| open.owed > 0)
    }

    /// The connection is made: the handshake begins.
    ///
    /// # Errors
    /// When the thread has too much to do, or there can be none.
    pub fn begin(&mut self, id: Id) -> io::Result<()> {
        let open = self.open.get_mut(&id);
        match open.and_then(|open| open.with.take()) {
            Some((server, tls)) => self.order(id, Order::Open(server, tls)),
            None => Ok(()),
        }
    }

    /// The server sent bytes.
    ///
    /// # Errors
    /// As [`Sessions::begin`].
    pub fn hear(&mut self, id: Id, bytes: &[u8]) -> io::Result<()> {
        self.order(id, Order::Hear(bytes.to_vec()))
    }

    /// The server will send no more.
    ///
    /// # Errors
    /// As [`Sessions::begin`].
    pub fn end(&mut self, id: Id) -> io::Result<()> {
        self.order(id, Order::End)
    }

    /// Bytes for the server.
    ///
    /// # Errors
    /// As [`Sessions::begin`].
    pub fn say(&mut self, id: Id, bytes: Vec<u8>) -> io::Result<()> {
        self.order(id, Order::Say(bytes))
    }

    /// Nobody is interested any more.
    pub fn close(&mut self, id: Id) {
        if self.open.remove(&id).is_some() && self.worker.is_some() {
            // One that can't be told is forgotten with its next order.
            let _ = self.order(id, Order::Drop);
        }
    }

    /// What the thread has done since, of sessions that are still wanted; to be called when the waker has woken the
    /// loop.
    pub fn collect(&mut self) -> Vec<(Id, Answer)> {
        let Some(worker) = &self.worker else {
            return Vec::new();
        };
        let mut wanted = Vec::new();
        for (id, answer) in worker.answers.try_iter() {
            if let Some(open) = self.open.get_mut(&id) {
                open.owed = open.owed.saturating_sub(1);
                wanted.push((id, answer));
            }
        }
        wanted
    }

    fn order(&mut self, id: Id, order: Order) -> io::Result<()> {
        if self.worker.is_none() {
            let worker = Worker::start(self.folder.clone(), Arc::clone(&self.waker))?;
            self.worker = Some(worker);
        }
        let worker = self.worker.as_ref().ok_or(Errno::EAGAIN)?;
        let sent = worker.orders.try_send((id, order));
        sent.map_err(|_| Errno::EAGAIN)?;
        if let Some(open) = self.open.get_mut(&id) {
            open.owed += 1;
        }
        Ok(())
    }
}

impl Worker {
    fn start(folder: PathBuf, waker: Arc<Waker>) -> io::Result<Self> {
        let (orders, todo) = sync_channel::<(Id, Order)>(limits::TLS_ORDERS_MAX);
        let (done, answers) = sync_channel(limits::TLS_ORDERS_MAX);
        std::thread::Builder::new()
            .name("tls".to_string())
            .spawn(move || {
                crate::process::give_up_priority();
                let mut configs = Configs::new(folder);
                let mut sessions = Table::default();
                for (id, order) in todo {
                    let Some(answer) = sessions.follow(&mut configs, id, order) else {
                        continue;
                    };
                    if done.send((id, answer)).is_err() || waker.wake().is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self { orders, answers })
    }
}

/// The sessions of the thread.
#[derive(Default)]
struct Table {
    sessions: BTreeMap<Id, Session>,
    /// The order in which they began, so that one whose end was never told does not stay for ever.
    ages: BTreeSet<(u64, Id)>,
    begun: u64,
}

struct Session {
    connection: ClientConnection,
    ready: bool,
    /// A session that ends without saying so is broken (`tls_compliant`).
    compliant: bool,
    age: u64,
}

impl Table {
    fn follow(&mut self, configs: &mut Configs, id: Id, order: Order) -> Option<Answer> {
        let answer = match order {
            Order::Open(server, tls) => self.begin(configs, id, server, &tls),
            Order::Drop => {
                self.remove(id);
                return None;
            }
            Order::Hear(bytes) => self.sessions.get_mut(&id)?.hear(&bytes),
            Order::End => self.sessions.get_mut(&id)?.end(),
            Order::Say(bytes) => self.sessions.get_mut(&id)?.say(&bytes),
        };
        if answer.end.is_some() {
            self.remove(id);
        }
        Some(answer)
    }

    fn begin(&mut self, configs: &mut Configs, id: Id, server: IpAddr, tls: &Tls) -> Answer {
        let name = match &tls.name {
            Some(name) => ServerName::try_from(name.clone()).ok(),
            None => None,
        };
        let name = name.unwrap_or_else(|| ServerName::from(server));
        let made = configs.get(tls).and_then(|config| {
            let made = ClientConnection::new(config, name);
            made.map_err(|error| config::reason(&error))
        });
        let connection = match made {
            Ok(connection) => connection,
            Err(error) => return Answer::failed(error),
        };
        if self.sessions.len() >= limits::TLS_SESSIONS_MAX
            && let Some((_, oldest)) = self.ages.pop_first()
        {
            self.sessions.remove(&oldest);
        }
        self.begun += 1;
        self.ages.insert((self.begun, id));
        let mut session = Session {
            connection,
            ready: false,
            compliant: tls.compliant,
            age: self.begun,
        };
        let answer = session.answer();
        self.sessions.insert(id, session);
        answer
    }

    fn remove(&mut self, id: Id) {
        if let Some(session) = self.sessions.remove(&id) {
            self.ages.remove(&(session.age, id));
        }
    }
}

impl Session {
    fn hear(&mut self, mut bytes: &[u8]) -> Answer {
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            let read = self.connection.read_tls(&mut bytes);
            let state = match (read, self.connection.process_new_packets()) {
                (Ok(_), Ok(state)) => state,
                (_, Err(error)) => {
                    // The alert that says why goes out first.
                    let mut answer = self.answer();
                    answer.end = Some(Err(config::reason(&error)));
                    return answer;
                }
                (Err(_), Ok(_)) => return Answer::failed(TlsError::Protocol),
            };
            let mut piece = vec![0; state.plaintext_bytes_to_read()];
            if self.connection.reader().read_exact(&mut piece).is_ok() {
                plain.append(&mut piece);
            }
            if state.peer_has_closed() {
                let mut answer = self.answer();
                (answer.plain, answer.end) = (plain, Some(Ok(())));
                return answer;
            }
        }
        let mut answer = self.answer();
        answer.plain = plain;
        answer
    }

    /// The connection ended, without the session being ended before it.
    fn end(&mut self) -> Answer {
        Answer {
            end: Some(if self.compliant || !self.ready {
                Err(TlsError::Cut)
            } else {
                Ok(())
            }),
            ..Answer::default()
        }
    }

    fn say(&mut self, bytes: &[u8]) -> Answer {
        match self.connection.writer().write_all(bytes) {
            Ok(()) => self.answer(),
            Err(_) => Answer::failed(TlsError::Protocol),
        }
    }

    /// What is to go out, and whether the handshake ended just now.
    fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        while self.connection.wants_write() {
            if self.connection.write_tls(&mut answer.wire).is_err() {
                break;
            }
        }
        let over = !self.connection.is_handshaking();
        answer.ready = over && !core::mem::replace(&mut self.ready, over);
        answer
    }
}

impl Answer {
    fn failed(error: TlsError) -> Self {
        Self {
            end: Some(Err(error)),
            ..Self::default()
        }
    }
}
