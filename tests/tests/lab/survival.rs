//! Established connections through a power cut of the Active, in each way of forwarding that a director synchronises.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use director_core::status::ServiceStatus;
use lab_agent::{Speaker, TalkPlan, TalkReport};
use qemu::lab::{Lab, LabError};
use qemu::measure;
use qemu::topology::{self, VIRTUAL_ADDRESS};
use tests::lab::{WAIT, boot, conf, tell, wait_until_all_serve};

/// Where the servers talk.
const TALK: u16 = 7;
/// The service of each way of forwarding, and its real server.
const SERVICES: [(&str, u16, Ipv4Addr); 3] = [
    ("DR", TALK, Ipv4Addr::new(10, 77, 0, 21)),
    ("NAT", 17, Ipv4Addr::new(10, 77, 1, 22)),
    ("FNAT", 27, Ipv4Addr::new(10, 77, 1, 21)),
];
/// Talks of each service, half of them with either side to speak next.
const TALKS: u32 = 200;
/// At most one in a hundred may be lost, of either half.
const ALIVE_MIN: u32 = TALKS / 2 * 99 / 100;
/// The age from which a connection is to survive. The kernel sends what it synchronises in bundles, the last of them
/// up to three seconds late.
const AGE: Duration = Duration::from_secs(3);
/// TCP sends again with growing pauses: within three times the outage, and that is bounded by Active_Down.
const GO_ON_MS: u32 = 30_000;

#[test]
fn connections_go_on_through_a_power_cut_by_dr_nat_and_fullnat_whichever_side_speaks_next() {
    tell(
        "survival",
        topology::mixed(&conf::mixed(&SERVICES)),
        |lab| {
            boot(lab)?;
            let (active, backup) = measure::settled(lab, ["d1", "d2"])?;
            for server in ["s3", "s4"] {
                lab.server(server)?.serve_talks(TALK)?;
            }
            wait_until_all_serve(lab.director(active)?)?;
            wait_until_all_serve(lab.director(backup)?)?;
            open(lab)?;
            thread::sleep(AGE);
            let status = lab.director(backup)?.wait_until(
                "the connections are synchronised",
                WAIT,
                |status| {
                    status
                        .services
                        .iter()
                        .all(|service| synchronised(service) >= u64::from(TALKS))
                },
            )?;
            for service in &status.services {
                println!(
                    "port {}: {} synchronised",
                    service.port,
                    synchronised(service)
                );
            }

            lab.vm(active)?.power_cut();
            let spoken = lab.server("s3")?.speak()? + lab.server("s4")?.speak()?;
            assert_eq!(spoken, TALKS / 2 * 3, "every server's turn");
            lab.director(backup)?.wait_for_state("Active", WAIT)?;
            let reports = lab
                .client()?
                .go_on(Duration::from_millis(u64::from(GO_ON_MS) * 6))?;
            let survived = |report: &TalkReport| {
                println!("{report:?}");
                report.alive >= ALIVE_MIN
            };
            let survived: Vec<bool> = reports.iter().map(survived).collect();
            assert_eq!(survived, [true; 6], "{reports:?}");
            Ok(())
        },
    );
}

/// All talks, with those before which the server speaks next first.
fn open(lab: &Lab) -> Result<(), LabError> {
    for (_, port, _) in SERVICES {
        for speaker in [Speaker::Server, Speaker::Client] {
            let plan = TalkPlan {
                target: SocketAddr::from((VIRTUAL_ADDRESS, port)),
                talks: TALKS / 2,
                speaker,
                timeout_ms: GO_ON_MS,
            };
            let reports = lab.client()?.open_talks(plan)?;
            let opened = reports.last().map(|report| report.alive);
            assert_eq!(opened, Some(TALKS / 2), "{reports:?}");
        }
    }
    Ok(())
}

/// Connections of a service in the kernel's table, of a node that does not serve it.
fn synchronised(service: &ServiceStatus) -> u64 {
    service.totals.active + service.totals.inactive
}
