use std::collections::BTreeMap;

use director_core::ipvs::{
    ActualDest, Checksum, Counters, Dest, DestId, FLAG_PERSISTENT, FLAG_SCHED1, Forwarding,
    Protocol, Service, ServiceId, SyncDaemon, SyncRole, SyncWire, Tunnel,
};
use director_core::kernel::Op;
use director_core::net::Family;
use proptest::prelude::*;

use super::decode;
use super::encode::Writer;
use crate::kernel::message::ACK;
use crate::kernel::netlink::{Message, messages};

/// The number under which the kernel of these samples had the family.
const FAMILY: u16 = 0x1c;

/// NEW_SERVICE TCP 192.0.2.100:443, wlc, persistent for 300 s by /24.
const NEW_SERVICE: &[u8] = &[
    104, 0, 0, 0, 0x1c, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0, // nlmsghdr: request, ack, sequence 1
    1, 1, 0, 0, // genlmsghdr: command 1, version 1
    84, 0, 1, 0x80, // service, nested
    6, 0, 1, 0, 2, 0, 0, 0, // AF_INET
    6, 0, 2, 0, 6, 0, 0, 0, // TCP
    20, 0, 3, 0, 192, 0, 2, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // address
    6, 0, 4, 0, 1, 0xbb, 0, 0, // port 443 in network order
    8, 0, 6, 0, b'w', b'l', b'c', 0, // scheduler
    12, 0, 7, 0, 9, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, // flags and their mask
    8, 0, 8, 0, 0x2c, 1, 0, 0, // 300 s
    8, 0, 9, 0, 255, 255, 255, 0, // netmask in network order
];

/// SET_DEST 2001:db8::11 port 80 of the firewall mark 7 over IPv6, by GUE to port 6000 with a checksum.
const SET_DEST: &[u8] = &[
    136, 0, 0, 0, 0x1c, 0, 5, 0, 2, 0, 0, 0, 0, 0, 0, 0, //
    6, 1, 0, 0, //
    20, 0, 1, 0x80, 6, 0, 1, 0, 10, 0, 0, 0, 8, 0, 5, 0, 7, 0, 0, 0, // service by mark
    96, 0, 2, 0x80, // dest, nested
    6, 0, 11, 0, 10, 0, 0, 0, // AF_INET6
    20, 0, 1, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, //
    6, 0, 2, 0, 0, 80, 0, 0, // port
    8, 0, 3, 0, 2, 0, 0, 0, // IP_VS_CONN_F_TUNNEL
    8, 0, 4, 0, 3, 0, 0, 0, // weight
    8, 0, 5, 0, 100, 0, 0, 0, // upper threshold
    8, 0, 6, 0, 50, 0, 0, 0, // lower threshold
    5, 0, 13, 0, 1, 0, 0, 0, // IP_VS_CONN_F_TUNNEL_TYPE_GUE
    6, 0, 14, 0, 0x17, 0x70, 0, 0, // port 6000
    6, 0, 15, 0, 1, 0, 0, 0, // IP_VS_TUNNEL_ENCAP_FLAG_CSUM
];

/// NEW_DAEMON, backup, on eth0 with the identifier 51, each connection in a datagram of its own, to port 8849 of
/// ff02::81.
const NEW_DAEMON: &[u8] = &[
    96, 0, 0, 0, 0x1c, 0, 5, 0, 3, 0, 0, 0, 0, 0, 0, 0, //
    9, 1, 0, 0, //
    76, 0, 3, 0x80, //
    8, 0, 1, 0, 2, 0, 0, 0, // IP_VS_STATE_BACKUP
    9, 0, 2, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0, //
    8, 0, 3, 0, 51, 0, 0, 0, //
    6, 0, 4, 0, 1, 0, 0, 0, // longest datagram
    20, 0, 6, 0, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, //
    6, 0, 7, 0, 0x91, 0x22, 0, 0, // port 8849, not in network order
    5, 0, 8, 0, 2, 0, 0, 0, // time to live
];

/// SET_CONFIG: 901 s for established TCP, 300 s for UDP.
const SET_CONFIG: &[u8] = &[
    44, 0, 0, 0, 0x1c, 0, 5, 0, 4, 0, 0, 0, 0, 0, 0, 0, //
    12, 1, 0, 0, //
    8, 0, 4, 0, 0x85, 3, 0, 0, 8, 0, 5, 0, 0, 0, 0, 0, 8, 0, 6, 0, 0x2c, 1, 0, 0,
];

#[test]
fn requests_are_the_bytes_that_the_kernel_takes() {
    let (service, dest, sync) = samples();
    for (sequence, op, bytes) in [
        (1, Op::NewService(service.0, service.1), NEW_SERVICE),
        (2, Op::SetDest(mark(), dest.0, dest.1), SET_DEST),
        (3, Op::StartSync(sync.0, sync.1), NEW_DAEMON),
        (4, Op::SetTimeouts([901, 0, 300]), SET_CONFIG),
    ] {
        let mut writer = Writer::new(FAMILY);
        writer.operation(sequence, &op, true);
        assert_eq!(writer.bytes(), bytes, "{op}");
    }
}

#[test]
fn answers_are_read_from_the_same_layout() {
    let (service, dest, sync) = samples();
    assert_eq!(decode::service(only(NEW_SERVICE).payload), Some(service));
    let (id, found) = decode::dest(only(SET_DEST).payload, Family::V4).unwrap();
    assert_eq!(
        (id, found),
        (
            dest.0,
            ActualDest {
                dest: dest.1,
                counters: Counters::default()
            }
        )
    );
    assert_eq!(decode::daemon(only(NEW_DAEMON).payload), Some(sync));
    let timeouts = decode::timeouts(only(SET_CONFIG).payload);
    assert_eq!(timeouts, Some([901, 0, 300]));
}

#[test]
fn counters_are_read_in_64_bits() {
    let stats: Vec<u8> = (1..=10u16)
        .flat_map(|kind| wide_attribute(kind, u64::from(kind) << 32))
        .collect();
    let counts = [
        attribute(7, &4u32.to_ne_bytes()),
        attribute(8, &5u32.to_ne_bytes()),
        attribute(12, &stats),
    ];
    let dest = [
        attribute(1, &[10, 0, 0, 1]),
        attribute(2, &[0, 80]),
        counts.concat(),
    ]
    .concat();
    let payload = [vec![5, 1, 0, 0], attribute(2, &dest)].concat();
    let (id, found) = decode::dest(&payload, Family::V4).unwrap();
    assert_eq!(
        id,
        DestId {
            address: "10.0.0.1".parse().unwrap(),
            port: 80
        }
    );
    let counters = Counters {
        active: 4,
        inactive: 5,
        persistent: 0,
        connections: 1 << 32,
        packets_in: 2 << 32,
        packets_out: 3 << 32,
        bytes_in: 4 << 32,
        bytes_out: 5 << 32,
    };
    assert_eq!(found.counters, counters);
}

#[test]
fn what_is_incomplete_is_left_out() {
    assert_eq!(decode::service(&[]), None);
    assert_eq!(decode::service(&[1, 1, 0, 0]), None);
    let nameless = [vec![1, 1, 0, 0], attribute(1, &attribute(1, &[2, 0]))].concat();
    assert_eq!(decode::service(&nameless), None);
    assert_eq!(decode::daemon(&[1, 1, 0, 0, 4, 0, 3, 0]), None);
    assert_eq!(decode::family_number(&[1, 1, 0, 0]), None);
}

#[test]
fn a_batch_is_one_message_behind_the_other() {
    let (service, _, _) = samples();
    let mut writer = Writer::new(FAMILY);
    for sequence in 7..10 {
        writer.operation(sequence, &Op::DelService(service.0), sequence == 9);
    }
    let heads = messages(writer.bytes()).map(|message| (message.sequence, message.flags & ACK));
    assert_eq!(heads.collect::<Vec<_>>(), [(7, 0), (8, 0), (9, ACK)]);
}

proptest! {
    #[test]
    fn a_service_survives_the_way_there_and_back(
        port: u16, flags in 0u32..0x40, timeout_s: u32, granularity in 0u8..=32, six: bool, sip: bool,
    ) {
        let address = if six { "2001:db8::1" } else { "192.0.2.1" }.parse().unwrap();
        let id = ServiceId::Address { protocol: Protocol::Udp, address, port };
        let flags = flags & director_core::ipvs::FLAGS_OURS;
        let service = Service { scheduler: "mh".parse().unwrap(), flags, timeout_s, granularity, sip };
        let mut writer = Writer::new(FAMILY);
        writer.operation(1, &Op::NewService(id, service.clone()), true);
        prop_assert_eq!(decode::service(only(writer.bytes()).payload), Some((id, service)));
    }

    #[test]
    fn hostile_answers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        read_everything(&bytes);
    }

    #[test]
    fn flipped_bytes_never_panic(at in 0usize..136, to: u8) {
        for sample in [NEW_SERVICE, SET_DEST, NEW_DAEMON] {
            let mut bytes = sample.to_vec();
            let at = at % bytes.len();
            bytes[at] = to;
            messages(&bytes).for_each(|message| read_everything(message.payload));
        }
    }
}

fn read_everything(payload: &[u8]) {
    let _ = (
        decode::service(payload),
        decode::daemon(payload),
        decode::family_number(payload),
    );
    let _ = (
        decode::dest(payload, Family::V4),
        decode::dest(payload, Family::V6),
    );
}

fn samples() -> ((ServiceId, Service), (DestId, Dest), (SyncRole, SyncDaemon)) {
    let id = ServiceId::Address {
        protocol: Protocol::Tcp,
        address: "192.0.2.100".parse().unwrap(),
        port: 443,
    };
    let flags = FLAG_PERSISTENT | FLAG_SCHED1;
    let service = Service {
        scheduler: "wlc".parse().unwrap(),
        flags,
        timeout_s: 300,
        granularity: 24,
        sip: false,
    };
    let dest = Dest {
        forwarding: Forwarding::Tun(Tunnel::Gue {
            port: 6000,
            checksum: Checksum::Full,
        }),
        weight: 3,
        upper: 100,
        lower: 50,
    };
    let sync = SyncDaemon {
        interface: "eth0".parse().unwrap(),
        id: 51,
        wire: SyncWire {
            maxlen: 1,
            group: "ff02::81".parse().unwrap(),
            port: 8849,
            ttl: 2,
        },
    };
    let at = DestId {
        address: "2001:db8::11".parse().unwrap(),
        port: 80,
    };
    ((id, service), (at, dest), (SyncRole::Backup, sync))
}

fn mark() -> ServiceId {
    ServiceId::Fwmark {
        family: Family::V6,
        mark: 7,
    }
}

fn only(bytes: &[u8]) -> Message<'_> {
    let mut found: BTreeMap<u32, Message<'_>> = messages(bytes)
        .map(|message| (message.sequence, message))
        .collect();
    assert_eq!(found.len(), 1);
    found.pop_first().unwrap().1
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn wide_attribute(kind: u16, value: u64) -> Vec<u8> {
    attribute(kind, &value.to_ne_bytes())
}
