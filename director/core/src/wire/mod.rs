//! Wire formats: bytes to values and back, one protocol a file.
//!
//! `parse` never panics and allocates nothing; its errors have one variant for each counter of the status.

pub mod arp;
pub mod checksum;
pub mod dns;
pub mod echo;
pub mod http;
pub mod ipv4;
pub mod ipv6;
pub mod ndp;
pub mod smtp;
pub mod trailer;
pub mod vrrp;
