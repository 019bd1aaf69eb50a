//! What `cargo lab bench` measures with, inside the guest in which the measured programs run.
//!
//! One [`Plan`] as JSON on the command line, one [`Figures`] as JSON on the standard output. All times are taken inside
//! the guest, from its monotonic clock.
#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

mod floor;
mod listen;
mod process;
mod table;

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Start a program in the background and wait.
    Start {
        /// Path and arguments.
        program: Vec<String>,
        /// File for what it prints.
        log: String,
        /// Until when.
        until: Until,
        /// Longest wait.
        limit_ms: u64,
    },
    /// Send a signal and wait.
    Signal {
        /// To whom.
        pid: i32,
        /// By its number.
        signal: i32,
        /// Until when.
        until: Until,
        /// Longest wait.
        limit_ms: u64,
    },
    /// See what the processes of a program use of the processor, and which memory they have at the end.
    Watch {
        /// The beginning of its processes' names.
        name: String,
        /// For how long.
        for_ms: u64,
    },
    /// Connect to one address after the other and close at once, at a fixed rate: what any checker has to do at least.
    Floor {
        /// The first address.
        first: Ipv4Addr,
        /// How many addresses there are from it on.
        count: u32,
        /// The port of all.
        port: u16,
        /// Connections in a second.
        rate: u32,
        /// For how long.
        for_ms: u64,
    },
    /// Accept connections at all addresses and close them, for ever, and note from each SYN who was asked when.
    Listen {
        /// Port that is asked.
        port: u16,
        /// Port at which the tally is told to whoever connects; it then begins anew.
        control: u16,
    },
    /// Ask a listener for its tally.
    Tally {
        /// Its control port.
        control: u16,
    },
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Nothing.
    Now,
    /// A listener answers at this control port.
    Answers(u16),
    /// The process has ended, and everything that it started with it; with success, where that can be known.
    Gone,
    /// A TCP service has a dest with this weight.
    Dest {
        /// The service.
        service: SocketAddrV4,
        /// The dest.
        dest: SocketAddrV4,
        /// Its weight.
        weight: u32,
    },
    /// A TCP service has so many dests with a weight.
    Dests {
        /// The service.
        service: SocketAddrV4,
        /// How many.
        count: usize,
    },
}

/// What came of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// From just before the start or the signal to the moment waited for.
    pub elapsed_us: u64,
    /// The process that was started.
    pub pid: i32,
    /// Processor time used: of the watched processes during the watch, of the process that ended, or of the floor.
    pub cpu_us: u64,
    /// Resident memory of the largest of the watched processes.
    pub rss_kib: u64,
    /// Of a floor or a tally: connections.
    pub connections: u64,
    /// Of a tally: addresses that were asked.
    pub targets: u64,
    /// Of a tally: the longest time for which one of these addresses was not asked, from one time to the next.
    pub longest_gap_us: u64,
}

/// Does what the plan says. Errors: in words.
pub fn run(plan: Plan) -> Result<Figures, String> {
    match plan {
        Plan::Start {
            program,
            log,
            until,
            limit_ms,
        } => process::start(&program, &log, &until, limit_ms),
        Plan::Signal {
            pid,
            signal,
            until,
            limit_ms,
        } => process::signal(pid, signal, &until, limit_ms),
        Plan::Watch { name, for_ms } => process::watch(&name, for_ms),
        Plan::Floor {
            first,
            count,
            port,
            rate,
            for_ms,
        } => floor::run(first, count, port, rate, for_ms),
        Plan::Listen { port, control } => listen::serve(port, control),
        Plan::Tally { control } => listen::ask(control),
    }
}
