//! With Debian's keepalived as the peer: in both roles, in both versions, takeover in both directions.

use std::net::IpAddr;

use qemu::frame::Mac;
use qemu::lab::{Lab, LabError};
use qemu::measure::service;
use qemu::topology::{self, VIRTUAL_ADDRESS};
use tests::lab::opinion::{self, Voice};
use tests::lab::{WAIT, boot, conf, conf::Protocol, peer, tell, wait_for};

/// The director's priority is between those that keepalived is given.
const PRIORITY: u8 = 100;
const ABOVE: u8 = 150;
const BELOW: u8 = 50;

#[test]
fn keepalived_and_the_director_follow_and_replace_each_other_by_vrrp_2_with_a_password() {
    follow_and_replace_each_other("interop2", Protocol::V2WithPassword);
}

#[test]
fn keepalived_and_the_director_follow_and_replace_each_other_by_vrrp_3() {
    follow_and_replace_each_other("interop3", Protocol::V3);
}

#[test]
fn keepalived_and_the_director_follow_and_replace_each_other_by_unicast() {
    follow_and_replace_each_other("interop-unicast", Protocol::V3Unicast);
}

#[test]
fn keepalived_and_the_director_follow_and_replace_each_other_over_ipv6() {
    follow_and_replace_each_other("interop6", Protocol::V3OverIpv6);
}

fn follow_and_replace_each_other(name: &str, protocol: Protocol) {
    let ours = conf::sharing(protocol, "lan0", PRIORITY);
    let topology = topology::interop(&ours, &conf::sharing(protocol, "eth0", ABOVE));
    tell(name, topology, |lab| {
        boot(lab)?;
        the_director_follows(lab, protocol)?;
        the_director_takes_over_when_keepalived_stops(lab, protocol)?;
        keepalived_follows(lab, protocol)?;
        keepalived_takes_over_when_the_power_is_cut(lab)?;
        the_director_preempts_keepalived(lab)?;
        the_director_hands_over_to_keepalived(lab)?;
        nobody_has_complained(lab)?;
        wireshark_has_no_other_opinion(lab, protocol)
    });
}

fn the_director_follows(lab: &Lab, protocol: Protocol) -> Result<(), LabError> {
    wait_for_keepalived(lab, "MASTER")?;
    peer::is_heard(lab, protocol)?;
    served_by(lab, "p2")?;
    let table = lab.peer("p2")?.ipvsadm()?;
    assert!(
        table.contains("TCP  10.77.0.100:80 rr") && table.contains("10.77.0.21:80"),
        "{table}"
    );
    nobody_has_complained(lab)
}

fn the_director_takes_over_when_keepalived_stops(
    lab: &Lab,
    protocol: Protocol,
) -> Result<(), LabError> {
    let adverts = lab.switch().adverts_of("d1");
    let announcements = lab.switch().announcements_of("d1", VIRTUAL_ADDRESS);
    lab.peer("p2")?.stop_keepalived()?;
    assert!(
        announcements.next(WAIT).is_some(),
        "the director announces itself"
    );
    let advert = adverts
        .next(WAIT)
        .and_then(|frame| frame.advert())
        .expect("an advert");
    assert_eq!(
        (advert.version, advert.vrid, advert.priority),
        (protocol.version(), 51, PRIORITY)
    );
    match protocol {
        Protocol::V3OverIpv6 => assert!(advert.source.is_ipv6(), "{advert:?}"),
        _ => assert_eq!(advert.source, IpAddr::from([10, 77, 0, 11])),
    }
    lab.director("d1")?.wait_for_state("Active", WAIT)?;
    served_by(lab, "d1")
}

/// keepalived, with the lower priority, believes every advert for twice as long as it would wait for one.
fn keepalived_follows(lab: &Lab, protocol: Protocol) -> Result<(), LabError> {
    let adverts = lab.switch().adverts_of("p2");
    lab.peer("p2")?
        .restart_keepalived(&conf::sharing(protocol, "eth0", BELOW))?;
    wait_for_keepalived(lab, "BACKUP")?;
    peer::believes(lab, &adverts)?;
    nobody_has_complained(lab)
}

fn keepalived_takes_over_when_the_power_is_cut(lab: &Lab) -> Result<(), LabError> {
    lab.vm("d1")?.power_cut();
    wait_for_keepalived(lab, "MASTER")?;
    served_by(lab, "p2")
}

fn the_director_preempts_keepalived(lab: &Lab) -> Result<(), LabError> {
    lab.vm("d1")?.power_on()?;
    lab.vm("d1")?.wait_until_up()?;
    lab.director("d1")?.wait_for_state("Active", WAIT)?;
    wait_for_keepalived(lab, "BACKUP")?;
    served_by(lab, "d1")
}

fn the_director_hands_over_to_keepalived(lab: &Lab) -> Result<(), LabError> {
    lab.director("d1")?.command("handover")?;
    wait_for_keepalived(lab, "MASTER")?;
    lab.director("d1")?.wait_for_state("Backup", WAIT)?;
    served_by(lab, "p2")
}

/// Every advert and announcement that the director has sent so far is what it is meant to be.
fn wireshark_has_no_other_opinion(lab: &Lab, protocol: Protocol) -> Result<(), LabError> {
    let carried = protocol.carried();
    let service = IpAddr::V4(VIRTUAL_ADDRESS);
    let mut announced = carried.clone();
    if !announced.contains(&service) {
        announced.push(service);
    }
    let [mac, peer] = [11, 12].map(|host| Mac([0x52, 0x54, 0, 77, 0, host]));
    let voice = Voice {
        mac,
        source: match protocol {
            // The modified EUI-64 of its hardware address (RFC 4291 appendix A).
            Protocol::V3OverIpv6 => IpAddr::from([0xfe80, 0, 0, 0, 0x5054, 0x00ff, 0xfe4d, 0x000b]),
            _ => IpAddr::from([10, 77, 0, 11]),
        },
        destination: match protocol {
            Protocol::V3OverIpv6 => opinion::GROUP_V6,
            Protocol::V3Unicast => (IpAddr::from([10, 77, 0, 12]), peer),
            Protocol::V2 | Protocol::V2WithPassword | Protocol::V3 => opinion::GROUP,
        },
        version: protocol.version(),
        password: (protocol == Protocol::V2WithPassword).then_some("keelson"),
        addresses: &carried,
        announced: &announced,
    };
    opinion::of_lab(lab, &voice)
}

/// Waits until keepalived's last word on its state is this.
fn wait_for_keepalived(lab: &Lab, state: &str) -> Result<(), LabError> {
    let peer = lab.peer("p2")?;
    wait_for(&format!("keepalived in state {state}"), || {
        let log = peer.log()?;
        let entered = log.lines().rfind(|line| line.contains("Entering "));
        Ok(entered.filter(|line| line.contains(state)).map(drop))
    })
}

/// Requests are answered, by way of this node.
fn served_by(lab: &Lab, node: &str) -> Result<(), LabError> {
    lab.client()?.wait_until_served(service(), 2, WAIT)?;
    let tap = tests::lab::wire::forwarded_by(lab.switch(), node, VIRTUAL_ADDRESS);
    let load = lab.client()?.load(service(), 20)?;
    assert_eq!((load.answered(), load.failed()), (20, 0), "{load:?}");
    assert!(tap.drain().len() >= 20, "{node} forwards");
    Ok(())
}

/// No advert was dropped by the director, none refused by keepalived.
fn nobody_has_complained(lab: &Lab) -> Result<(), LabError> {
    let router = lab.director("d1")?.status()?.routers[0].clone();
    // What came before the interface served says nothing of the peer.
    let dropped = router
        .adverts_dropped
        .iter()
        .find(|dropped| dropped.name != "not-ready");
    assert_eq!(dropped, None, "{router:?}");
    let log = lab.peer("p2")?.log()?;
    let words = [
        "invalid",
        "bogus",
        "checksum",
        "mismatch",
        "ignor",
        "drop",
        "error",
        "different",
    ];
    let complaint = log.lines().find(|line| {
        let line = line.to_lowercase();
        words.iter().any(|word| line.contains(word))
    });
    assert_eq!(complaint, None, "{log}");
    Ok(())
}
