//! Walks the keyword table: every entry, put where it belongs, gets the verdict that the table gives.

#![allow(clippy::unwrap_used)]

use director_core::config::keywords::{Block, Braces, Keyword, Mark, keywords};
use director_core::config::{Parsed, Severity, Source, parse};

/// The text around a statement of a block: complete but for the statement, so that nothing else is reported.
fn around(block: Block, word: &str) -> (String, String) {
    let without = |words: &str| {
        let kept = words
            .lines()
            .filter(|line| line.split_whitespace().next() != Some(word));
        kept.map(|line| format!("{line}\n")).collect::<String>()
    };
    let service = "lb_algo sh\nlb_kind NAT\nprotocol UDP\n";
    let instance = "interface eth0\nvirtual_router_id 1\n";
    let addresses = if word == "virtual_ipaddress" {
        ""
    } else {
        "virtual_ipaddress {\n10.9.9.9\n}\n"
    };
    let server = "virtual_server 10.0.0.1 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\nreal_server 10.0.0.2 80 {\n";
    let (before, after) = match block {
        Block::Keepalived | Block::RouterConf => (String::new(), ""),
        Block::GlobalDefs => ("global_defs {\n".to_owned(), "}\n"),
        Block::VrrpInstance => {
            // What gives the others a meaning.
            let beside = match word {
                "unicast_src_ip" | "unicast_ttl" | "check_unicast_src" => {
                    "unicast_peer {\n10.0.0.8\n}\n"
                }
                "unicast_fault_no_peer" => "unicast_peer {\n}\n",
                "track_src_ip" => "mcast_src_ip 10.0.0.7\n",
                "timer_expired_backup" | "thread_timer_expired" => "nopreempt\n",
                "vmac_xmit_base" => "use_vmac\n",
                _ => "",
            };
            (
                format!(
                    "vrrp_instance V {{\n{}{addresses}{beside}",
                    without(instance)
                ),
                "}\n",
            )
        }
        Block::GarpGroup => {
            let rest = without("garp_interval 0.02\ninterface eth0\n");
            (format!("garp_group {{\n{rest}"), "}\n")
        }
        Block::AuthHmac => {
            let rest = without("key 7 0123456789abcdef0123456789abcdef\n");
            (
                format!("vrrp_instance V {{\n{instance}{addresses}auth_hmac {{\n{rest}"),
                "}\n}\n",
            )
        }
        Block::Authentication => {
            let rest = without("auth_type PASS\nauth_pass x\n");
            (
                format!("vrrp_instance V {{\n{instance}{addresses}authentication {{\n{rest}"),
                "}\n}\n",
            )
        }
        Block::TrackProbe => {
            let asks = if matches!(word, "tcp" | "http") {
                ""
            } else {
                "tcp 10.0.0.1 80\n"
            };
            (format!("track_probe P {{\n{asks}"), "}\n")
        }
        Block::TrackFile => {
            let file = if word == "file" { "" } else { "file switch\n" };
            (format!("track_file F {{\n{file}"), "}\n")
        }
        Block::VrrpScript => {
            let script = if word == "script" {
                ""
            } else {
                "script /bin/true\n"
            };
            (format!("vrrp_script S {{\n{script}"), "}\n")
        }
        Block::VrrpSyncGroup => {
            let instance = |name: &str, vrid: u8| {
                format!(
                    "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {vrid}\n\
                     virtual_ipaddress {{\n10.9.9.{vrid}\n}}\n}}\n"
                )
            };
            let members = if word == "group" {
                ""
            } else {
                "group {\nV\nW\n}\n"
            };
            let (one, other) = (instance("V", 1), instance("W", 2));
            (
                format!("{one}{other}vrrp_sync_group G {{\n{members}"),
                "}\n",
            )
        }
        Block::VirtualServer => {
            // The other names of the same words.
            let word = word
                .replace("lvs_sched", "lb_algo")
                .replace("lvs_method", "lb_kind");
            let flag = match word.as_str() {
                "mh-fallback" => "lb_algo mh\nlb_kind NAT\nprotocol UDP\n",
                "mh-port" => "lb_algo mh\nmh-fallback\nlb_kind NAT\nprotocol UDP\n",
                "persistence_engine" => {
                    "lb_algo rr\npersistence_timeout\nlb_kind NAT\nprotocol UDP\n"
                }
                _ => service,
            };
            let kept: String = flag
                .lines()
                .filter(|line| !line.starts_with(&word))
                .map(|line| format!("{line}\n"))
                .collect();
            let pool = match word.as_str() {
                "real_server" => "",
                "quorum_up" => {
                    "quorum_down \"ip a del 10.0.0.7/32 dev lo\"\nreal_server 10.0.0.2 80 {\n}\n"
                }
                "quorum_down" => {
                    "quorum_up \"ip a add 10.0.0.7/32 dev lo\"\nreal_server 10.0.0.2 80 {\n}\n"
                }
                _ => "real_server 10.0.0.2 80 {\nweight 9\n}\n",
            };
            (
                format!("virtual_server 10.0.0.1 80 {{\n{kept}{pool}"),
                "}\n",
            )
        }
        Block::RealServer => {
            let file = if word == "FILE_CHECK" { FILE } else { "" };
            (format!("{file}{server}"), "}\n}\n")
        }
        Block::FileCheck => {
            let file = without("track_file F\n");
            (format!("{FILE}{server}FILE_CHECK {{\n{file}"), "}\n}\n}\n")
        }
        Block::TcpCheck => (format!("{server}TCP_CHECK {{\n"), "}\n}\n}\n"),
        Block::Ssl => {
            let certificate = if word == "key" {
                "certificate /c\n"
            } else {
                ""
            };
            (format!("SSL {{\n{certificate}"), "}\n")
        }
        Block::HttpGet | Block::SslGet => {
            let url = if word == "url" {
                ""
            } else {
                "url {\npath /\n}\n"
            };
            // What is to be verified needs whom to trust.
            let ssl = if word == "verify" {
                "SSL {\nca /c\n}\n"
            } else {
                ""
            };
            let check = block.word();
            (format!("{ssl}{server}{check} {{\n{url}"), "}\n}\n}\n")
        }
        Block::SmtpCheck | Block::DnsCheck | Block::UdpCheck | Block::PingCheck => {
            let check = block.word();
            let length = if word == "min_reply_length" {
                "max_reply_length 9\n"
            } else {
                ""
            };
            (format!("{server}{check} {{\n{length}"), "}\n}\n}\n")
        }
        Block::MiscCheck => {
            let path = if word == "misc_path" {
                ""
            } else {
                "misc_path /bin/true\n"
            };
            (format!("{server}MISC_CHECK {{\n{path}"), "}\n}\n}\n")
        }
        Block::Url => {
            let path = if word == "path" { "" } else { "path /\n" };
            // The others say how it is meant.
            let regex = if word.starts_with("regex_") {
                "regex ok\n"
            } else {
                ""
            };
            (
                format!("{server}HTTP_GET {{\nurl {{\n{path}{regex}"),
                "}\n}\n}\n}\n",
            )
        }
        Block::System => ("system {\n".to_owned(), "}\n"),
        Block::Console => ("system {\nconsole {\n".to_owned(), "}\n}\n"),
        Block::Syslog => {
            let server = without("server 10.0.0.9\n");
            (format!("system {{\nsyslog {{\n{server}"), "}\n}\n")
        }
        Block::Metrics => ("metrics {\n".to_owned(), "}\n"),
        Block::Interface => ("interface lan {\n".to_owned(), "}\n"),
        Block::Match => ("interface lan {\nmatch {\n".to_owned(), "}\n}\n"),
        Block::Route => {
            let via = if word == "via" { "" } else { "via 10.0.0.1\n" };
            (format!("route default {{\n{via}"), "}\n")
        }
        Block::VirtualIpaddress
        | Block::VirtualIpaddressExcluded
        | Block::LocalAddress
        | Block::TrackInterface
        | Block::UnicastPeer
        | Block::LinkDelays
        | Block::Interfaces
        | Block::Routes
        | Block::Rules
        | Block::VirtualServerGroup
        | Block::Group => {
            unreachable!("lists")
        }
    };
    (before, after.to_owned())
}

/// What a FILE_CHECK reads.
const FILE: &str = "track_file F {\nfile switch\n}\n";

/// A good statement for a keyword that acts.
fn statement(keyword: &Keyword) -> String {
    let block = match (keyword.block, keyword.word) {
        (Block::Keepalived, "vrrp_instance") => {
            " V {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n10.0.0.1\n}\n}"
        }
        (Block::Keepalived, "virtual_server") => {
            " 10.0.0.1 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\nreal_server 10.0.0.2 80 {\n}\n}"
        }
        (Block::Keepalived, "virtual_server_group") => " G {\n10.0.0.1 80\n}",
        (_, "static_ipaddress") => " {\n10.0.0.9/24\n}",
        (_, "static_routes" | "virtual_routes") => " {\n10.1.0.0/16 via 10.0.0.9\n}",
        (_, "static_rules" | "virtual_rules") => " {\nfrom 10.1.0.0/16 table 7 preference 9\n}",
        (_, "virtual_ipaddress" | "virtual_ipaddress_excluded") => " {\n10.0.0.1\n}",
        (Block::Keepalived, "vrrp_sync_group") => {
            " G {\ngroup {\nV\nW\n}\n}\nvrrp_instance V {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n\
             10.0.0.1\n}\n}\nvrrp_instance W {\ninterface eth0\nvirtual_router_id 2\n\
             virtual_ipaddress {\n10.0.0.2\n}\n}"
        }
        (_, "group") => " {\nV\nW\n}",
        (_, "quorum_up") => " \"ip -4 addr add 10.0.0.7/32 dev lo\"",
        (_, "quorum_down") => " \"/sbin/ip a del 10.0.0.7/32 dev lo\"",
        (Block::Keepalived, "track_probe") => " P {\ntcp 10.0.0.1 80\n}",
        (Block::Keepalived, "track_file" | "vrrp_track_file") => " F {\nfile switch\n}",
        (Block::FileCheck, "track_file") => " F",
        (_, "FILE_CHECK") => " {\ntrack_file F\n}",
        (_, "track_file") => " {\nF\n}\n}\ntrack_file F {\nfile switch\n",
        (Block::Keepalived, "vrrp_script") => " S {\nscript /bin/true\n}",
        (Block::Keepalived, "interface_up_down_delays") => " {\neth0 1 2\n}",
        (Block::Keepalived, "garp_group") => " {\ngarp_interval 0.01\ninterface eth0\n}",
        (_, "interfaces") => " {\neth1\neth2\n}",
        (_, "track_pool") => " {\nall\n}",
        (_, "track_probe") => " {\nP\n}\n}\ntrack_probe P {\ntcp 10.0.0.1 80\n",
        (_, "track_script") => " {\nS\n}\n}\nvrrp_script S {\nscript /bin/true\n",
        (_, "tcp") => " 10.0.0.1 80",
        (_, "http") => " http://10.0.0.1/",
        (_, "script") => " /bin/true",
        (_, "init_fail") => " ",
        (_, "authentication") => " {\nauth_type PASS\nauth_pass x\n}",
        (_, "auth_hmac") => " {\nkey 7 0123456789abcdef0123456789abcdef\n}",
        (Block::AuthHmac, "key") => " 7 0123456789abcdef0123456789abcdef",
        (Block::AuthHmac, "active_key") => " 7",
        (Block::AuthHmac, "anti_replay") => " monotonic",
        (Block::AuthHmac, "mode") => " permissive",
        (_, "track_interface") => " {\neth1\n}",
        (_, "unicast_peer") => {
            " {
10.0.0.8
}"
        }
        (_, "HTTP_GET" | "SSL_GET") => {
            " {
url {
path /
}
}"
        }
        (_, "MISC_CHECK") => " {\nmisc_path look\n}",
        (_, "url") => " {\npath /\n}",
        (_, "real_server") => " 10.0.0.3 80 {\n}",
        (Block::RouterConf, "interface") => " lan {\n}",
        (_, "syslog") => " {\nserver 10.0.0.9\n}",
        (_, "metrics") => " {\nlisten 10.0.0.9:9475\n}",
        (_, "route") => " default via 10.0.0.1",
        _ if keyword.braces != Braces::No => " {\n}",
        _ => "",
    };
    let value = match keyword.word {
        _ if !block.is_empty() => "",
        "state" => "BACKUP",
        "protocol" if keyword.block == Block::Syslog => "tcp",
        "server" => "10.0.0.9:514",
        "level" | "log_level" => "warning",
        "listen" => "10.0.0.9:9475",
        "notify_fifo" | "vrrp_notify_fifo" | "lvs_notify_fifo" => "/run/fifo",
        word if word.starts_with("notify") => "/bin/true",
        "script_user" => "nobody",
        "garp_extra_if" | "vrrp_garp_extra_if" => "all 60",
        "gna_interval" | "garp_interval" => "0.01",
        "router_id" | "hostname" | "secret" | "virtualhost" => "name",
        "interface"
        | "default_interface"
        | "lvs_sync_daemon"
        | "lvs_sync_daemon_interface"
        | "dev" => "eth0",
        "lvs_timeouts" => "tcp 900 tcpfin 120 udp 300",
        "vrrp_mcast_group4" | "mcast_dst_ip" => "224.0.0.18",
        "vrrp_mcast_group6" => "ff02::12",
        "version" | "vrrp_version" => "2",
        "mcast_src_ip" | "unicast_src_ip" | "connect_ip" | "via" | "source" => "10.0.0.7",
        "auth_type" => "PASS",
        "auth_pass" => "secret",
        "protocol" => "UDP",
        "lb_algo" | "lvs_sched" => "rr",
        "lb_kind" | "lvs_method" | "sorry_server_lvs_method" => "NAT",
        "sorry_server" => "10.0.0.8 80",
        "ip_family" => "inet",
        "persistence_engine" => "sip",
        "http_protocol" => "1.1",
        "path" => "/",
        "misc_path" => "/bin/true",
        "file" => "switch",
        "bind_if" => "eth0",
        "bindto" => "10.0.0.7",
        "helo_name" | "name" | "sni_name" => "name",
        "ca" | "certificate" | "key" => "/c",
        "type" => "AAAA",
        "payload" => "00ff",
        "require_reply" => "0x",
        "status_code" => "200-299",
        "regex" => "\"a|b\"",
        "regex_options" => "caseless ungreedy",
        "regex_no_match" => "",
        "regex_min_offset" | "regex_max_offset" => "9",
        "digest" => "640205b7b0fc66c1ea91c463fac6334d",
        "mac" => "52:54:00:00:00:01",
        "address" => "10.0.0.7/24",
        "mtu" => "1500",
        "preempt"
        | "nopreempt"
        | "accept"
        | "no_accept"
        | "strict_mode"
        | "vrrp_strict"
        | "dont_track_primary"
        | "dynamic_interfaces"
        | "skip_check_adv_addr"
        | "use_vmac"
        | "use_vmac_addr"
        | "vmac_xmit_base"
        | "sh-port"
        | "sh-fallback"
        | "mh-port"
        | "mh-fallback"
        | "flag-1"
        | "flag-2"
        | "flag-3"
        | "ops"
        | "alpha"
        | "data_path"
        | "omega"
        | "ha_suspend"
        | "log_all_failures"
        | "checker_log_all_failures"
        | "inhibit_on_failure"
        | "sorry_server_inhibit"
        | "fast_recovery"
        | "misc_dynamic"
        | "enable_sni"
        | "tls_compliant"
        | "verify"
        | "vrrp_min_garp"
        | "unicast_fault_no_peer"
        | "track_src_ip"
        | "no_virtual_ipaddress"
        | "check_unicast_src"
        | "vrrp_check_unicast_src"
        | "owner_ignore_adverts"
        | "vrrp_owner_ignore_adverts"
        | "v3_checksum_as_v2"
        | "vrrp_skip_check_adv_addr"
        | "lower_prio_no_advert"
        | "higher_prio_send_advert"
        | "vrrp_lower_prio_no_advert"
        | "sync_group_tracking_weight"
        | "vrrp_higher_prio_send_advert" => "",
        "depool_limit" => "50%",
        "include_check" => "readable",
        "config" => "lenient",
        "hysteresis" | "lthreshold" => "0",
        _ => "1",
    };
    format!("{} {value}{block}\n", keyword.word)
}

fn parse_with(keyword: &Keyword, statement: &str) -> Parsed {
    let (before, after) = around(keyword.block, keyword.word);
    let text = format!("{before}{statement}{after}");
    let source = Source {
        name: "file",
        bytes: text.as_bytes(),
    };
    if keyword.block < Block::RouterConf {
        parse(Some(source), None)
    } else {
        parse(None, Some(source))
    }
}

#[test]
fn every_keyword_gets_the_verdict_of_the_table() {
    for keyword in keywords() {
        let parsed = parse_with(keyword, &statement(keyword));
        let said: Vec<String> = parsed.diagnostics.iter().map(ToString::to_string).collect();
        let name = format!(
            "{} in {}: {}",
            keyword.word,
            keyword.block.word(),
            said.join("\n")
        );
        let only = parsed.diagnostics.first();
        match keyword.mark {
            Mark::Acts => assert!(parsed.diagnostics.is_empty(), "{name}"),
            Mark::NotYet | Mark::Refused(_) => {
                assert_eq!(
                    (parsed.diagnostics.len(), only.unwrap().severity),
                    (1, Severity::Error),
                    "{name}"
                );
            }
            Mark::Accepted(_) | Mark::Dead(_) => {
                assert_eq!(
                    (parsed.diagnostics.len(), only.unwrap().severity),
                    (1, Severity::Warning),
                    "{name}"
                );
                assert!(parsed.config.is_some(), "{name}");
            }
        }
        if let (Mark::Refused(text) | Mark::Accepted(text) | Mark::Dead(text), Some(only)) =
            (keyword.mark, only)
        {
            assert!(
                only.message.contains(text) && only.message.contains(keyword.word),
                "{name}"
            );
        }
    }
}

#[test]
fn each_keyword_that_can_be_given_once_is_contradicted_by_a_second() {
    for keyword in keywords()
        .iter()
        .filter(|keyword| keyword.mark == Mark::Acts && !keyword.repeats)
    {
        let twice = statement(keyword).repeat(2);
        let parsed = parse_with(keyword, &twice);
        let severities: Vec<Severity> = parsed
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.severity)
            .collect();
        let expected = if keyword.braces == Braces::No {
            Severity::Warning
        } else {
            Severity::Error
        };
        assert_eq!(
            severities,
            [expected],
            "{} in {}",
            keyword.word,
            keyword.block.word()
        );
    }
}

#[test]
fn the_table_has_each_word_once_and_other_names_point_to_words_of_the_same_block() {
    let table = keywords();
    for pair in table.windows(2) {
        assert!(
            (pair[0].block, pair[0].word) < (pair[1].block, pair[1].word),
            "{}",
            pair[1].word
        );
    }
    for keyword in table {
        let canonical = table
            .iter()
            .find(|other| other.block == keyword.block && other.word == keyword.canonical);
        assert!(
            canonical.is_some_and(|other| other.canonical == other.word),
            "{}",
            keyword.word
        );
    }
}

#[test]
fn a_misspelt_keyword_is_refused_with_the_word_that_was_meant() {
    let mut without_hint = Vec::new();
    for keyword in keywords()
        .iter()
        .filter(|keyword| keyword.mark == Mark::Acts && keyword.word.len() > 4)
    {
        let misspelt = format!("{}x", keyword.word);
        let parsed = parse_with(keyword, &format!("{misspelt}\n"));
        let hint = parsed
            .diagnostics
            .iter()
            .find(|diagnostic| diagnostic.message.contains(&misspelt));
        let hint = hint
            .unwrap_or_else(|| panic!("{misspelt}"))
            .hint
            .clone()
            .unwrap_or_default();
        if !hint.contains(&format!("`{}`", keyword.word)) {
            without_hint.push(misspelt);
        }
    }
    assert_eq!(without_hint, Vec::<String>::new());
}
