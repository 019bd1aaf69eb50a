//! Devices of virtual hardware addresses, as the kernel has them.

use director_core::config::{Router, Vmac};
use director_core::kernel::{KernelEvent, Link, Macvlan, Op, OpError};
use director_core::net::{Ifindex, Mac};

use super::kernel::{Kernel, NO_DEVICE};

/// Gives a virtual router a hardware address of its own, or takes it.
pub fn toggle(router: &mut Router) {
    if router.advert_mac.take().is_some() {
        router.vmacs.clear();
        return;
    }
    let mac = Mac::of_router(router.family(), router.vrid);
    router.vmacs.push(Vmac {
        base: router.interface.clone(),
        name: format!("vrrp.{}", router.vrid)
            .parse()
            .expect("a short name"),
        mac,
    });
    router.advert_mac = Some(mac);
}

/// What a kernel makes of an operation on a device.
///
/// # Errors
/// When it is there, or is not, already.
pub fn operate(kernel: &mut Kernel, op: &Op) -> Result<(), OpError> {
    match op {
        Op::AddVmac { name, base, mac } => {
            if !kernel.state.links.contains_key(base) {
                return Err(NO_DEVICE);
            }
            if kernel.state.links.values().any(|link| link.name == *name) {
                return Err(OpError::EXISTS);
            }
            kernel.devices += 1;
            let ifindex = Ifindex(1000 + kernel.devices);
            let link = Link {
                ifindex,
                name: name.clone(),
                mac: *mac,
                mtu: 1500,
                up: false,
                carrier: false,
                loopback: false,
                macvlan: Some(Macvlan {
                    base: *base,
                    ours: true,
                }),
            };
            kernel.notices.push(KernelEvent::Link(link.clone()));
            kernel.state.links.insert(ifindex, link);
        }
        Op::DelVmac(ifindex) => {
            kernel.state.links.remove(ifindex).ok_or(NO_DEVICE)?;
            kernel
                .state
                .addresses
                .retain(|id, _| id.ifindex != *ifindex);
            kernel.notices.push(KernelEvent::LinkGone(*ifindex));
        }
        Op::LinkUp(ifindex) | Op::LinkDown(ifindex) => {
            let up = matches!(op, Op::LinkUp(_));
            let link = kernel.state.links.get_mut(ifindex).ok_or(NO_DEVICE)?;
            (link.up, link.carrier) = (up, up);
            kernel.notices.push(KernelEvent::Link(link.clone()));
        }
        _ => return Err(NO_DEVICE),
    }
    Ok(())
}

/// `ip link delete` of all of them; those of a link that goes go with it.
pub fn delete(kernel: &mut Kernel) {
    let links = kernel.state.links.values();
    let devices = links.filter(|link| link.macvlan.is_some());
    let devices: Vec<Ifindex> = devices.map(|link| link.ifindex).collect();
    for ifindex in devices {
        let _ = operate(kernel, &Op::DelVmac(ifindex));
    }
}
