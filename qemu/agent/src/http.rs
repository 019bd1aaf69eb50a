//! As much of an HTTP client as the lab needs: GET / on a connection, once or again and again.
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::limits::HTTP_ANSWER_BYTES_MAX;

/// A connection to an HTTP server, with whatever was read past the last answer.
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    unread: Vec<u8>,
}

/// Whether the server is to keep the connection open after its answer.
#[derive(Clone, Copy)]
pub(crate) enum Persistence {
    Close,
    Keep,
}

/// Why a request got no answer; the Display is the name it is counted under.
#[derive(Debug)]
pub(crate) enum HttpError {
    Connect(io::ErrorKind),
    Exchange(io::ErrorKind),
    /// The server closed the connection before its answer was whole.
    Closed,
    /// Not HTTP, or more of it than [`HTTP_ANSWER_BYTES_MAX`].
    Malformed,
    Status(u16),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A socket timeout is reported as WouldBlock when reading and as TimedOut when connecting.
            Self::Connect(io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                f.write_str("connect: timed out")
            }
            Self::Connect(kind) => write!(f, "connect: {kind}"),
            Self::Exchange(io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                f.write_str("answer: timed out")
            }
            Self::Exchange(kind) => write!(f, "answer: {kind}"),
            Self::Closed => f.write_str("answer: connection closed"),
            Self::Malformed => f.write_str("answer: malformed"),
            Self::Status(code) => write!(f, "status {code}"),
        }
    }
}

/// One request on a fresh connection; the body of the answer, trimmed.
pub(crate) fn fetch(target: SocketAddr, timeout: Duration) -> Result<String, HttpError> {
    let deadline = Instant::now() + timeout;
    Connection::open(target, deadline)?.fetch(Persistence::Close, deadline)
}

impl Connection {
    /// Connects, by `deadline` at the latest.
    pub(crate) fn open(target: SocketAddr, deadline: Instant) -> Result<Self, HttpError> {
        let left = left_until(deadline).map_err(HttpError::Connect)?;
        let stream = TcpStream::connect_timeout(&target, left)
            .map_err(|error| HttpError::Connect(error.kind()))?;
        stream
            .set_nodelay(true)
            .map_err(|error| HttpError::Connect(error.kind()))?;
        Ok(Self {
            stream,
            host: target.to_string(),
            unread: Vec::new(),
        })
    }

    /// GET / and the body of a 200 answer, trimmed.
    pub(crate) fn fetch(
        &mut self,
        persistence: Persistence,
        deadline: Instant,
    ) -> Result<String, HttpError> {
        let option = match persistence {
            Persistence::Close => "close",
            Persistence::Keep => "keep-alive",
        };
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nConnection: {option}\r\n\r\n",
            self.host
        );
        self.stream
            .write_all(request.as_bytes())
            .map_err(|error| HttpError::Exchange(error.kind()))?;
        loop {
            if let Some((answer, used)) = parse(&self.unread)? {
                self.unread.drain(..used);
                return if answer.status == 200 {
                    Ok(answer.body)
                } else {
                    Err(HttpError::Status(answer.status))
                };
            }
            self.read_more(deadline)?;
        }
    }

    fn read_more(&mut self, deadline: Instant) -> Result<(), HttpError> {
        let left = left_until(deadline).map_err(HttpError::Exchange)?;
        let exchange = |error: io::Error| HttpError::Exchange(error.kind());
        self.stream.set_read_timeout(Some(left)).map_err(exchange)?;
        let mut chunk = [0; 2048];
        let count = self.stream.read(&mut chunk).map_err(exchange)?;
        if count == 0 {
            return Err(HttpError::Closed);
        }
        self.unread.extend(chunk.iter().take(count));
        if self.unread.len() > HTTP_ANSWER_BYTES_MAX {
            Err(HttpError::Malformed)
        } else {
            Ok(())
        }
    }
}

/// Never zero, which the socket calls take as an error.
fn left_until(deadline: Instant) -> Result<Duration, io::ErrorKind> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut)
    } else {
        Ok(left)
    }
}

#[derive(Debug, PartialEq)]
struct HttpAnswer {
    status: u16,
    body: String,
}

/// The answer at the start of `bytes` and its length, or `None` when it is not whole yet. The length of the body
/// must be announced, as the lab's servers do.
fn parse(bytes: &[u8]) -> Result<Option<(HttpAnswer, usize)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(body_at) =
        response.parse(bytes).map_err(|_| HttpError::Malformed)?
    else {
        return Ok(None);
    };
    let status = response.code.ok_or(HttpError::Malformed)?;
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| {
            std::str::from_utf8(header.value)
                .ok()?
                .trim()
                .parse::<usize>()
                .ok()
        })
        .filter(|length| *length <= HTTP_ANSWER_BYTES_MAX)
        .ok_or(HttpError::Malformed)?;
    let Some(body) = bytes.get(body_at..body_at + length) else {
        return Ok(None);
    };
    let body = String::from_utf8_lossy(body).trim().to_owned();
    Ok(Some((HttpAnswer { status, body }, body_at + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_it_is_whole_and_no_earlier() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nserver3\nHTTP/1.1";
        for cut in 0..bytes.len() - 8 {
            assert!(matches!(parse(&bytes[..cut]), Ok(None)), "cut at {cut}");
        }
        let (answer, used) = parse(bytes).unwrap().unwrap();
        assert_eq!(
            answer,
            HttpAnswer {
                status: 200,
                body: "server3".into()
            }
        );
        assert_eq!(&bytes[used..], b"HTTP/1.1");
    }

    #[test]
    fn an_answer_without_or_with_an_absurd_length_is_malformed() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            b"SSH-2.0-OpenSSH\r\n",
        ] {
            assert!(matches!(parse(bytes), Err(HttpError::Malformed)));
        }
    }
}
