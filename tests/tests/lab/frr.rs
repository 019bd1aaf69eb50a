//! With Debian's FRR as the peer: in both roles, in both versions and families, takeover in both directions. FRR's
//! addresses are on a macvlan device with the virtual router's own MAC address, as the RFC has it.

use qemu::frame::Mac;
use qemu::lab::{Lab, LabError};
use qemu::measure::service;
use qemu::topology;
use tests::lab::conf::{self, Protocol};
use tests::lab::{WAIT, boot, peer, tell, wait_for};

/// The director's priority is between those that FRR is given.
const PRIORITY: u8 = 100;
const ABOVE: u8 = 150;
const BELOW: u8 = 50;
/// RFC 9568 section 7.3, for the VRID 51.
const VIRTUAL_MAC: Mac = Mac([0, 0, 0x5e, 0, 1, 51]);
const VIRTUAL_MAC_V6: Mac = Mac([0, 0, 0x5e, 0, 2, 51]);

#[test]
fn frr_and_the_director_follow_and_replace_each_other_by_vrrp_2() {
    follow_and_replace_each_other("frr2", Protocol::V2);
}

#[test]
fn frr_and_the_director_follow_and_replace_each_other_by_vrrp_3() {
    follow_and_replace_each_other("frr3", Protocol::V3);
}

#[test]
fn frr_and_the_director_follow_and_replace_each_other_over_ipv6() {
    follow_and_replace_each_other("frr6", Protocol::V3OverIpv6);
}

fn follow_and_replace_each_other(name: &str, protocol: Protocol) {
    let ours = conf::sharing(protocol, "lan0", PRIORITY);
    let (mac, prefix) = match protocol {
        Protocol::V3OverIpv6 => (VIRTUAL_MAC_V6, 64),
        _ => (VIRTUAL_MAC, 24),
    };
    let addresses = protocol.carried();
    let addresses = addresses
        .iter()
        .map(|address| format!("{address}/{prefix}"));
    let macvlans = vec![(mac, addresses.collect())];
    let topology = topology::frr(&ours, &conf::frr(protocol, ABOVE), macvlans);
    tell(name, topology, |lab| {
        boot(lab)?;
        wait_for_frr(lab, "Master")?;
        the_director_follows(lab, protocol)?;

        lab.frr("p2")?.stop()?;
        lab.director("d1")?.wait_for_state("Active", WAIT)?;
        served_by(lab, protocol, "server3")?;
        frr_follows(lab, protocol)?;

        lab.vm("d1")?.power_cut();
        wait_for_frr(lab, "Master")?;
        served_by(lab, protocol, "peer2")?;

        lab.vm("d1")?.power_on()?;
        lab.vm("d1")?.wait_until_up()?;
        lab.director("d1")?.wait_for_state("Active", WAIT)?;
        wait_for_frr(lab, "Backup")?;
        served_by(lab, protocol, "server3")?;

        lab.director("d1")?.command("handover")?;
        wait_for_frr(lab, "Master")?;
        lab.director("d1")?.wait_for_state("Backup", WAIT)?;
        served_by(lab, protocol, "peer2")?;
        nobody_has_complained(lab)
    });
}

fn the_director_follows(lab: &Lab, protocol: Protocol) -> Result<(), LabError> {
    peer::is_heard(lab, protocol)?;
    served_by(lab, protocol, "peer2")?;
    nobody_has_complained(lab)
}

/// FRR, with the lower priority, believes every advert for twice as long as it would wait for one.
fn frr_follows(lab: &Lab, protocol: Protocol) -> Result<(), LabError> {
    let adverts = lab.switch().adverts_of("p2");
    lab.frr("p2")?.start(&conf::frr(protocol, BELOW))?;
    wait_for_frr(lab, "Backup")?;
    peer::believes(lab, &adverts)?;
    nobody_has_complained(lab)
}

/// Waits until FRR's last word on its state is this.
fn wait_for_frr(lab: &Lab, state: &str) -> Result<(), LabError> {
    let peer = lab.frr("p2")?;
    wait_for(&format!("FRR in state {state}"), || {
        let log = peer.log()?;
        let changed = log.lines().rfind(|line| line.contains(" -> "));
        Ok(changed.filter(|line| line.ends_with(state)).map(drop))
    })
}

/// Requests are answered by this server. By IPv6 the service's address is none of those that FRR has.
fn served_by(lab: &Lab, protocol: Protocol, server: &str) -> Result<(), LabError> {
    if protocol == Protocol::V3OverIpv6 {
        return Ok(());
    }
    wait_for(&format!("an answer of {server}"), || {
        let load = lab.client()?.load(service(), 1)?;
        Ok(load.answers.contains_key(server).then_some(()))
    })?;
    let load = lab.client()?.load(service(), 20)?;
    assert_eq!(
        (load.answers.get(server), load.failed()),
        (Some(&20), 0),
        "{load:?}"
    );
    Ok(())
}

/// No advert was dropped by the director, none refused by FRR.
fn nobody_has_complained(lab: &Lab) -> Result<(), LabError> {
    let router = lab.director("d1")?.status()?.routers[0].clone();
    let mut dropped = router.adverts_dropped.iter();
    let dropped = dropped.find(|dropped| dropped.name != "not-ready");
    assert_eq!(dropped, None, "{router:?}");
    let log = lab.frr("p2")?.log()?;
    // FRR may become Master before it has been told of its own link-local address, and says so.
    let mut lines = log.lines().filter(|line| !line.contains("to bind on"));
    let complaint = lines.find(|line| {
        line.contains("invalid") || line.contains(" addresses, but") || line.contains("Failed")
    });
    assert_eq!(complaint, None, "{log}");
    Ok(())
}
