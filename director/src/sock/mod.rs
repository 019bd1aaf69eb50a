//! The director's sockets to the network.

pub mod arp;
pub mod probe;
pub mod vrrp;
