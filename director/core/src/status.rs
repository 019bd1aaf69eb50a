//! What the director says of itself: one snapshot for the console's tables, the JSON line and the serial frames.
//!
//! The types are the schema: field names are stable, durations and moments carry their unit in the name, and moments
//! are microseconds since boot on the node's own clock. A snapshot is built from the same state that drives the
//! director, so that status and log can't disagree.

use serde::{Deserialize, Serialize};

/// The schema's number; raised when a field changes its meaning or goes away.
pub const SCHEMA: u16 = 1;

/// The node at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: u16,
    /// Host name.
    pub node: String,
    /// Version of the program.
    pub version: String,
    /// Microseconds since boot.
    pub now_us: u64,
    /// Microseconds since the director started.
    pub uptime_us: u64,
    /// The configuration in force.
    pub config: ConfigStatus,
    /// Virtual routers, in the order of the configuration.
    pub routers: Vec<RouterStatus>,
    /// Sync groups, in the order of the configuration.
    pub groups: Vec<GroupStatus>,
    /// Services, in the order of the configuration.
    pub services: Vec<ServiceStatus>,
    /// Checks, in the order of the configuration.
    pub checks: Vec<CheckStatus>,
    /// Interfaces, in the order of the kernel.
    pub interfaces: Vec<InterfaceStatus>,
    /// Running connection synchronisation: role, interface and identifier.
    pub sync: Vec<SyncStatus>,
    /// The director's dealings with the kernel.
    pub kernel: KernelStatus,
    /// Connection tracking, while a service needs it.
    pub tracking: Option<TrackingStatus>,
    /// Where the log and the changes are sent, in the order of the configuration; filled in by the shell.
    pub outlets: Vec<OutletStatus>,
    /// The process; filled in by the shell.
    pub process: ProcessStatus,
}

/// What became of the configuration files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// When the configuration in force was taken.
    pub since_us: u64,
    /// Reloads that took effect.
    pub reloads: u32,
    /// Errors of the last files read; above 0 the configuration before is still in force.
    pub errors: u32,
    /// Warnings of the last files read.
    pub warnings: u32,
}

/// One virtual router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouterStatus {
    /// Name of the `vrrp_instance`.
    pub name: String,
    /// Virtual router identifier.
    pub vrid: u8,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Configured interface.
    pub interface: String,
    /// Protocol version, 2 or 3.
    pub version: u8,
    /// `Initialize`, `Backup`, `Active` or `Fault`.
    pub state: String,
    /// When it entered this state.
    pub since_us: u64,
    /// Priority it competes with: the configured one and what its trackers add.
    pub priority: u8,
    /// Configured priority.
    pub base_priority: u8,
    /// Advertisement interval in force, in milliseconds.
    pub advert_interval_ms: u32,
    /// The Active router's address: this node's own, or the one last heard; none when nobody is known.
    pub active: Option<String>,
    /// Why this node is not Active, in words; empty when it is.
    pub reason: String,
    /// Virtual addresses.
    pub addresses: Vec<String>,
    /// Devices of its own hardware address, as `vrrp.51 00:00:5e:00:01:33`; none where its addresses are on the
    /// interfaces themselves.
    pub devices: Vec<String>,
    /// Whether it takes packets to its addresses itself (`accept`), or only passes on what is for a service.
    pub accepts: bool,
    /// How its adverts are authenticated: `none`, `password`, or `key N` and the mode of `auth_hmac`.
    pub authentication: String,
    /// What else is there while it is Active, as `route 0.0.0.0/0 via 192.0.2.1` or `rule 100 from 10.0.0.0/8 table 9`.
    pub routing: Vec<String>,
    /// To whom its adverts go, if not to the multicast group.
    pub peers: Vec<String>,
    /// Adverts sent.
    pub adverts_sent: u64,
    /// Adverts received and accepted.
    pub adverts_received: u64,
    /// Adverts received and dropped, by reason; only reasons that occurred.
    pub adverts_dropped: Vec<Count>,
    /// How often it became Active.
    pub takeovers: u64,
    /// Sync group that it is a member of.
    pub group: Option<String>,
    /// What it tracks, its sync group's included.
    pub trackers: Vec<TrackerStatus>,
}

/// Something that a virtual router tracks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrackerStatus {
    /// What, as `interface eth1`, `probe NAME`, `pool 192.0.2.1:80`.
    pub name: String,
    /// `up`, `down`, `not looked at yet`, or `at N`.
    pub state: String,
    /// Configured weight; 0 where its loss is Fault.
    pub weight: i16,
    /// The weight counts the other way round.
    pub reverse: bool,
    /// What it adds to the priority now.
    pub adds: i32,
}

/// One sync group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Name of the `vrrp_sync_group`.
    pub name: String,
    /// `Fault` or `Initialize` when a member is in it, `Active` when all are, else `Backup`.
    pub state: String,
    /// When it entered this state.
    pub since_us: u64,
    /// Names of its virtual routers.
    pub members: Vec<String>,
    /// Which member keeps the others from being Active, and why, in words; empty when it is Active.
    pub reason: String,
}

/// A counter with its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// What is counted.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// One service with its pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Name of the group; empty without.
    pub group: String,
    /// Services of the kernel that share the pool: more than 1 only for a group, whose first member is named here.
    pub members: u32,
    /// `TCP`, `UDP`, `SCTP` or `FWM`.
    pub protocol: String,
    /// Virtual address; empty for a firewall mark.
    pub address: String,
    /// Port; 0 for a firewall mark.
    pub port: u16,
    /// Firewall mark; 0 for a virtual address.
    pub mark: u32,
    /// Scheduler.
    pub scheduler: String,
    /// Persistence in seconds; 0 without.
    pub persistence_s: u32,
    /// FULLNAT: the local addresses that the real servers see as clients; empty otherwise.
    pub local_addresses: Vec<String>,
    /// Whether the kernel has the service, all members of a group.
    pub in_kernel: bool,
    /// Whether the pool has its quorum; without it the sorry server serves.
    pub quorum: bool,
    /// Sums over the dests, and over the members of a group, of the kernel's counters.
    pub totals: Totals,
    /// The pool, in the order of the configuration; the sorry server last.
    pub dests: Vec<DestStatus>,
}

/// Connections, packets and bytes as the kernel counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Established connections now.
    pub active: u64,
    /// Other connection entries now.
    pub inactive: u64,
    /// Connections scheduled so far.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients; 0 in DR and TUN.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients; 0 in DR and TUN.
    pub bytes_out: u64,
}

/// One dest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DestStatus {
    /// Address of the real server.
    pub address: String,
    /// Port on the real server.
    pub port: u16,
    /// `NAT`, `TUN`, `DR` or `FNAT`.
    pub forwarding: String,
    /// What `TUN` wraps packets in, as `ipip`, `gue port 6080 csum`, `gre`; else empty.
    pub tunnel: String,
    /// Configured weight.
    pub weight: u32,
    /// Weight in the kernel; none while it is not in the pool. The least of all members of a group.
    pub kernel_weight: Option<u32>,
    /// `up`, `down`, `sorry` for a sorry server, `leaving` for one that is no longer configured and drains.
    pub state: String,
    /// When it entered this state.
    pub since_us: u64,
    /// Why it is in this state, in words.
    pub reason: String,
    /// What holds against the configuration, in words: `drains`, `drained`, `disabled`, `weight 5`; empty for nothing.
    pub operator: String,
    /// Since when; 0 for nothing.
    pub operator_since_us: u64,
    /// The kernel's counters.
    pub totals: Totals,
}

/// One check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// As `TCP` or `MISC`: the keyword of keepalived.conf without its ending.
    pub kind: String,
    /// Address and port that are asked.
    pub target: String,
    /// Service it belongs to, as `TCP 192.0.2.1:80`; or what virtual routers know it as, `probe NAME` or `script NAME`.
    pub service: String,
    /// `up` or `down`.
    pub health: String,
    /// When the health last changed.
    pub since_us: u64,
    /// Last result in words; empty before the first.
    pub last: String,
    /// How long the last run took, in microseconds.
    pub latency_us: u64,
    /// When it last ran; 0 before the first run.
    pub last_run_us: u64,
    /// When it runs next; 0 while it waits for an address of its service (`ha_suspend`).
    pub next_run_us: u64,
    /// Runs so far.
    pub runs: u64,
    /// Failed runs so far.
    pub failures: u64,
    /// From one run to the next, in milliseconds.
    pub interval_ms: u32,
    /// Longest run, in milliseconds.
    pub timeout_ms: u32,
    /// Successes in a row that bring a server back.
    pub rise: u32,
    /// Failures in a row that take a server out.
    pub fall: u32,
    /// Longest time from the moment that a server falls silent until it is out, in milliseconds.
    pub detection_ms: u32,
    /// The number that the server's weight follows, of a check that tells one.
    pub value: Option<i64>,
    /// How many checks of other services ask the same in all, and are served by the same run.
    pub shared: u32,
    /// The virtual address and port by which it goes (`data_path`); empty for straight to the target.
    pub path: String,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Name in the configuration; the kernel's where it has none.
    pub name: String,
    /// The kernel's name.
    pub kernel_name: String,
    /// Hardware address.
    pub mac: String,
    /// MTU in bytes.
    pub mtu: u32,
    /// Set to up.
    pub up: bool,
    /// Has a link.
    pub carrier: bool,
    /// Addresses with prefix.
    pub addresses: Vec<String>,
}

/// One running connection synchronisation daemon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SyncStatus {
    /// `master` or `backup`.
    pub role: String,
    /// Interface.
    pub interface: String,
    /// Identifier.
    pub id: u8,
}

/// The director's dealings with the kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelStatus {
    /// Operations that are still to be done.
    pub pending: u32,
    /// Operations acknowledged so far.
    pub applied: u64,
    /// Operations refused so far.
    pub failed: u64,
    /// The last refusal in words; empty when there was none.
    pub last_failure: String,
    /// How often a read of the kernel's tables found a foreign edit.
    pub repairs: u64,
    /// The director's own routes that the kernel has: static ones, and those of virtual routers that are Active here.
    pub routes: u32,
    /// Routes that it should have and does not have.
    pub routes_missing: u32,
    /// The director's own rules that the kernel has.
    pub rules: u32,
    /// Rules that it should have and does not have.
    pub rules_missing: u32,
}

/// Connection tracking. The kernel's own figures are filled in by the shell, and are of all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrackingStatus {
    /// Connections that are tracked now.
    pub tracked: u64,
    /// How many can be.
    pub tracked_max: u64,
    /// Connections that could not be tracked since the node's boot, and lost their packet: no local port was left for
    /// them, for the most part.
    pub refused: u64,
    /// Packets dropped since the node's boot because no more connections can be tracked.
    pub dropped: u64,
    /// Connections whose tracking was made anew at takeovers.
    pub restored: u64,
    /// Connections that could not go on at takeovers, because another one has their local port.
    pub contested: u64,
    /// Connections that the kernel refused to track at takeovers.
    pub failed: u64,
}

/// A receiver of the log, or a FIFO that is told of changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutletStatus {
    /// `syslog` or `fifo`.
    pub kind: String,
    /// Address and port, or path.
    pub to: String,
    /// Lines that wait for the receiver.
    pub waiting: u64,
    /// Lines that were lost, as nobody took them, since the director knows of it.
    pub lost: u64,
}

/// The process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Process id.
    pub pid: u32,
    /// Processor time used since the start, in microseconds.
    pub cpu_us: u64,
    /// Resident memory in KiB.
    pub rss_kib: u64,
    /// Longest turn of the loop since the start, in microseconds.
    pub turn_max_us: u64,
    /// Turns of the loop.
    pub turns: u64,
}

/// One line of the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Number of the event, counted from 0 at the director's start.
    pub sequence: u64,
    /// When it happened.
    pub at_us: u64,
    /// The event in words.
    pub text: String,
}
