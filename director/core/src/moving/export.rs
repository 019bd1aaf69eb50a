//! The services of a configuration as `ipvsadm` takes them: lines of `ipvsadm -S -n`, for `ipvsadm -R`.

use core::fmt::Write as _;
use core::net::IpAddr;

use crate::config::{Config, VirtualServer};
use crate::ipvs::{self, Checksum, Dest, DestId, Forwarding, Protocol, Service, ServiceId, Tunnel};
use crate::net::Family;

/// All services with their real servers, none of them judged by its checks; sorry servers are left out.
#[must_use]
pub fn ipvsadm(config: &Config) -> String {
    let mut text = String::new();
    for server in &config.services {
        for id in server.ids() {
            service(&mut text, id, server);
        }
    }
    text
}

fn service(text: &mut String, id: ServiceId, server: &VirtualServer) {
    let name = name(id);
    let service = server.service(id.family());
    let _ = writeln!(
        text,
        "-A {name} -s {}{}",
        service.scheduler,
        options(id, &service)
    );
    for real in &server.real_servers {
        let within = real.id.within(&id, real.dest.forwarding);
        let _ = writeln!(text, "-a {name} {}", dest(within, real.dest));
    }
}

fn name(id: ServiceId) -> String {
    match id {
        ServiceId::Address {
            protocol,
            address,
            port,
        } => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
            };
            format!("{option} {}", endpoint(address, port))
        }
        ServiceId::Fwmark { family, mark } => {
            let family = if family == Family::V6 { " -6" } else { "" };
            format!("-f {mark}{family}")
        }
    }
}

fn endpoint(address: IpAddr, port: u16) -> String {
    DestId { address, port }.to_string()
}

/// Persistence and flags, in ipvsadm's own order.
fn options(id: ServiceId, service: &Service) -> String {
    let mut text = String::new();
    if service.flags & ipvs::FLAG_PERSISTENT != 0 {
        let _ = write!(text, " -p {}", service.timeout_s);
        let single = if id.family() == Family::V4 { 32 } else { 128 };
        if service.granularity != single {
            let _ = match id.family() {
                Family::V4 => write!(text, " -M {}", netmask(service.granularity)),
                Family::V6 => write!(text, " -M {}", service.granularity),
            };
        }
    }
    if service.sip {
        text += " --pe sip";
    }
    if service.flags & ipvs::FLAG_ONE_PACKET != 0 {
        text += " -o";
    }
    let names = match service.scheduler.as_str() {
        "sh" => ["sh-fallback", "sh-port", "flag-3"],
        "mh" => ["mh-fallback", "mh-port", "flag-3"],
        _ => ["flag-1", "flag-2", "flag-3"],
    };
    let bits = [ipvs::FLAG_SCHED1, ipvs::FLAG_SCHED2, ipvs::FLAG_SCHED3];
    let set = bits
        .into_iter()
        .zip(names)
        .filter(|(bit, _)| service.flags & bit != 0);
    let set: Vec<&str> = set.map(|(_, name)| name).collect();
    if !set.is_empty() {
        let _ = write!(text, " -b {}", set.join(","));
    }
    text
}

fn netmask(prefix: u8) -> core::net::Ipv4Addr {
    let bits = u32::MAX
        .checked_shl(32 - u32::from(prefix.min(32)))
        .unwrap_or(0);
    bits.into()
}

fn dest(id: DestId, dest: Dest) -> String {
    let method = match dest.forwarding {
        Forwarding::Nat => "-m",
        Forwarding::Dr => "-g",
        Forwarding::Tun(_) => "-i",
    };
    let mut text = format!("-r {id} {method} -w {}", dest.weight);
    for (option, threshold) in [("-x", dest.upper), ("-y", dest.lower)] {
        if threshold > 0 {
            let _ = write!(text, " {option} {threshold}");
        }
    }
    if let Forwarding::Tun(tunnel) = dest.forwarding {
        text += &wrapping(tunnel);
    }
    text
}

fn wrapping(tunnel: Tunnel) -> String {
    let (kind, checksum) = match tunnel {
        Tunnel::Ipip => return String::new(),
        Tunnel::Gue { port, checksum } => (format!(" --tun-type gue --tun-port {port}"), checksum),
        Tunnel::Gre { checksum } => (" --tun-type gre".to_owned(), checksum),
    };
    let checksum = match checksum {
        Checksum::None => " --tun-nocsum",
        Checksum::Full => " --tun-csum",
        Checksum::Remote => " --tun-remcsum",
    };
    kind + checksum
}
