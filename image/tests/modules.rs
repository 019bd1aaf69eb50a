//! The module index as the node reads it: what the builder writes is what PID 1 understands.

#![allow(clippy::unwrap_used)] // clippy.toml frees test functions of it, not what they call

use image::modules::{self, ModuleSet};
use image::{Kernel, Set, Workspace};
use init::modules::Index;

#[test]
fn the_node_finds_drivers_and_schedulers_in_the_index_of_each_set() {
    let workspace = Workspace::new();
    let modules = Kernel::unpacked(&workspace, image::to_stderr)
        .unwrap()
        .modules()
        .unwrap();
    for set in [Set::Vm, Set::Metal] {
        let set = ModuleSet::read(&workspace.rootfs().join("modules"), set.name()).unwrap();
        let closure = modules.closure(&names(&set.modules)).unwrap();
        let text = modules::index(&modules, &closure, &names(&set.at_boot)).unwrap();
        let index = Index::parse(&text).unwrap();
        assert_eq!(index.len(), closure.len());

        let mut driver = index.none();
        assert!(index.select_for_device(&mut driver, "virtio:d00000001v00001AF4"));
        let order = loaded(&index, &driver);
        assert_eq!(order.len(), 5, "{order:?}");
        for before in ["virtio_ring", "virtio", "failover", "net_failover"] {
            assert!(
                position(&order, before) < position(&order, "virtio_net"),
                "{order:?}"
            );
        }

        let mut always = index.none();
        index.select_always(&mut always);
        let order = loaded(&index, &always);
        for scheduler in [
            "dh", "fo", "lblc", "lblcr", "lc", "mh", "nq", "ovf", "rr", "sed", "sh", "wlc", "wrr",
        ] {
            let name = format!("ip_vs_{scheduler}");
            assert!(
                position(&order, &name) > position(&order, "ip_vs"),
                "{name}"
            );
        }
        // Without it libcrc32c, and with it IPVS, refuses to load.
        assert!(position(&order, "crc32c_generic") < position(&order, "libcrc32c"));
    }
}

fn names(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn loaded<'i>(index: &'i Index<'_>, selection: &init::modules::Selection) -> Vec<&'i str> {
    index
        .load_order(selection, |_| true)
        .into_iter()
        .map(|(_, module)| module.name.as_str())
        .collect()
}

fn position(order: &[&str], name: &str) -> usize {
    order
        .iter()
        .position(|other| *other == name)
        .unwrap_or_else(|| panic!("{name} is not loaded"))
}
