//! The examples of `rootfs/examples` are what the parser takes without a word.

#![allow(clippy::unwrap_used)] // clippy.toml frees test functions of it, not what they call

use std::fs;
use std::path::Path;

use director_core::config::{Config, Source, parse};

#[test]
fn the_pair_has_one_keepalived_conf_and_two_priorities() {
    let (one, two) = (pair("director1.conf"), pair("director2.conf"));
    let name = |config: &Config| config.node.hostname.clone();
    assert_eq!(
        (name(&one), name(&two)),
        (Some("director1".to_owned()), Some("director2".to_owned()))
    );
    assert_eq!(
        (one.routers[0].priority, two.routers[0].priority),
        (150, 100)
    );
    assert_eq!(one.services, two.services);
    assert_eq!(one.services[0].real_servers.len(), 2);
}

fn pair(router: &str) -> Config {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rootfs/examples/pair");
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let (keepalived, node) = (read("keepalived.conf"), read(router));
    let source = |name, bytes| Some(Source { name, bytes });
    let parsed = parse(
        source("keepalived.conf", &keepalived),
        source(router, &node),
    );
    let said: Vec<_> = parsed.diagnostics.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    parsed.config.unwrap()
}
