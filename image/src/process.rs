//! Programs of the host: run, or named with the package that brings them.

use std::io;
use std::process::{Command, Stdio};

use crate::Error;

/// How much of a failed program's last words an error carries.
const SAID_LEN: usize = 2000;

/// Runs `command` to its end and returns what it wrote to its standard output. `packages` is what to install when
/// the program is not there.
pub fn output(command: &mut Command, packages: &'static [&'static str]) -> Result<String, Error> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| start_error(command, packages, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(failed(
        command,
        &format!("{}\n{}", output.status, tail(&text)),
    ))
}

/// Like [`output`], but what the program writes goes to the standard error stream as it comes.
pub fn run(command: &mut Command, packages: &'static [&'static str]) -> Result<(), Error> {
    let command = command.stdin(Stdio::null()).stdout(io::stderr());
    let status = command
        .status()
        .map_err(|error| start_error(command, packages, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(failed(command, &status.to_string()))
    }
}

fn start_error(command: &Command, packages: &'static [&'static str], error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        Error::Missing {
            program: command.get_program().to_string_lossy().into_owned(),
            packages,
        }
    } else {
        failed(command, &error.to_string())
    }
}

fn failed(command: &Command, said: &str) -> Error {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let command = words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    Error::Program {
        command,
        said: said.trim_end().to_owned(),
    }
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(SAID_LEN);
    text.get(text.ceil_char_boundary(from)..)
        .unwrap_or_default()
}
