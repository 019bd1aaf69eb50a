//! `lvs_sync_daemon`: how the kernel sends its connections to the peer.

use core::net::IpAddr;

use super::{address, byte, required};
use crate::config::SyncDaemon;
use crate::config::diagnostic::Place;
use crate::config::read::Reader;
use crate::config::tree::{Statement, Word};
use crate::ipvs::SyncWire;
use crate::net::{IfName, Name};

/// The largest UDP payload, in IPv4 and in IPv6.
const MAXLEN: [u16; 2] = [65_507, 65_487];

/// `lvs_sync_daemon` before its virtual router is looked up.
#[derive(Debug)]
pub(in crate::config) struct SyncWords {
    pub(in crate::config) interface: IfName,
    /// With the place of the name.
    pub(in crate::config) router: Option<(Name, Place)>,
    pub(in crate::config) id: Option<u8>,
    pub(in crate::config) wire: SyncWire,
    pub(in crate::config) at: Place,
}

impl SyncWords {
    /// What follows from an interface alone.
    pub(in crate::config) fn new(interface: IfName, at: Place) -> Self {
        Self {
            interface,
            router: None,
            id: None,
            wire: SyncWire::default(),
            at,
        }
    }

    /// The value, with the identifier that follows from the virtual router.
    pub(in crate::config) fn resolve(self, vrid: Option<u8>) -> SyncDaemon {
        SyncDaemon {
            interface: self.interface,
            router: self.router.map(|(name, _)| name),
            id: self.id.or(vrid).unwrap_or(0),
            wire: self.wire,
        }
    }

    /// Takes one of the options that have a value; none when that is wrong.
    fn option(
        &mut self,
        reader: &mut Reader<'_, '_>,
        word: Word<'_>,
        value: Option<Word<'_>>,
    ) -> Option<()> {
        let value = required(reader, word, value)?;
        if word.bytes == b"group" {
            let group = address(reader, value)?;
            if !group.is_multicast() {
                reader.wrong(value, "not a multicast address");
                return None;
            }
            self.wire.group = group;
            return Some(());
        }
        let range = match word.bytes {
            b"id" => 0..=255,
            b"ttl" => 1..=255,
            b"maxlen" => 1..=MAXLEN[0].into(),
            _ => 1..=u16::MAX.into(),
        };
        let number = reader.number_word(value, word.bytes, range)?;
        let short = u16::try_from(number).unwrap_or(u16::MAX);
        match word.bytes {
            b"id" => self.id = Some(byte(number)),
            b"ttl" => self.wire.ttl = byte(number),
            b"maxlen" => self.wire.maxlen = short,
            _ => self.wire.port = short,
        }
        Some(())
    }
}

/// `lvs_sync_daemon IF [[inst] VRRP] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]`
pub(super) fn daemon(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<SyncWords> {
    let mut words = statement.arguments();
    let Some(interface) = words.next() else {
        reader.value(statement);
        return None;
    };
    let interface = reader.parse_word(interface)?;
    let mut daemon = SyncWords::new(interface, statement.keyword().at);
    while let Some(word) = words.next() {
        match word.bytes {
            b"id" | b"maxlen" | b"port" | b"ttl" | b"group" => {
                daemon.option(reader, word, words.next())?;
            }
            _ if daemon.router.is_some() => {
                reader.wrong(word, "not an option of `lvs_sync_daemon`");
                return None;
            }
            _ => {
                let name = if word.bytes == b"inst" {
                    required(reader, word, words.next())?
                } else {
                    word
                };
                daemon.router = Some((reader.parse_word(name)?, name.at));
            }
        }
    }
    let longest = MAXLEN[usize::from(matches!(daemon.wire.group, IpAddr::V6(_)))];
    daemon.wire.maxlen = daemon.wire.maxlen.min(longest);
    Some(daemon)
}
