//! `static_ipaddress`, `static_routes`, `static_rules`: what a node holds beside its virtual routers.

use std::collections::BTreeMap;

use core::net::IpAddr;

use super::VirtualAddress;
use super::addresses::{self, Entry};
use super::diagnostic::Place;
use super::global::Global;
use super::read::Reader;
use super::routing::{self, Route};
use super::tree::Statement;
use crate::limits;
use crate::net::IfName;
use crate::routing::Rule;

/// Addresses, routes and rules that are always there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statics {
    /// Addresses.
    pub addresses: Vec<VirtualAddress>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Rules.
    pub rules: Vec<Rule>,
}

/// As it is written.
#[derive(Default)]
pub(super) struct Words {
    addresses: Vec<Entry>,
    routes: Vec<Route>,
    rules: Vec<Rule>,
}

impl Words {
    /// Whether this keyword opens one of the blocks.
    pub(super) fn has(word: &str) -> bool {
        matches!(word, "static_ipaddress" | "static_routes" | "static_rules")
    }

    /// Reads one of the blocks.
    pub(super) fn read(&mut self, reader: &mut Reader<'_, '_>, word: &str, block: Statement<'_>) {
        match word {
            "static_ipaddress" => drop(addresses::read(reader, block, &mut self.addresses)),
            "static_routes" => routing::routes(reader, block, &mut self.routes),
            _ => routing::rules(reader, block, &mut self.rules),
        }
        if self.routes.len().max(self.rules.len()) > limits::ROUTES_MAX {
            let message = format!("more than {} static routes or rules", limits::ROUTES_MAX);
            reader.sink.error(block.keyword().at, message);
        }
    }

    /// An address is there once, and is not a virtual one too: those are where their router is Active, and nowhere
    /// else.
    pub(super) fn resolve(
        &mut self,
        reader: &mut Reader<'_, '_>,
        global: &Global,
        taken: &mut BTreeMap<(IpAddr, Option<IfName>), Place>,
    ) -> Statics {
        let mut resolved = Vec::new();
        for entry in core::mem::take(&mut self.addresses) {
            let said = entry.device.as_ref().or(global.interface.as_ref()).cloned();
            let Some(interface) = said.or_else(|| "eth0".parse().ok()) else {
                continue;
            };
            let key = (entry.address.address, entry.scope(Some(&interface)));
            if let Some(first) = taken.get(&key) {
                let what = format!("the address `{}`", entry.address.address);
                reader.twice(entry.at, &what, *first);
                continue;
            }
            taken.insert(key, entry.at);
            resolved.push(VirtualAddress {
                cidr: entry.address,
                interface,
                options: entry.options.clone(),
            });
        }
        Statics {
            addresses: resolved,
            routes: core::mem::take(&mut self.routes),
            rules: core::mem::take(&mut self.rules),
        }
    }
}
