//! Persistent clients of IPv6 through a power cut of the Active: each stays with its server.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use qemu::frame::Mac;
use qemu::lab::{Lab, LabError};
use qemu::measure;
use qemu::topology::{self, LAN, Port, Topology};
use tests::lab::{WAIT, boot, complaint, tell, wait_for, wait_until_all_serve};

/// The clients of the service by NAT are in a network of their own, whose way back leads through the directors.
const KEEPALIVED: &str = "
global_defs {
    lvs_sync_daemon lan0 both
}
vrrp_instance both {
    interface lan0
    virtual_router_id 51
    @director1 priority 150
    @director2 priority 100
    advert_int 1
    virtual_ipaddress {
        10.77.0.100/24
    }
    virtual_ipaddress_excluded {
        fd00:77::100/64
        fd00:99::100/64
        fd00:78::1/64 dev inside0
    }
}
virtual_server fd00:77::100 80 {
    lb_algo rr
    lb_kind DR
    protocol TCP
    persistence_timeout 300
    real_server fd00:77::21 80 {
        weight 1
    }
    real_server fd00:77::22 80 {
        weight 1
    }
}
virtual_server fd00:99::100 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    persistence_timeout 300
    real_server fd00:78::21 80 {
        weight 1
    }
    real_server fd00:78::22 80 {
        weight 1
    }
}
";

/// The networks of the two services.
const NETWORKS: [&str; 2] = ["fd00:77", "fd00:99"];
/// The clients in each: an even number, so that another order would give each of them the other server.
const CLIENTS: std::ops::Range<u16> = 51..59;

#[test]
fn persistent_clients_of_ipv6_stay_with_their_servers_through_a_power_cut_by_dr_and_nat() {
    tell("persistence", topology(), |lab| {
        boot(lab)?;
        let (active, backup) = measure::settled(lab, ["d1", "d2"])?;
        prepare_guests(lab)?;
        wait_until_all_serve(lab.director(active)?)?;
        let before = NETWORKS.map(|network| servers_of(lab, network, CLIENTS));
        let [by_dr, by_nat] = before.map(|servers| servers.expect("each client is served"));
        for servers in [&by_dr, &by_nat] {
            let of_server3 = servers.values().filter(|server| *server == "server3");
            assert_eq!(2 * of_server3.count(), servers.len(), "{servers:?}");
        }

        let templates = by_dr.len() + by_nat.len();
        wait_for("the templates are synchronised", || {
            let list = lab.director(backup)?.shell("ipvsadm -L -n -c")?;
            let count = list.lines().filter(|line| line.contains("]:0 ")).count();
            Ok((count >= templates).then_some(()))
        })?;
        lab.vm(active)?.power_cut();
        lab.director(backup)?.wait_for_state("Active", WAIT)?;
        for (network, before) in NETWORKS.into_iter().zip([by_dr, by_nat]) {
            let after = servers_of(lab, network, CLIENTS.rev())?;
            assert_eq!(after, before, "{network}");
        }
        for name in ["d1", "d2"] {
            assert_eq!(complaint(lab.vm(name)?), None);
        }
        Ok(())
    });
}

/// Both servers are on both segments.
fn topology() -> Topology {
    let mut topology = topology::mixed("");
    if let Some(node) = topology.node_mut("s4") {
        let port = Port {
            segment: LAN.to_owned(),
            mac: Mac([0x52, 0x54, 0, 77, 0, 22]),
            address: Some((Ipv4Addr::new(10, 77, 0, 22), 24)),
            address6: None,
        };
        node.ports.insert(0, port);
    }
    let topology = topology.with_ipv6().with_agents();
    topology.with_keepalived(KEEPALIVED)
}

fn prepare_guests(lab: &Lab) -> Result<(), LabError> {
    for server in ["s3", "s4"] {
        let route = "/bin/ip -6 route add fd00:99::/64 via fd00:78::1";
        lab.server(server)?.shell(route)?;
    }
    for network in NETWORKS {
        for client in CLIENTS {
            let add = format!("/bin/ip address add {network}::{client}/64 dev eth0");
            lab.client()?.shell(&add)?;
        }
    }
    Ok(())
}

/// Who serves each of the clients in a network, asked in this order.
fn servers_of(
    lab: &Lab,
    network: &str,
    clients: impl Iterator<Item = u16>,
) -> Result<BTreeMap<u16, String>, LabError> {
    let service = format!("{network}::100");
    let target: SocketAddr = format!("[{service}]:80").parse().expect("an address");
    let mut servers = BTreeMap::new();
    for client in clients {
        let route = format!("{service}/128 dev eth0 src {network}::{client}");
        let route = format!("/bin/ip -6 route replace {route}");
        lab.client()?.shell(&route)?;
        let load = lab.client()?.load(target, 3)?;
        assert_eq!((load.answered(), load.failed()), (3, 0), "{load:?}");
        let (server, 3) = load.answers.iter().next().expect("an answer") else {
            panic!("{network}::{client} is served by {:?}", load.answers);
        };
        servers.insert(client, server.clone());
    }
    Ok(servers)
}
