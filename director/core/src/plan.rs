//! From what is configured and what is so to what the kernel should hold: one pure function.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{self, Config, Interface, Router, VirtualAddress, VirtualServer};
use crate::filter::Filter;
use crate::ipvs::{Dest, DestId, Pool, ServiceId, SyncDaemon, SyncRole, SyncWire};
use crate::kernel::{AddressId, Desired, Link, NextHop, Route, Rule, Vmac};
use crate::net::{Cidr, Family, IfName, Ifindex};

/// What the plan is made from, beside the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The links there are.
    pub links: &'a BTreeMap<Ifindex, Link>,
    /// The virtual routers, with those that a reload gave up and that have not let go yet; and whether each holds
    /// its addresses.
    pub routers: &'a [(&'a Router, bool)],
    /// Addresses that follow the quorum of a service, and whether each may be there.
    pub quorums: &'a BTreeMap<&'a VirtualAddress, bool>,
    /// The packet filter that the configuration asks for, by [`filter`].
    pub filter: &'a Arc<Filter>,
    /// The end of an orderly stop: the synchronisation goes, as the services do; interfaces stay as they are.
    pub stopping: bool,
}

/// The kernel state that is right now, but for the IPVS table: that is [`pool`] for each service.
#[must_use]
pub fn plan(config: &Config, situation: &Situation<'_>) -> Desired {
    let mut desired = Desired::default();
    interfaces(config, situation, &mut desired);
    routing(config, situation, &mut desired);
    virtual_addresses(config, situation, &mut desired);
    if !situation.stopping {
        desired.filter = Arc::clone(situation.filter);
        desired.sync = sync(config, situation);
        desired.timeouts = config.timeouts;
    }
    desired
}

/// The packet filter that a configuration asks for, whatever the state of the node: without the virtual address or the
/// local address no packet meets its rules.
#[must_use]
pub fn filter(config: &Config) -> Filter {
    let mut filter = Filter::default();
    for router in config.routers.iter().filter(|router| !router.accept) {
        let addresses = router.virtual_addresses();
        filter
            .closed
            .extend(addresses.map(|address| address.cidr.address));
    }
    let translated = config
        .services
        .iter()
        .filter(|server| !server.locals.is_empty());
    for server in translated {
        filter.closed.extend(&server.locals);
        for id in server.ids() {
            let ServiceId::Address {
                protocol,
                address,
                port,
            } = id
            else {
                continue;
            };
            let of_family = |local: &&IpAddr| Family::of(**local) == id.family();
            let locals: Vec<IpAddr> = server.locals.iter().filter(of_family).copied().collect();
            let services = filter.translated.entry(locals);
            let target = SocketAddr::new(address, port);
            services.or_default().insert((protocol, target));
        }
    }
    filter
}

/// The link that a configured interface name means: by hardware address when router.conf gives one, else by name.
#[must_use]
pub fn link<'a>(
    config: &Config,
    links: &'a BTreeMap<Ifindex, Link>,
    name: &IfName,
) -> Option<&'a Link> {
    let mac = config
        .node
        .interfaces
        .iter()
        .find(|interface| interface.name == *name)
        .and_then(|found| found.mac);
    links.values().find(|link| match mac {
        Some(mac) => link.mac == mac,
        None => link.name == *name,
    })
}

/// [`link`] for one name after the other, of which most are the one before: a node has hundreds of virtual addresses on
/// a few interfaces, and is planned anew at each takeover.
#[derive(Debug)]
pub struct Finder<'a> {
    config: &'a Config,
    links: &'a BTreeMap<Ifindex, Link>,
    last: Option<(&'a IfName, Option<&'a Link>)>,
    /// The devices that may be those of virtual hardware addresses, by name.
    devices: BTreeMap<&'a IfName, &'a Link>,
}

impl<'a> Finder<'a> {
    /// A finder among these links.
    #[must_use]
    pub fn new(config: &'a Config, links: &'a BTreeMap<Ifindex, Link>) -> Self {
        let devices = links.values().filter(|link| link.macvlan.is_some());
        Self {
            config,
            links,
            last: None,
            devices: devices.map(|link| (&link.name, link)).collect(),
        }
    }

    /// The link that a configured interface name means.
    pub fn link(&mut self, name: &'a IfName) -> Option<&'a Link> {
        match self.last {
            Some((known, found)) if known == name => found,
            _ => {
                let found = link(self.config, self.links, name);
                self.last = Some((name, found));
                found
            }
        }
    }

    /// The device of a virtual hardware address, when it is there.
    pub fn device(&mut self, vmac: &'a config::Vmac) -> Option<&'a Link> {
        let wanted = self.vmac(vmac, false)?;
        let device = self.devices.get(&vmac.name)?;
        wanted.is(device).then_some(*device)
    }

    /// What the kernel is asked for.
    fn vmac(&mut self, vmac: &'a config::Vmac, up: bool) -> Option<Vmac> {
        let base = self.link(&vmac.base)?.ifindex;
        let mac = vmac.mac;
        Some(Vmac { base, mac, up })
    }

    /// Where a router's virtual address is put, when that is there: on the device of the router's hardware address,
    /// if it has one on the address's interface.
    pub fn carrier(
        &mut self,
        router: &'a Router,
        address: &'a VirtualAddress,
    ) -> Option<(AddressId, &'a Link)> {
        let mut cidr = address.cidr;
        let link = match router.vmac_on(&address.interface) {
            None => self.link(&address.interface)?,
            Some(vmac) => {
                cidr = on_device(cidr);
                self.device(vmac)?
            }
        };
        let ifindex = link.ifindex;
        Some((AddressId { ifindex, cidr }, link))
    }
}

/// A device of a virtual hardware address has no link-local address but the virtual one, which so brings the network of
/// its link: without it nobody there would be answered.
fn on_device(cidr: Cidr) -> Cidr {
    match cidr.address {
        IpAddr::V6(address) if address.is_unicast_link_local() && cidr.prefix == 128 => {
            Cidr { prefix: 64, ..cidr }
        }
        _ => cidr,
    }
}

fn interfaces(config: &Config, situation: &Situation<'_>, desired: &mut Desired) {
    for Interface {
        name,
        addresses,
        mtu,
        ..
    } in &config.node.interfaces
    {
        let Some(link) = link(config, situation.links, name) else {
            continue;
        };
        desired.links.insert(link.ifindex, *mtu);
        desired
            .addresses
            .extend(addresses.iter().map(|cidr| AddressId {
                ifindex: link.ifindex,
                cidr: *cidr,
            }));
    }
    let mut finder = Finder::new(config, situation.links);
    for (router, active) in situation.routers {
        let carriers = router.virtual_addresses().map(|address| &address.interface);
        for name in carriers.chain([&router.interface]) {
            if let Some(link) = finder.link(name) {
                desired.links.entry(link.ifindex).or_insert(None);
            }
        }
        for vmac in router.vmacs.iter().filter(|_| !situation.stopping) {
            let wanted = finder.vmac(vmac, *active);
            let named = wanted.map(|wanted| (vmac.name.clone(), wanted));
            desired.vmacs.extend(named);
        }
    }
}

/// Routes and rules are there always, or while their router is Active. One waits until its interface is there.
fn routing(config: &Config, situation: &Situation<'_>, desired: &mut Desired) {
    let active = || situation.routers.iter().filter(|(_, active)| *active);
    let routes = config.node.routes.iter().chain(&config.statics.routes);
    let routes = routes.chain(active().flat_map(|(router, _)| &router.routes));
    let rules = config.statics.rules.iter();
    let rules = rules.chain(active().flat_map(|(router, _)| &router.rules));
    desired.routes = routes
        .filter_map(|of| route(config, situation, of))
        .collect();
    desired.rules = rules.filter_map(|of| rule(config, situation, of)).collect();
}

fn route(config: &Config, situation: &Situation<'_>, route: &config::Route) -> Option<Route> {
    let number = |name: &Option<IfName>| match name {
        None => Some(None),
        Some(name) => Some(Some(link(config, situation.links, name)?.ifindex)),
    };
    let ifindex = number(&route.interface)?;
    let hops = route.hops.iter().map(|hop| {
        Some(NextHop {
            via: hop.via,
            ifindex: number(&hop.interface)?,
            weight: hop.weight,
            onlink: hop.onlink,
        })
    });
    Some(Route {
        destination: route.destination,
        kind: route.kind,
        via: route.via,
        ifindex,
        source: route.source,
        metric: route.metric,
        table: route.table,
        scope: route.scope,
        onlink: route.onlink,
        hops: hops.collect::<Option<_>>()?,
        metrics: route.metrics.clone(),
    })
}

fn rule(config: &Config, situation: &Situation<'_>, rule: &Rule) -> Option<Rule> {
    let kernel = |name: &Option<IfName>| match name {
        None => Some(None),
        Some(name) => Some(Some(link(config, situation.links, name)?.name.clone())),
    };
    Some(Rule {
        iif: kernel(&rule.iif)?,
        oif: kernel(&rule.oif)?,
        ..rule.clone()
    })
}

/// Virtual addresses are there exactly while their router is Active, or their services have their quorum; otherwise
/// this node must not hold them, whoever put them there. Static addresses, and local ones that no router has, are
/// always there.
fn virtual_addresses<'a>(config: &Config, situation: &Situation<'a>, desired: &mut Desired) {
    let mut finder = Finder::new(config, situation.links);
    // Gathered in rows, of which sets are made at once: there are hundreds in a takeover, and each plan has all.
    let (mut held, mut withheld) = (Vec::new(), Vec::new());
    for (router, active) in situation.routers {
        for address in router.virtual_addresses() {
            if !active {
                withheld.push(address.cidr.address);
            } else if let Some((id, _)) = finder.carrier(router, address) {
                held.push((id, address));
            }
        }
    }
    let mut fixed: Vec<&VirtualAddress> = config.statics.addresses.iter().collect();
    fixed.extend(&config.local_addresses);
    for (address, held) in situation.quorums {
        if *held && !situation.stopping {
            fixed.push(address);
        } else {
            withheld.push(address.cidr.address);
        }
    }
    for address in fixed {
        if let Some(link) = finder.link(&address.interface) {
            let (ifindex, cidr) = (link.ifindex, address.cidr);
            held.push((AddressId { ifindex, cidr }, address));
        }
    }
    desired.withheld = withheld.into_iter().collect();
    let options = |(id, address): &(AddressId, &VirtualAddress)| {
        let options = address.options.as_ref()?;
        Some((*id, Arc::clone(options)))
    };
    desired.options = held.iter().filter_map(options).collect();
    let mut held = held.into_iter().map(|(id, _)| id).collect();
    desired.addresses.append(&mut held);
}

/// One of the services of a `virtual_server` in the IPVS table; `dests` by [`crate::pool::dests`].
#[must_use]
pub fn pool(server: &VirtualServer, id: &ServiceId, dests: &BTreeMap<DestId, Dest>) -> Arc<Pool> {
    let dests = dests.iter();
    let dests = dests.map(|(dest, to)| (dest.within(id, to.forwarding), *to));
    Pool::new(server.service(id.family()), dests.collect())
}

/// The Active node sends its connections, the others receive; without a virtual router both run everywhere.
fn sync(config: &Config, situation: &Situation<'_>) -> BTreeMap<SyncRole, SyncDaemon> {
    let Some(wanted) = &config.sync_daemon else {
        return BTreeMap::new();
    };
    let Some(link) = link(config, situation.links, &wanted.interface) else {
        return BTreeMap::new();
    };
    // The kernel refuses a daemon on an interface that is down (ENETUNREACH): wait for it.
    if !link.up {
        return BTreeMap::new();
    }
    let mut routers = situation.routers.iter();
    let roles: &[SyncRole] = match &wanted.router {
        None => &[SyncRole::Master, SyncRole::Backup],
        Some(name) if routers.any(|(router, active)| router.name == *name && *active) => {
            &[SyncRole::Master]
        }
        Some(_) => &[SyncRole::Backup],
    };
    let daemon = |role: &SyncRole| {
        let mut wire = wanted.wire;
        if *role == SyncRole::Backup {
            // However short the datagrams that this node would send, its peer may have other plans.
            wire.maxlen = wire.maxlen.max(SyncWire::FRAME);
        }
        let daemon = SyncDaemon {
            interface: link.name.clone(),
            id: wanted.id,
            wire,
        };
        (*role, daemon)
    };
    roles.iter().map(daemon).collect()
}
