//! A second opinion on adverts and announcements: Wireshark's, field by field.

use std::net::IpAddr;
use std::path::Path;

use director_core::wire::vrrp;
use image::Workspace;
use qemu::frame::Mac;
use qemu::lab::{Lab, LabError};
use qemu::topology::LAN;
use qemu::tshark::Tshark;

/// What a virtual router of a node is to say on the wire.
pub struct Voice<'a> {
    /// The node's hardware address.
    pub mac: Mac,
    /// Where its adverts come from.
    pub source: IpAddr,
    /// Where they go to: a group or a peer.
    pub destination: (IpAddr, Mac),
    /// The protocol version.
    pub version: u8,
    /// The password.
    pub password: Option<&'a str>,
    /// The addresses that the adverts carry, in this order.
    pub addresses: &'a [IpAddr],
    /// All addresses that are announced.
    pub announced: &'a [IpAddr],
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Opinion {
    /// How many adverts.
    pub adverts: usize,
    /// How many announcements.
    pub announcements: usize,
    /// The frames in which a field is not what it is to be.
    pub complaints: Vec<String>,
}

/// The multicast group of VRRP, and its Ethernet address (RFC 1112 section 6.4).
pub const GROUP: (IpAddr, Mac) = (IpAddr::V4(vrrp::GROUP), Mac([1, 0, 0x5e, 0, 0, 18]));
/// The same over IPv6 (RFC 2464 section 7).
pub const GROUP_V6: (IpAddr, Mac) = (IpAddr::V6(vrrp::GROUP_V6), Mac([0x33, 0x33, 0, 0, 0, 0x12]));

/// The virtual router of all labs, and its interval.
pub const VRID: u8 = 51;
const INTERVAL_S: u32 = 1;

const ETHERNET_BYTES: usize = 14;
const MAC_GROUP_ALL_NODES: &str = "33:33:00:00:00:01";
const BROADCAST: &str = "ff:ff:ff:ff:ff:ff";

/// Every field that an expectation may name.
const FIELDS: &[&str] = &[
    "frame.number",
    "frame.len",
    "eth.src",
    "eth.dst",
    "eth.type",
    "ip.version",
    "ip.hdr_len",
    "ip.dsfield",
    "ip.len",
    "ip.flags",
    "ip.frag_offset",
    "ip.ttl",
    "ip.proto",
    "ip.checksum.status",
    "ip.src",
    "ip.dst",
    "ipv6.version",
    "ipv6.tclass",
    "ipv6.flow",
    "ipv6.plen",
    "ipv6.nxt",
    "ipv6.hlim",
    "ipv6.src",
    "ipv6.dst",
    "vrrp.version",
    "vrrp.type",
    "vrrp.virt_rtr_id",
    "vrrp.addr_count",
    "vrrp.auth_type",
    "vrrp.adver_int",
    "vrrp.short_adver_int",
    "vrrp.reserved_mbz",
    "vrrp.checksum.status",
    "vrrp.ip_addr",
    "vrrp.ipv6_addr",
    "vrrp.auth_string",
    "arp.hw.type",
    "arp.proto.type",
    "arp.hw.size",
    "arp.proto.size",
    "arp.opcode",
    "arp.src.hw_mac",
    "arp.src.proto_ipv4",
    "arp.dst.hw_mac",
    "arp.dst.proto_ipv4",
    "icmpv6.type",
    "icmpv6.code",
    "icmpv6.checksum.status",
    "icmpv6.nd.na.flag.s",
    "icmpv6.nd.na.flag.o",
    "icmpv6.nd.na.flag.rsv",
    "icmpv6.nd.na.target_address",
    "icmpv6.opt.type",
    "icmpv6.opt.length",
    "icmpv6.opt.linkaddr",
    "_ws.malformed",
];

/// All that one node says: adverts, gratuitous ARP, unsolicited neighbour advertisements.
///
/// Not so the kernel's own answer to another node's gratuitous ARP, while both still have the address: one that goes
/// back to that node alone.
///
/// # Panics
/// When the capture can't be read.
pub fn on(tshark: &Tshark, capture: &Path, voice: &Voice<'_>) -> Opinion {
    let filter = format!(
        "eth.src == {} and (vrrp or (arp and arp.src.proto_ipv4 == arp.dst.proto_ipv4 \
         and not (arp.opcode == 2 and eth.dst != {BROADCAST})) or (icmpv6.type == 136 and icmpv6.nd.na.flag.s == 0))",
        voice.mac
    );
    let mut opinion = Opinion::default();
    for row in read(tshark, capture, &filter) {
        match row.get("vrrp.version") {
            "" => opinion.announcements += 1,
            _ => opinion.adverts += 1,
        }
        opinion.complaints.extend(complaint(&row, voice));
    }
    opinion
}

/// Asks for all that a node of a lab has said so far on its first segment: it has spoken in both ways, and nothing is
/// wrong with that.
///
/// # Errors
/// When Wireshark's program can't be had.
///
/// # Panics
/// When something is wrong.
pub fn of_lab(lab: &Lab, voice: &Voice<'_>) -> Result<(), LabError> {
    let tshark = Tshark::unpacked(&Workspace::new(), image::to_stderr)?;
    let capture = lab.logs().join(format!("{LAN}.pcap"));
    let opinion = on(&tshark, &capture, voice);
    let Opinion {
        adverts,
        announcements,
        complaints,
    } = &opinion;
    println!(
        "Wireshark has read {adverts} adverts and {announcements} announcements of {}",
        voice.mac
    );
    assert!(*adverts > 0 && *announcements > 0, "{opinion:?}");
    assert!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}

/// What is wrong with each frame of a capture, whatever it is.
///
/// # Panics
/// When the capture can't be read.
pub fn on_each(tshark: &Tshark, capture: &Path, voice: &Voice<'_>) -> Vec<Option<String>> {
    let rows = read(tshark, capture, "frame");
    rows.iter().map(|row| complaint(row, voice)).collect()
}

/// The values of [`FIELDS`] in one frame.
struct Row(Vec<String>);

impl Row {
    fn get(&self, field: &str) -> &str {
        let mut fields = FIELDS.iter().zip(&self.0);
        fields
            .find(|(name, _)| **name == field)
            .map_or("", |(_, value)| value)
    }
}

fn read(tshark: &Tshark, capture: &Path, filter: &str) -> Vec<Row> {
    match tshark.read(capture, filter, FIELDS) {
        Ok(rows) => rows.into_iter().map(Row).collect(),
        Err(error) => panic!("{error}"),
    }
}

/// The first field that is not what it is to be.
fn complaint(row: &Row, voice: &Voice<'_>) -> Option<String> {
    let mut expected = match row.get("arp.opcode") {
        "" if row.get("vrrp.version").is_empty() => neighbour_advertisement(row, voice),
        "" => advert(voice),
        _ => arp(row, voice),
    };
    expected.push(("eth.src", voice.mac.to_string()));
    expected.push(("_ws.malformed", String::new()));
    let wrong = |(field, value): &(&str, String)| row.get(field) != value;
    let (field, value) = expected.into_iter().find(wrong)?;
    let (number, is) = (row.get("frame.number"), row.get(field));
    Some(format!("frame {number}: {field} is {is:?}, not {value:?}"))
}

type Expected = Vec<(&'static str, String)>;

fn advert(voice: &Voice<'_>) -> Expected {
    let (to, mac) = voice.destination;
    let password = match (voice.version, to) {
        (2, IpAddr::V4(_)) => 8,
        _ => 0,
    };
    let address_bytes = if to.is_ipv4() { 4 } else { 16 };
    let bytes = 8 + address_bytes * voice.addresses.len() + password;
    let list: Vec<String> = voice.addresses.iter().map(IpAddr::to_string).collect();
    let mut expected = vec![
        ("eth.dst", mac.to_string()),
        ("vrrp.version", voice.version.to_string()),
        ("vrrp.type", "1".to_owned()),
        ("vrrp.virt_rtr_id", VRID.to_string()),
        ("vrrp.addr_count", voice.addresses.len().to_string()),
        ("vrrp.checksum.status", "1".to_owned()),
    ];
    match voice.version {
        2 => expected.extend([
            (
                "vrrp.auth_type",
                voice.password.map_or(0, |_| 1).to_string(),
            ),
            ("vrrp.adver_int", INTERVAL_S.to_string()),
            ("vrrp.auth_string", voice.password.unwrap_or("").to_owned()),
        ]),
        _ => expected.extend([
            ("vrrp.reserved_mbz", "0".to_owned()),
            ("vrrp.short_adver_int", (INTERVAL_S * 100).to_string()),
        ]),
    }
    match to {
        IpAddr::V4(_) => {
            expected.push(("vrrp.ip_addr", list.join(",")));
            expected.extend(ipv4(voice.source, to, bytes));
        }
        IpAddr::V6(_) => {
            expected.push(("vrrp.ipv6_addr", list.join(",")));
            expected.extend(ipv6(voice.source, to, "112", "0x000000c0", bytes));
        }
    }
    expected
}

fn ipv4(source: IpAddr, destination: IpAddr, bytes: usize) -> Expected {
    vec![
        ("eth.type", "0x0800".to_owned()),
        ("frame.len", (ETHERNET_BYTES + 20 + bytes).to_string()),
        ("ip.version", "4".to_owned()),
        ("ip.hdr_len", "20".to_owned()),
        ("ip.dsfield", "0xc0".to_owned()),
        ("ip.len", (20 + bytes).to_string()),
        ("ip.frag_offset", "0".to_owned()),
        ("ip.ttl", "255".to_owned()),
        ("ip.proto", "112".to_owned()),
        ("ip.checksum.status", "1".to_owned()),
        ("ip.src", source.to_string()),
        ("ip.dst", destination.to_string()),
    ]
}

fn ipv6(source: IpAddr, destination: IpAddr, next: &str, class: &str, bytes: usize) -> Expected {
    vec![
        ("eth.type", "0x86dd".to_owned()),
        ("frame.len", (ETHERNET_BYTES + 40 + bytes).to_string()),
        ("ipv6.version", "6".to_owned()),
        ("ipv6.tclass", class.to_owned()),
        ("ipv6.flow", "0x000000".to_owned()),
        ("ipv6.plen", bytes.to_string()),
        ("ipv6.nxt", next.to_owned()),
        ("ipv6.hlim", "255".to_owned()),
        ("ipv6.src", source.to_string()),
        ("ipv6.dst", destination.to_string()),
    ]
}

/// The address itself is one of those that are announced; which one is left open.
fn one_of(announced: &[IpAddr], named: &str) -> String {
    let mut names = announced.iter().map(IpAddr::to_string);
    names
        .find(|name| name == named)
        .unwrap_or_else(|| format!("one of {announced:?}"))
}

fn arp(row: &Row, voice: &Voice<'_>) -> Expected {
    let address = one_of(voice.announced, row.get("arp.src.proto_ipv4"));
    vec![
        ("eth.type", "0x0806".to_owned()),
        ("frame.len", (ETHERNET_BYTES + 28).to_string()),
        ("eth.dst", BROADCAST.to_owned()),
        ("arp.hw.type", "1".to_owned()),
        ("arp.proto.type", "0x0800".to_owned()),
        ("arp.hw.size", "6".to_owned()),
        ("arp.proto.size", "4".to_owned()),
        ("arp.opcode", "1".to_owned()),
        ("arp.src.hw_mac", voice.mac.to_string()),
        ("arp.src.proto_ipv4", address.clone()),
        ("arp.dst.hw_mac", BROADCAST.to_owned()),
        ("arp.dst.proto_ipv4", address),
    ]
}

fn neighbour_advertisement(row: &Row, voice: &Voice<'_>) -> Expected {
    let target = one_of(voice.announced, row.get("icmpv6.nd.na.target_address"));
    let all_nodes = IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 1]);
    let source = target.parse().unwrap_or(all_nodes);
    let mut expected = ipv6(source, all_nodes, "58", "0x00000000", 32);
    expected.extend([
        ("eth.dst", MAC_GROUP_ALL_NODES.to_owned()),
        ("icmpv6.type", "136".to_owned()),
        ("icmpv6.code", "0".to_owned()),
        ("icmpv6.checksum.status", "1".to_owned()),
        ("icmpv6.nd.na.flag.s", "0".to_owned()),
        ("icmpv6.nd.na.flag.o", "1".to_owned()),
        ("icmpv6.nd.na.flag.rsv", "0".to_owned()),
        ("icmpv6.nd.na.target_address", target),
        ("icmpv6.opt.type", "2".to_owned()),
        ("icmpv6.opt.length", "1".to_owned()),
        ("icmpv6.opt.linkaddr", voice.mac.to_string()),
    ]);
    expected
}
