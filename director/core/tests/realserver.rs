//! What `keelson realserver` prints, as goldens: `moving/realserver.conf` in each form.
//! `KEELSON_UPDATE_GOLDENS=1` writes them anew.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use director_core::config::{Config, Source, parse};
use director_core::ipvs::Forwarding;
use director_core::moving::realserver::{Form, servers};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/moving")
}

fn config() -> Config {
    let bytes = fs::read(folder().join("realserver.conf")).unwrap();
    let source = Source {
        name: "realserver.conf",
        bytes: &bytes,
    };
    let parsed = parse(Some(source), None);
    assert_eq!(parsed.diagnostics, []);
    parsed.config.unwrap()
}

fn render(config: &Config, form: Form) -> String {
    let servers = servers(config);
    let texts: Vec<String> = servers
        .iter()
        .map(|(address, settings)| settings.render(*address, form))
        .collect();
    texts.join("\n")
}

#[track_caller]
fn assert_golden(name: &str, found: &str) {
    let path = folder().join(name);
    if std::env::var_os("KEELSON_UPDATE_GOLDENS").is_some() {
        fs::write(&path, found).unwrap();
    }
    assert_eq!(
        found,
        fs::read_to_string(&path).unwrap_or_default(),
        "{name}"
    );
}

#[test]
fn every_form_is_as_expected() {
    let config = config();
    assert_golden("realserver.commands", &render(&config, Form::Commands));
    assert_golden("realserver.networkd", &render(&config, Form::Networkd));
    assert_golden("realserver.ifupdown", &render(&config, Form::Ifupdown));
}

#[test]
fn a_real_server_of_nat_alone_is_told_no_setting() {
    let mut config = config();
    for server in config
        .services
        .iter_mut()
        .flat_map(|service| &mut std::sync::Arc::make_mut(service).real_servers)
    {
        server.dest.forwarding = Forwarding::Nat;
    }
    config
        .services
        .iter_mut()
        .for_each(|service| std::sync::Arc::make_mut(service).sorry = None);
    let text = render(&config, Form::Commands);
    assert!(
        text.lines()
            .all(|line| line.is_empty() || line.starts_with('#')),
        "{text}"
    );
}

#[test]
fn each_real_server_is_told_once_with_all_its_services() {
    let servers = servers(&config());
    let of_web: String = servers[&"10.77.0.21".parse().unwrap()]
        .render("10.77.0.21".parse().unwrap(), Form::Commands);
    for address in ["10.77.0.100/32", "10.77.0.101/32"] {
        assert_eq!(of_web.matches(address).count(), 1, "{of_web}");
    }
}
