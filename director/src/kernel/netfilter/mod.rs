//! Netfilter: the director's table of nftables, over nfnetlink.
//!
//! The table is replaced whole, in one transaction. Whether it is still what was put there is told by the kernel's
//! generation, which every change of any table raises; when it was raised, by reading the own table again and comparing
//! it with what was read right after it had been put there. A restarted director does not know what it reads, and
//! replaces it once; connections that are translated already stay so.

pub mod conntrack;
mod ruleset;

use std::sync::Arc;

use director_core::filter::Filter;
use neli::consts::socket::NlFamily;
use nix::sys::socket::{setsockopt, sockopt};

use super::exchange::{Exchange, NetlinkError};
use super::message::{ACK, DUMP, HEADER, Head, Requests};
use super::netlink::{self, attributes};
use crate::limits;

/// The table's name.
const TABLE: &str = "keelson";
/// NFNL_SUBSYS_NFTABLES (linux/netfilter/nfnetlink.h).
const NFTABLES: u16 = 10;
/// NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// NFT_MSG_GETTABLE, GETCHAIN, GETRULE, GETSET: all that a table is made of, but for the elements of its sets, which
/// are constant.
const PARTS: [u16; 4] = [1, 4, 7, 10];
/// NFT_MSG_GETGEN, and NFTA_GEN_ID of its answer.
const GET_GENERATION: u16 = 16;
const GENERATION: u16 = 1;

/// The netfilter of this network namespace.
pub struct Netfilter {
    exchange: Exchange,
    held: Option<Held>,
}

/// What was put into the table last.
#[derive(Debug)]
struct Held {
    filter: Arc<Filter>,
    /// The kernel's number of the state in which the table was seen to hold it.
    generation: u32,
    /// The table as it was read then.
    table: Vec<u8>,
}

impl Netfilter {
    /// # Errors
    /// [`NetlinkError::Missing`] when the kernel has no netfilter, or the socket's error.
    pub fn open() -> Result<Self, NetlinkError> {
        let exchange = Exchange::open(NlFamily::Netfilter)?;
        // A batch is one message to the socket. Without the right to this much, small ones still pass.
        let _ = setsockopt(
            &exchange.fd(),
            sockopt::SndBufForce,
            &limits::FILTER_BATCH_BYTES,
        );
        Ok(Self {
            exchange,
            held: None,
        })
    }

    /// Puts a filter in the place of the table's content.
    ///
    /// # Errors
    /// See [`NetlinkError`]; the table is as it was before.
    pub fn replace(&mut self, filter: &Arc<Filter>) -> Result<(), NetlinkError> {
        self.held = None;
        let sequence = self.exchange.next_sequence();
        let batch = ruleset::replace(filter, sequence);
        self.exchange.send(&batch)?;
        let asked = netlink::messages(&batch).filter(|message| message.flags & ACK != 0);
        let mut open = asked.count();
        let answer = self.exchange.until_answered(|message| {
            if message.sequence != sequence || message.kind != netlink::ERROR {
                return None;
            }
            open = open.saturating_sub(1);
            let errno = message.errno();
            // The first refusal is the reason; what follows is of the same batch, and dropped by its number.
            (errno != 0 || open == 0).then_some(errno)
        });
        refused(answer?)?;
        self.held = self.look().ok().map(|(generation, table)| Held {
            filter: Arc::clone(filter),
            generation,
            table,
        });
        Ok(())
    }

    /// The filter that the table holds; none when it is not what was put there last.
    ///
    /// # Errors
    /// See [`NetlinkError`].
    pub fn read(&mut self) -> Result<Option<Arc<Filter>>, NetlinkError> {
        let generation = self.generation()?;
        if let Some(held) = self
            .held
            .as_ref()
            .filter(|held| held.generation == generation)
        {
            return Ok(Some(Arc::clone(&held.filter)));
        }
        let (generation, table) = self.look()?;
        if let Some(held) = self.held.as_mut().filter(|held| held.table == table) {
            held.generation = generation;
            return Ok(Some(Arc::clone(&held.filter)));
        }
        Ok(table.is_empty().then(Arc::default))
    }

    /// The table as the kernel tells it, empty when there is none, and the generation for which that holds.
    fn look(&mut self) -> Result<(u32, Vec<u8>), NetlinkError> {
        let generation = self.generation()?;
        let mut table = Vec::new();
        for part in PARTS {
            self.dump(part, &mut table)?;
        }
        if self.generation()? == generation {
            Ok((generation, table))
        } else {
            Err(NetlinkError::Interrupted)
        }
    }

    fn generation(&mut self) -> Result<u32, NetlinkError> {
        let sequence = self.ask(GET_GENERATION, ACK)?;
        let mut generation = None;
        let answer = self.exchange.until_answered(|message| {
            if message.sequence != sequence {
                return None;
            }
            if message.kind == netlink::ERROR {
                return Some(message.errno());
            }
            let mut found = attributes(message.payload.get(HEADER..)?);
            let (_, value) = found.find(|(kind, _)| *kind == GENERATION)?;
            generation = value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
            None
        });
        match (answer?, generation) {
            (0, Some(generation)) => Ok(generation),
            // nfnetlink knows no such subsystem.
            (0 | libc::EINVAL, _) => Err(NetlinkError::Missing),
            (errno, _) => Err(NetlinkError::Refused(errno)),
        }
    }

    /// Appends what the kernel tells of one part of the own table.
    fn dump(&mut self, part: u16, table: &mut Vec<u8>) -> Result<(), NetlinkError> {
        let sequence = self.ask(part, DUMP)?;
        let mut interrupted = false;
        let answer = self.exchange.until_answered(|message| {
            if message.sequence != sequence {
                return None;
            }
            interrupted |= message.flags & netlink::DUMP_INTERRUPTED != 0;
            if matches!(message.kind, netlink::DONE | netlink::ERROR) {
                return Some(message.errno());
            }
            // The head carries the generation, which may change without the table.
            let content = message.payload.get(HEADER..)?;
            if is_ours(content) {
                table.extend(message.kind.to_ne_bytes());
                table.extend(content);
            }
            None
        });
        refused(answer?)?;
        if interrupted {
            return Err(NetlinkError::Interrupted);
        }
        Ok(())
    }

    fn ask(&mut self, kind: u16, flags: u16) -> Result<u32, NetlinkError> {
        let sequence = self.exchange.next_sequence();
        let mut requests = Requests::default();
        let head = Head {
            kind: NFTABLES << 8 | kind,
            flags,
            sequence,
            header: header(ruleset::INET, 0),
        };
        requests.add(head, |_| {});
        self.exchange.send(&requests.bytes)?;
        Ok(sequence)
    }
}

/// `struct nfgenmsg`: a family, NFNETLINK_V0, and the subsystem of a batch or 0.
const fn header(family: u8, resource: u16) -> [u8; HEADER] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

/// Whether an object belongs to the director's table, whose name is the first attribute of each.
fn is_ours(content: &[u8]) -> bool {
    let mut found = attributes(content);
    let name = found.find(|(kind, _)| *kind == 1);
    name.is_some_and(|(_, name)| name.strip_suffix(&[0]) == Some(TABLE.as_bytes()))
}

const fn refused(errno: i32) -> Result<(), NetlinkError> {
    match errno {
        0 => Ok(()),
        errno => Err(NetlinkError::Refused(errno)),
    }
}
