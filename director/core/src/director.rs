//! The whole director as one value: it routes inputs to the machines and their wishes to the outputs.

use core::net::{Ipv4Addr, SocketAddr};

use crate::config::Config;
use crate::event::Event;
use crate::kernel::{KernelEvent, Op, OpError, Snapshot};
use crate::net::{Ifindex, Mac, Name};
use crate::time::Instant;

/// Everything that can happen to a director.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The moment of [`Director::next_timeout`] has come; early and late ones are harmless.
    Timeout,
    /// An IPv4 packet of protocol 112 (VRRP), from its IP header on.
    Vrrp {
        /// Interface it came in on.
        ifindex: Ifindex,
        /// The packet, IP header included.
        packet: &'a [u8],
    },
    /// Something happened to the socket of a check.
    Probe {
        /// The socket.
        id: ProbeId,
        /// What happened.
        io: ProbeIo<'a>,
    },
    /// The answer to one [`Output::Apply`].
    Applied {
        /// Which.
        op: OpId,
        /// What the kernel said.
        result: Result<(), OpError>,
    },
    /// The kernel changed by itself, or by somebody else's hand.
    Kernel(KernelEvent),
    /// The answer to an [`Output::Read`].
    Actual(Snapshot),
    /// A configuration that has been read and found good.
    Config(Box<Config>),
    /// An operator's wish.
    Command(Command),
}

/// An operator's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Give up Active, of one virtual router or of all of them, and do not preempt the successor.
    Handover(Option<Name>),
    /// Hand over, remove everything from the kernel, and end: [`Director::stopped`] says when.
    Stop,
}

/// The number of an operation; answers of an earlier incarnation are dropped by comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpId(pub u64);

/// The socket of one attempt of one check; the shell keys its sockets by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// What happened to the socket of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeIo<'a> {
    /// The connection is established.
    Connected,
    /// The connection failed or broke, with a positive errno.
    Failed(i32),
    /// Bytes arrived.
    Received(&'a [u8]),
    /// The other side has closed.
    Closed,
}

/// What the shell does for the director, in falling priority: adverts, addresses, announcements, IPVS, checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Listen for adverts of this group on this interface, from now on. Repeated when the interface came anew.
    Join {
        /// Interface.
        ifindex: Ifindex,
        /// Multicast group.
        group: Ipv4Addr,
    },
    /// Send an advert: IP protocol 112, TTL 255, TOS 0xc0.
    Advert {
        /// Outgoing interface.
        ifindex: Ifindex,
        /// Source address.
        source: Ipv4Addr,
        /// Multicast group.
        destination: Ipv4Addr,
        /// The VRRP packet behind the IP header.
        payload: AdvertBytes,
    },
    /// Send a gratuitous ARP request for an address, to everybody.
    Announce {
        /// Outgoing interface.
        ifindex: Ifindex,
        /// Its hardware address.
        mac: Mac,
        /// The address announced.
        address: Ipv4Addr,
    },
    /// Do this to the kernel and answer with [`Input::Applied`]; several in a row may go in one batch, in order.
    Apply(OpId, Op),
    /// Read a part of the kernel's state whole and answer with [`Input::Actual`].
    Read(Part),
    /// Something for the socket of a check.
    Probe(ProbeId, ProbeAction),
}

/// An advert's bytes.
pub type AdvertBytes = heapless::Vec<u8, { crate::limits::ADVERT_BYTES_MAX }>;

/// A part of the kernel's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Interfaces, addresses, routes.
    Network,
    /// Services, dests, synchronisation daemons.
    Ipvs,
}

/// Something for the socket of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAction {
    /// Open a TCP socket and connect.
    Connect(SocketAddr),
    /// Send these bytes.
    Send(Vec<u8>),
    /// Close the socket; nothing of it is to be reported any more.
    Close,
}

/// Why the director wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A virtual router's timer.
    Vrrp,
    /// A check's timer.
    Check,
    /// A refused operation is tried again.
    Retry,
    /// The kernel's tables are read again.
    Audit,
    /// The longest orderly stop is over.
    Stop,
}

#[allow(unused)]
fn _uses(_: Instant, _: Event) {}
