//! Labs as data: which machines there are, what they are for, and which segments they are on.
mod with;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use image::FurtherFile;

use self::with::settings;
use crate::frame::Mac;

/// A lab to be.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Names the folder of its logs and captures, `target/lab/NAME`.
    pub name: String,
    /// Its machines. Segments are those that their ports name.
    pub nodes: Vec<Node>,
}

/// One machine.
#[derive(Clone, Debug)]
pub struct Node {
    /// How the lab calls it, such as `d1`; part of file names and socket paths, so keep it short.
    pub name: String,
    /// How it calls itself, such as `director1`.
    pub hostname: String,
    /// Its memory.
    pub memory_mib: u32,
    /// Its network ports, in the order of the PCI slots.
    pub ports: Vec<Port>,
    /// What it is for.
    pub role: Role,
    /// Words added to its kernel's command line; the last of several that contradict each other counts.
    pub cmdline: String,
}

/// A network port.
#[derive(Clone, Debug)]
pub struct Port {
    /// The segment it is plugged into.
    pub segment: String,
    /// Its hardware address.
    pub mac: Mac,
    /// Its address and prefix length, for all roles but a director's, whose router.conf says it.
    pub address: Option<(Ipv4Addr, u8)>,
    /// The same of IPv6.
    pub address6: Option<(Ipv6Addr, u8)>,
}

/// What a machine is for.
#[derive(Clone, Debug)]
pub enum Role {
    /// Runs the product's image.
    Director {
        /// Its keepalived.conf; empty for none.
        keepalived: String,
        /// Its router.conf; empty for none.
        router: String,
        /// What its keepalived.conf includes or runs.
        files: Vec<FurtherFile>,
        /// Beside the product runs the lab's agent, with a shell, iproute2 and ipvsadm: for what else only somebody on
        /// the node could do.
        agent: bool,
    },
    /// A real server: nginx, which answers `GET /` with the hostname.
    Server {
        /// Sets it up for its director, as `keelson realserver` says for the director's configuration.
        commands: String,
        /// Its default route.
        gateway: Option<Ipv4Addr>,
    },
    /// Sends requests.
    Client {
        /// Its default route.
        gateway: Option<Ipv4Addr>,
    },
    /// Runs Debian's keepalived.
    Peer {
        /// Its keepalived.conf.
        keepalived: String,
    },
    /// Runs Debian's FRR, which has its virtual addresses on macvlan devices, and nginx, which answers for them.
    Frr {
        /// The configuration of vrrpd.
        vrrpd: String,
        /// Its devices: hardware address, and the addresses on it.
        macvlans: Vec<(Mac, Vec<String>)>,
    },
    /// Has the product's binary, Debian's keepalived and ipvsadm as plain programs, and starts none of them.
    Workbench {
        /// Its files: path and content.
        files: Vec<(String, String)>,
    },
}

/// The address that the labs' clients ask.
pub const VIRTUAL_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// The segment that the machines of `pair`, `lone` and `interop` share.
pub const LAN: &str = "lan";
/// The segment of the real servers of `nat`.
pub const INSIDE: &str = "inside";
/// Directors' memory: what the product promises to run with.
const DIRECTOR_MIB: u32 = 256;
/// Guests' memory: Debian's nginx or keepalived with their libraries, unpacked from an initrd.
const GUEST_MIB: u32 = 192;
/// A workbench's memory: whatever is tried on it must not be short of it.
const WORKBENCH_MIB: u32 = 768;

/// The pair is the documentation's example, file by file.
const PAIR_KEEPALIVED: &str = include_str!("../../rootfs/examples/pair/keepalived.conf");
const PAIR_ROUTER: [&str; 2] = [
    include_str!("../../rootfs/examples/pair/director1.conf"),
    include_str!("../../rootfs/examples/pair/director2.conf"),
];

/// Two directors with one keepalived.conf, two real servers by direct routing and a client, all on one segment.
///
/// ```text
///   client .50      d1 .11      d2 .12      s3 .21      s4 .22        10.77.0.0/24, virtual address .100
///      |              |           |           |           |
///   ---+--------------+-----------+-----------+-----------+---  lan
/// ```
pub fn pair() -> Topology {
    let nodes = vec![
        pair_director(0, PAIR_KEEPALIVED),
        pair_director(1, PAIR_KEEPALIVED),
        server("s3", "server3", 21),
        server("s4", "server4", 22),
        client(),
    ];
    Topology {
        name: "pair".to_owned(),
        nodes,
    }
}

/// One director of the pair, one real server and the client.
pub fn lone() -> Topology {
    let nodes = vec![
        pair_director(0, PAIR_KEEPALIVED),
        server("s3", "server3", 21),
        client(),
    ];
    Topology {
        name: "lone".to_owned(),
        nodes,
    }
}

/// The first director of the pair with this keepalived.conf, and Debian's keepalived with `peer_keepalived` as its peer
/// `p2` at .12. The director's interface is `lan0`, the peer's `eth0`.
pub fn interop(director_keepalived: &str, peer_keepalived: &str) -> Topology {
    let keepalived = peer_keepalived.to_owned();
    let nodes = vec![
        pair_director(0, director_keepalived),
        guest("p2", "peer2", 12, Role::Peer { keepalived }),
        server("s3", "server3", 21),
        client(),
    ];
    let interop = Topology {
        name: "interop".to_owned(),
        nodes,
    };
    interop.with_servers_for(director_keepalived)
}

/// The same with Debian's FRR as the peer, whose own `vrrpd` is its configuration.
pub fn frr(director_keepalived: &str, vrrpd: &str, macvlans: Vec<(Mac, Vec<String>)>) -> Topology {
    let mut topology = interop(director_keepalived, "");
    if let Some(node) = topology.node_mut("p2") {
        let vrrpd = vrrpd.to_owned();
        node.role = Role::Frr { vrrpd, macvlans };
    }
    topology
}

/// Two directors between two segments, for network address translation: the client on `lan` (interface `lan0`), the
/// servers on `inside` (`inside0`, 10.77.1.0/24), their default route to 10.77.1.1 there, which is left to
/// `keepalived` to make a virtual address.
pub fn nat(keepalived: &str) -> Topology {
    let gateway = Some(Ipv4Addr::new(10, 77, 1, 1));
    let inside = |name: &str, hostname: &str, host: u8| {
        let commands = String::new();
        Node {
            ports: vec![port(1, host, true)],
            ..guest(name, hostname, host, Role::Server { commands, gateway })
        }
    };
    let between = |name: &str, hostname: &str, host: u8| {
        let ports = vec![port(0, host, false), port(1, host, false)];
        let router = router_conf(hostname, host, &ports);
        director(name, hostname, ports, keepalived, router)
    };
    let nodes = vec![
        between("d1", "director1", 11),
        between("d2", "director2", 12),
        inside("s3", "server3", 21),
        inside("s4", "server4", 22),
        client(),
    ];
    let nat = Topology {
        name: "nat".to_owned(),
        nodes,
    };
    nat.with_servers_for(keepalived)
}

/// Two workbenches with the same files on one segment: `w1` at .31 and `w2` at .32, on `eth0`.
pub fn workbenches(name: &str, files: Vec<(String, String)>) -> Topology {
    let workbench = |name: &str, hostname: &str, host| {
        let files = files.clone();
        Node {
            memory_mib: WORKBENCH_MIB,
            ..guest(name, hostname, host, Role::Workbench { files })
        }
    };
    let nodes = vec![
        workbench("w1", "workbench1", 31),
        workbench("w2", "workbench2", 32),
    ];
    Topology {
        name: name.to_owned(),
        nodes,
    }
}

/// The same machines for FULLNAT: the servers know their own network and no way out of it.
pub fn fullnat(keepalived: &str) -> Topology {
    let mut topology = nat(keepalived);
    topology.name = "fullnat".to_owned();
    for node in &mut topology.nodes {
        if let Role::Server { gateway, .. } = &mut node.role {
            *gateway = None;
        }
    }
    topology
}

/// The same segments for all ways of forwarding at once: `s3` is on both segments and knows no way out of them, for
/// direct routing (10.77.0.21) and FULLNAT (10.77.1.21); `s4` is inside, with its way out through the directors.
pub fn mixed(keepalived: &str) -> Topology {
    let mut topology = nat("");
    topology.name = "mixed".to_owned();
    if let Some(node) = topology.node_mut("s3") {
        node.ports.insert(0, port(0, 21, true));
        if let Role::Server { gateway, .. } = &mut node.role {
            *gateway = None;
        }
    }
    topology.with_keepalived(keepalived)
}

impl Topology {
    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The node of that name, to be changed before the lab is started.
    pub fn node_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.name == name)
    }

    /// The segments, each once, in the order in which they are first named.
    pub fn segments(&self) -> Vec<&str> {
        let mut segments: Vec<&str> = Vec::new();
        for port in self.nodes.iter().flat_map(|node| &node.ports) {
            if !segments.contains(&port.segment.as_str()) {
                segments.push(&port.segment);
            }
        }
        segments
    }
}

/// Director 1 or 2 of the pair, counted from 0.
fn pair_director(index: u8, keepalived: &str) -> Node {
    let (number, host) = (index + 1, index + 11);
    let router = PAIR_ROUTER[usize::from(index)].to_owned();
    director(
        &format!("d{number}"),
        &format!("director{number}"),
        vec![port(0, host, false)],
        keepalived,
        router,
    )
}

fn director(
    name: &str,
    hostname: &str,
    ports: Vec<Port>,
    keepalived: &str,
    router: String,
) -> Node {
    let role = Role::Director {
        keepalived: keepalived.to_owned(),
        router,
        files: Vec::new(),
        agent: false,
    };
    Node {
        name: name.to_owned(),
        hostname: hostname.to_owned(),
        memory_mib: DIRECTOR_MIB,
        ports,
        role,
        cmdline: String::new(),
    }
}

/// A router.conf that finds each port by its hardware address and names it after its segment.
pub fn router_conf(hostname: &str, host: u8, ports: &[Port]) -> String {
    let mut text = format!("system {{\n    hostname {hostname}\n}}\n");
    for (net, Port { segment, mac, .. }) in ports.iter().enumerate() {
        let address = format!("10.77.{net}.{host}/24");
        text += &format!(
            "interface {segment}0 {{\n    match {{\n        mac {mac}\n    }}\n    address {address}\n}}\n"
        );
    }
    text
}

/// A real server of the pair's virtual address, on `lan` at 10.77.0.`host`.
pub fn server(name: &str, hostname: &str, host: u8) -> Node {
    let address = Ipv4Addr::new(10, 77, 0, host);
    let role = Role::Server {
        commands: settings(PAIR_KEEPALIVED, PAIR_ROUTER[0], address.into()).unwrap_or_default(),
        gateway: None,
    };
    guest(name, hostname, host, role)
}

/// The client, on `lan` at 10.77.0.50.
pub fn client() -> Node {
    guest("client", "client", 50, Role::Client { gateway: None })
}

fn guest(name: &str, hostname: &str, host: u8, role: Role) -> Node {
    let ports = vec![port(0, host, true)];
    Node {
        name: name.to_owned(),
        hostname: hostname.to_owned(),
        memory_mib: GUEST_MIB,
        ports,
        role,
        cmdline: String::new(),
    }
}

/// A port at 10.77.`net`.`host`; the hardware address says the same.
fn port(net: u8, host: u8, addressed: bool) -> Port {
    Port {
        segment: if net == 0 { LAN } else { INSIDE }.to_owned(),
        mac: Mac([0x52, 0x54, 0, 77, net, host]),
        address: addressed.then(|| (Ipv4Addr::new(10, 77, net, host), 24)),
        address6: None,
    }
}

impl Port {
    /// Its addresses and their prefix lengths.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        let v4 = self
            .address
            .map(|(address, prefix)| (address.into(), prefix));
        let v6 = self
            .address6
            .map(|(address, prefix)| (address.into(), prefix));
        v4.into_iter().chain(v6)
    }
}

impl Node {
    /// Whether the lab's agent runs on it: on all but most directors.
    pub fn has_agent(&self) -> bool {
        !matches!(self.role, Role::Director { agent: false, .. })
    }

    /// What a guest's init does once modules are loaded: calls of the functions that it defines.
    pub fn guest_script(&self) -> String {
        let mut lines = vec![format!("hostname {}", self.hostname)];
        for port in &self.ports {
            for (address, prefix) in port.addresses() {
                lines.push(format!("port {} {address}/{prefix}", port.mac));
            }
        }
        match &self.role {
            Role::Director { .. } => {}
            Role::Server { commands, gateway } => {
                lines.extend(commands.lines().map(str::to_owned));
                lines.extend(gateway.iter().map(|address| format!("gateway {address}")));
                lines.push("serve_http".to_owned());
            }
            Role::Client { gateway } => {
                lines.extend(gateway.iter().map(|address| format!("gateway {address}")));
            }
            Role::Peer { .. } => lines.push("run_keepalived".to_owned()),
            Role::Frr { macvlans, .. } => {
                for (number, (mac, addresses)) in macvlans.iter().enumerate() {
                    let addresses = addresses.join(" ");
                    lines.push(format!("macvlan vrrp{number} {mac} {addresses}"));
                }
                lines.push("serve_http".to_owned());
                lines.push("run_frr".to_owned());
            }
            Role::Workbench { .. } => {}
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(topology: &Topology, name: &str) -> (String, String) {
        match &topology.node(name).unwrap().role {
            Role::Director {
                keepalived, router, ..
            } => (keepalived.clone(), router.clone()),
            _ => panic!("no director"),
        }
    }

    #[test]
    fn both_directors_of_the_pair_have_the_same_keepalived_conf() {
        let pair = pair();
        assert_eq!(conf(&pair, "d1").0, conf(&pair, "d2").0);
        assert_eq!(pair.segments(), ["lan"]);
    }

    #[test]
    fn each_router_conf_names_its_machine_and_its_port() {
        for topology in [pair(), nat("")] {
            for (name, number, host) in [("d1", 1, 11), ("d2", 2, 12)] {
                let (_, router) = conf(&topology, name);
                let port = &topology.node(name).unwrap().ports[0];
                for part in [
                    format!("hostname director{number}"),
                    format!("mac {}", port.mac),
                    format!("10.77.0.{host}/24"),
                ] {
                    assert!(router.contains(&part), "no {part} in\n{router}");
                }
            }
        }
    }

    #[test]
    fn a_server_takes_the_virtual_address_without_announcing_it() {
        let script = pair().node("s3").unwrap().guest_script();
        for line in [
            "port 52:54:00:4d:00:15 10.77.0.21/24",
            "sysctl -w net.ipv4.conf.all.arp_ignore=1",
            "ip address replace 10.77.0.100/32 dev lo",
        ] {
            assert!(
                script.lines().any(|is| is == line),
                "no {line} in\n{script}"
            );
        }
    }

    #[test]
    fn no_two_ports_share_a_hardware_address() {
        for topology in [pair(), lone(), interop("", ""), nat("")] {
            let ports: Vec<Mac> = topology
                .nodes
                .iter()
                .flat_map(|node| &node.ports)
                .map(|port| port.mac)
                .collect();
            let mut unique = ports.clone();
            unique.sort();
            unique.dedup();
            assert_eq!(unique.len(), ports.len(), "{}", topology.name);
        }
    }
}
