//! `track_file NAME` (also `vrrp_track_file`): a small file with a number, by which whoever may write it moves virtual
//! routers and weights of real servers.
//!
//! ```text
//! track_file NAME {
//!     file PATH                    # from `/` on, or the name of a file beside keepalived.conf
//!     weight N [reverse]           # where a `track_file` of a router has none: 1
//!     init_file [VALUE] [overwrite]    # VALUE (0) is written where there is no file, or at each start of the director
//! }
//! ```
//!
//! The number times the weight is added to the priority; -254 and less is Fault. With weight 0 any number but 0 is
//! Fault. A file that is not there says 0, and one that holds no number says what it said before.
//!
//! Whoever reads such a file, a virtual router or the `FILE_CHECK` of a real server, reads it by a check of its own
//! ([`look`]): the one way to watch a file. [`Watch::file`] has its name and path.

use core::net::{Ipv4Addr, SocketAddr};

use super::diagnostic::Place;
use super::keywords::Block;
use super::probe::default_weight;
use super::read::Reader;
use super::tree::Statement;
use super::{Check, CheckKind, CheckSettings, InitFile, Tracked, Watch};
use crate::check;
use crate::limits;
use crate::net::Name;
use crate::time::Duration;
use crate::vrrp::Weight;

/// Reads one `track_file NAME` outside the virtual routers.
pub(super) fn read(reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Option<Watch> {
    let name: Option<Name> = reader.parse(block);
    let (mut file, mut init_file) = (None, None);
    let mut weight = Weight {
        value: 1,
        reverse: false,
    };
    reader.each(
        Block::TrackFile,
        block.children(),
        |reader, word, statement| match word {
            "file" => file = path_of(reader, statement),
            "weight" => weight = default_weight(reader, statement).unwrap_or(weight),
            _ => init_file = initial(reader, statement),
        },
    );
    if block.lacks("file") {
        let message = format!("{} has no `file`", block.title());
        reader.sink.error(block.keyword().at, message);
    }
    Some(Watch {
        of: Tracked::File(name?),
        check: look(NOWHERE, file?, (1, false)),
        weight,
        init_fail: false,
        init_file,
    })
}

/// A file that virtual routers track tells of no server.
const NOWHERE: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// How a file is looked at, again and again: by reading it. A change is seen within an interval. What is told is the
/// number times the weight, or the negative of it.
pub(super) fn look(target: SocketAddr, path: String, (weight, reverse): (i32, bool)) -> Check {
    let interval = limits::FILE_INTERVAL;
    let file = check::Watch {
        path,
        weight,
        reverse,
    };
    let how = CheckSettings {
        kind: CheckKind::File(Box::new(file)),
        bind: None,
        path: None,
        interval,
        timeout: limits::FILE_TIMEOUT,
        rise: 1,
        retry: 0,
        delay_before_retry: interval,
        log_all: false,
        warmup: Duration::ZERO,
    };
    Check {
        target: target.into(),
        how: how.into(),
    }
}

fn path_of(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<String> {
    let word = reader.value(statement)?;
    let path = reader.utf8(word)?;
    if path.is_empty() || path.contains('\0') || (path.contains('/') && !path.starts_with('/')) {
        let what = "a file is a path from `/` on, or the name of one beside keepalived.conf";
        reader.wrong(word, what);
        return None;
    }
    Some(path.into_owned())
}

/// `init_file [VALUE] [overwrite]`
fn initial(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<InitFile> {
    let mut init = InitFile {
        value: 0,
        overwrite: false,
    };
    let mut valued: Option<Place> = None;
    for word in statement.arguments() {
        if word.bytes == b"overwrite" && !init.overwrite {
            init.overwrite = true;
            continue;
        }
        let value = reader.utf8(word)?.parse().ok();
        let (Some(value), None) = (value, valued.replace(word.at)) else {
            reader.wrong(word, "after `init_file` stand a number and `overwrite`");
            return None;
        };
        init.value = value;
    }
    Some(init)
}
