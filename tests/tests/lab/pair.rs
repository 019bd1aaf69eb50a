//! A pair by direct routing: balancing, a server that fails, takeover, handover, and a director that is killed.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use director_core::status::{ServiceStatus, Status};
use qemu::frame::Mac;
use qemu::lab::{Lab, LabError};
use qemu::measure::{self, service};
use qemu::topology::{self, Topology, VIRTUAL_ADDRESS};
use tests::lab::opinion::{self, Voice};
use tests::lab::{
    SLACK, WAIT, boot, complaint, events, longest_gap, open_streams, press, says, tell,
    under_probe, wait_for, wait_until_all_serve, wire,
};

const PAIR: [&str; 2] = ["d1", "d2"];
const SERVER4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 22);
/// What a client may see of an event that it should not see at all, on two busy cores that emulate five machines. A
/// takeover after silence would take longer.
const UNNOTICED: Duration = Duration::from_secs(2);

#[test]
fn a_pair_balances_takes_a_failed_server_out_and_survives_a_power_cut() {
    tell("pair", topology::pair(), |lab| {
        let (active, backup) = start(lab)?;
        for name in PAIR {
            assert_eq!(complaint(lab.vm(name)?), None);
        }
        only_one_advertises(lab, active)?;
        every_request_is_answered_and_counted_by_the_kernel(lab, active)?;
        a_failed_server_is_out_until_it_is_well(lab, active)?;
        the_backup_takes_over(lab, active, backup)?;
        the_old_node_returns(lab, active, backup)?;
        wireshark_has_no_other_opinion(lab)
    });
}

/// Boots the pair; its directors in the order Active, Backup.
fn start(lab: &Lab) -> Result<(&'static str, &'static str), LabError> {
    boot(lab)?;
    let (active, backup) = measure::settled(lab, PAIR)?;
    wait_until_all_serve(lab.director(active)?)?;
    Ok((active, backup))
}

fn only_one_advertises(lab: &Lab, active: &str) -> Result<(), LabError> {
    let adverts = lab.switch().tap(|frame| frame.advert().is_some());
    for _ in 0..3 {
        let frame = adverts.next(WAIT).expect("an advert");
        assert_eq!(&*frame.node, active);
    }
    Ok(())
}

fn every_request_is_answered_and_counted_by_the_kernel(
    lab: &Lab,
    active: &str,
) -> Result<(), LabError> {
    let director = lab.director(active)?;
    let before = director.status()?;
    let load = lab.client()?.load(service(), 200)?;
    assert_eq!((load.answered(), load.failed()), (200, 0), "{load:?}");
    let of = |name: &str| u64::from(load.answers.get(name).copied().unwrap_or_default());
    let (server3, server4) = (of("server3"), of("server4"));
    println!("200 requests: server3 {server3}, server4 {server4}");
    assert!(server3 >= 50 && server4 >= 50, "{load:?}");

    // The counters are the kernel's, read every now and then.
    let total = |status: &Status| status.services[0].totals.connections;
    let counted = total(&before) + 200;
    let after = director.wait_until("200 connections more", WAIT, |status| {
        total(status) >= counted
    })?;
    assert_eq!(total(&after), counted);
    let [was, is] = [&before.services[0], &after.services[0]];
    for (address, answers) in [("10.77.0.21", server3), ("10.77.0.22", server4)] {
        let counted = connections(is, address) - connections(was, address);
        assert_eq!(counted, answers, "{address}: {is:?}");
    }
    assert!(is.in_kernel && is.quorum, "{is:?}");
    assert_eq!((is.scheduler.as_str(), is.totals.packets_out), ("wlc", 0));
    assert!(
        is.dests
            .iter()
            .all(|dest| dest.forwarding == "DR" && dest.kernel_weight == Some(1))
    );
    Ok(())
}

fn connections(service: &ServiceStatus, address: &str) -> u64 {
    let dests = service.dests.iter();
    dests
        .filter(|dest| dest.address == address)
        .map(|dest| dest.totals.connections)
        .sum()
}

fn a_failed_server_is_out_until_it_is_well(lab: &Lab, active: &str) -> Result<(), LabError> {
    let director = lab.director(active)?;
    let out = measure::take_out(lab, active, "s4", SERVER4, 100)?;
    println!("a stopped server was taken out after {:?}", out.after);
    assert_eq!(
        (out.load.answered(), out.load.failed()),
        (100, 0),
        "{:?}",
        out.load
    );
    assert_eq!(
        out.load.answers.get("server3"),
        Some(&100),
        "{:?}",
        out.load
    );
    let told = events(director)?;
    assert!(
        says(&told, "HTTP check of 10.77.0.22:80") && says(&told, "up -> down"),
        "{told:?}"
    );

    measure::take_in(lab, active, "s4", SERVER4)?;
    let load = lab.client()?.load(service(), 20)?;
    assert_eq!(load.failed(), 0, "{load:?}");
    assert!(load.answers.contains_key("server4"), "{load:?}");
    Ok(())
}

fn the_backup_takes_over(lab: &Lab, active: &str, backup: &str) -> Result<(), LabError> {
    let run = measure::power_cut(lab, active, backup)?;
    println!(
        "power cut: announced {:?} after the last advert (Active_Down {:?}), longest gap {:?}",
        run.announced_after,
        run.active_down,
        longest_gap(&run.probe)
    );
    assert!(run.announced_after > run.active_down - SLACK, "{run:?}");
    assert!(run.announced_after < run.active_down + SLACK, "{run:?}");
    assert!(longest_gap(&run.probe) < run.active_down + SLACK, "{run:?}");
    let load = lab.client()?.load(service(), 50)?;
    assert_eq!((load.answered(), load.answers.len()), (50, 2), "{load:?}");
    Ok(())
}

fn the_old_node_returns(lab: &Lab, active: &str, backup: &str) -> Result<(), LabError> {
    lab.vm(active)?.power_on()?;
    lab.vm(active)?.wait_until_up()?;
    // Now there are some seconds until it preempts. On a small host its boot would take the other machines' time.
    let ((), probe) = under_probe(lab, || {
        lab.director(active)?.wait_for_state("Active", WAIT)?;
        lab.director(backup)?.wait_for_state("Backup", WAIT)?;
        Ok(())
    })?;
    println!(
        "the old node is back: longest gap {:?}, errors {:?}",
        longest_gap(&probe),
        probe.errors
    );
    assert!(longest_gap(&probe) < UNNOTICED, "{probe:?}");
    let load = lab.client()?.load(service(), 50)?;
    assert_eq!((load.answered(), load.answers.len()), (50, 2), "{load:?}");
    Ok(())
}

/// Every advert and announcement of both directors is what it is meant to be.
fn wireshark_has_no_other_opinion(lab: &Lab) -> Result<(), LabError> {
    for host in [11, 12] {
        opinion::of_lab(
            lab,
            &Voice {
                mac: Mac([0x52, 0x54, 0, 77, 0, host]),
                source: IpAddr::from([10, 77, 0, host]),
                destination: opinion::GROUP,
                version: 2,
                password: None,
                addresses: &[VIRTUAL_ADDRESS.into()],
                announced: &[VIRTUAL_ADDRESS.into()],
            },
        )?;
    }
    Ok(())
}

#[test]
fn a_planned_handover_loses_no_connection_and_serves_until_the_successor_is_heard() {
    let topology = topology::pair();
    tell("handover", topology, |lab| {
        let (active, backup) = start(lab)?;
        wait_until_all_serve(lab.director(backup)?)?;

        // By command: the node stays, and does not take the addresses back.
        let watch = HandoverWatch::begin(lab, active, backup);
        let run = measure::handover(lab, active, backup)?;
        let gap = longest_gap(&run.probe);
        println!(
            "handover: announced {:?} after the goodbye, longest gap {gap:?}",
            run.announced_after
        );
        watch.end();
        assert!(gap < UNNOTICED, "{:?}", run.probe);
        assert_eq!(run.streams.alive, run.streams.wanted, "{:?}", run.streams);
        let left = lab.director(active)?.wait_for_state("Backup", WAIT)?;
        let told = events(lab.director(active)?)?;
        assert!(
            says(&told, "handed over to 10.77.0.12"),
            "{:?}\n{told:?}",
            left.routers
        );

        // By reboot: back to the first one, which now competes again.
        let (leaving, successor) = (backup, active);
        let watch = HandoverWatch::begin(lab, leaving, successor);
        open_streams(lab)?;
        let ((), probe) = under_probe(lab, || {
            let console = lab.vm(leaving)?.console();
            console.send_line("reboot")?;
            lab.director(successor)?.wait_for_state("Active", WAIT)?;
            Ok(())
        })?;
        let gap = longest_gap(&probe);
        println!("reboot: longest gap {gap:?}, errors {:?}", probe.errors);
        watch.end();
        assert!(gap < UNNOTICED, "{probe:?}");
        lab.vm(leaving)?.wait_until_up()?;
        lab.director(leaving)?.wait_for_state("Backup", WAIT)?;
        let streams = lab.client()?.close_streams()?;
        assert_eq!(streams.alive, streams.wanted, "{streams:?}");
        Ok(())
    });
}

/// Both sides of a handover on the wire.
struct HandoverWatch {
    goodbyes: qemu::switch::Tap,
    successor: qemu::switch::Tap,
    forwarded: qemu::switch::Tap,
}

impl HandoverWatch {
    fn begin(lab: &Lab, leaving: &str, successor: &str) -> Self {
        Self {
            goodbyes: wire::goodbyes_of(lab.switch(), leaving),
            successor: lab.switch().adverts_of(successor),
            forwarded: wire::forwarded_by(lab.switch(), leaving, VIRTUAL_ADDRESS),
        }
    }

    /// Goodbye, then the successor's advert, and the leaving node goes on forwarding until about then.
    fn end(self) {
        let goodbye = self
            .goodbyes
            .next(WAIT)
            .expect("an advert with priority 0")
            .at;
        let advert = self
            .successor
            .next(WAIT)
            .expect("the successor's advert")
            .at;
        assert!(goodbye < advert, "the leaving node speaks first");
        let late = goodbye + (advert - goodbye) * 3 / 4;
        let forwarded = self.forwarded.drain();
        let served = |frame: &qemu::frame::Frame| late < frame.at && frame.at < advert;
        println!(
            "the successor spoke {:?} after the goodbye",
            advert - goodbye
        );
        assert!(
            forwarded.iter().any(served),
            "the leaving node has stopped before its successor spoke: last packet {:?} after the goodbye",
            forwarded
                .last()
                .map(|frame| frame.at.saturating_duration_since(goodbye))
        );
    }
}

#[test]
fn a_killed_director_is_restarted_adopts_and_nobody_notices() {
    tell("killed", obeying_system_requests(), |lab| {
        let (active, backup) = start(lab)?;
        let director = lab.director(active)?;
        let before = director.status()?;
        let peer_before = lab.director(backup)?.status()?;
        let goodbyes = wire::goodbyes_of(lab.switch(), active);
        let usurper = lab.switch().adverts_of(backup);
        let usurped = lab.switch().announcements_of(backup, VIRTUAL_ADDRESS);

        open_streams(lab)?;
        let (after, probe) = under_probe(lab, || {
            director.vm().console().skip();
            press(director.vm(), &["alt", "sysrq", "i"])?;
            // The kernel has become talkative with that; only errors may stand between the console's lines.
            press(director.vm(), &["alt", "sysrq", "4"])?;
            // The consoles were killed too.
            director
                .vm()
                .console()
                .expect("`help` lists the commands", WAIT)?;
            director.vm().wait_until_up()?;
            wait_for("the new director's word", || {
                let status = director.status()?;
                Ok((status.process.pid != before.process.pid).then_some(status))
            })
        })?;
        println!(
            "killed: pid {} -> {}, longest gap {:?}, errors {:?}",
            before.process.pid,
            after.process.pid,
            longest_gap(&probe),
            probe.errors
        );
        let router = &after.routers[0];
        assert_eq!(router.state, "Active", "{router:?}");
        let told = events(director)?;
        assert!(
            says(&told, "held the addresses before a restart"),
            "{told:?}"
        );
        assert!(goodbyes.drain().is_empty(), "it did not give up");
        assert!(
            usurper.drain().is_empty() && usurped.drain().is_empty(),
            "the peer did not take over"
        );
        let peer = lab.director(backup)?.status()?;
        assert_eq!(
            (&peer.routers[0].state, peer.routers[0].since_us),
            (
                &peer_before.routers[0].state,
                peer_before.routers[0].since_us
            )
        );
        assert_eq!(probe.failed(), 0, "{probe:?}");
        assert!(longest_gap(&probe) < UNNOTICED, "{probe:?}");
        let streams = lab.client()?.close_streams()?;
        assert_eq!(streams.alive, streams.wanted, "{streams:?}");
        // It goes on checking.
        measure::take_out(lab, active, "s4", SERVER4, 20)?;
        Ok(())
    });
}

/// The pair, with what the product forbids and some stories need: system requests by key, such as SIGKILL to all but
/// PID 1, or a crash of the kernel.
fn obeying_system_requests() -> Topology {
    let mut topology = topology::pair();
    for name in PAIR {
        if let Some(node) = topology.node_mut(name) {
            node.cmdline = "sysrq_always_enabled".to_owned();
        }
    }
    topology
}

#[test]
fn a_node_that_loses_its_cable_or_its_kernel_is_replaced_and_comes_back() {
    tell("lost", obeying_system_requests(), |lab| {
        let (active, backup) = start(lab)?;
        let (node, peer) = (lab.director(active)?, lab.director(backup)?);

        let announcements = lab.switch().announcements_of(backup, VIRTUAL_ADDRESS);
        node.vm().set_link(0, false)?;
        assert!(announcements.next(WAIT).is_some(), "the peer takes over");
        let status = node.wait_for_state("Fault", WAIT)?;
        let lan = status.interfaces.iter().find(|found| found.name == "lan0");
        let addresses = lan.map(|lan| lan.addresses.join(" ")).unwrap_or_default();
        assert!(!addresses.contains("10.77.0.100"), "{addresses}");
        lab.client()?.wait_until_served(service(), 2, WAIT)?;
        let ((), probe) = under_probe(lab, || {
            node.vm().set_link(0, true)?;
            node.wait_for_state("Active", WAIT)?;
            peer.wait_for_state("Backup", WAIT)?;
            Ok(())
        })?;
        let gap = longest_gap(&probe);
        println!(
            "the cable is back: longest gap {gap:?}, errors {:?}",
            probe.errors
        );
        assert!(gap < UNNOTICED, "{probe:?}");

        let announcements = lab.switch().announcements_of(backup, VIRTUAL_ADDRESS);
        assert_eq!(node.status()?.routers[0].takeovers, 2);
        press(node.vm(), &["alt", "sysrq", "c"])?;
        assert!(announcements.next(WAIT).is_some(), "the peer takes over");
        // Nobody helps: the kernel starts the machine again ten seconds after its panic.
        node.vm().wait_until_up()?;
        let after = node.wait_for_state("Active", WAIT)?;
        assert_eq!(after.routers[0].takeovers, 1, "it was started again");
        peer.wait_for_state("Backup", WAIT)?;
        let load = lab.client()?.load(service(), 20)?;
        assert_eq!((load.answered(), load.answers.len()), (20, 2), "{load:?}");
        Ok(())
    });
}
