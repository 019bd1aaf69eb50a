//! The musl target made of Debian's packages, for machines where rustup can't fetch it.
//!
//! What `rustup target add` downloads is a standard library and musl's start files. Debian has the sources of the one
//! and the package of the other; compiled and put together here they are a sysroot that stable rustc takes as it takes
//! rustup's: no special linker, no unstable option and no configuration in the workspace.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::TARGET;
use crate::{Error, cache, process};

/// Compiler, sources of the standard library, C library.
pub(super) const PACKAGES: &[&str] = &["rustc-web", "rust-web-src", "cargo-web", "musl-dev", "gcc"];
pub(super) const CARGO: &str = "/usr/bin/cargo";
pub(super) const RUSTC: &str = "/usr/bin/rustc";
const MUSL: &str = "/usr/lib/x86_64-linux-musl";
const MUSL_FILES: [&str; 6] = ["crt1.o", "Scrt1.o", "rcrt1.o", "crti.o", "crtn.o", "libc.a"];
const GCC_FILES: [&str; 4] = ["crtbegin.o", "crtend.o", "crtbeginS.o", "crtendS.o"];
/// musl has no `_dl_find_object`, which libgcc's unwinder looks for; "not found" makes it walk the program headers.
const DL_FIND_OBJECT: &str = "int _dl_find_object(void *pc, void *result) { return -1; }\n";
/// `panic_abort` must be compiled to abort, which -Zbuild-std does not do by itself.
const WRAPPER: &str = "#!/bin/sh
case \" $* \" in
    *' --crate-name panic_abort '*) exec \"$@\" -C panic=abort ;;
    *) exec \"$@\" ;;
esac
";
const EMPTY_CRATE: &str =
    "[package]\nname = \"empty\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n";

/// Whether `sysroot` was made by the compiler that is installed now.
pub(super) fn is_ready(sysroot: &Path) -> bool {
    let made_by = fs::read_to_string(sysroot.join("rustc"));
    made_by.is_ok_and(|made_by| compiler().is_ok_and(|compiler| made_by == compiler))
}

/// Makes the sysroot; takes about two CPU minutes.
pub(super) fn make(sysroot: &Path) -> Result<(), Error> {
    let compiler = compiler()?;
    if sysroot.exists() {
        fs::remove_dir_all(sysroot).map_err(Error::io(sysroot))?;
    }
    let rustlib = sysroot.join("lib/rustlib");
    let library = rustlib.join(TARGET).join("lib");
    let start_files = library.join("self-contained");
    let work = sysroot.join("work");
    for dir in [&start_files, &work] {
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
    }
    for name in ["x86_64-unknown-linux-gnu", "src"] {
        let link = rustlib.join(name);
        symlink(Path::new("/usr/lib/rustlib").join(name), &link).map_err(Error::io(&link))?;
    }
    put_start_files(&start_files)?;
    put_unwinder(&start_files, &work)?;
    build_standard_library(&library, &work)?;
    fs::remove_dir_all(&work).map_err(Error::io(&work))?;
    // Written last: a sysroot with it is complete.
    cache::write(&sysroot.join("rustc"), compiler.as_bytes())
}

fn compiler() -> Result<String, Error> {
    process::output(Command::new(RUSTC).arg("-vV"), PACKAGES)
}

fn put_start_files(start_files: &Path) -> Result<(), Error> {
    let gcc = gcc_dir()?;
    let musl = Path::new(MUSL);
    let files = MUSL_FILES
        .iter()
        .map(|name| (musl, name))
        .chain(GCC_FILES.iter().map(|name| (gcc.as_path(), name)));
    for (dir, name) in files {
        let from = dir.join(name);
        fs::copy(&from, start_files.join(name)).map_err(Error::io(&from))?;
    }
    Ok(())
}

fn put_unwinder(start_files: &Path, work: &Path) -> Result<(), Error> {
    let from = gcc_dir()?.join("libgcc_eh.a");
    let archive = start_files.join("libunwind.a");
    let (source, object) = (work.join("dl_find_object.c"), work.join("dl_find_object.o"));
    fs::copy(&from, &archive).map_err(Error::io(&from))?;
    fs::write(&source, DL_FIND_OBJECT).map_err(Error::io(&source))?;
    process::output(
        Command::new("gcc")
            .args(["-O2", "-fPIC", "-c", "-o"])
            .args([&object, &source]),
        PACKAGES,
    )?;
    process::output(
        Command::new("ar").arg("rs").args([&archive, &object]),
        PACKAGES,
    )
    .map(drop)
}

fn gcc_dir() -> Result<PathBuf, Error> {
    let libgcc = process::output(Command::new("gcc").arg("-print-libgcc-file-name"), PACKAGES)?;
    Ok(Path::new(libgcc.trim())
        .parent()
        .unwrap_or_else(|| Path::new("/"))
        .to_owned())
}

fn build_standard_library(library: &Path, work: &Path) -> Result<(), Error> {
    let wrapper = work.join("rustc-wrapper");
    for (name, text) in [
        ("rustc-wrapper", WRAPPER),
        ("Cargo.toml", EMPTY_CRATE),
        ("lib.rs", "#![no_std]\n"),
    ] {
        let path = work.join(name);
        fs::write(&path, text).map_err(Error::io(&path))?;
    }
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))
        .map_err(Error::io(&wrapper))?;
    let mut cargo = Command::new(CARGO);
    cargo.args([
        "build",
        "--release",
        "--target",
        TARGET,
        "--target-dir",
        "target",
    ]);
    cargo
        .arg("-Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test")
        .current_dir(work);
    cargo
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", RUSTC)
        .env("RUSTC_WRAPPER", &wrapper)
        .env_remove("RUSTUP_TOOLCHAIN");
    // Fat LTO of the product needs the bitcode.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Cembed-bitcode=yes");
    process::run(&mut cargo, PACKAGES)?;
    let built = work.join("target").join(TARGET).join("release/deps");
    for entry in fs::read_dir(&built).map_err(Error::io(&built))? {
        let path = entry.map_err(Error::io(&built))?.path();
        let name = path.file_name().unwrap_or_default();
        let is_library = path
            .extension()
            .is_some_and(|extension| extension == "rlib");
        if is_library && !name.to_string_lossy().starts_with("libempty-") {
            fs::copy(&path, library.join(name)).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}
