//! The blocks of both files.

/// A block whose words are looked at. Blocks that are refused or have no effect are skipped whole and are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Block {
    /// Outside all blocks of keepalived.conf.
    Keepalived,
    /// `global_defs`
    GlobalDefs,
    /// `vrrp_instance NAME`
    VrrpInstance,
    /// `authentication`
    Authentication,
    /// `auth_hmac`
    AuthHmac,
    /// `virtual_ipaddress`: one address a line.
    VirtualIpaddress,
    /// `virtual_ipaddress_excluded`: one address a line.
    VirtualIpaddressExcluded,
    /// `local_address`: one address, or several in a row, a line.
    LocalAddress,
    /// `track_interface` and its like in a virtual router: one thing a line.
    TrackInterface,
    /// `unicast_peer`: one peer a line.
    UnicastPeer,
    /// `track_probe NAME`, outside.
    TrackProbe,
    /// `track_file NAME`, outside.
    TrackFile,
    /// `vrrp_script NAME`
    VrrpScript,
    /// `interface_up_down_delays`: one interface a line.
    LinkDelays,
    /// `garp_group`
    GarpGroup,
    /// `interfaces` of `garp_group`: one interface a line.
    Interfaces,
    /// `virtual_routes`, `static_routes`: one route a line.
    Routes,
    /// `virtual_rules`, `static_rules`: one rule a line.
    Rules,
    /// `virtual_server_group NAME`: one address, range, network or mark a line.
    VirtualServerGroup,
    /// `vrrp_sync_group NAME`
    VrrpSyncGroup,
    /// `group`: names of virtual routers.
    Group,
    /// `SSL`
    Ssl,
    /// `virtual_server ..`
    VirtualServer,
    /// `real_server ..`
    RealServer,
    /// `TCP_CHECK`
    TcpCheck,
    /// `HTTP_GET`
    HttpGet,
    /// `SSL_GET`
    SslGet,
    /// `url`
    Url,
    /// `SMTP_CHECK`
    SmtpCheck,
    /// `DNS_CHECK`
    DnsCheck,
    /// `UDP_CHECK`
    UdpCheck,
    /// `PING_CHECK`
    PingCheck,
    /// `MISC_CHECK`
    MiscCheck,
    /// In `real_server`.
    FileCheck,
    /// Outside all blocks of router.conf.
    RouterConf,
    /// `system`
    System,
    /// `console`
    Console,
    /// `syslog`
    Syslog,
    /// `metrics`
    Metrics,
    /// `interface NAME`
    Interface,
    /// `match`
    Match,
    /// `route DEST`
    Route,
}

impl Block {
    /// All of them.
    pub const ALL: [Self; 42] = [
        Self::Keepalived,
        Self::GlobalDefs,
        Self::VrrpInstance,
        Self::Authentication,
        Self::AuthHmac,
        Self::VirtualIpaddress,
        Self::VirtualIpaddressExcluded,
        Self::LocalAddress,
        Self::TrackInterface,
        Self::UnicastPeer,
        Self::TrackProbe,
        Self::TrackFile,
        Self::VrrpScript,
        Self::LinkDelays,
        Self::GarpGroup,
        Self::Interfaces,
        Self::Routes,
        Self::Rules,
        Self::VirtualServerGroup,
        Self::VrrpSyncGroup,
        Self::Group,
        Self::Ssl,
        Self::VirtualServer,
        Self::RealServer,
        Self::TcpCheck,
        Self::HttpGet,
        Self::SslGet,
        Self::Url,
        Self::SmtpCheck,
        Self::DnsCheck,
        Self::UdpCheck,
        Self::PingCheck,
        Self::MiscCheck,
        Self::FileCheck,
        Self::RouterConf,
        Self::System,
        Self::Console,
        Self::Syslog,
        Self::Metrics,
        Self::Interface,
        Self::Match,
        Self::Route,
    ];

    /// The keyword that opens it; for the outermost, the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived.conf",
            Self::GlobalDefs => "global_defs",
            Self::VrrpInstance => "vrrp_instance",
            Self::Authentication => "authentication",
            Self::AuthHmac => "auth_hmac",
            Self::VirtualIpaddress => "virtual_ipaddress",
            Self::VirtualIpaddressExcluded => "virtual_ipaddress_excluded",
            Self::LocalAddress => "local_address",
            Self::TrackInterface => "track_interface",
            Self::UnicastPeer => "unicast_peer",
            Self::TrackProbe => "track_probe",
            Self::TrackFile => "track_file",
            Self::VrrpScript => "vrrp_script",
            Self::LinkDelays => "interface_up_down_delays",
            Self::GarpGroup => "garp_group",
            Self::Interfaces => "interfaces",
            Self::Routes => "virtual_routes",
            Self::Rules => "virtual_rules",
            Self::VirtualServerGroup => "virtual_server_group",
            Self::VrrpSyncGroup => "vrrp_sync_group",
            Self::Group => "group",
            Self::Ssl => "SSL",
            Self::VirtualServer => "virtual_server",
            Self::RealServer => "real_server",
            Self::TcpCheck => "TCP_CHECK",
            Self::HttpGet => "HTTP_GET",
            Self::SslGet => "SSL_GET",
            Self::Url => "url",
            Self::SmtpCheck => "SMTP_CHECK",
            Self::DnsCheck => "DNS_CHECK",
            Self::UdpCheck => "UDP_CHECK",
            Self::PingCheck => "PING_CHECK",
            Self::MiscCheck => "MISC_CHECK",
            Self::FileCheck => "FILE_CHECK",
            Self::RouterConf => "router.conf",
            Self::System => "system",
            Self::Console => "console",
            Self::Syslog => "syslog",
            Self::Metrics => "metrics",
            Self::Interface => "interface",
            Self::Match => "match",
            Self::Route => "route",
        }
    }

    /// Outside all blocks.
    #[must_use]
    pub const fn is_outermost(self) -> bool {
        matches!(self, Self::Keepalived | Self::RouterConf)
    }

    /// The block that a keyword opens where it stands.
    pub(super) fn opened_by(self, word: &str) -> Option<Self> {
        let lists = ["track_script", "track_probe", "track_pool", "track_file"];
        if self != Self::Keepalived && lists.contains(&word) {
            return Some(Self::TrackInterface);
        }
        let word = match word {
            "static_ipaddress" => "virtual_ipaddress",
            "static_routes" => "virtual_routes",
            "static_rules" => "virtual_rules",
            word => word,
        };
        Self::ALL
            .into_iter()
            .find(|block| !block.is_outermost() && block.word() == word)
    }
}
