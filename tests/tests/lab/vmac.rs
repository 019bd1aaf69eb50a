//! A virtual router with a hardware address of its own: who has it once never has to learn another one.

use qemu::frame::Mac;
use qemu::lab::{Lab, LabError};
use qemu::measure::{self, service};
use qemu::topology::VIRTUAL_ADDRESS;
use tests::lab::{WAIT, boot, complaint, conf, tell, wait_until_all_serve};

const PAIR: [&str; 2] = ["d1", "d2"];
/// Of virtual router 51 (RFC 9568, section 7.3).
const VIRTUAL: Mac = Mac([0, 0, 0x5e, 0, 1, 51]);

#[test]
fn a_virtual_hardware_address_moves_with_its_router_and_clients_go_on_with_it() {
    let here = "    virtual_router_id 51";
    let pair = conf::pair_with(here, &format!("    use_vmac\n{here}"));
    tell("vmac", pair, |lab| {
        boot(lab)?;
        let (active, backup) = measure::settled(lab, PAIR)?;
        wait_until_all_serve(lab.director(active)?)?;
        adverts_come_from_it(lab, active)?;
        served_at_it(lab)?;

        let announcements = lab.switch().announcements_of(backup, VIRTUAL_ADDRESS);
        lab.vm(active)?.power_cut();
        let announced = announcements.next(WAIT).expect("an announcement");
        let (_, mac) = announced.arp_announcement().expect("an announcement");
        assert_eq!((announced.source(), mac), (Some(VIRTUAL), VIRTUAL));
        adverts_come_from_it(lab, backup)?;
        // The client has still the entry of before.
        served_at_it(lab)?;
        assert_eq!(complaint(lab.vm(backup)?), None);

        lab.vm(active)?.power_on()?;
        lab.vm(active)?.wait_until_up()?;
        lab.director(active)?.wait_for_state("Active", WAIT)?;
        served_at_it(lab)?;
        assert_eq!(complaint(lab.vm(active)?), None);
        Ok(())
    });
}

fn adverts_come_from_it(lab: &Lab, active: &str) -> Result<(), LabError> {
    let adverts = lab.switch().adverts_of(active);
    let advert = adverts.next(WAIT).expect("an advert");
    assert_eq!(advert.source(), Some(VIRTUAL));
    Ok(())
}

fn served_at_it(lab: &Lab) -> Result<(), LabError> {
    let client = lab.client()?;
    let load = client.load(service(), 50)?;
    assert_eq!((load.answered(), load.answers.len()), (50, 2), "{load:?}");
    let known = client.shell(&format!("ip neigh show {VIRTUAL_ADDRESS}"))?;
    assert!(known.contains("00:00:5e:00:01:33"), "{known}");
    Ok(())
}
