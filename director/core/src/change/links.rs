//! The links that two configurations speak of.

use std::collections::BTreeMap;

use crate::config::{Config, Vmac};
use crate::kernel::{Link, Macvlan};
use crate::net::{IfName, Ifindex};
use crate::plan;

/// Every interface that either configuration speaks of, as a link that is there and up.
pub(super) fn links(old: &Config, new: &Config) -> BTreeMap<Ifindex, Link> {
    let mut links: BTreeMap<Ifindex, Link> = BTreeMap::new();
    for config in [old, new] {
        let interfaces = config
            .node
            .interfaces
            .iter()
            .map(|interface| &interface.name);
        let routes = config.node.routes.iter().chain(&config.statics.routes);
        let routes = routes.chain(config.routers.iter().flat_map(|router| &router.routes));
        let routes = routes.flat_map(|route| {
            let hops = route.hops.iter().filter_map(|hop| hop.interface.as_ref());
            route.interface.iter().chain(hops)
        });
        let rules = config.routers.iter().flat_map(|router| &router.rules);
        let rules = config.statics.rules.iter().chain(rules);
        let rules = rules.flat_map(|rule| rule.iif.iter().chain(&rule.oif));
        let fixed = config.statics.addresses.iter().map(|had| &had.interface);
        let routers = config.routers.iter().flat_map(|router| {
            let carriers = router.virtual_addresses().map(|address| &address.interface);
            carriers.chain([&router.interface])
        });
        let sync = config.sync_daemon.iter().map(|sync| &sync.interface);
        for name in interfaces
            .chain(routes)
            .chain(rules)
            .chain(fixed)
            .chain(routers)
            .chain(sync)
        {
            if plan::link(config, &links, name).is_none() {
                let ifindex = next_ifindex(&links);
                links.insert(ifindex, link(config, name, ifindex));
            }
        }
    }
    for vmac in [old, new].into_iter().flat_map(vmacs) {
        let base =
            plan::link(old, &links, &vmac.base).or_else(|| plan::link(new, &links, &vmac.base));
        let Some(base) = base.map(|link| link.ifindex) else {
            continue;
        };
        let is_it = |link: &Link| link.name == vmac.name && link.mac == vmac.mac;
        if links.values().any(is_it) {
            continue;
        }
        let ifindex = next_ifindex(&links);
        let device = Link {
            ifindex,
            mac: vmac.mac,
            macvlan: Some(Macvlan { base, ours: true }),
            ..link(new, &vmac.name, ifindex)
        };
        links.insert(ifindex, device);
    }
    links
}

fn next_ifindex(links: &BTreeMap<Ifindex, Link>) -> Ifindex {
    let count = u32::try_from(links.len()).unwrap_or(u32::MAX);
    Ifindex(count.saturating_add(1))
}

fn vmacs(config: &Config) -> impl Iterator<Item = &Vmac> {
    config.routers.iter().flat_map(|router| &router.vmacs)
}

fn link(config: &Config, name: &IfName, ifindex: Ifindex) -> Link {
    let mut configured = config.node.interfaces.iter();
    let configured = configured.find(|interface| interface.name == *name);
    Link {
        ifindex,
        name: name.clone(),
        mac: configured
            .and_then(|interface| interface.mac)
            .unwrap_or_default(),
        mtu: 0,
        up: true,
        carrier: true,
        loopback: false,
        macvlan: None,
    }
}
