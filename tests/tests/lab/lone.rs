//! One director alone: boot, console, a configuration that is broken, the ways to switch it off.

use std::process::{Command, Stdio};
use std::time::Duration;

use director_core::status::{self, Status};
use image::Workspace;
use qemu::lab::{Lab, LabError};
use qemu::measure::{self, service};
use qemu::topology;
use qemu::vm::Vm;
use serde_json::Value;
use tests::lab::{BOOT, WAIT, conf, console_log, press, tell, wait_until_all_serve, wire};

/// The product promises to stay below 4 MiB. The binary, locked in memory, is most of it.
const RSS_MAX_KIB: u64 = 4096;
/// The memory that the product promises to run with.
const MEMORY_MIB: u32 = 256;
/// What a boot that goes well may take from PID 1's start to the director's first advert beyond the wait that the
/// configuration asks for, emulated on a busy host.
const WORK_MAX: Duration = Duration::from_secs(5);

#[test]
fn a_lone_director_boots_without_complaint_serves_and_answers_on_its_serial_line() {
    let protocol = conf::Protocol::V2WithPassword;
    let topology = topology::lone().with_keepalived(&conf::sharing(protocol, "lan0", 150));
    tell("lone", topology, |lab| {
        // Once with the kernel's log on the console, and in it that of PID 1 and the director.
        let boot = measure::boot(lab, "d1")?;
        println!(
            "from PID 1 to the first advert: Active_Down {:?} and {:?}",
            boot.active_down,
            boot.work()
        );
        assert!(boot.work() < WORK_MAX, "{boot:?}");
        boot_log_is_clean(lab.vm("d1")?);
        power_button_ends_it_in_order(lab)?;

        // And once without, as it is shipped.
        tests::lab::boot(lab)?;
        let director = lab.director("d1")?;
        director.wait_for_state("Active", WAIT)?;
        lab.client()?.wait_until_served(service(), 2, WAIT)?;
        let status = wait_until_all_serve(director)?;
        node_is_as_configured(&status);
        assert_eq!(director.vm().node().memory_mib, MEMORY_MIB);
        status_is_one_line_as_documented(lab)?;
        let load = lab.client()?.load(service(), 20)?;
        assert_eq!((load.answered(), load.failed()), (20, 0), "{load:?}");
        frames_and_a_person_share_the_line(lab)
    });
}

/// With each stage of the boot on record: none has failed, and the kernel took every setting.
fn boot_log_is_clean(vm: &Vm) {
    let log = console_log(vm);
    let ours = || log.lines().filter(|line| line.contains("keelson["));
    let stages: Vec<&str> = ours().filter(|line| line.contains(": boot: ")).collect();
    for stage in ["settings", "ipvs settings"] {
        let begin = format!(": boot: {stage}: ");
        let line = stages.iter().find(|line| line.contains(&begin));
        assert!(
            line.is_some_and(|line| line.contains(", 0 refused")),
            "{stage}: {line:?}"
        );
    }
    for stage in ["drivers", "configuration", "children"] {
        let begin = format!(": boot: {stage}: ");
        let line = stages.iter().find(|line| line.contains(&begin));
        assert!(
            line.is_some_and(|line| line.ends_with("ms after start")),
            "{stage}: {line:?}"
        );
    }
    assert!(
        ours().any(|line| line.contains("watchdog: i6300ESB") && line.contains("timeout 30 s")),
        "the watchdog is armed:\n{log}"
    );
    let wrong = ["refused", "cannot", "error", "failed", "panic"];
    let complaint = log
        .lines()
        .filter(|line| line.contains("keelson[") || line.contains("director["))
        .find(|line| {
            wrong
                .iter()
                .any(|word| line.replace("0 refused", "").contains(word))
        });
    assert_eq!(complaint, None);
}

fn status_is_one_line_as_documented(lab: &Lab) -> Result<(), LabError> {
    let text = lab.director("d1")?.command("status json")?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 1, "{text}");
    let value: Value = serde_json::from_str(lines[0]).expect("JSON");
    let status: Status = serde_json::from_value(value.clone()).expect("the documented fields");
    assert_eq!(status.schema, status::SCHEMA);
    assert_eq!(
        serde_json::to_value(&status).expect("a value"),
        value,
        "no field that is not documented"
    );
    Ok(())
}

fn node_is_as_configured(status: &Status) {
    assert_eq!(status.node, "director1");
    assert_eq!(
        (status.config.errors, status.kernel.failed),
        (0, 0),
        "{:?}",
        status.kernel
    );
    let router = &status.routers[0];
    assert_eq!((router.state.as_str(), router.takeovers), ("Active", 1));
    assert_eq!(router.active.as_deref(), Some("10.77.0.11"));
    let lan = status
        .interfaces
        .iter()
        .find(|interface| interface.name == "lan0")
        .expect("lan0");
    assert!(lan.up && lan.carrier && lan.mtu == 1500, "{lan:?}");
    for address in ["10.77.0.11/24", "10.77.0.100/24"] {
        assert!(lan.addresses.iter().any(|has| has == address), "{lan:?}");
    }
    let dest = &status.services[0].dests[0];
    assert_eq!(
        (dest.forwarding.as_str(), dest.kernel_weight),
        ("DR", Some(1))
    );
    let rss = status.process.rss_kib;
    println!("the director's resident memory: {rss} KiB");
    assert!(rss > 0 && rss < RSS_MAX_KIB, "{rss} KiB");
}

/// A program asks by frames on the line at which a person has typed half a command; then the person goes on.
fn frames_and_a_person_share_the_line(lab: &Lab) -> Result<(), LabError> {
    let vm = lab.vm("d1")?;
    vm.console().send(b"status")?;
    vm.console().expect("status", WAIT)?;
    vm.console().release();
    let line = format!("unix:{}", vm.paths().console().display());
    let target = Workspace::new().target;
    let output = Command::new(target.join("x86_64-unknown-linux-musl/release/keelson"))
        .args(["status", "--json", "--timeout", "60", "--serial", &line])
        .stdin(Stdio::null())
        .output()
        .expect("the product runs on the host");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    let status: Status = serde_json::from_str(said.trim()).expect("the documented line");
    assert_eq!(
        (status.node.as_str(), said.lines().count()),
        ("director1", 1)
    );
    vm.console().open()?;
    let answer = vm.console().json(" json", WAIT)?;
    assert_eq!(answer["node"], "director1");
    Ok(())
}

fn power_button_ends_it_in_order(lab: &Lab) -> Result<(), LabError> {
    let goodbyes = wire::goodbyes_of(lab.switch(), "d1");
    lab.vm("d1")?.press_power_button()?;
    assert!(goodbyes.next(WAIT).is_some(), "priority 0 is sent");
    Ok(lab.vm("d1")?.wait_until_off(WAIT)?)
}

#[test]
fn a_node_with_a_broken_configuration_is_repaired_on_its_console() {
    let good = conf::sharing(conf::Protocol::V3, "lan0", 150);
    let broken = good
        .replace("virtual_router_id 51", "virtual_router_id 510")
        .replace("delay_loop", "delay_lop");
    let mut topology = topology::lone().with_keepalived(&broken);
    topology.nodes.retain(|node| node.name == "d1");
    tell("broken", topology, |lab| {
        tests::lab::boot(lab)?;
        let director = lab.director("d1")?;
        let said = console_log(director.vm());
        assert!(said.contains("the configuration is refused"), "{said}");

        let checked = director.command("config check")?;
        for (keyword, wrong) in [("virtual_router_id 510", "510"), ("delay_lop", "delay_lop")] {
            let place = place(&broken, keyword, wrong);
            assert!(checked.contains(&place), "no {place} in\n{checked}");
        }
        let status = director.status()?;
        assert_eq!(status.config.errors, 2, "{checked}");
        assert!(status.routers.is_empty() && status.services.is_empty());
        assert!(
            director
                .command("status")?
                .contains("! configuration: 2 errors")
        );

        let adverts = lab.switch().adverts_of("d1");
        paste(director.vm(), &good)?;
        let waits = director.status()?;
        assert!(waits.routers.is_empty(), "the text waits for a reload");
        let answer = director.command("reload")?;
        assert!(answer.contains("in force"), "{answer}");
        director.wait_for_state("Active", WAIT)?;
        let advert = adverts
            .next(WAIT)
            .and_then(|frame| frame.advert())
            .expect("an advert");
        assert_eq!((advert.version, advert.vrid, advert.priority), (3, 51, 150));

        // Ctrl-Alt-Del goes the orderly way too, and brings back what the boot medium says.
        let goodbyes = wire::goodbyes_of(lab.switch(), "d1");
        director.vm().console().skip();
        press(director.vm(), &["ctrl", "alt", "delete"])?;
        assert!(goodbyes.next(WAIT).is_some(), "priority 0 is sent");
        director
            .vm()
            .console()
            .expect("the configuration is refused", BOOT)?;
        lab.wait_until_up()?;
        assert_eq!(director.status()?.config.errors, 2);
        Ok(())
    });
}

/// `FILE:LINE:COLUMN:` of a word in a line of the configuration.
fn place(text: &str, keyword: &str, word: &str) -> String {
    let (number, line) = text
        .lines()
        .enumerate()
        .find(|(_, line)| line.contains(keyword))
        .expect("the line is there");
    let column = line.find(word).expect("the word is there");
    format!("keepalived.conf:{}:{}:", number + 1, column + 1)
}

/// Pastes a keepalived.conf, as a person does on a terminal.
fn paste(vm: &Vm, text: &str) -> Result<(), LabError> {
    let console = vm.console();
    console.send_line("config load keepalived")?;
    console.expect("ends it", WAIT)?;
    for line in text.lines() {
        console.send_line(line)?;
    }
    console.send_line(".")?;
    console.expect("kept in memory", WAIT)?;
    vm.console().wait_for_prompt(WAIT)?;
    Ok(())
}
