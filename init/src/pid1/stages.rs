//! What PID 1 sets up, as data: mounts and kernel settings.

use nix::mount::MsFlags;

/// Whether the node can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It cannot: failure is an error.
    Must,
    /// It can: an older or newer kernel may lack it.
    May,
}

/// One line of the mount table.
#[derive(Debug)]
pub struct Mount {
    /// Directory; made when it is missing.
    pub target: &'static str,
    /// Filesystem type, also the name of the source.
    pub kind: &'static str,
    /// Flags of mount(2).
    pub flags: MsFlags,
    /// Options of the filesystem.
    pub options: &'static str,
    /// Whether the node can do without.
    pub need: Need,
}

const NOTHING_RUNS: MsFlags = MsFlags::MS_NOSUID
    .union(MsFlags::MS_NODEV)
    .union(MsFlags::MS_NOEXEC);

/// All mounts, in order.
pub const MOUNTS: &[Mount] = &[
    Mount {
        target: "/proc",
        kind: "proc",
        flags: NOTHING_RUNS,
        options: "",
        need: Need::Must,
    },
    Mount {
        target: "/sys",
        kind: "sysfs",
        flags: NOTHING_RUNS,
        options: "",
        need: Need::Must,
    },
    Mount {
        target: "/dev",
        kind: "devtmpfs",
        flags: MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC),
        options: "mode=0755",
        need: Need::Must,
    },
    Mount {
        target: "/dev/pts",
        kind: "devpts",
        flags: MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC),
        options: "mode=0600,ptmxmode=0600",
        need: Need::May,
    },
    // A bound on each, so that a file that grows cannot take the memory of the director; /run holds the configuration,
    // which may have 64 MiB.
    Mount {
        target: "/run",
        kind: "tmpfs",
        flags: NOTHING_RUNS,
        options: "mode=0755,size=96m",
        need: Need::Must,
    },
    Mount {
        target: "/tmp",
        kind: "tmpfs",
        flags: NOTHING_RUNS,
        options: "mode=1777,size=16m",
        need: Need::May,
    },
];

/// One kernel setting.
#[derive(Debug)]
pub struct Sysctl {
    /// Path below /proc/sys.
    pub key: &'static str,
    /// The value asked for; read back and compared word by word.
    pub value: &'static str,
    /// `May`: absent in some kernels.
    pub need: Need,
    /// Why a director wants it.
    pub why: &'static str,
}

const fn must(key: &'static str, value: &'static str, why: &'static str) -> Sysctl {
    Sysctl {
        key,
        value,
        need: Need::Must,
        why,
    }
}

const fn may(key: &'static str, value: &'static str, why: &'static str) -> Sysctl {
    Sysctl {
        key,
        value,
        need: Need::May,
        why,
    }
}

/// Settings that are made before any network driver is loaded: an interface copies `conf/default` when it appears.
pub const SYSCTLS: &[Sysctl] = &[
    must(
        "kernel/printk_devkmsg",
        "on",
        "the kernel else drops all but ten log lines of a burst",
    ),
    must(
        "kernel/panic",
        "10",
        "a kernel panic ends in a reboot, after time to read it",
    ),
    must(
        "kernel/panic_on_oops",
        "1",
        "a kernel that has gone wrong forwards nothing reliably: the peer should",
    ),
    must(
        "kernel/ctrl-alt-del",
        "0",
        "Ctrl-Alt-Del asks PID 1 for an orderly reboot",
    ),
    may(
        "kernel/sysrq",
        "0",
        "a break on the serial line must not reboot the node past the console's secret",
    ),
    may(
        "kernel/modprobe",
        "/init",
        "a module that the configuration asks for is loaded by this program",
    ),
    must("net/ipv4/ip_forward", "1", "a director routes"),
    may(
        "net/ipv6/conf/all/forwarding",
        "1",
        "a director routes IPv6 too",
    ),
    must(
        "net/ipv4/conf/all/send_redirects",
        "0",
        "real servers must not be told to bypass the director",
    ),
    must(
        "net/ipv4/conf/default/send_redirects",
        "0",
        "the effective value is the greater of all and interface",
    ),
    must(
        "net/ipv4/conf/all/accept_redirects",
        "0",
        "nobody on the wire changes the director's routes",
    ),
    must(
        "net/ipv4/conf/default/accept_redirects",
        "0",
        "same, for interfaces to come",
    ),
    must(
        "net/ipv4/conf/all/rp_filter",
        "0",
        "in DR the director needs no route back to a client, and the filter wants one",
    ),
    must(
        "net/ipv4/conf/default/rp_filter",
        "0",
        "the effective value is the greater of all and interface",
    ),
    must(
        "net/ipv4/conf/all/arp_ignore",
        "1",
        "answer for an address only where it is configured",
    ),
    must(
        "net/ipv4/conf/default/arp_ignore",
        "1",
        "same, for interfaces to come",
    ),
    must(
        "net/ipv4/conf/all/arp_announce",
        "2",
        "never ask with a virtual address as the sender",
    ),
    must(
        "net/ipv4/conf/default/arp_announce",
        "2",
        "same, for interfaces to come",
    ),
    must(
        "net/ipv4/conf/all/accept_local",
        "1",
        "a real server's reply from the virtual address may be routed through",
    ),
    must(
        "net/ipv4/conf/default/accept_local",
        "1",
        "same, for interfaces to come",
    ),
    must(
        "net/ipv4/conf/all/promote_secondaries",
        "1",
        "taking one address away must not take its subnet's others along",
    ),
    must(
        "net/ipv4/conf/default/promote_secondaries",
        "1",
        "same, for interfaces to come",
    ),
    may(
        "net/ipv6/conf/all/accept_ra",
        "0",
        "routes come from the configuration alone",
    ),
    may(
        "net/ipv6/conf/default/accept_ra",
        "0",
        "same, for interfaces to come",
    ),
    may(
        "net/ipv6/conf/default/autoconf",
        "0",
        "addresses come from the configuration alone",
    ),
    may(
        "net/ipv6/conf/all/accept_dad",
        "0",
        "a virtual address must work at once; VRRP itself keeps it unique",
    ),
    may(
        "net/ipv6/conf/default/accept_dad",
        "0",
        "same, and link-local addresses can send at once",
    ),
    may(
        "net/ipv6/conf/all/accept_redirects",
        "0",
        "nobody on the wire changes the director's routes",
    ),
    may(
        "net/ipv6/conf/default/accept_redirects",
        "0",
        "same, for interfaces to come",
    ),
    must(
        "net/ipv4/neigh/default/gc_thresh1",
        "1024",
        "neighbours kept without collection: clients and real servers",
    ),
    must(
        "net/ipv4/neigh/default/gc_thresh2",
        "2048",
        "neighbours kept for at least five seconds",
    ),
    must(
        "net/ipv4/neigh/default/gc_thresh3",
        "4096",
        "most neighbours; the kernel's 1024 overflows in a flat /20",
    ),
    may("net/ipv6/neigh/default/gc_thresh1", "1024", "as for IPv4"),
    may("net/ipv6/neigh/default/gc_thresh2", "2048", "as for IPv4"),
    may("net/ipv6/neigh/default/gc_thresh3", "4096", "as for IPv4"),
];

/// Settings of IPVS, which exist once its module is loaded.
pub const IPVS_SYSCTLS: &[Sysctl] = &[
    must(
        "net/ipv4/vs/expire_nodest_conn",
        "1",
        "a connection whose server was taken out fails at once, not by timeout",
    ),
    must(
        "net/ipv4/vs/expire_quiescent_template",
        "1",
        "a persistent client leaves a server of weight 0",
    ),
    may(
        "net/ipv4/vs/conn_reuse_mode",
        "1",
        "a client that reuses a port is scheduled again",
    ),
    may(
        "net/ipv4/vs/conntrack",
        "0",
        "DR, TUN and NAT need no connection tracking; the director sets it when one does",
    ),
    may(
        "net/ipv4/vs/snat_reroute",
        "1",
        "replies are routed by the virtual address they carry",
    ),
    may(
        "net/ipv4/vs/sloppy_tcp",
        "0",
        "the peer's connections come by synchronisation, not by guessing",
    ),
    may(
        "net/ipv4/vs/sync_threshold",
        "2 50",
        "SYN and ACK count two: silent connections are synchronised too",
    ),
    may(
        "net/ipv4/vs/drop_entry",
        "1",
        "short of memory, half-open connections are dropped first",
    ),
    may(
        "net/ipv4/vs/drop_packet",
        "0",
        "short of memory, packets are not dropped at random",
    ),
    may(
        "net/ipv4/vs/secure_tcp",
        "0",
        "the usual timeouts also when short of memory",
    ),
    may("net/ipv4/vs/run_estimation", "1", "rates for the status"),
    may(
        "net/ipv4/vs/pmtu_disc",
        "1",
        "TUN tells clients of a smaller MTU instead of fragmenting",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_stands_once_and_says_why() {
        let mut keys: Vec<_> = SYSCTLS
            .iter()
            .chain(IPVS_SYSCTLS)
            .map(|sysctl| sysctl.key)
            .collect();
        assert!(
            SYSCTLS
                .iter()
                .chain(IPVS_SYSCTLS)
                .all(|sysctl| !sysctl.why.is_empty())
        );
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn a_directory_is_mounted_before_what_lies_in_it() {
        for (place, mount) in MOUNTS.iter().enumerate() {
            let parent = MOUNTS.iter().position(|other| {
                mount
                    .target
                    .strip_prefix(other.target)
                    .is_some_and(|rest| rest.starts_with('/'))
            });
            assert!(
                parent.is_none_or(|parent| parent < place),
                "{}",
                mount.target
            );
        }
    }
}
