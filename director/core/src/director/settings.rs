//! What a virtual router's machine is told of its configuration.

use crate::config::{self, Config, VirtualAddress};
use crate::time::Duration;
use crate::{limits, vrrp};

/// The settings of the router at that place in the configuration.
pub(super) fn settings(config: &Config, router: &config::Router, index: usize) -> vrrp::Settings {
    let mut groups = config.groups.iter();
    let grouped = groups.any(|group| group.members.contains(&router.name));
    let address = |address: &VirtualAddress| address.cidr.address;
    vrrp::Settings {
        vrid: router.vrid,
        version: router.version,
        priority: router.priority,
        state_master: router.state_master,
        advert_interval: router.advert_interval,
        preempt: router.preempt,
        preempt_delay: router.preempt_delay,
        pass: router.pass,
        hmac: router.hmac.clone(),
        addresses: router.addresses.iter().map(address).collect(),
        announced: router.virtual_addresses().map(address).collect(),
        extra: router.extra_addresses(),
        group: router.group,
        down_adverts: router.down_adverts,
        checksum_as_v2: router.checksum_as_v2,
        lower_prio_no_advert: router.lower_prio_no_advert,
        higher_prio_send_advert: router.higher_prio_send_advert,
        startup_delay: router.startup_delay,
        delay_after_boot: router.delay_after_boot,
        unicast: router.unicast.clone(),
        owner_ignores_adverts: router.owner_ignores_adverts,
        timer_expired_backup: router.timer_expired_backup,
        grouped,
        phase: phase(router, index, config.routers.len()),
        garp: router.garp,
    }
}

/// Has the routers of a node advertise by turns where there are many. A node that stops is then missed by turns too:
/// its successor takes over some routers at a time, each with little ahead of it, and not all of them at once.
fn phase(router: &config::Router, index: usize, count: usize) -> Option<Duration> {
    let turns = count.div_ceil(limits::ROUTERS_PER_PHASE);
    let (turn, turns) = (
        u32::try_from(index % turns).ok()?,
        u32::try_from(turns).ok()?,
    );
    (turns > 1).then(|| router.advert_interval * turn / turns)
}
