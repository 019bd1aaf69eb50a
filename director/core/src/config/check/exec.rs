//! `MISC_CHECK`: a program of the operator's.

use super::Common;
use crate::check::Program;
use crate::config::CheckKind;
use crate::config::global::DAY;
use crate::config::keywords::Block;
use crate::config::program;
use crate::config::read::Reader;
use crate::config::tree::Statement;
use crate::time::Duration;

pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    common: &mut Common,
) -> Option<CheckKind> {
    let mut command = None;
    let mut user = None;
    let mut dynamic = false;
    reader.each(
        Block::MiscCheck,
        block.children(),
        |reader, word, statement| match word {
            "misc_path" => command = program::command(reader, statement, None),
            "misc_timeout" => {
                common.timeout = reader.timer(statement, Duration::from_millis(1)..=DAY);
            }
            "misc_dynamic" => dynamic = reader.flag(statement).unwrap_or_default(),
            "user" => user = program::user(reader, statement),
            _ => common.read(reader, word, statement),
        },
    );
    if command.is_none() && block.lacks("misc_path") {
        let at = block.keyword().at;
        reader.sink.error(at, "`MISC_CHECK` has no `misc_path`");
    }
    let (path, arguments, owner) = command?;
    Some(CheckKind::Exec(Box::new(Program {
        path,
        arguments,
        owner: user.or(owner).unwrap_or(reader.owner),
        dynamic,
    })))
}
