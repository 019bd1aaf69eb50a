//! A person at the line, without the line: bytes and replies in, text and requests out.
//!
//! The session never waits. While a question is on its way the keys are kept; ^C gives the question up.

mod answer;

pub(crate) use answer::NOT_RUNNING;

use std::collections::VecDeque;
use std::time::Instant;

use director::proto::{File, Request};

use super::command::{self, Command, Power};
use super::complete::{self, Names};
use super::editor::{Editor, Outcome};
use super::keys::{Key, Keys};
use super::limits::{
    ANSWER, FOLLOW_INTERVAL, LOG_FOLLOWED, LOGIN_IDLE, PASTE_MAX, TYPED_AHEAD_MAX,
};
use answer::Purpose;

/// One person's dialogue.
#[derive(Debug)]
pub(super) struct Session {
    host: String,
    mode: Mode,
    keys: Keys,
    editor: Editor,
    typed_ahead: VecDeque<u8>,
    last_key: Instant,
    /// What the director said of this connection.
    secret_set: bool,
    authorized: bool,
    /// Names for completion, as of the last status.
    names: Names,
    follow: Option<Follow>,
    outstanding: Vec<Asked>,
    last_tag: u32,
    wishes: Wishes,
}

/// What the session wants from the world; taken by [`Session::wishes`].
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// ^C: text that still waits for the line is not wanted any more.
    pub(super) discard: bool,
    /// Text for the terminal.
    pub(super) text: Vec<u8>,
    /// Questions for the director, each with its tag.
    pub(super) requests: Vec<(u32, Request)>,
    /// What PID 1 is to be told; to be answered by [`Session::refused`] when it can't.
    pub(super) power: Option<Power>,
}

impl Wishes {
    /// True when nothing is wished for.
    pub(super) fn is_empty(&self) -> bool {
        !self.discard && self.text.is_empty() && self.requests.is_empty() && self.power.is_none()
    }
}

#[derive(Debug)]
enum Mode {
    /// A command is typed.
    Prompt,
    /// A question is on its way.
    Waiting,
    /// The secret is typed; then this is done.
    Secret(Then),
    /// A configuration text is pasted.
    Paste(Paste),
}

/// What is done once the secret has been shown, or where none is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    Ask(Request),
    Paste(File),
    Power(Power),
}

#[derive(Debug)]
struct Paste {
    file: File,
    text: Vec<u8>,
    line: Vec<u8>,
    too_long: bool,
}

#[derive(Debug)]
struct Follow {
    /// Number of the first event not seen.
    next: u64,
    ask_at: Instant,
}

#[derive(Debug)]
struct Asked {
    tag: u32,
    purpose: Purpose,
    until: Instant,
}

impl Session {
    /// Begins a dialogue: a line of greeting and the prompt.
    pub(super) fn new(host: &str, now: Instant) -> Self {
        let mut session = Self {
            host: host.to_owned(),
            mode: Mode::Prompt,
            keys: Keys::default(),
            editor: Editor::default(),
            typed_ahead: VecDeque::new(),
            last_key: now,
            secret_set: false,
            authorized: false,
            names: Names::default(),
            follow: None,
            outstanding: Vec::new(),
            last_tag: 0,
            wishes: Wishes::default(),
        };
        let version = env!("CARGO_PKG_VERSION");
        session.say(&format!(
            "\nkeelson {version} on {host}; `help` lists the commands\n"
        ));
        session.prompt();
        session.ask(Request::Access, Purpose::Learn, now);
        session
    }

    /// What has been wished for since the last call.
    pub(super) fn wishes(&mut self) -> Wishes {
        std::mem::take(&mut self.wishes)
    }

    /// The node's name, which a reload may change; it shows at the next prompt.
    pub(super) fn rename(&mut self, host: &str) {
        if self.host != host {
            host.clone_into(&mut self.host);
        }
    }

    /// Takes bytes from the line.
    pub(super) fn typed(&mut self, bytes: &[u8], now: Instant) {
        self.last_key = now;
        for &byte in bytes {
            if !matches!(self.mode, Mode::Waiting) {
                self.byte(byte, now);
            } else if byte == 3 {
                self.typed_ahead.clear();
                self.outstanding.retain(|asked| !asked.purpose.foreground());
                self.wishes.discard = true;
                self.say("\n");
                self.prompt();
            } else if self.typed_ahead.len() < TYPED_AHEAD_MAX {
                self.typed_ahead.push_back(byte);
            }
        }
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        if let Some(late) = self.outstanding.iter().position(|asked| asked.until <= now) {
            let asked = self.outstanding.swap_remove(late);
            if asked.purpose.foreground() {
                self.sorry("no answer from the director");
                self.catch_up(now);
            }
        }
        if self.authorized && now >= self.last_key + LOGIN_IDLE {
            self.leave(now);
        }
        let idle = matches!(self.mode, Mode::Prompt)
            && !self
                .outstanding
                .iter()
                .any(|asked| matches!(asked.purpose, Purpose::Follow));
        if let Some(follow) = &mut self.follow
            && idle
            && now >= follow.ask_at
        {
            follow.ask_at = now + FOLLOW_INTERVAL;
            let request = Request::Log {
                lines: LOG_FOLLOWED,
                from: follow.next,
            };
            self.ask(request, Purpose::Follow, now);
        }
    }

    /// When [`Session::tick`] is due.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        let answers = self.outstanding.iter().map(|asked| asked.until);
        let logout = self.authorized.then(|| self.last_key + LOGIN_IDLE);
        let waits_for_prompt = !matches!(self.mode, Mode::Prompt);
        let follow = self
            .follow
            .as_ref()
            .filter(|_| !waits_for_prompt)
            .map(|follow| follow.ask_at);
        answers.chain(logout).chain(follow).min()
    }

    fn byte(&mut self, byte: u8, now: Instant) {
        let Some(key) = self.keys.push(byte) else {
            return;
        };
        if let Mode::Paste(paste) = &mut self.mode {
            match paste.key(key, &mut self.wishes.text) {
                Pasted::More => {}
                Pasted::Interrupt => self.prompt(),
                Pasted::End => self.pasted(now),
            }
            return;
        }
        match self.editor.key(key, &mut self.wishes.text) {
            Outcome::Edited => {}
            Outcome::Interrupt => {
                self.wishes.discard = true;
                self.prompt();
            }
            Outcome::End if self.authorized => {
                self.say("\n");
                self.leave(now);
                self.prompt();
            }
            Outcome::End => {}
            Outcome::Complete => self.complete(),
            Outcome::Line(line) => match std::mem::replace(&mut self.mode, Mode::Prompt) {
                Mode::Secret(then) => {
                    let secret = String::from_utf8_lossy(&line).into_owned();
                    self.ask(Request::Authorize { secret }, Purpose::Authorize(then), now);
                }
                _ => self.line(&String::from_utf8_lossy(&line), now),
            },
        }
    }

    fn line(&mut self, line: &str, now: Instant) {
        match Command::parse(line) {
            Ok(None) => self.prompt(),
            Ok(Some(command)) => self.command(command, now),
            Err(error) => {
                self.say(&format!("{error}\n"));
                self.prompt();
            }
        }
    }

    fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Help(words) => {
                self.say(&command::help(&words));
                self.prompt();
            }
            Command::Show(view, form) => self.ask(Request::Status, Purpose::Show(view, form), now),
            Command::Log(lines, form) => {
                self.ask(Request::Log { lines, from: 0 }, Purpose::Log(form), now);
            }
            Command::Follow(on) => {
                self.follow = on.then_some(Follow {
                    next: 0,
                    ask_at: now,
                });
                self.prompt();
            }
            Command::ConfigShow(file) => self.ask(Request::ConfigShow { file }, Purpose::Text, now),
            Command::ConfigCheck(form) => {
                self.ask(Request::ConfigCheck, Purpose::Checked(form, "fine\n"), now);
            }
            Command::Plan => self.ask(Request::Plan, Purpose::Plan, now),
            Command::ConfigLoad(file) => self.with_secret(Then::Paste(file), now),
            Command::Change(request) => self.with_secret(Then::Ask(request), now),
            Command::Power(power) => self.with_secret(Then::Power(power), now),
            Command::Login => self.with_secret(Then::Nothing, now),
            Command::Logout => {
                self.leave(now);
                self.prompt();
            }
        }
    }

    /// Does it at once where no secret is needed, and asks for it where it is.
    fn with_secret(&mut self, then: Then, now: Instant) {
        self.ask(Request::Access, Purpose::Access(then), now);
    }

    /// Does what the secret was asked for.
    fn allowed(&mut self, then: Then, now: Instant) {
        match then {
            Then::Nothing => self.prompt(),
            // What it changes is told before.
            Then::Ask(Request::Reload) => self.ask(Request::Plan, Purpose::Foretell, now),
            Then::Ask(request) => self.ask(request, Purpose::Done, now),
            Then::Paste(file) => {
                self.say(&format!(
                    "paste {file}; a line with a single . ends it, ^C gives up\n"
                ));
                self.mode = Mode::Paste(Paste {
                    file,
                    text: Vec::new(),
                    line: Vec::new(),
                    too_long: false,
                });
            }
            Then::Power(power) => {
                self.mode = Mode::Waiting;
                self.say(match power {
                    Power::Reboot => "handing over, then starting again\n",
                    Power::Off => "handing over, then switching off\n",
                });
                self.wishes.power = Some(power);
            }
        }
    }

    /// What was wished for can't be done, for this reason.
    pub(super) fn refused(&mut self, reason: &str, now: Instant) {
        self.sorry(reason);
        self.catch_up(now);
    }

    fn sorry(&mut self, reason: &str) {
        self.say(&format!("{reason}\n"));
        self.prompt();
    }

    fn pasted(&mut self, now: Instant) {
        let Mode::Paste(paste) = std::mem::replace(&mut self.mode, Mode::Prompt) else {
            return;
        };
        if paste.too_long {
            return self.sorry(&format!("not taken: longer than {PASTE_MAX} bytes"));
        }
        let Ok(text) = String::from_utf8(paste.text) else {
            return self.sorry("not taken: the text is not UTF-8");
        };
        let good = "kept in memory; `reload` brings it into force\n";
        let purpose = Purpose::Checked(super::command::Form::Text, good);
        self.ask(
            Request::ConfigPut {
                file: paste.file,
                text,
            },
            purpose,
            now,
        );
    }

    fn complete(&mut self) {
        let before = String::from_utf8_lossy(self.editor.before_cursor()).into_owned();
        let candidates = complete::completions(&before, &self.names);
        let started = before.rsplit(' ').next().unwrap_or_default().len();
        let shared = complete::shared_start(&candidates);
        let missing = shared.get(started..).unwrap_or_default();
        if candidates.len() == 1 {
            self.editor
                .complete(&format!("{missing} "), &mut self.wishes.text);
        } else if !missing.is_empty() {
            self.editor.complete(missing, &mut self.wishes.text);
        } else if candidates.is_empty() {
            self.wishes.text.push(7);
        } else {
            self.above(&super::render::wrapped(&candidates.join("  ")));
        }
    }

    fn leave(&mut self, now: Instant) {
        if self.authorized {
            self.authorized = false;
            self.ask(Request::Leave, Purpose::Learn, now);
        }
    }

    fn ask(&mut self, request: Request, purpose: Purpose, now: Instant) {
        if purpose.foreground() {
            self.mode = Mode::Waiting;
        }
        self.last_tag = self.last_tag.wrapping_add(1);
        self.wishes.requests.push((self.last_tag, request));
        self.outstanding.push(Asked {
            tag: self.last_tag,
            purpose,
            until: now + ANSWER,
        });
    }

    /// Begins a new line.
    fn prompt(&mut self) {
        self.mode = Mode::Prompt;
        let sign = if self.authorized { '#' } else { '>' };
        self.editor.begin(
            &format!("{}{sign} ", self.host),
            false,
            &mut self.wishes.text,
        );
    }

    /// Takes the keys that were typed while a question was on its way. Called last by whatever may have ended it.
    fn catch_up(&mut self, now: Instant) {
        while !matches!(self.mode, Mode::Waiting)
            && let Some(byte) = self.typed_ahead.pop_front()
        {
            self.byte(byte, now);
        }
    }

    /// Writes text where the cursor is.
    fn say(&mut self, text: &str) {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.wishes.text.push(b'\r');
            }
            self.wishes.text.push(byte);
        }
    }

    /// Writes lines above the line that is being typed.
    fn above(&mut self, text: &str) {
        let typing = matches!(self.mode, Mode::Prompt | Mode::Secret(_));
        if typing {
            self.editor.hide(&mut self.wishes.text);
        }
        self.say(text);
        if typing {
            self.editor.show(&mut self.wishes.text);
        }
    }
}

enum Pasted {
    More,
    Interrupt,
    End,
}

impl Paste {
    fn key(&mut self, key: Key, echo: &mut Vec<u8>) -> Pasted {
        match key {
            Key::Char(byte) => self.push(byte, echo),
            Key::Tab => self.push(b'\t', echo),
            Key::Backspace if self.line.pop().is_some() => echo.extend_from_slice(b"\x08 \x08"),
            Key::Interrupt => {
                echo.extend_from_slice(b"\r\n");
                return Pasted::Interrupt;
            }
            Key::EndOfInput => {
                echo.extend_from_slice(b"\r\n");
                return Pasted::End;
            }
            Key::Enter => {
                echo.extend_from_slice(b"\r\n");
                if self.line == b"." {
                    return Pasted::End;
                }
                if self.too_long {
                    self.line.clear();
                } else {
                    self.text.append(&mut self.line);
                    self.text.push(b'\n');
                }
            }
            _ => {}
        }
        Pasted::More
    }

    fn push(&mut self, byte: u8, echo: &mut Vec<u8>) {
        if self.text.len() + self.line.len() >= PASTE_MAX {
            // The rest is still read up to its end, so that no line of it is taken for a command.
            self.too_long = true;
            self.text.clear();
        }
        if self.too_long && self.line.len() > 1 {
            return;
        }
        self.line.push(byte);
        echo.push(byte);
    }
}

#[cfg(test)]
mod tests;
