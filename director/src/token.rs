//! What a mio token stands for.

use director_core::check;
use director_core::net::{Family, Ifindex};
use mio::Token;

/// One source of readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// The VRRP socket of an interface and a family.
    Vrrp((Ifindex, Family)),
    /// rtnetlink's notifications.
    Monitor,
    /// Signals.
    Signals,
    /// New programs at the control socket.
    Listener,
    /// A program at the control socket.
    Client(u32),
    /// The socket of a check.
    Probe(check::Id),
    /// The program of a check.
    Program(check::Id),
    /// A program for a notification.
    Notice(check::Id),
    /// The thread that starts programs.
    Worker,
    /// New readers of the metrics.
    Scrapes,
    /// A reader of the metrics.
    Scrape(u32),
    /// A machine that is sent the log.
    Syslog(u32),
}

const VRRP: usize = 1;
const MONITOR: usize = 2;
const SIGNALS: usize = 3;
const LISTENER: usize = 4;
const CLIENT: usize = 5;
const PROBE: usize = 6;
const PROGRAM: usize = 7;
const WORKER: usize = 8;
const VRRP_V6: usize = 9;
const SCRAPES: usize = 12;
const SCRAPE: usize = 10;
const SYSLOG: usize = 11;
const NOTICE: usize = 13;

/// The kind stands in the upper four bits, a check's generation in the 32 below, its index in the rest.
const KIND_SHIFT: u32 = 60;
const GENERATION_SHIFT: u32 = check::Id::INDEX_BITS;
const INDEX_MASK: usize = (1 << GENERATION_SHIFT) - 1;

const _: () = assert!(usize::BITS == 64);
const _: () = assert!(GENERATION_SHIFT + u32::BITS == KIND_SHIFT);

impl Key {
    pub(crate) const fn token(self) -> Token {
        let (kind, number) = match self {
            Self::Vrrp((ifindex, Family::V4)) => (VRRP, ifindex.0 as usize),
            Self::Vrrp((ifindex, Family::V6)) => (VRRP_V6, ifindex.0 as usize),
            Self::Monitor => (MONITOR, 0),
            Self::Signals => (SIGNALS, 0),
            Self::Listener => (LISTENER, 0),
            Self::Client(number) => (CLIENT, number as usize),
            Self::Probe(id) => (PROBE, number_of(id)),
            Self::Program(id) => (PROGRAM, number_of(id)),
            Self::Notice(id) => (NOTICE, number_of(id)),
            Self::Worker => (WORKER, 0),
            Self::Scrapes => (SCRAPES, 0),
            Self::Scrape(number) => (SCRAPE, number as usize),
            Self::Syslog(number) => (SYSLOG, number as usize),
        };
        Token(kind << KIND_SHIFT | number)
    }

    pub(crate) const fn of(token: Token) -> Option<Self> {
        let number = token.0 & ((1 << KIND_SHIFT) - 1);
        Some(match token.0 >> KIND_SHIFT {
            VRRP => Self::Vrrp((Ifindex(number as u32), Family::V4)),
            VRRP_V6 => Self::Vrrp((Ifindex(number as u32), Family::V6)),
            MONITOR => Self::Monitor,
            SIGNALS => Self::Signals,
            LISTENER => Self::Listener,
            CLIENT => Self::Client(number as u32),
            PROBE => Self::Probe(id_of(number)),
            PROGRAM => Self::Program(id_of(number)),
            NOTICE => Self::Notice(id_of(number)),
            WORKER => Self::Worker,
            SCRAPES => Self::Scrapes,
            SCRAPE => Self::Scrape(number as u32),
            SYSLOG => Self::Syslog(number as u32),
            _ => return None,
        })
    }
}

const fn number_of(id: check::Id) -> usize {
    (id.generation as usize) << GENERATION_SHIFT | id.index as usize
}

const fn id_of(number: usize) -> check::Id {
    check::Id {
        index: (number & INDEX_MASK) as u32,
        generation: (number >> GENERATION_SHIFT) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_gives_its_key_back() {
        let id = check::Id {
            index: INDEX_MASK as u32,
            generation: u32::MAX,
        };
        for key in [
            Key::Vrrp((Ifindex(u32::MAX), Family::V4)),
            Key::Vrrp((Ifindex(u32::MAX), Family::V6)),
            Key::Monitor,
            Key::Signals,
            Key::Listener,
            Key::Client(u32::MAX),
            Key::Probe(id),
            Key::Program(id),
            Key::Notice(id),
            Key::Worker,
            Key::Scrapes,
            Key::Scrape(u32::MAX),
            Key::Syslog(3),
        ] {
            assert_eq!(Key::of(key.token()), Some(key));
        }
        assert_eq!(Key::of(Token(0)), None);
    }
}
