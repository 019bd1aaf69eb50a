//! A machine's serial console, from the far end of the line: wait for text, send lines, ask commands.
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::limits::{CONSOLE_BYTES_MAX, CONSOLE_TAIL_LINES};

/// How much of a command's echo is looked for.
const ECHO_CHARS: usize = 20;

/// A serial console. Text is matched without carriage returns and escape sequences, and only once: each `expect`
/// goes on where the last one stopped.
pub struct Console {
    node: String,
    path: PathBuf,
    /// How an answer ends: with a prompt of either kind, `host> ` or, where it may change things, `host# `.
    ends: [String; 2],
    shared: Arc<Shared>,
    line: Mutex<Option<UnixStream>>,
}

/// What an `expect` has found.
#[derive(Clone, Debug)]
pub struct Seen {
    /// All text since the last match, up to the end of this one.
    pub text: String,
    /// When the end of the match came in.
    pub at: Instant,
}

/// Why there is no answer from a console.
#[derive(Debug)]
pub enum ConsoleError {
    /// The expected text did not come.
    TimedOut {
        /// Whose console.
        node: String,
        /// What was expected.
        expected: String,
        /// How long.
        waited: Duration,
        /// The last lines that came.
        tail: String,
    },
    /// The machine is off, or somebody else has the line.
    Closed {
        /// Whose console.
        node: String,
        /// The last lines that came.
        tail: String,
    },
    /// The line can't be opened or written to.
    Line {
        /// Whose console.
        node: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// An answer that should have been one line of JSON.
    NotJson {
        /// Whose console.
        node: String,
        /// The command.
        command: String,
        /// What came instead.
        answer: String,
    },
}

#[derive(Default)]
struct Shared {
    text: Mutex<Text>,
    changed: Condvar,
}

/// The end of what came, in positions counted from the first byte ever.
#[derive(Default)]
struct Text {
    kept: String,
    kept_from: usize,
    matched_to: usize,
    /// Up to which position the text had come at which moment.
    arrivals: VecDeque<(usize, Instant)>,
    escape: Escape,
    /// Bytes of a character that is not whole yet.
    partial: Vec<u8>,
    open: bool,
}

impl Console {
    /// A console whose line is the Unix socket at `path`, not opened yet. `hostname` is what its prompt begins with.
    pub fn new(node: &str, path: &Path, hostname: &str) -> Self {
        Self {
            node: node.to_owned(),
            path: path.to_owned(),
            ends: [format!("\n{hostname}> "), format!("\n{hostname}# ")],
            shared: Arc::default(),
            line: Mutex::default(),
        }
    }

    /// Opens the line. Nothing happens when it is open.
    pub fn open(&self) -> Result<(), ConsoleError> {
        let mut line = self.line();
        if line.is_some() && self.shared.text().open {
            return Ok(());
        }
        let stream = UnixStream::connect(&self.path).map_err(|source| self.line_error(source))?;
        let reader = stream
            .try_clone()
            .map_err(|source| self.line_error(source))?;
        self.shared.text().open = true;
        let shared = Arc::clone(&self.shared);
        thread::Builder::new()
            .name(format!("console {}", self.node))
            .spawn(move || shared.read_from(reader))
            .map_err(|source| self.line_error(source))?;
        *line = Some(stream);
        Ok(())
    }

    /// Gives the line away, for somebody else to use: only one at a time can have it.
    pub fn release(&self) {
        if let Some(stream) = self.line().take() {
            // The far end may be gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        let mut text = self.shared.text();
        while text.open {
            text = self
                .shared
                .changed
                .wait(text)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Waits until `pattern` comes, and takes all text up to its end.
    pub fn expect(&self, pattern: &str, timeout: Duration) -> Result<Seen, ConsoleError> {
        self.expect_any(&[pattern], timeout).map(|(_, seen)| seen)
    }

    /// Waits until one of `patterns` comes; its index, and all text up to its end.
    pub fn expect_any(
        &self,
        patterns: &[&str],
        timeout: Duration,
    ) -> Result<(usize, Seen), ConsoleError> {
        let deadline = Instant::now() + timeout;
        let mut text = self.shared.text();
        loop {
            if let Some(found) = text.take_match(patterns) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let tail = text.tail(CONSOLE_TAIL_LINES);
            if !text.open {
                return Err(ConsoleError::Closed {
                    node: self.node.clone(),
                    tail,
                });
            }
            if left.is_zero() {
                let (node, expected) = (self.node.clone(), patterns.join("\" or \""));
                return Err(ConsoleError::TimedOut {
                    node,
                    expected,
                    waited: timeout,
                    tail,
                });
            }
            let woken = self.shared.changed.wait_timeout(text, left);
            text = woken.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }

    /// Sends a line, with the carriage return that a terminal's Enter key sends.
    pub fn send_line(&self, line: &str) -> Result<(), ConsoleError> {
        self.send(format!("{line}\r").as_bytes())
    }

    /// Sends bytes as they are.
    pub fn send(&self, bytes: &[u8]) -> Result<(), ConsoleError> {
        let mut line = self.line();
        let Some(stream) = line.as_mut() else {
            return Err(ConsoleError::Closed {
                node: self.node.clone(),
                tail: self.tail(),
            });
        };
        stream
            .write_all(bytes)
            .map_err(|source| self.line_error(source))
    }

    /// Sends a command at the prompt and returns what it prints, without the echo and the next prompt.
    pub fn command(&self, command: &str, timeout: Duration) -> Result<String, ConsoleError> {
        let deadline = Instant::now() + timeout;
        self.skip();
        self.send_line(command)?;
        // Prompts may still be on their way that earlier keys have asked for: the answer begins behind the echo, of
        // which a line editor shows at least the end.
        let echo: String = command
            .chars()
            .skip(command.chars().count().saturating_sub(ECHO_CHARS))
            .collect();
        self.expect(&format!("{echo}\n"), timeout)?;
        let ends = self.ends.each_ref().map(|end| end.trim_start_matches('\n'));
        let mut answer = String::new();
        loop {
            let (which, seen) =
                self.expect_any(&ends, deadline.saturating_duration_since(Instant::now()))?;
            answer.push_str(&seen.text);
            let end = ends.get(which).copied().unwrap_or_default();
            let output = answer.strip_suffix(end).unwrap_or(&answer);
            // A prompt stands at the beginning of a line; elsewhere it is part of the answer.
            if output.is_empty() || output.ends_with('\n') {
                return Ok(output.trim_end_matches('\n').to_owned());
            }
        }
    }

    /// A command whose answer is one line of JSON. Log lines may stand before it and after it.
    pub fn json(
        &self,
        command: &str,
        timeout: Duration,
    ) -> Result<serde_json::Value, ConsoleError> {
        let answer = self.command(command, timeout)?;
        let is_structure = |value: &serde_json::Value| value.is_object() || value.is_array();
        let found = answer
            .lines()
            .find_map(|line| serde_json::from_str(line.trim()).ok().filter(is_structure));
        let (node, command) = (self.node.clone(), command.to_owned());
        found.ok_or(ConsoleError::NotJson {
            node,
            command,
            answer,
        })
    }

    /// Presses Enter until the prompt shows, as a person does who has just plugged in.
    pub fn wait_for_prompt(&self, timeout: Duration) -> Result<Seen, ConsoleError> {
        let deadline = Instant::now() + timeout;
        loop {
            self.send(b"\r")?;
            let patience = deadline
                .saturating_duration_since(Instant::now())
                .min(Duration::from_secs(2));
            match self
                .expect_any(&self.ends.each_ref().map(String::as_str), patience)
                .map(|(_, seen)| seen)
            {
                Err(ConsoleError::TimedOut {
                    node,
                    expected,
                    tail,
                    ..
                }) if Instant::now() >= deadline => {
                    return Err(ConsoleError::TimedOut {
                        node,
                        expected,
                        waited: timeout,
                        tail,
                    });
                }
                Err(ConsoleError::TimedOut { .. }) => {}
                outcome => return outcome,
            }
        }
    }

    /// Passes over all text that is there: what is expected next must come from now on.
    pub fn skip(&self) {
        let mut text = self.shared.text();
        text.matched_to = text.end();
    }

    /// The last lines that came, matched or not.
    pub fn tail(&self) -> String {
        self.shared.text().tail(CONSOLE_TAIL_LINES)
    }

    fn line(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.line
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn line_error(&self, source: io::Error) -> ConsoleError {
        ConsoleError::Line {
            node: self.node.clone(),
            source,
        }
    }
}

impl Shared {
    fn text(&self) -> MutexGuard<'_, Text> {
        self.text
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn read_from(&self, mut stream: UnixStream) {
        let mut bytes = [0; 4096];
        loop {
            match stream.read(&mut bytes) {
                Ok(count) if count > 0 => {
                    self.text().append(bytes.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                _ => break,
            }
            self.changed.notify_all();
        }
        self.text().open = false;
        self.changed.notify_all();
    }
}

impl Text {
    fn end(&self) -> usize {
        self.kept_from + self.kept.len()
    }

    fn append(&mut self, bytes: &[u8]) {
        self.partial.extend(
            bytes
                .iter()
                .copied()
                .filter(|byte| self.escape.is_text(*byte)),
        );
        let whole = match std::str::from_utf8(&self.partial) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.partial.len(),
        };
        let rest = self.partial.split_off(whole);
        self.kept.push_str(&String::from_utf8_lossy(&self.partial));
        self.partial = rest;
        self.arrivals.push_back((self.end(), Instant::now()));
        if self.kept.len() > CONSOLE_BYTES_MAX {
            self.forget_half();
        }
    }

    fn forget_half(&mut self) {
        let half = self.kept.len() / 2;
        let cut = (half..self.kept.len())
            .find(|at| self.kept.is_char_boundary(*at))
            .unwrap_or(self.kept.len());
        self.kept.drain(..cut);
        self.kept_from += cut;
        self.matched_to = self.matched_to.max(self.kept_from);
        while self
            .arrivals
            .front()
            .is_some_and(|(to, _)| *to <= self.kept_from)
        {
            self.arrivals.pop_front();
        }
    }

    /// The match that ends first.
    fn take_match(&mut self, patterns: &[&str]) -> Option<(usize, Seen)> {
        let unmatched = self.kept.get(self.matched_to - self.kept_from..)?;
        let ends = patterns
            .iter()
            .map(|pattern| unmatched.find(pattern).map(|at| at + pattern.len()));
        let (length, index) = ends
            .enumerate()
            .filter_map(|(index, end)| Some((end?, index)))
            .min()?;
        let text = unmatched.get(..length)?.to_owned();
        self.matched_to += length;
        let arrival = self.arrivals.iter().find(|(to, _)| *to >= self.matched_to);
        Some((
            index,
            Seen {
                text,
                at: arrival.map_or_else(Instant::now, |(_, at)| *at),
            },
        ))
    }

    fn tail(&self, lines: usize) -> String {
        let start = self
            .kept
            .rmatch_indices('\n')
            .nth(lines)
            .map_or(0, |(at, _)| at + 1);
        self.kept.get(start..).unwrap_or_default().to_owned()
    }
}

/// Where in an escape sequence (ECMA-48) the text is.
#[derive(Default)]
enum Escape {
    #[default]
    Outside,
    Begun,
    Control,
}

impl Escape {
    /// Whether a byte is text, rather than a carriage return, a bell or part of an escape sequence.
    fn is_text(&mut self, byte: u8) -> bool {
        match (&self, byte) {
            (Self::Outside, 0x1b) => *self = Self::Begun,
            (Self::Outside, b'\r' | 0x07 | 0x00) => {}
            (Self::Outside, _) => return true,
            (Self::Begun, b'[') => *self = Self::Control,
            (Self::Begun, _) | (Self::Control, 0x40..=0x7e) => *self = Self::Outside,
            (Self::Control, _) => {}
        }
        false
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("node", &self.node)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut {
                node,
                expected,
                waited,
                tail,
            } => {
                let seconds = waited.as_secs_f64();
                write!(
                    f,
                    "{node}: no \"{}\" within {seconds:.1} s; the console's last lines:\n{tail}",
                    expected.trim()
                )
            }
            Self::Closed { node, tail } => {
                write!(f, "{node}: the console is closed; its last lines:\n{tail}")
            }
            Self::Line { node, source } => write!(f, "{node}: console: {source}"),
            Self::NotJson {
                node,
                command,
                answer,
            } => write!(f, "{node}: \"{command}\" gave no JSON but:\n{answer}"),
        }
    }
}

impl std::error::Error for ConsoleError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    const WAIT: Duration = Duration::from_secs(20);

    /// A console and the machine's end of its line.
    fn connected(name: &str) -> (Console, UnixStream) {
        let path =
            std::env::temp_dir().join(format!("keelson-console-{name}-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let console = Console::new("d1", &path, "director1");
        console.open().unwrap();
        let machine = listener.accept().unwrap().0;
        std::fs::remove_file(path).unwrap();
        (console, machine)
    }

    #[test]
    fn each_match_goes_on_where_the_last_one_stopped() {
        let (console, mut machine) = connected("match");
        machine.write_all(b"one two one three").unwrap();
        assert_eq!(console.expect("one", WAIT).unwrap().text, "one");
        assert_eq!(console.expect("one", WAIT).unwrap().text, " two one");
        assert_eq!(console.expect_any(&["four", "three"], WAIT).unwrap().0, 1);
    }

    #[test]
    fn a_command_returns_its_output_without_echo_prompt_and_colours() {
        let (console, mut machine) = connected("command");
        let player = thread::spawn(move || {
            let mut line = [0; 7];
            machine.read_exact(&mut line).unwrap();
            assert_eq!(&line, b"status\r");
            machine
                .write_all(b"\r\x1b[Kdirector1> status\r\n\x1b[1mnode\x1b[0m d")
                .unwrap();
            machine.write_all(b"irector1\r\nup\r\ndirector1> ").unwrap();
            machine
        });
        assert_eq!(
            console.command("status", WAIT).unwrap(),
            "node director1\nup"
        );
        drop(player.join().unwrap());
    }

    #[test]
    fn prompts_that_earlier_keys_asked_for_are_not_taken_for_the_end_of_an_answer() {
        let (console, mut machine) = connected("stale");
        let player = thread::spawn(move || {
            let mut line = [0; 7];
            machine.read_exact(&mut line).unwrap();
            machine
                .write_all(b"\r\ndirector1> \r\ndirector1# status\r\nwell\r\ndirector1# ")
                .unwrap();
            machine
        });
        assert_eq!(console.command("status", WAIT).unwrap(), "well");
        drop(player.join().unwrap());
    }

    #[test]
    fn a_timeout_shows_the_last_lines() {
        let (console, mut machine) = connected("timeout");
        machine.write_all(b"booting\nKernel panic\n").unwrap();
        console.expect("booting", WAIT).unwrap();
        let error = console
            .expect("director1>", Duration::from_millis(50))
            .unwrap_err()
            .to_string();
        assert!(error.contains("Kernel panic"), "{error}");
    }

    #[test]
    fn a_closed_line_ends_the_wait() {
        let (console, machine) = connected("closed");
        drop(machine);
        assert!(matches!(
            console.expect("never", WAIT),
            Err(ConsoleError::Closed { .. })
        ));
    }

    #[test]
    fn text_that_came_long_ago_is_forgotten_and_positions_stay_true() {
        let mut text = Text::default();
        for number in 0..200_000 {
            text.append(format!("line {number}\n").as_bytes());
        }
        assert!(text.kept.len() <= CONSOLE_BYTES_MAX);
        assert!(text.take_match(&["line 199999\n"]).is_some());
        assert!(text.take_match(&["line 199999\n"]).is_none());
    }
}
