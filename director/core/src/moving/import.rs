//! The configurations of other directors, as keepalived.conf and router.conf.
//!
//! Each format has its reader; what it finds becomes an outline of blocks that is written out, and what has no
//! counterpart becomes a note with its place. A value is taken over only once it has been understood, so that nothing
//! of a hostile file reaches the new one as it is. Host names are not looked up: an importer that asks the network
//! would write a file that depends on the day.

mod checks;
mod ipvsadm;
mod keepalived;
mod ldirectord;
mod notes;
mod outline;
mod pair;
mod piranha;
mod words;

use crate::config::Source;
pub use notes::{Kind, Note};

/// What a configuration is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Piranha's `lvs.cf`, of pulse, lvs and nanny.
    Piranha,
    /// ldirectord's `ldirectord.cf`.
    Ldirectord,
    /// What `ipvsadm -S -n` prints.
    Ipvsadm,
    /// keepalived's `keepalived.conf`.
    Keepalived,
}

/// What is to be known that no file says.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// The interface of the virtual addresses, where the file names none.
    pub interface: String,
}

/// The files of a pair of nodes, or of one, and what is to be known about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// keepalived.conf, the same for both nodes.
    pub keepalived: String,
    /// router.conf of each node.
    pub routers: Vec<String>,
    /// What was not carried over, and what was assumed, in the order of the file.
    pub notes: Vec<Note>,
}

impl Format {
    /// The format of a file, by its content.
    #[must_use]
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with(['#', '!']));
        lines.find_map(|line| {
            let word: &str = line.split([' ', '\t', '=', '{']).next().unwrap_or_default();
            match word {
                "-A" | "-a" | "ipvsadm" | "--add-service" => Some(Self::Ipvsadm),
                "virtual" | "virtual6" if line.contains('{') => Some(Self::Piranha),
                "virtual" | "virtual6" => Some(Self::Ldirectord),
                word if piranha::is_own_keyword(word) => Some(Self::Piranha),
                word if ldirectord::is_own_keyword(word) => Some(Self::Ldirectord),
                word if keepalived::is_own_keyword(word) => Some(Self::Keepalived),
                _ => None,
            }
        })
    }
}

/// Reads a configuration. Never fails: what can't be used is in the notes.
#[must_use]
pub fn import(format: Format, source: Source<'_>, wishes: &Wishes) -> Imported {
    let mut notes = notes::Notes::new(source.name);
    let text = String::from_utf8_lossy(source.bytes);
    let mut pair = pair::Pair::new(&wishes.interface);
    let services = match format {
        Format::Piranha => piranha::read(&text, &mut pair, &mut notes),
        Format::Ldirectord => ldirectord::read(&text, &mut pair, &mut notes),
        Format::Ipvsadm => ipvsadm::read(&text, &mut pair, &mut notes),
        Format::Keepalived => return keepalived::read(source, notes),
    };
    pair.write(&services, notes)
}
