//! The director on a Linux host: sockets, netlink, the control socket, and the loop that drives the core.
#![warn(missing_docs)]

pub mod frame;
pub mod proto;
