//! rtnetlink's connection without a runtime: the socket never blocks, and nobody is woken, because the one who waits
//! polls it.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Poll};

use bytes::BufMut;
use futures_util::Stream;
use netlink_packet_core::NetlinkMessage;
use netlink_proto::{Connection, ConnectionHandle};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, Socket, SocketAddr};

use super::rtnl_message::RtnlMessage;

/// A connection for our messages.
pub(super) type RouteConnection = Connection<RtnlMessage, RouteSocket>;
/// By which it takes requests; without one it ends.
pub(super) type RouteHandle = ConnectionHandle<RtnlMessage>;

/// Opens one, as rtnetlink does for its own type of messages. The stream is of what comes unasked.
pub(super) fn connect() -> io::Result<(
    RouteConnection,
    RouteHandle,
    impl Stream<Item = (NetlinkMessage<RtnlMessage>, SocketAddr)> + Unpin,
)> {
    netlink_proto::new_connection_with_socket(NETLINK_ROUTE)
}

/// A nonblocking netlink socket in the shape that netlink-proto wants.
pub(super) struct RouteSocket(Socket);

impl RouteSocket {
    /// For poll(2) and mio.
    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// What would block is pending; its waker is not kept.
fn pending<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

impl AsyncSocket for RouteSocket {
    fn socket_ref(&self) -> &Socket {
        &self.0
    }

    fn socket_mut(&mut self) -> &mut Socket {
        &mut self.0
    }

    fn new(protocol: isize) -> io::Result<Self> {
        let socket = Socket::new(protocol)?;
        socket.set_non_blocking(true)?;
        Ok(Self(socket))
    }

    fn poll_send(&self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        pending(self.0.send(bytes, 0))
    }

    fn poll_send_to(
        &self,
        _: &mut Context<'_>,
        bytes: &[u8],
        to: &SocketAddr,
    ) -> Poll<io::Result<usize>> {
        pending(self.0.send_to(bytes, to, 0))
    }

    fn poll_recv<B: BufMut>(&self, _: &mut Context<'_>, buffer: &mut B) -> Poll<io::Result<()>> {
        pending(self.0.recv(buffer, 0).map(|_| ()))
    }

    fn poll_recv_from<B: BufMut>(
        &self,
        _: &mut Context<'_>,
        buffer: &mut B,
    ) -> Poll<io::Result<SocketAddr>> {
        pending(self.0.recv_from(buffer, 0).map(|(_, from)| from))
    }

    fn poll_recv_from_full(&self, _: &mut Context<'_>) -> Poll<io::Result<(Vec<u8>, SocketAddr)>> {
        pending(self.0.recv_from_full())
    }
}
