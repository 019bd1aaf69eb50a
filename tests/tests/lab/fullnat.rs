//! FULLNAT: the servers see local addresses of the directors and know no way to the client.

use std::net::Ipv4Addr;

use qemu::lab::{Lab, LabError};
use qemu::measure::{self, service};
use qemu::topology::{self, VIRTUAL_ADDRESS};
use tests::lab::{WAIT, boot, complaint, conf, tell, wait_until_all_serve, wire};

const LOCALS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 1, 100), Ipv4Addr::new(10, 77, 1, 101)];
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 50);

#[test]
fn servers_without_a_way_to_the_client_serve_it_through_whichever_director_is_active() {
    tell("fullnat", topology::fullnat(&conf::fullnat()), |lab| {
        boot(lab)?;
        let (active, backup) = measure::settled(lab, ["d1", "d2"])?;
        wait_until_all_serve(lab.director(active)?)?;
        translated_through(lab, active)?;
        for name in [active, backup] {
            assert_eq!(complaint(lab.vm(name)?), None);
            let kernel = lab.director(name)?.status()?.kernel;
            assert_eq!(kernel.failed, 0, "{kernel:?}");
        }

        let announced = LOCALS.map(|local| lab.switch().announcements_of(backup, local));
        lab.director(active)?.command("handover")?;
        for announced in announced {
            let frame = announced.next(WAIT).expect("a local address is announced");
            assert_eq!(&*frame.segment, "inside");
        }
        lab.director(active)?.wait_for_state("Backup", WAIT)?;
        let status = lab.director(backup)?.wait_for_state("Active", WAIT)?;
        assert_eq!(status.kernel.pending, 0, "{:?}", status.kernel);
        wait_until_all_serve(lab.director(backup)?)?;
        translated_through(lab, backup)
    });
}

/// Requests are spread over both servers; these see the local addresses, all of them, and never the client.
fn translated_through(lab: &Lab, node: &str) -> Result<(), LabError> {
    lab.client()?.wait_until_served(service(), 2, WAIT)?;
    let answers = wire::sent_from(lab.switch(), node, VIRTUAL_ADDRESS);
    let asked = LOCALS.map(|local| wire::sent_from(lab.switch(), node, local));
    let untranslated = wire::sent_from(lab.switch(), node, CLIENT);
    let load = lab.client()?.load(service(), 100)?;
    assert_eq!((load.answered(), load.failed()), (100, 0), "{load:?}");
    for server in ["server3", "server4"] {
        assert_eq!(load.answers.get(server), Some(&50), "round robin: {load:?}");
    }
    assert!(answers.drain().len() >= 100, "answers pass {node}");
    for (asked, local) in asked.into_iter().zip(LOCALS) {
        let count = asked.drain().len();
        println!("{node}: {count} packets from {local}");
        assert!(count > 0, "{local} is used");
    }
    assert!(untranslated.drain().is_empty(), "the client is hidden");
    let status = lab.director(node)?.status()?;
    let service = &status.services[0];
    assert!(
        service.dests.iter().all(|dest| dest.forwarding == "FNAT"),
        "{service:?}"
    );
    assert_eq!(service.local_addresses, ["10.77.1.100", "10.77.1.101"]);
    Ok(())
}
