//! The lab.
#![forbid(unsafe_code)]
pub mod argv;
pub mod console;
mod fabric;
pub mod frame;
mod guest;
pub mod limits;
mod pcap;
mod process;
mod qmp;
pub mod switch;
pub mod topology;
pub mod vm;
