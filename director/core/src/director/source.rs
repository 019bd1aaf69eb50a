//! Where a virtual router's adverts come from, or why it can't send any.

use core::net::IpAddr;
use std::collections::BTreeSet;

use super::links::Links;
use super::surroundings::{Surroundings, Tally};
use crate::config;
use crate::kernel::AddressId;
use crate::net::Family;
use crate::plan::{self, Finder};
use crate::vrrp::{Fault, Source};
use crate::wire::{ipv4, ipv6, trailer};

/// The node's own addresses: those that come and go with no virtual router and no quorum.
pub(super) fn own_addresses(around: &Surroundings<'_>) -> Vec<AddressId> {
    let routers = around.config.routers.iter();
    let virtuals = routers.flat_map(config::Router::virtual_addresses);
    let virtuals: BTreeSet<IpAddr> = virtuals.map(|known| known.cidr.address).collect();
    let stays = |id: &&AddressId| {
        let address = id.cidr.address;
        !virtuals.contains(&address) && !around.services.is_on_quorum(address)
    };
    let all = around.reconciler.actual().addresses.keys();
    all.filter(stays).copied().collect()
}

/// What a router is told of its interface; nothing at the start while the director itself sets the link up and makes
/// the devices: that they are not yet is no fault.
pub(super) fn word<'a>(
    around: &Surroundings<'_>,
    links: &Links,
    finder: &mut Finder<'a>,
    (router, is_start): (&'a config::Router, bool),
    (own, tally): (&[AddressId], Tally),
) -> Option<Result<Source, Fault>> {
    let missing = |vmac: &&'a config::Vmac| finder.device(vmac).is_none();
    let missing: Vec<&config::Vmac> = router.vmacs.iter().filter(missing).collect();
    // The router's addresses have no place here; another node's may have one.
    let refused = missing.iter().find(|vmac| {
        let base = finder.link(&vmac.base).map(|base| base.ifindex);
        base.is_some_and(|base| around.reconciler.refuses_device(base, vmac.mac))
    });
    let is_down =
        !missing.is_empty() || finder.link(&router.interface).is_some_and(|link| !link.up);
    if is_start && refused.is_none() && (tally.waits || is_down) {
        return None;
    }
    let refused = refused.map(|vmac| Fault::NoDevice(vmac.name.clone()));
    let source = source(around, links, router, (own, tally));
    Some(source.and_then(|source| refused.map_or(Ok(source), Err)))
}

/// What the router's interface is: where its adverts come from, or why it does not serve.
fn source(
    around: &Surroundings<'_>,
    links: &Links,
    router: &config::Router,
    (own, tally): (&[AddressId], Tally),
) -> Result<Source, Fault> {
    let Surroundings {
        config, reconciler, ..
    } = *around;
    let actual = reconciler.actual();
    let link = plan::link(config, &actual.links, &router.interface).ok_or(Fault::NoInterface)?;
    if !router.ignore_link && !links.serves(link) {
        return Err(Fault::LinkDown);
    }
    if let Some(fault) = tally.fault {
        return Err(fault);
    }
    let advert = advert_bytes(router);
    if advert > link.mtu {
        let mtu = link.mtu;
        return Err(Fault::Mtu { advert, mtu });
    }
    let unicast = router.unicast.as_ref();
    if unicast.is_some_and(|unicast| unicast.peers.is_empty()) {
        return Err(Fault::NoPeer);
    }
    if let Some(address) = router.source {
        let mut all = actual.addresses.keys();
        let is_there = all.any(|id| id.ifindex == link.ifindex && id.cidr.address == address);
        return if router.track_source && !is_there {
            Err(Fault::NoSource(address))
        } else {
            Ok(Source { address })
        };
    }
    // Over IPv6 a link-local one (RFC 9568 section 5.1.2.1), unless the peers are not on the link.
    let first_peer = unicast.and_then(|unicast| unicast.peers.first());
    let wants_local = first_peer.is_none_or(|peer| is_local(peer.address));
    let own = own.iter().filter(|id| id.ifindex == link.ifindex);
    let mut own = own.map(|id| id.cidr.address);
    let address = own.find(|address| {
        let speaks = Family::of(*address) == router.family();
        let fits = address.is_ipv4() || is_local(*address) == wants_local;
        speaks && fits
    });
    address
        .map(|address| Source { address })
        .ok_or(Fault::NoAddress(router.family()))
}

/// Bytes of the router's adverts as IP packets. A longer one than the MTU would never leave, and the others would take
/// over from a router that believes itself Active.
fn advert_bytes(router: &config::Router) -> u32 {
    let header = match router.family() {
        Family::V4 => ipv4::HEADER_BYTES,
        Family::V6 => ipv6::HEADER_BYTES,
    };
    let trailer = if router.hmac.is_some() {
        trailer::BYTES
    } else {
        0
    };
    let count = router.addresses.len();
    let bytes = header + router.version.advert_bytes(router.family(), count) + trailer;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

const fn is_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
