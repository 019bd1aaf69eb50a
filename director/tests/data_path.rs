//! Checks by way of the virtual address (`data_path`): a director and a real server, each in a network namespace, with
//! the IPVS of the kernel between them. Needs root and the module `ip_vs`; without them the tests say so and pass.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod host;

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use director::kernel::ipvs::Ipvs;
use director_core::ipvs::{ActualDest, ServiceId};
use director_core::kernel::Op;
use director_core::limits::PATH_MARKS;
use director_core::status::CheckStatus;
use nix::sched::{CloneFlags, setns};

use self::host::{Node, skipped, wait_until};

const VIP: &str = "192.0.2.100";
const VIP6: &str = "2001:db8::100";
const ROUTER: &str =
    "interface eth0 {\n address 192.0.2.1/24\n address 10.0.0.1/24\n address 2001:db8::1/64\n}\n";

#[test]
fn as_a_director() {
    host::as_a_director();
}

/// The real server must have the virtual address, and a check that goes straight to it can't see that it has not.
#[test]
fn by_dr_a_real_server_without_the_virtual_address_is_down_on_both_nodes() {
    let cases = [
        ("path-dr", VIP, "192.0.2.11"),
        ("path-dr6", VIP6, "2001:db8::11"),
    ];
    for (name, vip, real) in cases {
        let Some(mut lan) = Lan::new(name, "DR", vip, (real, 80, 80)) else {
            return;
        };
        let address = host(vip);
        lan.server.ip(&format!("address add {address} dev lo"));
        lan.director.start();
        for holds in [false, true] {
            if holds {
                lan.hold(&address);
            }
            lan.turns("up");
            lan.server.ip(&format!("address del {address} dev lo"));
            lan.turns("down");
            lan.server.ip(&format!("address add {address} dev lo"));
        }
        lan.turns("up");
        let is_needed = if vip == VIP { "1" } else { "0" };
        assert_eq!(lan.accept_local(), is_needed);
        lan.serves_nobody();
        assert!(lan.director.stop().success());
        assert_eq!(lan.accept_local(), "0");
        assert!(lan.private().is_empty());
    }
}

/// Where the virtual address is, the source is the node's address beside it, so that the real server needs its way
/// back; elsewhere the node is not its gateway.
#[test]
fn by_nat_a_real_server_that_does_not_answer_through_the_director_is_down_where_that_matters() {
    let Some(mut lan) = Lan::new("path-nat", "NAT", VIP, ("10.0.0.11", 8080, 8080)) else {
        return;
    };
    lan.server.ip("address del 192.0.2.11/24 dev eth0");
    lan.director.start();
    lan.turns("up");
    lan.hold(&host(VIP));
    lan.turns("down");
    lan.server.ip("route add default via 10.0.0.1");
    lan.turns("up");
    lan.serves_nobody();
}

#[test]
fn by_tun_a_real_server_that_unwraps_nothing_is_down() {
    for (name, vip, mode) in [("path-tun", VIP, "ipip"), ("path-tun6", VIP6, "sit")] {
        let Some(mut lan) = Lan::new(name, "TUN", vip, ("10.0.0.11", 80, 80)) else {
            return;
        };
        let tunnel = format!("tunnel add in mode {mode} local 10.0.0.11");
        let made = lan
            .server
            .inside(Command::new("ip").args(tunnel.split(' ')), Command::output);
        if !made.unwrap().status.success() {
            return skipped("a tunnel needs the modules `ipip` and `sit`");
        }
        let address = host(vip);
        lan.server.ip(&format!("address add {address} dev lo"));
        lan.server.ip("link set in up");
        lan.set("in/rp_filter", "0");
        lan.director.start();
        for holds in [false, true] {
            if holds {
                lan.hold(&address);
            }
            lan.turns("up");
            lan.server.ip("link set in down");
            lan.turns("down");
            lan.server.ip("link set in up");
        }
        lan.turns("up");
        lan.serves_nobody();
    }
}

/// The private service is the same after a reload and after a crash, and comes back when somebody removes it.
#[test]
fn the_private_service_stays_through_a_reload_and_a_crash_and_is_repaired() {
    let Some(mut lan) = Lan::new("path-keeps", "NAT", VIP, ("10.0.0.11", 8080, 8080)) else {
        return;
    };
    lan.director.start();
    lan.turns("up");
    let first = lan.private();
    assert_eq!(first.len(), 1, "{first:?}");
    lan.hold(&host(VIP));
    lan.turns("up");
    assert_eq!(lan.private(), first, "after a reload");
    lan.director.kill();
    lan.director.start();
    lan.turns("up");
    assert_eq!(lan.private(), first, "after a crash");
    let id = first[0];
    lan.within_director(move |ipvs| assert_eq!(ipvs.apply(&[Op::DelService(id)]), [Ok(())]));
    wait_until("the private service again", || lan.private() == first);
    lan.turns("up");
    assert!(lan.director.stop().success());
    assert!(lan.private().is_empty());
}

/// A director and a real server on one wire.
struct Lan {
    director: Node,
    server: Node,
    /// Words of the service.
    conf: String,
}

impl Lan {
    /// A service by this method with one real server: address, port, and the port where straight checks go.
    fn new(name: &str, method: &str, vip: &str, real: (&str, u16, u16)) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("director-{name}-{}", std::process::id()));
        let (address, port, straight) = real;
        let service = |port_here: u16, words: &str| {
            format!(
                "virtual_server {vip} {port_here} {{\n delay_loop 0.2\n lb_algo rr\n lb_kind {method}\n \
                 protocol TCP\n real_server {address} {port} {{\n TCP_CHECK {{\n connect_timeout 0.3\n \
                 retry 0\n {words}\n }}\n }}\n}}\n"
            )
        };
        let conf = service(80, "data_path") + &service(81, &format!("connect_port {straight}"));
        let director = Node::new(&folder.join("director"), &conf, ROUTER)?;
        let server = Node::new(&folder.join("server"), "", "")?;
        if !has_ipvs(&director) {
            skipped("the kernel has no IPVS");
            return None;
        }
        let there = |node: &Node| {
            let id = std::os::fd::AsRawFd::as_raw_fd(&node.namespace);
            format!("/proc/{}/fd/{id}", std::process::id())
        };
        director.ip(&format!(
            "link add eth0 type veth peer name eth0 netns {}",
            there(&server)
        ));
        for link in ["lo", "eth0"] {
            director.ip(&format!("link set {link} up"));
            server.ip(&format!("link set {link} up"));
        }
        for address in ["192.0.2.11/24", "10.0.0.11/24", "2001:db8::11/64 nodad"] {
            server.ip(&format!("address add {address} dev eth0"));
        }
        let lan = Self {
            director,
            server,
            conf,
        };
        lan.set("all/arp_ignore", "1");
        lan.set("all/arp_announce", "2");
        lan.set("all/rp_filter", "0");
        for port in [80, 8080] {
            lan.serve(port);
        }
        Some(lan)
    }

    /// A setting of the real server.
    fn set(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/net/ipv4/conf/{name}");
        within(&self.server, || fs::write(path, value).unwrap());
    }

    /// A server that takes connections for as long as this program runs.
    fn serve(&self, port: u16) {
        let listener = within(&self.server, || TcpListener::bind(("::", port)).unwrap());
        std::thread::spawn(move || listener.incoming().for_each(drop));
    }

    /// A reload gives the node the virtual address.
    fn hold(&self, address: &str) {
        let router = format!(
            "vrrp_instance V {{\n interface eth0\n virtual_router_id 51\n priority 255\n advert_int 1\n \
             version 3\n virtual_ipaddress {{\n {address}\n }}\n}}\n"
        );
        let file = self.director.folder.join("keepalived.conf");
        fs::write(file, router + &self.conf).unwrap();
        self.director.signal("HUP");
        wait_until("the virtual address", || {
            let here = self.director.ip("address show dev eth0");
            here.contains(&format!(" {address} "))
        });
    }

    fn check(&self, path: bool) -> CheckStatus {
        let checks = self.director.status().checks;
        let is_it = |check: &CheckStatus| check.path.is_empty() != path;
        checks.into_iter().find(is_it).unwrap()
    }

    /// The check by the virtual address comes to this, by a run from now on; the one that goes straight is up, and
    /// nothing that takes the other one down fails it.
    fn turns(&self, health: &str) {
        let (before, failures) = (self.check(true).runs, self.check(false).failures);
        wait_until(&format!("the check to be {health}"), || {
            let check = self.check(true);
            check.runs > before + 1 && check.health == health && self.check(false).health == "up"
        });
        let straight = self.check(false);
        assert!(
            health == "up" || straight.failures == failures,
            "{straight:?}"
        );
    }

    /// No check was counted for the service of the clients.
    fn serves_nobody(&self) {
        let counted = self.director.status().services;
        assert!(
            counted
                .iter()
                .all(|service| service.totals.connections == 0)
        );
        assert_eq!(counted.len(), 2, "the private one is not shown");
    }

    fn accept_local(&self) -> String {
        let path = "/proc/sys/net/ipv4/conf/eth0/accept_local";
        within(&self.director, || {
            fs::read_to_string(path).unwrap().trim().to_owned()
        })
    }

    /// The private services that the kernel has, each with one dest.
    fn private(&self) -> Vec<ServiceId> {
        self.within_director(|ipvs| {
            let is_ours = |id: &ServiceId| {
                matches!(id, ServiceId::Fwmark { mark, .. } if PATH_MARKS.contains(mark))
            };
            let ids: Vec<_> = ipvs.services().unwrap().into_keys().filter(is_ours).collect();
            for id in &ids {
                let dests: Vec<ActualDest> = ipvs.dests(id).unwrap().values().cloned().collect();
                assert!(dests.len() <= 1, "{dests:?}");
            }
            ids
        })
    }

    fn within_director<T: Send>(&self, act: impl FnOnce(&mut Ipvs) -> T + Send) -> T {
        within(&self.director, || act(&mut Ipvs::open().unwrap()))
    }
}

/// An address as one of a host.
fn host(address: &str) -> String {
    let bits = if address.contains(':') { 128 } else { 32 };
    format!("{address}/{bits}")
}

fn has_ipvs(node: &Node) -> bool {
    within(node, || Ipvs::open().is_ok())
}

fn within<T: Send>(node: &Node, act: impl FnOnce() -> T + Send) -> T {
    let enter = || {
        setns(&node.namespace, CloneFlags::CLONE_NEWNET).unwrap();
        act()
    };
    std::thread::scope(|scope| scope.spawn(enter).join()).unwrap()
}
