//! Which dests a pool has: one rule from the health of its real servers, its quorum and its sorry server.

use std::collections::BTreeMap;

use crate::config::VirtualServer;
use crate::ipvs::{Dest, DestId};
use crate::time::{Duration, Instant};

/// What is to become of one real server in its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It takes connections with this weight, of its whole one.
    Serves {
        /// In force.
        weight: u32,
        /// What the weight grows to in a slow start.
        whole: u32,
    },
    /// It takes no new ones, and keeps those that it has.
    Drains,
    /// Its checks say that it is down.
    Down,
    /// It is out, inhibited or not.
    Out,
}

impl Place {
    /// A whole weight.
    #[must_use]
    pub const fn serves(weight: u32) -> Self {
        Self::Serves {
            weight,
            whole: weight,
        }
    }
}

/// The quorum of one service, with its memory: hysteresis makes gaining harder than keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    held: bool,
}

impl Quorum {
    /// The quorum at the start: held only when it could be gained.
    #[must_use]
    pub fn new(server: &VirtualServer, place: impl Fn(usize) -> Place) -> Self {
        Self {
            held: weight(server, place) >= gain(server),
        }
    }

    /// Judges again after a change; says whether it turned.
    ///
    /// Lost when the healthy weight is 0 or below `quorum - hysteresis`, gained at `quorum + hysteresis`.
    pub fn judge(&mut self, server: &VirtualServer, place: impl Fn(usize) -> Place) -> bool {
        let weight = weight(server, place);
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

/// Sum of the weights of the real servers that serve; `place` takes their index. One that comes slowly counts whole.
pub fn weight(server: &VirtualServer, place: impl Fn(usize) -> Place) -> u64 {
    let places = (0..server.real_servers.len()).map(place);
    places
        .map(|place| match place {
            Place::Serves { whole, .. } => u64::from(whole),
            Place::Drains | Place::Down | Place::Out => 0,
        })
        .sum()
}

/// The dests that the kernel is to have for one service.
///
/// A real server that must not serve stays at weight 0 when it is inhibited instead of removed, so that its
/// connections go on. Without a sorry server the healthy ones serve even below the quorum.
#[must_use]
pub fn dests(
    server: &VirtualServer,
    quorum: Quorum,
    place: impl Fn(usize) -> Place,
) -> BTreeMap<DestId, Dest> {
    let sorry_serves = server.sorry.is_some() && !quorum.held();
    let mut dests = BTreeMap::new();
    for (index, real) in server.real_servers.iter().enumerate() {
        let weight = match place(index) {
            Place::Serves { weight, .. } if !sorry_serves => Some(weight),
            Place::Serves { .. } | Place::Down => real.inhibit_on_failure.then_some(0),
            Place::Drains => Some(0),
            Place::Out => None,
        };
        if let Some(weight) = weight {
            let dest = Dest {
                weight,
                ..real.dest
            };
            dests.insert(real.id, dest);
        }
    }
    if let Some((id, dest)) = server.sorry.as_deref().copied() {
        if sorry_serves {
            dests.insert(id, dest);
        } else if server.sorry_inhibit {
            dests.entry(id).or_insert(Dest { weight: 0, ..dest });
        }
    }
    dests
}

/// The slow start of a real server that came back: its weight grows in [`Ramp::STEPS`] equal steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    began: Instant,
    step: u32,
}

impl Ramp {
    /// Steps of a slow start; each is one operation of the kernel.
    pub const STEPS: u32 = 10;

    /// The first step.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            began: now,
            step: 1,
        }
    }

    /// The step that is due at `now`; none when the whole weight is.
    #[must_use]
    pub fn at(self, now: Instant, slow_start: Duration) -> Option<Self> {
        let began = self.began;
        let reached =
            (1..Self::STEPS).take_while(|step| began + slow_start * *step / Self::STEPS <= now);
        let step = 1 + reached.count() as u32;
        (step < Self::STEPS).then_some(Self { began, step })
    }

    /// When the next step is due.
    #[must_use]
    pub fn next(self, slow_start: Duration) -> Instant {
        self.began + slow_start * self.step / Self::STEPS
    }

    /// The part of a weight that this step takes: at least 1, unless the whole is 0.
    #[must_use]
    pub fn of(self, whole: u32) -> u32 {
        let part = u64::from(whole) * u64::from(self.step) / u64::from(Self::STEPS);
        u32::try_from(part).unwrap_or(whole).max(whole.min(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RealServer, Terms};
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
            terms: Terms {
                dest: to(*weight),
                inhibit_on_failure: false,
                alpha: false,
                slow_start: Duration::ZERO,
                checks: Vec::new(),
            }
            .into(),
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
            quorum_address: None,
            ha_suspend: false,
            drain_timeout: Duration::ZERO,
            depool_limit: None,
            locals: Vec::new(),
        }
    }

    /// Up are those that the function says, with their configured weights.
    fn up(server: &VirtualServer, up: impl Fn(usize) -> bool) -> impl Fn(usize) -> Place {
        let weights: Vec<u32> = server
            .real_servers
            .iter()
            .map(|real| real.dest.weight)
            .collect();
        move |index| match up(index) {
            true => Place::serves(weights[index]),
            false => Place::Down,
        }
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
        server.sorry = Some(Box::new((id(9), to(1))));
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
        let told = |index| Place::serves(if index == 0 { 8 } else { 0 });
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

    #[test]
    fn a_drained_server_is_out_and_one_that_drains_keeps_its_connections_also_beside_the_sorry_server()
     {
        let mut server = server(&[1, 1, 1]);
        server.real_servers[1].inhibit_on_failure = true;
        server.sorry = Some(Box::new((id(9), to(1))));
        let places = [Place::Drains, Place::Out, Place::serves(1)];
        let mut quorum = Quorum::new(&server, |index| places[index]);
        let expected = BTreeMap::from([(id(0), to(0)), (id(2), to(1))]);
        assert_eq!(dests(&server, quorum, |index| places[index]), expected);
        let places = [Place::Drains, Place::Out, Place::Down];
        assert!(quorum.judge(&server, |index| places[index]));
        let expected = BTreeMap::from([(id(0), to(0)), (id(9), to(1))]);
        assert_eq!(dests(&server, quorum, |index| places[index]), expected);
    }

    #[test]
    fn a_slow_start_counts_whole_and_serves_in_ten_steps() {
        let mut server = server(&[5, 100]);
        server.quorum = 105;
        let slow = Duration::from_secs(20);
        let at = Instant::from_millis;
        let mut ramp = Some(Ramp::new(at(0)));
        let mut weights = Vec::new();
        let mut now = at(0);
        while let Some(step) = ramp {
            let place = |index| Place::Serves {
                weight: step.of([5, 100][index]),
                whole: [5, 100][index],
            };
            let quorum = Quorum::new(&server, place);
            assert!(quorum.held(), "a slow start does not cost the quorum");
            let pool = dests(&server, quorum, place);
            weights.push((pool[&id(0)].weight, pool[&id(1)].weight));
            assert_eq!(step.next(slow), now + slow / Ramp::STEPS);
            now = step.next(slow);
            assert_eq!(step.at(now - Duration::from_micros(1), slow), ramp);
            ramp = step.at(now, slow);
        }
        let expected: Vec<_> = (1..10)
            .map(|step| ((5 * step / 10).max(1), 10 * step))
            .collect();
        assert_eq!(weights, expected);
        assert_eq!(now, at(18_000));
        assert_eq!(Ramp::new(at(0)).at(at(100_000), slow), None, "a late look");
        assert_eq!(Ramp::new(at(0)).of(0), 0);
    }
}
