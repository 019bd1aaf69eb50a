//! QEMU's control socket (QEMU Machine Protocol): one JSON object a line, a greeting, then commands and answers.
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::limits::{ANSWER_BYTES_MAX, QMP_ANSWER_MAX};

/// A connection that is ready for commands.
pub(crate) struct Qmp {
    stream: BufReader<UnixStream>,
}

/// Why a command had no effect.
#[derive(Debug)]
pub enum QmpError {
    /// The socket failed; QEMU may have ended.
    Socket(io::Error),
    /// QEMU refused; what it said.
    Refused(String),
}

impl Qmp {
    /// Connects and leaves the negotiation mode.
    pub(crate) fn connect(path: &Path) -> Result<Self, QmpError> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(QMP_ANSWER_MAX))?;
        let mut qmp = Self {
            stream: BufReader::new(stream),
        };
        qmp.read()?; // the greeting
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns its answer; events that come in between are passed over.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes())?;
        loop {
            let mut answer = self.read()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let description = error
                    .get("desc")
                    .and_then(Value::as_str)
                    .unwrap_or("no reason given");
                return Err(QmpError::Refused(format!("{command}: {description}")));
            }
        }
    }

    fn read(&mut self) -> Result<Value, QmpError> {
        let mut line = Vec::new();
        (&mut self.stream)
            .take(ANSWER_BYTES_MAX as u64)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(QmpError::Socket(io::ErrorKind::UnexpectedEof.into()));
        }
        serde_json::from_slice(&line).map_err(|error| QmpError::Socket(io::Error::other(error)))
    }
}

impl From<io::Error> for QmpError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl fmt::Display for QmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) => write!(f, "QEMU's control socket: {error}"),
            Self::Refused(why) => write!(f, "QEMU refused {why}"),
        }
    }
}

impl std::error::Error for QmpError {}
