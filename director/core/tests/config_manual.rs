//! What keepalived's manual names, written down without regard to the table of keywords, against that table: nothing is
//! forgotten, and what matters to traffic acts.

#![allow(clippy::unwrap_used)]

use director_core::config::keywords::{Keyword, Mark, keywords};

/// What someone who brings the word may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// It does what it does in keepalived.
    Acts,
    /// It is taken with a warning, as nothing is lost by it, or acts.
    Taken,
    /// It is an error that says why.
    Refused,
}

use Promise::{Acts, Refused, Taken};

/// The keywords of keepalived 2.4's manual, by block. Other names of a word count as words.
const MANUAL: &[(&str, Promise, &str)] = &[
    (
        "keepalived.conf",
        Acts,
        "global_defs static_ipaddress static_routes static_rules interface_up_down_delays track_file \
        vrrp_track_file vrrp_script vrrp_sync_group garp_group vrrp_instance SSL \
        virtual_server_group virtual_server",
    ),
    (
        "keepalived.conf",
        Taken,
        "namespace_with_ipsets use_pid_dir instance child_wait_time linkbeat_use_polling \
        linkbeat_interfaces track_group",
    ),
    (
        "keepalived.conf",
        Refused,
        "net_namespace net_namespace_ipvs vrrp_track_process bfd_instance",
    ),
    (
        "global_defs",
        Acts,
        "router_id default_interface dynamic_interfaces lvs_sync_daemon lvs_timeouts \
        vrrp_mcast_group4 vrrp_mcast_group6 vrrp_version vrrp_garp_master_delay \
        vrrp_garp_master_repeat vrrp_garp_master_refresh vrrp_garp_master_refresh_repeat \
        vrrp_garp_lower_prio_delay vrrp_garp_lower_prio_repeat vrrp_garp_interval \
        vrrp_gna_interval vrrp_min_garp vrrp_garp_extra_if vrrp_down_timer_adverts \
        vrrp_lower_prio_no_advert vrrp_higher_prio_send_advert vrrp_check_unicast_src \
        vrrp_skip_check_adv_addr vrrp_strict vrrp_owner_ignore_adverts v3_checksum_as_v2 \
        vrrp_startup_delay vrrp_delay_after_boot notify_fifo vrrp_notify_fifo lvs_notify_fifo \
        include_check checker_log_all_failures",
    ),
    (
        "global_defs",
        Taken,
        "lvs_flush lvs_flush_on_stop rs_init_notifies log_unknown_vrids vrrp_notify_priority_changes \
        notification_email notification_email_from smtp_server smtp_helo_name smtp_connect_timeout \
        smtp_alert smtp_alert_vrrp smtp_alert_checker no_email_faults no_checker_emails \
        vrrp_rx_bufs_policy vrrp_rx_bufs_multiplier vrrp_netlink_cmd_rcv_bufs \
        vrrp_netlink_cmd_rcv_bufs_force vrrp_netlink_monitor_rcv_bufs \
        vrrp_netlink_monitor_rcv_bufs_force lvs_netlink_cmd_rcv_bufs lvs_netlink_cmd_rcv_bufs_force \
        lvs_netlink_monitor_rcv_bufs lvs_netlink_monitor_rcv_bufs_force process_monitor_rcv_bufs \
        process_monitor_rcv_bufs_force vrrp_priority checker_priority bfd_priority vrrp_no_swap \
        checker_no_swap bfd_no_swap vrrp_rt_priority checker_rt_priority bfd_rt_priority \
        vrrp_cpu_affinity checker_cpu_affinity bfd_cpu_affinity vrrp_rlimit_rttime \
        checker_rlimit_rttime bfd_rlimit_rttime max_auto_priority min_auto_priority_delay \
        vrrp_iptables vrrp_ipsets nftables nftables_priority nftables_counters nftables_ifindex \
        script_user enable_script_security set_supplementary_groups use_symlink_paths \
        startup_script_timeout shutdown_script_timeout reload_check_config reload_time_file \
        reload_repeat reload_file config_save_dir tmp_config_directory snmp_socket \
        enable_snmp_vrrp enable_snmp_checker enable_snmp_rfc enable_snmp_rfcv2 enable_snmp_rfcv3 \
        enable_traps snmp_vs_stats_update_interval snmp_rs_stats_update_interval enable_dbus \
        dbus_service_name dbus_no_interface_name process_names process_name vrrp_process_name \
        checker_process_name bfd_process_name umask data_use_instance json_version state_dump_file \
        stats_dump_file json_dump_file fifo_write_vrrp_states_on_reload disable_local_igmp \
        vmac_prefix vmac_addr_prefix iproute_usr_dir iproute_etc_dir random_seed",
    ),
    (
        "global_defs",
        Refused,
        "notify_fifo_script vrrp_notify_fifo_script lvs_notify_fifo_script startup_script \
        shutdown_script",
    ),
    (
        "vrrp_instance",
        Acts,
        "state interface virtual_router_id priority advert_int version virtual_ipaddress \
        virtual_ipaddress_excluded no_virtual_ipaddress authentication auth_hmac unicast_src_ip \
        mcast_src_ip unicast_peer unicast_fault_no_peer check_unicast_src unicast_ttl \
        v3_checksum_as_v2 mcast_dst_ip track_src_ip use_vmac use_vmac_addr vmac_xmit_base \
        dont_track_primary track_interface track_script track_file preempt nopreempt preempt_delay \
        garp_master_delay garp_master_repeat garp_master_refresh garp_master_refresh_repeat \
        garp_lower_prio_delay garp_lower_prio_repeat garp_extra_if lower_prio_no_advert \
        higher_prio_send_advert down_timer_adverts owner_ignore_adverts skip_check_adv_addr \
        strict_mode timer_expired_backup thread_timer_expired accept no_accept virtual_routes \
        virtual_rules notify notify_master notify_backup notify_fault \
        notify_stop notify_deleted notify_master_rx_lower_pri lvs_sync_daemon_interface",
    ),
    (
        "vrrp_instance",
        Taken,
        "native_ipv6 notify_priority_changes smtp_alert debug kernel_rx_buf_size \
        linkbeat_use_polling promote_secondaries",
    ),
    (
        "vrrp_instance",
        Refused,
        "old_unicast_checksum vrf use_ipvlan track_process track_bfd",
    ),
    ("authentication", Acts, "auth_type auth_pass"),
    (
        "vrrp_sync_group",
        Acts,
        "group track_interface track_script track_file sync_group_tracking_weight notify \
        notify_master notify_backup notify_fault notify_stop",
    ),
    (
        "vrrp_sync_group",
        Taken,
        "smtp_alert notify_priority_changes global_tracking",
    ),
    ("vrrp_sync_group", Refused, "track_process track_bfd"),
    (
        "vrrp_script",
        Acts,
        "script interval timeout weight rise fall user init_fail",
    ),
    (
        "virtual_server",
        Acts,
        "protocol lvs_sched lb_algo lvs_method lb_kind flag-1 flag-2 flag-3 sh-port sh-fallback \
        mh-port mh-fallback ops persistence_timeout persistence_granularity persistence_engine \
        delay_loop retry delay_before_retry warmup connect_timeout quorum hysteresis quorum_up \
        quorum_down alpha omega inhibit_on_failure weight sorry_server sorry_server_inhibit \
        sorry_server_lvs_method ha_suspend virtualhost ip_family real_server",
    ),
    ("virtual_server", Taken, "smtp_alert snmp_name hashed"),
    (
        "real_server",
        Acts,
        "weight uthreshold lthreshold inhibit_on_failure alpha lvs_method retry delay_before_retry \
        warmup connect_timeout delay_loop virtualhost notify_up notify_down TCP_CHECK HTTP_GET \
        SSL_GET SMTP_CHECK DNS_CHECK UDP_CHECK PING_CHECK MISC_CHECK FILE_CHECK",
    ),
    ("real_server", Taken, "smtp_alert snmp_name"),
    ("real_server", Refused, "BFD_CHECK"),
    ("TCP_CHECK", Acts, CONNECT),
    (
        "HTTP_GET",
        Acts,
        "url http_protocol virtualhost fast_recovery nb_get_retry",
    ),
    ("HTTP_GET", Acts, CONNECT),
    (
        "SSL_GET",
        Acts,
        "url http_protocol virtualhost fast_recovery nb_get_retry enable_sni sni_name tls_compliant",
    ),
    ("SSL_GET", Acts, CONNECT),
    (
        "url",
        Acts,
        "path status_code digest virtualhost regex regex_no_match regex_options regex_min_offset \
        regex_max_offset tls_compliant",
    ),
    ("url", Taken, "regex_stack"),
    ("SMTP_CHECK", Acts, "helo_name"),
    ("SMTP_CHECK", Acts, CONNECT),
    ("SMTP_CHECK", Refused, "host"),
    ("DNS_CHECK", Acts, "type name"),
    ("DNS_CHECK", Acts, CONNECT),
    (
        "UDP_CHECK",
        Acts,
        "payload require_reply min_reply_length max_reply_length",
    ),
    ("UDP_CHECK", Acts, CONNECT),
    ("PING_CHECK", Acts, CONNECT),
    (
        "MISC_CHECK",
        Acts,
        "misc_path misc_timeout misc_dynamic user retry delay_before_retry warmup delay_loop alpha \
        log_all_failures",
    ),
    ("SSL", Acts, "ca certificate key"),
    ("SSL", Refused, "password"),
];

/// What all checks over the network know.
const CONNECT: &str = "connect_ip connect_port bindto bind_port bind_if fwmark connect_timeout retry \
    delay_before_retry warmup delay_loop alpha log_all_failures";

fn find<'k>(block: &str, word: &str) -> Option<&'k Keyword> {
    let found = |keyword: &&Keyword| keyword.block.word() == block && keyword.word == word;
    keywords().iter().find(found)
}

fn keeps(promise: Promise, mark: Mark) -> bool {
    match promise {
        Acts => mark == Mark::Acts,
        Taken => matches!(mark, Mark::Acts | Mark::Accepted(_) | Mark::Dead(_)),
        Refused => matches!(mark, Mark::Refused(_)),
    }
}

#[test]
fn every_word_of_keepaliveds_manual_gets_what_was_promised() {
    let mut broken = Vec::new();
    for (block, promise, words) in MANUAL {
        for word in words.split_whitespace() {
            let mark = find(block, word).map(|keyword| keyword.mark);
            let kept = mark.is_some_and(|mark| keeps(*promise, mark));
            if !kept {
                broken.push(format!(
                    "{word} in {block}: {promise:?} expected, {mark:?} found"
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
