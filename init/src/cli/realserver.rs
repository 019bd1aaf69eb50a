//! `keelson realserver`: what the real servers of a configuration must be told, on any machine.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use director_core::moving::realserver::{Form, servers};

use super::check::{config_of, sorted};
use super::{FAILED, FINE, WRONG, fail, print};

pub(super) const EXAMPLES: &str = "\
Examples:
  keelson realserver keepalived.conf
  keelson realserver keepalived.conf --server 10.77.0.21 | ssh web1 sh
  keelson realserver keepalived.conf router.conf --form networkd

Exit status: 0 fine; 1 the configuration has errors, or no such real server; 2
a file could not be read.";

/// Which servers, and how.
#[derive(Debug, Args)]
pub(super) struct RealServer {
    /// keepalived.conf, and router.conf where the first has `@NODE` lines
    #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only this real server; may be given more than once
    #[arg(long, value_name = "ADDRESS")]
    server: Vec<IpAddr>,
    /// How the settings are written
    #[arg(long, value_enum, default_value = "commands")]
    form: FormName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormName {
    /// For a root shell; they hold until the next boot
    Commands,
    /// Files of sysctl.d and systemd-networkd
    Networkd,
    /// Files of sysctl.d and Debian's ifupdown
    Ifupdown,
}

impl RealServer {
    /// Prints the settings; the exit status.
    pub(super) fn run(&self) -> u8 {
        let pair = match sorted(&self.files, (None, None)) {
            Ok(pair) => pair,
            Err(error) => return fail(FAILED, &error),
        };
        let config = match config_of(&pair) {
            Ok(config) => config,
            Err(status) => return status,
        };
        let form = match self.form {
            FormName::Commands => Form::Commands,
            FormName::Networkd => Form::Networkd,
            FormName::Ifupdown => Form::Ifupdown,
        };
        let servers = servers(&config);
        if let Some(unknown) = self
            .server
            .iter()
            .find(|server| !servers.contains_key(server))
        {
            let error = format!("{unknown} is no real server of this configuration");
            return fail(WRONG, &error);
        }
        let wanted = |address: &IpAddr| self.server.is_empty() || self.server.contains(address);
        let texts: Vec<String> = servers
            .iter()
            .filter(|(address, _)| wanted(address))
            .map(|(address, settings)| settings.render(*address, form))
            .collect();
        print(&texts.join("\n"));
        FINE
    }
}
