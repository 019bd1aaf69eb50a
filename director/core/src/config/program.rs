//! Programs that the operator ships with the configuration: their words, who they run as, and what stands in for those
//! that a node does not have.

use super::diagnostic::{Needed, Place, quote};
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

/// A program with its arguments, and who it runs as when the line says so. `instead` is what a node has for it, if it
/// is not one of those that people check with.
pub(super) fn command(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
    instead: Option<&str>,
) -> Option<(String, Vec<String>, Option<Owner>)> {
    let at = statement.place(statement.raw().1);
    let said = reader.program(statement)?;
    let mut words = said.words.into_iter();
    let path = words.next().unwrap_or_default();
    let arguments: Vec<String> = words.collect();
    if arguments.len() >= limits::PROGRAM_ARGUMENTS_MAX {
        let message = format!("more than {} arguments", limits::PROGRAM_ARGUMENTS_MAX);
        reader.sink.error(at, message);
        return None;
    }
    if path.is_empty() || (path.contains('/') && !path.starts_with('/')) {
        let message =
            "a program is a path from `/` on, or the name of a file beside keepalived.conf";
        reader.sink.error(at, message);
        return None;
    }
    if path.contains('\0') || arguments.iter().any(|word| word.contains('\0')) {
        reader.sink.error(at, "a program has no NUL in its words");
        return None;
    }
    let instead = native(&path).or(instead);
    reader.sink.need(at, Needed::Program, &path, instead);
    let owner = match said.user {
        Some(user) => Some(owner(reader, at, &user, said.group.as_deref())?),
        None => None,
    };
    Some((path, arguments, owner))
}

/// `script_user NAME|NUMBER [GROUP]`: whom all programs run as that say nothing else. Who wrote `root` meant a program
/// that looks at the whole machine; here it looks at nothing of the kind.
pub(super) fn default_user(reader: &mut Reader<'_, '_>, statement: Statement<'_>) {
    let is_root = |word: Word<'_>| matches!(word.bytes, b"root" | b"0");
    if let Some(word) = statement.arguments().next().filter(|word| is_root(*word)) {
        let message = "programs do not run as root: they run as nobody";
        reader.sink.warning(word.at, message);
    } else if let Some(owner) = user(reader, statement) {
        reader.owner = owner;
    }
}

/// `user NAME|NUMBER [GROUP]`.
pub(super) fn user(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<Owner> {
    let mut words = statement.arguments();
    let Some(user) = words.next() else {
        reader.value(statement);
        return None;
    };
    let group = words.next();
    reader.no_more(words);
    let name = reader.utf8(user)?;
    let group = match group {
        Some(word) => Some(reader.utf8(word)?),
        None => None,
    };
    owner(reader, user.at, &name, group.as_deref())
}

/// A node knows no names but those that every system has, and runs nothing as root.
fn owner(reader: &mut Reader<'_, '_>, at: Place, user: &str, group: Option<&str>) -> Option<Owner> {
    let user = number(reader, at, user)?;
    let group = match group {
        Some(group) => number(reader, at, group)?,
        None => user,
    };
    Some(Owner { user, group })
}

fn number(reader: &mut Reader<'_, '_>, at: Place, name: &str) -> Option<u32> {
    let name = name.as_bytes();
    match decimal(name).map(u32::try_from) {
        Some(Ok(0)) => {
            reader.sink.error(at, "programs do not run as root");
            None
        }
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => {
            let message = format!("{}: not the number of a user or group", quote(name));
            reader.sink.error(at, message);
            None
        }
        None => {
            if !matches!(name, b"nobody" | b"nogroup") && reader.once("user") {
                let message = format!(
                    "a node has no users: {} is taken for nobody; a number is taken as it is",
                    quote(name)
                );
                reader.sink.warning(at, message);
            }
            Some(Owner::NOBODY.user)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_a_node_lacks_has_a_check_in_its_stead() {
        assert!(native("/usr/bin/curl").unwrap().contains("HTTP_GET"));
        assert!(native("dig").unwrap().contains("DNS_CHECK"));
        assert_eq!(native("/etc/keepalived/check_it"), None);
    }
}
