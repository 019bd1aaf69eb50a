//! `keelson import` and `keelson export`: from and to the files of other directors, on any machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use director_core::moving::export;
use director_core::moving::import::{self, Format, Imported, Wishes};
use director_core::net::IfName;

use super::check::{config_of, read, sorted};
use super::{FAILED, FINE, WRONG, fail, print};

pub(super) const IMPORT_EXAMPLES: &str = "\
Examples:
  keelson import lvs.cf                          shows what would be written
  keelson import ldirectord.cf --out new         writes new/keepalived.conf, ..
  keelson import /etc/keepalived/keepalived.conf --out new
  ipvsadm -S -n > table; keelson import table --interface eth1 --out new

Exit status: 0 everything was carried over, or assumed as said; 1 something was
not carried over; 2 a file could not be read or written.";

pub(super) const EXPORT_EXAMPLES: &str = "\
Examples:
  keelson export ipvsadm keepalived.conf | ipvsadm -R

Exit status: 0 fine; 1 the configuration has errors; 2 a file could not be read.";

/// What to import.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The other director's file
    file: PathBuf,
    /// What it is written in; told by its content when left out
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Folder for keepalived.conf, router.conf and the second node's
    /// router2.conf; files that are there already are left alone
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Interface of the virtual addresses, where the file names none
    #[arg(long, value_name = "NAME", default_value = "eth0", value_parser = interface)]
    interface: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    /// Piranha's lvs.cf
    Piranha,
    /// ldirectord.cf
    Ldirectord,
    /// What `ipvsadm -S -n` prints
    Ipvsadm,
    /// keepalived.conf of a distribution
    Keepalived,
}

/// What to export.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(subcommand)]
    what: ExportWhat,
}

#[derive(Debug, Subcommand)]
enum ExportWhat {
    /// The services as lines of `ipvsadm -S -n`, for `ipvsadm -R`
    #[command(after_help = EXPORT_EXAMPLES)]
    Ipvsadm {
        /// keepalived.conf, and router.conf where the first has `@NODE` lines
        #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

fn interface(text: &str) -> Result<String, String> {
    text.parse::<IfName>()
        .map(|name| name.to_string())
        .map_err(|error| error.to_string())
}

impl Import {
    /// Writes or prints the files, and says what is to be known of them; the exit status.
    pub(super) fn run(&self) -> u8 {
        let text = match read(&self.file) {
            Ok(text) => text,
            Err(error) => return fail(FAILED, &error),
        };
        let named = self.format.map(|format| match format {
            FormatName::Piranha => Format::Piranha,
            FormatName::Ldirectord => Format::Ldirectord,
            FormatName::Ipvsadm => Format::Ipvsadm,
            FormatName::Keepalived => Format::Keepalived,
        });
        let Some(format) = named.or_else(|| Format::detect(&text.bytes)) else {
            let error = format!("{}: its format is not known; say it by --format", text.name);
            return fail(FAILED, &error);
        };
        let wishes = Wishes {
            interface: self.interface.clone(),
        };
        let imported = import::import(format, text.source(), &wishes);
        let files = files(&imported);
        match &self.out {
            Some(folder) => {
                if let Err(error) = write(folder, &files) {
                    return fail(FAILED, &error);
                }
            }
            None => print(
                &files
                    .iter()
                    .map(|(name, text)| format!("# {name}\n{text}"))
                    .collect::<Vec<_>>()
                    .join("\n"),
            ),
        }
        for note in &imported.notes {
            eprintln!("{note}");
        }
        let is_lost = imported
            .notes
            .iter()
            .any(|note| note.kind == import::Kind::Lost);
        if is_lost { WRONG } else { FINE }
    }
}

impl Export {
    /// Prints what is asked for; the exit status.
    pub(super) fn run(&self) -> u8 {
        let ExportWhat::Ipvsadm { files } = &self.what;
        let pair = match sorted(files, (None, None)) {
            Ok(pair) => pair,
            Err(error) => return fail(FAILED, &error),
        };
        match config_of(&pair) {
            Ok(config) => print(&export::ipvsadm(&config)),
            Err(status) => return status,
        }
        FINE
    }
}

fn files(imported: &Imported) -> Vec<(&'static str, &str)> {
    let names = ["router.conf", "router2.conf"].into_iter();
    let routers = names.zip(imported.routers.iter().map(String::as_str));
    core::iter::once(("keepalived.conf", imported.keepalived.as_str()))
        .chain(routers)
        .collect()
}

/// Writes all files or, when one is there already, none.
fn write(folder: &Path, files: &[(&str, &str)]) -> Result<(), String> {
    let at = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
    for (name, _) in files {
        let path = folder.join(name);
        if path.exists() {
            return Err(format!("{} is there already", path.display()));
        }
    }
    for (name, text) in files {
        let path = folder.join(name);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| at(&path, error))?;
        io::Write::write_all(&mut file, text.as_bytes()).map_err(|error| at(&path, error))?;
    }
    Ok(())
}
