//! The lab.
#![forbid(unsafe_code)]
mod fabric;
pub mod frame;
pub mod limits;
mod pcap;
pub mod switch;
