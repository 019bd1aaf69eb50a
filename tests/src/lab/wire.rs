//! What a story looks for on the wire, beyond adverts and announcements.

use std::net::Ipv4Addr;

use qemu::frame::Frame;
use qemu::switch::{Switch, Tap};

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];

/// Source and destination of an IPv4 packet.
pub fn ipv4(frame: &Frame) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let bytes = &frame.bytes;
    if bytes.get(12..14)? != ETHERTYPE_IPV4 {
        return None;
    }
    let address = |at: usize| -> Option<Ipv4Addr> {
        let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(octets))
    };
    Some((address(26)?, address(30)?))
}

/// Subscribes to the adverts with priority 0 of a node: it gives up.
pub fn goodbyes_of(switch: &Switch, node: &str) -> Tap {
    let node = node.to_owned();
    switch.tap(move |frame| {
        *frame.node == *node && frame.advert().is_some_and(|advert| advert.priority == 0)
    })
}

/// Subscribes to what a node passes on to real servers by direct routing: packets to a virtual address, sent by it.
pub fn forwarded_by(switch: &Switch, node: &str, address: Ipv4Addr) -> Tap {
    let node = node.to_owned();
    switch.tap(move |frame| {
        *frame.node == *node && ipv4(frame).is_some_and(|(_, destination)| destination == address)
    })
}

/// Subscribes to what a node sends from an address.
pub fn sent_from(switch: &Switch, node: &str, address: Ipv4Addr) -> Tap {
    let node = node.to_owned();
    switch.tap(move |frame| {
        *frame.node == *node && ipv4(frame).is_some_and(|(source, _)| source == address)
    })
}
