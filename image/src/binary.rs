//! The `keelson` binary: compiled for musl, and checked to be what the image needs.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use object::Endianness;
use object::elf::{DT_NEEDED, EM_X86_64, ET_DYN, FileHeader64, PT_INTERP, SHT_SYMTAB};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, SectionHeader as _};

use crate::progress::{Report, step};
use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::Workspace;
use crate::{Error, process};

/// The product.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Where cargo put it.
    pub path: PathBuf,
    /// Its contents.
    pub bytes: Vec<u8>,
    /// Version and origin of the compiler.
    pub compiler: String,
}

/// Has cargo build `what` for release, for a target and into the workspace's own folder.
pub fn compile(
    cargo: &mut Command,
    what: &[&str],
    target: &str,
    workspace: &Workspace,
) -> Result<(), Error> {
    cargo
        .args(["build", "--quiet", "--release"])
        .args(what)
        .args(["--target", target, "--target-dir"])
        .arg(&workspace.target)
        .current_dir(&workspace.root);
    process::run(cargo, &[])
}

/// Compiles `keelson` if it is not up to date. Fails when the result is not a stripped static-pie.
pub fn keelson(workspace: &Workspace, report: Report) -> Result<Binary, Error> {
    let toolchain = Toolchain::find(workspace, report)?;
    let compiler = toolchain.version()?;
    let mut cargo = toolchain.cargo(&flags(workspace, &toolchain));
    let what = ["--package", "init", "--bin", "keelson"];
    step(
        report,
        &format!("compile keelson for musl with {compiler}"),
        || compile(&mut cargo, &what, TARGET, workspace),
    )?;
    let path = workspace.target.join(TARGET).join("release/keelson");
    let bytes = fs::read(&path).map_err(Error::io(&path))?;
    check(&bytes).map_err(|why| Error::Binary(format!("{} {why}", path.display())))?;
    Ok(Binary {
        path,
        bytes,
        compiler,
    })
}

/// The linker's script, in the repository: what stays out of the binary, and what lies together in it.
const LAYOUT: &str = "image/layout.ld";

/// Flags of rustc that keep this machine's folders out of the binary (panic messages name source files), and the tables
/// for unwinding; that lay its functions out, by names that tell the types of generic ones; and that make it smaller:
/// relocations take a bit each where the target's C library can read them so.
fn flags(workspace: &Workspace, toolchain: &Toolchain) -> Vec<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let places = [(home, "/cargo"), (Some(workspace.root.clone()), "/keelson")];
    let remap = |(from, to): (Option<PathBuf>, &str)| {
        Some(format!("--remap-path-prefix={}={to}", from?.display()))
    };
    let script = workspace.root.join(LAYOUT);
    let linker = [
        "-Clink-arg=-Wl,--no-eh-frame-hdr".to_owned(),
        format!("-Clink-arg=-T{}", script.display()),
        "-Csymbol-mangling-version=v0".to_owned(),
    ];
    let packed = "-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned();
    let packed = toolchain.reads_packed_relocations().then_some(packed);
    let flags = places.into_iter().filter_map(remap);
    flags.chain(linker).chain(packed).collect()
}

/// Says what is wrong with an ELF file that is not a stripped static-pie for x86-64.
fn check(bytes: &[u8]) -> Result<(), String> {
    let malformed = |error: object::Error| format!("is malformed: {error}");
    let header = FileHeader64::<Endianness>::parse(bytes).map_err(malformed)?;
    let endian = header.endian().map_err(malformed)?;
    if header.e_machine(endian) != EM_X86_64 || header.e_type(endian) != ET_DYN {
        return Err("is not a position independent program for x86-64".to_owned());
    }
    for segment in header.program_headers(endian, bytes).map_err(malformed)? {
        if segment.p_type(endian) == PT_INTERP {
            return Err("asks for a dynamic loader".to_owned());
        }
        let dynamic = segment
            .dynamic(endian, bytes)
            .map_err(malformed)?
            .unwrap_or_default();
        if dynamic.iter().any(|entry| entry.tag(endian) == DT_NEEDED) {
            return Err("needs a shared library".to_owned());
        }
    }
    let sections = header.section_headers(endian, bytes).map_err(malformed)?;
    if sections
        .iter()
        .any(|section| section.sh_type(endian) == SHT_SYMTAB)
    {
        return Err("is not stripped".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_of_the_host_and_what_is_no_program_are_refused() {
        let own = fs::read(env::current_exe().unwrap()).unwrap();
        assert_eq!(check(&own), Err("asks for a dynamic loader".to_owned()));
        assert!(check(b"#!/bin/sh\n").is_err());
        assert!(check(&own[..100]).is_err());
    }

    /// `_13director_core6change` names two.
    fn names(pattern: &str) -> Vec<&str> {
        let (mut names, mut left) = (Vec::new(), pattern);
        while !left.is_empty() {
            let digits = left.find(|c: char| !c.is_ascii_digit()).unwrap();
            let (name, rest) = left[digits..].split_at(left[..digits].parse().unwrap());
            names.push(name);
            left = rest;
        }
        names
    }

    #[test]
    fn what_the_layout_names_of_our_own_exists() {
        let root = Workspace::new().root;
        let script = fs::read_to_string(root.join(LAYOUT)).unwrap();
        let words = script.split(|c: char| c.is_whitespace() || "()*[".contains(c));
        for pattern in words.filter_map(|word| word.strip_prefix('_')) {
            let names = names(pattern);
            let mut folder = match names[0] {
                "director" => root.join("director/src"),
                "director_core" => root.join("director/core/src"),
                "init" => root.join("init/src"),
                _ => continue,
            };
            // Modules, and then something in the last one.
            let mut text = String::new();
            for name in &names[1..] {
                folder.push(name);
                let file = [folder.with_extension("rs"), folder.join("mod.rs")];
                match file.iter().find(|file| file.exists()) {
                    Some(file) => text = fs::read_to_string(file).unwrap(),
                    None => assert!(text.contains(name), "{pattern}: no {name}"),
                }
            }
        }
    }
}
