//! Programs for the guests, out of Debian's packages: downloaded and unpacked by an ordinary user.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Error, debian};
use object::Endianness;
use object::elf::{DT_NEEDED, DT_STRTAB, FileHeader64, PT_INTERP, PT_LOAD, ProgramHeader64};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};

/// Where Debian's packages have their libraries.
const LIBRARIES: &str = "lib/x86_64-linux-gnu";
const USR_LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// Packages, with all that they depend on, unpacked into one folder.
pub(crate) struct Packages {
    root: PathBuf,
}

/// Why the programs can't be had.
#[derive(Debug)]
pub enum PackageError {
    /// A file, apt or dpkg.
    Image(Error),
    /// A program or library that no package has.
    Missing(String),
}

impl Packages {
    /// Unpacks `wanted` and the libraries they depend on into `folder`, unless the same versions are there already.
    /// Without a package list from the network, whatever is there is taken.
    pub(crate) fn unpacked(
        folder: &Path,
        wanted: &[&str],
        report: image::Report,
    ) -> Result<Self, PackageError> {
        let stamp = folder.join("versions");
        let present = fs::read_to_string(&stamp).ok();
        let root = folder.join("root");
        let names = match closure(wanted) {
            Ok(names) => names,
            Err(_) if present.is_some() => return Ok(Self { root }),
            Err(error) => return Err(error),
        };
        let key = versions(&names)?;
        if present.as_ref() != Some(&key) {
            report(&format!(
                "download and unpack {} packages for the guests ...",
                names.len()
            ));
            image::folder::replace(folder, |work| {
                let packages = work.join("packages");
                debian::download(&names, &packages)?;
                debian::unpack(&packages, &work.join("root"))?;
                fs::write(work.join("versions"), &key).map_err(Error::io(work))
            })?;
        }
        Ok(Self { root })
    }

    /// A program's file, by its path in the package.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// One of the programs, to be run on this host: by its own loader, for its C library may be another one than this
    /// machine's.
    pub(crate) fn command(&self, program: &str) -> Command {
        let libraries =
            [LIBRARIES, USR_LIBRARIES].map(|folder| self.file(folder).display().to_string());
        let mut command = Command::new(self.file(LIBRARIES).join("ld-linux-x86-64.so.2"));
        command
            .arg("--library-path")
            .arg(libraries.join(":"))
            .arg(self.file(program));
        command
    }

    /// The programs at `paths` with the shared libraries and loaders they need: what to copy where. Libraries land in
    /// `/lib/x86_64-linux-gnu`, where the loader looks, under the name they are asked for by.
    pub(crate) fn programs(
        &self,
        paths: &[&str],
    ) -> Result<BTreeMap<String, PathBuf>, PackageError> {
        let libraries = self.libraries()?;
        let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
        let mut todo: Vec<PathBuf> = Vec::new();
        for path in paths {
            files.insert((*path).to_owned(), self.file(path));
            todo.push(self.file(path));
        }
        while let Some(path) = todo.pop() {
            let bytes = fs::read(&path).map_err(Error::io(&path))?;
            let needs = needs(&bytes)
                .map_err(|why| PackageError::Missing(format!("{}: {why}", path.display())))?;
            for name in needs {
                let target = match name.rsplit_once('/') {
                    Some(_) => name.trim_start_matches('/').to_owned(),
                    None => format!("lib/x86_64-linux-gnu/{name}"),
                };
                let base = name.rsplit('/').next().unwrap_or(&name);
                if files.contains_key(&target) {
                    continue;
                }
                let found = libraries
                    .get(base)
                    .ok_or_else(|| PackageError::Missing(name.clone()))?;
                files.insert(target, found.clone());
                todo.push(found.clone());
            }
        }
        Ok(files)
    }

    /// Every file that may be a library, by its name.
    fn libraries(&self) -> Result<BTreeMap<String, PathBuf>, PackageError> {
        let mut libraries = BTreeMap::new();
        for folder in [LIBRARIES, USR_LIBRARIES, "usr/lib/x86_64-linux-gnu/frr"] {
            let folder = self.root.join(folder);
            if !folder.exists() {
                continue;
            }
            for entry in fs::read_dir(&folder).map_err(Error::io(&folder))? {
                let entry = entry.map_err(Error::io(&folder))?;
                libraries.insert(
                    entry.file_name().to_string_lossy().into_owned(),
                    entry.path(),
                );
            }
        }
        Ok(libraries)
    }
}

/// The packages and every library package that they depend on, directly or not. What else they depend on (init scripts,
/// debconf, documentation) is for an installed system.
fn closure(wanted: &[&str]) -> Result<Vec<String>, PackageError> {
    let options = [
        "depends",
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
        "--no-enhances",
    ];
    let text = debian::ask(&[&options, wanted].concat())?;
    // Packages stand at the start of a line, what they depend on is indented; virtual packages are in <>.
    let is_plain = |line: &&str| line.starts_with(|first: char| first.is_ascii_alphanumeric());
    let is_kept =
        |name: &&str| wanted.contains(name) || name.starts_with("lib") || name.starts_with("zlib");
    let names: BTreeSet<&str> = text.lines().filter(is_plain).filter(is_kept).collect();
    Ok(names
        .into_iter()
        .filter(|name| !name.contains(':'))
        .map(str::to_owned)
        .collect())
}

/// One line for each package with its version.
fn versions(names: &[String]) -> Result<String, PackageError> {
    let names = names.iter().map(String::as_str);
    let words: Vec<&str> = ["show", "--no-all-versions"]
        .into_iter()
        .chain(names)
        .collect();
    let text = debian::ask(&words)?;
    let fields = text
        .lines()
        .filter(|line| line.starts_with("Package: ") || line.starts_with("Version: "));
    Ok(fields.map(|line| format!("{line}\n")).collect())
}

/// The libraries that an ELF file names, and the loader that it asks for.
fn needs(bytes: &[u8]) -> Result<Vec<String>, object::Error> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, bytes)?;
    let mut names = Vec::new();
    for segment in segments {
        if segment.p_type(endian) == PT_INTERP {
            let path = segment.data(endian, bytes).unwrap_or_default();
            names.push(
                String::from_utf8_lossy(path)
                    .trim_end_matches('\0')
                    .to_owned(),
            );
        }
        let Some(dynamic) = segment.dynamic(endian, bytes)? else {
            continue;
        };
        let table = dynamic
            .iter()
            .find(|entry| entry.tag(endian) == DT_STRTAB)
            .map(|entry| entry.val(endian));
        let strings = table.and_then(|address| loaded_at(endian, segments, bytes, address));
        for entry in dynamic
            .iter()
            .filter(|entry| entry.tag(endian) == DT_NEEDED)
        {
            names.extend(strings.and_then(|strings| c_string(strings, entry.val(endian))));
        }
    }
    Ok(names)
}

/// The bytes that will be at `address` once the program is loaded, to the end of their segment.
fn loaded_at<'a>(
    endian: Endianness,
    segments: &[ProgramHeader64<Endianness>],
    bytes: &'a [u8],
    address: u64,
) -> Option<&'a [u8]> {
    segments
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_LOAD)
        .find_map(|segment| {
            let offset = address.checked_sub(segment.p_vaddr(endian))?;
            segment
                .data(endian, bytes)
                .ok()?
                .get(usize::try_from(offset).ok()?..)
        })
}

fn c_string(strings: &[u8], offset: u64) -> Option<String> {
    let from = strings.get(usize::try_from(offset).ok()?..)?;
    let end = from.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(from.get(..end)?).into_owned())
}

impl From<Error> for PackageError {
    fn from(error: Error) -> Self {
        Self::Image(error)
    }
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(error) => error.fmt(f),
            Self::Missing(what) => write!(f, "{what}: in none of the guests' packages"),
        }
    }
}

impl std::error::Error for PackageError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_this_host_needs_the_c_library_and_a_loader() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        let needs = needs(&own).unwrap();
        assert!(needs.iter().any(|name| name == "libc.so.6"), "{needs:?}");
        assert!(
            needs
                .iter()
                .any(|name| name == "/lib64/ld-linux-x86-64.so.2"),
            "{needs:?}"
        );
    }
}
