//! The questions of an operator at a shell.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::time::Duration;

use director::proto::{self, Reply, Request};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

use super::transport::Connection;
use super::{Config, ConfigWhat, FAILED, FINE, File, Log, Node, Status, WRONG, print};
use crate::console::render;

/// A secret is at most this long; one line of a file or of a terminal.
const SECRET_MAX: usize = 1024;

/// `keelson status`.
pub(super) fn status(options: &Status) -> u8 {
    asked(&options.node, &Request::Status, |reply| match reply {
        Reply::Status(status) if options.json => Ok(render::json(options.part, &status) + "\n"),
        Reply::Status(status) => Ok(render::text(options.part, &status)),
        other => Err(other),
    })
}

/// `keelson log`.
pub(super) fn log(options: &Log) -> u8 {
    let request = Request::Log {
        lines: options.lines.min(proto::LOG_LINES_MAX),
        from: 0,
    };
    asked(&options.node, &request, |reply| match reply {
        Reply::Log(lines) if options.json => Ok(render::log_json(&lines) + "\n"),
        Reply::Log(lines) => Ok(render::log(&lines)),
        other => Err(other),
    })
}

/// `keelson config`.
pub(super) fn config(options: &Config) -> u8 {
    let file = match options.file {
        File::Keepalived => proto::File::Keepalived,
        File::Router => proto::File::Router,
    };
    match options.what {
        ConfigWhat::Show => asked(
            &options.node,
            &Request::ConfigShow { file },
            |reply| match reply {
                Reply::Text(text) => Ok(render::visible(&text)),
                other => Err(other),
            },
        ),
        ConfigWhat::Check => checked(&options.node, &Request::ConfigCheck, options.json, "fine\n"),
    }
}

/// `keelson reload`.
pub(super) fn reload(node: &Node) -> u8 {
    checked(node, &Request::Reload, false, "in force\n")
}

/// `keelson handover`.
pub(super) fn handover(router: Option<String>, node: &Node) -> u8 {
    asked(node, &Request::Handover { router }, |reply| match reply {
        Reply::Done(text) => Ok(render::wrapped(&text)),
        other => Err(other),
    })
}

/// A question about the configuration: its errors are the exit status.
fn checked(node: &Node, request: &Request, json: bool, good: &str) -> u8 {
    let mut errors = 0;
    let status = asked(node, request, |reply| match reply {
        Reply::Checked(checked) => {
            errors = checked.errors;
            Ok(if json {
                render::checked_json(&checked) + "\n"
            } else {
                render::checked(&checked, good)
            })
        }
        other => Err(other),
    });
    if errors > 0 { WRONG } else { status }
}

/// Asks, and prints the answer as `show` puts it, or why there is none.
fn asked(node: &Node, request: &Request, show: impl FnOnce(Reply) -> Result<String, Reply>) -> u8 {
    match ask(node, request).map(show) {
        Ok(Ok(text)) => {
            print(&text);
            FINE
        }
        Ok(Err(Reply::Denied { wait_s: 0 })) => complain("the secret is wrong", WRONG),
        Ok(Err(Reply::Denied { wait_s })) => complain(
            &format!("not accepted; the next secret is looked at in {wait_s} s"),
            WRONG,
        ),
        Ok(Err(Reply::Error(text))) => complain(&render::ascii(&text), WRONG),
        Ok(Err(_)) => complain("the node gave an answer to another question", FAILED),
        Err(failure) => complain(&failure, FAILED),
    }
}

fn complain(text: &str, status: u8) -> u8 {
    eprintln!("keelson: {text}");
    status
}

/// Asks, and shows the secret when the node wants it.
fn ask(node: &Node, request: &Request) -> Result<Reply, String> {
    let patience = Duration::from_secs(node.timeout.into());
    let mut connection =
        Connection::open(node.place(), patience).map_err(|failure| failure.to_string())?;
    let mut put = |request: &Request| {
        connection
            .ask(request)
            .map_err(|failure| failure.to_string())
    };
    let first = put(request)?;
    if !request.changes() || first != (Reply::Denied { wait_s: 0 }) {
        return Ok(first);
    }
    let secret = secret(node)?;
    let shown = put(&Request::Authorize { secret })?;
    if !matches!(shown, Reply::Done(_)) {
        return Ok(shown);
    }
    let reply = put(request)?;
    // On a serial line the node's end of the connection would else stay authorized for some seconds.
    put(&Request::Leave)?;
    Ok(reply)
}

fn secret(node: &Node) -> Result<String, String> {
    let (secret, place) = match &node.secret_file {
        Some(path) => (fs::read_to_string(path), path.display().to_string()),
        None => (
            typed_secret(),
            "the secret (--secret-file FILE holds it)".to_owned(),
        ),
    };
    let secret = secret.map_err(|error| format!("{place}: {error}"))?;
    let line = secret.lines().next().unwrap_or_default();
    if line.is_empty() || line.len() > SECRET_MAX {
        return Err(format!("{place}: no secret"));
    }
    Ok(line.to_owned())
}

/// Asks for the secret on the terminal, whatever standard input is.
fn typed_secret() -> io::Result<String> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut quiet = before.clone();
    // Without signals, so that ^C can't leave the terminal without echo.
    quiet.local_flags &= !(LocalFlags::ECHO | LocalFlags::ISIG);
    tcsetattr(&terminal, SetArg::TCSAFLUSH, &quiet)?;
    let mut line = String::new();
    let read = terminal
        .write_all(b"secret: ")
        .and_then(|()| BufReader::new(&terminal).read_line(&mut line));
    tcsetattr(&terminal, SetArg::TCSANOW, &before)?;
    terminal.write_all(b"\n")?;
    read?;
    if line.contains('\u{3}') {
        return Err(io::ErrorKind::Interrupted.into());
    }
    Ok(line)
}
