//! Split brain: both directors live and serve, and do not hear each other. Then they do again.

use std::net::IpAddr;

use qemu::frame::Mac;
use qemu::lab::{Lab, LabError};
use qemu::measure::{self, active_down, service};
use qemu::topology::{self, VIRTUAL_ADDRESS};
use tests::lab::{
    SLACK, WAIT, boot, events, longest_gap, peer, says, tell, under_probe, wait_for,
    wait_until_all_serve,
};

#[test]
fn a_split_pair_has_two_active_nodes_and_one_when_it_heals_which_every_client_knows() {
    tell("split", topology::pair(), |lab| {
        boot(lab)?;
        let (active, backup) = measure::settled(lab, ["d1", "d2"])?;
        wait_until_all_serve(lab.director(active)?)?;
        wait_until_all_serve(lab.director(backup)?)?;
        both_are_active_once_they_do_not_hear_each_other(lab, active, backup)?;
        one_stays_active_once_they_do(lab, active, backup)
    });
}

/// From a takeover to the last of its announcements: `vrrp_garp_master_delay`, five of them, and a margin.
const ANNOUNCES_US: u64 = 6_000_000;

/// The client asks whoever announced itself last.
fn both_are_active_once_they_do_not_hear_each_other(
    lab: &Lab,
    active: &str,
    backup: &str,
) -> Result<(), LabError> {
    everything_is_answered(lab)?;
    client_knows(lab, Some(lab.vm(active)?.node().ports[0].mac))?;
    // It repeats its announcements once, and would fetch the client back.
    lab.director(active)?
        .wait_until("the last of its announcements", WAIT, |status| {
            let since_us = status.routers[0].since_us;
            status.now_us >= since_us + ANNOUNCES_US
        })?;
    let usurped = lab.switch().announcements_of(backup, VIRTUAL_ADDRESS);
    lab.switch().separate(active, backup);
    let announced = usurped.next(WAIT).expect("the Backup takes over");
    lab.director(backup)?.wait_for_state("Active", WAIT)?;
    lab.director(active)?.wait_for_state("Active", WAIT)?;
    for node in [active, backup] {
        let adverts = lab.switch().adverts_of(node);
        assert!(adverts.next(WAIT).is_some(), "{node} advertises");
    }
    client_knows(lab, announced.source())?;
    everything_is_answered(lab)
}

fn one_stays_active_once_they_do(lab: &Lab, active: &str, backup: &str) -> Result<(), LabError> {
    let before = lab.director(active)?.status()?.routers[0].clone();
    let staying = lab.switch().announcements_of(active, VIRTUAL_ADDRESS);
    let stepping_back = lab.switch().adverts_of(backup);
    let ((), probe) = under_probe(lab, || {
        lab.switch().reunite();
        lab.director(backup)?.wait_for_state("Backup", WAIT)?;
        Ok(())
    })?;
    let gap = longest_gap(&probe);
    println!("healed: longest gap {gap:?}, errors {:?}", probe.errors);
    assert!(gap < SLACK, "{probe:?}");

    // What it says before, a repetition of its takeover's burst, is none of it.
    let left_at = stepping_back.drain().last().expect("a last advert").at;
    let announced = std::iter::from_fn(|| staying.next(WAIT))
        .find(|frame| frame.at > left_at)
        .expect("the one that stays announces itself once it has heard of the other");
    client_knows(lab, announced.source())?;
    everything_is_answered(lab)?;

    let after = lab.director(active)?.status()?.routers[0].clone();
    assert_eq!(
        (after.state.as_str(), after.takeovers),
        ("Active", before.takeovers)
    );
    assert_eq!(after.since_us, before.since_us, "it never left");
    let told = events(lab.director(active)?)?;
    assert!(says(&told, "is Active too"), "{told:?}");
    stays_quiet(lab, backup, active_down(&after) * 2)
}

/// The node sends no advert for longer than it would wait for one.
fn stays_quiet(lab: &Lab, node: &str, patience: std::time::Duration) -> Result<(), LabError> {
    let adverts = lab.switch().adverts_of(node);
    peer::is_silent(&adverts, patience);
    assert_eq!(lab.director(node)?.status()?.routers[0].state, "Backup");
    Ok(())
}

/// The client's ARP cache has this hardware address for the virtual address.
fn client_knows(lab: &Lab, mac: Option<Mac>) -> Result<(), LabError> {
    let mac = mac.expect("a frame has a source").to_string();
    let address = IpAddr::V4(VIRTUAL_ADDRESS);
    wait_for(&format!("{address} at {mac} in the client's cache"), || {
        let entry = lab
            .client()?
            .vm()
            .shell(&format!("ip neigh show {address}"))?;
        Ok(entry.contains(&mac).then_some(()))
    })
}

fn everything_is_answered(lab: &Lab) -> Result<(), LabError> {
    lab.client()?.wait_until_served(service(), 2, WAIT)?;
    let load = lab.client()?.load(service(), 50)?;
    assert_eq!(
        (load.answered(), load.failed(), load.answers.len()),
        (50, 0, 2),
        "{load:?}"
    );
    Ok(())
}
