//! Established connections through a power cut of the Active, in each way of forwarding that a director synchronises.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use director_core::filter::local_of;
use director_core::status::{ServiceStatus, Status, TrackingStatus};
use lab_agent::{Speaker, TalkPlan, TalkReport, Transport};
use qemu::lab::{Lab, LabError};
use qemu::measure;
use qemu::roles::{Client, Server};
use qemu::topology;
use tests::lab::{WAIT, boot, complaint, tell, wait_until_all_serve};

const KEEPALIVED: &str = include_str!("survival.conf");
/// Where the servers talk.
const TALK: u16 = 7;
/// The age from which a connection is to survive. The kernel sends what it synchronises in bundles, the last of them
/// up to three seconds late.
const AGE: Duration = Duration::from_secs(3);
/// TCP sends again with growing pauses: within three times the outage, and that is bounded by Active_Down.
const GO_ON_MS: u32 = 30_000;

/// Talks through one of the services, half of them with either side to speak next.
struct Way {
    name: &'static str,
    client: &'static str,
    service: &'static str,
    transport: Transport,
    talks: u32,
    tracked: bool,
}

const fn way(name: &'static str, service: &'static str, talks: u32, tracked: bool) -> Way {
    Way {
        name,
        client: "client",
        service,
        transport: Transport::Tcp,
        talks,
        tracked,
    }
}

/// FULLNAT by UDP.
const CONTESTED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, 100)), 28);

const WAYS: [Way; 6] = [
    way("DR", "10.77.0.100:7", 200, false),
    way("NAT", "10.77.0.100:17", 200, false),
    way("FULLNAT", "10.77.0.100:27", 200, true),
    way("FULLNAT by IPv6", "[fd00:77::100]:27", 20, true),
    Way {
        transport: Transport::Udp,
        ..way("FULLNAT by UDP", "10.77.0.100:28", 20, true)
    },
    // The client is in the network of the servers, which would answer it past the director.
    Way {
        client: "s4",
        ..way("FULLNAT with one arm", "10.77.1.1:37", 20, true)
    },
];

#[test]
fn connections_go_on_through_a_power_cut_by_dr_nat_and_fullnat_whichever_side_speaks_next() {
    // With IPv6 on both segments.
    let topology = topology::mixed(KEEPALIVED).with_ipv6();
    tell("survival", topology, |lab| {
        boot(lab)?;
        let (active, backup) = measure::settled(lab, ["d1", "d2"])?;
        prepare_guests(lab)?;
        wait_until_all_serve(lab.director(active)?)?;
        wait_until_all_serve(lab.director(backup)?)?;
        for way in &WAYS {
            open(lab, way)?;
        }
        open_contested(lab)?;
        let tracked = tracking(&lab.director(active)?.status()?);
        assert!(tracked.tracked >= 260, "{tracked:?}");
        assert_eq!((tracked.refused, tracked.dropped), (0, 0), "{tracked:?}");
        thread::sleep(AGE);
        let synchronised = |status: &Status| {
            let mut pairs = WAYS.iter().zip(&status.services);
            pairs.all(|(way, service)| connections(service) >= u64::from(way.talks))
        };
        lab.director(backup)?
            .wait_until("the connections are synchronised", WAIT, synchronised)?;

        lab.vm(active)?.power_cut();
        speak(lab)?;
        let expected: u32 = WAYS
            .iter()
            .filter(|way| way.tracked)
            .map(|way| way.talks)
            .sum();
        let status =
            lab.director(backup)?
                .wait_until("connections are tracked anew", WAIT, |status| {
                    tracking(status).restored > u64::from(expected)
                })?;
        let tracked = tracking(&status);
        println!("{tracked:?}");
        // Of the two with one port.
        assert_eq!((tracked.contested, tracked.failed), (1, 0), "{tracked:?}");
        // A datagram that was sent before is lost.
        speak(lab)?;
        went_on(lab)?;
        for name in ["d1", "d2"] {
            assert_eq!(complaint(lab.vm(name)?), None);
        }
        Ok(())
    });
}

fn prepare_guests(lab: &Lab) -> Result<(), LabError> {
    lab.client()?
        .shell("ip address add 10.77.0.51/24 dev eth0")?;
    for server in ["s3", "s4"] {
        lab.server(server)?.serve_talks(TALK)?;
    }
    Ok(())
}

fn open(lab: &Lab, way: &Way) -> Result<(), LabError> {
    for speaker in [Speaker::Server, Speaker::Client] {
        let target: SocketAddr = way.service.parse().expect("an address with a port");
        let plan = TalkPlan {
            target,
            transport: way.transport,
            source: None,
            talks: way.talks / 2,
            speaker,
            timeout_ms: GO_ON_MS,
        };
        let reports = talker(lab, way.client)?.open_talks(plan)?;
        let opened = reports.last().map(|report| report.alive);
        assert_eq!(opened, Some(way.talks / 2), "{}: {reports:?}", way.name);
    }
    Ok(())
}

/// Two talks whose clients have the same port, and share a local address and a real server: the second one's port on
/// it is the kernel's choice.
fn open_contested(lab: &Lab) -> Result<(), LabError> {
    let locals: Vec<IpAddr> = [100, 101].map(|last| [10, 77, 1, last].into()).to_vec();
    let clients = |port| [50, 51].map(|last| SocketAddr::from(([10, 77, 0, last], port)));
    let shared = (40_000..).map(clients).find(|clients| {
        let [first, second] = clients.map(|client| local_of(&locals, client));
        first == second
    });
    for client in shared.expect("every second port is one") {
        let plan = TalkPlan {
            target: CONTESTED,
            transport: Transport::Udp,
            source: Some(client),
            talks: 1,
            speaker: Speaker::Client,
            timeout_ms: GO_ON_MS,
        };
        let reports = lab.client()?.open_talks(plan)?;
        assert_eq!(reports.last().map(|report| report.alive), Some(1));
    }
    Ok(())
}

/// It is every server's turn.
fn speak(lab: &Lab) -> Result<(), LabError> {
    let spoken = lab.server("s3")?.speak()? + lab.server("s4")?.speak()?;
    let waiting: u32 = WAYS.iter().map(|way| way.talks / 2).sum();
    assert_eq!(spoken, waiting, "talks that wait for a server's word");
    Ok(())
}

/// At most one talk in a hundred is lost, whoever speaks next.
fn went_on(lab: &Lab) -> Result<(), LabError> {
    let mut reports: Vec<TalkReport> = Vec::new();
    for client in ["client", "s4"] {
        let patience = Duration::from_millis(u64::from(GO_ON_MS) * 12);
        reports.extend(talker(lab, client)?.go_on(patience)?);
    }
    reports.retain(|report| report.wanted > 1);
    assert_eq!(reports.len(), 2 * WAYS.len());
    let mut lost = Vec::new();
    for (way, reports) in WAYS.iter().zip(reports.chunks(2)) {
        for report in reports {
            let TalkReport { alive, wanted, .. } = report;
            println!(
                "{}, {:?} next: {alive} of {wanted}",
                way.name, report.speaker
            );
            if wanted - alive > wanted / 100 {
                lost.push(report);
            }
        }
    }
    assert!(lost.is_empty(), "{lost:?}");
    Ok(())
}

/// A machine as the client of a service.
fn talker<'a>(lab: &'a Lab, name: &str) -> Result<Client<'a>, LabError> {
    match name {
        "client" => lab.client(),
        server => lab.server(server).map(Server::as_client),
    }
}

fn tracking(status: &Status) -> TrackingStatus {
    status.tracking.expect("a service by FULLNAT is configured")
}

/// Connections of a service in the kernel's table.
fn connections(service: &ServiceStatus) -> u64 {
    service.totals.active + service.totals.inactive
}
