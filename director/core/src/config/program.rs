//! Programs that the operator ships with the configuration: their words, who they run as, and what stands in for those
//! that a node does not have.

use super::read::{Reader, decimal};
use super::tree::{Statement, Word};
use crate::check::Owner;
use crate::limits;

/// What becomes of a program that is not there: programs that people check with, and the check that a node has.
const NATIVE: [(&[&str], &str); 8] = [
    (&["curl", "wget"], "HTTP_GET and SSL_GET ask for a page"),
    (&["dig", "nslookup", "host"], "DNS_CHECK asks a name server"),
    (
        &["nc", "ncat", "netcat", "telnet"],
        "TCP_CHECK connects, UDP_CHECK sends",
    ),
    (
        &["ping", "ping6", "fping", "arping"],
        "PING_CHECK sends an echo request",
    ),
    (&["swaks", "sendmail"], "SMTP_CHECK greets a mail server"),
    (
        &["killall", "pidof", "pgrep", "ps", "systemctl", "service"],
        "a node runs the director alone, and PID 1 sees to it: leave the check out",
    ),
    (
        &[
            "sh", "bash", "dash", "ash", "python", "python3", "perl", "env",
        ],
        "a node has no shell and no interpreter: ship a static program beside keepalived.conf",
    ),
    (
        &[
            "ip", "ipvsadm", "nft", "iptables", "sysctl", "sendarp", "logger",
        ],
        "the director does that itself",
    ),
];

/// The check that stands in for a program.
pub(super) fn native(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut rows = NATIVE.iter().filter(|(names, _)| names.contains(&name));
    rows.next().map(|(_, instead)| *instead)
}

/// A program with its arguments: the words behind the keyword, each of them cut at blanks that are not quoted.
pub(super) fn command(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
) -> Option<(String, Vec<String>)> {
    let Some(first) = statement.arguments().next() else {
        reader.value(statement);
        return None;
    };
    let mut words = Vec::new();
    for word in statement.arguments() {
        let text = reader.utf8(word)?;
        match split(&text) {
            Ok(parts) => words.extend(parts),
            Err(why) => {
                reader.wrong(word, why);
                return None;
            }
        }
    }
    if words.len() > limits::PROGRAM_ARGUMENTS_MAX {
        let message = format!("more than {} arguments", limits::PROGRAM_ARGUMENTS_MAX);
        reader.sink.error(first.at, message);
        return None;
    }
    let mut words = words.into_iter();
    let path = words.next().filter(|path| !path.is_empty());
    let Some(path) = path.filter(|path| path.starts_with('/') || !path.contains('/')) else {
        reader.wrong(
            first,
            "a program is a path from `/` on, or the name of a file beside keepalived.conf",
        );
        return None;
    };
    reader.sink.need(first.at, &path, native(&path));
    Some((path, words.collect()))
}

/// Cuts a text at blanks. Quotes of both kinds keep blanks, and a backslash keeps the next character.
fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (_, '\0') => return Err("it has a NUL character"),
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => match characters.next() {
                Some(kept) => word.get_or_insert_default().push(kept),
                None => return Err("it ends in a backslash"),
            },
            (None, blank) if blank.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err("a quote that is not closed");
    }
    words.extend(word);
    Ok(words)
}

/// `user NAME|NUMBER [GROUP]`. A node knows no names but those that every system has, and runs nothing as root.
pub(super) fn owner(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<Owner> {
    let mut words = statement.arguments();
    let Some(user) = words.next() else {
        reader.value(statement);
        return None;
    };
    let group = words.next();
    reader.no_more(words);
    let id = number(reader, user)?;
    let group = match group {
        Some(word) => number(reader, word)?,
        None => id,
    };
    Some(Owner { user: id, group })
}

fn number(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<u32> {
    match decimal(word.bytes).map(u32::try_from) {
        Some(Ok(0)) => {
            reader.wrong(word, "programs do not run as root");
            None
        }
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => {
            reader.wrong(word, "not a number of a user or group");
            None
        }
        None => {
            if !matches!(word.bytes, b"nobody" | b"nogroup") && reader.once("user") {
                let message = format!(
                    "a node has no users: {} runs as nobody, like a number that says so",
                    word.quoted()
                );
                reader.sink.warning(word.at, message);
            }
            Some(Owner::NOBODY.user)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_cut_as_keepalived_cuts_it() {
        let cases: [(&str, Result<&[&str], &str>); 9] = [
            ("/a", Ok(&["/a"])),
            ("/a  b\tc", Ok(&["/a", "b", "c"])),
            ("/a 'b c' \"d e\"", Ok(&["/a", "b c", "d e"])),
            ("/a b\\ c", Ok(&["/a", "b c"])),
            ("/a '' x", Ok(&["/a", "", "x"])),
            ("/a 'b\\c' \"d\\\"e\"", Ok(&["/a", "b\\c", "d\"e"])),
            ("", Ok(&[])),
            ("/a 'b", Err("a quote that is not closed")),
            ("/a \\", Err("it ends in a backslash")),
        ];
        for (text, expected) in cases {
            let words = split(text);
            let words = words.as_ref().map(|words| words.iter().map(String::as_str));
            match (words, expected) {
                (Ok(words), Ok(expected)) => assert!(words.eq(expected.iter().copied()), "{text}"),
                (words, expected) => assert_eq!(words.err(), expected.err().as_ref(), "{text}"),
            }
        }
    }

    #[test]
    fn a_program_that_a_node_lacks_has_a_check_in_its_stead() {
        assert!(native("/usr/bin/curl").unwrap().contains("HTTP_GET"));
        assert!(native("dig").unwrap().contains("DNS_CHECK"));
        assert_eq!(native("/etc/keepalived/check_it"), None);
    }
}
