//! The configurations of the benches: read by keepalived and by the director alike.
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Services of the large table, and dests of each.
pub(super) const SERVICES: u32 = 1000;
pub(super) const DESTS: u32 = 10;
/// From one check of a dest to the next, in the large table.
pub(super) const DELAY_LOOP_S: u32 = 10;
/// Port of services and dests.
const PORT: u16 = 80;

/// Dests of the service whose servers all fail at once, the port at which they did not listen before that, and the
/// interval at which they are checked.
pub(super) const FAILING: u32 = 50;
pub(super) const FAILING_PORT: u16 = 81;
pub(super) const FAILING_DELAY_LOOP_S: u32 = 2;

/// Virtual routers, and the interval of their adverts.
pub(super) const ROUTERS: u8 = 255;
pub(super) const ADVERT_MS: u32 = 100;
/// Priorities of the two nodes.
pub(super) const PRIORITIES: [u8; 2] = [200, 100];

/// The large table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Large {
    /// Each dest has a TCP_CHECK.
    pub(super) checks: bool,
    /// A virtual router, whose adverts show a stall.
    pub(super) router: bool,
    /// The weight of [`changed`].
    pub(super) weight: u32,
}

impl Large {
    pub(super) fn text(self) -> String {
        let mut text = String::new();
        if self.router {
            text += &routers(1, PRIORITIES[0]);
        }
        for number in 0..SERVICES {
            let vip = service(number);
            let head =
                format!("delay_loop {DELAY_LOOP_S}\n lvs_sched rr\n lvs_method DR\n protocol TCP");
            let _ = writeln!(text, "virtual_server {} {PORT} {{\n {head}", vip.ip());
            for index in 0..DESTS {
                let at = dest(number, index);
                let weight = if (vip, at) == changed() {
                    self.weight
                } else {
                    1
                };
                let check = if self.checks {
                    " TCP_CHECK {\n connect_timeout 3\n }\n"
                } else {
                    ""
                };
                let _ = writeln!(
                    text,
                    " real_server {} {PORT} {{\n weight {weight}\n{check} }}",
                    at.ip()
                );
            }
            text += "}\n";
        }
        text
    }
}

/// The same table as `ipvsadm -R` reads it.
pub(super) fn rules() -> String {
    let mut text = String::new();
    for number in 0..SERVICES {
        let vip = service(number);
        let _ = writeln!(text, "-A -t {vip} -s rr");
        for index in 0..DESTS {
            let _ = writeln!(text, "-a -t {vip} -r {} -g -w 1", dest(number, index));
        }
    }
    text
}

/// One service whose servers fail.
pub(super) fn failing() -> String {
    let head =
        format!("delay_loop {FAILING_DELAY_LOOP_S}\n lvs_sched rr\n lvs_method DR\n protocol TCP");
    let mut text = format!("virtual_server {} {PORT} {{\n {head}\n", service(0).ip());
    for index in 0..FAILING {
        // By DR a packet keeps its port: only the check has another one.
        let check = format!(
            "TCP_CHECK {{\n connect_port {FAILING_PORT}\n connect_timeout 1\n retry 0\n }}"
        );
        let _ = writeln!(
            text,
            " real_server {} {PORT} {{\n weight 1\n {check}\n }}",
            server(index)
        );
    }
    text + "}\n"
}

/// So many virtual routers on `eth0`.
pub(super) fn routers(count: u8, priority: u8) -> String {
    let mut text = "global_defs {\n vrrp_version 3\n}\n".to_owned();
    for vrid in 1..=count {
        let _ = writeln!(
            text,
            "vrrp_instance R{vrid} {{\n state BACKUP\n interface eth0\n virtual_router_id {vrid}\n \
             priority {priority}\n advert_int {}\n virtual_ipaddress {{\n {}/32\n }}\n}}",
            f64::from(ADVERT_MS) / 1000.0,
            virtual_address(vrid)
        );
    }
    text
}

/// The address of a virtual router.
pub(super) fn virtual_address(vrid: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 78, 0, vrid)
}

/// A service; they are in the order of the kernel operations of both programs.
pub(super) fn service(number: u32) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(0x0a0a_0001 + number), PORT)
}

/// A dest: an address of the loopback network, so that every one of them is this machine.
pub(super) fn dest(number: u32, index: u32) -> SocketAddrV4 {
    SocketAddrV4::new(server(number * DESTS + index), PORT)
}

/// The server of that number.
pub(super) fn server(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x7f01_0001 + number)
}

/// The service and dest that come last.
pub(super) fn last() -> (SocketAddrV4, SocketAddrV4) {
    (service(SERVICES - 1), dest(SERVICES - 1, DESTS - 1))
}

/// The service and dest that a reload changes.
pub(super) fn changed() -> (SocketAddrV4, SocketAddrV4) {
    (service(SERVICES / 2), dest(SERVICES / 2, DESTS / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_weight_is_what_a_reload_changes() {
        let large = |weight| {
            let large = Large {
                checks: true,
                router: true,
                weight,
            };
            large.text()
        };
        let (before, after) = (large(1), large(2));
        let changed = before.lines().zip(after.lines()).filter(|(a, b)| a != b);
        assert_eq!(changed.collect::<Vec<_>>(), [(" weight 1", " weight 2")]);
        assert_eq!(rules().lines().count() as u32, SERVICES * (1 + DESTS));
    }
}
