//! Configurations as the stories need them.

use std::net::IpAddr;

use qemu::topology::{self, Role, Topology};

/// The protocol that a virtual router speaks, and what its configuration says for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// VRRPv2.
    V2,
    /// VRRPv2 with a password.
    V2WithPassword,
    /// VRRPv3.
    V3,
    /// VRRPv3 between the two nodes alone.
    V3Unicast,
    /// VRRPv3 over IPv6; the service's address of IPv4 is one of those that the adverts do not carry.
    V3OverIpv6,
}

impl Protocol {
    /// The version on the wire.
    pub fn version(self) -> u8 {
        match self {
            Self::V2 | Self::V2WithPassword => 2,
            Self::V3 | Self::V3Unicast | Self::V3OverIpv6 => 3,
        }
    }

    fn globals(self) -> String {
        format!("global_defs {{\n    vrrp_version {}\n}}\n", self.version())
    }

    fn authentication(self) -> &'static str {
        match self {
            Self::V2WithPassword => {
                "    authentication {\n        auth_type PASS\n        auth_pass keelson\n    }\n"
            }
            Self::V2 | Self::V3 | Self::V3Unicast | Self::V3OverIpv6 => "",
        }
    }

    /// To whom the node of this address speaks, if to one alone.
    fn peer(self, own: &str, other: &str) -> String {
        match self {
            Self::V3Unicast => {
                format!("    unicast_src_ip {own}\n    unicast_peer {{\n        {other}\n    }}\n")
            }
            Self::V2 | Self::V2WithPassword | Self::V3 | Self::V3OverIpv6 => String::new(),
        }
    }

    /// The addresses that the adverts carry.
    pub fn carried(self) -> Vec<IpAddr> {
        let texts: &[&str] = match self {
            Self::V3OverIpv6 => &["fe80::77:100", "2001:db8:77::100"],
            Self::V2 | Self::V2WithPassword | Self::V3 | Self::V3Unicast => &["10.77.0.100"],
        };
        texts.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// The virtual addresses.
    fn addresses(self) -> &'static str {
        match self {
            Self::V3OverIpv6 => {
                "    virtual_ipaddress {
        fe80::77:100
        2001:db8:77::100
    }
    virtual_ipaddress_excluded {
        10.77.0.100/24
    }
"
            }
            Self::V2 | Self::V2WithPassword | Self::V3 | Self::V3Unicast => {
                "    virtual_ipaddress {
        10.77.0.100/24
    }
"
            }
        }
    }
}

/// A keepalived.conf for one of two routers that share the pair's virtual address, with one real server. keepalived and
/// the product read the same file, but for the name of the interface and the peer.
pub fn sharing(protocol: Protocol, interface: &str, priority: u8) -> String {
    let (globals, authentication) = (protocol.globals(), protocol.authentication());
    let (own, other) = match interface {
        "lan0" => ("10.77.0.11", "10.77.0.12"),
        _ => ("10.77.0.12", "10.77.0.11"),
    };
    let (peer, addresses) = (protocol.peer(own, other), protocol.addresses());
    format!(
        "{globals}
vrrp_instance web {{
    interface {interface}
    virtual_router_id 51
    priority {priority}
    advert_int 1
{authentication}{peer}{addresses}}}

{}",
        service("DR", &["10.77.0.21"])
    )
}

/// The same router for FRR's vrrpd, on `eth0`.
pub fn frr(protocol: Protocol, priority: u8) -> String {
    let word = match protocol {
        Protocol::V3OverIpv6 => "ipv6",
        _ => "ip",
    };
    let version = protocol.version();
    let mut text = format!(
        "debug vrrp protocol
interface eth0
 vrrp 51 version {version}
 vrrp 51 priority {priority}
 vrrp 51 advertisement-interval 1000
"
    );
    for address in protocol.carried() {
        text += &format!(" vrrp 51 {word} {address}\n");
    }
    text
}

/// A keepalived.conf for a pair that signs its adverts, and whose nodes do not answer for the virtual addresses
/// themselves: the service's, and this one of IPv6.
pub fn closed(link_local: &str) -> String {
    let router = format!(
        "vrrp_instance web {{
    interface lan0
    virtual_router_id 51
    @director1 priority 150
    @director2 priority 100
    advert_int 1
    no_accept
    auth_hmac {{
        key 1 0123456789abcdef0123456789abcdef
    }}
    virtual_ipaddress {{
        10.77.0.100/24
    }}
    virtual_ipaddress_excluded {{
        {link_local}/64
    }}
}}
"
    );
    [router, service("DR", &["10.77.0.21", "10.77.0.22"])].join("\n")
}

/// A keepalived.conf for a pair between two segments: one virtual router with the service's address outside and the
/// servers' way out inside, so that both change hands together.
pub fn translating() -> String {
    let router = "vrrp_instance both {
    interface lan0
    virtual_router_id 51
    @director1 priority 150
    @director2 priority 100
    advert_int 1
    virtual_ipaddress {
        10.77.0.100/24
        10.77.1.1/24 dev inside0
    }
}
";
    [
        router.to_owned(),
        service("NAT", &["10.77.1.21", "10.77.1.22"]),
    ]
    .join("\n")
}

/// A keepalived.conf for the same two segments by FULLNAT: two local addresses inside float with the virtual router.
pub fn fullnat() -> String {
    let router = "global_defs {
    lvs_sync_daemon lan0 outside
    local_address {
        10.77.1.100-101 dev inside0
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
";
    [
        router.to_owned(),
        service("FNAT", &["10.77.1.21", "10.77.1.22"]),
    ]
    .join("\n")
}

/// The pair's service with these real servers.
pub fn service(kind: &str, servers: &[&str]) -> String {
    let servers: String = servers
        .iter()
        .map(|address| {
            format!(
                "    real_server {address} 80 {{
        weight 1
        TCP_CHECK {{
            connect_timeout 2
        }}
    }}
"
            )
        })
        .collect();
    format!(
        "virtual_server 10.77.0.100 80 {{
    lb_algo rr
    lb_kind {kind}
    protocol TCP
    delay_loop 2
{servers}}}
"
    )
}

/// The pair with a part of its keepalived.conf replaced.
///
/// # Panics
/// When there is no such part.
pub fn pair_with(part: &str, other: &str) -> Topology {
    let pair = topology::pair();
    let mut texts = pair.nodes.iter().filter_map(|node| match &node.role {
        Role::Director { keepalived, .. } => Some(keepalived),
        _ => None,
    });
    let text = texts.next().expect("a director");
    assert!(text.contains(part), "no {part} in {text}");
    let text = text.replace(part, other);
    pair.with_keepalived(&text)
}
