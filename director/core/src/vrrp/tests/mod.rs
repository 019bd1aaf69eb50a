//! Virtual routers on a virtual wire in virtual time: time jumps from one timeout to the next, and every time is
//! asserted to the microsecond.

mod announcing;
mod handover;
mod ipv6;
mod pair;
mod random;
mod receiving;
mod reload;
mod signed;
mod stall;
mod table;
mod unicast;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::VecDeque;

use super::settings::Octets;
use super::{
    Event, Fault, GarpSettings, Received, Router, Settings, Source, StateName, Transmit, Version,
};
use crate::net::Family;
use crate::time::{Duration, Instant};
use crate::wire::vrrp::{self, Auth, Form, Repr, TTL};

/// The group of IPv4.
const GROUP: IpAddr = IpAddr::V4(vrrp::GROUP);

const VIP: IpAddr = ip(10, 0, 0, 100);

const fn ip(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// A v2 router with keepalived's defaults.
fn settings(priority: u8) -> Settings {
    Settings {
        vrid: 51,
        version: Version::V2,
        priority,
        state_master: false,
        advert_interval: Duration::from_secs(1),
        preempt: true,
        preempt_delay: Duration::ZERO,
        pass: None,
        hmac: None,
        addresses: vec![VIP],
        announced: vec![VIP],
        group: GROUP,
        unicast: None,
        owner_ignores_adverts: false,
        timer_expired_backup: false,
        delay_after_boot: Duration::ZERO,
        down_adverts: 3,
        checksum_as_v2: false,
        lower_prio_no_advert: false,
        higher_prio_send_advert: false,
        startup_delay: Duration::ZERO,
        grouped: false,
        phase: None,
        extra: Vec::new(),
        garp: GarpSettings {
            delay: Duration::from_secs(5),
            repeat: 5,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_prio_delay: Duration::from_secs(5),
            lower_prio_repeat: 5,
            extra: Duration::ZERO,
            interval: Duration::ZERO,
            interval_v6: Duration::ZERO,
        },
    }
}

/// A v3 router.
fn settings_v3(priority: u8, interval_ms: u64) -> Settings {
    Settings {
        version: Version::V3,
        advert_interval: Duration::from_millis(interval_ms),
        ..settings(priority)
    }
}

/// The address of the node with this number.
fn address(node: usize) -> IpAddr {
    ip(10, 0, 0, u8::try_from(node + 1).unwrap())
}

/// The link-local address of the node with this number.
fn address_v6(node: usize) -> IpAddr {
    let host = u16::try_from(node + 1).unwrap();
    [0xfe80, 0, 0, 0, 0, 0, 0, host].into()
}

/// What a node did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Advert(u8),
    Announce(IpAddr),
    Enter(StateName),
}

/// Virtual routers of one VRID on one segment without delay; the kernel adds addresses at once.
struct Lab {
    now: Instant,
    nodes: Vec<Node>,
    /// All that happened: microseconds, node, what.
    log: Vec<(u64, usize, Did)>,
    events: Vec<(u64, usize, Event)>,
}

struct Node {
    router: Router,
    /// Neither runs nor hears.
    dead: bool,
    /// How many of its next adverts are lost on the wire.
    lose: usize,
    /// Its adverts reach nobody.
    mute: bool,
}

impl Lab {
    /// Nodes that have all been told at time zero that their interface serves.
    fn new(settings: &[Settings]) -> Self {
        let mut lab = Self::dark(settings);
        for node in 0..settings.len() {
            lab.link_up(node);
        }
        lab
    }

    /// Nodes that know nothing of their interface yet.
    fn dark(settings: &[Settings]) -> Self {
        let node = |settings: &Settings| Node {
            router: Router::new(Instant::ZERO, settings.clone()),
            dead: false,
            lose: 0,
            mute: false,
        };
        Self {
            now: Instant::ZERO,
            nodes: settings.iter().map(node).collect(),
            log: Vec::new(),
            events: Vec::new(),
        }
    }

    fn link_up(&mut self, node: usize) {
        let source = Source {
            address: match self.nodes[node].router.settings().family() {
                Family::V4 => address(node),
                Family::V6 => address_v6(node),
            },
        };
        self.act(node, |router, now| router.set_link(now, Ok(source)));
    }

    fn link_down(&mut self, node: usize) {
        self.act(node, |router, now| {
            router.set_link(now, Err(Fault::LinkDown));
        });
    }

    /// Does something to a node and lets the consequences happen.
    fn act(&mut self, node: usize, act: impl FnOnce(&mut Router, Instant)) {
        act(&mut self.nodes[node].router, self.now);
        self.drain(node);
    }

    /// An advert from outside, as `from` would send it.
    fn inject(&mut self, to: usize, source: IpAddr, priority: u8) {
        let settings = self.nodes[to].router.settings().clone();
        self.inject_as(to, source, priority, &settings);
    }

    fn inject_as(&mut self, to: usize, source: IpAddr, priority: u8, settings: &Settings) {
        let payload = advert(source, priority, settings);
        let received = Received {
            source,
            destination: settings.group,
            ttl: TTL,
            payload: &payload,
        };
        self.act(to, |router, now| router.handle_advert(now, &received));
    }

    /// Jumps from timeout to timeout up to `micros` since the start.
    fn run_to(&mut self, micros: u64) {
        let end = Instant::from_micros(micros);
        for _ in 0..100_000 {
            let alive = self.nodes.iter().enumerate().filter(|(_, node)| !node.dead);
            let next = alive
                .filter_map(|(index, node)| Some((node.router.next_timeout()?, index)))
                .min();
            let Some((at, node)) = next.filter(|(at, _)| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.act(node, Router::handle_timeout);
        }
        panic!("time stands still at {}", self.now);
    }

    /// Wakes a node late, at `micros`, without having woken it before.
    fn oversleep_to(&mut self, micros: u64, node: usize) {
        self.now = Instant::from_micros(micros);
        self.act(node, Router::handle_timeout);
    }

    /// Sends what a node wants sent; what is heard makes others send in turn.
    fn drain(&mut self, first: usize) {
        let mut turn = VecDeque::from([first]);
        while let Some(index) = turn.pop_front() {
            let at = self.now.micros();
            let mut adverts = Vec::new();
            loop {
                let node = &mut self.nodes[index];
                while let Some(transmit) = node.router.poll_transmit() {
                    match transmit {
                        Transmit::Advert {
                            source,
                            destination,
                            ttl,
                            payload,
                        } => {
                            self.log.push((at, index, Did::Advert(payload[2])));
                            let lost = node.mute || node.lose > 0;
                            node.lose = node.lose.saturating_sub(1);
                            if !lost {
                                adverts.push((source, destination, ttl, payload.to_vec()));
                            }
                        }
                        Transmit::Announce { address } => {
                            self.log.push((at, index, Did::Announce(address)));
                        }
                    }
                }
                node.router.addresses_present(self.now, |_| true);
                if !node.router.wants_transmit() {
                    break;
                }
            }
            while let Some(event) = self.nodes[index].router.poll_event() {
                if let Event::StateChanged { new, .. } = event {
                    self.log.push((at, index, Did::Enter(new)));
                }
                assert!(!event.to_string().contains('\n'));
                self.events.push((at, index, event));
            }
            for (source, destination, ttl, payload) in &adverts {
                for (other, node) in self.nodes.iter_mut().enumerate() {
                    let hears =
                        destination.is_multicast() || node.router.source() == Some(*destination);
                    if other != index && !node.dead && hears {
                        let received = Received {
                            source: *source,
                            destination: *destination,
                            ttl: *ttl,
                            payload,
                        };
                        node.router.handle_advert(self.now, &received);
                        turn.push_back(other);
                    }
                }
            }
        }
    }

    fn state(&self, node: usize) -> StateName {
        self.nodes[node].router.state().name()
    }

    /// All changes of state since the start.
    fn changes(&self) -> Vec<(u64, usize, StateName)> {
        let changes = self.log.iter().filter_map(|(at, node, did)| match did {
            Did::Enter(state) => Some((*at, *node, *state)),
            _ => None,
        });
        changes.collect()
    }

    /// All adverts of a node: microseconds and priority.
    fn adverts(&self, of: usize) -> Vec<(u64, u8)> {
        let adverts = self.log.iter().filter_map(|(at, node, did)| match did {
            Did::Advert(priority) if *node == of => Some((*at, *priority)),
            _ => None,
        });
        adverts.collect()
    }

    /// The times of a node's announcements.
    fn announcements(&self, of: usize) -> Vec<u64> {
        let announcements = self.log.iter().filter_map(|(at, node, did)| match did {
            Did::Announce(_) if *node == of => Some(*at),
            _ => None,
        });
        announcements.collect()
    }

    fn forget(&mut self) {
        self.log.clear();
        self.events.clear();
    }

    fn why(&self, node: usize) -> String {
        let why = self.nodes[node].router.why_not_active(self.now);
        why.map(|why| why.to_string()).unwrap_or_default()
    }
}

/// The bytes of an advert with these settings.
fn advert(source: IpAddr, priority: u8, settings: &Settings) -> Vec<u8> {
    let octets = Octets::of(settings);
    let form = match settings.version {
        Version::V2 => Form::V2 {
            interval_s: u8::try_from(settings.advert_interval.as_secs()).unwrap(),
            auth: settings.pass.map_or(Auth::None, Auth::Pass),
        },
        Version::V3 => Form::V3 {
            interval_cs: u16::try_from(settings.advert_interval.as_millis() / 10).unwrap(),
            pseudo_header: !settings.checksum_as_v2,
        },
    };
    let mut payload = Vec::new();
    let repr = Repr {
        vrid: settings.vrid,
        priority,
        form,
        addresses: octets.as_addresses(),
    };
    repr.emit(source, settings.group, &mut payload);
    payload
}
