//! `notify_..`: programs of the operator's that are run when something changes.

use super::program;
use super::read::Reader;
use super::tree::Statement;
use crate::check::Program;
use crate::ipvs::{DestId, ServiceId};
use crate::net::Name;

/// A program that is run when something changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What changes.
    pub of: Subject,
    /// How.
    pub on: Turn,
    /// What is run then; for [`Turn::Any`] with four words more that say what happened.
    pub program: Program,
}

/// What changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A virtual router.
    Router(Name),
    /// A sync group.
    Group(Name),
    /// A real server of a service, of the first one of a group.
    Server(ServiceId, DestId),
}

/// How it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// In any of the following ways (`notify`).
    Any,
    /// To Active (`notify_master`).
    Active,
    /// To Backup (`notify_backup`).
    Backup,
    /// To Fault (`notify_fault`).
    Fault,
    /// To Initialize: the director stops (`notify_stop`).
    Stop,
    /// It is no longer configured (`notify_deleted`).
    Deleted,
    /// Active, and an advert of lower priority was heard (`notify_master_rx_lower_pri`).
    LowerPriority,
    /// A real server is healthy again (`notify_up`).
    Up,
    /// A real server has failed (`notify_down`).
    Down,
}

/// What a program for notifications is there for, and a node does itself.
const INSTEAD: &str =
    "the log has each change: `syslog` in router.conf sends it away, `notify_fifo` tells a program";

/// Reads one of the keywords.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    word: &str,
    statement: Statement<'_>,
    of: Option<Subject>,
) {
    let on = match word {
        "notify_master" => Turn::Active,
        "notify_backup" => Turn::Backup,
        "notify_fault" => Turn::Fault,
        "notify_stop" => Turn::Stop,
        "notify_deleted" => Turn::Deleted,
        "notify_master_rx_lower_pri" => Turn::LowerPriority,
        "notify_up" => Turn::Up,
        "notify_down" => Turn::Down,
        _ => Turn::Any,
    };
    let command = program::command(reader, statement, Some(INSTEAD));
    if let Some((of, (path, arguments, owner))) = of.zip(command) {
        let program = Program {
            path,
            arguments,
            owner: owner.unwrap_or(reader.owner),
            dynamic: false,
        };
        reader.notices.push(Notice { of, on, program });
    }
}

/// Whether it is one of the keywords; FIFOs stand elsewhere.
pub(super) fn is_one(word: &str) -> bool {
    word.starts_with("notify")
}
