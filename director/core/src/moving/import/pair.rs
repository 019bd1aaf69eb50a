//! The pair of nodes around the services: virtual routers, what both nodes share, and the router.conf of each.

use core::fmt::Write as _;
use core::net::IpAddr;
use std::collections::BTreeMap;

use super::Imported;
use super::notes::Notes;
use super::outline::Block;

/// The virtual routers' numbers, as the old pair had none: those of many an example, of IPv4 and IPv6.
const VRIDS: [u8; 2] = [51, 52];
/// What the nodes are called, where the file has no names for them.
pub(super) const HOSTNAMES: [&str; 2] = ["director1", "director2"];

/// What is known of the pair.
#[derive(Debug)]
pub(super) struct Pair {
    /// Where virtual addresses are that name no interface.
    pub(super) interface: String,
    /// Virtual addresses with their interfaces, each once.
    addresses: BTreeMap<IpAddr, (u8, String)>,
    /// Seconds between two adverts.
    pub(super) advert_s: Option<u32>,
    /// The address of each node.
    pub(super) nodes: [Option<IpAddr>; 2],
    /// Lines for `global_defs`.
    pub(super) globals: Vec<String>,
    /// Where connections are synchronised, and by which identifier.
    pub(super) sync: Option<(String, u32)>,
}

impl Pair {
    pub(super) fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            addresses: BTreeMap::new(),
            advert_s: None,
            nodes: [None; 2],
            globals: Vec::new(),
            sync: None,
        }
    }

    /// Adds a virtual address; one that is there stays as it is.
    pub(super) fn add(&mut self, address: IpAddr, prefix: Option<u8>, interface: Option<String>) {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let interface = interface.unwrap_or_else(|| self.interface.clone());
        let entry = (prefix.unwrap_or(longest), interface);
        self.addresses.entry(address).or_insert(entry);
    }

    /// Writes the files.
    pub(super) fn write(self, services: &[Block], mut notes: Notes) -> Imported {
        let routers = self.routers();
        if !routers.is_empty() {
            let why =
                "virtual_router_id 51 (IPv6: 52), which no other pair on the network may have";
            notes.assumed(1, why);
        }
        let mut blocks = Vec::new();
        blocks.extend(Some(self.globals(&routers)).filter(|globals| !globals.is_empty()));
        blocks.extend(routers);
        blocks.extend(services.iter().cloned());
        let mut keepalived = "# Both nodes have this file: lines that begin with @NAME hold on the node of that name.\n"
            .to_owned();
        for block in &blocks {
            let _ = write!(keepalived, "\n{}", block.text());
        }
        let node = |index| self.router_conf(index);
        Imported {
            keepalived,
            routers: vec![node(0), node(1)],
            notes: notes.finish(),
        }
    }

    fn globals(&self, routers: &[Block]) -> Block {
        let mut globals = Block::new("global_defs");
        for line in &self.globals {
            globals.line(line);
        }
        if let Some((interface, id)) = &self.sync {
            let router = if routers.is_empty() { "" } else { " lvs4" };
            globals.line(format!("lvs_sync_daemon {interface}{router} id {id}"));
        }
        globals
    }

    /// One virtual router for each family. It advertises where the nodes have their own addresses.
    fn routers(&self) -> Vec<Block> {
        let home = self.nodes[0].and_then(|own| self.home(own));
        let of_family = |is_v4: bool| {
            let all = || {
                self.addresses
                    .iter()
                    .filter(move |(address, _)| address.is_ipv4() == is_v4)
            };
            let (_, (_, first)) = all().next()?;
            let interface = home.map_or(first.as_str(), |(_, interface)| interface);
            let mut block = Block::new(format!(
                "vrrp_instance {}",
                if is_v4 { "lvs4" } else { "lvs6" }
            ));
            block.line(format!("interface {interface}"));
            let [v4, v6] = VRIDS;
            block.line(format!("virtual_router_id {}", if is_v4 { v4 } else { v6 }));
            for (node, priority) in HOSTNAMES.iter().zip([150, 100]) {
                block.line(format!("@{node} priority {priority}"));
            }
            block.line(format!("advert_int {}", self.advert_s.unwrap_or(1)));
            let mut addresses = Block::new("virtual_ipaddress");
            for (address, (prefix, device)) in all() {
                let device = if device == interface {
                    String::new()
                } else {
                    format!(" dev {device}")
                };
                addresses.line(format!("{address}/{prefix}{device}"));
            }
            block.block(addresses);
            Some(block)
        };
        [true, false].into_iter().filter_map(of_family).collect()
    }

    fn router_conf(&self, index: usize) -> String {
        let mut system = Block::new("system");
        let hostname = HOSTNAMES.get(index).copied().unwrap_or_default();
        system.line(format!("hostname {hostname}"));
        let mut text = system.text();
        let mut interfaces: Vec<&str> = self
            .addresses
            .values()
            .map(|(_, name)| name.as_str())
            .collect();
        interfaces.extend(self.sync.iter().map(|(name, _)| name.as_str()));
        if interfaces.is_empty() {
            interfaces.push(&self.interface);
        }
        interfaces.sort_unstable();
        interfaces.dedup();
        let own = self.nodes.get(index).copied().flatten();
        let home = own.and_then(|own| self.home(own));
        for name in interfaces {
            let mut block = Block::new(format!("interface {name}"));
            match (own, home) {
                (Some(own), Some((prefix, device))) if device == name => {
                    block.line(format!("address {own}/{prefix}"));
                }
                _ => block.line("# address ADDRESS/PREFIX"),
            }
            text += &block.text();
        }
        text + "# route default { via GATEWAY }\n"
    }

    /// The network of the virtual address that this address is on: its prefix and interface.
    fn home(&self, own: IpAddr) -> Option<(u8, &str)> {
        let mut all = self.addresses.iter();
        let (_, (prefix, interface)) =
            all.find(|(address, (prefix, _))| is_same_network(**address, own, *prefix))?;
        Some((*prefix, interface))
    }
}

fn is_same_network(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    let differ = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b)).leading_zeros(),
        _ => return false,
    };
    differ >= u32::from(prefix)
}
