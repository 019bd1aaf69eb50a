//! The console's language: one table of commands, and what a typed line means.

use std::fmt;

use director::proto::{File, LOG_LINES_MAX, Request};
use director_core::event::Level;
use director_core::overrides::Wish;

/// One command, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The list of commands, or what is to be known of those that begin with these words.
    Help(String),
    /// A part of the status.
    Show(View, Form),
    /// The last events.
    Log(u32, Form),
    /// Show events as they happen, or no longer.
    Follow(bool),
    /// A configuration file as it is.
    ConfigShow(File),
    /// What a reload would say.
    ConfigCheck(Form),
    /// Take a new text for a file.
    ConfigLoad(File),
    /// What a reload would change.
    Plan,
    /// Something that the director changes.
    Change(Request),
    /// Stop in order and start the machine again, or switch it off.
    Power(Power),
    /// Show the secret.
    Login,
    /// Forget that it was shown.
    Logout,
}

/// Which part of the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum View {
    /// The node on one screen, what is wrong first
    Status,
    /// Virtual routers: state, peer, addresses, adverts
    Routers,
    /// Services with their pools: weights, states, connections
    Services,
    /// Health checks: last result, latency, next run
    Checks,
    /// Interfaces: link, hardware address, addresses
    Interfaces,
}

/// Text for a person, or one line of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// At most 80 columns of ASCII.
    Text,
    /// Exactly one line.
    Json,
}

/// What becomes of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Start again.
    Reboot,
    /// Switch off.
    Off,
}

/// A line of the table.
#[derive(Debug)]
pub struct Entry {
    /// The command's words.
    pub words: &'static [&'static str],
    /// What may follow them.
    pub arguments: &'static str,
    /// One line for the list; with [`Entry::more`] at most 80 columns each.
    pub summary: &'static str,
    /// What else is to be known.
    pub more: &'static str,
    meaning: fn(&[&str]) -> Option<Command>,
}

/// Every command, in the order of `help`.
pub const COMMANDS: &[Entry] = &[
    Entry {
        words: &["help"],
        arguments: "[COMMAND]",
        summary: "this list, or more about one command",
        more: "",
        meaning: |words| {
            let known = COMMANDS.iter().any(|entry| entry.words.starts_with(words));
            known.then(|| Command::Help(words.join(" ")))
        },
    },
    Entry {
        words: &["status"],
        arguments: "[json]",
        summary: "the node on one screen, what is wrong first",
        more: "Lines that begin with ! want attention; ages say for how long.",
        meaning: |words| show(View::Status, words),
    },
    Entry {
        words: &["routers"],
        arguments: "[json]",
        summary: "virtual routers: state, Active's address",
        more: "",
        meaning: |words| show(View::Routers, words),
    },
    Entry {
        words: &["services"],
        arguments: "[json]",
        summary: "services: pools, weights, connections",
        more: "WEIGHT is the kernel's; N/M where the kernel has N and the file says M.",
        meaning: |words| show(View::Services, words),
    },
    Entry {
        words: &["checks"],
        arguments: "[json]",
        summary: "health checks: last result, latency, next run",
        more: "",
        meaning: |words| show(View::Checks, words),
    },
    Entry {
        words: &["interfaces"],
        arguments: "[json]",
        summary: "interfaces: link, hardware address, addresses",
        more: "",
        meaning: |words| show(View::Interfaces, words),
    },
    Entry {
        words: &["log"],
        arguments: "[N] [json]",
        summary: "the last N events (20)",
        more: "The time is in seconds since boot, as in the kernel's log.",
        meaning: log,
    },
    Entry {
        words: &["log", "follow"],
        arguments: "",
        summary: "show events as they happen, above the prompt",
        more: "`log stop` ends it.",
        meaning: |words| bare(words, Command::Follow(true)),
    },
    Entry {
        words: &["log", "stop"],
        arguments: "",
        summary: "no longer",
        more: "",
        meaning: |words| bare(words, Command::Follow(false)),
    },
    Entry {
        words: &["log", "level"],
        arguments: "error|warning|info",
        summary: "what matters less is not logged on the node",
        more: "It holds until the director ends, whatever router.conf says.",
        meaning: |words| level(words.iter().copied().next().filter(|_| words.len() == 1)?),
    },
    Entry {
        words: &["config", "show"],
        arguments: "[keepalived|router]",
        summary: "a configuration file as it is (keepalived)",
        more: "",
        meaning: |words| match words {
            [] => Some(Command::ConfigShow(File::Keepalived)),
            [name] => file(name).map(Command::ConfigShow),
            _ => None,
        },
    },
    Entry {
        words: &["config", "check"],
        arguments: "[json]",
        summary: "what a reload would say of the files",
        more: "",
        meaning: |words| form(words).map(Command::ConfigCheck),
    },
    Entry {
        words: &["config", "load"],
        arguments: "keepalived|router",
        summary: "paste a new text for a file",
        more: "A line with a single . ends the text; it is then checked as a whole.\n\
               Without errors it takes the file's place in memory and counts from the\n\
               next `reload` on. A reboot brings the old one back.",
        meaning: |words| match words {
            [name] => file(name).map(Command::ConfigLoad),
            _ => None,
        },
    },
    Entry {
        words: &["plan"],
        arguments: "",
        summary: "what a reload would change",
        more: "And whether anything that is in flight would feel it.",
        meaning: |words| bare(words, Command::Plan),
    },
    Entry {
        words: &["reload"],
        arguments: "",
        summary: "take the configuration files as they are",
        more: "With an error in them the configuration in force stays.\n\
               What they change is told before, as by `plan`.",
        meaning: |words| bare(words, Command::Change(Request::Reload)),
    },
    Entry {
        words: &["handover"],
        arguments: "[ROUTER]",
        summary: "give up Active, of one virtual router or all",
        more: "This node serves until it hears its successor, and does not preempt it.",
        meaning: |words| match words {
            [] => Some(handover(None)),
            [router] => Some(handover(Some(router))),
            _ => None,
        },
    },
    Entry {
        words: &["drain"],
        arguments: "SERVICE DEST [SECONDS]",
        summary: "no new connections; out when none is left",
        more: "Out at the latest after so many seconds; its last connections end then.\n\
               SERVICE is 10.0.0.100:80, tcp/10.0.0.100:80, fwm/7 or a group's name.\n\
               It holds, also over a restart of the director, until `enable`.",
        meaning: |words| match words {
            [service, dest] => dest_wish(service, dest, Wish::Drain(None)),
            [service, dest, seconds] => {
                dest_wish(service, dest, Wish::Drain(Some(seconds.parse().ok()?)))
            }
            _ => None,
        },
    },
    Entry {
        words: &["disable"],
        arguments: "SERVICE DEST",
        summary: "take a real server out of a service at once",
        more: "Its connections end. It holds until `enable`.",
        meaning: |words| match words {
            [service, dest] => dest_wish(service, dest, Wish::Disable),
            _ => None,
        },
    },
    Entry {
        words: &["enable"],
        arguments: "SERVICE DEST",
        summary: "let the configuration hold again",
        more: "",
        meaning: |words| match words {
            [service, dest] => dest_wish(service, dest, Wish::Enable),
            _ => None,
        },
    },
    Entry {
        words: &["weight"],
        arguments: "SERVICE DEST N",
        summary: "another weight than the configured one",
        more: "It holds, also over a restart of the director, until `enable`.",
        meaning: |words| match words {
            [service, dest, weight] => dest_wish(service, dest, Wish::Weight(weight.parse().ok()?)),
            _ => None,
        },
    },
    Entry {
        words: &["track"],
        arguments: "FILE N",
        summary: "write a number to the file of a track_file",
        more: "Virtual routers and checks that follow it take notice at once. A reboot\n\
               brings the file of the configuration back.",
        meaning: |words| match words {
            [file, number] => Some(track(file, number.parse().ok()?)),
            _ => None,
        },
    },
    Entry {
        words: &["reboot"],
        arguments: "",
        summary: "hand over, then start the machine again",
        more: "",
        meaning: |words| bare(words, Command::Power(Power::Reboot)),
    },
    Entry {
        words: &["poweroff"],
        arguments: "",
        summary: "hand over, then switch the machine off",
        more: "",
        meaning: |words| bare(words, Command::Power(Power::Off)),
    },
    Entry {
        words: &["login"],
        arguments: "",
        summary: "show the secret once for all that follows",
        more: "Without it, commands that change something ask. Ten idle minutes log out.",
        meaning: |words| bare(words, Command::Login),
    },
    Entry {
        words: &["logout"],
        arguments: "",
        summary: "and forget it",
        more: "",
        meaning: |words| bare(words, Command::Logout),
    },
];

impl Command {
    /// What a typed line means; nothing for an empty one.
    ///
    /// # Errors
    /// In words for the one who typed it.
    pub fn parse(line: &str) -> Result<Option<Self>, Misunderstood> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if words.is_empty() {
            return Ok(None);
        }
        let Some((entry, arguments)) = find(&words) else {
            return Err(Misunderstood::Unknown(nearest(&words)));
        };
        (entry.meaning)(arguments)
            .map(Some)
            .ok_or(Misunderstood::Usage(entry))
    }
}

/// Why a line is no command.
#[derive(Debug, PartialEq, Eq)]
pub enum Misunderstood {
    /// No such command; one that was perhaps meant.
    Unknown(Option<&'static Entry>),
    /// A command with other arguments than it takes.
    Usage(&'static Entry),
}

impl fmt::Display for Misunderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(Some(entry)) => {
                write!(f, "no such command; did you mean `{}`?", entry.name())
            }
            Self::Unknown(None) => f.write_str("no such command; `help` lists them"),
            Self::Usage(entry) => write!(f, "usage: {entry}"),
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Eq for Entry {}

impl Entry {
    fn name(&self) -> String {
        self.words.join(" ")
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        if self.arguments.is_empty() {
            f.pad(&name)
        } else {
            f.pad(&format!("{name} {}", self.arguments))
        }
    }
}

/// The text of `help` for the commands that begin with these words; with no words, the list.
pub fn help(words: &str) -> String {
    let mut text = String::new();
    let words: Vec<&str> = words.split_ascii_whitespace().collect();
    for entry in COMMANDS
        .iter()
        .filter(|entry| entry.words.starts_with(&words))
    {
        text += &format!("  {entry:32}{}\n", entry.summary);
        if !words.is_empty() {
            text.extend(entry.more.lines().map(|line| format!("    {line}\n")));
        }
    }
    text
}

/// The command that a line begins with, and its arguments. The longest of several: `log follow` before `log`.
fn find<'w, 'l>(words: &'w [&'l str]) -> Option<(&'static Entry, &'w [&'l str])> {
    let entry = COMMANDS
        .iter()
        .filter(|entry| words.starts_with(entry.words))
        .max_by_key(|entry| entry.words.len())?;
    Some((entry, words.get(entry.words.len()..).unwrap_or_default()))
}

/// The command that differs least from what was typed, if it differs little.
fn nearest(words: &[&str]) -> Option<&'static Entry> {
    let near = |entry: &'static Entry| {
        let name = entry.name();
        let typed = words.get(..entry.words.len()).unwrap_or(words).join(" ");
        // What was left unfinished is near, however much is missing: `conf` is `config`.
        let edits = if name.starts_with(&typed) {
            1
        } else {
            edits(name.as_bytes(), typed.as_bytes())
        };
        (edits <= typed.len().div_ceil(3).min(2)).then_some((edits, entry))
    };
    COMMANDS
        .iter()
        .filter_map(near)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, entry)| entry)
}

/// Letters to insert, delete or replace to make one word of the other, with neighbours that changed places as one.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, letter) in a.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let at =
                |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&above, column) + usize::from(letter != other);
            let mut least = replaced
                .min(at(&above, column + 1) + 1)
                .min(at(&current, column) + 1);
            let swapped = row > 0
                && column > 0
                && a.get(row - 1) == Some(other)
                && b.get(column - 1) == Some(letter);
            if swapped {
                least = least.min(at(&before, column - 1) + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or(a.len())
}

fn bare(words: &[&str], command: Command) -> Option<Command> {
    words.is_empty().then_some(command)
}

fn dest_wish(service: &str, dest: &str, wish: Wish) -> Option<Command> {
    Some(Command::Change(Request::Dest {
        service: service.to_owned(),
        dest: dest.to_owned(),
        wish,
    }))
}

fn handover(router: Option<&str>) -> Command {
    let router = router.map(str::to_owned);
    Command::Change(Request::Handover { router })
}

fn track(file: &str, number: i64) -> Command {
    let file = file.to_owned();
    Command::Change(Request::Track { file, number })
}

fn level(word: &str) -> Option<Command> {
    let level = Level::ALL.iter().find(|level| level.to_string() == word)?;
    Some(Command::Change(Request::LogLevel { level: *level }))
}

fn show(view: View, words: &[&str]) -> Option<Command> {
    form(words).map(|form| Command::Show(view, form))
}

fn form(words: &[&str]) -> Option<Form> {
    match words {
        [] => Some(Form::Text),
        ["json"] => Some(Form::Json),
        _ => None,
    }
}

fn log(words: &[&str]) -> Option<Command> {
    let (lines, form) = match words {
        [] => (20, Form::Text),
        ["json"] => (20, Form::Json),
        [lines] => (lines.parse().ok()?, Form::Text),
        [lines, "json"] => (lines.parse().ok()?, Form::Json),
        _ => return None,
    };
    Some(Command::Log(LOG_LINES_MAX.min(lines), form))
}

fn file(name: &str) -> Option<File> {
    match name {
        "keepalived" => Some(File::Keepalived),
        "router" => Some(File::Router),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::complete::{Names, completions, shared_start};
    use super::*;

    #[test]
    fn lines_mean_commands() {
        for (line, command) in [
            ("", None),
            ("   ", None),
            (" status ", Some(Command::Show(View::Status, Form::Text))),
            (
                "services  json",
                Some(Command::Show(View::Services, Form::Json)),
            ),
            ("log", Some(Command::Log(20, Form::Text))),
            ("log 5", Some(Command::Log(5, Form::Text))),
            ("log json", Some(Command::Log(20, Form::Json))),
            (
                "log 99999 json",
                Some(Command::Log(LOG_LINES_MAX, Form::Json)),
            ),
            ("log follow", Some(Command::Follow(true))),
            ("config show", Some(Command::ConfigShow(File::Keepalived))),
            (
                "config show router",
                Some(Command::ConfigShow(File::Router)),
            ),
            ("config check json", Some(Command::ConfigCheck(Form::Json))),
            ("handover", Some(handover(None))),
            ("handover VI_1", Some(handover(Some("VI_1")))),
            (
                "drain tcp/10.0.0.1:80 10.0.0.2 60",
                dest_wish("tcp/10.0.0.1:80", "10.0.0.2", Wish::Drain(Some(60))),
            ),
            (
                "weight WEB 10.0.0.2:80 7",
                dest_wish("WEB", "10.0.0.2:80", Wish::Weight(7)),
            ),
            ("track switch -60", Some(track("switch", -60))),
            ("log level warning", level("warning")),
            ("help config", Some(Command::Help("config".into()))),
            ("poweroff", Some(Command::Power(Power::Off))),
        ] {
            assert_eq!(Command::parse(line), Ok(command), "{line:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_answered_with_a_hint() {
        for (line, answer) in [
            ("stauts", "no such command; did you mean `status`?"),
            ("sttus json", "no such command; did you mean `status`?"),
            ("conf chekc", "no such command; `help` lists them"),
            (
                "config chekc",
                "no such command; did you mean `config check`?",
            ),
            ("config", "no such command; did you mean `config show`?"),
            ("chekcs", "no such command; did you mean `checks`?"),
            ("ls", "no such command; `help` lists them"),
            ("reload now", "usage: reload"),
            (
                "drain WEB 10.0.0.2 soon",
                "usage: drain SERVICE DEST [SECONDS]",
            ),
            ("disable WEB", "usage: disable SERVICE DEST"),
            ("log many", "usage: log [N] [json]"),
            ("log level debug", "usage: log level error|warning|info"),
            ("config load", "usage: config load keepalived|router"),
            ("help me", "usage: help [COMMAND]"),
        ] {
            let Err(error) = Command::parse(line) else {
                panic!("{line:?} is understood")
            };
            assert_eq!(error.to_string(), answer, "{line:?}");
        }
    }

    #[test]
    fn tab_offers_what_may_come_next() {
        let names = Names {
            routers: vec!["VI_1".to_owned(), "VI_2".to_owned()],
            services: vec![
                ("WEB".to_owned(), vec!["10.0.0.2:80".to_owned()]),
                ("tcp/10.0.0.1:80".to_owned(), vec!["10.0.0.3:80".to_owned()]),
            ],
        };
        for (before, expected) in [
            ("st", "status"),
            ("re", "reboot reload"),
            ("log ", "follow json level stop"),
            ("log level w", "warning"),
            ("config ", "check load show"),
            ("config show ", "keepalived router"),
            ("config show k", "keepalived"),
            ("status ", "json"),
            ("status json ", ""),
            ("handover V", "VI_1 VI_2"),
            ("drain ", "WEB tcp/10.0.0.1:80"),
            ("weight t", "tcp/10.0.0.1:80"),
            ("enable WEB ", "10.0.0.2:80"),
            ("help co", "config"),
            ("help config s", "show"),
            ("xyz ", ""),
        ] {
            assert_eq!(
                completions(before, &names).join(" "),
                expected,
                "{before:?}"
            );
        }
        assert_eq!(shared_start(&names.routers), "VI_");
        assert_eq!(shared_start(&[]), "");
        assert_eq!(completions("", &Names::default()).len(), 20);
    }

    #[test]
    fn the_table_fits_the_screen() {
        for entry in COMMANDS {
            assert!(entry.to_string().len() <= 31, "{entry}");
            assert!(entry.summary.len() <= 79 - 34, "{entry}");
            assert!(entry.more.lines().all(|line| line.len() <= 75), "{entry}");
        }
    }
}
