//! `image build`, `image overlay`, `image inspect`: the image builder's command line.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use director_core::config::{Source, parse};
use image::{Compression, Configuration, Error, Manifest, Options, Set};

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
            out,
            force,
        } => overlay(&keepalived, router.as_deref(), &out, force),
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

fn overlay(keepalived: &Path, router: Option<&Path>, out: &Path, force: bool) -> Result<(), Error> {
    let read = |path: &Path| {
        fs::read(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })
    };
    let configuration = Configuration {
        keepalived: Some(read(keepalived)?),
        router: router.map(read).transpose()?,
    };
    if !fits(&configuration, keepalived, router) && !force {
        return Err(Error::Configuration(
            "nothing is written (--force would)".to_owned(),
        ));
    }
    let segment = image::overlay(&configuration)?;
    fs::write(out, segment).map_err(|source| Error::Io {
        path: out.to_owned(),
        source,
    })
}

/// Prints every problem of a configuration; false when a node would refuse it.
fn fits(configuration: &Configuration, keepalived: &Path, router: Option<&Path>) -> bool {
    let (keepalived, router) = (
        keepalived.to_string_lossy(),
        router.unwrap_or_else(|| Path::new("")).to_string_lossy(),
    );
    let parsed = parse(
        configuration.keepalived.as_deref().map(|bytes| Source {
            name: &keepalived,
            bytes,
        }),
        configuration.router.as_deref().map(|bytes| Source {
            name: &router,
            bytes,
        }),
    );
    for diagnostic in &parsed.diagnostics {
        eprintln!("{diagnostic}");
    }
    !parsed.has_errors()
}
