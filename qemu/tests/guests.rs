//! The lab itself, with Debian's keepalived in the place of the product: what other tests take for granted.
use std::net::Ipv4Addr;
use std::time::Duration;

use qemu::lab::{Lab, LabError};
use qemu::measure;
use qemu::switch::{Direction, Fault};
use qemu::topology::{self, Node, Role, VIRTUAL_ADDRESS};

const WAIT: Duration = Duration::from_secs(60);

/// Two peers at .11 and .12 with priorities 150 and 100, the pair's servers, the client.
fn peers_only() -> topology::Topology {
    let mut topology = topology::pair();
    topology.name = "guests".to_owned();
    topology
        .nodes
        .retain(|node| !matches!(node.role, Role::Director { .. }));
    topology
        .nodes
        .extend([peer("p1", 11, 150), peer("p2", 12, 100)]);
    topology
}

fn peer(name: &str, host: u8, priority: u8) -> Node {
    let template = topology::interop("", "");
    let mut node = template
        .node("p2")
        .expect("the topology has a peer")
        .clone();
    (node.name, node.hostname) = (name.to_owned(), name.replace('p', "peer"));
    let port = &mut node.ports[0];
    port.mac.0[5] = host;
    port.address = Some((Ipv4Addr::new(10, 77, 0, host), 24));
    node.role = Role::Peer {
        keepalived: keepalived(priority),
    };
    node
}

fn keepalived(priority: u8) -> String {
    let servers: String = [21, 22]
        .map(|host| {
            let check = "TCP_CHECK {\n connect_timeout 2\n }";
            format!("real_server 10.77.0.{host} 80 {{\n weight 1\n {check}\n }}\n")
        })
        .concat();
    format!(
        "vrrp_instance web {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n advert_int 1\n \
         virtual_ipaddress {{\n 10.77.0.100/24\n }}\n}}\n\
         virtual_server 10.77.0.100 80 {{\n lb_algo rr\n lb_kind DR\n protocol TCP\n delay_loop 2\n {servers}}}\n"
    )
}

#[test]
fn guests_balance_requests_and_take_over_and_faults_of_links_are_seen() -> Result<(), LabError> {
    let lab = Lab::prepare(&peers_only(), image::to_stderr)?;
    let first_advert = lab.switch().adverts_of("p1");
    let announcements = lab.switch().announcements_of("p2", VIRTUAL_ADDRESS);
    lab.power_on_all()?;
    lab.wait_until_up()?;
    let advert = first_advert
        .next(WAIT)
        .and_then(|frame| frame.advert())
        .expect("an advert of p1");
    assert_eq!(
        (advert.vrid, advert.priority, advert.source),
        (51, 150, [10, 77, 0, 11].into())
    );

    // Both servers answer through the director once its checks have found them.
    let client = lab.client()?;
    client.wait_until_served(measure::service(), 2, WAIT)?;
    let table = lab.peer("p1")?.ipvsadm()?;
    assert!(
        table.contains("10.77.0.21:80") && table.contains("10.77.0.22:80"),
        "{table}"
    );
    let load = client.load(measure::service(), 20)?;
    assert_eq!(
        (
            load.failed(),
            load.answers.get("server3"),
            load.answers.get("server4")
        ),
        (0, Some(&10), Some(&10))
    );

    // p2 hears nothing of p1 any more and takes over, although p1 still hears p2.
    announcements.drain();
    lab.switch()
        .set_fault("p1", Direction::FromNode, Fault::CUT);
    assert!(announcements.next(WAIT).is_some(), "p2 takes over");
    lab.switch().heal("p1");

    lab.vm("p1")?.power_cut();
    assert!(!lab.vm("p1")?.is_on());
    let capture = std::fs::metadata(lab.logs().join("lan.pcap"))
        .expect("a capture")
        .len();
    assert!(capture > 10_000, "{capture} bytes captured");
    Ok(())
}
