//! What a real server must be told so that DR and TUN work: the virtual address on a device that answers no ARP for
//! it, and the kernel settings (Linux `Documentation/networking/ip-sysctl.rst`).
//!
//! In DR and TUN a packet reaches the real server with the virtual address as its destination. The server must take
//! it, so the address is on `lo`; it must not tell the network about it, so `arp_ignore` and `arp_announce` are set;
//! and it must not find it strange that the packet came from where the way back does not lead, so `rp_filter` is
//! loosened. The kernel takes the larger of a port's and `all`'s value for each of the three. IPv6 has no ARP, and an
//! address on `lo` answers no neighbour solicitation on another port.

use core::fmt::Write as _;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Config, VirtualServer};
use crate::ipvs::{self, Dest, DestId, Forwarding, ServiceId};
use crate::net::Family;

/// One real server, with all that it needs for all the services that it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Its services with their forwarding method, as comments show them.
    services: BTreeSet<String>,
    /// Virtual addresses that it must take.
    addresses: BTreeSet<IpAddr>,
    /// Firewall marks whose addresses only the operator knows.
    marks: BTreeSet<u32>,
    /// Tunnels that end at it.
    tunnels: BTreeSet<Tunnel>,
    /// Packets come with the virtual address in them: DR or TUN.
    takes_virtual: bool,
    /// Its answers must go back through the director.
    is_translated: bool,
}

/// A tunnel from the director: how it wraps the packet, the family outside and the family inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tunnel {
    kind: Wrapping,
    outer: Family,
    inner: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wrapping {
    /// IP in IP.
    Ipip,
    /// Generic routing encapsulation.
    Gre,
    /// Generic UDP encapsulation of IP in IP, to this port.
    Gue(u16),
}

/// How the settings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Commands for a root shell; they hold until the next boot, and may be given again.
    Commands,
    /// Files of sysctl.d, modules-load.d and systemd-networkd.
    Networkd,
    /// Files of sysctl.d and Debian's ifupdown.
    Ifupdown,
}

/// The real servers of a configuration, sorry servers included, each once.
#[must_use]
pub fn servers(config: &Config) -> BTreeMap<IpAddr, Settings> {
    let mut servers: BTreeMap<IpAddr, Settings> = BTreeMap::new();
    for server in &config.services {
        let real = server.real_servers.iter().map(|real| (real.id, real.dest));
        for (id, dest) in real.chain(server.sorry.as_deref().copied()) {
            servers.entry(id.address).or_default().add(server, id, dest);
        }
    }
    servers
}

impl Settings {
    fn add(&mut self, server: &VirtualServer, id: DestId, dest: Dest) {
        let method = dest.forwarding;
        for service in server.ids() {
            self.services
                .insert(format!("{service} {}", server.method(method)));
            if method == Forwarding::Nat {
                // By FULLNAT the answers go to a local address of the director, by themselves.
                self.is_translated |= server.locals.is_empty();
                continue;
            }
            self.takes_virtual = true;
            match service {
                ServiceId::Address { address, .. } => drop(self.addresses.insert(address)),
                ServiceId::Fwmark { mark, .. } => drop(self.marks.insert(mark)),
            }
            let Forwarding::Tun(tunnel) = method else {
                continue;
            };
            let kind = match tunnel {
                ipvs::Tunnel::Ipip => Wrapping::Ipip,
                ipvs::Tunnel::Gre { .. } => Wrapping::Gre,
                ipvs::Tunnel::Gue { port, .. } => Wrapping::Gue(port),
            };
            self.tunnels.insert(Tunnel {
                kind,
                outer: Family::of(id.address),
                inner: service.family(),
            });
        }
    }

    /// The settings of the real server at `address`.
    #[must_use]
    pub fn render(&self, address: IpAddr, form: Form) -> String {
        let mut text = format!("# Real server {address}\n");
        for service in &self.services {
            text += &format!("#   {service}\n");
        }
        text += &self.remarks();
        if self.takes_virtual {
            match form {
                Form::Commands => self.commands(&mut text),
                Form::Networkd => self.networkd(address, &mut text),
                Form::Ifupdown => self.ifupdown(&mut text),
            }
        }
        text
    }

    /// What no setting can say, as this side does not know it.
    fn remarks(&self) -> String {
        let mut text = String::new();
        if self.is_translated {
            text += "# NAT: no setting, but answers must go back through the director: its inner virtual address is\n\
                     # the server's default route.\n";
        }
        for mark in &self.marks {
            let _ = writeln!(
                text,
                "# Firewall mark {mark}: put each address that the mark is set for on lo, too."
            );
        }
        if let Some(mss) = self.tunnels.iter().map(|tunnel| tunnel.mss()).min() {
            let _ = writeln!(
                text,
                "# A tunnel makes packets longer. Unless the way from the director carries that, let TCP ask for\n\
                 # shorter ones: ip route change default via GATEWAY advmss {mss}"
            );
        }
        text
    }

    /// Names and values of sysctls. With a tunnel, the way back never leads where the packet came from.
    fn sysctls(&self) -> Vec<(&'static str, &'static str)> {
        let is_v4 = |family: Family| family == Family::V4;
        let addressed = self.addresses.iter().any(|address| address.is_ipv4());
        if !addressed && self.marks.is_empty() {
            return Vec::new();
        }
        let mut list = vec![
            ("net.ipv4.conf.all.arp_ignore", "1"),
            ("net.ipv4.conf.all.arp_announce", "2"),
        ];
        list.push(if self.tunnels.iter().any(|tunnel| is_v4(tunnel.inner)) {
            ("net.ipv4.conf.*.rp_filter", "0")
        } else {
            ("net.ipv4.conf.all.rp_filter", "2")
        });
        list
    }

    /// Kernel modules that take packets out of what they are wrapped in.
    fn modules(&self) -> BTreeSet<&'static str> {
        let modules = self.tunnels.iter().map(|tunnel| tunnel.module());
        let ports = self.ports();
        modules.chain(ports.iter().map(|_| "fou")).collect()
    }

    /// UDP ports at which GUE ends, each with the family of the packets around it.
    fn ports(&self) -> BTreeSet<(u16, Family)> {
        let port = |tunnel: &Tunnel| match tunnel.kind {
            Wrapping::Gue(port) => Some((port, tunnel.outer)),
            _ => None,
        };
        self.tunnels.iter().filter_map(port).collect()
    }

    /// The fallback device of IPv6 takes IPv6 alone, unless it is told otherwise.
    fn takes_v4_in_v6(&self) -> bool {
        let mut tunnels = self.tunnels.iter();
        tunnels.any(|tunnel| tunnel.device() == "ip6tnl0" && tunnel.inner == Family::V4)
    }

    fn devices(&self) -> BTreeSet<&'static str> {
        self.tunnels.iter().map(|tunnel| tunnel.device()).collect()
    }

    /// Everything but sysctls, in the order in which it works.
    fn steps(&self) -> Vec<String> {
        let mut steps: Vec<String> = Vec::new();
        steps.extend(
            self.modules()
                .iter()
                .map(|module| format!("modprobe {module}")),
        );
        for (port, family) in self.ports() {
            let end = match family {
                Family::V4 => format!("port {port}"),
                Family::V6 => format!("port {port} -6"),
            };
            steps.push(format!(
                "ip fou del {end} 2> /dev/null; ip fou add {end} gue"
            ));
        }
        if self.takes_v4_in_v6() {
            steps.push(format!("ip {V4_IN_V6}"));
        }
        steps.extend(
            self.devices()
                .iter()
                .map(|device| format!("ip link set {device} up")),
        );
        steps.extend(
            self.addresses
                .iter()
                .map(|address| replace_address(*address)),
        );
        steps
    }

    /// The address last: until then the server must have learnt to keep it to itself.
    fn commands(&self, text: &mut String) {
        let (addresses, others): (Vec<_>, Vec<_>) = self
            .steps()
            .into_iter()
            .partition(|step| step.starts_with("ip address"));
        for step in others {
            *text += &format!("{step}\n");
        }
        for (name, value) in self.sysctls() {
            *text += &match name.split_once('*') {
                None => format!("sysctl -w {name}={value}\n"),
                Some(_) => {
                    let path = name.replace('.', "/");
                    format!("for port in /proc/sys/{path}; do echo {value} > $port; done\n")
                }
            };
        }
        for step in addresses {
            *text += &format!("{step}\n");
        }
    }

    fn sysctl_file(&self, text: &mut String) {
        let sysctls = self.sysctls();
        if !sysctls.is_empty() {
            file(text, "/etc/sysctl.d/60-keelson.conf");
        }
        for (name, value) in sysctls {
            *text += &format!("{name} = {value}\n");
        }
    }

    fn networkd(&self, address: IpAddr, text: &mut String) {
        self.sysctl_file(text);
        let modules = self.modules();
        if !modules.is_empty() {
            file(text, "/etc/modules-load.d/keelson.conf");
        }
        for module in modules {
            *text += &format!("{module}\n");
        }
        for (port, family) in self.ports() {
            let path = format!("/etc/systemd/network/60-keelson-gue{port}.netdev");
            file(text, &path);
            *text += &format!(
                "[NetDev]\nName=gue{port}\nKind=fou\n\n\
                 [FooOverUDP]\nEncapsulation=GenericUDPEncapsulation\nPort={port}\n"
            );
            if family == Family::V6 {
                *text += &format!("Local={address}\n");
            }
        }
        if self.takes_v4_in_v6() {
            let _ = writeln!(
                text,
                "\n# Once at each boot, as networkd has no word for it: ip {V4_IN_V6}"
            );
        }
        for device in self.devices() {
            file(
                text,
                &format!("/etc/systemd/network/60-keelson-{device}.network"),
            );
            *text += &format!(
                "[Match]\nName={device}\n\n[Link]\nRequiredForOnline=no\n\n\
                 [Network]\nLinkLocalAddressing=no\n"
            );
        }
        if !self.addresses.is_empty() {
            file(text, "/etc/systemd/network/60-keelson-lo.network");
            *text += "[Match]\nName=lo\n";
        }
        for address in &self.addresses {
            *text += &format!("\n[Address]\nAddress={}\n", single(*address));
            if address.is_ipv6() {
                *text += "DuplicateAddressDetection=none\n";
            }
        }
    }

    fn ifupdown(&self, text: &mut String) {
        self.sysctl_file(text);
        let steps = self.steps();
        if !steps.is_empty() {
            file(text, "/etc/network/interfaces.d/keelson");
            *text += "auto lo\niface lo inet manual\n";
        }
        for step in steps {
            *text += &format!("    up {step}\n");
        }
        for address in &self.addresses {
            *text += &format!("    down ip address del {} dev lo\n", single(*address));
        }
    }
}

/// How the fallback device of IPv6 comes to take IPv4 too.
const V4_IN_V6: &str = "-6 tunnel change ip6tnl0 mode any";

/// What an Ethernet carries in one frame.
const ETHERNET_MTU: u32 = 1500;
/// A TCP header without options.
const TCP_HEADER: u32 = 20;

const fn ip_header(family: Family) -> u32 {
    match family {
        Family::V4 => 20,
        Family::V6 => 40,
    }
}

impl Tunnel {
    /// TCP's largest segment that still fits a frame once it is wrapped.
    const fn mss(self) -> u32 {
        let wrapping = match self.kind {
            Wrapping::Ipip => 0,
            Wrapping::Gre => 8,     // with its checksum
            Wrapping::Gue(_) => 12, // UDP and four bytes more
        };
        ETHERNET_MTU - ip_header(self.outer) - wrapping - ip_header(self.inner) - TCP_HEADER
    }

    /// The module whose fallback device takes what no configured tunnel does.
    const fn module(self) -> &'static str {
        match (self.kind, self.outer, self.inner) {
            (Wrapping::Gre, Family::V4, _) => "ip_gre",
            (Wrapping::Gre, Family::V6, _) => "ip6_gre",
            (_, Family::V4, Family::V4) => "ipip",
            (_, Family::V4, Family::V6) => "sit",
            (_, Family::V6, _) => "ip6_tunnel",
        }
    }

    const fn device(self) -> &'static str {
        match (self.kind, self.outer, self.inner) {
            (Wrapping::Gre, Family::V4, _) => "gre0",
            (Wrapping::Gre, Family::V6, _) => "ip6gre0",
            (_, Family::V4, Family::V4) => "tunl0",
            (_, Family::V4, Family::V6) => "sit0",
            (_, Family::V6, _) => "ip6tnl0",
        }
    }
}

fn file(text: &mut String, path: &str) {
    *text += &format!("\n# {path}\n");
}

/// The address as a network of one.
fn single(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

fn replace_address(address: IpAddr) -> String {
    let nodad = if address.is_ipv6() { " nodad" } else { "" };
    format!("ip address replace {} dev lo{nodad}", single(address))
}
