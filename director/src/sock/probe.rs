//! The checks' TCP sockets, by the core's number of the connection.
//!
//! The number carries a generation, so it is the mio token too: an event of a socket that was closed in the same turn
//! finds nothing. A socket is closed plainly: a server then sees a FIN, or a RST when it sent what nobody read, and
//! closing never waits, because nobody asks the kernel to linger.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use core::net::SocketAddr;

use director_core::check::Id;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// What came of a socket; the bytes are in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing until the next readiness.
    Idle,
    /// The connection is established.
    Connected,
    /// So many bytes were read.
    Received(usize),
    /// The server sent all it had to send; the socket is dropped.
    Closed,
    /// It failed with an errno; the socket is dropped.
    Failed(i32),
}

/// The sockets.
#[derive(Debug, Default)]
pub struct Probes {
    open: BTreeMap<Id, Probe>,
}

#[derive(Debug)]
struct Probe {
    stream: TcpStream,
    connected: bool,
    /// What the socket has not taken yet of a request.
    unsent: Vec<u8>,
}

impl Probes {
    /// Opens a socket and begins to connect.
    ///
    /// # Errors
    /// When the address is unreachable at once, or no descriptor is left; there is no socket then.
    pub fn connect(
        &mut self,
        registry: &Registry,
        token: Token,
        id: Id,
        target: SocketAddr,
    ) -> io::Result<()> {
        let mut stream = TcpStream::connect(target)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.open.insert(
            id,
            Probe {
                stream,
                connected: false,
                unsent: Vec::new(),
            },
        );
        Ok(())
    }

    /// Sends bytes, now or when the socket takes them. An error shows at the next [`Probes::progress`].
    pub fn send(&mut self, id: Id, bytes: Vec<u8>) {
        if let Some(probe) = self.open.get_mut(&id) {
            probe.unsent = bytes;
            let _ = probe.flush();
        }
    }

    /// Closes the socket, if it is open.
    pub fn close(&mut self, id: Id) {
        self.open.remove(&id);
    }

    /// Goes one step on with a socket that is ready; to be repeated until [`Progress::Idle`].
    pub fn progress(&mut self, id: Id, buffer: &mut [u8]) -> Progress {
        let Some(probe) = self.open.get_mut(&id) else {
            return Progress::Idle;
        };
        let progress = probe
            .progress(buffer)
            .unwrap_or_else(|error| match error.raw_os_error() {
                _ if error.kind() == io::ErrorKind::WouldBlock => Progress::Idle,
                Some(errno) => Progress::Failed(errno),
                None => Progress::Failed(libc::EIO),
            });
        if matches!(progress, Progress::Closed | Progress::Failed(_)) {
            self.open.remove(&id);
        }
        progress
    }
}

impl Probe {
    fn progress(&mut self, buffer: &mut [u8]) -> io::Result<Progress> {
        if !self.connected {
            return self.finish_connect();
        }
        self.flush()?;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(Progress::Closed),
                Ok(length) => return Ok(Progress::Received(length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A connection is made when it has a peer (mio, `TcpStream::connect`); before, readiness may be spurious.
    fn finish_connect(&mut self) -> io::Result<Progress> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.connected = true;
                Ok(Progress::Connected)
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => Ok(Progress::Idle),
            Err(error) => Err(error),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length.min(self.unsent.len()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream as StdTcpStream};

    use mio::{Events, Poll};

    use super::*;

    const ID: Id = Id {
        index: 1,
        generation: 7,
    };

    #[test]
    fn a_check_connects_sends_receives_and_sees_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut probes, mut poll) = connected_to(&listener);
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(next(&mut probes, &mut poll), (Progress::Connected, vec![]));
        probes.send(ID, b"GET".to_vec());
        let mut request = [0; 3];
        server.read_exact(&mut request).unwrap();
        assert_eq!(&request, b"GET");
        server.write_all(b"200").unwrap();
        assert_eq!(
            next(&mut probes, &mut poll),
            (Progress::Received(3), b"200".to_vec())
        );
        drop(server);
        assert_eq!(next(&mut probes, &mut poll), (Progress::Closed, vec![]));
        assert_eq!(probes.progress(ID, &mut [0; 8]), Progress::Idle);
    }

    #[test]
    fn a_request_longer_than_the_sockets_buffer_is_sent_in_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut probes, mut poll) = connected_to(&listener);
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(next(&mut probes, &mut poll).0, Progress::Connected);
        let request: Vec<u8> = (0..16 << 20).map(|at: u32| at as u8).collect();
        probes.send(ID, request.clone());
        let reader = std::thread::spawn(move || {
            let mut got = vec![0; request.len()];
            server.read_exact(&mut got).unwrap();
            assert!(got == request);
            server.write_all(b"!").unwrap();
        });
        assert_eq!(
            next(&mut probes, &mut poll),
            (Progress::Received(1), b"!".to_vec())
        );
        reader.join().unwrap();
    }

    #[test]
    fn a_refusal_is_an_errno_and_a_closed_socket_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut probes, _poll) = connected_to(&listener);
        probes.close(ID);
        assert_eq!(probes.progress(ID, &mut [0; 8]), Progress::Idle);
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        assert!(StdTcpStream::connect(nobody).is_err());
        let mut poll = Poll::new().unwrap();
        probes
            .connect(poll.registry(), Token(0), ID, nobody)
            .unwrap();
        assert_eq!(
            next(&mut probes, &mut poll).0,
            Progress::Failed(libc::ECONNREFUSED)
        );
    }

    fn connected_to(listener: &TcpListener) -> (Probes, Poll) {
        let (mut probes, poll) = (Probes::default(), Poll::new().unwrap());
        let target = listener.local_addr().unwrap();
        probes
            .connect(poll.registry(), Token(0), ID, target)
            .unwrap();
        (probes, poll)
    }

    /// The next progress that is not idle, with the bytes that came.
    fn next(probes: &mut Probes, poll: &mut Poll) -> (Progress, Vec<u8>) {
        let (mut events, mut buffer) = (Events::with_capacity(8), [0; 64]);
        loop {
            match probes.progress(ID, &mut buffer) {
                Progress::Idle => poll.poll(&mut events, None).unwrap(),
                Progress::Received(length) => {
                    return (Progress::Received(length), buffer[..length].to_vec());
                }
                progress => return (progress, Vec::new()),
            }
        }
    }
}
