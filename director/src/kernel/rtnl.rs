//! Interfaces, addresses and routes over rtnetlink.
//!
//! The kernel answers a request within `send`: operations go many at once and are heard at once, and a reading is
//! driven to its end on the spot ([`Rtnl::run`]); no future leaves this file. `send` itself may wait for the kernel's
//! RTNL lock, however the socket is set: while somebody else holds it (a driver that resets its card), the loop stands
//! still for as long.

use core::future::Future;
use core::net::IpAddr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use director_core::kernel::{AddressId, Op, OpError, Route, Snapshot};
use director_core::net::{AddressOptions, IfName, Ifindex};
use futures_util::StreamExt;
use neli::consts::socket::NlFamily;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REQUEST,
    NetlinkMessage, NetlinkPayload,
};
use netlink_sys::{AsyncSocket, SocketAddr};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rtnetlink::{LinkMessageBuilder, LinkUnspec};

use super::exchange::Exchange;
use super::link_message::{FoundLink, alias_of, all_links, link, vmac_of};
use super::network_reader::{Dump, NetworkReader};
use super::route_message as message;
use super::route_socket::{RouteConnection, RouteHandle, connect};
use super::rtnl_message::RtnlMessage;
use super::rule_message::{all_rules, rule, rule_of};
use super::vmac::{self, Before};

/// Longest wait for an answer; see [`super::ipvs`].
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// Attempts at a dump that the kernel reports as interrupted.
const DUMP_ATTEMPTS: u32 = 3;

/// The rtnetlink of this network namespace.
pub struct Rtnl {
    /// For operations, which go many at once.
    exchange: Exchange,
    /// For readings.
    connection: RouteConnection,
    handle: RouteHandle,
    /// Routes as they were asked for. The kernel reports them with what it decided itself, an interface or a metric.
    asked: BTreeSet<Route>,
    /// The other ends of addresses on point-to-point links, which the kernel wants to hear when they are removed.
    peers: BTreeMap<AddressId, IpAddr>,
    /// Interfaces with virtual hardware addresses beside their own, and what was set there before.
    bases: BTreeMap<Ifindex, Before>,
}

impl Rtnl {
    /// Opens a socket.
    ///
    /// # Errors
    /// When there is no netlink, or no file descriptor left.
    pub fn open() -> io::Result<Self> {
        // What comes unasked goes to the monitor's own connection; here the receiver is of no use.
        let (mut connection, handle, _) = connect()?;
        // Lets the kernel filter dumps by our route protocol; without it the filter below does the same.
        let _ = connection
            .socket_mut()
            .socket_mut()
            .set_netlink_get_strict_chk(true);
        Ok(Self {
            exchange: Exchange::open(NlFamily::Route)?,
            connection,
            handle,
            asked: BTreeSet::new(),
            peers: BTreeMap::new(),
            bases: BTreeMap::new(),
        })
    }

    /// Does operations in their order and returns their results in the same order; those of IPVS are none. One that
    /// fails does not keep the kernel from doing the next.
    pub fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), OpError>> {
        let mut requests = Vec::new();
        for (index, op) in ops.iter().enumerate() {
            let Some((request, flags)) = request(op, &self.peers) else {
                continue;
            };
            let ack = if index + 1 == ops.len() { NLM_F_ACK } else { 0 };
            self.add(&mut requests, request, flags | ack);
        }
        let results = self.exchange.do_all(&requests, ops.len());
        self.follow_devices(ops, &results);
        for (op, result) in ops.iter().zip(&results) {
            match op {
                Op::AddRoute(route) if result.is_ok() => drop(self.asked.insert(route.clone())),
                Op::DelRoute(route) if result.is_ok() => drop(self.asked.remove(route)),
                Op::AddAddress(id, Some(options)) if result.is_ok() => {
                    self.peers.extend(options.peer.map(|peer| (*id, peer)));
                }
                Op::DelAddress(id) => drop(self.peers.remove(id)),
                _ => {}
            }
        }
        results
    }

    /// Adds a message to those that are to be sent.
    fn add(&mut self, requests: &mut Vec<u8>, message: RtnlMessage, flags: u16) {
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.exchange.next_sequence();
        message.finalize();
        let start = requests.len();
        requests.resize(start + message.buffer_len(), 0);
        if let Some(place) = requests.get_mut(start..) {
            message.serialize(place);
        }
    }

    /// Marks and settles the devices of virtual hardware addresses that were made, and restores the interfaces that
    /// have lost their last one.
    fn follow_devices(&mut self, ops: &[Op], results: &[Result<(), OpError>]) {
        let mut lost = false;
        for (op, _) in ops.iter().zip(results).filter(|(_, result)| result.is_ok()) {
            match op {
                Op::AddVmac { name, base, .. } => self.settle_device(name, *base),
                Op::DelVmac(_) => lost = true,
                _ => {}
            }
        }
        if lost && let Ok(links) = self.dump(&all_links(), link) {
            let left: BTreeSet<Ifindex> = links
                .iter()
                .filter_map(FoundLink::marked)
                .map(|(base, _)| base)
                .collect();
            let free = self.bases.extract_if(.., |base, _| !left.contains(base));
            for (base, before) in free {
                if let Some(interface) = name_of(base) {
                    before.restore(&interface);
                }
            }
        }
    }

    fn settle_device(&mut self, name: &IfName, base: Ifindex) {
        vmac::settle(name.as_str());
        let raise = || name_of(base).map_or_else(Before::default, |name| Before::raise(&name));
        let before = *self.bases.entry(base).or_insert_with(raise);
        let alias = alias_of(name, before.to_string());
        let mut mark = Vec::new();
        let message = RtnlMessage::new(libc::RTM_SETLINK, &alias);
        self.add(&mut mark, message, NLM_F_ACK);
        if let Some(Err(error)) = self.exchange.do_all(&mark, 1).first() {
            log::warn!("device {name} can't be marked: {error}");
        }
    }

    /// Reads links, addresses, and the director's routes and rules.
    ///
    /// # Errors
    /// The kernel's errno; EAGAIN when a table changed under every attempt to read it.
    pub fn snapshot(&mut self) -> Result<Snapshot, OpError> {
        let mut reader = NetworkReader::default();
        loop {
            if let Some(snapshot) = self.read(&mut reader)? {
                return Ok(snapshot);
            }
        }
    }

    /// Goes on with such a reading by one dump.
    ///
    /// # Errors
    /// As [`Rtnl::snapshot`].
    pub(super) fn read(&mut self, reader: &mut NetworkReader) -> Result<Option<Snapshot>, OpError> {
        match reader.next() {
            None => {}
            Some(Dump::Links) => {
                reader.links = self.dump(&all_links(), link)?;
                // A director before this one may have made devices.
                for (base, before) in reader.links.iter().filter_map(FoundLink::marked) {
                    self.bases.entry(base).or_insert(before);
                }
            }
            Some(Dump::Addresses) => {
                reader.addresses = self.dump(&message::all_addresses(), message::address)?;
                let ours = reader.addresses.iter().filter(|found| found.ours);
                let peers = ours.filter_map(|found| Some((found.id, found.peer?)));
                self.peers = peers.collect();
            }
            Some(Dump::Routes(any)) => {
                let found = self.dump(&message::our_routes(any), message::route)?;
                let found = found.into_iter().map(|route| self.as_asked(route));
                reader.routes.extend(found);
            }
            Some(Dump::Rules(family)) => reader.rules.extend(self.dump(&all_rules(family), rule)?),
        }
        let is_whole = reader.end_dump();
        Ok(is_whole.then(|| core::mem::take(reader).finish()))
    }

    /// A route as it was asked for. One that a former director asked for without an interface is reported with the
    /// kernel's; it is then replaced once.
    fn as_asked(&self, found: Route) -> Route {
        let is_it = |asked: &&Route| message::is_answered_by(asked, &found);
        self.asked.iter().find(is_it).cloned().unwrap_or(found)
    }

    /// What `read` makes of the answers to a request.
    fn dump<T>(
        &mut self,
        request: &RtnlMessage,
        read: fn(&RtnlMessage) -> Option<T>,
    ) -> Result<Vec<T>, OpError> {
        let mut last = OpError(libc::EAGAIN);
        for _ in 0..DUMP_ATTEMPTS {
            let exchange = exchange(self.handle.clone(), request.clone(), NLM_F_DUMP);
            match self.run(exchange)? {
                Err(OpError(libc::EINTR)) => last = OpError(libc::EAGAIN),
                result => return result.map(|found| found.iter().filter_map(read).collect()),
            }
        }
        Err(last)
    }

    /// Drives a request to its end. On a timeout the connection is made anew, so that a late answer meets nobody.
    fn run<T>(&mut self, future: impl Future<Output = T>) -> Result<T, OpError> {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let deadline = Instant::now() + ANSWER_MAX;
        loop {
            // The connection sends one queued request when it is polled, and reads before it sends: three rounds at
            // most until the future has its answer.
            for _ in 0..3 {
                if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                    return Ok(value);
                }
                if pin!(&mut self.connection).poll(&mut context).is_ready() {
                    return Err(self.reopen(libc::EPIPE));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.reopen(libc::ETIMEDOUT));
            }
            self.wait(left);
        }
    }

    fn wait(&mut self, at_most: Duration) {
        // SAFETY: the socket belongs to the connection, which outlives the borrow.
        let fd = unsafe { BorrowedFd::borrow_raw(self.connection.socket_mut().fd()) };
        let timeout = PollTimeout::try_from(at_most.as_millis().saturating_add(1))
            .unwrap_or(PollTimeout::ZERO);
        // An error shows at the next read.
        let _ = poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout);
    }

    fn reopen(&mut self, errno: i32) -> OpError {
        match Self::open() {
            Ok(fresh) => {
                self.connection = fresh.connection;
                self.handle = fresh.handle;
            }
            Err(error) => log::error!("rtnetlink socket: {error}"),
        }
        OpError(errno)
    }
}

fn name_of(link: Ifindex) -> Option<String> {
    let name = nix::net::if_::if_indextoname(link.0);
    name.ok().and_then(|name| name.into_string().ok())
}

/// An operation as a message, with its flags.
fn request(op: &Op, peers: &BTreeMap<AddressId, IpAddr>) -> Option<(RtnlMessage, u16)> {
    const ADD: u16 = NLM_F_CREATE | NLM_F_EXCL;
    let link = |link: &Ifindex| LinkUnspec::new_with_index(link.0);
    let set =
        |link: LinkMessageBuilder<LinkUnspec>| RtnlMessage::new(libc::RTM_SETLINK, &link.build());
    Some(match op {
        Op::LinkUp(index) => (set(link(index).up()), 0),
        Op::LinkDown(index) => (set(link(index).down()), 0),
        Op::LinkMtu(index, mtu) => (set(link(index).mtu(*mtu)), 0),
        Op::AddVmac { name, base, mac } => {
            let message = vmac_of(name, *base, *mac);
            (RtnlMessage::new(libc::RTM_NEWLINK, &message), ADD)
        }
        Op::DelVmac(index) => {
            let message = link(index).build();
            (RtnlMessage::new(libc::RTM_DELLINK, &message), 0)
        }
        Op::AddAddress(id, options) => {
            let usual = AddressOptions::default();
            let message = message::address_of(id, options.as_deref().unwrap_or(&usual));
            (RtnlMessage::new(libc::RTM_NEWADDR, &message), ADD)
        }
        Op::DelAddress(id) => {
            let message = message::removed_address(id, peers.get(id).copied());
            (RtnlMessage::new(libc::RTM_DELADDR, &message), 0)
        }
        Op::AddRoute(route) => {
            // Before one of somebody else's to the same destination, as keepalived does it: a route whose mark was
            // edited away must not stand in the way of the one that is wished. IPv6 would take it for further next hops
            // of the one that is there.
            let flags = if route.destination.address.is_ipv4() {
                NLM_F_CREATE
            } else {
                ADD
            };
            let message = message::route_of(route);
            (RtnlMessage::new(libc::RTM_NEWROUTE, &message), flags)
        }
        Op::DelRoute(route) => {
            let message = message::route_of(route);
            (RtnlMessage::new(libc::RTM_DELROUTE, &message), 0)
        }
        Op::AddRule(rule) => (RtnlMessage::new(libc::RTM_NEWRULE, &rule_of(rule)), ADD),
        Op::DelRule(rule) => (RtnlMessage::new(libc::RTM_DELRULE, &rule_of(rule)), 0),
        _ => return None,
    })
}

/// Sends one request and gathers its answers; EINTR for a dump that the kernel marks as interrupted.
async fn exchange(
    handle: RouteHandle,
    request: RtnlMessage,
    flags: u16,
) -> Result<Vec<RtnlMessage>, OpError> {
    let mut request = NetlinkMessage::from(request);
    request.header.flags = NLM_F_REQUEST | flags;
    let mut answers = handle
        .request(request, SocketAddr::new(0, 0))
        .map_err(|_| OpError(libc::EPIPE))?;
    let mut found = Vec::new();
    let mut interrupted = false;
    while let Some(answer) = answers.next().await {
        interrupted |= answer.header.flags & NLM_F_DUMP_INTR != 0;
        match answer.payload {
            NetlinkPayload::InnerMessage(inner) => found.push(inner),
            NetlinkPayload::Error(error) if error.raw_code() != 0 => {
                return Err(OpError(error.raw_code().saturating_neg()));
            }
            NetlinkPayload::Overrun(_) => return Err(OpError(libc::ENOBUFS)),
            _ => {}
        }
    }
    if interrupted {
        Err(OpError(libc::EINTR))
    } else {
        Ok(found)
    }
}
