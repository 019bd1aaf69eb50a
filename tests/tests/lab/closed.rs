//! Signed adverts between real clocks, and `no_accept`: who is Active serves and forwards for the virtual addresses,
//! and is not reached by them itself.

use qemu::lab::{Lab, LabError};
use qemu::measure::{self, service};
use qemu::topology::{self, VIRTUAL_ADDRESS};
use tests::lab::{WAIT, boot, conf, tell, wait_for, wait_until_all_serve};

const LINK_LOCAL: &str = "fe80::77:100";

#[test]
fn no_accept_closes_the_virtual_addresses_but_for_services_and_neighbour_discovery() {
    let topology = topology::pair().with_keepalived(&conf::closed(LINK_LOCAL));
    tell("closed", topology, |lab| {
        boot(lab)?;
        let (active, backup) = measure::settled(lab, ["d1", "d2"])?;
        wait_until_all_serve(lab.director(active)?)?;
        is_closed_and_serves(lab, active)?;
        measure::handover(lab, active, backup)?;
        is_closed_and_serves(lab, backup)?;
        every_advert_is_signed_and_believed(lab)
    });
}

/// Each node has heard the other by now. The trailer is 28 bytes behind an advert of 20.
fn every_advert_is_signed_and_believed(lab: &Lab) -> Result<(), LabError> {
    for node in ["d1", "d2"] {
        let router = lab.director(node)?.status()?.routers[0].clone();
        let mut dropped = router.adverts_dropped.iter();
        let dropped = dropped.find(|dropped| dropped.name != "not-ready");
        assert_eq!(dropped, None, "{router:?}");
        assert!(router.adverts_received > 0, "{router:?}");
        assert_eq!(router.authentication, "key 1, enforce");
        if router.state == "Active" {
            let adverts = lab.switch().adverts_of(node);
            let advert = adverts.next(WAIT).expect("an advert");
            assert_eq!(advert.bytes.len(), 14 + 20 + 20 + 28);
        }
    }
    Ok(())
}

fn is_closed_and_serves(lab: &Lab, active: &str) -> Result<(), LabError> {
    let director = lab.director(active)?;
    director.wait_until("nothing is left to be done", WAIT, |status| {
        !status.routers[0].accepts && status.kernel.pending == 0
    })?;
    let load = lab.client()?.load(service(), 20)?;
    assert_eq!((load.answered(), load.failed()), (20, 0), "{load:?}");

    let own = director.vm().node().ports[0].mac.0[5];
    assert!(
        pings(lab, &format!("10.77.0.{own}"))?,
        "the node itself answers"
    );
    assert!(
        !pings(lab, &VIRTUAL_ADDRESS.to_string())?,
        "for the virtual address it does not"
    );
    let own = format!("fe80::5054:ff:fe4d:{own:x}%eth0");
    wait_for("an answer from the node's own link-local address", || {
        Ok(pings(lab, &own)?.then_some(()))
    })?;
    assert!(!pings(lab, &format!("{LINK_LOCAL}%eth0"))?, "nor over IPv6");
    let mac = director.vm().node().ports[0].mac.to_string();
    let entry = lab
        .client()?
        .vm()
        .shell(&format!("ip neigh show {LINK_LOCAL} dev eth0"))?;
    assert!(entry.contains(&mac), "but it is found: {entry:?}");
    Ok(())
}

/// Whether the client hears an answer to one of three echo requests.
fn pings(lab: &Lab, address: &str) -> Result<bool, LabError> {
    let ping = format!("ping -c 3 -W 2 {address} > /dev/null && echo heard || echo silent");
    Ok(lab.client()?.vm().shell(&ping)?.contains("heard"))
}
