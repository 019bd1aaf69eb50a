//! A connection to the director's control socket, made when there is something to ask.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use director::frame::{self, Decoder, Item};
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

use super::limits::{READ_CHUNK, READS_PER_TURN};
use super::output::Output;

/// One connection; it is closed when the director goes away and opened again by the next [`Link::send`].
#[derive(Debug)]
pub(super) struct Link {
    path: PathBuf,
    token: Token,
    stream: Option<UnixStream>,
    decoder: Decoder,
    output: Output,
}

impl Link {
    /// A link that is not connected yet; its events carry `token`.
    pub(super) fn new(path: &Path, token: Token) -> Self {
        Self {
            path: path.to_owned(),
            token,
            stream: None,
            decoder: Decoder::new(frame::REPLY_MAX),
            output: Output::default(),
        }
    }

    /// True while there is a connection.
    pub(super) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Sends a frame, connecting first where that is needed.
    ///
    /// # Errors
    /// The director is not there, or takes nothing.
    pub(super) fn send(&mut self, frame: &[u8], registry: &Registry) -> io::Result<()> {
        if self.stream.is_none() {
            let mut stream = UnixStream::connect(&self.path)?;
            registry.register(
                &mut stream,
                self.token,
                Interest::READABLE | Interest::WRITABLE,
            )?;
            self.stream = Some(stream);
        }
        if !self.output.frame(frame) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.flush()
    }

    /// Writes what waits, as far as the director takes it.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Some(stream) => self.output.flush(stream),
            None => Ok(()),
        }
    }

    /// Reads what is there and hands each payload to `take`; true when there may be more.
    ///
    /// # Errors
    /// The connection is broken, or the other end does not speak frames.
    pub(super) fn read(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        let Some(stream) = &mut self.stream else {
            return Ok(false);
        };
        let mut chunk = [0; READ_CHUNK];
        for _ in 0..READS_PER_TURN {
            let mut bytes = match stream.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => chunk.get(..count).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            while let Some(item) = self.decoder.next(&mut bytes) {
                match item {
                    Item::Frame(payload) => take(payload),
                    Item::Text(_) => {}
                    Item::Bad(error) => {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                    }
                }
            }
        }
        Ok(true)
    }

    /// Ends the connection and forgets what was on its way.
    pub(super) fn close(&mut self, registry: &Registry) {
        if let Some(mut stream) = self.stream.take() {
            // It is closed in any case, which takes it out of the poll.
            let _ = registry.deregister(&mut stream);
        }
        self.decoder.reset();
        self.output = Output::default();
    }
}
