//! What a virtual router's machine is told of its configuration.

use crate::config::{self, VirtualAddress};
use crate::vrrp;

/// The settings of a router; `grouped` when it is a member of a sync group.
pub(super) fn settings(router: &config::Router, grouped: bool) -> vrrp::Settings {
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
        garp: router.garp,
    }
}
