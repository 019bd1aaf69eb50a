//! `image build`, `image overlay`, `image inspect`: the image builder's command line.

#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use director_core::config::{Outside, Reading, Source, parse_with};
use director_core::record;
use image::{Compression, Configuration, Error, FurtherFile, Manifest, Options, Set};

/// Builds what a Keelson node boots.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes vmlinuz, vmlinux, initrd, initrd-vm and manifest.json
    Build {
        /// Folder for the image [default: target/image]
        #[arg(long)]
        out: Option<PathBuf>,
        /// Only this initrd
        #[arg(long)]
        set: Option<SetName>,
        /// Leave the initrds unpacked: quick to build, and to boot in a virtual machine
        #[arg(long)]
        fast: bool,
        /// Pack again what has not changed, to see that the same bytes come out
        #[arg(long)]
        fresh: bool,
    },
    /// Writes the configuration segment, to be appended to an initrd as its last part
    Overlay {
        /// What the routers and services are
        #[arg(long)]
        keepalived: PathBuf,
        /// What the machine is: host name, interfaces, routes, console
        #[arg(long)]
        router: Option<PathBuf>,
        /// A further file, which the first includes or runs: its path beside keepalived.conf on the node, and where it
        /// is here. What may be executed here is a program there
        #[arg(long = "file", value_name = "NAME=PATH", value_parser = further)]
        files: Vec<(String, PathBuf)>,
        /// File to write
        #[arg(long)]
        out: PathBuf,
        /// Write a configuration that has errors, to see what a node does with it
        #[arg(long)]
        force: bool,
    },
    /// Lists the members and configuration records of an initrd or an overlay
    Inspect {
        /// The file
        file: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum SetName {
    /// Real and virtual machines
    Metal,
    /// Virtual machines
    Vm,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Build {
            out,
            set,
            fast,
            fresh,
        } => build(out, set, fast, fresh),
        Command::Overlay {
            keepalived,
            router,
            files,
            out,
            force,
        } => overlay(&keepalived, router.as_deref(), &files, &out, force),
        Command::Inspect { file } => image::inspect(&file).map(|text| print!("{text}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image: {error}");
            ExitCode::FAILURE
        }
    }
}

fn build(out: Option<PathBuf>, set: Option<SetName>, fast: bool, fresh: bool) -> Result<(), Error> {
    let mut options = Options {
        fresh,
        ..Options::default()
    };
    options.out = out.unwrap_or(options.out);
    match set {
        Some(SetName::Metal) => options.sets = vec![Set::Metal],
        Some(SetName::Vm) => options.sets = vec![Set::Vm],
        None => {}
    }
    if fast {
        options.compression = Compression::Raw;
    }
    let manifest = image::build(&options)?;
    print_summary(&options.out, &manifest);
    Ok(())
}

fn print_summary(out: &Path, manifest: &Manifest) {
    println!(
        "{}: keelson {}, kernel {}",
        out.display(),
        manifest.version,
        manifest.kernel_release
    );
    for member in &manifest.members {
        println!("{:>10} {:<10} {}", member.size, member.name, member.about);
    }
}

/// Reads `NAME=PATH`.
fn further(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("not NAME=PATH")?;
    if record::is_usable(name) {
        Ok((name.to_owned(), path.into()))
    } else {
        Err(format!("`{name}` is no relative path of plain letters"))
    }
}

fn overlay(
    keepalived: &Path,
    router: Option<&Path>,
    files: &[(String, PathBuf)],
    out: &Path,
    force: bool,
) -> Result<(), Error> {
    let read = |path: &Path| fs::read(path).map_err(Error::io(path));
    let further = files.iter().map(|(name, path)| {
        let mode = fs::metadata(path).map_err(Error::io(path))?.permissions();
        Ok(FurtherFile {
            name: name.clone(),
            bytes: read(path)?,
            executable: mode.mode() & 0o111 != 0,
        })
    });
    let configuration = Configuration {
        keepalived: Some(read(keepalived)?),
        router: router.map(read).transpose()?,
        files: further.collect::<Result<_, Error>>()?,
    };
    if !fits(&configuration, keepalived, router) && !force {
        return Err(Error::Configuration(
            "nothing is written (--force would)".to_owned(),
        ));
    }
    let segment = image::overlay(&configuration)?;
    fs::write(out, segment).map_err(Error::io(out))
}

/// Prints every problem of a configuration; false when a node would refuse it.
fn fits(configuration: &Configuration, keepalived: &Path, router: Option<&Path>) -> bool {
    let (keepalived, router) = (
        keepalived.to_string_lossy(),
        router.unwrap_or_else(|| Path::new("")).to_string_lossy(),
    );
    let parsed = parse_with(
        configuration.keepalived.as_deref().map(|bytes| Source {
            name: &keepalived,
            bytes,
        }),
        configuration.router.as_deref().map(|bytes| Source {
            name: &router,
            bytes,
        }),
        &Reading::with(&Carried {
            keepalived: &keepalived,
            files: &configuration.files,
        }),
    );
    for diagnostic in &parsed.diagnostics {
        eprintln!("{diagnostic}");
    }
    !parsed.has_errors()
}

/// The files that travel with keepalived.conf, where it will find them: beside itself, or in its folder on the node.
struct Carried<'c> {
    keepalived: &'c str,
    files: &'c [FurtherFile],
}

impl Carried<'_> {
    /// A path as the files are named.
    fn name<'p>(&self, path: &'p str) -> Option<&'p str> {
        let folder = self
            .keepalived
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        let beside = match folder {
            "" => Some(path).filter(|path| !path.starts_with('/')),
            folder => path
                .strip_prefix(folder)
                .and_then(|rest| rest.strip_prefix('/')),
        };
        path.strip_prefix("/etc/keepalived/").or(beside)
    }
}

impl Outside for Carried<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let name = self.name(path);
        let file = self
            .files
            .iter()
            .find(|file| Some(file.name.as_str()) == name);
        let absent = || "it does not travel with the configuration (--file NAME=PATH)".to_owned();
        file.map(|file| file.bytes.clone()).ok_or_else(absent)
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let Some(folder) = (if folder.is_empty() {
            Some("")
        } else {
            self.name(folder)
        }) else {
            return Vec::new();
        };
        let inside = self
            .files
            .iter()
            .filter_map(|file| file.name.strip_prefix(folder));
        let name = |rest: &str| match rest.split_once('/') {
            Some((folder, _)) => format!("{folder}/"),
            None => rest.to_owned(),
        };
        inside.map(name).collect()
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}
