//! What the session does with the director's replies, or without one.

use std::time::Instant;

use director::proto::{Reply, Request, Tagged};
use director_core::status::{LogLine, Status};

use super::super::command::{Form, View};
use super::super::complete::Names;
use super::super::render;
use super::{Mode, Session, Then};

/// What a question was asked for.
#[derive(Debug)]
pub(super) enum Purpose {
    Show(View, Form),
    Log(Form),
    Text,
    /// With what is said when there was no error.
    Checked(Form, &'static str),
    Plan,
    /// What the reload that follows will change.
    Foretell,
    Done,
    Access(Then),
    Authorize(Then),
    /// In the background: new events.
    Follow,
    /// In the background: what is said of access, if anything.
    Learn,
}

impl Purpose {
    /// Whether somebody waits for the answer.
    pub(super) fn foreground(&self) -> bool {
        !matches!(self, Self::Follow | Self::Learn)
    }
}

/// What a person is told when nobody listens on the director's socket.
pub(crate) const NOT_RUNNING: &str = "the director is not running (PID 1 restarts it)";

fn whole_lines(text: &str) -> String {
    let text = render::visible(text);
    if text.ends_with('\n') {
        text
    } else {
        text + "\n"
    }
}

impl Session {
    /// Takes a reply.
    pub(crate) fn reply(&mut self, reply: Tagged<Reply>, now: Instant) {
        let Some(position) = self
            .outstanding
            .iter()
            .position(|asked| asked.tag == reply.tag)
        else {
            // The answer to a question that was given up.
            return;
        };
        let asked = self.outstanding.swap_remove(position);
        if asked.purpose.foreground() {
            self.answered(asked.purpose, reply.body, now);
        } else {
            self.learned(reply.body);
        }
        self.catch_up(now);
    }

    /// The director is not there, or went away.
    pub(crate) fn unreachable(&mut self, now: Instant) {
        self.authorized = false;
        if let Some(follow) = &mut self.follow {
            // A new director counts its events from 0.
            follow.next = 0;
        }
        for asked in std::mem::take(&mut self.outstanding) {
            match asked.purpose {
                // A node whose director does not come up must be restarted by somebody. Where a secret is known to be
                // set, this takes a director that can be shown it.
                Purpose::Access(then @ Then::Power(_)) if !self.secret_set => {
                    self.allowed(then, now);
                }
                purpose if purpose.foreground() => self.sorry(NOT_RUNNING),
                _ => {}
            }
        }
        self.catch_up(now);
    }

    fn answered(&mut self, purpose: Purpose, reply: Reply, now: Instant) {
        let text = match (purpose, reply) {
            (Purpose::Show(view, form), Reply::Status(status)) => self.status(view, form, &status),
            (Purpose::Log(Form::Text), Reply::Log(lines)) => render::log(&lines),
            (Purpose::Log(Form::Json), Reply::Log(lines)) => render::log_json(&lines) + "\n",
            (Purpose::Text | Purpose::Plan, Reply::Text(text)) => whole_lines(&text),
            (Purpose::Foretell, reply) => {
                // What is wrong with the files the reload says itself.
                if let Reply::Text(text) = reply {
                    self.say(&whole_lines(&text));
                }
                let purpose = Purpose::Checked(Form::Text, "in force\n");
                return self.ask(Request::Reload, purpose, now);
            }
            (Purpose::Checked(Form::Text, good), Reply::Checked(checked)) => {
                render::checked(&checked, good)
            }
            (Purpose::Plan, Reply::Checked(checked)) => render::checked(&checked, ""),
            (Purpose::Checked(Form::Json, _), Reply::Checked(checked)) => {
                render::checked_json(&checked) + "\n"
            }
            (Purpose::Done, Reply::Done(text)) => render::wrapped(&text),
            (Purpose::Access(then), Reply::Access { secret, authorized }) => {
                self.stand(secret, authorized);
                return self.access(then, now);
            }
            (Purpose::Authorize(then), Reply::Done(_)) => {
                self.authorized = true;
                return self.allowed(then, now);
            }
            (_, Reply::Denied { wait_s: 0 }) => "wrong secret\n".to_owned(),
            (_, Reply::Denied { wait_s }) => {
                format!("not accepted; the next secret is looked at in {wait_s} s\n")
            }
            (_, Reply::Error(text)) => render::wrapped(&text),
            _ => "the director gave an answer to another question\n".to_owned(),
        };
        self.say(&text);
        self.prompt();
    }

    /// Where no secret is set everybody may do everything, and nobody is logged in.
    fn stand(&mut self, secret: bool, authorized: bool) {
        (self.secret_set, self.authorized) = (secret, secret && authorized);
    }

    fn access(&mut self, then: Then, now: Instant) {
        if self.secret_set && !self.authorized {
            self.mode = Mode::Secret(then);
            self.editor.begin("secret: ", true, &mut self.wishes.text);
        } else {
            if then == Then::Nothing && !self.secret_set {
                self.say("router.conf sets no secret; nothing asks for one\n");
            }
            self.allowed(then, now);
        }
    }

    fn learned(&mut self, reply: Reply) {
        match reply {
            Reply::Access { secret, authorized } => {
                self.stand(secret, authorized);
            }
            Reply::Log(lines) => self.followed(&lines),
            _ => {}
        }
    }

    fn followed(&mut self, lines: &[LogLine]) {
        let (Some(follow), Some(last)) = (&mut self.follow, lines.last()) else {
            return;
        };
        follow.next = last.sequence.saturating_add(1);
        self.above(&render::log(lines));
    }

    fn status(&mut self, view: View, form: Form, status: &Status) -> String {
        self.names = Names::of(status);
        match form {
            Form::Text => render::text(view, status),
            Form::Json => render::json(view, status) + "\n",
        }
    }
}
