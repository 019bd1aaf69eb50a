//! The image as it is shipped: whole, small enough, and the same bytes each time.

#![allow(clippy::unwrap_used)] // clippy.toml frees test functions of it, not what they call

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use image::{Compression, Manifest, Options, Set};

/// Bounds of what is shipped, in bytes.
const MAX_BINARY: u64 = 4_000_000;
const MAX_METAL: u64 = 9_000_000;
const MAX_VM: u64 = 3_500_000;

#[test]
fn the_image_is_whole_and_keeps_its_bounds() {
    let options = Options::default();
    let manifest = image::build(&options).unwrap();
    let names: Vec<_> = manifest
        .members
        .iter()
        .map(|member| member.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["initrd", "initrd-vm", "keelson", "vmlinux", "vmlinuz"]
    );
    for member in manifest
        .members
        .iter()
        .filter(|member| member.name != "keelson")
    {
        assert_eq!(
            fs::metadata(options.out.join(&member.name)).unwrap().len(),
            member.size,
            "{}",
            member.name
        );
    }
    assert!(
        size(&manifest, "keelson") < MAX_BINARY,
        "keelson has {} bytes",
        size(&manifest, "keelson")
    );
    assert!(
        size(&manifest, "initrd") < MAX_METAL,
        "initrd has {} bytes",
        size(&manifest, "initrd")
    );
    assert!(
        size(&manifest, "initrd-vm") < MAX_VM,
        "initrd-vm has {} bytes",
        size(&manifest, "initrd-vm")
    );

    let text = fs::read(options.out.join("manifest.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Manifest>(&text).unwrap(), manifest);
    for word in ["console=", "panic=", "oops=panic", "printk.devkmsg=on"] {
        assert!(manifest.cmdline.contains(word), "{}", manifest.cmdline);
    }
}

#[test]
fn the_sets_hold_the_binary_the_index_and_each_other() {
    let options = Options::default();
    image::build(&options).unwrap();
    let paths = |set: Set| -> BTreeSet<String> {
        let text = image::inspect(&options.out.join(set.file_name())).unwrap();
        text.lines()
            .filter_map(|line| line.split_ascii_whitespace().nth(2))
            .map(str::to_owned)
            .collect()
    };
    let (metal, vm) = (paths(Set::Metal), paths(Set::Vm));
    assert!(vm.is_subset(&metal) && vm.len() < metal.len());
    let ipvs = "lib/modules/kernel/net/netfilter/ipvs/ip_vs_mh.ko";
    let virtio = "lib/modules/kernel/drivers/net/virtio_net.ko";
    for path in [
        "init",
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "etc/os-release",
        "lib/modules/index",
        ipvs,
        virtio,
    ] {
        assert!(vm.contains(path), "{path}");
    }
}

#[test]
fn two_builds_are_byte_identical() {
    for (set, compression) in [
        (Set::Vm, Compression::SHIPPING),
        (Set::Metal, Compression::Raw),
    ] {
        let build = |name: &str, fresh: bool| {
            let options = Options {
                out: folder(name),
                sets: vec![set],
                compression,
                fresh,
                ..Options::default()
            };
            (image::build(&options).unwrap(), options.out)
        };
        let (one, one_folder) = build("one", false);
        let (two, two_folder) = build("two", true);
        assert_eq!(one, two);
        for name in ["vmlinux", "vmlinuz", set.file_name(), "manifest.json"] {
            assert!(
                read(&one_folder, name) == read(&two_folder, name),
                "{name} differs"
            );
        }
    }
}

#[test]
fn an_initrd_with_a_configuration_behind_it_shows_both() {
    let out = folder("overlaid");
    let options = Options {
        out,
        sets: vec![Set::Vm],
        compression: Compression::Zstd(1),
        ..Options::default()
    };
    image::build(&options).unwrap();
    let keepalived = Some(b"vrrp_instance web { }\n".to_vec());
    let overlay = image::overlay(&image::Configuration {
        keepalived,
        ..image::Configuration::default()
    })
    .unwrap();
    let path = options.out.join("node.initrd");
    fs::write(&path, [read(&options.out, "initrd-vm"), overlay].concat()).unwrap();
    let text = image::inspect(&path).unwrap();
    assert!(text.starts_with("at 0: zstd, "), "{text}");
    assert!(
        text.ends_with(
            "  config.a: record 1 (good), taken, config.b: empty\n           22 keepalived.conf\n"
        ),
        "{text}"
    );
}

fn size(manifest: &Manifest, name: &str) -> u64 {
    manifest.member(name).unwrap().size
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
}

/// A folder of this test for an image.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}
