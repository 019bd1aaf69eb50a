//! Questions and answers over a netlink socket.
//!
//! The kernel answers within `send`, so an exchange is one send and as many receives as there are answers, each of
//! which has a deadline. The answers are matched by sequence number; one of an exchange that was given up is dropped.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::netlink::{Message, messages};

/// Longest wait for an answer. The kernel has given it when `send` returns, so this only keeps a defect from
/// stopping the loop; it is shorter than the shortest usual Active_Down interval.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// A dump's datagrams are at most this long (NLMSG_GOODSIZE grows up to 32 KiB, net/netlink/af_netlink.c).
const DATAGRAM_MAX: usize = 32 << 10;

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum ExchangeError {
    /// The socket failed; it is of no further use.
    Socket(io::Error),
    /// No answer in time.
    Silent,
}

impl From<io::Error> for ExchangeError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

/// One socket of one netlink family.
pub(super) struct Exchange {
    socket: NlSocket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Exchange {
    /// # Errors
    /// When there is no such family, or no file descriptor left.
    pub(super) fn open(family: NlFamily) -> io::Result<Self> {
        let socket = NlSocket::connect(family, None, Groups::empty())?;
        socket.nonblock()?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: vec![0; DATAGRAM_MAX],
        })
    }

    /// For options.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is owned by self and stays open for as long as the borrow.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }

    /// The sequence number of the next request.
    pub(super) const fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// The one that was last given out.
    pub(super) const fn sequence(&self) -> u32 {
        self.sequence
    }

    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let sent = self.socket.send(bytes, Msg::empty())?;
        if sent == bytes.len() {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::EMSGSIZE))
        }
    }

    /// Hands every message that arrives to `judge` until it returns an errno.
    pub(super) fn until_answered(
        &mut self,
        mut judge: impl FnMut(Message<'_>) -> Option<i32>,
    ) -> Result<i32, ExchangeError> {
        let deadline = Instant::now() + ANSWER_MAX;
        loop {
            match self.socket.recv(&mut self.buffer, Msg::empty()) {
                Ok((length, _)) => {
                    let datagram = self.buffer.get(..length).unwrap_or_default();
                    // Every message is looked at: a batch's last answer may stand before others in one datagram.
                    let mut answer = None;
                    for message in messages(datagram) {
                        answer = judge(message).or(answer);
                    }
                    if let Some(errno) = answer {
                        return Ok(errno);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(deadline)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait(&self, deadline: Instant) -> Result<(), ExchangeError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ExchangeError::Silent);
        }
        let timeout =
            PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(self.fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(io::Error::from(errno).into()),
        }
    }
}
