//! `vrrp_sync_group NAME`: virtual routers that are Active together.

use super::SyncGroup;
use super::addresses::lines;
use super::diagnostic::Place;
use super::keywords::Block;
use super::notices::{self, Subject};
use super::read::Reader;
use super::track;
use super::tree::Statement;
use crate::net::Name;

/// One group as it is written, with the places of what must be unique.
#[derive(Debug)]
pub(super) struct GroupWords {
    pub(super) name: Option<Name>,
    pub(super) at: Place,
    pub(super) members: Vec<(Name, Place)>,
    /// What all members track.
    pub(super) tracked: Vec<track::Entry>,
    /// `sync_group_tracking_weight`: what a single member tracks may change its priority.
    pub(super) weighted: bool,
}

/// Reads one `vrrp_sync_group`.
pub(super) fn read(reader: &mut Reader<'_, '_>, block: Statement<'_>) -> GroupWords {
    let mut words = GroupWords {
        name: reader.parse(block),
        at: block.keyword().at,
        members: Vec::new(),
        tracked: Vec::new(),
        weighted: false,
    };
    reader.each(
        Block::VrrpSyncGroup,
        block.children(),
        |reader, word, statement| match word {
            "group" => words.members.extend(members(reader, statement)),
            "sync_group_tracking_weight" => {
                words.weighted = reader.flag(statement).unwrap_or_default();
            }
            word if notices::is_one(word) => {
                let subject = words.name.clone().map(Subject::Group);
                notices::read(reader, word, statement, subject);
            }
            _ => track::read(reader, word, statement, &mut words.tracked),
        },
    );
    words
}

/// `group { NAME .. }`, one or more names a line.
pub(super) fn members(reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Vec<(Name, Place)> {
    let mut names = Vec::new();
    for word in lines(reader, block).iter().flat_map(Statement::words) {
        if let Some(name) = reader.parse_word(word) {
            names.push((name, word.at));
        }
    }
    names
}

impl GroupWords {
    /// The group, when it has a name and members.
    pub(super) fn resolve(self, reader: &mut Reader<'_, '_>) -> Option<SyncGroup> {
        let name = self.name?;
        let message = match self.members.as_slice() {
            [] => format!("`vrrp_sync_group {name}` has no members and does nothing"),
            [_] => {
                format!("`vrrp_sync_group {name}` has one member: there is nobody to go with it")
            }
            _ => String::new(),
        };
        if !message.is_empty() {
            reader.sink.warning(self.at, message);
        }
        let members: Vec<Name> = self.members.into_iter().map(|(name, _)| name).collect();
        (!members.is_empty()).then_some(SyncGroup { name, members })
    }
}
