//! The director on a Linux host: sockets, netlink, the control socket, and the loop that drives the core.
//!
//! The core ([`director_core`]) decides everything and touches nothing; this crate touches everything and decides
//! nothing. One thread, one loop ([`run()`]): what happens becomes an input, and what the core wants is done at once
//! and, where it can fail, answered.
//!
//! | module | what it owns |
//! |---|---|
//! | [`run`](mod@run), `effects`, `probing`, `answer` | the loop, the core's outputs, the requests of operators |
//! | [`kernel`] | links, addresses, routes (rtnetlink), services and dests (generic netlink) |
//! | [`sock`] | adverts, announcements, the checks' connections |
//! | [`exec`], [`tls`] | programs of the operator's, TLS sessions of the checks; each with its thread |
//! | `ctl`, [`frame`], [`proto`] | the control socket and what is said there |
//! | `monitoring`, `scrape`, `syslog`, `fifo`, `throttle` | what leaves the node for monitoring |
//! | `fact`, `notices` | what happened in keepalived's words, and programs that are run for it |
//! | `reading` | the thread that reads configuration files |
//! | `saved` | operators' words, kept for the next director |
//! | `files`, [`Host`], `process`, [`signal`], [`clock`] | configuration files, priority and figures, signals, time |
#![warn(missing_docs)]

mod answer;
pub mod clock;
mod ctl;
mod effects;
pub mod exec;
mod fact;
mod fifo;
mod files;
pub mod frame;
mod hearing;
pub mod kernel;
pub mod limits;
mod monitoring;
mod notices;
mod outside;
mod pace;
mod probing;
mod process;
pub mod proto;
mod reading;
mod recovery;
pub mod run;
mod saved;
mod scrape;
pub mod signal;
pub mod sock;
mod syslog;
mod throttle;
pub mod tls;
mod token;
mod track_files;

pub use crate::outside::Host;
pub use crate::process::HEARTBEAT;
pub use crate::run::{Error, Options, run};
