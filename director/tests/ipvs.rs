//! IPVS as the kernel really has it, in a network namespace of its own. Needs root and the module `ip_vs`; without
//! them the tests say so and pass. Where `ipvsadm` is installed it is the second opinion.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;
use std::time::Instant;

use director::kernel::NetlinkError;
use director::kernel::ipvs::{BATCH_MAX, Ipvs};
use director_core::ipvs::{
    Dest, DestId, FLAG_PERSISTENT, FLAG_SCHED1, FLAG_SCHED2, Forwarding, Protocol, Service,
    ServiceId, SyncDaemon, SyncRole, SyncWire, Tunnel,
};
use director_core::kernel::{Op, OpError};
use director_core::net::Family;
use nix::sched::{CloneFlags, unshare};

#[test]
fn every_kind_of_service_and_dest_is_read_back_as_it_was_set() {
    with_ipvs(|ipvs| {
        let table = table();
        let mut ops = Vec::new();
        for (id, service, dests) in &table {
            ops.push(Op::NewService(*id, service.clone()));
            ops.extend(dests.iter().map(|(dest, to)| Op::NewDest(*id, *dest, *to)));
        }
        assert_eq!(ipvs.apply(&ops), vec![Ok(()); ops.len()]);
        let services: BTreeMap<_, _> = table
            .iter()
            .map(|(id, service, _)| (*id, service.clone()))
            .collect();
        assert_eq!(ipvs.services().unwrap(), services);
        for (id, _, dests) in &table {
            let wished: BTreeMap<_, _> = dests.iter().copied().collect();
            let found: BTreeMap<_, _> = ipvs
                .dests(id)
                .unwrap()
                .iter()
                .map(|(id, dest)| (*id, dest.dest))
                .collect();
            assert_eq!(found, wished, "{id}");
        }
        if let Some(rules) = ipvsadm() {
            for line in [
                "-A -t 192.0.2.100:80 -s wlc",
                "-a -t 192.0.2.100:80 -r 10.0.0.11:80 -g -w 3",
                "-a -t 192.0.2.100:80 -r 10.0.0.12:8080 -m -w 0",
                "-A -u 192.0.2.100:53 -s mh -b mh-fallback,mh-port",
                "-A -t 192.0.2.100:443 -s rr -p 300 -M 255.255.255.0",
                "-A -t [2001:db8::100]:80 -s wrr -p 60",
                "-a -t [2001:db8::100]:80 -r [2001:db8::11]:80 -m -w 1",
                "-A -f 7 -s sh",
                "-a -f 7 -r 10.0.0.13:0 -i -w 1 --tun-type ipip",
            ] {
                assert!(
                    rules.lines().any(|rule| rule.trim_end() == line),
                    "{line} is not in\n{rules}"
                );
            }
        }
    });
}

#[test]
fn changes_keep_the_rest_and_deletions_are_exact() {
    with_ipvs(|ipvs| {
        let (id, service, dests) = table().remove(0);
        let (dest, to) = dests[0];
        let changed = Service {
            scheduler: "rr".parse().unwrap(),
            ..service.clone()
        };
        let heavier = Dest { weight: 9, ..to };
        let ops = [
            Op::NewService(id, service),
            Op::NewDest(id, dest, to),
            Op::SetService(id, changed.clone()),
            Op::SetDest(id, dest, heavier),
        ];
        assert_eq!(ipvs.apply(&ops), [Ok(()); 4]);
        assert_eq!(ipvs.services().unwrap()[&id], changed);
        assert_eq!(ipvs.dests(&id).unwrap()[&dest].dest, heavier);
        assert_eq!(ipvs.apply(&[Op::DelDest(id, dest)]), [Ok(())]);
        assert_eq!(ipvs.dests(&id).unwrap().len(), 0);
        assert_eq!(ipvs.apply(&[Op::DelService(id)]), [Ok(())]);
        assert_eq!(ipvs.services().unwrap().len(), 0);
        let [_, fin, _] = ipvs.timeouts().unwrap();
        assert_eq!(ipvs.apply(&[Op::SetTimeouts([901, 0, 301])]), [Ok(())]);
        assert_eq!(ipvs.timeouts().unwrap(), [901, fin, 301]);
    });
}

#[test]
fn one_refused_operation_of_a_batch_has_its_own_errno_and_the_others_are_done() {
    with_ipvs(|ipvs| {
        let (id, service, dests) = table().remove(0);
        let (dest, to) = dests[0];
        let unknown = Service {
            scheduler: "nonesuch".parse().unwrap(),
            ..service.clone()
        };
        let elsewhere = ServiceId::Fwmark {
            family: Family::V4,
            mark: 99,
        };
        let ops = [
            Op::NewService(id, service.clone()),
            Op::NewService(id, service),
            Op::NewDest(id, dest, to),
            Op::NewDest(id, dest, to),
            Op::DelDest(elsewhere, dest),
            Op::NewService(elsewhere, unknown),
            Op::StopSync(SyncRole::Master),
        ];
        assert_eq!(
            ipvs.apply(&ops),
            [
                Ok(()),
                Err(OpError::EXISTS),
                Ok(()),
                Err(OpError::EXISTS),
                Err(OpError::NO_SERVICE),
                Err(OpError::NOT_THERE),
                Err(OpError::NO_SERVICE),
            ]
        );
        assert_eq!(ipvs.dests(&id).unwrap().len(), 1);
        assert_eq!(ipvs.dests(&elsewhere).unwrap().len(), 0);
    });
}

#[test]
fn both_synchronisation_daemons_run_and_stop() {
    with_ipvs(|ipvs| {
        let daemon = SyncDaemon {
            interface: "lo".parse().unwrap(),
            id: 51,
            wire: SyncWire {
                port: 8849,
                ttl: 2,
                ..SyncWire::default()
            },
        };
        let start = |role| Op::StartSync(role, daemon.clone());
        let started = ipvs.apply(&[start(SyncRole::Master), start(SyncRole::Backup)]);
        assert_eq!(started, [Ok(()), Ok(())]);
        let both = BTreeMap::from([
            (SyncRole::Master, daemon.clone()),
            (SyncRole::Backup, daemon.clone()),
        ]);
        assert_eq!(ipvs.daemons().unwrap(), both);
        assert_eq!(
            ipvs.apply(&[start(SyncRole::Master)]),
            [Err(OpError::EXISTS)]
        );
        assert_eq!(
            ipvs.apply(&[
                Op::StopSync(SyncRole::Master),
                Op::StopSync(SyncRole::Backup)
            ]),
            [Ok(()), Ok(())]
        );
        assert_eq!(ipvs.daemons().unwrap(), BTreeMap::new());
    });
}

#[test]
fn a_thousand_dests_are_written_in_batches_and_read_back() {
    with_ipvs(|ipvs| {
        let (service, to) = (service("wlc", 0, 0, 32), dest(Forwarding::Dr, 1));
        let mut ops = Vec::new();
        for port in 1..=100 {
            let id = tcp("192.0.2.100", port);
            ops.push(Op::NewService(id, service.clone()));
            ops.extend(
                (1..=10).map(|host| Op::NewDest(id, at(&format!("10.0.0.{host}"), port), to)),
            );
        }
        let start = Instant::now();
        for batch in ops.chunks(BATCH_MAX) {
            assert!(ipvs.apply(batch).iter().all(Result::is_ok));
        }
        let written = start.elapsed();
        let start = Instant::now();
        let services = ipvs.services().unwrap();
        let dests: usize = services
            .keys()
            .map(|id| ipvs.dests(id).unwrap().len())
            .sum();
        println!(
            "{} operations in {written:?}, read in {:?}",
            ops.len(),
            start.elapsed()
        );
        assert_eq!((services.len(), dests), (100, 1000));
    });
}

type Pools = Vec<(ServiceId, Service, Vec<(DestId, Dest)>)>;

fn table() -> Pools {
    let limited = Dest {
        upper: 100,
        lower: 50,
        ..dest(Forwarding::Nat, 0)
    };
    let udp = ServiceId::Address {
        protocol: Protocol::Udp,
        address: "192.0.2.100".parse().unwrap(),
        port: 53,
    };
    let mark = ServiceId::Fwmark {
        family: Family::V4,
        mark: 7,
    };
    vec![
        (
            tcp("192.0.2.100", 80),
            service("wlc", 0, 0, 32),
            vec![
                (at("10.0.0.11", 80), dest(Forwarding::Dr, 3)),
                (at("10.0.0.12", 8080), limited),
            ],
        ),
        (udp, service("mh", FLAG_SCHED1 | FLAG_SCHED2, 0, 32), vec![]),
        (
            tcp("192.0.2.100", 443),
            service("rr", FLAG_PERSISTENT, 300, 24),
            vec![],
        ),
        (
            tcp("2001:db8::100", 80),
            service("wrr", FLAG_PERSISTENT, 60, 128),
            vec![(at("2001:db8::11", 80), dest(Forwarding::Nat, 1))],
        ),
        (
            mark,
            service("sh", 0, 0, 32),
            vec![(at("10.0.0.13", 0), dest(Forwarding::Tun(Tunnel::Ipip), 1))],
        ),
    ]
}

fn service(scheduler: &str, flags: u32, timeout_s: u32, granularity: u8) -> Service {
    Service {
        scheduler: scheduler.parse().unwrap(),
        flags,
        timeout_s,
        granularity,
        sip: false,
    }
}

fn dest(forwarding: Forwarding, weight: u32) -> Dest {
    Dest {
        forwarding,
        weight,
        upper: 0,
        lower: 0,
    }
}

fn tcp(address: &str, port: u16) -> ServiceId {
    ServiceId::Address {
        protocol: Protocol::Tcp,
        address: address.parse().unwrap(),
        port,
    }
}

fn at(address: &str, port: u16) -> DestId {
    DestId {
        address: address.parse().unwrap(),
        port,
    }
}

/// Runs a test with the IPVS of a fresh network namespace, whose loopback is up: without any address the kernel
/// refuses every dest.
fn with_ipvs(test: impl FnOnce(&mut Ipvs) + Send + 'static) {
    let result = std::thread::spawn(move || {
        let has_ip = Command::new("ip").arg("-V").output().is_ok();
        if !has_ip || unshare(CloneFlags::CLONE_NEWNET).is_err() {
            skipped("a network namespace needs root and iproute2");
            return;
        }
        let mut ipvs = match Ipvs::open() {
            Err(NetlinkError::Missing) => {
                skipped("the kernel has no IPVS");
                return;
            }
            result => result.unwrap(),
        };
        let status = Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status()
            .expect("ip is installed");
        assert!(status.success());
        test(&mut ipvs);
    })
    .join();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// The table as `ipvsadm` saves it; none where it is not installed.
fn ipvsadm() -> Option<String> {
    let output = Command::new("ipvsadm").args(["-S", "-n"]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Says so past the test's captured output.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
