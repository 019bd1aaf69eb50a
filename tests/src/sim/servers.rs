//! Real servers of the configurations, and what their checks ask.

use core::net::IpAddr;
use std::sync::Arc;

use director_core::check::{Owner, Program, Reply, Target, Udp};
use director_core::config::{CheckKind, CheckSettings, RealServer, ServerCheck, Terms, Url};
use director_core::ipvs::{Dest, DestId, Forwarding};
use director_core::time::Duration;
use director_core::wire::dns::Question;

use super::random::Random;
use super::reals::MAIL;

pub(super) fn dest_id(number: u8) -> DestId {
    DestId {
        address: [10, 0, 0, 200 + number].into(),
        port: 80,
    }
}

pub(super) const fn dest(weight: u32) -> Dest {
    Dest {
        forwarding: Forwarding::Dr,
        weight,
        upper: 0,
        lower: 0,
    }
}

/// Lets a check ask by something else than a page or a connection.
pub(super) fn another_kind(check: &mut ServerCheck, server: IpAddr, random: &mut Random) {
    let kind = match random.below(6) {
        0 => CheckKind::Ping,
        1 => {
            check.target = Target::Port(MAIL);
            CheckKind::Smtp {
                helo: "node".to_string(),
            }
        }
        2 => CheckKind::Dns(Box::new(Question::new(6, ".").expect("the root"))),
        3 => CheckKind::Udp(Box::new(Udp {
            payload: b"abc".to_vec(),
            reply: random.chance(50).then(|| Reply {
                pattern: vec![(b'a', 0xff)],
                length: (3, 3),
            }),
        })),
        _ => program(server, random.chance(50)),
    };
    Arc::make_mut(&mut check.how).kind = kind;
}

/// A program that looks at a real server.
fn program(server: IpAddr, dynamic: bool) -> CheckKind {
    CheckKind::Exec(Box::new(Program {
        path: "look".to_string(),
        arguments: vec![server.to_string()],
        owner: Owner::NOBODY,
        dynamic,
    }))
}

/// A real server with one check, by HTTP or of the connection alone.
pub(super) fn real(number: u8, http: bool) -> RealServer {
    let id = dest_id(number);
    let url = Url {
        path: "/".to_string(),
        host: "www.example".to_string(),
        status: vec![200..=299],
        digest: None,
        regex: None,
    };
    let kind = if http {
        CheckKind::Http {
            urls: vec![url],
            http11: true,
            tls: None,
        }
    } else {
        CheckKind::Tcp
    };
    let how = CheckSettings {
        kind,
        interval: Duration::from_secs(2),
        bind: None,
        path: None,
        timeout: Duration::from_millis(500),
        rise: 1,
        retry: 1,
        delay_before_retry: Duration::from_millis(500),
        log_all: false,
        warmup: Duration::from_secs(2),
    };
    let check = ServerCheck {
        target: Target::Port(id.port),
        how: how.into(),
    };
    RealServer {
        id,
        terms: Terms {
            dest: dest(1),
            inhibit_on_failure: false,
            alpha: false,
            slow_start: Duration::ZERO,
            checks: vec![check],
        }
        .into(),
    }
}
