//! The words themselves.

use super::{Block, Mark};

use Block::{
    AuthHmac, Authentication, Console, DnsCheck, FileCheck, GarpGroup, GlobalDefs, HttpGet,
    Interface, Keepalived, Match, Metrics, MiscCheck, PingCheck, RealServer, Route, RouterConf,
    SmtpCheck, Ssl, SslGet, Syslog, System, TcpCheck, TrackFile, TrackProbe, UdpCheck, Url,
    VirtualServer, VrrpInstance, VrrpScript, VrrpSyncGroup,
};
use Mark::{Accepted, Acts, Dead, NotYet, Refused};

const CONNECT: &str = "connect_ip connect_port connect_timeout rise fall retry delay_before_retry \
    warmup delay_loop alpha";
const BIND: &str = "bindto bind_port bind_if fwmark";
const MAIL: &str = "no mail is sent; what happens stands in the log and in the status";
const SNMP: &str = "there is no SNMP agent; the status and the metrics have the numbers";
const DBUS: &str = "there is no D-Bus here; the status and the log have what it would tell";
const PROCESS: &str = "the director is one process, which the node itself schedules and supervises";
const BUFFERS: &str = "buffers are sized by the node itself";
const FILES: &str = "nothing is written to files; ask for the status";
const LOG: &str = "the log has every change with its reason";
const RELOAD: &str =
    "a reload is always checked first, and a wrong file leaves the running one in place";
const FIREWALL: &str = "the node's own table of nftables is used where one is needed";
const SCRIPTS: &str = "programs always run without privileges, and without a shell";
const LINK: &str = "the kernel's link state is used";
const PROGRAM: &str = "the node has no shell and no programs to run";
const STRAIGHT: &str = "only TCP_CHECK, HTTP_GET, SSL_GET and SMTP_CHECK have connections to lead";
const FIFO_READER: &str =
    "no program is started to read it; `syslog` in router.conf sends changes away";
const ONLY_TLS: &str = "it only matters with TLS";

/// The table, a row for each matter. Words carry marks: `{}` opens a block, `{?}` may open one, `=x` is another name
/// for `x`, `*` may be repeated in its block.
pub(super) const TEXT: &[(Block, Mark, &str)] = &[
    (
        Keepalived,
        Acts,
        "global_defs{}* vrrp_instance{}* virtual_server{}*",
    ),
    (
        Keepalived,
        Acts,
        "static_ipaddress{}* static_routes{}* static_rules{}*",
    ),
    (
        Keepalived,
        Accepted("static addresses, routes and rules that somebody removes are put back"),
        "track_group{}*",
    ),
    (Keepalived, Acts, "garp_group{}*"),
    (
        GarpGroup,
        Acts,
        "garp_interval gna_interval interface interfaces{}",
    ),
    (
        Keepalived,
        Acts,
        "interface_up_down_delays{}* vrrp_script{}* track_probe{}*",
    ),
    (
        Keepalived,
        Acts,
        "track_file{}* vrrp_track_file=track_file{}*",
    ),
    (Keepalived, Acts, "vrrp_sync_group{}*"),
    (Keepalived, Acts, "virtual_server_group{}*"),
    (Keepalived, Acts, "SSL{}"),
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
        "net_namespace net_namespace_ipvs",
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
        "router_id default_interface dynamic_interfaces lvs_sync_daemon lvs_timeouts local_address{} \
        vrrp_mcast_group4 vrrp_version vrrp_garp_master_delay vrrp_garp_master_repeat \
        vrrp_garp_master_refresh vrrp_garp_master_refresh_repeat vrrp_garp_lower_prio_delay \
        vrrp_garp_lower_prio_repeat vrrp_garp_interval vrrp_gna_interval vrrp_min_garp \
        vrrp_down_timer_adverts vrrp_mcast_group6 \
        vrrp_lower_prio_no_advert vrrp_higher_prio_send_advert vrrp_skip_check_adv_addr \
        v3_checksum_as_v2 vrrp_startup_delay vrrp_strict",
    ),
    (GlobalDefs, Acts, "vrrp_garp_extra_if"),
    (
        GlobalDefs,
        Accepted(
            "each address of a group is a service of the kernel, which serves its clients alike",
        ),
        "nftables_ipvs nftables_ipvs_priority nftables_ipvs_start_fwmark",
    ),
    (
        GlobalDefs,
        Acts,
        "notify_fifo vrrp_notify_fifo lvs_notify_fifo",
    ),
    (
        GlobalDefs,
        Refused(FIFO_READER),
        "notify_fifo_script vrrp_notify_fifo_script lvs_notify_fifo_script",
    ),
    (
        GlobalDefs,
        Acts,
        "include_check* script_user checker_log_all_failures",
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
        "log_unknown_vrids vrrp_notify_priority_changes",
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
        Acts,
        "vrrp_check_unicast_src vrrp_owner_ignore_adverts vrrp_delay_after_boot",
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
        "enable_script_security set_supplementary_groups \
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
        v3_checksum_as_v2 skip_check_adv_addr accept no_accept strict_mode auth_hmac{} lvs_sync_daemon_interface",
    ),
    (
        VrrpInstance,
        Acts,
        "unicast_src_ip unicast_peer{}* unicast_fault_no_peer check_unicast_src unicast_ttl mcast_dst_ip track_src_ip",
    ),
    (
        VrrpInstance,
        Acts,
        "no_virtual_ipaddress owner_ignore_adverts timer_expired_backup \
        thread_timer_expired=timer_expired_backup",
    ),
    (VrrpInstance, Acts, "use_vmac use_vmac_addr vmac_xmit_base"),
    (VrrpInstance, Acts, "track_file{}*"),
    (
        VrrpInstance,
        Acts,
        "track_script{}* track_probe{}* track_pool{}*",
    ),
    (VrrpInstance, Acts, "garp_extra_if"),
    (VrrpInstance, Acts, "virtual_routes{}* virtual_rules{}*"),
    (
        VrrpInstance,
        Accepted("a node has it set for all interfaces"),
        "promote_secondaries",
    ),
    (
        VrrpInstance,
        Acts,
        "notify notify_master notify_backup notify_fault notify_stop notify_deleted notify_master_rx_lower_pri",
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
    (
        VrrpSyncGroup,
        Acts,
        "group{} track_interface{}* track_script{}* track_probe{}* track_pool{}* \
        sync_group_tracking_weight",
    ),
    (VrrpSyncGroup, Acts, "track_file{}*"),
    (TrackFile, Acts, "file weight init_file"),
    (
        TrackProbe,
        Acts,
        "tcp http interval timeout rise fall weight",
    ),
    (
        VrrpScript,
        Acts,
        "script interval timeout rise fall user weight init_fail",
    ),
    (
        VrrpSyncGroup,
        Acts,
        "notify notify_master notify_backup notify_fault notify_stop",
    ),
    (VrrpSyncGroup, Accepted(MAIL), "smtp_alert"),
    (VrrpSyncGroup, Accepted(LOG), "notify_priority_changes"),
    (
        VrrpSyncGroup,
        Accepted("what a group tracks, all its members track"),
        "global_tracking",
    ),
    (
        VrrpSyncGroup,
        Refused("process tracking is not built"),
        "track_process{}",
    ),
    (VrrpSyncGroup, Refused("BFD is not built"), "track_bfd{}"),
    (Authentication, Acts, "auth_type auth_pass"),
    (
        AuthHmac,
        Acts,
        "key* active_key anti_replay time_window mode",
    ),
    (
        VirtualServer,
        Acts,
        "protocol lb_algo lvs_sched=lb_algo lb_kind lvs_method=lb_kind local_address{} sh-port \
        sh-fallback mh-port mh-fallback flag-1 flag-2 flag-3 ops persistence_timeout \
        persistence_granularity delay_loop rise fall retry delay_before_retry warmup connect_timeout weight \
        quorum hysteresis alpha inhibit_on_failure sorry_server sorry_server_inhibit \
        sorry_server_lvs_method virtualhost ip_family real_server{}*",
    ),
    (
        VirtualServer,
        Acts,
        "persistence_engine drain_timeout slow_start depool_limit data_path",
    ),
    (RealServer, Acts, "slow_start"),
    (
        VirtualServer,
        Acts,
        "quorum_up quorum_down omega ha_suspend",
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
        rise fall retry delay_before_retry warmup connect_timeout delay_loop virtualhost \
        TCP_CHECK{}* HTTP_GET{}* SSL_GET{}* SMTP_CHECK{}* \
        DNS_CHECK{}* UDP_CHECK{}* PING_CHECK{}* MISC_CHECK{}*",
    ),
    (RealServer, Acts, "FILE_CHECK{}*"),
    (FileCheck, Acts, "track_file weight"),
    (RealServer, Acts, "notify_up notify_down"),
    (RealServer, Refused("BFD is not built"), "BFD_CHECK{}*"),
    (RealServer, Accepted(MAIL), "smtp_alert"),
    (RealServer, Accepted(SNMP), "snmp_name"),
    (TcpCheck, Acts, CONNECT),
    (TcpCheck, Acts, BIND),
    (TcpCheck, Acts, "data_path"),
    (TcpCheck, Acts, "log_all_failures"),
    (
        TcpCheck,
        Dead("it belongs to HTTP_GET; `retry` is what TCP_CHECK has"),
        "nb_get_retry",
    ),
    (
        HttpGet,
        Acts,
        "connect_ip connect_port connect_timeout rise fall retry nb_get_retry=retry delay_before_retry \
        warmup delay_loop alpha url{}* http_protocol virtualhost fast_recovery",
    ),
    (HttpGet, Acts, BIND),
    (HttpGet, Acts, "data_path"),
    (HttpGet, Acts, "log_all_failures"),
    (
        HttpGet,
        Accepted(ONLY_TLS),
        "enable_sni sni_name tls_compliant",
    ),
    (Ssl, Acts, "ca certificate key"),
    (
        Ssl,
        Refused("a key with a password would need it beside it: keep the key without one"),
        "password",
    ),
    (SslGet, Acts, CONNECT),
    (SslGet, Acts, BIND),
    (SslGet, Acts, "data_path"),
    (
        SslGet,
        Acts,
        "nb_get_retry=retry url{}* http_protocol virtualhost fast_recovery \
        enable_sni sni_name tls_compliant verify",
    ),
    (SslGet, Acts, "log_all_failures"),
    (Url, Acts, "path status_code* digest virtualhost"),
    (
        Url,
        Acts,
        "regex regex_no_match regex_options regex_min_offset regex_max_offset",
    ),
    (
        Url,
        Accepted("a regex is matched without a stack, in memory that is bounded"),
        "regex_stack",
    ),
    (Url, Acts, "tls_compliant"),
    (SmtpCheck, Acts, CONNECT),
    (SmtpCheck, Acts, BIND),
    (SmtpCheck, Acts, "data_path"),
    (SmtpCheck, Acts, "helo_name"),
    (
        SmtpCheck,
        Refused(
            "one check asks one server: give its words in the check itself, and one check for each host",
        ),
        "host{}*",
    ),
    (SmtpCheck, Acts, "log_all_failures"),
    (DnsCheck, Acts, CONNECT),
    (DnsCheck, Acts, BIND),
    (DnsCheck, Refused(STRAIGHT), "data_path"),
    (DnsCheck, Acts, "type name"),
    (DnsCheck, Acts, "log_all_failures"),
    (UdpCheck, Acts, CONNECT),
    (UdpCheck, Acts, BIND),
    (UdpCheck, Refused(STRAIGHT), "data_path"),
    (
        UdpCheck,
        Acts,
        "payload require_reply min_reply_length max_reply_length",
    ),
    (UdpCheck, Acts, "log_all_failures"),
    (PingCheck, Acts, CONNECT),
    (PingCheck, Acts, BIND),
    (PingCheck, Refused(STRAIGHT), "data_path"),
    (PingCheck, Acts, "log_all_failures"),
    (
        MiscCheck,
        Acts,
        "misc_path misc_timeout misc_dynamic user rise fall retry delay_before_retry warmup delay_loop alpha",
    ),
    (MiscCheck, Acts, "log_all_failures"),
    (MiscCheck, Refused(STRAIGHT), "data_path"),
    (FileCheck, Refused(STRAIGHT), "data_path"),
    (RouterConf, Acts, "system{} interface{}* route{?}*"),
    (RouterConf, NotYet, "control{}"),
    (RouterConf, Acts, "metrics{} config"),
    (Metrics, Acts, "listen"),
    (System, Acts, "hostname console{}"),
    (System, Acts, "syslog{}* log_level"),
    (Syslog, Acts, "server protocol level"),
    (System, NotYet, "ntp watchdog"),
    (Console, Acts, "secret"),
    (Interface, Acts, "match{} address* mtu"),
    (Interface, NotYet, "vlan bond"),
    (Match, Acts, "mac"),
    (Match, NotYet, "driver path"),
    (Route, Acts, "via dev source metric"),
];
