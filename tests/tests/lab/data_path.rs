//! Checks by way of the virtual address: a server that can't serve its clients is out, however well it answers.

use std::net::SocketAddr;

use director_core::status::{DestStatus, Status};
use qemu::lab::{Lab, LabError};
use qemu::measure::{self, service};
use tests::lab::{WAIT, boot, complaint, conf, tell, wait_until_all_serve};

const PAIR: [&str; 2] = ["d1", "d2"];
const SERVER3: &str = "10.77.0.21";
const SERVER4: &str = "10.77.0.22";
/// The virtual address on a real server (DR).
const ON_LO: &str = "10.77.0.100/32 dev lo";

#[test]
fn a_server_without_the_virtual_address_is_out_on_both_nodes_until_it_has_it_again() {
    let here = "    delay_loop 2 ";
    let pair = conf::pair_with(here, &format!("    data_path\n{here}"));
    tell("data-path", pair, |lab| {
        boot(lab)?;
        let (active, _) = measure::settled(lab, PAIR)?;
        for name in PAIR {
            let status = wait_until_all_serve(lab.director(name)?)?;
            let mut checks = status.checks.iter();
            let by_it = checks.all(|check| check.path == "10.77.0.100:80");
            assert!(by_it, "{name}: {:?}", status.checks);
        }

        let server = lab.server("s4")?;
        server.shell(&format!("ip address del {ON_LO}"))?;
        for name in PAIR {
            only_server3_is_in(lab, name)?;
        }
        let own: SocketAddr = format!("{SERVER4}:80").parse().expect("an address");
        let load = lab.client()?.load(own, 10)?;
        assert_eq!((load.answered(), load.failed()), (10, 0), "{load:?}");
        let load = lab.client()?.load(service(), 50)?;
        assert_eq!(load.answers.get("server3"), Some(&50), "{load:?}");
        let director = lab.director(active)?;
        let counted =
            director.wait_until("50 connections", WAIT, |status| clients(status) >= 50)?;
        assert_eq!(clients(&counted), 50, "a check is no client");

        server.shell(&format!("ip address add {ON_LO}"))?;
        for name in PAIR {
            wait_until_all_serve(lab.director(name)?)?;
        }
        let load = lab.client()?.load(service(), 50)?;
        assert_eq!((load.answered(), load.answers.len()), (50, 2), "{load:?}");

        // Whoever takes over asks the same way, now as the one that has the address.
        let [first, second] = PAIR;
        let successor = if active == first { second } else { first };
        lab.vm(active)?.power_cut();
        lab.director(successor)?.wait_for_state("Active", WAIT)?;
        server.shell(&format!("ip address del {ON_LO}"))?;
        only_server3_is_in(lab, successor)?;
        assert_eq!(complaint(lab.vm(successor)?), None);
        Ok(())
    });
}

fn only_server3_is_in(lab: &Lab, name: &str) -> Result<(), LabError> {
    let state = |status: &Status, address: &str| {
        let mut dests = status.services.iter().flat_map(|service| &service.dests);
        let found = dests.find(|dest: &&DestStatus| dest.address == address);
        found.map(|dest| dest.state.clone())
    };
    lab.director(name)?
        .wait_until("only server3 is in", WAIT, |status| {
            let is =
                |address: &str, wanted: &str| state(status, address).as_deref() == Some(wanted);
            is(SERVER3, "up") && is(SERVER4, "down")
        })?;
    Ok(())
}

/// Connections that the kernel counts for the service.
fn clients(status: &Status) -> u64 {
    let services = status.services.iter();
    services.map(|service| service.totals.connections).sum()
}
