//! What the kernel says unasked of links and addresses, over rtnetlink's multicast groups.
//!
//! A connection of its own, so that a flood of notifications can't delay the answer to a request.

use core::pin::pin;
use core::task::{Context, Waker};
use std::io;
use std::os::fd::RawFd;

use director_core::kernel::KernelEvent;
use futures_util::{FutureExt, Stream, StreamExt};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_proto::Connection;
use netlink_sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup};

use super::route_message as message;
use super::route_socket::RouteSocket;

/// Links, and addresses of both families. Routes are looked at by the periodic read alone: a router may have a
/// million of them, and none but our own matters.
const GROUPS: [MulticastGroup; 3] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
];

type Messages = Box<dyn Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Unpin>;

/// The listener.
pub struct Monitor {
    connection: Connection<RouteNetlinkMessage, RouteSocket>,
    messages: Messages,
    /// Without a handle the connection would end.
    _handle: Handle,
}

impl Monitor {
    /// Opens a socket in the groups.
    ///
    /// # Errors
    /// When there is no netlink, or no file descriptor left.
    pub fn open() -> io::Result<Self> {
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection_with_socket::<RouteSocket>(&GROUPS)?;
        Ok(Self {
            connection,
            messages: Box::new(messages),
            _handle: handle,
        })
    }

    /// For mio: readable when there is news.
    pub fn fd(&mut self) -> RawFd {
        self.connection.socket_mut().fd()
    }

    /// Reads all that has come. When the socket is lost it is opened anew, which an [`KernelEvent::Overrun`] and a
    /// new [`Monitor::fd`] show.
    ///
    /// # Errors
    /// When it can't be opened anew.
    pub fn events(&mut self) -> io::Result<Vec<KernelEvent>> {
        let mut events = Vec::new();
        let ended = pin!(&mut self.connection)
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready();
        while let Some(Some((message, _))) = self.messages.next().now_or_never() {
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => events.extend(event(&inner)),
                NetlinkPayload::Overrun(_) => events.push(KernelEvent::Overrun),
                _ => {}
            }
        }
        if ended {
            *self = Self::open()?;
            events.push(KernelEvent::Overrun);
        }
        Ok(events)
    }
}

fn event(message: &RouteNetlinkMessage) -> Option<KernelEvent> {
    match message {
        RouteNetlinkMessage::NewLink(_) => message::link(message).map(KernelEvent::Link),
        RouteNetlinkMessage::DelLink(_) => message::link_gone(message).map(KernelEvent::LinkGone),
        RouteNetlinkMessage::NewAddress(_) => {
            message::address(message).map(|(id, ours)| KernelEvent::Address(id, ours))
        }
        RouteNetlinkMessage::DelAddress(_) => {
            message::address(message).map(|(id, _)| KernelEvent::AddressGone(id))
        }
        _ => None,
    }
}
