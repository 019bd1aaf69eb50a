//! What leaves the node for monitoring, as the two files say it.

#![allow(clippy::unwrap_used)]

use director_core::config::{Fifo, FifoScope, Level, Source, Syslog, Transport, parse};

fn source<'a>(name: &'a str, text: &'a str) -> Source<'a> {
    Source {
        name,
        bytes: text.as_bytes(),
    }
}

#[test]
fn the_log_and_the_metrics_go_where_router_conf_says() {
    let text = "system {
        log_level error
        syslog {
            server 192.0.2.9
        }
        syslog {
            server [2001:db8::9]:6514
            protocol tcp
            level warning
        }
    }
    metrics {
        listen 192.0.2.11:9475
    }\n";
    let parsed = parse(None, Some(source("router.conf", text)));
    assert_eq!(parsed.diagnostics, []);
    let node = parsed.node;
    let expected = [
        Syslog {
            server: "192.0.2.9:514".parse().unwrap(),
            transport: Transport::Udp,
            level: Level::Info,
        },
        Syslog {
            server: "[2001:db8::9]:6514".parse().unwrap(),
            transport: Transport::Tcp,
            level: Level::Warning,
        },
    ];
    assert_eq!(node.syslog, expected);
    assert_eq!(node.log_level, Some(Level::Error));
    assert_eq!(node.metrics, Some("192.0.2.11:9475".parse().unwrap()));
}

#[test]
fn a_fifo_is_told_what_its_keyword_says() {
    let text = "global_defs {\nnotify_fifo /run/all\nvrrp_notify_fifo /run/vrrp\nlvs_notify_fifo \"/run/l v s\"\n}\n";
    let parsed = parse(Some(source("keepalived.conf", text)), None);
    assert_eq!(parsed.diagnostics, []);
    let fifo = |path: &str, scope| Fifo {
        path: path.to_owned(),
        scope,
    };
    let expected = [
        fifo("/run/all", FifoScope::All),
        fifo("/run/vrrp", FifoScope::Vrrp),
        fifo("/run/l v s", FifoScope::Lvs),
    ];
    assert_eq!(parsed.config.unwrap().fifos, expected);
}
