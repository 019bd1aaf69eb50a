//! The console at a pseudo terminal, in front of a director that is fake and a protocol that is real.
#![allow(clippy::unwrap_used)] // in what the tests share

mod fake;

use std::process::{Child, Stdio};

use director::frame;
use director::proto::{Reply, Request, Tagged};
use fake::{Director, Place, Terminal, keelson, status};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;

/// A running console; it ends with the test.
struct Console(Child);

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn console(terminal: &mut Terminal, socket: &str) -> Console {
    let child = keelson(&["console", "--tty", &terminal.name(), "--socket", socket])
        .spawn()
        .unwrap();
    let console = Console(child);
    terminal.expect("`help` lists the commands");
    terminal.expect("> ");
    console
}

fn asked(tag: u32, body: Request) -> Vec<u8> {
    frame::encode(&Tagged { tag, body }, frame::REQUEST_MAX).unwrap()
}

#[test]
fn a_person_and_a_program_share_one_line() {
    let place = Place::new();
    let _director = Director::start(&place.path("socket"));
    let mut terminal = Terminal::new();
    let _console = console(&mut terminal, &place.path("socket"));

    terminal.types("routers json\r");
    terminal.expect("routers json\r\n");
    let line = terminal.expect("\r\n");
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["node"], "lb1");
    assert_eq!(value["routers"][1]["state"], "Backup");
    terminal.expect("> ");

    // The program speaks in the middle of what the person types.
    terminal.types("interf");
    terminal.expect("interf");
    terminal.types(asked(7, Request::Status));
    let reply: Tagged<Reply> = frame::decode(&terminal.expect_frame()).unwrap();
    assert_eq!(
        reply,
        Tagged {
            tag: 7,
            body: Reply::Status(Box::new(status()))
        }
    );
    terminal.types("aces\r");
    terminal.expect("52:54:00:4b:00:11  1500 10.77.0.11/24");
    terminal.expect("> ");
}

#[test]
fn a_frame_that_can_not_be_read_is_answered_and_the_line_lives_on() {
    let place = Place::new();
    let _director = Director::start(&place.path("socket"));
    let mut terminal = Terminal::new();
    let _console = console(&mut terminal, &place.path("socket"));
    let mut damaged = asked(1, Request::Status);
    damaged[4] ^= 0x40;
    terminal.types(&damaged);
    let reply: Tagged<Reply> = frame::decode(&terminal.expect_frame()).unwrap();
    assert_eq!(reply.tag, 0);
    assert!(matches!(reply.body, Reply::Error(_)));
    terminal.types(asked(2, Request::Log { lines: 1, from: 0 }));
    let reply: Tagged<Reply> = frame::decode(&terminal.expect_frame()).unwrap();
    assert_eq!(reply.tag, 2);
    terminal.types("\0\0log 1\r");
    terminal.expect("[        2.000] second");
    terminal.expect("> ");
}

#[test]
fn the_secret_of_the_person_is_not_the_programs() {
    let place = Place::new();
    let director = Director::start(&place.path("socket"));
    let mut terminal = Terminal::new();
    let _console = console(&mut terminal, &place.path("socket"));
    terminal.types("reload\r");
    terminal.expect("secret: ");
    terminal.types("sesame\r");
    terminal.expect("0 errors, 0 warnings: in force\r\n");
    terminal.expect("# ");
    terminal.types(asked(1, Request::Reload));
    let reply: Tagged<Reply> = frame::decode(&terminal.expect_frame()).unwrap();
    assert_eq!(reply.body, Reply::Denied { wait_s: 0 });
    terminal.types("config load keepalived\r");
    terminal.expect("ends it");
    terminal.types("global_defs {\r\n}\r\n.\r\n");
    terminal.expect("kept in memory");
    terminal.expect("# ");
    terminal.types("reboot\r");
    terminal.expect("PID 1 of this machine is not keelson");
    let file = director::proto::File::Keepalived;
    let put = Request::ConfigPut {
        file,
        text: "global_defs {\n}\n".into(),
    };
    assert!(director.requests().contains(&put));
}

#[test]
fn the_console_outlives_the_director() {
    let place = Place::new();
    let socket = place.path("socket");
    let mut terminal = Terminal::new();
    let _console = console(&mut terminal, &socket);
    terminal.types("status\r");
    terminal.expect("the director is not running (PID 1 restarts it)\r\n");
    terminal.expect("> ");
    terminal.types(asked(3, Request::Status));
    let reply: Tagged<Reply> = frame::decode(&terminal.expect_frame()).unwrap();
    let Reply::Error(text) = reply.body else {
        panic!("{reply:?}")
    };
    assert!(text.contains("not running"), "{text}");
    for _ in 0..2 {
        let director = Director::start(&socket);
        terminal.types("log 1\r");
        terminal.expect("second\r\n");
        terminal.expect("> ");
        drop(director);
        terminal.types("log 1\r");
        terminal.expect("not running");
        terminal.expect("> ");
    }
}

#[test]
fn a_line_that_nobody_reads_stops_nothing() {
    let place = Place::new();
    let director = Director::start(&place.path("socket"));
    let mut terminal = Terminal::new();
    let _console = console(&mut terminal, &place.path("socket"));
    // More than the console keeps for a line: each command is answered by 7 KB, and none of it is read yet.
    for _ in 0..300 {
        terminal.types("status json\r");
    }
    director.wait_for_requests(300);
    terminal.expect("bytes not shown: the line is too slow]");
    terminal.types("log 1\r");
    terminal.expect("second");
}

#[test]
fn hostile_bytes_leave_a_prompt() {
    let place = Place::new();
    let _director = Director::start(&place.path("socket"));
    let mut terminal = Terminal::new();
    let mut console = console(&mut terminal, &place.path("socket"));
    let mut state = 1_u32;
    for _ in 0..200 {
        let noise: Vec<u8> = (0..100)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        terminal.types(noise);
    }
    // Ends whatever the noise has begun: a frame, a sequence, a paste.
    terminal.types("\0\0x\r\x03\x03help reload\r");
    terminal.expect("With an error in them the configuration in force stays.");
    assert!(console.0.try_wait().unwrap().is_none());
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_as_before() {
    let place = Place::new();
    let mut terminal = Terminal::new();
    let before = tcgetattr(terminal.slave()).unwrap();
    let mut console = console(&mut terminal, &place.path("socket"));
    assert!(
        !tcgetattr(terminal.slave())
            .unwrap()
            .local_flags
            .contains(LocalFlags::ICANON)
    );
    kill(Pid::from_raw(console.0.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(console.0.wait().unwrap().success());
    assert_eq!(tcgetattr(terminal.slave()).unwrap(), before);
}

#[test]
fn the_end_of_the_input_ends_it() {
    let place = Place::new();
    let console = keelson(&["console", "--stdio", "--socket", &place.path("socket")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = console.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("`help` lists the commands")
    );
}
