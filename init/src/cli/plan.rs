//! `keelson plan`: what taking a new configuration into force would change, on any machine.

use std::path::{Path, PathBuf};

use clap::Args;
use director_core::change::{Change, changes, lines};
use director_core::config::Config;
use serde::Serialize;

use super::check::{Pair, config_of, read};
use super::{FAILED, FINE, fail, print};
use crate::console::render;

pub(super) const EXAMPLES: &str = "\
Examples:
  keelson plan old.conf new.conf
  keelson plan old.conf new.conf --router router.conf    where there are `@NODE` lines
  keelson plan backup/ /etc/keepalived                   folders with both files

Exit status: 0 it can be taken; 1 one of the two has errors; 2 a file could not
be read.";

/// Lines that anybody reads.
const LINES_MAX: usize = 1000;

/// Two configurations.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The configuration in force: keepalived.conf, or a folder that has it and perhaps router.conf
    old: PathBuf,
    /// The one that is to come
    new: PathBuf,
    /// router.conf, of those that are not given as a folder
    #[arg(long, value_name = "FILE")]
    router: Option<PathBuf>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    schema: u16,
    changes: &'a [Change],
}

impl Plan {
    /// Prints the changes; the exit status.
    pub(super) fn run(&self) -> u8 {
        let (old, new) = match self.configs() {
            Ok(both) => both,
            Err(status) => return status,
        };
        let changes = changes(&old, &new);
        if self.json {
            let schema = director_core::status::SCHEMA;
            let report = Report {
                schema,
                changes: &changes,
            };
            print(&(render::one_line(&report) + "\n"));
        } else {
            print(&(lines(&changes, LINES_MAX).join("\n") + "\n"));
        }
        FINE
    }

    /// Both configurations, or the exit status.
    fn configs(&self) -> Result<(Config, Config), u8> {
        let config = |path| {
            let pair = self.pair(path).map_err(|error| fail(FAILED, &error))?;
            config_of(&pair)
        };
        Ok((config(&self.old)?, config(&self.new)?))
    }

    fn pair(&self, path: &Path) -> Result<Pair, String> {
        let (keepalived, router) = if path.is_dir() {
            let router = path.join("router.conf");
            let router = router.exists().then_some(router);
            (path.join("keepalived.conf"), router)
        } else {
            (path.to_owned(), self.router.clone())
        };
        let router = router.as_deref().map(read).transpose()?;
        Ok((Some(read(&keepalived)?), router))
    }
}
