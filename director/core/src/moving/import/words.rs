//! `KEY = VALUE` lines and `NAME {` sections, and the values in them.

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;
use core::str::FromStr;

use super::notes::Notes;
use crate::ipvs::Scheduler;

/// One `KEY = VALUE`.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) key: String,
    /// Without quotes.
    pub(super) text: String,
    pub(super) line: u32,
}

impl Value {
    /// `1`, `yes`, `on` or `true`.
    pub(super) fn is_on(&self) -> bool {
        matches!(
            self.text.to_ascii_lowercase().as_str(),
            "1" | "yes" | "on" | "true"
        )
    }

    /// A value of a type that can be read from text; says so when it can't.
    pub(super) fn parse<T: FromStr>(&self, notes: &mut Notes) -> Option<T> {
        let value = self.text.parse().ok();
        if value.is_none() && !self.text.is_empty() {
            notes.lost(
                self.line,
                format!("`{} = {}`: not such a value", self.key, self.text),
            );
        }
        value
    }

    /// A number in a range. An empty value and 0 where it is not allowed mean that nothing is set.
    pub(super) fn number(&self, range: RangeInclusive<u32>, notes: &mut Notes) -> Option<u32> {
        let value: u32 = self.parse(notes)?;
        if value != 0 && !range.contains(&value) {
            notes.lost(self.line, format!("`{} = {value}`: out of range", self.key));
        }
        Some(value).filter(|value| range.contains(value))
    }

    /// The prefix length of an IPv4 netmask.
    pub(super) fn netmask(&self, notes: &mut Notes) -> Option<u8> {
        let mask: Ipv4Addr = self.parse(notes)?;
        let bits = u32::from(mask);
        if bits.leading_ones() != bits.count_ones() {
            notes.lost(self.line, format!("`{} = {mask}`: not a netmask", self.key));
            return None;
        }
        u8::try_from(bits.count_ones()).ok()
    }
}

/// A section, or the file itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    /// `virtual web`
    head: String,
    pub(super) line: u32,
    pub(super) values: Vec<Value>,
    pub(super) sections: Vec<Self>,
}

impl Section {
    pub(super) fn new(head: &str, line: u32) -> Self {
        Self {
            head: head.to_owned(),
            line,
            ..Self::default()
        }
    }

    /// Its first word.
    pub(super) fn kind(&self) -> &str {
        self.head.split_whitespace().next().unwrap_or_default()
    }

    /// Its second word.
    pub(super) fn name(&self) -> &str {
        self.head.split_whitespace().nth(1).unwrap_or_default()
    }

    /// The last value of a key, as it overrides those before.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.values.iter().rev().find(|value| value.key == key)
    }

    /// The text of a value that is not empty.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        let text = self.value(key)?.text.as_str();
        Some(text).filter(|text| !text.is_empty())
    }

    /// The line of a service's scheduler: the usual one, unless another known one is said.
    pub(super) fn scheduler(&self, usual: &str, notes: &mut Notes) -> String {
        let said = self.text("scheduler").unwrap_or(usual);
        if Scheduler::KNOWN.contains(&said) {
            return format!("lb_algo {said}");
        }
        if let Some(value) = self.value("scheduler") {
            notes.assumed(value.line, format!("the scheduler {usual}, for `{said}`"));
        }
        format!("lb_algo {usual}")
    }

    /// The lines of how long a service holds on to a client, and by which netmask.
    pub(super) fn persistence(&self, netmask: &str, notes: &mut Notes) -> Vec<String> {
        let seconds = self.value("persistent");
        let seconds = seconds.and_then(|value| value.number(1..=2_678_400, notes));
        let prefix = self.value(netmask).and_then(|mask| mask.netmask(notes));
        let prefix = prefix.filter(|prefix| seconds.is_some() && (1..32).contains(prefix));
        let seconds = seconds.map(|seconds| format!("persistence_timeout {seconds}"));
        let prefix = prefix.map(|prefix| format!("persistence_granularity {prefix}"));
        seconds.into_iter().chain(prefix).collect()
    }
}

/// Reads `KEY = VALUE` lines and sections in braces. Deeper than a server in a service no file goes.
pub(super) fn sections(text: &str, notes: &mut Notes) -> Section {
    const DEPTH_MAX: usize = 8;
    let mut open = vec![Section::default()];
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(head) = line.strip_suffix('{') {
            if open.len() < DEPTH_MAX {
                open.push(Section::new(head.trim(), number));
            } else {
                notes.lost(number, "a section in too many others");
            }
        } else if line == "}" {
            close(&mut open);
        } else if let Some(section) = open.last_mut() {
            section.values.push(value(line, number));
        }
    }
    while open.len() > 1 {
        close(&mut open);
    }
    open.pop().unwrap_or_default()
}

fn close(open: &mut Vec<Section>) {
    if open.len() > 1
        && let Some(section) = open.pop()
        && let Some(outer) = open.last_mut()
    {
        outer.sections.push(section);
    }
}

/// `KEY = VALUE`, where the value may stand in quotes.
pub(super) fn value(line: &str, number: u32) -> Value {
    let (key, text) = line.split_once('=').unwrap_or((line, ""));
    let text = text.trim();
    let bare = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    Value {
        key: key.trim().to_owned(),
        text: bare.unwrap_or(text).to_owned(),
        line: number,
    }
}

/// A port by its number, or by the names that such files use.
pub(super) fn port(text: &str) -> Option<u16> {
    const NAMES: [(&str, u16); 16] = [
        ("ftp", 21),
        ("ssh", 22),
        ("telnet", 23),
        ("smtp", 25),
        ("domain", 53),
        ("http", 80),
        ("www", 80),
        ("pop3", 110),
        ("imap", 143),
        ("ldap", 389),
        ("https", 443),
        ("ldaps", 636),
        ("imaps", 993),
        ("pop3s", 995),
        ("mysql", 3306),
        ("postgresql", 5432),
    ];
    let named = NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map(|(_, port)| *port).or_else(|| text.parse().ok())
}

/// Whether a text may stand as the path of a request.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/') && is_word(text)
}

/// Whether a text is one word of keepalived.conf that means itself.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"'#!{}$\\".contains(&byte))
}
