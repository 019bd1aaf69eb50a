//! The musl target for the static binary: rustup's, or the same made of Debian's packages.

mod debian;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::progress::{Report, step};
use crate::workspace::Workspace;
use crate::{Error, process};

/// The target of the product.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-musl";
/// Set to `debian`, this takes Debian's toolchain although rustup could give one.
const CHOICE: &str = "KEELSON_MUSL";

/// What compiles the product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The running cargo, with the target that rustup installed.
    Rustup,
    /// Debian's cargo and rustc with a standard library that was made here.
    Debian {
        /// The folder for rustc's `--sysroot`.
        sysroot: PathBuf,
    },
}

/// The variable by which the crate `cc` is told the compiler for the target.
const C_COMPILER: &str = "CC_x86_64_unknown_linux_musl";

/// The Debian packages that the builder needs beyond apt, dpkg, gcc and a Rust toolchain: none where rustup has the
/// musl target or can fetch it.
pub fn required_debian_packages() -> &'static [&'static str] {
    if rustup_has_target() {
        &[]
    } else {
        debian::PACKAGES
    }
}

impl Toolchain {
    /// The first toolchain that works, made ready.
    pub(crate) fn find(workspace: &Workspace, report: Report) -> Result<Self, Error> {
        if rustup_has_target() {
            return Ok(Self::Rustup);
        }
        let sysroot = workspace.target.join("musl-sysroot");
        if !debian::is_ready(&sysroot) {
            step(
                report,
                "make a musl sysroot from Debian's rust-web-src and musl-dev",
                || debian::make(&sysroot),
            )?;
        }
        Ok(Self::Debian { sysroot })
    }

    /// A cargo of this toolchain that compiles the product with `flags` for rustc.
    pub(crate) fn cargo(&self, flags: &[String]) -> Command {
        let mut flags = flags.to_vec();
        let mut cargo = match self {
            Self::Rustup => Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
            Self::Debian { sysroot } => {
                flags.extend(["--sysroot".to_owned(), sysroot.display().to_string()]);
                let mut cargo = Command::new(debian::CARGO);
                // Cargo takes the first rustc of PATH, which may be another one than its own.
                cargo
                    .env("RUSTC", debian::RUSTC)
                    .env_remove("RUSTUP_TOOLCHAIN");
                cargo
            }
        };
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        // The cryptography has C and assembly that call no library, so that it needs no compiler for musl.
        if env::var_os(C_COMPILER).is_none() {
            cargo.env(C_COMPILER, "cc");
        }
        cargo
    }

    /// Whether a program that it makes relocates itself by the short form (DT_RELR): musl does since 1.2.4, and Debian
    /// 12 has 1.2.3.
    pub(crate) const fn reads_packed_relocations(&self) -> bool {
        matches!(self, Self::Rustup)
    }

    /// The compiler's version, for the manifest.
    pub(crate) fn version(&self) -> Result<String, Error> {
        let (name, rustc) = match self {
            Self::Rustup => ("rustup", "rustc"),
            Self::Debian { .. } => ("Debian", debian::RUSTC),
        };
        let version = process::output(Command::new(rustc).arg("--version"), debian::PACKAGES)?;
        Ok(format!("{} ({name})", version.trim()))
    }
}

fn rustup_has_target() -> bool {
    if env::var_os(CHOICE).is_some_and(|choice| choice == "debian") {
        return false;
    }
    let rustup = |arguments: &[&str]| process::output(Command::new("rustup").args(arguments), &[]);
    let installed = rustup(&["target", "list", "--installed"]);
    let Ok(installed) = installed else {
        return false;
    };
    installed.lines().any(|line| line.trim() == TARGET)
        || rustup(&["target", "add", TARGET]).is_ok()
}
