//! The envelope of everything that programs say to each other on a serial line and on the control socket.
//!
//! ```text
//!   0x00 | COBS( version 1 byte | payload | CRC-32 of both, little endian ) | 0x00
//! ```
//!
//! COBS leaves no zero inside, so a zero always delimits, and a person who types at the same line never sends one.
//! One port therefore serves both: what stands outside a pair of zeros is [`Item::Text`]. The envelope stays as it is
//! in every version; the version says how the payload is to be read. The CRC is needed because postcard takes nearly
//! every byte string for some value.

use core::fmt;

use cobs::{DecodeResult, DecoderState};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of the payload that this program speaks.
pub const VERSION: u8 = 1;

/// Versions stay below the control characters that an editor sends (backspace is 8), so that text behind a stray zero
/// is known for text at its second byte.
const VERSION_MAX: u8 = 7;

/// The longest request: a configuration text of thousands of services.
pub const REQUEST_MAX: usize = 1 << 20;

/// The longest reply: the status of a hundred thousand dests.
pub const REPLY_MAX: usize = 16 << 20;

/// Version and CRC.
const OVERHEAD: usize = 1 + 4;

/// A decoder keeps this much memory between two frames; what a rare long one took more is given back.
const KEEP: usize = 16 << 10;

/// Puts a value into its envelope, delimiters included.
///
/// # Errors
/// [`FrameError::Oversize`] when the payload is longer than `limit`.
pub fn encode<T: Serialize>(value: &T, limit: usize) -> Result<Vec<u8>, FrameError> {
    let body = postcard::to_extend(value, vec![VERSION]).map_err(|_| FrameError::Payload)?;
    if body.len() > limit.saturating_add(1) {
        return Err(FrameError::Oversize);
    }
    Ok(seal(body))
}

/// Adds checksum and delimiters to a version byte with its payload.
fn seal(mut body: Vec<u8>) -> Vec<u8> {
    body.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    let mut frame = vec![0];
    frame.append(&mut cobs::encode_vec(&body));
    frame.push(0);
    frame
}

/// Reads the payload of an [`Item::Frame`]; all of it must be used.
///
/// # Errors
/// [`FrameError::Payload`] when it is no such value.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        _ => Err(FrameError::Payload),
    }
}

/// Why a frame was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Cut short, or not COBS.
    Broken,
    /// The checksum does not fit.
    Checksum,
    /// Whole, but of a version that this program does not speak.
    Version(u8),
    /// Longer than the receiver allows.
    Oversize,
    /// The payload is not a value of the expected kind.
    Payload,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken => f.write_str("a broken frame"),
            Self::Checksum => f.write_str("a frame with a wrong checksum"),
            Self::Version(theirs) => {
                write!(
                    f,
                    "a frame of version {theirs}; this program speaks version {VERSION}"
                )
            }
            Self::Oversize => f.write_str("a frame longer than allowed"),
            Self::Payload => f.write_str("a frame with an unknown message"),
        }
    }
}

impl std::error::Error for FrameError {}

/// What a [`Decoder`] found in the bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// Bytes outside of any frame; never a zero.
    Text(&'a [u8]),
    /// The payload of a good frame of version [`VERSION`].
    Frame(&'a [u8]),
    /// A frame that was refused; the decoder goes on behind it.
    Bad(FrameError),
}

/// Cuts a stream of bytes, in pieces of any size, into text and frames.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    state: State,
    cobs: DecoderState,
    /// Version, payload and CRC as far as they have come; in [`State::Start`] and [`State::Text`] what is to be given
    /// back as text.
    body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Outside.
    Text,
    /// Behind a zero, before the version: this may still be text.
    Start,
    /// Inside, version seen.
    Frame,
    /// Inside a frame that has been refused: waiting for its end.
    Skip,
}

impl Decoder {
    /// A decoder for payloads of up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            state: State::Text,
            cobs: DecoderState::Idle,
            body: Vec::new(),
        }
    }

    /// Takes bytes from the front of `input` until there is something to report; `None` when all are taken.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Item<'a>> {
        self.recycle();
        if self.state == State::Text {
            let end = input
                .iter()
                .position(|&byte| byte == 0)
                .unwrap_or(input.len());
            let (text, rest) = input.split_at(end);
            *input = rest;
            if !text.is_empty() {
                return Some(Item::Text(text));
            }
        }
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            match self.byte(byte) {
                Step::More => {}
                Step::Text => return Some(Item::Text(&self.body)),
                Step::Bad(error) => return Some(Item::Bad(error)),
                Step::Whole => return Some(Item::Frame(self.payload())),
            }
        }
        None
    }

    /// True between the two delimiters of a frame. A line on which nothing more comes is then to be given up with
    /// [`Decoder::reset`].
    #[must_use]
    pub fn inside(&self) -> bool {
        self.state != State::Text
    }

    /// Forgets a frame that has begun; what comes next is text.
    pub fn reset(&mut self) {
        self.state = State::Text;
        self.cobs = DecoderState::Idle;
        self.body.clear();
    }

    /// Drops what the last item lent out.
    fn recycle(&mut self) {
        if matches!(self.state, State::Text | State::Skip) {
            self.body.clear();
            self.body.shrink_to(KEEP);
        }
    }

    fn byte(&mut self, byte: u8) -> Step {
        if byte == 0 {
            return self.delimiter();
        }
        match self.state {
            // The caller takes text before it comes here.
            State::Text | State::Skip => Step::More,
            State::Start => self.start(byte),
            State::Frame => match self.cobs.feed(byte) {
                Ok(DecodeResult::DataContinue(_))
                    if self.body.len() >= self.limit.saturating_add(OVERHEAD) =>
                {
                    self.state = State::Skip;
                    Step::Bad(FrameError::Oversize)
                }
                Ok(DecodeResult::DataContinue(data)) => {
                    self.body.push(data);
                    Step::More
                }
                Ok(_) => Step::More,
                Err(_) => {
                    self.state = State::Skip;
                    Step::Bad(FrameError::Broken)
                }
            },
        }
    }

    /// The first two bytes behind a zero: the COBS code, then the version, which COBS leaves as it is.
    fn start(&mut self, byte: u8) -> Step {
        self.body.push(byte);
        match self.cobs.feed(byte) {
            Ok(DecodeResult::NoData) => Step::More,
            Ok(DecodeResult::DataContinue(version @ 1..=VERSION_MAX)) => {
                self.body.clear();
                self.body.push(version);
                self.state = State::Frame;
                Step::More
            }
            _ => {
                self.state = State::Text;
                self.cobs = DecoderState::Idle;
                Step::Text
            }
        }
    }

    fn delimiter(&mut self) -> Step {
        let was = self.state;
        let end = self.cobs.feed(0);
        self.cobs = DecoderState::Idle;
        // Behind a good frame comes text. Behind a broken one the zero may as well be the next frame's first.
        self.state = State::Start;
        match (was, end) {
            (State::Frame, Ok(DecodeResult::DataComplete)) => match self.fault() {
                None => {
                    self.state = State::Text;
                    Step::Whole
                }
                Some(error @ FrameError::Version(_)) => {
                    self.state = State::Text;
                    Step::Bad(error)
                }
                Some(error) => {
                    self.body.clear();
                    Step::Bad(error)
                }
            },
            (State::Frame, _) => {
                self.body.clear();
                Step::Bad(FrameError::Broken)
            }
            _ => {
                self.body.clear();
                Step::More
            }
        }
    }

    /// What is wrong with a frame that came to its end.
    fn fault(&self) -> Option<FrameError> {
        match self.body.split_last_chunk::<4>() {
            None | Some(([], _)) => Some(FrameError::Broken),
            Some((covered, crc)) if crc32fast::hash(covered) != u32::from_le_bytes(*crc) => {
                Some(FrameError::Checksum)
            }
            Some(([VERSION, ..], _)) => None,
            Some(([version, ..], _)) => Some(FrameError::Version(*version)),
        }
    }

    fn payload(&self) -> &[u8] {
        self.body
            .get(1..self.body.len().saturating_sub(4))
            .unwrap_or_default()
    }
}

enum Step {
    More,
    Text,
    Bad(FrameError),
    Whole,
}
