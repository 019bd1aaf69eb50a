//! `vrrp_script NAME`: a program of the operator's that is run again and again for the virtual routers that track it.

use core::net::{Ipv4Addr, SocketAddr};

use super::global::DAY;
use super::keywords::Block;
use super::probe::{ROW_MAX, default_weight};
use super::program;
use super::read::Reader;
use super::tree::Statement;
use super::{Check, CheckKind, CheckSettings, Tracked, Watch};
use crate::check::Program;
use crate::net::Name;
use crate::time::Duration;
use crate::vrrp::Weight;

/// A program tells of no server.
const NOWHERE: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Reads one `vrrp_script`.
pub(super) fn read(reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Option<Watch> {
    let name: Option<Name> = reader.parse(block);
    let (mut command, mut user) = (None, None);
    let (mut interval, mut timeout) = (None, None);
    let (mut rise, mut fall) = (1, 1);
    let (mut weight, mut init_fail) = (Weight::default(), false);
    reader.each(
        Block::VrrpScript,
        block.children(),
        |reader, word, statement| match word {
            "script" => command = program::command(reader, statement, None),
            "interval" => interval = reader.timer(statement, Duration::ZERO..=DAY),
            "timeout" => timeout = reader.timer(statement, Duration::ZERO..=DAY),
            "rise" => rise = reader.number(statement, 1..=ROW_MAX).unwrap_or(rise),
            "fall" => fall = reader.number(statement, 1..=ROW_MAX).unwrap_or(fall),
            "user" => user = program::user(reader, statement),
            "weight" => weight = default_weight(reader, statement).unwrap_or_default(),
            _ => {
                reader.bare(statement);
                init_fail = true;
            }
        },
    );
    if block.lacks("script") {
        let message = format!("{} has no `script`", block.title());
        reader.sink.error(block.keyword().at, message);
    }
    // As in keepalived, zero stands for what holds without a word.
    let given = |time: Option<Duration>| time.filter(|time| !time.is_zero());
    let interval = given(interval).unwrap_or(Duration::from_secs(1));
    let (path, arguments, owner) = command?;
    let program = Program {
        path,
        arguments,
        owner: user.or(owner).unwrap_or(reader.owner),
        dynamic: false,
    };
    let how = CheckSettings {
        kind: CheckKind::Exec(Box::new(program)),
        bind: None,
        path: None,
        interval,
        timeout: given(timeout).unwrap_or(interval),
        rise,
        retry: fall - 1,
        delay_before_retry: interval,
        log_all: false,
        warmup: Duration::ZERO,
    };
    Some(Watch {
        of: Tracked::Script(name?),
        weight,
        init_fail,
        init_file: None,
        check: Check {
            target: NOWHERE.into(),
            how: how.into(),
        },
    })
}
