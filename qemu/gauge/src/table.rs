//! Looks at the kernel's IPVS table: at one service only, since reading a large table would itself be the load.
use std::net::SocketAddrV4;

use director::kernel::NetlinkError;
use director::kernel::ipvs::Ipvs;
use director_core::ipvs::{DestId, Protocol, ServiceId};

use crate::Until;

/// Whether the table holds what is waited for; false when it is another thing than the table.
pub(crate) fn holds(ipvs: &mut Ipvs, until: &Until) -> Result<bool, String> {
    match until {
        Until::Now | Until::Answers(_) | Until::Gone => Ok(false),
        Until::Dest {
            service,
            dest,
            weight,
        } => {
            let id = DestId {
                address: (*dest.ip()).into(),
                port: dest.port(),
            };
            let has = |found: &(DestId, u32)| *found == (id, *weight);
            Ok(dests(ipvs, service)?.iter().any(has))
        }
        Until::Dests { service, count } => {
            let serving = dests(ipvs, service)?;
            Ok(serving.iter().filter(|(_, weight)| *weight > 0).count() == *count)
        }
    }
}

fn dests(ipvs: &mut Ipvs, service: &SocketAddrV4) -> Result<Vec<(DestId, u32)>, String> {
    let id = ServiceId::Address {
        protocol: Protocol::Tcp,
        address: (*service.ip()).into(),
        port: service.port(),
    };
    match ipvs.dests(&id) {
        Ok(dests) => Ok(dests
            .into_iter()
            .map(|(id, had)| (id, had.dest.weight))
            .collect()),
        // There is no such service yet.
        Err(NetlinkError::Refused(_)) => Ok(Vec::new()),
        Err(error) => Err(format!("IPVS {error}")),
    }
}
