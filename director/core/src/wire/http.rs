//! HTTP/1 as a check speaks it (RFC 9112): the request as bytes, and a reader for the response that takes whatever
//! pieces the socket gives, keeps only the head, and works on the body as it passes.
//!
//! It reads as keepalived does where servers in the field depend on that: malformed header lines are skipped, and a
//! body that ends before its `Content-Length` is a whole body. It stops waiting at the end of a body of known
//! length; it decodes the chunked transfer coding, and there a premature end is an error.

use core::fmt;

use md5::{Digest, Md5};

use crate::limits;

/// Writes a GET request. `path` and `host` come from the configuration, which holds no blanks in them.
#[must_use]
pub fn get(path: &str, host: &str, http11: bool) -> Vec<u8> {
    let version = if http11 { "1.1" } else { "1.0" };
    format!(
        "GET {path} HTTP/{version}\r\nHost: {host}\r\nUser-Agent: Keelson\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    )
    .into_bytes()
}

/// Why a response can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It does not begin as HTTP/1 does, or its head has no meaning.
    NotHttp,
    /// The connection ended before the head did.
    NoHead,
    /// A head of more than [`limits::HTTP_HEAD_MAX`] bytes or [`limits::HTTP_HEADERS_MAX`] lines.
    HeadTooLong,
    /// `Content-Length` is no number, or two of them differ.
    Length,
    /// The chunked coding is broken.
    Chunk,
    /// The connection ended within a chunked body.
    BodyCut,
    /// A body of more than [`limits::HTTP_BODY_MAX`] bytes.
    BodyTooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "reply is not HTTP/1",
            Self::NoHead => "closed without a reply",
            Self::HeadTooLong => "reply with too long a head",
            Self::Length => "reply with a wrong Content-Length",
            Self::Chunk => "reply with a broken chunk",
            Self::BodyCut => "closed within the reply",
            Self::BodyTooLong => "reply with too long a body",
        })
    }
}

/// A response that has been read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// MD5 of the body without its transfer coding, when it was asked for.
    pub digest: Option<[u8; 16]>,
    /// Bytes of the body.
    pub body_bytes: u64,
}

/// Reads one response.
#[derive(Debug)]
pub struct Reader {
    part: Part,
    digest: Option<Md5>,
    received: u64,
    body_bytes: u64,
}

/// Where in the response the reader stands.
#[derive(Debug)]
enum Part {
    /// In the head: what came of it.
    Head(Vec<u8>),
    /// In the body: status code, and how it ends.
    Body(u16, Framing),
    /// It failed; it stays so.
    Broken(Error),
}

/// How the end of the body is known (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug)]
enum Framing {
    /// By the end of the connection.
    Close,
    /// By `Content-Length`: so many bytes are still to come.
    Length(u64),
    /// By the last chunk.
    Chunked(Chunk),
}

/// Where in a chunked body (RFC 9112 section 7.1) the reader stands.
#[derive(Clone, Copy, Debug)]
enum Chunk {
    /// In the size: its value so far, and its digits.
    Size(u64, u8),
    /// Behind the size, up to the end of the line; the size, and bytes of this line.
    Extension(u64, u16),
    /// In the data: so many bytes are still to come.
    Data(u64),
    /// Before the line end that follows the data.
    DataEnd,
    /// In the trailer: bytes of this line, bytes of all of it.
    Trailer(u16, u16),
    /// Behind the end.
    Done,
}

impl Reader {
    /// A reader before the first byte. `digest` asks for the MD5 of the body.
    #[must_use]
    pub fn new(digest: bool) -> Self {
        Self {
            part: Part::Head(Vec::new()),
            digest: digest.then(Md5::new),
            received: 0,
            body_bytes: 0,
        }
    }

    /// Bytes taken so far, head included.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Takes the next bytes; gives the reply when it is whole. Bytes behind its end are ignored.
    ///
    /// # Errors
    /// When the response can't be read; it stays unreadable.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<Reply>, Error> {
        self.received = self.received.saturating_add(bytes.len() as u64);
        let result = self.read_parts(bytes);
        if let Err(error) = result {
            self.part = Part::Broken(error);
        }
        result
    }

    /// The connection has ended: gives the reply if that is its end.
    ///
    /// # Errors
    /// When the response was not whole.
    pub fn finish(&mut self) -> Result<Reply, Error> {
        match self.part {
            Part::Head(_) => Err(Error::NoHead),
            Part::Body(status, Framing::Close | Framing::Length(_)) => Ok(self.reply(status)),
            Part::Body(status, Framing::Chunked(Chunk::Done)) => Ok(self.reply(status)),
            Part::Body(_, Framing::Chunked(_)) => Err(Error::BodyCut),
            Part::Broken(error) => Err(error),
        }
    }

    fn read_parts(&mut self, mut bytes: &[u8]) -> Result<Option<Reply>, Error> {
        loop {
            match &mut self.part {
                Part::Head(head) => {
                    let (taken, ended) = gather_head(head, bytes)?;
                    bytes = &bytes[taken..];
                    if !ended {
                        return Ok(None);
                    }
                    let (status, framing) = parse_head(head)?;
                    // An interim response (RFC 9110 section 15.2) is followed by the real one.
                    self.part = match status {
                        100 | 102..=199 => Part::Head(Vec::new()),
                        _ => Part::Body(status, framing),
                    };
                }
                Part::Body(status, framing) => {
                    let (status, mut at) = (*status, *framing);
                    let done = self.read_body(&mut at, bytes)?;
                    self.part = Part::Body(status, at);
                    return Ok(done.then(|| self.reply(status)));
                }
                Part::Broken(error) => return Err(*error),
            }
        }
    }

    /// Takes bytes of the body; says whether that was its end.
    fn read_body(&mut self, framing: &mut Framing, mut bytes: &[u8]) -> Result<bool, Error> {
        loop {
            match framing {
                Framing::Close => {
                    self.take_data(bytes)?;
                    return Ok(false);
                }
                Framing::Length(left) => {
                    let data = front(&mut bytes, *left);
                    *left -= data.len() as u64;
                    let done = *left == 0;
                    self.take_data(data)?;
                    return Ok(done);
                }
                Framing::Chunked(Chunk::Done) => return Ok(true),
                Framing::Chunked(Chunk::Data(left)) => {
                    let data = front(&mut bytes, *left);
                    *left -= data.len() as u64;
                    if *left > 0 {
                        self.take_data(data)?;
                        return Ok(false);
                    }
                    *framing = Framing::Chunked(Chunk::DataEnd);
                    self.take_data(data)?;
                }
                Framing::Chunked(chunk) => {
                    let Some((byte, rest)) = bytes.split_first() else {
                        return Ok(false);
                    };
                    bytes = rest;
                    *chunk = chunk.after(*byte)?;
                }
            }
        }
    }

    fn take_data(&mut self, data: &[u8]) -> Result<(), Error> {
        self.body_bytes += data.len() as u64;
        if self.body_bytes > limits::HTTP_BODY_MAX {
            return Err(Error::BodyTooLong);
        }
        if let Some(digest) = &mut self.digest {
            digest.update(data);
        }
        Ok(())
    }

    fn reply(&self, status: u16) -> Reply {
        Reply {
            status,
            digest: self.digest.clone().map(|digest| digest.finalize().into()),
            body_bytes: self.body_bytes,
        }
    }
}

/// Adds bytes to the head; says how many of them belong to it, and whether it has ended.
fn gather_head(head: &mut Vec<u8>, bytes: &[u8]) -> Result<(usize, bool), Error> {
    let before = head.len();
    let room = limits::HTTP_HEAD_MAX.saturating_sub(before);
    let taken = bytes.len().min(room);
    head.extend(bytes.iter().take(room));
    if !begins_as_http(head) {
        return Err(Error::NotHttp);
    }
    // The blank line may have begun in the bytes before.
    let from = before.saturating_sub(3);
    match blank_line_end(head, from) {
        Some(end) => {
            head.truncate(end);
            Ok((end - before, true))
        }
        None if taken < bytes.len() => Err(Error::HeadTooLong),
        None => Ok((taken, false)),
    }
}

/// Whether these bytes are, or can become, the beginning of an HTTP/1 response.
fn begins_as_http(head: &[u8]) -> bool {
    head.iter().zip(b"HTTP/1.").all(|(a, b)| a == b)
}

/// Where the first blank line ends, looking from `from` on; lines end in LF or CR LF.
fn blank_line_end(head: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += head.get(at..)?.iter().position(|byte| *byte == b'\n')? + 1;
        match head.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

/// Reads status and framing from a whole head.
fn parse_head(head: &[u8]) -> Result<(u16, Framing), Error> {
    let mut headers = [httparse::EMPTY_HEADER; limits::HTTP_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = httparse::ParserConfig::default()
        .ignore_invalid_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .parse_response(&mut response, head);
    match parsed {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Error::HeadTooLong),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Error::NotHttp),
    }
    let status = response.code.ok_or(Error::NotHttp)?;
    Ok((status, framing(status, response.headers)?))
}

/// How the body ends: RFC 9112 section 6.3, for the response to a GET.
fn framing(status: u16, headers: &[httparse::Header<'_>]) -> Result<Framing, Error> {
    if status == 204 || status == 304 {
        return Ok(Framing::Length(0));
    }
    let mut framing = Framing::Close;
    for header in headers {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            let value = header.value.trim_ascii().to_ascii_lowercase();
            // Chunked is the last coding, or the end of the connection is the end of the body.
            return Ok(match value.ends_with(b"chunked") {
                true => Framing::Chunked(Chunk::Size(0, 0)),
                false => Framing::Close,
            });
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = decimal(header.value.trim_ascii()).ok_or(Error::Length)?;
            match framing {
                Framing::Length(other) if other != length => return Err(Error::Length),
                _ => framing = Framing::Length(length),
            }
        }
    }
    Ok(framing)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(digits).ok().filter(|_| all_digits)?;
    text.parse().ok()
}

/// Splits at most `length` bytes off the front.
fn front<'a>(bytes: &mut &'a [u8], length: u64) -> &'a [u8] {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (data, rest) = bytes.split_at(length.min(bytes.len()));
    *bytes = rest;
    data
}

impl Chunk {
    /// The place behind one byte that is not data.
    fn after(self, byte: u8) -> Result<Self, Error> {
        // More than this is no chunk size extension and no trailer, but an attempt to keep us reading.
        const LINE_MAX: u16 = 1024;
        match (self, byte) {
            (Self::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                // Twelve digits are more than any body has; leading zeros do not go on for ever.
                let digits = digits.checked_add(1).filter(|digits| *digits <= 12);
                Ok(Self::Size(size << 4 | digit, digits.ok_or(Error::Chunk)?))
            }
            (Self::Size(_, 0), _) => Err(Error::Chunk),
            (Self::Size(0, _) | Self::Extension(0, _), b'\n') => Ok(Self::Trailer(0, 0)),
            (Self::Size(size, _) | Self::Extension(size, _), b'\n') => Ok(Self::Data(size)),
            (Self::Size(size, _), b'\r' | b';' | b' ' | b'\t') => Ok(Self::Extension(size, 0)),
            (Self::Extension(size, line), _) if line < LINE_MAX => {
                Ok(Self::Extension(size, line + 1))
            }
            (Self::DataEnd, b'\r') => Ok(Self::DataEnd),
            (Self::DataEnd, b'\n') => Ok(Self::Size(0, 0)),
            (Self::Trailer(0, _), b'\n') => Ok(Self::Done),
            (Self::Trailer(line, all), b'\r') if all < LINE_MAX => Ok(Self::Trailer(line, all + 1)),
            (Self::Trailer(_, all), b'\n') if all < LINE_MAX => Ok(Self::Trailer(0, all + 1)),
            (Self::Trailer(line, all), _) if all < LINE_MAX => Ok(Self::Trailer(line + 1, all + 1)),
            _ => Err(Error::Chunk),
        }
    }
}
