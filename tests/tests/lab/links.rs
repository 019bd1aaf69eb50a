//! Cables: what the loss of one interface's link does to a sync group, and to a virtual router that tracks it.

use director_core::status::{RouterStatus, Status};
use qemu::lab::{Lab, LabError};
use qemu::topology::{self, Role};
use tests::lab::{WAIT, boot, complaint, tell};

/// Two groups of a router on each segment, of which one goes back to where it was, and a router whose priority depends
/// on the other segment.
const KEEPALIVED: &str = "
vrrp_sync_group RETURNS {
    group {
        outside
        inside
    }
}
vrrp_sync_group STAYS {
    group {
        outside2
        inside2
    }
}
vrrp_instance outside {
    interface lan0
    virtual_router_id 51
    @director1 priority 150
    @director2 priority 100
    advert_int 1
    virtual_ipaddress {
        10.77.0.100/24
    }
}
vrrp_instance inside {
    interface inside0
    virtual_router_id 52
    @director1 priority 150
    @director2 priority 100
    advert_int 1
    virtual_ipaddress {
        10.77.1.100/24
    }
}
vrrp_instance outside2 {
    interface lan0
    virtual_router_id 53
    @director1 priority 150
    @director2 priority 100
    nopreempt
    advert_int 1
    virtual_ipaddress {
        10.77.0.101/24
    }
}
vrrp_instance inside2 {
    interface inside0
    virtual_router_id 54
    @director1 priority 150
    @director2 priority 100
    nopreempt
    advert_int 1
    virtual_ipaddress {
        10.77.1.101/24
    }
}
vrrp_instance weighed {
    interface lan0
    virtual_router_id 55
    @director1 priority 150
    @director2 priority 100
    advert_int 1
    track_interface {
        inside0 weight -60
    }
    virtual_ipaddress {
        10.77.0.102/24
    }
}
";

/// The ports of a director.
const LAN0: usize = 0;
const INSIDE0: usize = 1;

/// The states of the five routers, in the order of the configuration.
type States = [&'static str; 5];

const ALL_ACTIVE: States = ["Active"; 5];
const ALL_BACKUP: States = ["Backup"; 5];

#[test]
fn a_pulled_cable_moves_the_whole_group_and_whoever_weighs_it_and_the_group_returns_as_configured()
{
    let mut topology = topology::nat(KEEPALIVED);
    let is_director = |role: &Role| matches!(role, Role::Director { .. });
    topology.nodes.retain(|node| is_director(&node.role));
    tell("links", topology, |lab| {
        // One after the other, so that what stays where it is begins on the first.
        lab.vm("d1")?.power_on()?;
        lab.vm("d1")?.wait_until_up()?;
        states_become(lab, "d1", ALL_ACTIVE)?;
        boot(lab)?;
        states_become(lab, "d2", ALL_BACKUP)?;

        // The Active's cable on one side.
        lab.vm("d1")?.set_link(INSIDE0, false)?;
        states_become(lab, "d2", ALL_ACTIVE)?;
        let fallen = ["Fault", "Fault", "Fault", "Fault", "Backup"];
        let status = states_become(lab, "d1", fallen)?;
        let weighed = &status.routers[4];
        let priorities = (weighed.priority, weighed.base_priority);
        assert_eq!(priorities, (90, 150), "{weighed:?}");
        holds_no_address(&status);

        // Back again.
        lab.vm("d1")?.set_link(INSIDE0, true)?;
        let returned = ["Active", "Active", "Backup", "Backup", "Active"];
        let status = states_become(lab, "d1", returned)?;
        assert_eq!(status.routers[4].priority, 150, "{status:?}");
        let left = ["Backup", "Backup", "Active", "Active", "Backup"];
        states_become(lab, "d2", left)?;

        // What stayed goes by the loss of the other side, too, and stays again.
        lab.vm("d2")?.set_link(LAN0, false)?;
        states_become(lab, "d1", ALL_ACTIVE)?;
        let status = states_become(lab, "d2", ["Fault"; 5])?;
        holds_no_address(&status);
        lab.vm("d2")?.set_link(LAN0, true)?;
        states_become(lab, "d2", ALL_BACKUP)?;
        let status = states_become(lab, "d1", ALL_ACTIVE)?;
        let takeovers: Vec<u64> = status.routers.iter().map(|is| is.takeovers).collect();
        assert_eq!(takeovers, [2; 5], "nothing moved but by a cable");
        for name in ["d1", "d2"] {
            assert_eq!(complaint(lab.vm(name)?), None);
        }
        Ok(())
    });
}

/// Waits until the routers of a node are in these states, and the groups agree with their members.
fn states_become(lab: &Lab, node: &str, states: States) -> Result<Status, LabError> {
    let what = format!("routers in the states {states:?}");
    lab.director(node)?.wait_until(&what, WAIT, |status| {
        let is = status.routers.iter().map(|router| router.state.as_str());
        let of = |place: usize| status.groups.get(place).map(|group| group.state.as_str());
        let group_states = [of(0), of(1)];
        is.eq(states)
            && group_states == [Some(states[0]), Some(states[2])]
            && status.kernel.pending == 0
    })
}

/// None of the virtual addresses is on an interface.
fn holds_no_address(status: &Status) {
    let is_virtual = |address: &String| {
        let mut routers = status.routers.iter();
        routers.any(|RouterStatus { addresses, .. }| {
            let host = |text: &str| text.split('/').next().map(str::to_owned);
            addresses.iter().any(|own| host(own) == host(address))
        })
    };
    for interface in &status.interfaces {
        let held = interface.addresses.iter().find(|held| is_virtual(held));
        assert_eq!(held, None, "{interface:?}");
    }
}
