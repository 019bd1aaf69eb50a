//! Every keyword of both files, and what becomes of it: the one table that the reading of blocks is driven by.

use std::sync::LazyLock;

pub use super::block::Block;

/// What becomes of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Does what keepalived does with it.
    Acts,
    /// Accepted with one warning; the text says what holds instead.
    Accepted(&'static str),
    /// An error for now.
    NotYet,
    /// An error for good; the text is the reason.
    Refused(&'static str),
    /// Keepalived itself ignores it and complains; one warning says what holds.
    Dead(&'static str),
}

/// One keyword in one block.
#[derive(Clone, Copy, Debug)]
pub struct Keyword {
    /// Where it may stand.
    pub block: Block,
    /// The word.
    pub word: &'static str,
    /// The word whose other name it is; else itself.
    pub canonical: &'static str,
    /// What becomes of it.
    pub mark: Mark,
    /// `{ .. }` follows: never, always, or as one likes.
    pub braces: Braces,
    /// May be given more than once in one block.
    pub repeats: bool,
    /// The block it opens, of those that are looked at.
    pub opens: Option<Block>,
}

/// Whether a keyword opens a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Braces {
    /// Never.
    No,
    /// Always.
    Yes,
    /// Both forms exist.
    Either,
}

/// All keywords, sorted by block and word.
#[must_use]
pub fn keywords() -> &'static [Keyword] {
    &TABLE
}

/// A keyword's index in [`keywords`], if the block has it.
pub(super) fn find(block: Block, word: &[u8]) -> Option<usize> {
    TABLE
        .binary_search_by(|keyword| (keyword.block, keyword.word.as_bytes()).cmp(&(block, word)))
        .ok()
}

/// The keyword's value must not be shown to whoever reads a log or a console.
pub(super) fn is_secret(word: &[u8]) -> bool {
    matches!(word, b"auth_pass" | b"secret")
}

/// The word of a block that a misspelt one probably means.
pub(super) fn near_miss(block: Block, word: &str) -> Option<&'static str> {
    let words = TABLE.iter().filter(|keyword| keyword.block == block);
    nearest(word, words.map(|keyword| keyword.word))
}

/// The candidate that a misspelt word probably means.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    let allowed = match word.len() {
        0..=3 => 1,
        4..=63 => 2,
        _ => return None,
    };
    let close = candidates.filter_map(|candidate| {
        let lengths = candidate.len().abs_diff(word.len());
        let edits = if lengths > allowed {
            lengths
        } else {
            distance(word, candidate)
        };
        (edits <= allowed && edits < candidate.len()).then_some((edits, candidate))
    });
    close.min().map(|(_, candidate)| candidate)
}

/// Edits from one word to the other: one letter put in, left out, changed, or two neighbours exchanged; case is free.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<u8> = to.bytes().map(|byte| byte.to_ascii_lowercase()).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut last = None;
    for (i, byte) in from
        .bytes()
        .map(|byte| byte.to_ascii_lowercase())
        .enumerate()
    {
        let mut next = vec![i + 1];
        for (j, other) in to.iter().enumerate() {
            let at =
                |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut cost = at(&row, j) + usize::from(byte != *other);
            cost = cost.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let other_before = j.checked_sub(1).and_then(|index| to.get(index));
            if last == Some(*other) && other_before == Some(&byte) {
                cost = cost.min(at(&before, j.wrapping_sub(1)) + 1);
            }
            next.push(cost);
        }
        before = core::mem::replace(&mut row, next);
        last = Some(byte);
    }
    row.last().copied().unwrap_or_default()
}

static TABLE: LazyLock<Vec<Keyword>> = LazyLock::new(|| {
    let rows = TEXT.iter().flat_map(|(block, mark, words)| {
        words
            .split_ascii_whitespace()
            .map(|word| keyword(*block, *mark, word))
    });
    let mut table: Vec<Keyword> = rows.collect();
    table.sort_unstable_by_key(|keyword| (keyword.block, keyword.word));
    table
});

/// Reads one word of [`TEXT`].
fn keyword(block: Block, mark: Mark, text: &'static str) -> Keyword {
    let (text, repeats) = text
        .strip_suffix('*')
        .map_or((text, false), |text| (text, true));
    let (text, braces) = match (text.strip_suffix("{}"), text.strip_suffix("{?}")) {
        (Some(text), _) => (text, Braces::Yes),
        (_, Some(text)) => (text, Braces::Either),
        _ => (text, Braces::No),
    };
    let (word, canonical) = text.split_once('=').unwrap_or((text, text));
    let opens = (mark == Mark::Acts && braces != Braces::No).then(|| Block::opened_by(word));
    let opens = opens.flatten();
    Keyword {
        block,
        word,
        canonical,
        mark,
        braces,
        repeats,
        opens,
    }
}

use Block::{
    Authentication, Console, GlobalDefs, HttpGet, Interface, Keepalived, Match, RealServer, Route,
    RouterConf, System, TcpCheck, Url, VirtualServer, VrrpInstance,
};
use Mark::{Accepted, Acts, Dead, NotYet, Refused};

const MAIL: &str = "no mail is sent; what happens stands in the log and in the status";
const SNMP: &str = "there is no SNMP agent; the status and the metrics have the numbers";
const DBUS: &str = "there is no D-Bus here; the status and the log have what it would tell";
const PROCESS: &str = "the director is one process, which the node itself schedules and supervises";
const BUFFERS: &str = "buffers are sized by the node itself";
const FILES: &str = "nothing is written to files; ask for the status";
const LOG: &str = "the log has every change with its reason";
const RELOAD: &str =
    "a reload is always checked first, and a wrong file leaves the running one in place";
const FIREWALL: &str = "it only matters with no_accept or use_vmac";
const SCRIPTS: &str = "no scripts are run";
const LINK: &str = "the kernel's link state is used";
const PROGRAM: &str = "the node has no shell and no programs to run";
const ONLY_TLS: &str = "it only matters with TLS";

/// The table. Words carry marks: `{}` opens a block, `{?}` may open one, `=x` is another name for `x`, `*` may be
/// repeated in its block.
const TEXT: &[(Block, Mark, &str)] = &[
    (
        Keepalived,
        Acts,
        "global_defs{}* vrrp_instance{}* virtual_server{}*",
    ),
    (
        Keepalived,
        NotYet,
        "static_ipaddress{}* static_routes{}* static_rules{}* track_group{}* \
        interface_up_down_delays{}* garp_group{}* vrrp_script{}* vrrp_sync_group{}* \
        track_file{}* vrrp_track_file{}* virtual_server_group{}* SSL{}* net_namespace_ipvs",
    ),
    (
        Keepalived,
        Accepted(PROCESS),
        "namespace_with_ipsets use_pid_dir instance child_wait_time",
    ),
    (
        Keepalived,
        Accepted(LINK),
        "linkbeat_use_polling linkbeat_interfaces{}*",
    ),
    (
        Keepalived,
        Refused("the node has one network namespace"),
        "net_namespace",
    ),
    (
        Keepalived,
        Refused(
            "process tracking is not built: let `track_interface` or a check of the service decide",
        ),
        "vrrp_track_process{}*",
    ),
    (
        Keepalived,
        Refused("BFD is not built: VRRP version 3 with short advert intervals is as fast"),
        "bfd_instance{}*",
    ),
    (
        GlobalDefs,
        Acts,
        "router_id default_interface dynamic_interfaces lvs_sync_daemon lvs_timeouts \
        vrrp_mcast_group4 vrrp_version vrrp_garp_master_delay vrrp_garp_master_repeat \
        vrrp_garp_master_refresh vrrp_garp_master_refresh_repeat vrrp_garp_lower_prio_delay \
        vrrp_garp_lower_prio_repeat vrrp_garp_interval vrrp_min_garp vrrp_down_timer_adverts \
        vrrp_lower_prio_no_advert vrrp_higher_prio_send_advert vrrp_skip_check_adv_addr \
        v3_checksum_as_v2 vrrp_startup_delay",
    ),
    (
        GlobalDefs,
        NotYet,
        "vrrp_garp_extra_if vrrp_strict \
        vrrp_owner_ignore_adverts vrrp_delay_after_boot nftables_ipvs nftables_ipvs_priority \
        nftables_ipvs_start_fwmark notify_fifo vrrp_notify_fifo lvs_notify_fifo notify_fifo_script \
        vrrp_notify_fifo_script lvs_notify_fifo_script include_check",
    ),
    (
        GlobalDefs,
        Accepted(MAIL),
        "notification_email{} notification_email_from smtp_server smtp_helo_name \
        smtp_connect_timeout smtp_alert smtp_alert_vrrp smtp_alert_checker no_email_faults \
        no_checker_emails rs_init_notifies",
    ),
    (
        GlobalDefs,
        Accepted(LOG),
        "checker_log_all_failures log_unknown_vrids vrrp_notify_priority_changes",
    ),
    (
        GlobalDefs,
        Accepted("the table is brought to what this file says, and connections live on"),
        "lvs_flush",
    ),
    (
        GlobalDefs,
        Accepted("a stop always takes the services out of the table"),
        "lvs_flush_on_stop",
    ),
    (
        GlobalDefs,
        Accepted("it is for IPv6 virtual routers, which are not yet supported"),
        "vrrp_gna_interval vrrp_mcast_group6",
    ),
    (
        GlobalDefs,
        Accepted("it is for unicast peers, which are not yet supported"),
        "vrrp_check_unicast_src",
    ),
    (
        GlobalDefs,
        Accepted(BUFFERS),
        "vrrp_rx_bufs_policy vrrp_rx_bufs_multiplier vrrp_netlink_cmd_rcv_bufs \
        vrrp_netlink_cmd_rcv_bufs_force vrrp_netlink_monitor_rcv_bufs \
        vrrp_netlink_monitor_rcv_bufs_force lvs_netlink_cmd_rcv_bufs lvs_netlink_cmd_rcv_bufs_force \
        lvs_netlink_monitor_rcv_bufs lvs_netlink_monitor_rcv_bufs_force process_monitor_rcv_bufs \
        process_monitor_rcv_bufs_force",
    ),
    (
        GlobalDefs,
        Accepted(PROCESS),
        "vrrp_priority checker_priority bfd_priority vrrp_no_swap \
        checker_no_swap bfd_no_swap vrrp_rt_priority checker_rt_priority bfd_rt_priority \
        vrrp_cpu_affinity checker_cpu_affinity bfd_cpu_affinity vrrp_rlimit_rttime \
        checker_rlimit_rttime bfd_rlimit_rttime vrrp_rlimit_rtime checker_rlimit_rtime \
        bfd_rlimit_rtime max_auto_priority min_auto_priority_delay process_name vrrp_process_name \
        checker_process_name bfd_process_name process_names umask disable_local_igmp random_seed \
        iproute_usr_dir iproute_etc_dir tmp_config_directory config_save_dir",
    ),
    (
        GlobalDefs,
        Accepted(FIREWALL),
        "vrrp_iptables vrrp_ipsets nftables nftables_priority nftables_counters \
        nftables_ifindex vmac_prefix vmac_addr_prefix",
    ),
    (
        GlobalDefs,
        Accepted(SCRIPTS),
        "script_user enable_script_security set_supplementary_groups \
        use_symlink_paths startup_script_timeout shutdown_script_timeout",
    ),
    (
        GlobalDefs,
        Refused(PROGRAM),
        "startup_script shutdown_script",
    ),
    (
        GlobalDefs,
        Accepted(RELOAD),
        "reload_check_config reload_time_file reload_repeat reload_file",
    ),
    (
        GlobalDefs,
        Accepted(SNMP),
        "snmp_socket enable_snmp_keepalived enable_snmp_vrrp enable_snmp_checker \
        enable_snmp_rfc enable_snmp_rfcv2 enable_snmp_rfcv3 enable_traps snmp_vs_stats_update_interval \
        snmp_rs_stats_update_interval",
    ),
    (
        GlobalDefs,
        Accepted(DBUS),
        "enable_dbus dbus_service_name dbus_no_interface_name",
    ),
    (
        GlobalDefs,
        Accepted(FILES),
        "data_use_instance json_version state_dump_file stats_dump_file \
        json_dump_file fifo_write_vrrp_states_on_reload",
    ),
    (
        GlobalDefs,
        Dead("it was the old name of `router_id`; nothing follows from it"),
        "lvs_id",
    ),
    (
        VrrpInstance,
        Acts,
        "state interface virtual_router_id priority advert_int version \
        virtual_ipaddress{}* virtual_ipaddress_excluded{}* authentication{} mcast_src_ip \
        dont_track_primary track_interface{}* preempt nopreempt preempt_delay garp_master_delay \
        garp_master_repeat garp_master_refresh garp_master_refresh_repeat garp_lower_prio_delay \
        garp_lower_prio_repeat lower_prio_no_advert higher_prio_send_advert down_timer_adverts \
        v3_checksum_as_v2 skip_check_adv_addr accept lvs_sync_daemon_interface",
    ),
    (
        VrrpInstance,
        NotYet,
        "no_virtual_ipaddress auth_hmac{} unicast_src_ip unicast_peer{} \
        unicast_fault_no_peer check_unicast_src unicast_ttl mcast_dst_ip track_src_ip use_vmac \
        use_vmac_addr vmac_xmit_base track_script{} track_file{} garp_extra_if owner_ignore_adverts \
        strict_mode timer_expired_backup thread_timer_expired=timer_expired_backup no_accept \
        virtual_routes{} virtual_rules{} promote_secondaries notify notify_master notify_backup \
        notify_fault notify_stop notify_deleted notify_master_rx_lower_pri",
    ),
    (VrrpInstance, Accepted(MAIL), "smtp_alert"),
    (VrrpInstance, Accepted(LOG), "notify_priority_changes debug"),
    (VrrpInstance, Accepted(BUFFERS), "kernel_rx_buf_size"),
    (VrrpInstance, Accepted(LINK), "linkbeat_use_polling"),
    (
        VrrpInstance,
        Accepted("the family follows from the addresses"),
        "native_ipv6",
    ),
    (
        VrrpInstance,
        Refused("it is for peers older than keepalived 1.3.6"),
        "old_unicast_checksum",
    ),
    (VrrpInstance, Refused("VRFs are not built"), "vrf"),
    (
        VrrpInstance,
        Refused("ipvlan is not built: the interface's own address and MAC are used"),
        "use_ipvlan",
    ),
    (
        VrrpInstance,
        Refused("process tracking is not built"),
        "track_process{}",
    ),
    (VrrpInstance, Refused("BFD is not built"), "track_bfd{}"),
    (
        VrrpInstance,
        Dead("a typo of `.._interface`; connections are not synchronised"),
        "lvs_sync_daemon_inteface",
    ),
    (Authentication, Acts, "auth_type auth_pass"),
    (
        VirtualServer,
        Acts,
        "protocol lb_algo lvs_sched=lb_algo lb_kind lvs_method=lb_kind sh-port \
        sh-fallback mh-port mh-fallback flag-1 flag-2 flag-3 ops persistence_timeout \
        persistence_granularity delay_loop retry delay_before_retry warmup connect_timeout weight \
        quorum hysteresis alpha inhibit_on_failure sorry_server sorry_server_inhibit \
        sorry_server_lvs_method virtualhost ip_family real_server{}*",
    ),
    (
        VirtualServer,
        NotYet,
        "persistence_engine quorum_up quorum_down omega ha_suspend",
    ),
    (VirtualServer, Accepted(MAIL), "smtp_alert"),
    (VirtualServer, Accepted(SNMP), "snmp_name"),
    (
        VirtualServer,
        Accepted("the kernel hashes all services"),
        "hashed",
    ),
    (
        VirtualServer,
        Dead("it belongs to the ipchains of Linux 2.2; NAT knows single addresses"),
        "nat_mask",
    ),
    (
        RealServer,
        Acts,
        "weight uthreshold lthreshold inhibit_on_failure alpha lvs_method \
        retry delay_before_retry warmup connect_timeout delay_loop virtualhost \
        TCP_CHECK{}* HTTP_GET{}*",
    ),
    (
        RealServer,
        NotYet,
        "SSL_GET{}* SMTP_CHECK{}* DNS_CHECK{}* MISC_CHECK{}* UDP_CHECK{}* PING_CHECK{}* \
        FILE_CHECK{}* notify_up notify_down",
    ),
    (RealServer, Refused("BFD is not built"), "BFD_CHECK{}*"),
    (RealServer, Accepted(MAIL), "smtp_alert"),
    (RealServer, Accepted(SNMP), "snmp_name"),
    (
        TcpCheck,
        Acts,
        "connect_ip connect_port connect_timeout retry delay_before_retry warmup delay_loop alpha",
    ),
    (TcpCheck, NotYet, "bindto bind_port bind_if fwmark"),
    (TcpCheck, Accepted(LOG), "log_all_failures"),
    (
        TcpCheck,
        Dead("it belongs to HTTP_GET; `retry` is what TCP_CHECK has"),
        "nb_get_retry",
    ),
    (
        HttpGet,
        Acts,
        "connect_ip connect_port connect_timeout retry nb_get_retry=retry delay_before_retry \
        warmup delay_loop alpha url{}* http_protocol virtualhost fast_recovery",
    ),
    (HttpGet, NotYet, "bindto bind_port bind_if fwmark"),
    (HttpGet, Accepted(LOG), "log_all_failures"),
    (
        HttpGet,
        Accepted(ONLY_TLS),
        "enable_sni sni_name tls_compliant",
    ),
    (Url, Acts, "path status_code* digest virtualhost"),
    (
        Url,
        NotYet,
        "regex regex_no_match regex_options regex_stack regex_min_offset regex_max_offset",
    ),
    (Url, Accepted(ONLY_TLS), "tls_compliant"),
    (RouterConf, Acts, "system{} interface{}* route{?}*"),
    (RouterConf, NotYet, "control{} metrics{} config"),
    (System, Acts, "hostname console{}"),
    (System, NotYet, "syslog ntp watchdog"),
    (Console, Acts, "secret"),
    (Interface, Acts, "match{} address* mtu"),
    (Interface, NotYet, "vlan bond"),
    (Match, Acts, "mac"),
    (Match, NotYet, "driver path"),
    (Route, Acts, "via dev source metric"),
];
