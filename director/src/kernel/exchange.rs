//! Questions and answers over a netlink socket.
//!
//! The kernel answers within `send`, so an exchange is one send and as many receives as there are answers, each of
//! which has a deadline. The answers are matched by sequence number; one of an exchange that was given up is dropped.

use core::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use director_core::kernel::OpError;
use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::netlink::{self, Message, messages};

/// Longest wait for an answer. The kernel has given it when `send` returns, so this only keeps a defect from
/// stopping the loop; it is shorter than the shortest usual Active_Down interval.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// A dump's datagrams are at most this long (NLMSG_GOODSIZE grows up to 32 KiB, net/netlink/af_netlink.c).
const DATAGRAM_MAX: usize = 32 << 10;

/// Why a part of the kernel could not be asked. In words it goes on from the name of what was asked.
#[derive(Debug)]
pub enum NetlinkError {
    /// The kernel does not have it: its module is not loaded.
    Missing,
    /// The socket failed; it is of no further use.
    Socket(io::Error),
    /// The kernel refused, with a positive errno.
    Refused(i32),
    /// No answer in time.
    Silent,
    /// What was read changed under every attempt to read it.
    Interrupted,
}

impl NetlinkError {
    /// The error as the answer to an operation.
    #[must_use]
    pub fn errno(&self) -> OpError {
        OpError(match self {
            // Not ENOENT, which would read as "already deleted".
            Self::Missing => libc::EPROTONOSUPPORT,
            Self::Socket(error) => error.raw_os_error().unwrap_or(libc::EIO),
            Self::Refused(errno) => *errno,
            Self::Silent => libc::ETIMEDOUT,
            Self::Interrupted => libc::EAGAIN,
        })
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not in the kernel (is its module loaded?)"),
            Self::Socket(error) => write!(f, "can't be reached: {error}"),
            Self::Refused(errno) => write!(f, "refused: {}", Errno::from_raw(*errno).desc()),
            Self::Silent => f.write_str("gave no answer"),
            Self::Interrupted => f.write_str("changes faster than it can be read"),
        }
    }
}

impl From<io::Error> for NetlinkError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPROTONOSUPPORT) => Self::Missing,
            _ => Self::Socket(error),
        }
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

    /// Has the kernel do `count` requests, whose sequence numbers are the last ones that were given out, and of which
    /// the last alone asks to be acknowledged. The results have the same order.
    ///
    /// The kernel does all of them within `send`, one that it refuses keeping it from none. It answers those that it
    /// refuses, and the last: whatever has no answer before that went well.
    pub(super) fn do_all(&mut self, requests: &[u8], count: usize) -> Vec<Result<(), OpError>> {
        let mut refused = vec![None; count];
        let others = self.hear_refusals(requests, &mut refused);
        let others = others.map_err(|error| error.errno());
        let result = |errno: Option<i32>| errno.map_or(others, |errno| Err(OpError(errno)));
        refused.into_iter().map(result).collect()
    }

    fn hear_refusals(
        &mut self,
        requests: &[u8],
        refused: &mut [Option<i32>],
    ) -> Result<(), NetlinkError> {
        let Some(last) = refused.len().checked_sub(1) else {
            return Ok(());
        };
        let newest = self.sequence;
        self.send(requests)?;
        self.until_answered(|message| {
            let index = last.checked_sub(newest.wrapping_sub(message.sequence) as usize)?;
            let result = refused
                .get_mut(index)
                .filter(|_| message.kind == netlink::ERROR)?;
            *result = Some(message.errno()).filter(|errno| *errno != 0);
            (index == last).then_some(0)
        })?;
        Ok(())
    }

    /// Hands every message that arrives to `judge` until it returns an errno.
    pub(super) fn until_answered(
        &mut self,
        mut judge: impl FnMut(Message<'_>) -> Option<i32>,
    ) -> Result<i32, NetlinkError> {
        let deadline = Instant::now() + ANSWER_MAX;
        loop {
            if let Some(errno) = self.receive(deadline, &mut judge)? {
                return Ok(errno);
            }
        }
    }

    /// Hands the messages of the next datagram to `judge`; the last errno that it returned, if it did.
    pub(super) fn next_answer(
        &mut self,
        judge: impl FnMut(Message<'_>) -> Option<i32>,
    ) -> Result<Option<i32>, NetlinkError> {
        self.receive(Instant::now() + ANSWER_MAX, judge)
    }

    fn receive(
        &mut self,
        deadline: Instant,
        mut judge: impl FnMut(Message<'_>) -> Option<i32>,
    ) -> Result<Option<i32>, NetlinkError> {
        loop {
            match self.socket.recv(&mut self.buffer, Msg::empty()) {
                Ok((length, _)) => {
                    let datagram = self.buffer.get(..length).unwrap_or_default();
                    // Every message is looked at: a batch's last answer may stand before others in one datagram.
                    let answers = messages(datagram).filter_map(&mut judge);
                    return Ok(answers.last());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(deadline)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait(&self, deadline: Instant) -> Result<(), NetlinkError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NetlinkError::Silent);
        }
        let timeout =
            PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(self.fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(io::Error::from(errno).into()),
        }
    }
}
