//! What an operator's program and the director say to each other, on the control socket and through the console on a
//! serial line: each [`Request`] is answered by one [`Reply`], in order, each in a [`crate::frame`] of its own.
//!
//! The messages are postcard: a new variant goes to the end, and what changes in another way raises
//! [`crate::frame::VERSION`]. Who speaks another version gets a [`Reply::Error`] in ours.

use core::fmt;

use director_core::event::Level;
use director_core::overrides::Wish;
use director_core::status::{LogLine, Status};
use serde::{Deserialize, Serialize};

/// Where the director listens on the node.
pub const SOCKET: &str = "/run/keelson/director.sock";

/// Lines of the log in one reply; the director keeps no more.
pub const LOG_LINES_MAX: u32 = director_core::limits::EVENTS_MAX as u32;

/// A message with the number by which its asker finds the answer: on a serial line the answer to a question that was
/// given up may still be on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tagged<T> {
    /// Chosen by the asker; the reply carries the same.
    pub tag: u32,
    /// The message.
    pub body: T,
}

/// What can be asked of the director.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// [`Reply::Access`]: does this connection need the secret?
    Access,
    /// Show the secret: [`Reply::Done`] or [`Reply::Denied`]. It counts for this connection.
    Authorize {
        /// As router.conf has it.
        secret: String,
    },
    /// Give up what [`Request::Authorize`] gave: [`Reply::Done`].
    Leave,
    /// [`Reply::Status`].
    Status,
    /// [`Reply::Log`]: the last `lines` events whose number is at least `from`, oldest first.
    Log {
        /// At most [`LOG_LINES_MAX`] are sent.
        lines: u32,
        /// 0 for all; the number after the last one seen to follow.
        from: u64,
    },
    /// [`Reply::Text`]: a configuration file as it would be read by a reload.
    ConfigShow {
        /// Which.
        file: File,
    },
    /// [`Reply::Checked`]: what a reload would say of the files.
    ConfigCheck,
    /// Check a new text for one of the files together with the other one: [`Reply::Checked`]. Without errors it takes
    /// the file's place, in memory, and counts from the next reload on. Needs the secret.
    ConfigPut {
        /// Which.
        file: File,
        /// The whole text.
        text: String,
    },
    /// Read the files and take them when they have no errors: [`Reply::Checked`]. Needs the secret.
    Reload,
    /// Give up Active, of one virtual router or of all: [`Reply::Done`]. Needs the secret.
    Handover {
        /// Name of the `vrrp_instance`.
        router: Option<String>,
    },
    /// What a reload would change: [`Reply::Text`], or [`Reply::Checked`] when the files have errors.
    Plan,
    /// Let something hold for one dest, against the configuration: [`Reply::Done`]. Needs the secret.
    Dest {
        /// `10.0.0.100:80`, `tcp/10.0.0.100:80`, `fwm/7`, or the name of a group.
        service: String,
        /// `10.0.0.11` or `10.0.0.11:80`.
        dest: String,
        /// What.
        wish: Wish,
    },
    /// Write a number to the file of a `track_file`: [`Reply::Done`]. Needs the secret.
    Track {
        /// Name of the `track_file`.
        file: String,
        /// What is to stand in the file.
        number: i64,
    },
    /// Log only what matters so much on the node, until the director ends: [`Reply::Done`]. Needs the secret.
    LogLevel {
        /// The least.
        level: Level,
    },
}

impl Request {
    /// Whether it changes something and so needs the secret where router.conf sets one.
    #[must_use]
    pub const fn changes(&self) -> bool {
        matches!(
            self,
            Self::ConfigPut { .. }
                | Self::Reload
                | Self::Handover { .. }
                | Self::Dest { .. }
                | Self::Track { .. }
                | Self::LogLevel { .. }
        )
    }
}

impl fmt::Debug for Request {
    /// Names the request without its texts: a secret must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access => f.write_str("Access"),
            Self::Authorize { .. } => f.write_str("Authorize"),
            Self::Leave => f.write_str("Leave"),
            Self::Status => f.write_str("Status"),
            Self::Log { lines, from } => write!(f, "Log {lines} from {from}"),
            Self::ConfigShow { file } => write!(f, "ConfigShow {file}"),
            Self::ConfigCheck => f.write_str("ConfigCheck"),
            Self::Plan => f.write_str("Plan"),
            Self::ConfigPut { file, text } => write!(f, "ConfigPut {file}, {} bytes", text.len()),
            Self::Reload => f.write_str("Reload"),
            Self::Dest {
                service,
                dest,
                wish,
            } => write!(f, "Dest {service} {dest} {wish:?}"),
            Self::Track { file, number } => write!(f, "Track {file} {number}"),
            Self::LogLevel { level } => write!(f, "LogLevel {level}"),
            Self::Handover { router } => {
                write!(f, "Handover {}", router.as_deref().unwrap_or("all"))
            }
        }
    }
}

/// One of the two configuration files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum File {
    /// keepalived.conf.
    Keepalived,
    /// router.conf.
    Router,
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keepalived => "keepalived.conf",
            Self::Router => "router.conf",
        })
    }
}

/// The director's answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// How this connection stands.
    Access {
        /// router.conf sets a secret.
        secret: bool,
        /// Requests that change something are taken from this connection.
        authorized: bool,
    },
    /// The node at this moment.
    Status(Box<Status>),
    /// Events, oldest first.
    Log(Vec<LogLine>),
    /// A text as it stands in a file.
    Text(String),
    /// What was found in the configuration.
    Checked(Checked),
    /// It has been done, in words.
    Done(String),
    /// The secret is missing, or wrong.
    Denied {
        /// Seconds for which no further secret is looked at; 0 when one may be shown at once.
        wait_s: u32,
    },
    /// It can't be done, in words.
    Error(String),
}

/// The outcome of reading the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Errors; above 0 nothing was changed.
    pub errors: u32,
    /// Warnings.
    pub warnings: u32,
    /// The diagnostics as text, each beginning `FILE:LINE:COLUMN:`, at most [`CHECKED_LINES_MAX`] lines.
    pub lines: Vec<String>,
}

/// Lines of diagnostics in one reply: more than anybody reads at a console.
pub const CHECKED_LINES_MAX: usize = 1000;
