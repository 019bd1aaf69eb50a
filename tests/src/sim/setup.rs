//! Configurations to live with, made by chance or by hand.

use std::sync::Arc;

use core::net::IpAddr;

use director_core::config::{
    Config, Garp, Interface, Node, RealServer, Route, Router, SyncDaemon, SyncGroup, Unicast,
    UnicastPeer, Version, VirtualAddress, VirtualServer,
};
use director_core::ipvs::{Forwarding, Protocol, Service, ServiceId, SyncWire};
use director_core::net::{Cidr, Family};
use director_core::time::Duration;
use director_core::wire::vrrp;

use super::random::Random;
use super::routing;
use super::servers::{another_kind, dest, dest_id, real};
use super::{groups, intruder, locals, vmac};

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Of each node, what a reload brings in turn; the first is there at the start.
    pub configs: Vec<Vec<Config>>,
}

impl Setup {
    /// A pair with one virtual router (priorities 150 and 100), one address, one service on two real servers.
    #[must_use]
    pub fn pair(version: Version, advert_interval: Duration) -> Self {
        let configs = (0..2_u8).map(|node| {
            let mut config = node_config(node);
            let mut router = router(51, version, advert_interval);
            router.priority = if node == 0 { 150 } else { 100 };
            config.routers.push(router);
            config
                .services
                .push(service(80, &[real(1, false), real(2, true)]).into());
            vec![config]
        });
        Self {
            configs: configs.collect(),
        }
    }

    /// The same pair, which a reload gives `count` services with ten real servers each.
    #[must_use]
    pub fn growing_pair(version: Version, advert_interval: Duration, count: u16) -> Self {
        let mut setup = Self::pair(version, advert_interval);
        let reals: Vec<_> = (1..=10)
            .map(|number| {
                let mut real = real(1 + number % 9, false);
                real.id.port = 8000 + u16::from(number);
                real.dest.forwarding = Forwarding::Nat;
                Arc::make_mut(&mut real.checks[0].how).interval = Duration::from_secs(60);
                real
            })
            .collect();
        for configs in &mut setup.configs {
            let mut config = configs[0].clone();
            config.services = (0..count)
                .map(|number| service(1000 + number, &reals).into())
                .collect();
            configs.push(config);
        }
        setup
    }

    /// Two or three nodes with whatever chance gives.
    #[must_use]
    pub fn random(random: &mut Random) -> Self {
        let nodes = 2 + random.below(2);
        let mut routers = vec![random_router(51, random)];
        if random.chance(40) {
            routers.push(random_router(52, random));
        }
        let services = random_services(random);
        let sync = random.chance(50).then(|| SyncDaemon {
            interface: "eth0".parse().expect("a short name"),
            router: random.chance(70).then(|| routers[0].name.clone()),
            id: 51,
            wire: SyncWire::default(),
        });
        let timeouts = random.pick(&[[0; 3], [901, 0, 301]]);
        // Of all routers of a node alike, so that members of a group still agree. No weight of 0: where nobody
        // reaches the servers nobody would be Active.
        let tracker = random.chance(30).then(|| groups::pool_tracker(random));
        let switch = random.chance(30).then(|| groups::switch(random));
        let equal = random.chance(10);
        // What members prefer must agree: a group can only be where all of them win.
        let grouped = routers.len() > 1 && random.chance(50);
        let groups = grouped.then(|| SyncGroup {
            name: "G".parse().expect("a short name"),
            members: routers.iter().map(|router| router.name.clone()).collect(),
        });
        let mut configs = Vec::new();
        for node in 0..nodes {
            let mut config = node_config(node as u8);
            config.services.clone_from(&services);
            config.sync_daemon.clone_from(&sync);
            config.timeouts = timeouts;
            config.groups.extend(groups.clone());
            for (index, router) in routers.iter().enumerate() {
                let mut router = router.clone();
                // The first router prefers the first node, the second one the last.
                let rank = if index == 0 || grouped {
                    nodes - node
                } else {
                    node + 1
                };
                router.priority = if equal { 100 } else { 60 + 30 * rank as u8 };
                if !equal && rank == nodes && random.chance(10) {
                    router.priority = 255;
                }
                router.state_master = random.chance(20);
                if let Some(unicast) = &mut router.unicast {
                    unicast.peers = peers(node, nodes, router.group);
                }
                config.routers.push(router);
            }
            groups::track(&mut config, tracker.as_ref(), switch.as_ref());
            locals::place(&mut config);
            configs.push(vec![config]);
        }
        for _ in 0..random.below(4) {
            variant(&mut configs, random);
        }
        Self { configs }
    }
}

/// The own addresses of a node, one of each family.
#[must_use]
pub fn own_addresses(node: usize) -> [IpAddr; 2] {
    [
        [10, 0, 0, 1 + node as u8].into(),
        [0xfe80, 0, 0, 0, 0, 0, 0, 1 + node as u16].into(),
    ]
}

/// A node without routers and services.
fn node_config(node: u8) -> Config {
    let [v4, v6] = own_addresses(node.into());
    let cidr = |address, prefix| Cidr { address, prefix };
    Config {
        node: Node {
            hostname: Some(format!("node{node}")),
            interfaces: vec![Interface {
                name: "eth0".parse().expect("a short name"),
                mac: None,
                addresses: vec![cidr(v4, 24), cidr(v6, 64)],
                mtu: None,
            }],
            routes: vec![Route {
                via: Some([10, 0, 0, 254].into()),
                interface: Some("eth0".parse().expect("a short name")),
                ..Route::to("0.0.0.0/0".parse().expect("a prefix"))
            }],
            ..Node::default()
        },
        ..Config::default()
    }
}

fn router(vrid: u8, version: Version, advert_interval: Duration) -> Router {
    Router {
        name: format!("VI_{vrid}").parse().expect("a short name"),
        interface: "eth0".parse().expect("a short name"),
        vrid,
        version,
        priority: 100,
        state_master: false,
        advert_interval,
        preempt: true,
        preempt_delay: Duration::ZERO,
        pass: (version == Version::V2).then_some(*b"secret\0\0"),
        accept: true,
        hmac: None,
        addresses: vec![virtual_address(vrid, 0)],
        excluded: Vec::new(),
        locals: Vec::new(),
        vmacs: Vec::new(),
        advert_mac: None,
        garp_extra_all: false,
        routes: Vec::new(),
        rules: Vec::new(),
        source: None,
        group: IpAddr::V4(vrrp::GROUP),
        track_source: false,
        unicast: None,
        owner_ignores_adverts: false,
        timer_expired_backup: false,
        delay_after_boot: Duration::ZERO,
        down_adverts: 3,
        checksum_as_v2: false,
        lower_prio_no_advert: false,
        higher_prio_send_advert: true,
        ignore_link: false,
        trackers: Vec::new(),
        startup_delay: Duration::ZERO,
        garp: Garp {
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

/// A virtual address of IPv4.
fn virtual_address(vrid: u8, index: u8) -> VirtualAddress {
    on_eth0([10, 0, vrid, 100 + index].into())
}

/// A virtual address of the family that the router speaks.
fn further_address(router: &Router, index: u8) -> VirtualAddress {
    match router.family() {
        Family::V4 => virtual_address(router.vrid, index),
        Family::V6 => {
            let (vrid, host) = (router.vrid.into(), 0x100 + u16::from(index));
            on_eth0([0xfe80, 0, 0, 0, 0, 0, vrid, host].into())
        }
    }
}

pub(super) fn on_eth0(address: IpAddr) -> VirtualAddress {
    VirtualAddress {
        cidr: Cidr::host(address),
        interface: "eth0".parse().expect("a short name"),
        options: None,
    }
}

fn random_router(vrid: u8, random: &mut Random) -> Router {
    let millis = random.pick(&[1000, 1000, 1000, 200, 100, 50, 10]);
    let interval = Duration::from_millis(millis);
    let version = if millis == 1000 && random.chance(60) {
        Version::V2
    } else {
        Version::V3
    };
    let mut router = router(vrid, version, interval);
    if version == Version::V3 && random.chance(30) {
        router.group = IpAddr::V6(vrrp::GROUP_V6);
        router.addresses = vec![further_address(&router, 0)];
    }
    if random.chance(20) {
        vmac::toggle(&mut router);
    }
    router.preempt = random.chance(75);
    if random.chance(20) {
        router.preempt_delay = random.time(interval, interval * 10);
    }
    if random.chance(20) {
        router.startup_delay = random.time(interval, interval * 5);
    }
    for index in 1..1 + random.below(3) as u8 {
        router.addresses.push(further_address(&router, index));
    }
    if random.chance(30) {
        router.excluded.push(virtual_address(vrid, 9));
    }
    routing::add(&mut router, random);
    router.checksum_as_v2 = random.chance(20);
    router.unicast = random.chance(20).then(|| Unicast {
        peers: Vec::new(),
        ttl: 64,
        check_source: random.chance(80),
    });
    router.lower_prio_no_advert = random.chance(10);
    router.accept = random.chance(80);
    router.hmac = random.chance(20).then(|| intruder::signing(random));
    router.higher_prio_send_advert = random.chance(80);
    router.ignore_link = random.chance(10);
    router.down_adverts = random.pick(&[3, 3, 3, 2, 5]);
    if random.chance(20) {
        router.garp.refresh = Duration::from_secs(2);
    }
    if random.chance(20) {
        router.garp.interval = Duration::from_millis(1);
    }
    router
}

/// The other nodes, by their addresses of the family of the group.
fn peers(node: usize, nodes: usize, group: IpAddr) -> Vec<UnicastPeer> {
    let others = (0..nodes).filter(|other| *other != node);
    let addresses = others.flat_map(own_addresses);
    let peers = addresses.filter(|address| address.is_ipv4() == group.is_ipv4());
    peers
        .map(|address| UnicastPeer {
            address,
            ttl_min: 0,
            ttl_max: u8::MAX,
        })
        .collect()
}

fn random_services(random: &mut Random) -> Vec<Arc<VirtualServer>> {
    let count = random.below(3);
    let mut services = Vec::new();
    for index in 0..count as u16 {
        let reals: Vec<_> = (0..1 + random.below(3) as u8)
            .map(|number| {
                let mut real = real(1 + number, random.chance(50));
                let address = real.id.address;
                real.inhibit_on_failure = random.chance(30);
                real.alpha = random.chance(30);
                real.dest.weight = 1 + random.below(3) as u32;
                if random.chance(20) {
                    real.slow_start =
                        random.time(Duration::from_millis(100), Duration::from_secs(3));
                }
                for check in &mut real.checks {
                    let how = Arc::make_mut(&mut check.how);
                    how.retry = random.below(3) as u32;
                    how.rise = 1 + random.below(3) as u32;
                    how.interval = random.time(Duration::from_secs(1), Duration::from_secs(3));
                    if random.chance(40) {
                        another_kind(check, address, random);
                    }
                }
                if random.chance(10) {
                    real.checks.clear();
                }
                real
            })
            .collect();
        let mut service = service(80 + index, &reals);
        if random.chance(30) {
            service.sorry = Some(Box::new((dest_id(9), dest(1))));
            service.sorry_inhibit = random.chance(30);
        }
        if random.chance(20) {
            service.group = Some(Box::new("G".parse().expect("a short name")));
            service.others = (0..1 + random.below(3) as u16)
                .map(|member| service_id(1000 + 100 * index + member))
                .collect();
        }
        if random.chance(30) {
            service.drain_timeout = random.time(Duration::ZERO, Duration::from_secs(5));
        }
        service.ha_suspend = random.chance(15);
        if random.chance(15) {
            service.quorum_address = Some(Box::new(virtual_address(99, 0)));
        }
        if random.chance(20) {
            (service.quorum, service.hysteresis) = (2, random.below(2) as u32);
        }
        if random.chance(30) {
            let last = 250 + random.below(3) as u8;
            service.locals = (250..=last).map(|last| [10, 0, 0, last].into()).collect();
        }
        services.push(service.into());
    }
    services
}

/// Adds a further configuration to every node: the last one with one thing changed.
fn variant(configs: &mut [Vec<Config>], random: &mut Random) {
    let kind = random.below(8);
    let extra = random_services(random);
    for (node, configs) in configs.iter_mut().enumerate() {
        let Some(mut config) = configs.last().cloned() else {
            continue;
        };
        match kind {
            0 => config.services = extra.clone(),
            1 => {
                for service in &mut config.services {
                    Arc::make_mut(service).real_servers.truncate(1);
                }
            }
            2 => {
                for router in &mut config.routers {
                    router.addresses.push(further_address(router, 20));
                    router.excluded.clear();
                }
            }
            3 => {
                for router in config
                    .routers
                    .iter_mut()
                    .filter(|router| router.priority < 255)
                {
                    router.priority = 200 - 20 * node as u8;
                }
            }
            // Where only some nodes have all members, the group of the others waits for ever.
            4 if config.groups.is_empty() => {
                config.routers.truncate(1);
            }
            4 => config.groups.clear(),
            5 => config.timeouts = [0, 60, 0],
            6 => config.routers.iter_mut().for_each(vmac::toggle),
            _ => {} // a reload that changes nothing
        }
        locals::place(&mut config);
        configs.push(config);
    }
}

fn service(port: u16, reals: &[RealServer]) -> VirtualServer {
    VirtualServer {
        group: None,
        others: Vec::new(),
        id: service_id(port),
        service: Service {
            scheduler: "wlc".parse().expect("a short name"),
            flags: 0,
            timeout_s: 0,
            granularity: 32,
            sip: false,
        },
        real_servers: reals.to_vec(),
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

fn service_id(port: u16) -> ServiceId {
    ServiceId::Address {
        protocol: Protocol::Tcp,
        address: virtual_address(51, 0).cidr.address,
        port,
    }
}
