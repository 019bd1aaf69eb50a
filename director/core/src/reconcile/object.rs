//! What operations are about.

use crate::ipvs::{DestId, ServiceId, SyncRole};
use crate::kernel::{AddressId, Op, OpError, Part};
use crate::net::{Cidr, Family, Ifindex, Mac};

/// The thing an operation touches; a refusal delays the next operation on the same thing only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    Link(Ifindex),
    /// By the link it is on and its hardware address.
    Vmac(Ifindex, Mac),
    Address(AddressId),
    /// By destination, table and metric.
    Route(Cidr, u32, u32),
    /// By family and priority.
    Rule(Family, u32),
    Filter,
    Service(ServiceId),
    Dest(ServiceId, DestId),
    // What belongs to no service is the last of all.
    Sync(SyncRole),
    Timeouts,
}

impl Object {
    /// The service that it is or belongs to.
    pub(super) const fn service(&self) -> Option<ServiceId> {
        match self {
            Self::Service(id) | Self::Dest(id, _) => Some(*id),
            _ => None,
        }
    }

    pub(super) const fn part(&self) -> Part {
        match self {
            Self::Link(_)
            | Self::Vmac(..)
            | Self::Address(_)
            | Self::Route(..)
            | Self::Rule(..) => Part::Network,
            Self::Filter => Part::Filter,
            Self::Service(_) | Self::Dest(..) | Self::Sync(_) | Self::Timeouts => Part::Ipvs,
        }
    }
}

/// What an operation is about.
pub(super) const fn object(op: &Op) -> Object {
    match op {
        Op::LinkUp(ifindex)
        | Op::LinkDown(ifindex)
        | Op::DelVmac(ifindex)
        | Op::LinkMtu(ifindex, _) => Object::Link(*ifindex),
        Op::AddVmac { base, mac, .. } => Object::Vmac(*base, *mac),
        Op::AddAddress(id, _) | Op::DelAddress(id) => Object::Address(*id),
        Op::AddRoute(route) | Op::DelRoute(route) => {
            Object::Route(route.destination, route.table, route.metric)
        }
        Op::AddRule(rule) | Op::DelRule(rule) => Object::Rule(rule.family, rule.priority),
        Op::SetFilter(_) => Object::Filter,
        Op::SetTimeouts(_) => Object::Timeouts,
        Op::StartSync(role, _) | Op::StopSync(role) => Object::Sync(*role),
        Op::NewService(id, _) | Op::SetService(id, _) | Op::DelService(id) => Object::Service(*id),
        Op::NewDest(id, dest, _) | Op::SetDest(id, dest, _) | Op::DelDest(id, dest) => {
            Object::Dest(*id, *dest)
        }
    }
}

/// A removal of what is not there has reached its end.
pub(super) fn is_gone_already(op: &Op, error: OpError) -> bool {
    let gone = [
        OpError::NOT_THERE,
        OpError::NO_ADDRESS,
        OpError::NO_DEVICE,
        OpError::NO_SERVICE,
    ];
    let removal = matches!(
        op,
        Op::DelVmac(_)
            | Op::DelAddress(_)
            | Op::DelRoute(_)
            | Op::DelRule(_)
            | Op::StopSync(_)
            | Op::DelService(_)
            | Op::DelDest(..)
    );
    removal && gone.contains(&error)
}
