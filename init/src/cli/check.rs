//! `keelson check`: what is wrong with configuration files, on any machine.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use director_core::config::keywords::{Block, Keyword, keywords};
use director_core::config::{Config, Diagnostic, Reading, Severity, Source, parse_with};
use director_core::limits::CONFIG_BYTES_MAX;
use serde::Serialize;

use super::{FAILED, FINE, WRONG, fail, print};
use crate::console::render;

/// Files to look at.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// keepalived.conf and router.conf, in any order: told apart by their names, or else by what they hold. Given
    /// both, what one says of the other is checked, too
    #[arg(required_unless_present_any = ["keepalived", "router"], num_args = 1..=2, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A keepalived.conf, whatever its name
    #[arg(long, value_name = "FILE")]
    keepalived: Option<PathBuf>,
    /// A router.conf, whatever its name
    #[arg(long, value_name = "FILE")]
    router: Option<PathBuf>,
    /// Unknown words are left out with a warning, as keepalived does; `config lenient` in router.conf says the same
    #[arg(long)]
    lenient: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// One file with its bytes.
pub(super) struct Text {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

impl Text {
    pub(super) fn source(&self) -> Source<'_> {
        Source {
            name: &self.name,
            bytes: &self.bytes,
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    schema: u16,
    errors: usize,
    warnings: usize,
    diagnostics: &'a [Diagnostic],
}

impl Check {
    /// Prints what there is to say; the exit status.
    pub(super) fn run(&self) -> u8 {
        let (keepalived, router) = match self.read() {
            Ok(texts) => texts,
            Err(error) => return fail(FAILED, &error),
        };
        let reading = Reading {
            lenient: self.lenient,
            ..Reading::with(&director::Host)
        };
        let mut parsed = parse_with(
            keepalived.as_ref().map(Text::source),
            router.as_ref().map(Text::source),
            &reading,
        );
        if let Some(text) = &keepalived {
            let folder = Path::new(&text.name)
                .parent()
                .unwrap_or_else(|| Path::new("/"));
            parsed.require(|needed, path| director::exec::absent(folder, needed, path));
        }
        let of = |severity| {
            parsed
                .diagnostics
                .iter()
                .filter(|found| found.severity == severity)
                .count()
        };
        let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
        if self.json {
            let schema = director_core::status::SCHEMA;
            let report = Report {
                schema,
                errors,
                warnings,
                diagnostics: &parsed.diagnostics,
            };
            print(&(render::one_line(&report) + "\n"));
        } else {
            let mut text: String = parsed
                .diagnostics
                .iter()
                .map(|diagnostic| format!("{diagnostic}\n"))
                .collect();
            let plural =
                |count: usize, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
            let names: Vec<&str> = keepalived
                .iter()
                .chain(&router)
                .map(|text| text.name.as_str())
                .collect();
            let (errors, warnings) = (plural(errors, "error"), plural(warnings, "warning"));
            text += &format!("{}: {errors}, {warnings}\n", names.join(", "));
            print(&text);
        }
        if errors > 0 { WRONG } else { FINE }
    }

    /// keepalived.conf and router.conf, as far as they are given.
    fn read(&self) -> Result<Pair, String> {
        let keepalived = self.keepalived.as_deref().map(read).transpose()?;
        let router = self.router.as_deref().map(read).transpose()?;
        sorted(&self.files, (keepalived, router))
    }
}

/// keepalived.conf and router.conf, as far as they are given.
pub(super) type Pair = (Option<Text>, Option<Text>);

/// Reads files and puts each where it belongs.
pub(super) fn sorted(
    files: &[PathBuf],
    (mut keepalived, mut router): Pair,
) -> Result<Pair, String> {
    for path in files {
        let text = read(path)?;
        let place = if is_router_conf(path, &text.bytes) {
            &mut router
        } else {
            &mut keepalived
        };
        if let Some(first) = place {
            return Err(format!(
                "{} and {} are of the same kind; say which is which by --keepalived FILE --router FILE",
                first.name, text.name
            ));
        }
        *place = Some(text);
    }
    Ok((keepalived, router))
}

/// The configuration of files on this machine; what is wrong with one that has errors is printed.
///
/// # Errors
/// The exit status, when there is none.
pub(super) fn config_of((keepalived, router): &Pair) -> Result<Config, u8> {
    let parsed = parse_with(
        keepalived.as_ref().map(Text::source),
        router.as_ref().map(Text::source),
        &Reading::with(&director::Host),
    );
    parsed.config.ok_or_else(|| {
        for diagnostic in &parsed.diagnostics {
            eprintln!("{diagnostic}");
        }
        WRONG
    })
}

pub(super) fn read(path: &Path) -> Result<Text, String> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    // One byte more than allowed, so that the reading itself finds what is too long.
    let result = File::open(path).and_then(|file| {
        file.take(CONFIG_BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)
    });
    match result {
        Err(error) => Err(format!("{name}: {error}")),
        Ok(length) if length > CONFIG_BYTES_MAX => {
            Err(format!("{name}: longer than {CONFIG_BYTES_MAX} bytes"))
        }
        Ok(_) => Ok(Text { name, bytes }),
    }
}

/// By its name; by its first word where the name says nothing.
fn is_router_conf(path: &Path, bytes: &[u8]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.contains("keepalived") || name.contains("router") {
        return name.contains("router");
    }
    let text = String::from_utf8_lossy(bytes);
    let mut words = text
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    let first = words
        .next()
        .and_then(|line| line.split([' ', '\t', '{']).next())
        .unwrap_or_default();
    let belongs = |keyword: &Keyword| keyword.block == Block::RouterConf && keyword.word == first;
    keywords().iter().any(belongs)
}
