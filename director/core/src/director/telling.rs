//! A status in pieces.

use super::Director;
use super::check_report::{checks, watches};
use super::report::{head, service};
use crate::limits;
use crate::status::Status;

/// A status that is being made, service by service: a table of ten thousand dests takes longer than an advert may be
/// late.
#[derive(Debug)]
pub struct Telling {
    status: Status,
    /// The next service.
    next: usize,
}

impl Telling {
    /// Whether nothing has been told yet.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.next == 0
    }
}

impl Director {
    /// Begins a status; [`Director::go_on_telling`] ends it.
    #[must_use]
    pub fn begin_telling(&self) -> Telling {
        Telling {
            status: head(self),
            next: 0,
        }
    }

    /// Tells of further services, of about [`limits::TOLD_PER_SLICE`] dests; the status when it is whole. After a
    /// reload it begins anew.
    pub fn go_on_telling(&self, telling: &mut Telling) -> Option<Status> {
        if telling.status.config.reloads != self.reloads {
            *telling = self.begin_telling();
        }
        let Telling { status, next } = telling;
        let mut told = 0;
        for (server, state) in self.services.iter().skip(*next) {
            if told >= limits::TOLD_PER_SLICE {
                return None;
            }
            let service = service(server, state, self);
            told += 1 + service.dests.len();
            status.services.push(service);
            status.checks.extend(checks((server, state), self));
            *next += 1;
        }
        status.checks.extend(watches(self));
        Some(core::mem::take(status))
    }
}

#[cfg(test)]
mod tests {
    use core::fmt::Write as _;

    use super::*;
    use crate::config::{Config, Source, parse};
    use crate::director::Input;
    use crate::time::Instant;

    /// So many services with ten checked servers each.
    fn config(services: u8) -> Config {
        let mut text = String::new();
        for service in 0..services {
            let _ = writeln!(
                text,
                "virtual_server 10.0.0.{service} 80 {{\n lvs_sched rr\n lvs_method DR\n protocol TCP"
            );
            for server in 0..10 {
                let address = format!("10.1.{service}.{server}");
                let _ = writeln!(
                    text,
                    " real_server {address} 80 {{\n TCP_CHECK {{\n }}\n }}"
                );
            }
            text += "}\n";
        }
        let name = "keepalived.conf";
        let bytes = text.as_bytes();
        parse(Some(Source { name, bytes }), None).config.unwrap()
    }

    #[test]
    fn a_long_status_is_told_in_pieces_and_begins_anew_after_a_reload() {
        let now = Instant::from_millis(1);
        let mut director = Director::new(config(100), now, 7);
        let mut telling = director.begin_telling();
        assert_eq!(director.go_on_telling(&mut telling), None);
        let whole = |director: &Director, telling: &mut Telling| {
            let pieces = core::iter::repeat_with(|| director.go_on_telling(telling));
            pieces
                .zip(1..)
                .find_map(|(status, n)| Some((status?, n)))
                .unwrap()
        };
        // 11 for each service: 24 of them make a piece.
        let (status, pieces) = whole(&director, &mut telling);
        assert_eq!(
            (status.services.len(), status.checks.len(), pieces),
            (100, 1000, 4)
        );
        assert_eq!(status, director.status());

        let mut telling = director.begin_telling();
        assert_eq!(director.go_on_telling(&mut telling), None);
        director.handle(now, Input::Config(Box::new(config(50))));
        let (status, _) = whole(&director, &mut telling);
        assert_eq!((status.services.len(), status.checks.len()), (50, 500));
    }
}
