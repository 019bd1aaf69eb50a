//! The lab: directors, real servers and clients in QEMU, on a switch of its own, without root.
//!
//! A [`topology`] is data; a [`lab::Lab`] brings it to life. The verbs of a scenario are those of an operator and of
//! fate: ask a console, cut the power, pull a cable, lose frames. What happens on the wire is timed by the
//! [`switch`], what a client sees is timed inside the client.
//!
//! ```no_run
//! use std::time::Duration;
//! use qemu::{lab::{Lab, LabError}, measure, switch::{Direction, Fault}, topology};
//!
//! fn the_backup_takes_over() -> Result<(), LabError> {
//!     let lab = Lab::start(&topology::pair())?; // builds the image, boots five machines, waits until they are up
//!     let (active, backup) = measure::active_and_backup(&lab, ["d1", "d2"])?;
//!     let announcements = lab.switch().announcements_of(backup, topology::VIRTUAL_ADDRESS);
//!
//!     let cut = lab.vm(active)?.power_cut();
//!     let first = announcements.next(Duration::from_secs(30)).expect("nobody took over");
//!     println!("announced {:?} after the power cut", first.at - cut);
//!     lab.director(backup)?.wait_for_state("Active", Duration::from_secs(30))?;
//!
//!     let load = lab.client()?.load(measure::service(), 200)?;
//!     assert_eq!(load.failed(), 0, "{load:?}");
//!
//!     lab.switch().set_fault(backup, Direction::FromNode, Fault { loss: 0.1, ..Fault::NONE });
//!     println!("{}", lab.director(backup)?.command("routers")?);
//!     Ok(())
//! } // the lab ends here, and also when this process dies
//! ```
//!
//! | module | what it has |
//! |---|---|
//! | [`topology`] | `pair`, `lone`, `interop`, `nat`: machines and segments as data |
//! | [`lab`] | [`lab::Lab`]: prepare, power on, find machines by name |
//! | [`roles`] | what to ask a director, a real server, a peer, the client |
//! | [`vm`] | power, cables, console and agent of one machine |
//! | [`console`] | `expect`, `command`, `json` on a serial line |
//! | [`switch`], [`frame`] | taps with timestamps, loss, delay, cuts in one direction, captures |
//! | [`tshark`], [`pcap`] | what Wireshark takes a capture for |
//! | [`measure`] | takeover, handover and server failure as figures |
//! | [`bench`] | the director beside keepalived and ipvsadm |
//! | [`setup`] | what must be installed, and installing it |
//! | [`demo`], [`attach`] | `cargo demo` and `cargo lab attach` |
//!
//! Inside the guests runs the package `lab-agent` (`agent/`): shell commands, loads, probes and open connections.
//! One lab at a time runs on a machine (a lock on `target/lab.lock`); its logs and captures are in `target/lab/NAME`.
#![forbid(unsafe_code)]

pub mod argv;
pub mod attach;
pub mod bench;
pub mod console;
pub mod demo;
mod fabric;
pub mod frame;
mod guest;
pub mod guest_image;
pub mod images;
pub mod lab;
pub mod limits;
pub mod measure;
mod packages;
pub mod parsing;
pub mod pcap;
mod process;
mod qmp;
pub mod reference;
pub mod report;
pub mod roles;
pub mod setup;
pub mod switch;
pub mod topology;
pub mod tshark;
pub mod vm;

pub use guest::GuestError;
pub use packages::PackageError;
pub use qmp::QmpError;
