//! Somebody on the segment who has no key, and says again what a node has said before.

use std::collections::VecDeque;

use director_core::time::{Duration, Instant};
use director_core::vrrp::{Hmac, Key, Mode};
use director_core::wire::vrrp;

use super::node::{Arrival, Packet};
use super::random::Random;
use super::world::World;

/// How old an advert is when it is said again: older than the window, by any node's clock. A director that has just
/// started has believed none yet, and knows by this alone.
const STALE: Duration = Duration::from_secs(10);
/// As many are remembered.
const RECORDED_MAX: usize = 64;

/// Adverts that were heard, the oldest first.
#[derive(Debug, Default)]
pub struct Record(VecDeque<(Instant, Packet)>);

/// All nodes sign, with one of two keys that all know.
pub(super) fn signing(random: &mut Random) -> Hmac {
    let key = |id: u8| Key {
        id,
        secret: vec![id; 32],
    };
    Hmac {
        keys: vec![key(1), key(2)],
        active: 1 + random.below(2) as u8,
        window: random.chance(70).then_some(Duration::from_secs(5)),
        mode: random.pick(&[Mode::Enforce, Mode::Permissive]),
    }
}

impl World {
    /// Keeps an advert of a router whose signatures say when they were made.
    pub(super) fn overhear(&mut self, node: usize, packet: &Packet) {
        let vrid = vrrp::vrid(&packet.payload);
        let dates = self.nodes[node].routers().any(|router| {
            let hmac = router.hmac.as_ref();
            Some(router.vrid) == vrid && hmac.is_some_and(|hmac| hmac.window.is_some())
        });
        if dates {
            self.record.0.truncate(RECORDED_MAX - 1);
            self.record.0.push_front((self.now, packet.clone()));
        }
    }

    /// Says an old advert again, to all nodes.
    pub(super) fn replay(&mut self, pick: usize) {
        let now = self.now;
        let old = self
            .record
            .0
            .iter()
            .filter(|(at, _)| now.since(*at) >= STALE);
        let old: Vec<&Packet> = old.map(|(_, packet)| packet).collect();
        let Some(packet) = old
            .get(pick % old.len().max(1))
            .map(|packet| (*packet).clone())
        else {
            return;
        };
        for to in 0..self.nodes.len() {
            let kernel = &self.nodes[to].kernel;
            let ifindex = kernel.ifindex;
            if kernel.has_link() && self.nodes[to].joined.iter().any(|(of, _)| *of == ifindex) {
                let at = now + Duration::from_micros(100);
                self.arrives(at, to, Arrival::Packet(ifindex, packet.clone()));
            }
        }
    }
}
