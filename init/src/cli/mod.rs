//! The command line: which role this program plays, and the operator's questions from a shell.

mod ask;
mod check;
mod moving;
mod plan;
mod realserver;
mod serial;
mod transport;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use director::proto::SOCKET;

use crate::cmdline::CommandLine;
use crate::console::{self, command::View};
use crate::logging;
use transport::Place;

/// It was done, and nothing is wrong.
const FINE: u8 = 0;
/// It was done and something is wrong, or the node refused.
const WRONG: u8 = 1;
/// It could not be done: a file, a socket, a line, or the command line itself.
const FAILED: u8 = 2;

/// A Linux Virtual Server router as firmware: PID 1, director, console and tool
#[derive(Debug, Parser)]
#[command(name = "keelson", version, max_term_width = 80, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

const EXAMPLES: &str = "\
Examples:
  keelson check keepalived.conf router.conf     what is wrong with these files
  keelson import lvs.cf --out new               from another director
  keelson realserver keepalived.conf            what its real servers need
  keelson status                                the node this runs on
  keelson status --serial /dev/ttyUSB0 --json   a node behind a serial cable
  keelson status services --serial unix:/tmp/node1.serial
  keelson handover VI_1                         give up one virtual router

Exit status: 0 fine; 1 errors were found, or the node refused; 2 not possible.";

const STATUS_EXAMPLES: &str = "\
Examples:
  keelson status                            the node this runs on, on one screen
  keelson status services --json            its services, as one line
  keelson status --serial /dev/ttyUSB0 --baud 9600
  keelson status --serial unix:node1.serial a virtual machine's serial line";

const CHECK_EXAMPLES: &str = "\
Examples:
  keelson check keepalived.conf
  keelson check keepalived.conf router.conf     and what one says of the other
  keelson check --keepalived draft.txt --json

Exit status: 0 fine; 1 errors were found; 2 a file could not be read.";

#[derive(Debug, Subcommand)]
enum Role {
    /// Run the director: VRRP, health checks, IPVS. Started by PID 1, or by root on any Linux host
    Director(Director),
    /// Serve a terminal: a prompt for a person, frames for a program
    Console(Console),
    /// Load the drivers of what is there and of what appears later; started by PID 1
    Devices,
    /// Become a program of the operator's, without privileges; started by the director
    #[command(hide = true)]
    Launch(Launch),
    /// Say everything that is wrong with configuration files
    #[command(after_help = CHECK_EXAMPLES)]
    Check(check::Check),
    /// Carry the configuration of another director over
    #[command(after_help = moving::IMPORT_EXAMPLES)]
    Import(moving::Import),
    /// Print a configuration for other programs
    Export(moving::Export),
    /// Print what the real servers of a configuration must be told for DR and TUN
    #[command(after_help = realserver::EXAMPLES)]
    Realserver(realserver::RealServer),
    /// Say what taking a new configuration into force would change
    #[command(after_help = plan::EXAMPLES)]
    Plan(plan::Plan),
    /// Show a node's state
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Status),
    /// Show a node's last events
    Log(Log),
    /// Show or check the configuration files of a node
    Config(Config),
    /// Let a node take its configuration files as they are
    Reload {
        #[command(flatten)]
        node: Node,
    },
    /// Let a node give up Active, of one virtual router or of all
    Handover {
        /// Name of the vrrp_instance
        router: Option<String>,
        #[command(flatten)]
        node: Node,
    },
}

#[derive(Debug, Args)]
struct Director {
    /// keepalived.conf
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/keepalived/keepalived.conf"
    )]
    keepalived: PathBuf,
    /// router.conf; may be missing
    #[arg(long, value_name = "FILE", default_value = "/etc/keelson/router.conf")]
    router: PathBuf,
    /// Control socket to listen on
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
}

#[derive(Debug, Args)]
struct Launch {
    /// User, by number
    user: u32,
    /// Group, by number
    group: u32,
    /// The program
    program: PathBuf,
    /// Its arguments
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
struct Console {
    /// Terminal in /dev, as ttyS0
    #[arg(long, value_name = "NAME", required_unless_present = "stdio")]
    tty: Option<String>,
    /// Standard input and output instead
    #[arg(long, conflicts_with = "tty")]
    stdio: bool,
    /// The director's control socket
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
}

#[derive(Debug, Args)]
struct Status {
    /// Which part
    #[arg(value_enum, default_value = "status")]
    part: View,
    /// One line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: Node,
}

#[derive(Debug, Args)]
struct Log {
    /// How many events
    #[arg(default_value_t = 20)]
    lines: u32,
    /// One line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: Node,
}

#[derive(Debug, Args)]
struct Config {
    /// What to do
    #[arg(value_enum)]
    what: ConfigWhat,
    /// Which file, to show
    #[arg(value_enum, default_value = "keepalived")]
    file: File,
    /// One line of JSON, of check
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: Node,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ConfigWhat {
    /// Print a file
    Show,
    /// Say what a reload would say
    Check,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum File {
    /// keepalived.conf
    Keepalived,
    /// router.conf
    Router,
}

/// Where the node is.
#[derive(Debug, Args)]
struct Node {
    /// Control socket of a director on this machine
    #[arg(long, value_name = "PATH", default_value = SOCKET, conflicts_with = "serial")]
    socket: PathBuf,
    /// Serial line that ends at a node's console: a device, or unix:PATH
    #[arg(long, value_name = "LINE")]
    serial: Option<String>,
    /// Speed of the serial device
    #[arg(long, value_name = "BAUD", default_value_t = 115_200)]
    baud: u32,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    timeout: u32,
    /// File with the secret for what changes something; without it the terminal asks
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl Node {
    fn place(&self) -> Place {
        match &self.serial {
            None => Place::Socket(self.socket.clone()),
            Some(line) => match line.strip_prefix("unix:") {
                Some(path) => Place::Line(PathBuf::from(path)),
                None => Place::Device {
                    path: PathBuf::from(line),
                    baud: self.baud,
                },
            },
        }
    }
}

/// Reads the command line, in a frame of its own: it is a large one, and a role lasts.
#[inline(never)]
fn parse() -> Role {
    Cli::parse().role
}

/// Plays the role that the command line names.
pub fn run() -> ExitCode {
    match parse() {
        Role::Director(options) => director(options),
        Role::Console(options) => console(options),
        Role::Launch(options) => launch(options),
        Role::Devices => crate::devices::run(),
        Role::Check(options) => options.run().into(),
        Role::Import(options) => options.run().into(),
        Role::Export(options) => options.run().into(),
        Role::Realserver(options) => options.run().into(),
        Role::Plan(options) => options.run().into(),
        Role::Status(options) => ask::status(&options).into(),
        Role::Log(options) => ask::log(&options).into(),
        Role::Config(options) => ask::config(&options).into(),
        Role::Reload { node } => ask::reload(&node).into(),
        Role::Handover { router, node } => ask::handover(router, &node).into(),
    }
}

fn director(options: Director) -> ExitCode {
    logging::install("director", CommandLine::read().log);
    let Director {
        keepalived,
        router,
        socket,
    } = options;
    match director::run(&director::Options {
        keepalived,
        router,
        socket,
        launcher: PathBuf::from("/proc/self/exe"),
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn launch(options: Launch) -> ExitCode {
    let Launch {
        user,
        group,
        program,
        arguments,
    } = options;
    let error = director::exec::launch::Launch {
        user,
        group,
        program,
        arguments,
    }
    .run();
    ExitCode::from(director::exec::launch::exit_code(&error))
}

fn console(options: Console) -> ExitCode {
    logging::install("console", CommandLine::read().log);
    match console::run(&console::Options {
        tty: options.tty,
        socket: options.socket,
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Says why it goes no further; the exit status.
fn fail(status: u8, error: &str) -> u8 {
    eprintln!("keelson: {error}");
    status
}

/// Writes to standard output; a reader that has gone away (`| head`) is no fault.
fn print(text: &str) {
    let mut output = io::stdout().lock();
    let _ = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_fits_80_columns() {
        let mut command = Cli::command().term_width(80);
        let mut pages = vec![
            command.render_help().to_string(),
            command.render_long_help().to_string(),
        ];
        for role in command.get_subcommands_mut() {
            pages.extend([
                role.render_help().to_string(),
                role.render_long_help().to_string(),
            ]);
        }
        let long: Vec<&str> = pages
            .iter()
            .flat_map(|page| page.lines())
            .filter(|line| line.len() > 80)
            .collect();
        assert_eq!(long, [""; 0]);
    }
}
