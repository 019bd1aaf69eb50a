//! A director that gives fixed answers, spoken to by the real protocol; a place for its socket; a pseudo terminal.

// Each test program uses its own part of this.
#![allow(dead_code, unreachable_pub)]
// A test may fail here as in its own lines.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use director::frame::{self, Decoder, Item};
use director::proto::{Checked, Reply, Request, Tagged};
use director_core::status::{LogLine, Status};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Long enough for a busy machine; a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the fake director asks for before it changes anything.
pub const SECRET: &str = "sesame";

/// The status it gives.
pub fn status() -> Status {
    serde_json::from_str(include_str!("../../src/console/golden/status.json")).unwrap()
}

/// The program under test.
pub fn keelson(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keelson"));
    command.args(arguments);
    command
}

/// A directory of a test's own.
pub struct Place(PathBuf);

impl Place {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "keelson-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file and says where it is.
    pub fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The fake director; it goes away when it is dropped, as a real one that is killed.
pub struct Director {
    path: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Default)]
struct State {
    clients: Vec<UnixStream>,
    requests: Vec<Request>,
    ended: bool,
}

impl Director {
    pub fn start(path: &str) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let director = Self {
            path: PathBuf::from(path),
            shared: Arc::default(),
        };
        let shared = Arc::clone(&director.shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let mut state = shared.state.lock().unwrap();
                if state.ended {
                    return;
                }
                state.clients.push(client.try_clone().unwrap());
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(client, &shared));
            }
        });
        director
    }

    /// What was asked so far, in order, without the questions about access.
    pub fn requests(&self) -> Vec<Request> {
        let state = self.shared.state.lock().unwrap();
        state
            .requests
            .iter()
            .filter(|request| **request != Request::Access)
            .cloned()
            .collect()
    }

    /// Waits until so much was asked, questions about access included.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize) {
        let state = self.shared.state.lock().unwrap();
        let few = |state: &mut State| state.requests.len() < count;
        let (state, waited) = self
            .shared
            .asked
            .wait_timeout_while(state, PATIENCE, few)
            .unwrap();
        assert!(!waited.timed_out(), "{} requests", state.requests.len());
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap();
        state.ended = true;
        for client in &state.clients {
            let _ = client.shutdown(Shutdown::Both);
        }
        drop(state);
        // Wakes the listener, which then ends.
        let _ = UnixStream::connect(&self.path);
        let _ = fs::remove_file(&self.path);
    }
}

fn serve(mut client: UnixStream, shared: &Shared) {
    let mut decoder = Decoder::new(frame::REQUEST_MAX);
    let mut chunk = [0; 1000];
    let mut authorized = false;
    while let Ok(count @ 1..) = client.read(&mut chunk) {
        let mut bytes = &chunk[..count];
        while let Some(item) = decoder.next(&mut bytes) {
            let Item::Frame(payload) = item else {
                panic!("{item:?}")
            };
            let request: Tagged<Request> = frame::decode(payload).unwrap();
            shared
                .state
                .lock()
                .unwrap()
                .requests
                .push(request.body.clone());
            shared.asked.notify_all();
            let reply = Tagged {
                tag: request.tag,
                body: answer(request.body, &mut authorized),
            };
            if client
                .write_all(&frame::encode(&reply, frame::REPLY_MAX).unwrap())
                .is_err()
            {
                return;
            }
        }
    }
}

fn answer(request: Request, authorized: &mut bool) -> Reply {
    let line = |sequence, text: &str| LogLine {
        sequence,
        at_us: sequence * 1_000_000,
        text: text.into(),
    };
    match request {
        request if request.changes() && !*authorized => Reply::Denied { wait_s: 0 },
        Request::Access => Reply::Access {
            secret: true,
            authorized: *authorized,
        },
        Request::Authorize { secret } => {
            *authorized = secret == SECRET;
            if *authorized {
                Reply::Done(String::new())
            } else {
                Reply::Denied { wait_s: 0 }
            }
        }
        Request::Leave => {
            *authorized = false;
            Reply::Done(String::new())
        }
        Request::Status => Reply::Status(Box::new(status())),
        Request::Log { lines: 1, .. } => Reply::Log(vec![line(2, "second")]),
        Request::Log { from: 0, .. } => Reply::Log(vec![line(1, "first"), line(2, "second")]),
        Request::Log { .. } => Reply::Log(Vec::new()),
        Request::ConfigShow { file } => Reply::Text(format!("# {file}\n")),
        Request::ConfigPut { text, .. } if text.contains("bad") => Reply::Checked(Checked {
            errors: 1,
            warnings: 0,
            lines: vec!["keepalived.conf:1:1: error: bad".into()],
        }),
        Request::Plan => Reply::Text("nothing would change".to_owned()),
        Request::ConfigCheck | Request::ConfigPut { .. } | Request::Reload => {
            Reply::Checked(Checked::default())
        }
        Request::Handover { router: Some(name) } if name != "VI_1" => {
            Reply::Error(format!("no virtual router {name}"))
        }
        Request::Handover { .. } => Reply::Done("handed over".into()),
        Request::Track { file, number } => Reply::Done(format!("{file} is at {number}")),
        Request::Dest { dest, .. } => Reply::Done(format!("{dest} is as you wish")),
        Request::LogLevel { level } => Reply::Done(format!("from {level} on")),
    }
}

/// A pseudo terminal: what is written to the master is typed at the slave.
pub struct Terminal {
    master: File,
    /// Kept open, so that the master can be read before and after the program under test has it open.
    slave: OwnedFd,
    seen: Vec<u8>,
}

impl Terminal {
    pub fn new() -> Self {
        let pair = nix::pty::openpty(None, None).unwrap();
        Self {
            master: File::from(pair.master),
            slave: pair.slave,
            seen: Vec::new(),
        }
    }

    /// The slave's path.
    pub fn path(&self) -> String {
        nix::unistd::ttyname(&self.slave)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// The slave's name below /dev.
    pub fn name(&self) -> String {
        Path::new(&self.path())
            .strip_prefix("/dev")
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// The master, for a program that is to be at that end.
    pub fn master(&self) -> OwnedFd {
        self.master.as_fd().try_clone_to_owned().unwrap()
    }

    pub fn slave(&self) -> &OwnedFd {
        &self.slave
    }

    pub fn types(&mut self, bytes: impl AsRef<[u8]>) {
        self.master.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads until this has come, and gives all that came up to its end.
    #[track_caller]
    pub fn expect(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self
                .seen
                .windows(wanted.len())
                .position(|window| window == wanted.as_bytes())
            {
                let came: Vec<u8> = self.seen.drain(..at + wanted.len()).collect();
                return String::from_utf8_lossy(&came).into_owned();
            }
            assert!(
                self.read(deadline),
                "no {wanted:?} in {:?}",
                String::from_utf8_lossy(&self.seen)
            );
        }
    }

    /// Reads until a frame has come; its payload.
    #[track_caller]
    pub fn expect_frame(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut decoder = Decoder::new(frame::REPLY_MAX);
            let mut bytes = self.seen.as_slice();
            while let Some(item) = decoder.next(&mut bytes) {
                if let Item::Frame(payload) = item {
                    let payload = payload.to_vec();
                    let rest = bytes.to_vec();
                    self.seen = rest;
                    return payload;
                }
            }
            assert!(
                self.read(deadline),
                "no frame in {:?}",
                String::from_utf8_lossy(&self.seen)
            );
        }
    }

    /// Takes what comes next; false at the deadline.
    fn read(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap();
        if poll(
            &mut [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)],
            timeout,
        ) == Ok(0)
        {
            return false;
        }
        let mut chunk = [0; 4096];
        let count = self.master.read(&mut chunk).unwrap();
        self.seen.extend_from_slice(&chunk[..count]);
        true
    }
}
