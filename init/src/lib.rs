//! Everything behind the `keelson` binary: PID 1, the device loader, and what they share.
//!
//! The binary plays one of several roles (`main.rs`); each role is a module here.

pub mod cmdline;
pub mod devices;
pub mod logging;
pub mod modules;
pub mod pid1;
mod sys;
