//! What can be put into any topology: a configuration, IPv6, agents, further files.
use std::net::{IpAddr, Ipv6Addr};

use director_core::config::{Source, parse};
use director_core::moving::realserver::{Form, servers};
use image::FurtherFile;

use super::{Port, Role, Topology};
use crate::frame::Mac;

impl Topology {
    /// Gives every director this keepalived.conf, and sets the real servers in it up for it.
    #[must_use]
    pub fn with_keepalived(mut self, text: &str) -> Self {
        for node in &mut self.nodes {
            if let Role::Director { keepalived, .. } = &mut node.role {
                *keepalived = text.to_owned();
            }
        }
        self.with_servers_for(text)
    }

    /// Sets the real servers that this keepalived.conf has up for it. The others stay as they are, and so do all when
    /// it has errors.
    #[must_use]
    pub fn with_servers_for(mut self, keepalived: &str) -> Self {
        let router = self.nodes.iter().find_map(|node| match &node.role {
            Role::Director { router, .. } => Some(router.clone()),
            _ => None,
        });
        let router = router.unwrap_or_default();
        for node in &mut self.nodes {
            let wanted: String = node
                .ports
                .iter()
                .flat_map(Port::addresses)
                .filter_map(|(address, _)| settings(keepalived, &router, address))
                .collect();
            if let (Role::Server { commands, .. }, false) = (&mut node.role, wanted.is_empty()) {
                *commands = wanted;
            }
        }
        self
    }

    /// Gives every port an address of IPv6 too: fd00:77::HOST/64 on `lan`, fd00:78::HOST/64 on `inside`. Before the
    /// keepalived.conf, if real servers are to be set up for these.
    #[must_use]
    pub fn with_ipv6(mut self) -> Self {
        for node in &mut self.nodes {
            for port in &mut node.ports {
                let [.., net, host] = port.mac.0;
                let Some(address) = address6(port.mac) else {
                    continue;
                };
                if let Role::Director { router, .. } = &mut node.role {
                    let v4 = format!("    address 10.77.{net}.{host}/24\n");
                    let both = format!("{v4}    address {address}/64\n");
                    *router = router.replace(&v4, &both);
                } else {
                    port.address6 = Some((address, 64));
                }
            }
        }
        self
    }

    /// Gives every director the lab's agent beside the product.
    #[must_use]
    pub fn with_agents(mut self) -> Self {
        for node in &mut self.nodes {
            if let Role::Director { agent, .. } = &mut node.role {
                *agent = true;
            }
        }
        self
    }

    /// Gives every director this file beside its keepalived.conf.
    #[must_use]
    pub fn with_file(mut self, file: &FurtherFile) -> Self {
        for node in &mut self.nodes {
            if let Role::Director { files, .. } = &mut node.role {
                files.push(file.clone());
            }
        }
        self
    }
}

/// What the real server at `address` must be told when a director has these files; none when it is not in them.
pub(super) fn settings(keepalived: &str, router: &str, address: IpAddr) -> Option<String> {
    fn source<'a>(name: &'a str, text: &'a str) -> Source<'a> {
        let bytes = text.as_bytes();
        Source { name, bytes }
    }
    let keepalived = source("keepalived.conf", keepalived);
    let router = source("router.conf", router);
    let config = parse(Some(keepalived), Some(router)).config?;
    let settings = servers(&config).remove(&address)?;
    Some(settings.render(address, Form::Commands))
}

/// The address of IPv6 on that port: it reads like that of IPv4, fd00:77::HOST or fd00:78::HOST.
fn address6(mac: Mac) -> Option<Ipv6Addr> {
    let [.., net, host] = mac.0;
    format!("fd00:{}::{host}", 77 + u16::from(net)).parse().ok()
}
