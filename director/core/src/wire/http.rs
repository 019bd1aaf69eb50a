//! HTTP/1 as a check speaks it (RFC 9112): the request as bytes, and a reader for the response that takes whatever
//! pieces the socket gives, keeps only the head, and works on the body as it passes.
//!
//! It reads as keepalived does where servers in the field depend on that: malformed header lines are skipped, and a
//! body that ends before its `Content-Length` is a whole body. It stops waiting at the end of a body of known
//! length; it decodes the chunked transfer coding, and there a premature end is an error.

use core::fmt;

use md5::{Digest, Md5};

use crate::limits;
use crate::pattern::Search;

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
    /// Whether the body matches, when that was asked for.
    pub found: Option<bool>,
    /// Bytes of the body.
    pub body_bytes: u64,
}

/// Reads one response.
#[derive(Debug)]
pub struct Reader {
    part: Part,
    digest: Option<Md5>,
    search: Option<Search>,
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
    /// A reader before the first byte. `digest` asks for the MD5 of the body, `search` whether it matches.
    #[must_use]
    pub fn new(digest: bool, search: Option<Search>) -> Self {
        Self {
            part: Part::Head(Vec::new()),
            digest: digest.then(Md5::new),
            search,
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
                    bytes = bytes.get(taken..).unwrap_or_default();
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
        if let Some(search) = &mut self.search {
            search.take(data);
        }
        Ok(())
    }

    fn reply(&mut self, status: u16) -> Reply {
        Reply {
            status,
            digest: self.digest.clone().map(|digest| digest.finalize().into()),
            found: self.search.take().map(Search::finish),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pattern::{Options, Pattern};

    #[test]
    fn a_request_names_host_and_version() {
        assert_eq!(
            get("/health?x=1", "www.example:8080", false),
            b"GET /health?x=1 HTTP/1.0\r\nHost: www.example:8080\r\nUser-Agent: Keelson\r\nAccept: */*\r\n\
              Connection: close\r\n\r\n"
        );
        assert!(get("/", "a", true).starts_with(b"GET / HTTP/1.1\r\n"));
    }

    #[test]
    fn responses_are_read_however_they_end() {
        // (response, whole before the connection ends, status, body)
        let cases = [
            ("HTTP/1.0 200 OK\r\n\r\nhello", false, 200, "hello"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                true,
                200,
                "hello",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world",
                true,
                200,
                "hello",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
                true,
                200,
                "hello",
            ),
            // Less than it promised: keepalived takes it as it is.
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
                false,
                200,
                "hello",
            ),
            (
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                true,
                404,
                "",
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", true, 204, ""),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 700\r\n\r\n",
                true,
                304,
                "",
            ),
            // No reason phrase, bare line feeds, a line that is no header.
            ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", true, 200, ""),
            ("HTTP/1.0 200 OK\nContent-Length: 2\n\nhi", true, 200, "hi"),
            (
                "HTTP/1.0 200 OK\r\nwhat is this\r\nContent-Length: 2\r\n\r\nhi",
                true,
                200,
                "hi",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
                true,
                200,
                "hello",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\nContent-Length: 1\r\n\r\n\
                 0A\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
                true,
                200,
                "0123456789",
            ),
            (
                "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5 \nhello\n000\n\n",
                true,
                200,
                "hello",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
                false,
                200,
                "hello",
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n\
                 HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
                true,
                200,
                "hi",
            ),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false, 101, ""),
        ];
        for (text, whole, status, body) in cases {
            let want = Reply {
                status,
                digest: Some(Md5::digest(body).into()),
                found: None,
                body_bytes: body.len() as u64,
            };
            assert_eq!(read_in(text.as_bytes(), &[]), (whole, Ok(want)), "{text}");
            let bytewise = vec![1; text.len()];
            assert_eq!(
                read_in(text.as_bytes(), &bytewise),
                (whole, Ok(want)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_body_is_searched_without_its_transfer_coding() {
        let text = b"HTTP/1.1 200 OK\r\nX: well\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n\
            5\r\n well\r\n0\r\n\r\n";
        for (expression, found) in [("^all well$", true), ("OK", false)] {
            let pattern = Pattern::new(expression, Options::default()).unwrap();
            let mut reader = Reader::new(false, Some(Search::new(&pattern, 0..=u64::MAX)));
            let replies: Vec<_> = text.iter().map(|byte| reader.read(&[*byte])).collect();
            let reply = replies.last().copied().unwrap().unwrap().unwrap();
            assert_eq!(reply.found, Some(found), "{expression}");
        }
    }

    #[test]
    fn what_is_no_response_is_an_error_that_stays() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let cases = [
            (String::new(), Error::NoHead),
            ("HTTP/1.1 200 OK\r\nX: y\r\n".into(), Error::NoHead),
            ("SSH-2.0-OpenSSH_9.2\r\n".into(), Error::NotHttp),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n".into(), Error::NotHttp),
            ("HTTP/2 200\r\n\r\n".into(), Error::NotHttp),
            ("HTTP/1.1 abc\r\n\r\n".into(), Error::NotHttp),
            (
                format!(
                    "HTTP/1.1 200 OK\r\nX: {}",
                    "y".repeat(limits::HTTP_HEAD_MAX)
                ),
                Error::HeadTooLong,
            ),
            (
                format!(
                    "HTTP/1.1 200 OK\r\n{}\r\n",
                    "X: y\r\n".repeat(limits::HTTP_HEADERS_MAX + 1)
                ),
                Error::HeadTooLong,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".into(),
                Error::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n".into(),
                Error::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".into(),
                Error::Length,
            ),
            (format!("{chunked}\r\n"), Error::Chunk),
            (format!("{chunked}x\r\n"), Error::Chunk),
            (format!("{chunked}1\r\nabc"), Error::Chunk),
            (format!("{chunked}{}", "0".repeat(13)), Error::Chunk),
            (format!("{chunked}1;{}", "x".repeat(2000)), Error::Chunk),
            (
                format!("{chunked}0\r\n{}", "X: y\r\n".repeat(1000)),
                Error::Chunk,
            ),
            (format!("{chunked}5\r\nhell"), Error::BodyCut),
            (format!("{chunked}5\r\nhello\r\n0\r\n"), Error::BodyCut),
        ];
        for (text, error) in cases {
            assert_eq!(read_in(text.as_bytes(), &[]).1, Err(error), "{text}");
            let bytewise = vec![1; text.len()];
            assert_eq!(read_in(text.as_bytes(), &bytewise).1, Err(error), "{text}");
        }
        let mut reader = Reader::new(false, None);
        assert_eq!(reader.read(b"garbage"), Err(Error::NotHttp));
        assert_eq!(reader.read(b"HTTP/1.1 200 OK\r\n\r\n"), Err(Error::NotHttp));
        assert_eq!(reader.finish(), Err(Error::NotHttp));
    }

    #[test]
    fn an_endless_body_ends_at_the_bound() {
        let mut reader = Reader::new(false, None);
        assert_eq!(reader.read(b"HTTP/1.1 200 OK\r\n\r\n"), Ok(None));
        let piece = vec![0; 1 << 20];
        for _ in 0..limits::HTTP_BODY_MAX >> 20 {
            assert_eq!(reader.read(&piece), Ok(None));
        }
        assert_eq!(reader.read(b"x"), Err(Error::BodyTooLong));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            text in prop::collection::vec(fragment(), 0..12).prop_map(|parts| parts.concat()),
            pieces in prop::collection::vec(1_usize..20, 0..40),
        ) {
            prop_assert_eq!(read_in(&text, &[]), read_in(&text, &pieces));
        }

        #[test]
        fn any_bytes_are_read_without_panic(text in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = read_in(&text, &[]);
            let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            bytes.extend(text);
            let _ = read_in(&bytes, &[]);
        }
    }

    fn fragment() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 100 Go\r\n\r\n",
            "Content-Length: 7\r\n",
            "Transfer-Encoding: chunked\r\n",
            "X: y\n",
            "\r\n",
            "\n",
            "\r",
            "5\r\nhello\r\n",
            "7;a\n",
            "0\r\n\r\n",
            "hello",
            "HTTP/1.",
        ])
        .prop_map(|text| text.as_bytes().to_vec());
        prop_oneof![9 => known, 1 => prop::collection::vec(any::<u8>(), 0..9)]
    }

    /// Reads bytes in pieces of these lengths, then the rest at once, then the end of the connection. Gives whether the
    /// reply was whole before that end, and the result.
    fn read_in(mut bytes: &[u8], pieces: &[usize]) -> (bool, Result<Reply, Error>) {
        let mut reader = Reader::new(true, None);
        for length in pieces.iter().chain([&usize::MAX]) {
            let (piece, rest) = bytes.split_at((*length).min(bytes.len()));
            bytes = rest;
            match reader.read(piece) {
                Ok(None) => {}
                Ok(Some(reply)) => return (true, Ok(reply)),
                Err(error) => return (false, Err(error)),
            }
        }
        (false, reader.finish())
    }
}
