//! The director's table of nftables, as one batch that replaces it.
//!
//! As `nft list table inet keelson` shows it, for one group of services that share their local addresses:
//!
//! ```text
//! set services0 { type ipv4_addr . inet_proto . inet_service; flags constant; elements = { .. } }
//! map locals0 { type integer : ipv4_addr; flags constant; elements = { 0 : .., 1 : .. } }
//! set closed4 { type ipv4_addr; flags constant; elements = { .. } }
//! chain source {
//!     type nat hook postrouting priority 100;
//!     ct original ip daddr . meta l4proto . ct original proto-dst @services0
//!         snat ip to jhash ct original ip saddr . ct original proto-src mod 2 seed 0 map @locals0
//! }
//! chain input {
//!     type filter hook input priority 110;
//!     ct direction reply accept
//!     ip daddr @closed4 drop
//! }
//! ```
//!
//! IPVS alters only the reply of a tracked connection, so that its original direction still names the service. `input`
//! comes behind IPVS (98 and 99), which takes what it serves, and sees what is left for the node itself.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use director_core::filter::{Filter, Match};
use director_core::net::Family;

use super::{BATCH_BEGIN, BATCH_END, NFTABLES, TABLE, header};
use crate::kernel::message::{ACK, APPEND, Attributes, CREATE, Head, Requests};

/// NFT_MSG_* (linux/netfilter/nf_tables.h).
const NEW_TABLE: u16 = 0;
const DEL_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;

/// NFPROTO_INET: IPv4 and IPv6 in one table.
pub(super) const INET: u8 = 1;
/// NF_INET_LOCAL_IN and NF_INET_POST_ROUTING.
const HOOK_INPUT: u32 = 1;
const HOOK_POSTROUTING: u32 = 4;
/// Behind IPVS, whose last hook for incoming packets is at NF_IP_PRI_NAT_SRC - 1.
const PRIORITY_INPUT: u32 = 110;
/// NF_IP_PRI_NAT_SRC.
const PRIORITY_SOURCE: u32 = 100;
/// NF_DROP and NF_ACCEPT.
const DROP: u32 = 0;
const ACCEPT: u32 = 1;

/// NFT_REG32_00 and NFT_REG32_15, the first and the last register of four bytes.
const FIRST: u32 = 8;
const LAST: u32 = 23;

/// NFT_SET_CONSTANT and NFT_SET_MAP: nobody adds to a set that a rule uses, so that the rules tell of the sets.
const CONSTANT: u32 = 0x2;
const MAP: u32 = 0x8;

/// NFT_CT_*
const CT_DIRECTION: u32 = 1;
const CT_SOURCE_PORT: u32 = 11;
const CT_TARGET_PORT: u32 = 12;
/// NFT_META_NFPROTO and NFT_META_L4PROTO.
const META_FAMILY: u32 = 15;
const META_PROTOCOL: u32 = 16;
/// IP_CT_DIR_REPLY.
const REPLY: u8 = 1;

/// IPPROTO_ICMPV6, and of its types neighbour solicitation and advertisement (RFC 4861 section 4).
const ICMPV6: u8 = 58;
const NEIGHBOUR: [u8; 2] = [135, 136];

/// Types of keys as nft(8) shows them: integer, ipv4_addr, ipv6_addr, inet_proto, inet_service.
const TYPE_INTEGER: u32 = 4;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
/// A concatenation has six bits for each type.
const TYPE_BITS: u32 = 6;

/// Elements of one message. An element of IPv6 takes 36 bytes; a refusal repeats the whole message, and must fit the
/// buffer that it is read into.
const ELEMENTS_MAX: usize = 500;

/// What the two families differ in.
#[derive(Clone, Copy, Debug)]
struct Of {
    /// NFPROTO_IPV4 or NFPROTO_IPV6.
    number: u8,
    /// Bytes of an address, and where the destination stands in a packet.
    bytes: u32,
    target_offset: u32,
    /// NFT_CT_SRC_IP and NFT_CT_DST_IP, or those of IPv6.
    ct_source: u32,
    ct_target: u32,
    key_type: u32,
}

const V4: Of = Of {
    number: 2,
    bytes: 4,
    target_offset: 16,
    ct_source: 19,
    ct_target: 20,
    key_type: 7,
};
const V6: Of = Of {
    number: 10,
    bytes: 16,
    target_offset: 24,
    ct_source: 21,
    ct_target: 22,
    key_type: 8,
};

impl Of {
    const fn family(family: Family) -> Self {
        match family {
            Family::V4 => V4,
            Family::V6 => V6,
        }
    }

    /// The register behind an address that begins in the first.
    const fn behind(self) -> u32 {
        FIRST + self.bytes / 4
    }
}

/// The batch that puts this filter in the place of whatever the table holds.
#[must_use]
pub(super) fn replace(filter: &Filter, sequence: u32) -> Vec<u8> {
    let mut batch = Batch {
        requests: Requests::default(),
        sequence,
        sets: 0,
    };
    batch.frame(BATCH_BEGIN);
    // Deleting what is not there would be refused; adding what is there is not.
    batch.add(NEW_TABLE, CREATE, |table| table.text(1, TABLE));
    batch.add(DEL_TABLE, 0, |table| table.text(1, TABLE));
    if !filter.is_empty() {
        batch.add(NEW_TABLE, CREATE, |table| table.text(1, TABLE));
        batch.translation(filter);
        batch.input(filter);
    }
    batch.frame(BATCH_END);
    batch.requests.bytes
}

struct Batch {
    requests: Requests,
    sequence: u32,
    sets: u32,
}

impl Batch {
    fn frame(&mut self, kind: u16) {
        let head = Head {
            kind,
            flags: 0,
            sequence: self.sequence,
            header: header(0, NFTABLES),
        };
        self.requests.add(head, |_| {});
    }

    /// One message, to be acknowledged.
    fn add(&mut self, kind: u16, flags: u16, attributes: impl FnOnce(&mut Attributes<'_>)) {
        let head = Head {
            kind: NFTABLES << 8 | kind,
            flags: flags | ACK,
            sequence: self.sequence,
            header: header(INET, 0),
        };
        self.requests.add(head, attributes);
    }

    fn translation(&mut self, filter: &Filter) {
        if filter.translated.is_empty() {
            return;
        }
        self.chain("source", "nat", HOOK_POSTROUTING, PRIORITY_SOURCE);
        for (number, (locals, services)) in filter.translated.iter().enumerate() {
            let Some(first) = locals.first() else {
                continue;
            };
            let of = Of::family(Family::of(*first));
            let names = (format!("services{number}"), format!("locals{number}"));
            self.services(&names.0, of, services);
            self.locals(&names.1, of, locals);
            let count = u32::try_from(locals.len()).unwrap_or(u32::MAX);
            self.rule("source", |rule| {
                rule.ct(FIRST, of.ct_target, true);
                rule.meta(of.behind(), META_PROTOCOL);
                rule.ct(of.behind() + 1, CT_TARGET_PORT, true);
                rule.lookup(&names.0, FIRST, None);
                rule.ct(FIRST, of.ct_source, true);
                rule.ct(of.behind(), CT_SOURCE_PORT, true);
                rule.hash(FIRST, of.bytes + 4, LAST, count);
                rule.lookup(&names.1, LAST, Some(FIRST));
                rule.source(of, FIRST);
            });
        }
    }

    fn input(&mut self, filter: &Filter) {
        if filter.closed.is_empty() {
            return;
        }
        self.chain("input", "filter", HOOK_INPUT, PRIORITY_INPUT);
        // Without translation nothing else wants connections to be tracked, which costs each packet.
        if !filter.translated.is_empty() {
            self.rule("input", |rule| {
                rule.ct(FIRST, CT_DIRECTION, false);
                rule.compare(FIRST, &[REPLY]);
                rule.verdict(ACCEPT);
            });
        }
        for (name, family) in [("closed4", Family::V4), ("closed6", Family::V6)] {
            let closed = filter.closed.iter().copied();
            let closed: Vec<IpAddr> = closed
                .filter(|address| Family::of(*address) == family)
                .collect();
            if closed.is_empty() {
                continue;
            }
            let of = Of::family(family);
            self.set(name, of.key_type, of.bytes, None);
            let elements = closed.iter().map(|address| (octets(*address), None));
            self.elements(name, elements);
            if family == Family::V6 {
                self.rule("input", |rule| {
                    rule.meta(FIRST, META_PROTOCOL);
                    rule.compare(FIRST, &[ICMPV6]);
                    rule.payload(FIRST, TRANSPORT_HEADER, 0, 1);
                    rule.within(FIRST, NEIGHBOUR);
                    rule.verdict(ACCEPT);
                });
            }
            self.rule("input", |rule| {
                rule.meta(FIRST, META_FAMILY);
                rule.compare(FIRST, &[of.number]);
                rule.payload(FIRST, NETWORK_HEADER, of.target_offset, of.bytes);
                rule.lookup(name, FIRST, None);
                rule.verdict(DROP);
            });
        }
    }

    fn services(&mut self, name: &str, of: Of, services: &BTreeSet<Match>) {
        let key_type = (of.key_type << TYPE_BITS | TYPE_PROTOCOL) << TYPE_BITS | TYPE_PORT;
        self.set(name, key_type, of.bytes + 8, None);
        // Each value begins a register of four bytes.
        let key = |(protocol, target): &Match| {
            let mut key = octets(target.ip());
            key.extend([protocol.number(), 0, 0, 0]);
            key.extend(port(target));
            key.extend([0; 2]);
            key
        };
        self.elements(name, services.iter().map(|service| (key(service), None)));
    }

    fn locals(&mut self, name: &str, of: Of, locals: &[IpAddr]) {
        self.set(name, TYPE_INTEGER, 4, Some((of.key_type, of.bytes)));
        // The hash leaves its result in the machine's order.
        let elements = (0_u32..).zip(locals).map(|(index, local)| {
            let index = index.to_ne_bytes().to_vec();
            (index, Some(octets(*local)))
        });
        self.elements(name, elements);
    }

    /// A base chain that lets through what its rules do not decide.
    fn chain(&mut self, name: &str, kind: &str, hook: u32, priority: u32) {
        self.add(NEW_CHAIN, CREATE, |chain| {
            chain.text(1, TABLE);
            chain.text(3, name);
            chain.nest(4, |at| {
                at.number(1, hook);
                at.number(2, priority);
            });
            chain.number(5, ACCEPT);
            chain.text(7, kind);
        });
    }

    /// A set with keys of this type and length, and a map when there is a type and a length of values.
    fn set(&mut self, name: &str, key_type: u32, key_bytes: u32, value: Option<(u32, u32)>) {
        self.sets += 1;
        let number = self.sets;
        self.add(NEW_SET, CREATE, |set| {
            set.text(1, TABLE);
            set.text(2, name);
            let map = if value.is_some() { MAP } else { 0 };
            set.number(3, CONSTANT | map);
            set.number(4, key_type);
            set.number(5, key_bytes);
            if let Some((value_type, bytes)) = value {
                set.number(6, value_type);
                set.number(7, bytes);
            }
            set.number(10, number); // NFTA_SET_ID, within the batch
        });
    }

    fn elements(&mut self, set: &str, elements: impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>) {
        let all: Vec<_> = elements.collect();
        for some in all.chunks(ELEMENTS_MAX) {
            self.add(NEW_ELEMENTS, CREATE, |message| {
                message.text(1, TABLE);
                message.text(2, set);
                message.nest(3, |list| {
                    for (key, value) in some {
                        list.nest(1, |element| {
                            element.nest(1, |data| data.put(1, key));
                            if let Some(value) = value {
                                element.nest(2, |data| data.put(1, value));
                            }
                        });
                    }
                });
            });
        }
    }

    fn rule(&mut self, chain: &str, write: impl FnOnce(&mut Rule<'_, '_>)) {
        self.add(NEW_RULE, CREATE | APPEND, |rule| {
            rule.text(1, TABLE);
            rule.text(2, chain);
            rule.nest(4, |expressions| write(&mut Rule(expressions)));
        });
    }
}

/// NFT_PAYLOAD_NETWORK_HEADER and NFT_PAYLOAD_TRANSPORT_HEADER.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

/// The expressions of a rule. They are gone through one after the other, until one does not match.
struct Rule<'a, 'b>(&'a mut Attributes<'b>);

impl Rule<'_, '_> {
    fn expression(&mut self, name: &str, data: impl FnOnce(&mut Attributes<'_>)) {
        self.0.nest(1, |expression| {
            expression.text(1, name);
            expression.nest(2, data);
        });
    }

    /// Loads what connection tracking knows, some of it of the original direction.
    fn ct(&mut self, to: u32, key: u32, of_original: bool) {
        self.expression("ct", |ct| {
            ct.number(1, to);
            ct.number(2, key);
            if of_original {
                ct.put(3, &[0]);
            }
        });
    }

    /// Loads what is known of a packet.
    fn meta(&mut self, to: u32, key: u32) {
        self.expression("meta", |meta| {
            meta.number(1, to);
            meta.number(2, key);
        });
    }

    /// Loads a part of the packet.
    fn payload(&mut self, to: u32, base: u32, offset: u32, bytes: u32) {
        self.expression("payload", |payload| {
            payload.number(1, to);
            payload.number(2, base);
            payload.number(3, offset);
            payload.number(4, bytes);
        });
    }

    fn compare(&mut self, register: u32, value: &[u8]) {
        self.expression("cmp", |compare| {
            compare.number(1, register);
            compare.number(2, 0); // NFT_CMP_EQ
            compare.nest(3, |data| data.put(1, value));
        });
    }

    fn within(&mut self, register: u32, [from, to]: [u8; 2]) {
        self.expression("range", |range| {
            range.number(1, register);
            range.number(2, 0); // NFT_RANGE_EQ
            range.nest(3, |data| data.put(1, &[from]));
            range.nest(4, |data| data.put(1, &[to]));
        });
    }

    /// Matches what is in a set; loads the value of a map.
    fn lookup(&mut self, set: &str, key: u32, to: Option<u32>) {
        self.expression("lookup", |lookup| {
            lookup.text(1, set);
            lookup.number(2, key);
            if let Some(to) = to {
                lookup.number(3, to);
            }
        });
    }

    /// What `director_core::filter::local_of` computes.
    fn hash(&mut self, from: u32, bytes: u32, to: u32, count: u32) {
        self.expression("hash", |hash| {
            hash.number(1, from);
            hash.number(2, to);
            hash.number(3, bytes);
            hash.number(4, count);
            hash.number(5, 0); // a seed by chance would differ between two directors
        });
    }

    /// Translates the source to the address in a register; the port stays while it is free.
    fn source(&mut self, of: Of, register: u32) {
        self.expression("nat", |nat| {
            nat.number(1, 0); // NFT_NAT_SNAT
            nat.number(2, of.number.into());
            nat.number(3, register);
        });
    }

    fn verdict(&mut self, code: u32) {
        self.expression("immediate", |immediate| {
            immediate.number(1, 0); // NFT_REG_VERDICT
            immediate.nest(2, |data| data.nest(2, |verdict| verdict.number(1, code)));
        });
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

const fn port(target: &SocketAddr) -> [u8; 2] {
    target.port().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use director_core::ipvs::Protocol;

    use super::*;
    use crate::kernel::message::HEADER;
    use crate::kernel::netlink::{Message, attributes, messages};

    fn filter(locals: &[IpAddr], target: &str) -> Filter {
        let service = (Protocol::Tcp, target.parse().unwrap());
        Filter {
            translated: BTreeMap::from([(locals.to_vec(), BTreeSet::from([service]))]),
            closed: locals.iter().copied().collect(),
        }
    }

    fn kinds(batch: &[u8]) -> Vec<u16> {
        messages(batch).map(|message| message.kind & 0xff).collect()
    }

    fn value(bytes: &[u8], wanted: u16) -> &[u8] {
        let mut found = attributes(bytes);
        found.find(|(kind, _)| *kind == wanted).unwrap().1
    }

    /// The names of a rule's expressions.
    fn expressions(message: &Message<'_>) -> Vec<String> {
        let list = value(&message.payload[HEADER..], 4);
        let name = |(_, expression)| {
            let name = value(expression, 1);
            String::from_utf8(name[..name.len() - 1].to_vec()).unwrap()
        };
        attributes(list).map(name).collect()
    }

    #[test]
    fn nothing_to_filter_is_no_table() {
        let batch = replace(&Filter::default(), 1);
        assert_eq!(kinds(&batch), [0x10, NEW_TABLE, DEL_TABLE, 0x11]);
    }

    #[test]
    fn sets_stand_before_the_rules_that_use_them() {
        let locals = [[10, 77, 1, 1].into(), [10, 77, 1, 2].into()];
        let batch = replace(&filter(&locals, "10.77.0.100:80"), 1);
        let expected = [
            [0x10, NEW_TABLE, DEL_TABLE, NEW_TABLE].as_slice(),
            &[
                NEW_CHAIN,
                NEW_SET,
                NEW_ELEMENTS,
                NEW_SET,
                NEW_ELEMENTS,
                NEW_RULE,
            ],
            &[NEW_CHAIN, NEW_RULE, NEW_SET, NEW_ELEMENTS, NEW_RULE, 0x11],
        ];
        assert_eq!(kinds(&batch), expected.concat());
        let rules: Vec<_> = messages(&batch)
            .filter(|message| message.kind == NFTABLES << 8 | NEW_RULE)
            .map(|message| expressions(&message).join(" "))
            .collect();
        let expected = [
            "ct meta ct lookup ct ct hash lookup nat",
            "ct cmp immediate",
            "meta cmp payload lookup immediate",
        ];
        assert_eq!(rules, expected);
        // The key of the service: address, protocol and port, each from the beginning of a register.
        let elements = messages(&batch).find(|message| message.kind & 0xff == NEW_ELEMENTS);
        let list = value(&elements.unwrap().payload[HEADER..], 3);
        let key = value(value(value(list, 1), 1), 1);
        assert_eq!(key, [10, 77, 0, 100, 6, 0, 0, 0, 0, 80, 0, 0]);
    }

    #[test]
    fn neighbours_of_a_closed_address_are_still_found() {
        let locals = ["2001:db8::1".parse().unwrap()];
        let batch = replace(&filter(&locals, "[2001:db8::100]:80"), 1);
        let rules: Vec<_> = messages(&batch)
            .filter(|message| message.kind == NFTABLES << 8 | NEW_RULE)
            .map(|message| expressions(&message).join(" "))
            .collect();
        assert_eq!(rules[2], "meta cmp payload range immediate");
        assert_eq!(rules.len(), 4);
    }
}
