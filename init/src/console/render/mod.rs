//! The status as text: pure functions from a [`Status`] to lines of at most 80 columns of plain ASCII.
//!
//! The reader sits at a serial line at night: what is wrong comes first, every state with its age, and as few bytes as
//! say it.

mod overview;
mod parts;
mod table;
mod words;

use director::proto::Checked;
use director_core::status::{LogLine, Status};
use serde::Serialize;

use super::command::View;
pub use words::{ascii, endpoint, visible};

/// A part of the status as a text of lines.
pub fn text(view: View, status: &Status) -> String {
    let text = match view {
        View::Status => overview::node(status),
        View::Routers => parts::routers(status),
        View::Services => parts::services(status),
        View::Checks => parts::checks(status),
        View::Interfaces => parts::interfaces(status),
    };
    ascii(&text)
}

/// A part of the status as one line of JSON; SCHEMA.md says what it holds.
pub fn json(view: View, status: &Status) -> String {
    let part = |name, value| {
        #[derive(Serialize)]
        struct Head<'a> {
            schema: u16,
            node: &'a str,
            now_us: u64,
        }
        let head = Head {
            schema: status.schema,
            node: &status.node,
            now_us: status.now_us,
        };
        let (head, part) = (one_line(&head), value);
        format!("{},\"{name}\":{part}}}", head.trim_end_matches('}'))
    };
    match view {
        View::Status => one_line(status),
        View::Routers => part("routers", one_line(&status.routers)),
        View::Services => part("services", one_line(&status.services)),
        View::Checks => part("checks", one_line(&status.checks)),
        View::Interfaces => part("interfaces", one_line(&status.interfaces)),
    }
}

/// Events as lines, with their time in seconds since boot as in the kernel's log.
pub fn log(lines: &[LogLine]) -> String {
    let mut text = String::new();
    for line in lines {
        let stamp = format!(
            "[{:>9}.{:03}] ",
            line.at_us / 1_000_000,
            line.at_us / 1000 % 1000
        );
        text += &table::wrap(&stamp, 16, &line.text);
    }
    ascii(&text)
}

/// Events as one line of JSON.
pub fn log_json(lines: &[LogLine]) -> String {
    #[derive(Serialize)]
    struct Log<'a> {
        schema: u16,
        log: &'a [LogLine],
    }
    one_line(&Log {
        schema: director_core::status::SCHEMA,
        log: lines,
    })
}

/// Words on as many lines as they need.
pub fn wrapped(words: &str) -> String {
    table::wrap("", 2, &ascii(words))
}

/// What was found in the configuration; `good` closes it when there was no error.
pub fn checked(checked: &Checked, good: &str) -> String {
    let mut text = String::new();
    for line in checked.lines.iter().flat_map(|lines| lines.lines()) {
        // The source line and the mark below it keep their columns; the mark is always among the first 79.
        if line.starts_with("  ") {
            let cut: String = visible(line).chars().take(79).collect();
            text += cut.trim_end();
            text.push('\n');
        } else {
            text += &table::wrap("", 4, &visible(line));
        }
    }
    let count =
        |count: u32, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    text += &format!(
        "{}, {}: ",
        count(checked.errors, "error"),
        count(checked.warnings, "warning")
    );
    text += if checked.errors > 0 {
        "not taken; the configuration in force stays\n"
    } else {
        good
    };
    text
}

/// The same as one line of JSON.
pub fn checked_json(checked: &Checked) -> String {
    #[derive(Serialize)]
    struct Check<'a> {
        schema: u16,
        errors: u32,
        warnings: u32,
        lines: &'a [String],
    }
    one_line(&Check {
        schema: director_core::status::SCHEMA,
        errors: checked.errors,
        warnings: checked.warnings,
        lines: &checked.lines,
    })
}

/// One line of JSON in plain ASCII, so that no terminal is told anything by what it holds.
pub(crate) fn one_line(value: &impl Serialize) -> String {
    // Only maps with keys that are no text and failing writers can fail, and here is neither.
    let json = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    let mut line = String::with_capacity(json.len());
    for letter in json.chars() {
        if matches!(letter, ' '..='~') {
            line.push(letter);
        } else {
            // Such a letter stands within a string; serde_json has escaped the control characters below 0x20 itself.
            let mut units = [0; 2];
            line.extend(
                letter
                    .encode_utf16(&mut units)
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}")),
            );
        }
    }
    line
}

#[cfg(test)]
mod tests;
