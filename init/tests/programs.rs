//! Programs of the operator's, started by the real binary: what they are given, and how they end.

#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use director::exec::Programs;
use director_core::check::{Exit, Id, Owner, Program};
use director_core::config::Needed;
use director_core::time::{Duration, Instant};
use mio::{Events, Poll, Token, Waker};

const ID: Id = Id {
    index: 0,
    generation: 1,
};
const WORKER: Token = Token(1);
const PROGRAM: Token = Token(2);

#[test]
fn a_program_has_nothing_of_the_directors() {
    let mut stage = Stage::new("nothing");
    become_real_time();
    // SAFETY: 2 is open, and nobody else uses 50; unlike what std opens, it is not closed by exec.
    unsafe { libc::dup2(2, 50) };
    let seen = stage.folder.join("seen");
    let fields = "^(NoNewPrivs|CapEff|CapPrm|SigBlk|VmLck)";
    let script = format!(
        "{{ id -u; id -g; id -G; pwd; umask; env; grep -E '{fields}' /proc/self/status; \
         cut -d' ' -f41 /proc/self/stat; test -e /proc/$$/fd/50 || echo closed; echo \"$1|$2\"; \
         ps -o pgid= -p $$; echo $$; }} > {}",
        seen.display()
    );
    stage.script("look", &script);
    let exit = stage.run(&["a b", "c"]);
    assert_eq!(exit, Exit::Code(0));
    let text = fs::read_to_string(seen).unwrap();
    let mut lines = text.lines();
    for line in ["65534", "65534", "65534", "/", "0022"] {
        assert_eq!(lines.next(), Some(line), "{text}");
    }
    let rest: Vec<&str> = lines.collect();
    let has = |line: &str| assert!(rest.contains(&line), "{line} in {text}");
    has("PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    assert!(!text.contains("CARGO"), "the environment is empty: {text}");
    has("CapPrm:\t0000000000000000");
    has("CapEff:\t0000000000000000");
    has("SigBlk:\t0000000000000000");
    has("NoNewPrivs:\t1");
    has("VmLck:\t       0 kB");
    has("a b|c");
    let tail: Vec<&str> = rest.iter().rev().take(2).map(|line| line.trim()).collect();
    assert_eq!(tail[0], tail[1], "it leads its process group");
    has("0"); // SCHED_OTHER
    has("closed");
}

#[test]
fn each_end_is_told() {
    let mut stage = Stage::new("ends");
    for (script, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 1", Exit::Code(1)),
        ("exit 200", Exit::Code(200)),
        ("kill -SEGV $$", Exit::Signal(11)),
    ] {
        stage.script("look", script);
        assert_eq!(stage.run(&[]), exit, "{script}");
    }
    fs::set_permissions(stage.folder.join("look"), Permissions::from_mode(0o644)).unwrap();
    assert_eq!(stage.run(&[]), Exit::Code(126));
    fs::remove_file(stage.folder.join("look")).unwrap();
    assert_eq!(stage.run(&[]), Exit::Code(127));
}

#[test]
fn what_a_program_writes_is_heard_and_never_keeps_it_waiting() {
    let mut stage = Stage::new("says");
    // More than a pipe holds, to one and the other.
    stage.script(
        "look",
        "echo 'no route' >&2\ni=0\nwhile [ $i -lt 3000 ]; do echo 'some sixty bytes and more of this and that, \
         and then a bit'; i=$((i+1)); done\nexit 3",
    );
    assert_eq!(stage.run(&[]), Exit::Code(3));
    assert!(
        stage.said.starts_with("no route\nsome sixty"),
        "{}",
        stage.said
    );
    assert_eq!(stage.said.len(), 1024);
}

#[test]
fn a_program_that_does_not_end_is_ended_with_all_that_it_started() {
    let mut stage = Stage::new("deadline");
    let pids = stage.folder.join("pids");
    stage.script(
        "look",
        &format!(
            "trap '' TERM\nsleep 1000 &\necho $$ $! > {0}.new\nmv {0}.new {0}\nwait\nwhile :; do sleep 1000; done",
            pids.display()
        ),
    );
    let began = Instant::from_millis(0);
    stage.start(&[]);
    let text = loop {
        stage.step(began);
        if let Ok(text) = fs::read_to_string(&pids) {
            break text;
        }
    };
    stage.programs.close(began, ID);
    assert_eq!(stage.programs.progress(ID), None, "it ignores SIGTERM");
    let kill_at = stage.programs.next_timeout().unwrap();
    assert_eq!(kill_at.since(began), Duration::from_secs(2));
    stage.programs.handle_timeout(kill_at);
    for pid in text.split_whitespace() {
        while is_alive(pid) {
            stage.step(kill_at);
        }
    }
    assert_eq!(stage.programs.next_timeout(), None);
}

#[test]
fn what_is_left_of_a_program_ends_with_it() {
    let mut stage = Stage::new("left");
    let pid = stage.folder.join("pid");
    stage.script(
        "look",
        &format!("sleep 1000 &\necho $! > {}", pid.display()),
    );
    assert_eq!(stage.run(&[]), Exit::Code(0));
    let pid = fs::read_to_string(pid).unwrap();
    while is_alive(pid.trim()) {
        std::thread::yield_now();
    }
}

#[test]
fn a_configuration_that_names_what_is_not_there_is_refused() {
    let stage = Stage::new("absent");
    stage.script("good", "exit 0");
    stage.script("plain", "exit 0");
    fs::set_permissions(stage.folder.join("plain"), Permissions::from_mode(0o644)).unwrap();
    fs::write(stage.folder.join("foreign"), "#!/usr/bin/nonesuch -x\n").unwrap();
    fs::set_permissions(stage.folder.join("foreign"), Permissions::from_mode(0o755)).unwrap();
    let absent = |path: &str| {
        director::exec::absent(&stage.folder, Needed::Program, path).unwrap_or_default()
    };
    assert_eq!(absent("good"), "");
    assert_eq!(absent("/etc/keepalived/good"), "", "beside keepalived.conf");
    assert!(absent("/usr/bin/nonesuch").starts_with("is not there"));
    assert_eq!(absent("plain"), "is not executable");
    assert_eq!(absent("/"), "is not a file");
    assert!(absent("foreign").contains("/usr/bin/nonesuch, which is not there"));
}

#[test]
fn a_file_is_read_and_one_that_is_not_there_is_empty() {
    let mut stage = Stage::new("file");
    fs::write(stage.folder.join("number"), "  -7\n").unwrap();
    fs::create_dir(stage.folder.join("folder")).unwrap();
    let mut read = |name: &str| {
        let path = stage.folder.join(name);
        stage.programs.read(ID, path.to_str().unwrap()).unwrap();
        loop {
            let mut told = stage.collect(Instant::from_millis(0));
            if let Some((ID, text)) = told.pop() {
                return text;
            }
        }
    };
    assert_eq!(read("number"), Ok(b"  -7\n".to_vec()));
    assert_eq!(read("nonesuch"), Ok(Vec::new()));
    assert_eq!(read("folder"), Err(libc::EINVAL));
}

/// A folder with programs, and the loop around them.
struct Stage {
    folder: PathBuf,
    poll: Poll,
    programs: Programs,
    /// By the last program that has ended.
    said: String,
}

impl Stage {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("keelson-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), WORKER).unwrap());
        let launcher = Path::new(env!("CARGO_BIN_EXE_keelson")).to_path_buf();
        let programs = Programs::new(launcher, folder.clone(), waker);
        Self {
            folder,
            poll,
            programs,
            said: String::new(),
        }
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        // A new file: the old one may still be in use by the kernel.
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    fn start(&mut self, arguments: &[&str]) {
        let program = Program {
            path: "look".to_string(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            owner: Owner::NOBODY,
            dynamic: false,
        };
        self.programs.run(ID, &program).unwrap();
    }

    /// One turn of the loop; what has ended by then.
    fn step(&mut self, now: Instant) -> Option<Exit> {
        assert_eq!(self.collect(now), []);
        let (exit, said) = self.programs.progress(ID)?;
        self.said = String::from_utf8(said).unwrap();
        Some(exit)
    }

    fn collect(&mut self, now: Instant) -> Vec<(Id, Result<Vec<u8>, i32>)> {
        let mut events = Events::with_capacity(8);
        self.poll
            .poll(&mut events, Some(Duration::from_millis(50)))
            .unwrap();
        self.programs
            .collect(now, self.poll.registry(), |_| PROGRAM)
    }

    fn run(&mut self, arguments: &[&str]) -> Exit {
        self.start(arguments);
        loop {
            if let Some(exit) = self.step(Instant::from_millis(0)) {
                return exit;
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// As the director's loop is, where that is permitted.
fn become_real_time() {
    let parameter = libc::sched_param { sched_priority: 1 };
    // SAFETY: the kernel reads one sched_param, which outlives the call; 0 is this thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
}

/// A process that has ended but is not reaped is not alive.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    !state.is_empty() && !state.starts_with('Z')
}
