//! The lab's command line: `cargo demo`, `cargo lab ..`.
#![forbid(unsafe_code)]
use std::fmt::Display;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use image::{Kernel, Workspace};
use qemu::guest_image::GuestImages;
use qemu::images::ImagesError;
use qemu::lab::LabError;
use qemu::setup::SetupError;
use qemu::{PackageError, attach, bench, demo, parsing, setup};

/// Directors, real servers and clients in QEMU, without root.
#[derive(Parser)]
#[command(name = "lab", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what a director pair does, step by step, and measure it
    Demo {
        /// Leave the lab running at the end and say how to attach to it
        #[arg(long)]
        keep: bool,
    },
    /// Measure takeovers and handovers again and again and print the medians
    Measure {
        /// How many of each
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        runs: u32,
    },
    /// Compare the director with Debian's keepalived and ipvsadm, in one machine, and print how they relate
    Bench {
        /// The cases; all of them without any
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(bench::names()))]
        cases: Vec<String>,
        /// How often each
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        runs: u32,
    },
    /// Compare how long keepalived and the director take to read a large configuration, on this host
    Parse {
        /// How often each; the least counts
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        runs: u32,
    },
    /// Connect this terminal to the serial console of a machine of the running lab
    Attach {
        /// The machine: d1, d2, s3, s4, client
        node: String,
    },
    /// Install the Debian packages that the lab needs
    Setup,
    /// Make what servers, clients and peers boot, and print where it is
    GuestImage,
}

/// Exit codes, beside 0 for success and clap's 2 for a wrong command line.
mod exit {
    /// A step did not hold, or something failed.
    pub(crate) const FAILED: u8 = 1;
    /// Packages are missing and this user may not install them; the command that does has been printed.
    pub(crate) const NO_RIGHT: u8 = 3;
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match Arguments::parse().command {
        Command::Demo { keep } => judge(demo::run(keep)),
        Command::Measure { runs } => judge(demo::measure(runs)),
        Command::Bench { cases, runs } => judge(bench::run(&cases, runs)),
        Command::Parse { runs } => judge(parsing::run(runs)),
        Command::Attach { node } => judge(attach::attach(&node).map(|()| true)),
        Command::GuestImage => judge(guest_image()),
        Command::Setup => judge(
            setup::ensure(image::to_stderr)
                .map(|()| true)
                .map_err(LabError::from),
        ),
    }
}

fn guest_image() -> Result<bool, LabError> {
    let (workspace, report) = (Workspace::new(), image::to_stderr);
    setup::ensure(report)?;
    let kernel = Kernel::unpacked(&workspace, report).map_err(ImagesError::from)?;
    let images = GuestImages::made(&workspace, &kernel, false, report)?;
    println!("{}\n{}", images.plain.display(), images.peer.display());
    Ok(true)
}

fn judge<E: Display + ExitsAs>(outcome: Result<bool, E>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(exit::FAILED),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

trait ExitsAs {
    fn exit_code(&self) -> u8 {
        exit::FAILED
    }
}

impl ExitsAs for std::io::Error {}

impl ExitsAs for PackageError {}

impl ExitsAs for LabError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Setup(SetupError::NoRight { .. }) => exit::NO_RIGHT,
            _ => exit::FAILED,
        }
    }
}
