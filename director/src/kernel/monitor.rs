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
use netlink_sys::{AsyncSocket, SocketAddr};
use rtnetlink::constants::{RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK};

use super::link_message::{link, link_gone};
use super::route_message::address;
use super::route_socket::{RouteConnection, RouteHandle, connect};
use super::rtnl_message::RtnlMessage;

/// Links, and addresses of both families. Routes are looked at by the periodic read alone: a router may have a
/// million of them, and none but our own matters.
const GROUPS: u32 = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;

type Messages = Box<dyn Stream<Item = (NetlinkMessage<RtnlMessage>, SocketAddr)> + Unpin>;

/// The listener.
pub struct Monitor {
    connection: RouteConnection,
    messages: Messages,
    /// Without a handle the connection would end.
    _handle: RouteHandle,
}

impl Monitor {
    /// Opens a socket in the groups.
    ///
    /// # Errors
    /// When there is no netlink, or no file descriptor left.
    pub fn open() -> io::Result<Self> {
        let (mut connection, handle, messages) = connect()?;
        let socket = connection.socket_mut().socket_mut();
        socket.bind(&SocketAddr::new(0, GROUPS))?;
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

fn event(message: &RtnlMessage) -> Option<KernelEvent> {
    Some(match message.kind {
        libc::RTM_NEWLINK => KernelEvent::Link(link(message)?.link),
        libc::RTM_DELLINK => KernelEvent::LinkGone(link_gone(message)?),
        libc::RTM_NEWADDR => {
            let found = address(message)?;
            KernelEvent::Address(found.id, found.ours)
        }
        libc::RTM_DELADDR => KernelEvent::AddressGone(address(message)?.id),
        _ => return None,
    })
}
