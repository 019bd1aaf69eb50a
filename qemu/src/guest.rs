//! The near end of the agent in a guest: asks, and waits for the answer.
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use lab_agent::{Answer, Call, Reply, Request};

use crate::limits::{AGENT_ANSWER_MAX, ANSWER_BYTES_MAX};

/// A guest's agent.
pub(crate) struct Agent {
    node: String,
    stream: BufReader<UnixStream>,
    last_id: u64,
}

/// Why a guest gave no answer.
#[derive(Debug)]
pub enum GuestError {
    /// The line to the agent failed, or no answer came in time.
    Line {
        /// Whose agent.
        node: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The agent could not do what was asked.
    Refused {
        /// Whose agent.
        node: String,
        /// Its reason.
        why: String,
    },
    /// A shell command ended with a status other than 0.
    Failed {
        /// Where.
        node: String,
        /// The command.
        command: String,
        /// Its exit status.
        status: i32,
        /// What it printed.
        output: String,
    },
}

impl Agent {
    /// Connects to the guest's second serial port. The agent may not be there yet: see [`Agent::wait_until_there`].
    pub(crate) fn connect(node: &str, path: &Path) -> Result<Self, GuestError> {
        let line_error = |source| GuestError::Line {
            node: node.to_owned(),
            source,
        };
        let stream = UnixStream::connect(path).map_err(line_error)?;
        Ok(Self {
            node: node.to_owned(),
            stream: BufReader::new(stream),
            last_id: 0,
        })
    }

    /// Asks again and again until the agent answers: what was sent before the guest had opened its port is lost.
    pub(crate) fn wait_until_there(&mut self, timeout: Duration) -> Result<(), GuestError> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.ask(Request::Ping, Duration::from_secs(1)) {
                Err(GuestError::Line { ref source, .. })
                    if is_timeout(source) && Instant::now() < deadline => {}
                outcome => return outcome.map(drop),
            }
        }
    }

    /// Asks and waits for the answer. `patience` is for what the request itself takes, beyond the time that any takes.
    pub(crate) fn request(
        &mut self,
        request: Request,
        patience: Duration,
    ) -> Result<Reply, GuestError> {
        self.ask(request, AGENT_ANSWER_MAX + patience)
    }

    fn ask(&mut self, request: Request, timeout: Duration) -> Result<Reply, GuestError> {
        self.last_id += 1;
        let call = Call {
            id: self.last_id,
            request,
        };
        let answer = self.exchange(&call, Instant::now() + timeout);
        let answer = answer.map_err(|source| GuestError::Line {
            node: self.node.clone(),
            source,
        })?;
        answer.result.map_err(|why| GuestError::Refused {
            node: self.node.clone(),
            why,
        })
    }

    fn exchange(&mut self, call: &Call, deadline: Instant) -> io::Result<Answer> {
        let mut line = serde_json::to_vec(call)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line)?;
        let mut line = Vec::new();
        loop {
            let left = deadline
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1));
            self.stream.get_ref().set_read_timeout(Some(left))?;
            // What came before a timeout stays in `line`, and would be lost if a later call had to go on with it: the
            // agent writes a line at once, so a call that has timed out in the middle of one is not worth going on.
            let room = ANSWER_BYTES_MAX.saturating_sub(line.len()) as u64;
            (&mut self.stream).take(room).read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // Noise and late answers to calls that were given up are passed over.
            match serde_json::from_slice::<Answer>(&line) {
                Ok(answer) if answer.id == call.id => return Ok(answer),
                _ => line.clear(),
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { node, source } if is_timeout(source) => {
                write!(f, "{node}: the agent did not answer in time")
            }
            Self::Line { node, source } => write!(f, "{node}: agent: {source}"),
            Self::Refused { node, why } => write!(f, "{node}: agent: {why}"),
            Self::Failed {
                node,
                command,
                status,
                output,
            } => {
                write!(
                    f,
                    "{node}: \"{command}\" ended with status {status}:\n{output}"
                )
            }
        }
    }
}

impl std::error::Error for GuestError {}
