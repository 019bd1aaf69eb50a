//! Everything behind the `keelson` binary: PID 1, the device loader, the console, and the command line.
//!
//! The binary plays one of several roles (`main.rs`); each role is a module here.

pub mod cli;
pub mod cmdline;
pub mod console;
pub mod devices;
pub mod logging;
pub mod memory;
pub mod modules;
pub mod pid1;
mod sys;
#[cfg(target_env = "musl")]
mod unwinding;
