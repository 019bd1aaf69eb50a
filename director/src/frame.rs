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
    // A tuple is its members one after the other, and a u8 one byte.
    let body = postcard::to_allocvec(&(VERSION, value)).map_err(|_| FrameError::Payload)?;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::{Reply, Request, Tagged};

    /// An [`Item`] that owns its bytes; texts in a row are one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Seen {
        Text(Vec<u8>),
        Frame(Vec<u8>),
        Bad(FrameError),
    }

    fn feed(decoder: &mut Decoder, mut bytes: &[u8], seen: &mut Vec<Seen>) {
        while let Some(item) = decoder.next(&mut bytes) {
            match (item, seen.last_mut()) {
                (Item::Text(more), Some(Seen::Text(text))) => text.extend_from_slice(more),
                (Item::Text(text), _) => seen.push(Seen::Text(text.to_vec())),
                (Item::Frame(payload), _) => seen.push(Seen::Frame(payload.to_vec())),
                (Item::Bad(error), _) => seen.push(Seen::Bad(error)),
            }
        }
    }

    fn all(bytes: &[u8]) -> Vec<Seen> {
        let mut seen = Vec::new();
        feed(&mut Decoder::new(REQUEST_MAX), bytes, &mut seen);
        seen
    }

    fn framed(payload: &[u8]) -> Vec<u8> {
        seal([&[VERSION], payload].concat())
    }

    fn frames(seen: &[Seen]) -> Vec<&[u8]> {
        seen.iter()
            .filter_map(|item| match item {
                Seen::Frame(payload) => Some(payload.as_slice()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_request_is_these_bytes() {
        let frame = encode(
            &Tagged {
                tag: 7,
                body: Request::Status,
            },
            REQUEST_MAX,
        )
        .unwrap();
        // Delimiter, code 8: no zero in the seven bytes that follow: version, tag, variant, CRC.
        assert_eq!(frame[..5], [0, 8, 1, 7, 3]);
        assert_eq!(frame[5..9], crc32fast::hash(&[1, 7, 3]).to_le_bytes());
        assert_eq!(frame[9..], [0]);
        let [Seen::Frame(payload)] = &all(&frame)[..] else {
            panic!("one frame")
        };
        assert_eq!(
            decode::<Tagged<Request>>(payload),
            Ok(Tagged {
                tag: 7,
                body: Request::Status
            })
        );
    }

    #[test]
    fn text_and_frames_share_a_line() {
        let line = [
            b"status\r".as_slice(),
            &framed(b"one"),
            &framed(&[0, 0, 1, 0]),
            b"log\r",
        ]
        .concat();
        let expected = [
            Seen::Text(b"status\r".to_vec()),
            Seen::Frame(b"one".to_vec()),
            Seen::Frame(vec![0, 0, 1, 0]),
            Seen::Text(b"log\r".to_vec()),
        ];
        assert_eq!(all(&line), expected);
        for cut in 0..line.len() {
            let mut decoder = Decoder::new(REQUEST_MAX);
            let mut seen = Vec::new();
            feed(&mut decoder, &line[..cut], &mut seen);
            feed(&mut decoder, &line[cut..], &mut seen);
            assert_eq!(seen, expected, "cut at {cut}");
        }
    }

    #[test]
    fn one_delimiter_may_serve_two_frames() {
        let (first, second) = (framed(b"a"), framed(b"b"));
        let shared = [&first[..first.len() - 1], &second[..]].concat();
        // The zero between ends the first; the second's bytes are then text up to its own end, and that is no harm:
        // a sender gives each frame both of its delimiters.
        assert_eq!(frames(&all(&shared)), [b"a"]);
        let doubled = [&first[..], &[0, 0, 0], &second[..]].concat();
        assert_eq!(frames(&all(&doubled)), [b"a", b"b"]);
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let frame = encode(
            &Tagged {
                tag: 1,
                body: Reply::Text("as it was".into()),
            },
            REPLY_MAX,
        )
        .unwrap();
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(frames(&all(&flipped)).is_empty(), "bit {bit}");
        }
    }

    #[test]
    fn a_refused_frame_does_not_cost_the_next() {
        let mut wrong = framed(b"payload");
        wrong[4] ^= 1;
        let mut half = framed(b"payload");
        half.truncate(5);
        for (bad, error) in [(wrong, FrameError::Checksum), (half, FrameError::Broken)] {
            let seen = all(&[&bad[..], &framed(b"next"), b"text"].concat());
            let expected = [
                Seen::Bad(error),
                Seen::Frame(b"next".to_vec()),
                Seen::Text(b"text".to_vec()),
            ];
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn text_behind_a_stray_zero_is_text() {
        assert_eq!(all(b"\0status\r"), [Seen::Text(b"status\r".to_vec())]);
        assert_eq!(all(b"\0\0\0status\r"), [Seen::Text(b"status\r".to_vec())]);
        let mut wrong = framed(b"payload");
        wrong[4] ^= 1;
        let seen = all(&[&wrong[..], b"status\r"].concat());
        assert_eq!(
            seen,
            [
                Seen::Bad(FrameError::Checksum),
                Seen::Text(b"status\r".to_vec())
            ]
        );
    }

    #[test]
    fn a_frame_that_stops_in_the_middle_can_be_given_up() {
        let mut decoder = Decoder::new(REQUEST_MAX);
        let mut seen = Vec::new();
        feed(&mut decoder, &framed(b"payload")[..6], &mut seen);
        assert!(decoder.inside());
        decoder.reset();
        feed(&mut decoder, b"status\r", &mut seen);
        assert_eq!(seen, [Seen::Text(b"status\r".to_vec())]);
    }

    #[test]
    fn another_version_is_named_when_the_frame_is_whole() {
        let frame = seal([2, 1, 2, 3].to_vec());
        assert_eq!(all(&frame), [Seen::Bad(FrameError::Version(2))]);
        let mut flipped = frame;
        flipped[4] ^= 0x10;
        assert_eq!(all(&flipped), [Seen::Bad(FrameError::Checksum)]);
    }

    #[test]
    fn a_payload_may_be_as_long_as_the_limit_and_no_longer() {
        for (length, fits) in [
            (0, true),
            (999, true),
            (1000, true),
            (1001, false),
            (5000, false),
        ] {
            let mut decoder = Decoder::new(1000);
            let mut seen = Vec::new();
            feed(&mut decoder, &framed(&vec![7; length]), &mut seen);
            feed(&mut decoder, &framed(b"next"), &mut seen);
            let first = if fits {
                Seen::Frame(vec![7; length])
            } else {
                Seen::Bad(FrameError::Oversize)
            };
            assert_eq!(seen, [first, Seen::Frame(b"next".to_vec())], "{length}");
            assert!(decoder.body.capacity() <= 2000 + KEEP);
        }
        assert_eq!(encode(&"x".repeat(1000), 1000), Err(FrameError::Oversize));
    }

    #[test]
    fn a_payload_must_be_used_up() {
        assert_eq!(decode::<u8>(&[1, 2]), Err(FrameError::Payload));
        assert_eq!(decode::<u8>(&[]), Err(FrameError::Payload));
        // A length that the bytes do not have.
        assert_eq!(
            decode::<Vec<u64>>(&[0xff, 0xff, 0xff, 0x7f]),
            Err(FrameError::Payload)
        );
    }

    proptest! {
        #[test]
        fn any_payload_comes_back_in_any_pieces(
            payload in proptest::collection::vec(any::<u8>(), 0..2000),
            piece in 1..300_usize,
        ) {
            let mut decoder = Decoder::new(2000);
            let mut seen = Vec::new();
            for bytes in framed(&payload).chunks(piece) {
                feed(&mut decoder, bytes, &mut seen);
            }
            prop_assert_eq!(seen, [Seen::Frame(payload)]);
        }

        #[test]
        fn garbage_never_hides_a_later_frame_for_long(
            garbage in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(1)], 0..500),
        ) {
            let mut decoder = Decoder::new(600);
            let mut seen = Vec::new();
            feed(&mut decoder, &garbage, &mut seen);
            // The first may be taken for the end of what the garbage began.
            feed(&mut decoder, &framed(b"first"), &mut seen);
            feed(&mut decoder, &framed(b"second"), &mut seen);
            let frames = frames(&seen);
            prop_assert_eq!(frames.last(), Some(&b"second".as_slice()));
            prop_assert!(seen.iter().all(|item| !matches!(item, Seen::Text(text) if text.contains(&0))));
        }

        #[test]
        fn any_bytes_decode_or_not_without_a_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Tagged<Request>>(&payload);
            let _ = decode::<Tagged<Reply>>(&payload);
        }
    }
}
