//! `keelson plan`: what taking a new configuration into force would change, on any machine.

use std::path::{Path, PathBuf};

use clap::Args;
use director_core::change::{Change, changes, lines};
use director_core::config::{Config, Reading, parse_with};
use serde::Serialize;

use super::check::{Text, read};
use super::{FAILED, FINE, WRONG, print};
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
        let (old, new) = match (self.config(&self.old), self.config(&self.new)) {
            (Ok(old), Ok(new)) => (old, new),
            (Err((status, error)), _) | (_, Err((status, error))) => {
                eprintln!("{error}");
                return status;
            }
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

    fn config(&self, path: &Path) -> Result<Config, (u8, String)> {
        let failed = |error: String| (FAILED, format!("keelson: {error}"));
        let (keepalived, router) = if path.is_dir() {
            let router = path.join("router.conf");
            let router = router.exists().then_some(router);
            (path.join("keepalived.conf"), router)
        } else {
            (path.to_owned(), self.router.clone())
        };
        let keepalived = read(&keepalived).map_err(failed)?;
        let router = router.as_deref().map(read).transpose().map_err(failed)?;
        let reading = Reading::with(&director::Host);
        let router = router.as_ref().map(Text::source);
        let parsed = parse_with(Some(keepalived.source()), router, &reading);
        let said = parsed.diagnostics.iter().map(ToString::to_string);
        let said: Vec<String> = said.collect();
        parsed.config.ok_or_else(|| (WRONG, said.join("\n")))
    }
}
