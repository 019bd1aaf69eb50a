//! Network address translation: a pair between two segments.

use std::net::Ipv4Addr;

use qemu::lab::{Lab, LabError};
use qemu::measure::{self, service};
use qemu::topology::{self, VIRTUAL_ADDRESS};
use tests::lab::{WAIT, boot, conf, tell, wait_until_all_serve, wire};

/// The servers' way out, an address of the virtual router too.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);

#[test]
fn translated_requests_are_balanced_and_answered_through_whichever_director_is_active() {
    tell("nat", topology::nat(&conf::translating()), |lab| {
        boot(lab)?;
        let (active, backup) = measure::settled(lab, ["d1", "d2"])?;
        wait_until_all_serve(lab.director(active)?)?;
        balanced_through(lab, active)?;
        let status = lab
            .director(active)?
            .wait_until("answers are counted", WAIT, |status| {
                status.services[0].totals.packets_out > 0
            })?;
        let service = &status.services[0];
        assert!(
            service.dests.iter().all(|dest| dest.forwarding == "NAT"),
            "{service:?}"
        );

        // Both sides of the router change hands together.
        let outside = lab.switch().announcements_of(backup, VIRTUAL_ADDRESS);
        let inside = lab.switch().announcements_of(backup, GATEWAY);
        lab.director(active)?.command("handover")?;
        let (outside, inside) = (outside.next(WAIT), inside.next(WAIT));
        assert_eq!(
            outside.map(|frame| frame.segment.to_string()).as_deref(),
            Some("lan")
        );
        assert_eq!(
            inside.map(|frame| frame.segment.to_string()).as_deref(),
            Some("inside")
        );
        lab.director(active)?.wait_for_state("Backup", WAIT)?;
        lab.director(backup)?.wait_for_state("Active", WAIT)?;
        wait_until_all_serve(lab.director(backup)?)?;
        balanced_through(lab, backup)
    });
}

/// Requests are spread over both servers, and the answers come from the virtual address by way of this node.
fn balanced_through(lab: &Lab, node: &str) -> Result<(), LabError> {
    lab.client()?.wait_until_served(service(), 2, WAIT)?;
    let answers = wire::sent_from(lab.switch(), node, VIRTUAL_ADDRESS);
    let load = lab.client()?.load(service(), 100)?;
    assert_eq!((load.answered(), load.failed()), (100, 0), "{load:?}");
    for server in ["server3", "server4"] {
        assert_eq!(load.answers.get(server), Some(&50), "round robin: {load:?}");
    }
    assert!(answers.drain().len() >= 100, "answers pass {node}");
    Ok(())
}
