//! The two configuration files, and what became of them.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use director_core::config::{Config, Parsed, Reading, Severity, Source, parse_with};
use director_core::limits::CONFIG_BYTES_MAX;

use crate::exec;
use crate::outside::Host;
use crate::proto::{CHECKED_LINES_MAX, Checked, File};

/// Where the files are.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// keepalived.conf.
    pub(crate) keepalived: PathBuf,
    /// router.conf; a node without one has nothing of its own to set.
    pub(crate) router: PathBuf,
}

/// The files as read and judged.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What the text says.
    pub(crate) parsed: Parsed,
    /// keepalived.conf or router.conf could not be read, in words.
    pub(crate) unreadable: Vec<String>,
}

impl Loaded {
    /// Whether the running configuration stays in force.
    #[must_use]
    pub(crate) fn is_refused(&self) -> bool {
        !self.unreadable.is_empty() || self.parsed.has_errors()
    }

    /// Errors and warnings as text.
    #[must_use]
    pub(crate) fn checked(&self) -> Checked {
        let of = |severity| {
            self.parsed
                .diagnostics
                .iter()
                .filter(|found| found.severity == severity)
                .count()
        };
        let lines = self.parsed.diagnostics.iter().map(ToString::to_string);
        Checked {
            errors: count(of(Severity::Error) + self.unreadable.len()),
            warnings: count(of(Severity::Warning)),
            lines: self
                .unreadable
                .iter()
                .cloned()
                .chain(lines)
                .take(CHECKED_LINES_MAX)
                .collect(),
        }
    }

    /// The configuration, when the files are free of errors.
    pub(crate) fn take_config(&mut self) -> Option<Config> {
        let refused = self.is_refused();
        self.parsed.config.take().filter(|_| !refused)
    }

    /// One line in the log for each problem.
    pub(crate) fn log(&self) {
        for problem in &self.unreadable {
            log::error!("{problem}");
        }
        for found in &self.parsed.diagnostics {
            let level = if found.severity == Severity::Error {
                log::Level::Error
            } else {
                log::Level::Warn
            };
            log::log!(
                level,
                "{}:{}:{}: {}",
                found.file,
                found.line,
                found.column,
                found.message
            );
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Files {
    /// Both by their paths.
    pub(crate) fn of(keepalived: &Path, router: &Path) -> Self {
        Self {
            keepalived: keepalived.to_path_buf(),
            router: router.to_path_buf(),
        }
    }

    /// Reads and judges both files.
    #[must_use]
    pub(crate) fn load(&self) -> Loaded {
        self.judge(self.read(File::Keepalived), self.read(File::Router))
    }

    /// Judges a new text for one of the files together with the other one.
    #[must_use]
    pub(crate) fn check(&self, file: File, text: &str) -> Loaded {
        let text = Ok(text.as_bytes().to_vec());
        match file {
            File::Keepalived => self.judge(text, self.read(File::Router)),
            File::Router => self.judge(self.read(File::Keepalived), text),
        }
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// What the file system says; `FileTooLarge` above [`CONFIG_BYTES_MAX`].
    pub(crate) fn read(&self, file: File) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = CONFIG_BYTES_MAX as u64 + 1;
        fs::File::open(self.path(file))?
            .take(limit)
            .read_to_end(&mut bytes)?;
        if bytes.len() > CONFIG_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    /// Puts a new text in a file's place, whole or not at all.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn replace(&self, file: File, text: &str) -> io::Result<()> {
        // Passwords are in it.
        replace(self.path(file), 0o600, text)
    }

    /// Where further files of the configuration are.
    pub(crate) fn folder(&self) -> &Path {
        self.keepalived.parent().unwrap_or_else(|| Path::new("/"))
    }

    fn path(&self, file: File) -> &Path {
        match file {
            File::Keepalived => &self.keepalived,
            File::Router => &self.router,
        }
    }

    fn judge(&self, keepalived: io::Result<Vec<u8>>, router: io::Result<Vec<u8>>) -> Loaded {
        let mut unreadable = Vec::new();
        let keepalived = keepalived
            .map_err(|error| unreadable.push(self.problem(File::Keepalived, &error)))
            .ok();
        let router = match router {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            router => router
                .map_err(|error| unreadable.push(self.problem(File::Router, &error)))
                .ok(),
        };
        let (first, second) = (
            self.path(File::Keepalived).to_string_lossy(),
            self.path(File::Router).to_string_lossy(),
        );
        let reading = Reading::with(&Host);
        let mut parsed = parse_with(
            keepalived.as_deref().map(|bytes| Source {
                name: &first,
                bytes,
            }),
            router.as_deref().map(|bytes| Source {
                name: &second,
                bytes,
            }),
            &reading,
        );
        parsed.require(|needed, path| exec::absent(self.folder(), needed, path));
        Loaded { parsed, unreadable }
    }

    fn problem(&self, file: File, error: &io::Error) -> String {
        format!("{}: {error}", self.path(file).display())
    }
}

/// Puts a new text in the place of a file, whole or not at all.
pub(crate) fn replace(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut out = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&new)?;
    out.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}

/// A configuration text without its passwords: what stands behind the words `secret` and `auth_pass`, and the values of
/// variables that do.
#[must_use]
pub(crate) fn without_secrets(text: &str) -> String {
    let behind = |line| secret_in(line).and_then(|end| str::get(line, end..));
    let hidden: Vec<&str> = text
        .lines()
        .filter_map(behind)
        .flat_map(variables)
        .collect();
    let value = |line: &str| {
        let (before, name) = line.split_once('=')?.0.rsplit_once('$')?;
        hidden
            .contains(&name)
            .then_some(before.len() + name.len() + 2)
    };
    text.lines().fold(String::new(), |all, line| {
        match secret_in(line).or_else(|| value(line)) {
            Some(end) => all + line.get(..end).unwrap_or_default() + " ***\n",
            None => all + line + "\n",
        }
    })
}

/// The names of the variables in a text.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.split(|letter: char| letter != '_' && !letter.is_ascii_alphanumeric())
            .next()
    })
}

/// Where the word ends that a password follows.
fn secret_in(line: &str) -> Option<usize> {
    let is_edge = |byte: Option<&u8>| {
        byte.is_none_or(|byte| byte.is_ascii_whitespace() || b"{}".contains(byte))
    };
    let ends = ["secret", "auth_pass"].into_iter().flat_map(|word| {
        line.match_indices(word).filter_map(move |(at, _)| {
            let (before, after) = (at.checked_sub(1), at + word.len());
            let bytes = line.as_bytes();
            (is_edge(before.and_then(|at| bytes.get(at))) && is_edge(bytes.get(after)))
                .then_some(after)
        })
    });
    ends.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_keepalived_conf_is_an_error_and_a_missing_router_conf_is_not() {
        let files = Files {
            keepalived: "/nonexistent/k".into(),
            router: "/nonexistent/r".into(),
        };
        let loaded = files.load();
        assert!(loaded.is_refused());
        assert_eq!(loaded.unreadable.len(), 1);
        assert_eq!(loaded.checked().errors, 1);
        assert!(loaded.checked().lines[0].starts_with("/nonexistent/k: "));
    }

    #[test]
    fn passwords_are_not_shown() {
        for (text, shown) in [
            ("  secret hunter2 # mine", "  secret ***"),
            ("console { secret x }", "console { secret ***"),
            ("auth_pass\tx", "auth_pass ***"),
            ("auth_type PASS", "auth_type PASS"),
            ("secrets y", "secrets y"),
            (
                "@a $P=x\n$Q=y\nauth_pass a${P}b",
                "@a $P= ***\n$Q=y\nauth_pass ***",
            ),
        ] {
            assert_eq!(without_secrets(text), format!("{shown}\n"));
        }
    }

    #[test]
    fn a_text_is_replaced_whole() {
        let folder = std::env::temp_dir().join(format!("director-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = Files {
            keepalived: folder.join("keepalived.conf"),
            router: folder.join("router.conf"),
        };
        files.replace(File::Keepalived, "! nothing\n").unwrap();
        assert_eq!(files.read(File::Keepalived).unwrap(), b"! nothing\n");
        assert!(!files.load().is_refused());
        fs::remove_dir_all(folder).unwrap();
    }
}
