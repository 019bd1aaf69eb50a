//! What is said to a server and what its answers mean, for each kind of check; one connection is one talk.

use super::attempt::Verdict;
use super::{Ask, Failure, Kind, Udp, Url};
use crate::pattern::Search;
use crate::wire::{dns, echo, http, smtp};

/// A conversation after the connection was made.
#[derive(Debug)]
pub(super) enum Talk {
    Http(Box<http::Reader>),
    Smtp(smtp::Reader, Stage),
    Dns,
    Udp,
    Ping,
    /// The text of a file, so far.
    File(Vec<u8>),
}

/// What a mail server is to answer next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Banner,
    Hello,
    Quit,
}

/// What follows from something that was heard.
#[derive(Debug)]
pub(super) enum Turn {
    /// It is not all yet.
    Wait,
    /// Send these bytes.
    Say(Vec<u8>),
    /// This is the end of it.
    End(Verdict),
}

/// How far an attempt is, which a talk must know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Which URL is being asked.
    pub(super) url: usize,
    /// A number that tells this attempt from others.
    pub(super) token: u64,
}

impl Talk {
    /// The connection is made: who speaks first. None for a check that asks no more than that.
    pub(super) fn open(ask: &Ask, place: Place) -> Option<(Self, Turn)> {
        let say = |bytes| Turn::Say(bytes);
        Some(match &ask.how.kind {
            Kind::Tcp | Kind::Exec(_) => return None,
            Kind::Http { urls, http11, .. } => {
                let url: &Url = urls.get(place.url)?;
                let bytes = http::get(&url.path, &url.host, *http11);
                let regex = url.regex.as_ref();
                let search = regex.map(|regex| Search::new(&regex.pattern, regex.begins.clone()));
                let reader = http::Reader::new(url.digest.is_some(), search);
                (Self::Http(Box::new(reader)), say(bytes))
            }
            Kind::Smtp { .. } => (
                Self::Smtp(smtp::Reader::default(), Stage::Banner),
                Turn::Wait,
            ),
            Kind::Dns(question) => (Self::Dns, say(question.emit(place.id()))),
            Kind::Udp(udp) => (Self::Udp, say(udp.payload.clone())),
            Kind::Ping => {
                let request = echo::request(ask.family(), place.id(), place.token);
                (Self::Ping, say(request))
            }
            Kind::File(_) => (Self::File(Vec::new()), Turn::Wait),
        })
    }

    /// The other side said something.
    pub(super) fn hear(&mut self, ask: &Ask, place: Place, bytes: &[u8]) -> Turn {
        match (self, &ask.how.kind) {
            (Self::Http(reader), Kind::Http { urls, .. }) => match reader.read(bytes) {
                Ok(None) => Turn::Wait,
                Ok(Some(reply)) => Turn::End(judge_reply(urls.get(place.url), reply)),
                Err(error) => Turn::End(Err(Failure::Http(error))),
            },
            (Self::Smtp(reader, stage), Kind::Smtp { helo }) => match reader.read(bytes) {
                Ok(None) => Turn::Wait,
                Ok(Some(code)) => stage.answered(code, helo),
                Err(smtp::NotSmtp) => Turn::End(Err(Failure::NotSmtp)),
            },
            (Self::Dns, _) => match dns::answer(bytes, place.id()) {
                Some(dns::Code(0)) => Turn::End(Ok(None)),
                Some(code) => Turn::End(Err(Failure::Dns(code))),
                None => Turn::Wait,
            },
            (Self::Udp, Kind::Udp(udp)) => Turn::End(udp.judge(bytes)),
            (Self::Ping, _) => {
                if echo::is_reply(bytes, ask.family(), place.id(), place.token) {
                    Turn::End(Ok(None))
                } else {
                    Turn::Wait
                }
            }
            (Self::File(text), _) => {
                text.extend(bytes);
                Turn::Wait
            }
            _ => Turn::Wait,
        }
    }

    /// The other side has nothing more to say.
    pub(super) fn close(&mut self, ask: &Ask, place: Place) -> Verdict {
        match (self, &ask.how.kind) {
            (Self::Http(reader), Kind::Http { urls, .. }) => match reader.finish() {
                Ok(reply) => judge_reply(urls.get(place.url), reply),
                Err(error) => Err(Failure::Http(error)),
            },
            (Self::File(text), Kind::File(watch)) => watch.judge(text),
            _ => Err(Failure::Http(http::Error::NoHead)),
        }
    }

    /// The time is over. Who need not answer has passed, for a port that nobody listens on is told by ICMP.
    pub(super) fn expire(&self, ask: &Ask) -> Verdict {
        match (self, &ask.how.kind) {
            (Self::Udp, Kind::Udp(udp)) if udp.reply.is_none() => Ok(None),
            (Self::Http(reader), _) => Err(Failure::ReplyTimeout(reader.received())),
            _ => Err(Failure::ReplyTimeout(0)),
        }
    }
}

impl Place {
    /// The token as a protocol of 16 bits has it.
    const fn id(self) -> u16 {
        self.token as u16 // the lower bits
    }
}

impl Stage {
    fn answered(&mut self, code: u16, helo: &str) -> Turn {
        let (wanted, next, line) = match *self {
            Self::Banner => (220, Self::Hello, format!("HELO {helo}\r\n")),
            Self::Hello => (250, Self::Quit, "QUIT\r\n".to_string()),
            Self::Quit => (221, Self::Quit, String::new()),
        };
        if code != wanted {
            return Turn::End(Err(Failure::Smtp(code)));
        }
        if *self == Self::Quit {
            return Turn::End(Ok(None));
        }
        *self = next;
        Turn::Say(line.into_bytes())
    }
}

fn judge_reply(url: Option<&Url>, reply: http::Reply) -> Verdict {
    let Some(url) = url else { return Ok(None) };
    if !url.status.iter().any(|range| range.contains(&reply.status)) {
        return Err(Failure::Status(reply.status));
    }
    if let Some(digest) = reply
        .digest
        .filter(|have| url.digest.is_some_and(|want| want != *have))
    {
        return Err(Failure::Digest(digest));
    }
    let wanted = url.regex.as_ref().map(|regex| regex.wanted);
    match (wanted, reply.found) {
        (Some(wanted), Some(found)) if wanted != found => Err(Failure::Regex { found }),
        _ => Ok(None),
    }
}

impl Udp {
    fn judge(&self, bytes: &[u8]) -> Verdict {
        let Some(reply) = &self.reply else {
            return Ok(None);
        };
        let long = (reply.length.0..=reply.length.1).contains(&bytes.len());
        let begins = bytes.len() >= reply.pattern.len();
        let mut pairs = reply.pattern.iter().zip(bytes);
        if long && begins && pairs.all(|((value, mask), byte)| byte & mask == *value) {
            Ok(None)
        } else {
            Err(Failure::Reply(bytes.len()))
        }
    }
}

impl super::Watch {
    /// The number in the text, times the weight; a file that is not there says 0, as an empty one would.
    fn judge(&self, text: &[u8]) -> Verdict {
        let text = core::str::from_utf8(text).unwrap_or("?").trim();
        let number = match text {
            "" => Ok(0),
            text => text.parse::<i64>(),
        };
        match number {
            // Whoever writes a file without care for its readers leaves it half written for a moment.
            Err(_) => Err(Failure::Number),
            Ok(number) if self.weight == 0 => {
                let is_well = (number == 0) != self.reverse;
                is_well.then_some(None).ok_or(Failure::Told(number))
            }
            Ok(number) => {
                let weight = i64::from(self.weight);
                let weight = if self.reverse { -weight } else { weight };
                Ok(Some(number.saturating_mul(weight)))
            }
        }
    }
}
