//! Wireshark reads what the core writes, and notices every byte that is changed in it.
#![allow(clippy::unwrap_used)] // clippy.toml frees test functions of it, not what they call

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Instant;

use director_core::wire::vrrp::{Addresses, Auth, Form, Repr, TOS, TTL};
use director_core::wire::{arp, ipv6, ndp};
use image::Workspace;
use qemu::frame::Mac;
use qemu::pcap::Capture;
use qemu::tshark::Tshark;
use tests::lab::opinion::{self, GROUP, GROUP_V6, VRID, Voice};

static TSHARK: LazyLock<Tshark> = LazyLock::new(|| {
    Tshark::unpacked(&Workspace::new(), image::to_stderr).expect("Debian's tshark")
});

const MAC: Mac = Mac([0x52, 0x54, 0, 77, 0, 11]);
const PEER: (IpAddr, Mac) = (
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, 12)),
    Mac([0x52, 0x54, 0, 77, 0, 12]),
);
const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 11));
const OWN_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe4d, 0xb));
const V2: Form = Form::V2 {
    interval_s: 1,
    auth: Auth::None,
};
const V2_PASS: Form = Form::V2 {
    interval_s: 1,
    auth: Auth::Pass(*b"keelson\0"),
};
const V3: Form = Form::V3 {
    interval_cs: 100,
    pseudo_header: true,
};

#[test]
fn adverts_over_ipv4_are_read_as_they_are_meant_and_every_changed_byte_is_noticed() {
    let [one, two] = [100, 101].map(|host| Ipv4Addr::new(10, 77, 0, host));
    let many: Vec<Ipv4Addr> = (1..=255)
        .map(|host| Ipv4Addr::new(10, 78, 0, host))
        .collect();
    for (form, password, destination) in [
        (V2, None, GROUP),
        (V2_PASS, Some("keelson"), GROUP),
        (V3, None, GROUP),
        (V3, None, PEER),
    ] {
        for addresses in [&[one][..], &[one, two], &many] {
            let list: Vec<IpAddr> = addresses.iter().copied().map(IpAddr::V4).collect();
            let octets: Vec<[u8; 4]> = addresses.iter().map(Ipv4Addr::octets).collect();
            let mut message = Vec::new();
            advert(form, Addresses::V4(&octets)).emit(OWN, destination.0, &mut message);
            let header = ipv4_header(OWN, destination.0, message.len());
            let voice = Voice {
                password,
                ..voice(form, OWN, destination, &list)
            };
            verify(&frame(destination.1, 0x0800, &[&header, &message]), &voice);
        }
    }
}

#[test]
fn adverts_over_ipv6_are_read_as_they_are_meant_and_every_changed_byte_is_noticed() {
    let addresses =
        ["fe80::77:100", "2001:db8:77::100"].map(|text| text.parse::<Ipv6Addr>().unwrap());
    let octets = addresses.map(|address| address.octets());
    let mut message = Vec::new();
    advert(V3, Addresses::V6(&octets)).emit(OWN_V6, GROUP_V6.0, &mut message);
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (OWN_V6, GROUP_V6.0) else {
        panic!("not IPv6");
    };
    let header = ipv6::Repr {
        source,
        destination,
        traffic_class: TOS,
        next_header: 112,
        hop_limit: TTL,
    };
    let header = header.emit(u16::try_from(message.len()).unwrap());
    let list = addresses.map(IpAddr::V6);
    verify(
        &frame(GROUP_V6.1, 0x86dd, &[&header, &message]),
        &voice(V3, OWN_V6, GROUP_V6, &list),
    );
}

#[test]
fn announcements_are_read_as_they_are_meant_and_every_changed_byte_is_noticed() {
    let mac = director_core::net::Mac(MAC.0);
    let address = Ipv4Addr::new(10, 77, 0, 100);
    let packet = arp::Repr::gratuitous(mac, address).emit();
    verify(
        &frame(Mac([0xff; 6]), 0x0806, &[&packet]),
        &voice(V2, OWN, GROUP, &[address.into()]),
    );
    for router in [false, true] {
        let target = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0x100);
        let packet = ndp::Repr {
            target,
            mac,
            router,
        };
        verify(
            &frame(Mac(ndp::ALL_NODES_MAC.0), 0x86dd, &[&packet.emit()]),
            &voice(V3, OWN_V6, GROUP_V6, &[target.into()]),
        );
    }
}

fn advert(form: Form, addresses: Addresses<'_>) -> Repr<'_> {
    Repr {
        vrid: VRID,
        priority: 150,
        form,
        addresses,
    }
}

fn voice(form: Form, source: IpAddr, destination: (IpAddr, Mac), list: &[IpAddr]) -> Voice<'_> {
    Voice {
        mac: MAC,
        source,
        destination,
        version: match form {
            Form::V2 { .. } => 2,
            Form::V3 { .. } => 3,
        },
        password: None,
        addresses: list,
        announced: list,
    }
}

fn frame(to: Mac, ethertype: u16, parts: &[&[u8]]) -> Vec<u8> {
    [&to.0[..], &MAC.0, &ethertype.to_be_bytes(), &parts.concat()].concat()
}

/// As the kernel completes it (raw(7)).
fn ipv4_header(source: IpAddr, destination: IpAddr, payload: usize) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination) else {
        panic!("not IPv4");
    };
    let [length, other] = u16::try_from(20 + payload).unwrap().to_be_bytes();
    let mut header = vec![0x45, TOS, length, other, 0x12, 0x34, 0, 0, TTL, 112, 0, 0];
    header.extend(source.octets());
    header.extend(destination.octets());
    let words = header
        .as_chunks()
        .0
        .iter()
        .map(|word| u16::from_be_bytes(*word));
    let sum: u32 = words.map(u32::from).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

/// The frame as it is has nothing to complain of; with any of its bytes changed it has.
fn verify(frame: &[u8], voice: &Voice<'_>) {
    let path = capture_path();
    let mut capture = Capture::create(&path).unwrap();
    capture.record(Instant::now(), frame).unwrap();
    for at in 0..frame.len() {
        let mut changed = frame.to_vec();
        changed[at] ^= 0x11;
        capture.record(Instant::now(), &changed).unwrap();
    }
    capture.flush().unwrap();
    let complaints = opinion::on_each(&TSHARK, &path, voice);
    assert_eq!(complaints.len(), frame.len() + 1);
    assert_eq!(complaints[0], None, "{frame:02x?}");
    let accepted = complaints.iter().skip(1).position(Option::is_none);
    assert_eq!(
        accepted, None,
        "a changed byte was not noticed: {frame:02x?}"
    );
    std::fs::remove_file(path).unwrap();
}

/// Tests run beside each other.
fn capture_path() -> PathBuf {
    let thread = std::thread::current().id();
    let name = format!("keelson-wireshark-{}-{thread:?}.pcap", std::process::id());
    std::env::temp_dir().join(name)
}
