//! The director on a Linux host: sockets, netlink, the control socket, and the loop that drives the core.
#![warn(missing_docs)]

pub mod clock;
pub mod frame;
pub mod kernel;
pub mod limits;
pub mod proto;
pub mod signal;
pub mod sock;
