//! What `keelson import` makes of the other directors' files, as goldens: `moving/NAME` becomes
//! `moving/NAME.keepalived.conf`, `moving/NAME.router.conf` and `moving/NAME.notes`, and `keelson check` must have
//! nothing to say about them. `KEELSON_UPDATE_GOLDENS=1` writes them anew.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use director_core::config::{CheckKind, Config, Parsed, Source, VirtualServer, parse};
use director_core::ipvs::{self, Forwarding};
use director_core::moving::import::{Format, Imported, Kind, Wishes, import};
use director_core::time::Duration;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/moving")
}

fn imported(name: &str, expected: Format) -> Imported {
    let bytes = fs::read(folder().join(name)).unwrap();
    assert_eq!(Format::detect(&bytes), Some(expected), "{name}");
    let wishes = Wishes {
        interface: "eth0".to_owned(),
    };
    import(
        expected,
        Source {
            name,
            bytes: &bytes,
        },
        &wishes,
    )
}

/// Compares with the goldens.
#[track_caller]
fn golden(name: &str, imported: &Imported) {
    let notes: String = imported
        .notes
        .iter()
        .map(|note| format!("{note}\n"))
        .collect();
    let [first, second] = imported.routers.as_slice() else {
        panic!()
    };
    for (ending, found) in [
        ("keepalived.conf", &imported.keepalived),
        ("router.conf", first),
        ("router2.conf", second),
        ("notes", &notes),
    ] {
        let path = folder().join(format!("{name}.{ending}"));
        if std::env::var_os("KEELSON_UPDATE_GOLDENS").is_some() {
            fs::write(&path, found).unwrap();
        }
        assert_eq!(
            *found,
            fs::read_to_string(&path).unwrap_or_default(),
            "{}",
            path.display()
        );
    }
}

fn read_back(keepalived: &str, router: &str) -> Parsed {
    let keepalived = Source {
        name: "keepalived.conf",
        bytes: keepalived.as_bytes(),
    };
    let router = Source {
        name: "router.conf",
        bytes: router.as_bytes(),
    };
    parse(Some(keepalived), Some(router))
}

/// Compares with the goldens and reads the result; there must be nothing wrong with it.
#[track_caller]
fn config(name: &str, format: Format) -> Config {
    let imported = imported(name, format);
    golden(name, &imported);
    let mut configs = imported.routers.iter().map(|router| {
        let parsed = read_back(&imported.keepalived, router);
        let found: Vec<String> = parsed.diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(found, [""; 0], "{name}");
        parsed.config.unwrap()
    });
    let first = configs.next().unwrap();
    let second = configs.next().unwrap();
    assert_eq!(first.services, second.services);
    let priorities = |config: &Config| -> Vec<u8> {
        config
            .routers
            .iter()
            .map(|router| router.priority)
            .collect()
    };
    assert_eq!(
        (priorities(&first), priorities(&second)),
        (vec![150], vec![100])
    );
    first
}

#[track_caller]
fn service<'c>(config: &'c Config, id: &str) -> &'c VirtualServer {
    let mut services = config.services.iter();
    services
        .find(|service| service.id.to_string() == id)
        .unwrap_or_else(|| panic!("no {id}"))
}

#[test]
fn piranhas_pair_becomes_a_virtual_router_and_its_nannies_checks() {
    let config = config("lvs.cf", Format::Piranha);
    let [router] = config.routers.as_slice() else {
        panic!()
    };
    let addresses: Vec<String> = router
        .addresses
        .iter()
        .map(|address| format!("{} {}", address.cidr, address.interface))
        .collect();
    let expected = [
        "192.168.1.254/24 eth1",
        "192.168.26.10/24 eth0",
        "192.168.26.11/24 eth0",
    ];
    assert_eq!(addresses, expected);
    assert_eq!(router.advert_interval, Duration::from_secs(4));
    assert_eq!(config.timeouts, [900, 0, 30]);
    assert_eq!(config.sync_daemon.as_ref().map(|sync| sync.id), Some(7));

    let web = service(&config, "TCP 192.168.26.10:80");
    assert_eq!((web.service.timeout_s, web.service.granularity), (300, 24));
    let [real] = web.real_servers.as_slice() else {
        panic!()
    };
    assert_eq!(real.id.to_string(), "192.168.1.21:8080");
    assert!(real.inhibit_on_failure);
    let [check] = &*real.checks else { panic!() };
    assert_eq!(
        (check.how.retry, check.how.interval),
        (0, Duration::from_secs(6))
    );
    let CheckKind::Http { urls, .. } = &check.how.kind else {
        panic!()
    };
    assert_eq!(urls[0].path, "/alive.html");
    let mail = service(&config, "TCP 192.168.26.11:25");
    assert_eq!(mail.real_servers[0].checks[0].how.kind, CheckKind::Tcp);
    assert!(
        config
            .services
            .iter()
            .all(|service| service.id.to_string() != "UDP 192.168.26.11:53")
    );
}

#[test]
fn ldirectords_services_keep_methods_weights_and_checks() {
    let config = config("ldirectord.cf", Format::Ldirectord);
    let web = service(&config, "TCP 192.168.6.2:80");
    let dests: Vec<String> = web
        .real_servers
        .iter()
        .map(|real| format!("{} {} {}", real.id, real.dest.forwarding, real.dest.weight))
        .collect();
    let expected = [
        "192.168.6.4:80 DR 5",
        "192.168.6.5:80 DR 5",
        "192.168.6.6:80 DR 5",
        "192.168.6.7:80 NAT 10",
    ];
    assert_eq!(dests, expected);
    assert_eq!(
        (
            web.real_servers[3].dest.lower,
            web.real_servers[3].dest.upper
        ),
        (50, 100)
    );
    assert_eq!(
        web.sorry.as_ref().map(|sorry| sorry.0.to_string()),
        Some("192.168.6.20:80".to_owned())
    );
    let check = &web.real_servers[0].checks[0];
    assert_eq!(
        (check.how.retry, check.how.timeout, check.how.interval),
        (2, Duration::from_secs(4), Duration::from_secs(5))
    );
    let CheckKind::Http { urls, .. } = &check.how.kind else {
        panic!()
    };
    assert_eq!(
        (urls[0].path.as_str(), urls[0].host.as_str()),
        ("/index.html", "www.example.org")
    );

    let names = service(&config, "UDP 192.168.6.2:53");
    assert_eq!(
        names.service.flags & ipvs::FLAG_ONE_PACKET,
        ipvs::FLAG_ONE_PACKET
    );
    assert!(names.real_servers[0].checks.is_empty());
    let database = service(&config, "TCP 192.168.6.3:5432");
    assert_eq!(
        database.real_servers[0].checks[0].how.timeout,
        Duration::from_secs(3)
    );
}

#[test]
fn a_saved_table_keeps_everything_that_the_kernel_was_told() {
    let config = config("ipvsadm.save", Format::Ipvsadm);
    let web = service(&config, "TCP 10.0.0.100:80");
    assert_eq!((web.service.timeout_s, web.service.granularity), (300, 24));
    let dests: Vec<_> = web
        .real_servers
        .iter()
        .map(|real| (real.id.to_string(), real.dest))
        .collect();
    assert_eq!(dests[1].0, "10.0.0.22:8080");
    let second = dests[1].1;
    assert_eq!(
        (second.forwarding, second.weight, second.upper, second.lower),
        (Forwarding::Nat, 0, 1000, 800)
    );
    let marked = service(&config, "FWM 5 IPv4");
    assert_eq!(marked.service.flags, ipvs::FLAG_SCHED1 | ipvs::FLAG_SCHED2);
}

/// What is good stays as it is; what is not is a comment, and the rest is a configuration without errors.
#[test]
fn a_keepalived_conf_of_a_distribution_is_cleaned() {
    let imported = imported("distribution.conf", Format::Keepalived);
    golden("distribution.conf", &imported);
    for router in &imported.routers {
        let parsed = read_back(&imported.keepalived, router);
        assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
        let config = parsed.config.unwrap();
        assert_eq!((config.routers.len(), config.services.len()), (2, 2));
    }
    let old = fs::read_to_string(folder().join("distribution.conf")).unwrap();
    let new = imported.keepalived.lines();
    assert_eq!(new.clone().count(), old.lines().count());
    for (old, new) in old.lines().zip(new) {
        let same = old.trim_end() == new;
        assert!(
            same || new.starts_with(&format!("# {}", old.trim_end())),
            "{new}"
        );
    }
}

#[test]
fn what_is_not_carried_over_is_said_with_its_line() {
    let lost = |name, format| -> Vec<u32> {
        let notes = imported(name, format).notes;
        notes
            .iter()
            .filter(|note| note.kind == Kind::Lost)
            .map(|note| note.line)
            .collect()
    };
    let line = |name: &str, text: &str| -> u32 {
        let content = fs::read_to_string(folder().join(name)).unwrap();
        let found = content
            .lines()
            .position(|line| line.contains(text))
            .unwrap();
        u32::try_from(found).unwrap() + 1
    };
    let piranha = lost("lvs.cf", Format::Piranha);
    for text in ["load_monitor", "send_program", "failover"] {
        assert!(
            piranha.contains(&line("lvs.cf", text)),
            "{text}: {piranha:?}"
        );
    }
    let ldirectord = lost("ldirectord.cf", Format::Ldirectord);
    for text in ["fallback=127", "web9.example.org", "external-perl"] {
        assert!(
            ldirectord.contains(&line("ldirectord.cf", text)),
            "{text}: {ldirectord:?}"
        );
    }
    assert_eq!(lost("ipvsadm.save", Format::Ipvsadm), [8, 9]);
}

#[test]
fn no_file_is_taken_for_what_it_is_not() {
    assert_eq!(Format::detect(b"interface x {\n}\n"), None);
    assert_eq!(Format::detect(b""), None);
    let nonsense = Source {
        name: "lvs.cf",
        bytes: b"virtual x {\n address = 1 eth0:1\n}\n}}}\n\xff\xfe = \x1b[2J\n",
    };
    let wishes = Wishes {
        interface: "eth0".to_owned(),
    };
    let imported = import(Format::Piranha, nonsense, &wishes);
    assert!(
        imported
            .notes
            .iter()
            .all(|note| !note.text.contains('\u{1b}')),
        "{:?}",
        imported.notes
    );
}
