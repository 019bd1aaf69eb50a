//! Programs of the operator's: MISC_CHECK and what else runs a file that came with the configuration.
//!
//! The loop is real-time and its memory is locked; a fork of it would copy its page tables and hold it up. So a thread
//! without priority starts the programs, by `posix_spawn`, which shares the memory until the new program is in place;
//! and what it starts is not the program but this binary in the role of `launch`, which gives up what the program must
//! not have and then becomes the program. The loop itself only waits for a pidfd to become readable.
//!
//! Each program leads a process group. At its deadline the group gets SIGTERM, and SIGKILL 2 s later; what a program
//! leaves behind in its group ends with it.

pub mod launch;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use director_core::check::{Exit, Id, Program};
use director_core::config::Needed;
use director_core::time::{Instant, earliest};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token, Waker};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id as Waited, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::limits;

/// All programs that run, by the core's number of the attempt.
#[derive(Debug)]
pub struct Programs {
    /// This binary.
    launcher: PathBuf,
    /// Where a program without a path is: beside keepalived.conf.
    folder: PathBuf,
    waker: Arc<Waker>,
    /// Started with the first program: most nodes have none.
    worker: Option<Worker>,
    running: BTreeMap<Id, Running>,
}

#[derive(Debug)]
struct Worker {
    orders: SyncSender<(Id, Order)>,
    answers: Receiver<(Id, io::Result<Answer>)>,
}

/// What may take its time, and so is not for the loop.
#[derive(Debug)]
enum Order {
    Start(Box<Command>),
    Read(PathBuf),
}

#[derive(Debug)]
enum Answer {
    Started(Started),
    Text(Vec<u8>),
}

#[derive(Debug)]
struct Started {
    child: Child,
    /// Readable when the program has ended.
    pidfd: OwnedFd,
}

#[derive(Debug)]
struct Running {
    /// What it writes, to be read without waiting.
    output: PipeReader,
    /// The first of that.
    said: Vec<u8>,
    /// None while the worker starts it.
    started: Option<Started>,
    /// Nobody waits for it any more.
    dropped: bool,
    /// When it gets SIGKILL.
    kill_at: Option<Instant>,
}

impl Programs {
    /// No programs yet. `waker` wakes the loop for [`Programs::collect`].
    #[must_use]
    pub fn new(launcher: PathBuf, folder: PathBuf, waker: Arc<Waker>) -> Self {
        Self {
            launcher,
            folder,
            waker,
            worker: None,
            running: BTreeMap::new(),
        }
    }

    /// Lets a program be started.
    ///
    /// # Errors
    /// When too many run, or there can be no worker: then nothing is started.
    pub fn run(&mut self, id: Id, program: &Program) -> io::Result<()> {
        if self.running.len() >= limits::PROGRAMS_MAX {
            return Err(Errno::EAGAIN.into());
        }
        let mut command = Command::new(&self.launcher);
        let options = launch::Launch {
            user: program.owner.user,
            group: program.owner.group,
            program: place(&self.folder, &program.path),
            arguments: program.arguments.iter().map(Into::into).collect(),
        };
        command
            .args(options.words())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .process_group(0);
        let output = output(&mut command)?;
        self.order(id, Order::Start(Box::new(command)))?;
        let running = Running {
            output,
            said: Vec::new(),
            started: None,
            dropped: false,
            kill_at: None,
        };
        self.running.insert(id, running);
        Ok(())
    }

    /// Lets a file be read.
    ///
    /// # Errors
    /// When the worker has too much to do, or there can be none.
    pub fn read(&mut self, id: Id, path: &str) -> io::Result<()> {
        let path = place(&self.folder, path);
        self.order(id, Order::Read(path))
    }

    fn order(&mut self, id: Id, order: Order) -> io::Result<()> {
        if self.worker.is_none() {
            self.worker = Some(Worker::start(Arc::clone(&self.waker))?);
        }
        let worker = self.worker.as_ref().ok_or(Errno::EAGAIN)?;
        let sent = worker.orders.try_send((id, order));
        sent.map_err(|_| Errno::EAGAIN.into())
    }

    /// Takes what the worker has done, to be called when the waker has woken the loop. Gives the texts of files, and
    /// the errno of what could not be done.
    pub fn collect(
        &mut self,
        now: Instant,
        registry: &Registry,
        token: impl Fn(Id) -> Token,
    ) -> Vec<(Id, Result<Vec<u8>, i32>)> {
        let mut told = Vec::new();
        let Some(worker) = &self.worker else {
            return told;
        };
        let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
        for (id, answer) in worker.answers.try_iter() {
            let started = match answer {
                Ok(Answer::Text(text)) => {
                    told.push((id, Ok(text)));
                    continue;
                }
                Ok(Answer::Started(started)) => Ok(started),
                Err(error) => Err(error),
            };
            let Some(running) = self.running.get_mut(&id) else {
                told.extend(started.err().map(|error| (id, Err(errno(error)))));
                continue;
            };
            let registered = started.and_then(|started| {
                let fds = [started.pidfd.as_raw_fd(), running.output.as_raw_fd()];
                running.started = Some(started);
                let register =
                    |fd| registry.register(&mut SourceFd(&fd), token(id), Interest::READABLE);
                fds.into_iter().try_for_each(register)
            });
            if let Err(error) = registered {
                let dropped = running.dropped;
                if let Some(running) = self.running.remove(&id) {
                    running.kill();
                }
                if !dropped {
                    told.push((id, Err(errno(error))));
                }
            } else if running.dropped {
                running.end(now);
            }
        }
        told
    }

    /// Looks after a program that has written something, or ended; its end, when somebody waits for it, with the first
    /// bytes that it wrote.
    pub fn progress(&mut self, id: Id) -> Option<(Exit, Vec<u8>)> {
        let running = self.running.get_mut(&id)?;
        running.hear();
        let started = running.started.as_mut()?;
        let pid = Waited::Pid(Pid::from_raw(started.child.id().cast_signed()));
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if let Ok(WaitStatus::StillAlive) = waitid(pid, look) {
            return None;
        }
        // As long as it is not reaped, its number is not another process's.
        started.signal(Signal::SIGKILL);
        let status = started.child.try_wait().ok().flatten()?;
        let running = self.running.remove(&id)?;
        (!running.dropped).then(|| (exit(status), running.said))
    }

    /// Ends a program that nobody waits for any more, if it runs.
    pub fn close(&mut self, now: Instant, id: Id) {
        if let Some(running) = self.running.get_mut(&id) {
            running.dropped = true;
            running.end(now);
        }
    }

    /// When [`Programs::handle_timeout`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let times = self.running.values().map(|running| running.kill_at);
        times.fold(None, earliest)
    }

    /// Kills those that did not end when they were told to.
    pub fn handle_timeout(&mut self, now: Instant) {
        for running in self.running.values_mut() {
            if running.kill_at.is_some_and(|at| at <= now) {
                running.kill_at = None;
                running.signal(Signal::SIGKILL);
            }
        }
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for (_, running) in core::mem::take(&mut self.running) {
            running.kill();
        }
    }
}

impl Worker {
    fn start(waker: Arc<Waker>) -> io::Result<Self> {
        let (orders, jobs) = sync_channel::<(Id, Order)>(limits::ORDERS_MAX);
        let (done, answers) = sync_channel(limits::ORDERS_MAX);
        std::thread::Builder::new()
            .name("programs".to_string())
            .spawn(move || {
                crate::process::give_up_priority();
                for (id, order) in jobs {
                    let answer = match order {
                        Order::Start(mut command) => start(&mut command).map(Answer::Started),
                        Order::Read(path) => read(&path).map(Answer::Text),
                    };
                    if done.send((id, answer)).is_err() || waker.wake().is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self { orders, answers })
    }
}

/// The beginning of a file; of one that is not there, nothing. A pipe or a device is not waited for.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match file {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Err(Errno::EINVAL.into());
    }
    let mut text = Vec::new();
    let most = director_core::limits::FILE_NUMBER_MAX as u64;
    file.take(most).read_to_end(&mut text)?;
    Ok(text)
}

fn start(command: &mut Command) -> io::Result<Started> {
    let child = command.spawn()?;
    // SAFETY: the call takes two numbers and gives a descriptor that nobody else owns, or an error. The number is that
    // of a child that has not been waited for.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    let pidfd = i32::try_from(fd).ok().filter(|fd| *fd >= 0);
    match pidfd {
        Some(fd) => {
            // SAFETY: it was just opened.
            let pidfd = unsafe { OwnedFd::from_raw_fd(fd) };
            Ok(Started { child, pidfd })
        }
        None => {
            let error = io::Error::last_os_error();
            let mut child = child;
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

/// A pipe for all that a command writes.
fn output(command: &mut Command) -> io::Result<PipeReader> {
    let (reader, writer) = io::pipe()?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    command.stdout(writer.try_clone()?).stderr(writer);
    Ok(reader)
}

impl Running {
    /// Takes what it has written, so that it need not wait, and keeps the first of it. At most as much as a pipe holds:
    /// who writes on makes the pipe readable again.
    fn hear(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..limits::OUTPUT_READS {
            match self.output.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    let room = limits::OUTPUT_MAX.saturating_sub(self.said.len());
                    let read = buffer.get(..length.min(room));
                    self.said.extend_from_slice(read.unwrap_or_default());
                }
            }
        }
    }

    /// Tells it to end, once.
    fn end(&mut self, now: Instant) {
        if self.started.is_some() && self.kill_at.is_none() {
            self.kill_at = Some(now + limits::PROGRAM_KILL_AFTER);
            self.signal(Signal::SIGTERM);
        }
    }

    /// Kills it at once and waits for its end, which follows within the kernel.
    fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        if let Some(started) = &mut self.started {
            let _ = started.child.wait();
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(started) = &self.started {
            started.signal(signal);
        }
    }
}

impl Started {
    /// To the whole group; one that has ended already is no fault.
    fn signal(&self, signal: Signal) {
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), signal);
    }
}

/// Where keepalived.conf is on most machines.
const USUAL_FOLDER: &str = "/etc/keepalived";

/// Where a program is that a configuration in `folder` names: a name is that of a file beside keepalived.conf, and so
/// is a path in keepalived's usual folder, so that a configuration can be tried elsewhere.
pub(crate) fn place(folder: &Path, path: &str) -> PathBuf {
    let path = Path::new(path);
    let full = folder.join(path.strip_prefix(USUAL_FOLDER).unwrap_or(path));
    // The launcher runs elsewhere.
    std::path::absolute(&full).unwrap_or(full)
}

/// What is wrong with a program that a configuration in `folder` names; none when it can be run.
#[must_use]
pub fn absent(folder: &Path, needed: Needed, path: &str) -> Option<String> {
    let full = place(folder, path);
    let wrong = |text: &str| Some(text.to_string());
    let metadata = match std::fs::metadata(&full) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Some(format!("is not there: no file {}", full.display()));
        }
        Err(error) => return Some(format!("can't be looked at: {error}")),
    };
    // What its user may is not known here; that somebody may is the least.
    if !metadata.is_file() {
        return wrong("is not a file");
    }
    if needed == Needed::File {
        return None;
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return wrong("is not executable");
    }
    let interpreter = interpreter(&full).ok().flatten()?;
    (!interpreter.exists()).then(|| {
        let interpreter = interpreter.display();
        format!("is a script for {interpreter}, which is not there: ship a static program instead")
    })
}

/// The program behind `#!`.
fn interpreter(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut head = [0; 256]; // as much as the kernel reads (linux/binfmts.h, BINPRM_BUF_SIZE)
    let mut file = std::fs::File::open(path)?;
    let length = file.read(&mut head)?;
    let line = head.get(..length).unwrap_or_default();
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let word = line.strip_prefix(b"#!").map(<[u8]>::trim_ascii_start);
    let word = word.and_then(|rest| rest.split(u8::is_ascii_whitespace).next());
    Ok(word.map(|word| PathBuf::from(OsStr::from_bytes(word))))
}

fn exit(status: ExitStatus) -> Exit {
    let byte = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(byte(code)),
        (None, signal) => Exit::Signal(byte(signal.unwrap_or_default())),
    }
}
