//! Which dests a pool has: one rule from the health of its real servers, its quorum and its sorry server.

use std::collections::BTreeMap;

use crate::config::{RealServer, VirtualServer};
use crate::ipvs::{Dest, DestId};

/// The quorum of one service, with its memory: hysteresis makes gaining harder than keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    held: bool,
}

impl Quorum {
    /// The quorum at the start: held only when it could be gained.
    #[must_use]
    pub fn new(server: &VirtualServer, standing: impl Fn(usize) -> Option<u32>) -> Self {
        Self {
            held: weight(server, standing) >= gain(server),
        }
    }

    /// Judges again after a change; says whether it turned.
    ///
    /// Lost when the healthy weight is 0 or below `quorum - hysteresis`, gained at `quorum + hysteresis`.
    pub fn judge(
        &mut self,
        server: &VirtualServer,
        standing: impl Fn(usize) -> Option<u32>,
    ) -> bool {
        let weight = weight(server, standing);
        let keep = u64::from(server.quorum.saturating_sub(server.hysteresis));
        let held = if self.held {
            weight > 0 && weight >= keep
        } else {
            weight >= gain(server)
        };
        core::mem::replace(&mut self.held, held) != held
    }

    /// Whether the pool serves; without it the sorry server does, if there is one.
    #[must_use]
    pub const fn held(self) -> bool {
        self.held
    }
}

/// The weight that gains a lost quorum: never 0, for a pool without weight serves nobody.
fn gain(server: &VirtualServer) -> u64 {
    (u64::from(server.quorum) + u64::from(server.hysteresis)).max(1)
}

/// Sum of the weights of the healthy real servers; `standing` takes their index and tells the weight that is in force,
/// or none for one that is not healthy.
pub fn weight(server: &VirtualServer, standing: impl Fn(usize) -> Option<u32>) -> u64 {
    let alive = (0..server.real_servers.len()).filter_map(standing);
    alive.map(u64::from).sum()
}

/// The dests that the kernel is to have for one service.
///
/// A real server that must not serve stays at weight 0 when it is inhibited instead of removed, so that its
/// connections go on. Without a sorry server the healthy ones serve even below the quorum.
#[must_use]
pub fn dests(
    server: &VirtualServer,
    quorum: Quorum,
    standing: impl Fn(usize) -> Option<u32>,
) -> BTreeMap<DestId, Dest> {
    let sorry_serves = server.sorry.is_some() && !quorum.held();
    let mut dests = BTreeMap::new();
    for (index, real) in server.real_servers.iter().enumerate() {
        if let Some(dest) = dest(real, standing(index).filter(|_| !sorry_serves)) {
            dests.insert(real.id, dest);
        }
    }
    if let Some((id, dest)) = server.sorry {
        if sorry_serves {
            dests.insert(id, dest);
        } else if server.sorry_inhibit {
            dests.entry(id).or_insert(Dest { weight: 0, ..dest });
        }
    }
    dests
}

fn dest(real: &RealServer, serves: Option<u32>) -> Option<Dest> {
    let weight = serves.or_else(|| real.inhibit_on_failure.then_some(0))?;
    Some(Dest {
        weight,
        ..real.dest
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{Forwarding, Protocol, Service, ServiceId};

    fn id(last: u8) -> DestId {
        DestId {
            address: [10, 0, 0, last].into(),
            port: 80,
        }
    }

    fn to(weight: u32) -> Dest {
        Dest {
            forwarding: Forwarding::Dr,
            weight,
            upper: 0,
            lower: 0,
        }
    }

    fn server(weights: &[u32]) -> VirtualServer {
        let real = |(index, weight): (usize, &u32)| RealServer {
            id: id(u8::try_from(index).unwrap()),
            dest: to(*weight),
            inhibit_on_failure: false,
            alpha: false,
            checks: Vec::new(),
        };
        VirtualServer {
            group: None,
            others: Vec::new(),
            id: ServiceId::Address {
                protocol: Protocol::Tcp,
                address: [10, 0, 0, 100].into(),
                port: 80,
            },
            service: Service {
                scheduler: "rr".parse().unwrap(),
                flags: 0,
                timeout_s: 0,
                granularity: 32,
                sip: false,
            },
            real_servers: weights.iter().enumerate().map(real).collect(),
            sorry: None,
            sorry_inhibit: false,
            quorum: 1,
            hysteresis: 0,
            locals: Vec::new(),
        }
    }

    /// Up are those that the function says, with their configured weights.
    fn up(server: &VirtualServer, up: impl Fn(usize) -> bool) -> impl Fn(usize) -> Option<u32> {
        let weights: Vec<u32> = server
            .real_servers
            .iter()
            .map(|real| real.dest.weight)
            .collect();
        move |index| up(index).then(|| weights[index])
    }

    #[test]
    fn a_failed_server_leaves_and_an_inhibited_one_stays_at_weight_0() {
        let mut server = server(&[1, 2]);
        let quorum = Quorum::new(&server, up(&server, |_| true));
        assert_eq!(
            dests(&server, quorum, up(&server, |index| index == 0)),
            BTreeMap::from([(id(0), to(1))])
        );
        server.real_servers[1].inhibit_on_failure = true;
        let expected = BTreeMap::from([(id(0), to(1)), (id(1), to(0))]);
        assert_eq!(
            dests(&server, quorum, up(&server, |index| index == 0)),
            expected
        );
    }

    #[test]
    fn the_sorry_server_serves_alone_while_the_quorum_is_lost() {
        let mut server = server(&[1, 1]);
        server.quorum = 2;
        server.sorry = Some((id(9), to(1)));
        let mut quorum = Quorum::new(&server, up(&server, |_| true));
        assert!(quorum.held());
        assert!(quorum.judge(&server, up(&server, |index| index == 0)));
        assert_eq!(
            dests(&server, quorum, up(&server, |index| index == 0)),
            BTreeMap::from([(id(9), to(1))])
        );
        assert!(quorum.judge(&server, up(&server, |_| true)));
        assert_eq!(dests(&server, quorum, up(&server, |_| true)).len(), 2);
        server.sorry_inhibit = true;
        assert_eq!(
            dests(&server, quorum, up(&server, |_| true))[&id(9)].weight,
            0
        );
    }

    #[test]
    fn without_a_sorry_server_the_healthy_ones_serve_below_the_quorum() {
        let mut server = server(&[1, 1]);
        server.quorum = 2;
        let quorum = Quorum::new(&server, up(&server, |index| index == 1));
        assert!(!quorum.held());
        assert_eq!(
            dests(&server, quorum, up(&server, |index| index == 1)),
            BTreeMap::from([(id(1), to(1))])
        );
    }

    #[test]
    fn the_weight_in_force_is_what_counts() {
        let mut server = server(&[1, 2]);
        server.quorum = 9;
        let told = |index| Some(if index == 0 { 8 } else { 0 });
        assert_eq!(weight(&server, told), 8);
        let quorum = Quorum::new(&server, told);
        assert!(!quorum.held());
        let expected = BTreeMap::from([(id(0), to(8)), (id(1), to(0))]);
        assert_eq!(dests(&server, quorum, told), expected);
    }

    #[test]
    fn hysteresis_keeps_a_quorum_longer_than_it_lets_it_be_gained() {
        let mut server = server(&[1, 1, 1, 1]);
        (server.quorum, server.hysteresis) = (3, 1);
        let up = |count: usize| up(&server, move |index| index < count);
        let mut quorum = Quorum::new(&server, up(3));
        assert!(!quorum.held(), "gained only at 4");
        assert!(quorum.judge(&server, up(4)) && quorum.held());
        assert!(!quorum.judge(&server, up(2)), "kept at 2");
        assert!(quorum.judge(&server, up(1)) && !quorum.held());
    }
}
