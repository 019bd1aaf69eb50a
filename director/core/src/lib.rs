//! The director without its sockets: VRRP, health checks and IPVS planning as pure state machines.
//!
//! Contract: one [`director::Director::handle`] with the current time and one [`director::Input`]; then drain
//! `poll_output` and `poll_event`; then sleep until `next_timeout`. Nothing here reads a clock, opens a file or
//! fails: bad input becomes a counter and an event. Effects go out as outputs, and each kernel operation is
//! answered by exactly one `Input::Applied`.
//!
//! Imports run one way: `time, limits, net <- pattern <- record, wire, ipvs, routing, overrides <- {filter, vrrp,
//! check} <- tracking, config <- kernel <- {plan, diff, pool} <- {change, reconcile} <- status <- event <- director <-
//! {metrics, moving}`. Siblings do not import each other.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod change;
pub mod check;
pub mod config;
pub mod diff;
pub mod director;
pub mod event;
pub mod filter;
pub mod ipvs;
pub mod kernel;
pub mod limits;
pub mod metrics;
pub mod moving;
pub mod net;
pub mod overrides;
pub mod pattern;
pub mod plan;
pub mod pool;
pub mod reconcile;
pub mod record;
pub mod routing;
pub mod status;
pub mod time;
pub mod tracking;
pub mod vrrp;
pub mod wire;
