//! What the pool of a service does: groups, tunnels, and what an operator says of a real server.

use std::net::SocketAddr;

use director_core::status::{DestStatus, Status};
use qemu::lab::{Lab, LabError};
use qemu::measure::service;
use qemu::topology;
use tests::lab::{WAIT, boot, open_streams, tell, wait_until_all_serve};

/// A group of two addresses whose real servers are reached by DR and by a tunnel. Then tunnels of each type, within
/// each family and between them.
const KEEPALIVED: &str = "
vrrp_instance web {
    interface lan0
    virtual_router_id 51
    priority 150
    advert_int 1
    virtual_ipaddress {
        10.77.0.100/24
        10.77.0.101/24
        10.77.0.102/24
        10.77.0.103/24
    }
    virtual_ipaddress_excluded {
        fd00:77::102
        fd00:77::103
    }
}

virtual_server_group WEB {
    10.77.0.100-101 80
}

virtual_server group WEB {
    lb_algo rr
    lb_kind DR
    protocol TCP
    delay_loop 2
    real_server 10.77.0.21 80 {
        TCP_CHECK {
            connect_timeout 2
        }
    }
    real_server 10.77.0.22 80 {
        lvs_method TUN type ipip
        TCP_CHECK {
            connect_timeout 2
        }
    }
}

virtual_server 10.77.0.102 80 {
    lb_algo rr
    lb_kind TUN
    protocol TCP
    real_server 10.77.0.21 80 {
        lvs_method TUN type gue port 6080 csum
    }
    real_server 10.77.0.22 80 {
        lvs_method TUN type gre
    }
}
virtual_server 10.77.0.103 80 {
    lb_algo rr
    lb_kind TUN
    protocol TCP
    real_server fd00:77::21 80 {
        lvs_method TUN type gue port 6080
    }
    real_server fd00:77::22 80 {
        lvs_method TUN type ipip
    }
}
virtual_server fd00:77::102 80 {
    lb_algo rr
    lb_kind TUN
    protocol TCP
    real_server fd00:77::21 80 {
        lvs_method TUN type gue port 6080
    }
    real_server fd00:77::22 80 {
        lvs_method TUN type gre
    }
}
virtual_server fd00:77::103 80 {
    lb_algo rr
    lb_kind TUN
    protocol TCP
    real_server 10.77.0.21 80 {
        lvs_method TUN type gue port 6080
    }
    real_server 10.77.0.22 80 {
        lvs_method TUN type ipip
    }
}
";

/// Each of these is served by both real servers.
const SERVICES: [&str; 6] = [
    "10.77.0.100:80",
    "10.77.0.101:80",
    "10.77.0.102:80",
    "10.77.0.103:80",
    "[fd00:77::102]:80",
    "[fd00:77::103]:80",
];

#[test]
fn a_group_and_tunnels_of_each_type_serve_and_a_drained_server_keeps_its_connections() {
    let mut topology = topology::pair().with_ipv6().with_keepalived(KEEPALIVED);
    topology.nodes.retain(|node| node.name != "d2");
    tell("pools", topology, |lab| {
        boot(lab)?;
        let director = lab.director("d1")?;
        director.wait_for_state("Active", WAIT)?;
        wait_until_all_serve(director)?;
        let status = director.status()?;
        let web = &status.services[0];
        assert_eq!((web.group.as_str(), web.members), ("WEB", 2));
        assert_eq!(dest(&status, 22).forwarding, "TUN");
        every_service_is_served_by_both_servers(lab)?;
        drained_by_word(lab)
    });
}

fn every_service_is_served_by_both_servers(lab: &Lab) -> Result<(), LabError> {
    lab.client()?.wait_until_served(service(), 2, WAIT)?;
    for target in SERVICES {
        let target: SocketAddr = target.parse().expect("an address with a port");
        let load = lab.client()?.load(target, 40)?;
        let counts = (load.answered(), load.failed());
        assert_eq!(counts, (40, 0), "{target}: {load:?}");
        for server in ["server3", "server4"] {
            let answers = load.answers.get(server);
            assert_eq!(answers, Some(&20), "{target}, round robin: {load:?}");
        }
    }
    Ok(())
}

/// It takes no new connections, and those that it has go on.
fn drained_by_word(lab: &Lab) -> Result<(), LabError> {
    let director = lab.director("d1")?;
    open_streams(lab)?;
    director.wait_until("both have streams", WAIT, |status| {
        [21, 22]
            .iter()
            .all(|last| dest(status, *last).totals.active >= 8)
    })?;
    let said = director.command("drain WEB 10.77.0.22")?;
    assert!(said.contains("drains"), "{said}");
    let drains = |status: &Status| {
        let dest = dest(status, 22);
        dest.kernel_weight == Some(0) && dest.operator == "drains" && dest.totals.active >= 8
    };
    director.wait_until("it drains", WAIT, drains)?;
    Ok(())
}

fn dest(status: &Status, last: u8) -> &DestStatus {
    let address = format!("10.77.0.{last}");
    let mut dests = status.services.iter().flat_map(|service| &service.dests);
    dests
        .find(|dest| dest.address == address)
        .unwrap_or_else(|| panic!("{address} is a real server"))
}
