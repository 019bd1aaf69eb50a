//! keepalived's own keepalived.conf, as a distribution has it: what is accepted stays as it is, comments included; what
//! is not becomes a comment with its reason, and a note. What the file takes for granted becomes router.conf.

use std::collections::BTreeSet;

use super::Imported;
use super::notes::Notes;
use super::outline::Block;
use super::pair::HOSTNAMES;
use crate::config::keywords;
use crate::config::{
    Config, Diagnostic, Outside, Parsed, Reading, Severity, Source, Tracked, parse_with,
};

/// Each round takes out what is wrong, and what depends on that is wrong in the next one: a script, then those that
/// track it.
const ROUNDS_MAX: usize = 32;

/// Words that no other format has on its outermost level.
pub(super) fn is_own_keyword(word: &str) -> bool {
    let is_it = |keyword: &keywords::Keyword| {
        keyword.block == keywords::Block::Keepalived && keyword.word == word
    };
    word == "include" || keywords::keywords().iter().any(is_it)
}

/// What is said of a program or a file that the configuration names.
const COMES_ALONG: &str = "comes with the configuration, by `--file`";

pub(super) fn read(source: Source<'_>, mut notes: Notes) -> Imported {
    let text = String::from_utf8_lossy(source.bytes);
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    let identities = identities(&lines);
    if identities.is_empty() {
        let text = "the other node's file is another one: import that too, and make one of both by `@NAME` lines";
        notes.assumed(1, text);
    }
    let mut nodes = identities;
    if nodes.is_empty() {
        nodes.push(HOSTNAMES[0].to_owned());
    }
    let mut parsed = Vec::new();
    for _ in 0..ROUNDS_MAX {
        parsed = nodes
            .iter()
            .map(|node| parse_as(node, source.name, &lines))
            .collect();
        let errors: Vec<&Diagnostic> = parsed.iter().flat_map(errors).collect();
        let mut changed = false;
        for error in errors {
            if switch_off(&mut lines, error) {
                changed = true;
                notes.lost(error.line, said(error));
            }
        }
        if !changed {
            break;
        }
    }
    let configs: Vec<Option<Config>> = parsed.iter().map(|parsed| parsed.config.clone()).collect();
    for mut parsed in parsed {
        parsed.require(|_, _| Some(COMES_ALONG.to_owned()));
        for found in &parsed.diagnostics {
            match found.severity {
                Severity::Error if !found.message.ends_with(COMES_ALONG) => {
                    notes.lost(found.line, said(found));
                }
                _ => notes.assumed(found.line, said(found)),
            }
        }
    }
    let routers = nodes.iter().zip(&configs);
    let routers = routers.map(|(node, config)| router_conf(node, config.as_ref(), &mut notes));
    let routers = routers.collect();
    Imported {
        keepalived: lines.iter().map(|line| format!("{line}\n")).collect(),
        routers,
        notes: notes.finish(),
    }
}

/// The nodes that lines are for: `@NAME ..`.
fn identities(lines: &[String]) -> Vec<String> {
    let mut names = BTreeSet::new();
    for line in lines {
        let Some(rest) = line.trim_start().strip_prefix('@') else {
            continue;
        };
        let rest = rest.strip_prefix('^').unwrap_or(rest);
        let name = rest.split_whitespace().next().unwrap_or_default();
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_name && !name.is_empty() {
            names.insert(name.to_owned());
        }
    }
    names.into_iter().collect()
}

fn parse_as(node: &str, name: &str, lines: &[String]) -> Parsed {
    let keepalived = lines.join("\n") + "\n";
    let keepalived = Source {
        name,
        bytes: keepalived.as_bytes(),
    };
    let router = format!("system {{\n    hostname {node}\n}}\n");
    let router = Source {
        name: "router.conf",
        bytes: router.as_bytes(),
    };
    parse_with(Some(keepalived), Some(router), &Reading::with(&Elsewhere))
}

/// The files that this one includes are not looked at.
struct Elsewhere;

impl Outside for Elsewhere {
    fn read(&self, _: &str) -> Result<Vec<u8>, String> {
        Ok(Vec::new())
    }

    fn list(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

fn errors(parsed: &Parsed) -> impl Iterator<Item = &Diagnostic> {
    let all = parsed.diagnostics.iter();
    all.filter(|found| found.severity == Severity::Error)
}

fn said(found: &Diagnostic) -> String {
    match &found.hint {
        Some(hint) => format!("{}; {hint}", found.message),
        None => found.message.clone(),
    }
}

/// Makes a comment of the statement that is wrong, its block included; false when it is one already.
fn switch_off(lines: &mut [String], error: &Diagnostic) -> bool {
    let line = usize::try_from(error.line).unwrap_or(usize::MAX);
    let first = line.saturating_sub(1).min(lines.len());
    let end = first + length(lines.get(first..).unwrap_or_default());
    let mut reason = Some(&error.message);
    for line in lines.get_mut(first..end).unwrap_or_default() {
        if !code(line).is_empty() {
            let reason = reason.take().map(|reason| format!("   # {reason}"));
            *line = format!("# {line}{}", reason.unwrap_or_default());
        }
    }
    reason.is_none()
}

/// Lines of the statement that begins here: up to the end of its block, if it has one.
fn length(lines: &[String]) -> usize {
    let (mut depth, mut opened) = (0_i32, false);
    for (index, line) in lines.iter().enumerate() {
        for byte in code(line).bytes() {
            match byte {
                b'{' => (depth, opened) = (depth + 1, true),
                b'}' => depth -= 1,
                _ => {}
            }
        }
        let next = lines.get(index + 1).map(|line| code(line));
        let goes_on = if opened {
            depth > 0
        } else {
            depth == 0 && next.is_some_and(|next| next.starts_with('{'))
        };
        if !goes_on {
            return index + 1;
        }
    }
    lines.len()
}

/// A line before its comment, without blanks around.
fn code(line: &str) -> &str {
    let mut quoted = false;
    let end = line.find(|letter| {
        quoted ^= letter == '"';
        !quoted && matches!(letter, '#' | '!')
    });
    line.get(..end.unwrap_or(line.len())).unwrap_or(line).trim()
}

/// What a distribution would have configured, as far as the file tells.
fn router_conf(node: &str, config: Option<&Config>, notes: &mut Notes) -> String {
    let mut system = Block::new("system");
    system.line(format!("hostname {node}"));
    let mut text = system.text();
    let mut interfaces = BTreeSet::new();
    for router in config.iter().flat_map(|config| &config.routers) {
        interfaces.insert(router.interface.to_string());
        let addresses = router.virtual_addresses();
        interfaces.extend(addresses.map(|address| address.interface.to_string()));
        let tracked = router
            .trackers
            .iter()
            .filter_map(|tracker| match &tracker.of {
                Tracked::Interface(name) => Some(name.to_string()),
                _ => None,
            });
        interfaces.extend(tracked);
    }
    let sync = config.and_then(|config| config.sync_daemon.as_ref());
    interfaces.extend(sync.map(|sync| sync.interface.to_string()));
    for name in &interfaces {
        let mut block = Block::new(format!("interface {name}"));
        block.line("# address ADDRESS/PREFIX");
        text += &block.text();
        let what = format!(
            "the addresses of {node} on {name}, and its routes, are for router.conf: fill them in"
        );
        notes.assumed(1, what);
    }
    text + "# route default { via GATEWAY }\n"
}
