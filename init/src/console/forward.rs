//! A program at the line: its frames go to the director's socket, and the replies back.
//!
//! It has a connection of its own, so that what the person at the same line has shown the secret for is not the
//! program's, nor the other way round.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;

use director::frame::{self, FrameError};
use director::proto::{Reply, Request, Tagged};
use mio::{Registry, Token};

use super::limits::{ANSWER, FORWARD_IDLE, FORWARDED_MAX};
use super::link::Link;
use super::output::Output;
use super::session::NOT_RUNNING;

/// The questions of a program that wait for their answers.
#[derive(Debug)]
pub(super) struct Forward {
    link: Link,
    waiting: VecDeque<(u32, Instant)>,
    last: Option<Instant>,
}

impl Forward {
    /// Forwards to the director's socket at `path`; events of the connection carry `token`.
    pub(super) fn new(path: &Path, token: Token) -> Self {
        Self {
            link: Link::new(path, token),
            waiting: VecDeque::new(),
            last: None,
        }
    }

    /// Takes the payload of a frame.
    pub(super) fn frame(
        &mut self,
        payload: &[u8],
        now: Instant,
        registry: &Registry,
        output: &mut Output,
    ) {
        let request: Tagged<Request> = match frame::decode(payload) {
            Ok(request) => request,
            Err(error) => return self.bad(error, output),
        };
        let tag = request.tag;
        if self.waiting.len() >= FORWARDED_MAX {
            return error(tag, "too many questions at once", output);
        }
        self.last = Some(now);
        let sent = frame::encode(&request, frame::REQUEST_MAX)
            .map(|frame| self.link.send(&frame, registry));
        match sent {
            Ok(Ok(())) => self.waiting.push_back((tag, now + ANSWER)),
            Ok(Err(_)) => {
                self.unreachable(registry, output);
                error(tag, NOT_RUNNING, output);
            }
            Err(oversize) => error(tag, &oversize.to_string(), output),
        }
    }

    /// Answers a frame that could not be read. Its tag is not known, so that the answer carries 0.
    pub(super) fn bad(&self, fault: FrameError, output: &mut Output) {
        error(0, &format!("the node received {fault}"), output);
    }

    /// Serves the connection; true when there is more to read.
    pub(super) fn ready(&mut self, now: Instant, registry: &Registry, output: &mut Output) -> bool {
        let waiting = &mut self.waiting;
        let served = self.link.flush().and_then(|()| {
            self.link.read(|payload| {
                let Ok(reply) = frame::decode::<Tagged<Reply>>(payload) else {
                    return;
                };
                if let Some(position) = waiting.iter().position(|(tag, _)| *tag == reply.tag) {
                    waiting.remove(position);
                    send(&reply, output);
                }
            })
        });
        self.last = Some(now);
        served.unwrap_or_else(|_| {
            self.unreachable(registry, output);
            false
        })
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant, registry: &Registry, output: &mut Output) {
        while let Some((tag, _)) = self.waiting.pop_front_if(|(_, until)| *until <= now) {
            error(tag, "no answer from the director", output);
        }
        if self.waiting.is_empty()
            && self.link.is_open()
            && self.last.is_none_or(|last| now >= last + FORWARD_IDLE)
        {
            self.link.close(registry);
        }
    }

    /// When [`Forward::tick`] is due.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        match self.waiting.front() {
            Some((_, until)) => Some(*until),
            None if self.link.is_open() => self.last.map(|last| last + FORWARD_IDLE),
            None => None,
        }
    }

    fn unreachable(&mut self, registry: &Registry, output: &mut Output) {
        self.link.close(registry);
        for (tag, _) in self.waiting.drain(..) {
            error(tag, NOT_RUNNING, output);
        }
    }
}

fn error(tag: u32, text: &str, output: &mut Output) {
    send(
        &Tagged {
            tag,
            body: Reply::Error(text.to_owned()),
        },
        output,
    );
}

/// Sends a reply; when the line is full of text the program finds out by its own deadline.
fn send(reply: &Tagged<Reply>, output: &mut Output) {
    if let Ok(frame) = frame::encode(reply, frame::REPLY_MAX) {
        output.frame(&frame);
    }
}
