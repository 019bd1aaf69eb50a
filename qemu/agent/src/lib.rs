//! What the lab and its agent inside a guest say to each other, and what the agent does when asked.
//!
//! One line of JSON per [`Call`] on the way in, one line per [`Answer`] on the way out, over the guest's second
//! serial port. Calls are answered in order; what takes long (a probe, open streams) is started by one call and
//! reported by another. All times are taken inside the guest from its monotonic clock: under emulation a guest's
//! clock drifts from the host's, so the two are never subtracted from each other.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub mod agent;
mod http;
mod load;
mod probe;
mod streams;
mod talks;

/// Bounds of one call. The agent runs in 128 MiB beside the servers, and its answers travel over a serial line.
pub mod limits {
    /// Requests that one load may ask for.
    pub const LOAD_REQUESTS_MAX: u32 = 100_000;
    /// Requests under way at once, in a load as in a probe: each is a thread of the guest.
    pub const WORKERS_MAX: u32 = 128;
    /// Streams held open at once.
    pub const STREAMS_MAX: u32 = 256;
    /// Talks that one server holds: each is a thread, and some are two sockets, of which busybox's init allows 1024.
    pub const TALKS_MAX: usize = 600;
    /// Bytes of an HTTP answer that are read; the lab's servers send their name only.
    pub const HTTP_ANSWER_BYTES_MAX: usize = 16 * 1024;
    /// Bytes of a shell command's output that are sent back: half a second of serial line.
    pub const SHELL_OUTPUT_BYTES_MAX: usize = 128 * 1024;
    /// Distinct answers or errors that are counted by name; the rest is counted under "other".
    pub const TALLY_KEYS_MAX: usize = 64;
    /// Lost streams that are described one by one.
    pub const LOST_STREAMS_MAX: usize = 64;
}

/// One question to the agent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the asker and given back in the answer, so that a late answer is not taken for the next one's.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// The answer to the call with the same `id`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The call's.
    pub id: u64,
    /// What came of it, or one sentence on why nothing did.
    pub result: Result<Reply, String>,
}

/// What can be asked of an agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Answer [`Reply::Pong`].
    Ping,
    /// Run a command in the guest's shell; answers [`Reply::Shell`].
    Shell {
        /// The line for `sh -c`.
        command: String,
    },
    /// Send requests as fast as they are answered; answers [`Reply::Load`].
    Load(LoadPlan),
    /// Begin to send a request every so often; answers [`Reply::Done`].
    StartProbe(ProbePlan),
    /// What the probe has seen so far; answers [`Reply::Probe`].
    ProbeReport,
    /// End the probe, waiting for what is under way; answers [`Reply::Probe`].
    StopProbe,
    /// Open connections and exchange something on each from time to time; answers [`Reply::Streams`] once they
    /// are open.
    OpenStreams(StreamPlan),
    /// How the streams fare; answers [`Reply::Streams`].
    StreamsReport,
    /// Close them; answers [`Reply::Streams`] as it was just before.
    CloseStreams,
    /// Serve talks on a port of TCP and UDP, for good; answers [`Reply::Done`].
    ServeTalks {
        /// The port.
        port: u16,
    },
    /// Speak on the served talks that wait for it; answers [`Reply::Spoken`].
    SpeakTalks,
    /// Open talks, beside those that are open; answers [`Reply::Talks`] with all of them.
    OpenTalks(TalkPlan),
    /// Let the open talks go on, those first whose server speaks; answers [`Reply::Talks`].
    GoOnTalks,
}

/// A number of requests, each on a connection of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadPlan {
    /// Where to connect.
    pub target: SocketAddr,
    /// How many requests in all.
    pub requests: u32,
    /// How many of them at once.
    pub workers: u32,
    /// How long one may take, connecting included.
    pub timeout_ms: u32,
}

/// A request every `period_ms`, each on a fresh connection, sent on time whether or not the ones before are answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProbePlan {
    /// Where to connect.
    pub target: SocketAddr,
    /// Time between the starts of two requests.
    pub period_ms: u32,
    /// How long one may take, connecting included. Below 1000, a lost SYN is an error and not a slow answer.
    pub timeout_ms: u32,
}

/// Connections that stay open; on each an HTTP request every `period_ms`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamPlan {
    /// Where to connect.
    pub target: SocketAddr,
    /// How many connections.
    pub streams: u32,
    /// Time between two exchanges on one connection.
    pub period_ms: u32,
    /// How long an exchange may stall before the stream counts as lost; long enough for TCP to send again.
    pub timeout_ms: u32,
}

/// Connections that are silent until one side is told to speak.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TalkPlan {
    /// Where to connect.
    pub target: SocketAddr,
    /// By what.
    pub transport: Transport,
    /// Where datagrams come from, if it matters.
    pub source: Option<SocketAddr>,
    /// How many connections.
    pub talks: u32,
    /// Who speaks next once they are open.
    pub speaker: Speaker,
    /// How long opening one may take, and how long all of them have to go on.
    pub timeout_ms: u32,
}

/// What carries a talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// A connection, which sends again what is lost.
    Tcp,
    /// Datagrams from one socket.
    Udp,
}

/// One side of a talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The side that connected.
    Client,
    /// The other one.
    Server,
}

/// What an agent answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The agent is there.
    Pong,
    /// Done, nothing to say.
    Done,
    /// To [`Request::Shell`].
    Shell {
        /// Exit status, or 128 + signal.
        status: i32,
        /// Standard output and error as they came, cut at [`limits::SHELL_OUTPUT_BYTES_MAX`].
        output: String,
    },
    /// To [`Request::Load`].
    Load(LoadReport),
    /// To [`Request::ProbeReport`] and [`Request::StopProbe`].
    Probe(ProbeReport),
    /// To the stream requests.
    Streams(StreamReport),
    /// To [`Request::SpeakTalks`]: on how many.
    Spoken(u32),
    /// To the requests about a client's talks, in the order in which they were opened.
    Talks(Vec<TalkReport>),
}

/// What came of a load.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LoadReport {
    /// How often each body was answered with status 200. The lab's servers answer their own name.
    pub answers: BTreeMap<String, u32>,
    /// How often each kind of failure was seen.
    pub errors: BTreeMap<String, u32>,
    /// From the first request's start to the last one's end.
    pub elapsed_us: u64,
    /// The slowest answer.
    pub slowest_us: u64,
}

impl LoadReport {
    /// Requests answered.
    pub fn answered(&self) -> u32 {
        self.answers.values().sum()
    }

    /// Requests not answered, or not with status 200.
    pub fn failed(&self) -> u32 {
        self.errors.values().sum()
    }
}

/// What a probe has seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProbeReport {
    /// How often each body was answered with status 200.
    pub answers: BTreeMap<String, u32>,
    /// How often each kind of failure was seen.
    pub errors: BTreeMap<String, u32>,
    /// The longest time between two answers, end to end: what a client sees of an outage.
    pub longest_gap_us: u64,
    /// When that gap began, from the probe's start.
    pub longest_gap_at_us: u64,
    /// When the last failed request was started, from the probe's start; `None` when none failed.
    pub last_error_at_us: Option<u64>,
    /// The middle one of all answer times.
    pub median_answer_us: u64,
    /// How long the probe has run.
    pub elapsed_us: u64,
    /// The plan's period, which is also how finely a gap can be seen.
    pub period_ms: u32,
}

impl ProbeReport {
    /// Requests answered.
    pub fn answered(&self) -> u32 {
        self.answers.values().sum()
    }

    /// Requests not answered in time, or not with status 200.
    pub fn failed(&self) -> u32 {
        self.errors.values().sum()
    }
}

/// How streams fare.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StreamReport {
    /// How many were asked for.
    pub wanted: u32,
    /// How many are open and answer.
    pub alive: u32,
    /// Exchanges on all of them so far.
    pub exchanges: u64,
    /// The longest that one exchange took.
    pub longest_exchange_us: u64,
    /// Why the others are gone.
    pub lost: Vec<String>,
}

/// How the talks of one plan fare.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TalkReport {
    /// Where they go.
    pub target: SocketAddr,
    /// By what.
    pub transport: Transport,
    /// Who speaks next.
    pub speaker: Speaker,
    /// How many were asked for.
    pub wanted: u32,
    /// How many were heard on when they were last to go on.
    pub alive: u32,
    /// Why the others are gone.
    pub lost: BTreeMap<String, u32>,
}

/// Adds one to `key`'s count, within [`limits::TALLY_KEYS_MAX`] keys.
fn tally(counts: &mut BTreeMap<String, u32>, key: String) {
    let known = counts.len() < limits::TALLY_KEYS_MAX || counts.contains_key(&key);
    let key = if known { key } else { "other".to_owned() };
    *counts.entry(key).or_default() += 1;
}
