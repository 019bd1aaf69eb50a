//! A host of its own for a director: a process in a network namespace. Needs root; without it a test says so.
#![allow(dead_code, reason = "no test needs all of it")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use director::Options;
use director::frame::{self, Decoder, Item};
use director::proto::{Reply, Request, Tagged};
use director_core::status::Status;
use nix::sched::{CloneFlags, setns, unshare};

/// Names the folder of a director that this very program is to be.
const FOLDER: &str = "DIRECTOR_TEST_FOLDER";

/// Longest wait for anything. The intervals of the tests are some hundred milliseconds; a busy machine stretches them.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the test `as_a_director` of each program does: it is a director when [`Node::start`] has started it.
pub(crate) fn as_a_director() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let options = Options {
        keepalived: folder.join("keepalived.conf"),
        router: folder.join("router.conf"),
        socket: folder.join("socket"),
        launcher: folder.join("launcher"),
    };
    let log = File::create(folder.join("log")).unwrap();
    let target = env_logger::Target::Pipe(Box::new(log));
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Info)
        .target(target)
        .init();
    if let Err(error) = director::run(&options) {
        log::error!("{error}");
        std::process::exit(1);
    }
}

/// One host.
pub(crate) struct Node {
    pub(crate) folder: PathBuf,
    pub(crate) namespace: File,
    child: Option<Child>,
}

impl Node {
    /// None without the right to make a namespace.
    pub(crate) fn new(folder: &Path, keepalived: &str, router: &str) -> Option<Self> {
        // A namespace lives for as long as somebody has it open; which thread made it does not matter.
        let made = std::thread::spawn(|| {
            Command::new("ip").arg("-V").output().ok()?;
            unshare(CloneFlags::CLONE_NEWNET).ok()?;
            File::open("/proc/thread-self/ns/net").ok()
        });
        let Some(namespace) = made.join().unwrap() else {
            skipped("a network namespace needs root and iproute2");
            return None;
        };
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("keepalived.conf"), keepalived).unwrap();
        fs::write(folder.join("router.conf"), router).unwrap();
        Some(Self {
            folder: folder.to_path_buf(),
            namespace,
            child: None,
        })
    }

    /// Runs a program in the namespace: a thread enters it, and its children are born there.
    pub(crate) fn inside<T: Send>(
        &self,
        command: &mut Command,
        run: impl FnOnce(&mut Command) -> T + Send,
    ) -> T {
        let enter = || {
            setns(&self.namespace, CloneFlags::CLONE_NEWNET).unwrap();
            run(command)
        };
        std::thread::scope(|scope| scope.spawn(enter).join()).unwrap()
    }

    pub(crate) fn ip(&self, arguments: &str) -> String {
        let output = self
            .inside(
                Command::new("ip").args(arguments.split(' ')),
                Command::output,
            )
            .expect("ip is installed");
        assert!(
            output.status.success(),
            "ip {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn has_address(&self, address: &str) -> bool {
        self.ip("address show dev eth0")
            .contains(&format!("inet {address} "))
    }

    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    pub(crate) fn start_with(&mut self, environment: &[(&str, &str)]) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "as_a_director", "--nocapture"])
            .env(FOLDER, &self.folder)
            .envs(environment.iter().copied());
        self.child = Some(self.inside(&mut command, Command::spawn).unwrap());
        let socket = self.folder.join("socket");
        wait_until("the control socket", || {
            UnixStream::connect(&socket).is_ok()
        });
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &id])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.take().unwrap().wait().unwrap()
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.folder.join("socket")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn ask(&self, request: Request) -> Reply {
        ask(&mut self.connect(), request)
    }

    pub(crate) fn status(&self) -> Status {
        match self.ask(Request::Status) {
            Reply::Status(status) => *status,
            reply => panic!("{reply:?}"),
        }
    }

    pub(crate) fn wait_for(&self, state: &str) {
        let what = format!("{} to be {state}", self.folder.display());
        wait_until(&what, || {
            self.status()
                .routers
                .first()
                .is_some_and(|router| router.state == state)
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "{}:\n{}",
                self.folder.display(),
                fs::read_to_string(self.folder.join("log")).unwrap_or_default()
            );
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn ask(stream: &mut UnixStream, request: Request) -> Reply {
    let frame = frame::encode(
        &Tagged {
            tag: 7,
            body: request,
        },
        frame::REQUEST_MAX,
    )
    .unwrap();
    stream.write_all(&frame).unwrap();
    let mut decoder = Decoder::new(frame::REPLY_MAX);
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).expect("an answer");
        assert!(length > 0, "the director closed the connection");
        let mut rest = &buffer[..length];
        if let Some(item) = decoder.next(&mut rest) {
            let Item::Frame(payload) = item else {
                panic!("{item:?}")
            };
            let reply: Tagged<Reply> = frame::decode(payload).unwrap();
            assert_eq!(reply.tag, 7);
            return reply.body;
        }
    }
}

/// Looks until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Says so past the test's captured output.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
