//! What taking a new configuration into force would change, and what of that a connection in flight would feel.
//!
//! The rules are those of the reload itself: what the kernel should hold comes from [`plan`], what leads there from
//! [`diff`], which virtual router goes on from [`Router::goes_on_as`]. What the moment decides is taken at its best:
//! all real servers are healthy, all virtual routers Active, all links up.

mod links;

use core::fmt;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use self::links::links;
use crate::config::{Config, Router, ServerCheck, VirtualAddress, VirtualServer};
use crate::kernel::{Actual, Desired, Link, Op};
use crate::net::Ifindex;
use crate::plan::{self, Situation};
use crate::pool::{self, Place, Quorum};
use crate::time::Duration;
use crate::{diff, limits};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What changes, in words.
    pub what: String,
    /// What it does to what is in flight, in words; none when nobody feels it.
    pub cost: Option<&'static str>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.cost {
            Some(cost) => write!(f, " -- {cost}"),
            None => Ok(()),
        }
    }
}

const ENDS: Option<&str> = Some("its connections end");

/// All that a reload would change, the network first, then virtual routers, services and checks.
#[must_use]
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let links = links(old, new);
    let (had, wanted) = (desired(old, &links), desired(new, &links));
    let actual = actual(&had, &wanted, &links);
    let mut changes = Vec::new();
    node(old, new, &mut changes);
    let mut ops = diff::network(&wanted, &actual);
    ops.extend(diff::filter(&wanted, &actual));
    ops.extend(diff::ipvs(&wanted, &actual));
    let (network, ipvs): (Vec<Op>, Vec<Op>) = ops
        .into_iter()
        .partition(|op| matches!(op.part(), crate::kernel::Part::Network));
    let virtuals = [old, new].into_iter().flat_map(|config| &config.routers);
    let virtuals = virtuals.flat_map(Router::virtual_addresses);
    let quorums = [old, new]
        .into_iter()
        .flat_map(|config| quorums(config).into_keys());
    let virtuals = virtuals.chain(quorums);
    let virtuals: BTreeSet<IpAddr> = virtuals.map(|address| address.cidr.address).collect();
    changes.extend(
        network
            .iter()
            .map(|op| network_change(op, &links, &virtuals)),
    );
    routers(old, new, &mut changes);
    groups(old, new, &mut changes);
    let leave = |op: &Op| leave(op, old, new);
    changes.extend(ipvs.iter().map(|op| ipvs_change(op, leave(op))));
    rules(old, new, &mut changes);
    checks(old, new, &mut changes);
    changes
}

/// The changes as lines to be read, at most `most` and one, and in the end what they cost together.
#[must_use]
pub fn lines(changes: &[Change], most: usize) -> Vec<String> {
    let mut lines: Vec<String> = changes.iter().take(most).map(Change::to_string).collect();
    let left = changes.len().saturating_sub(most);
    let more = if left > 0 {
        format!("and {left} more; ")
    } else {
        String::new()
    };
    let costly = changes
        .iter()
        .filter(|change| change.cost.is_some())
        .count();
    lines.push(match (changes.len(), costly) {
        (0, _) => "nothing would change".to_owned(),
        (all, 0) => format!("{more}{all} changes, and nothing in flight suffers"),
        (all, costly) => format!("{more}{all} changes, {costly} of which are felt"),
    });
    lines
}

fn desired(config: &Config, links: &BTreeMap<Ifindex, Link>) -> Desired {
    let routers: Vec<(&Router, bool)> =
        config.routers.iter().map(|router| (router, true)).collect();
    let filter = Arc::new(plan::filter(config));
    let situation = Situation {
        links,
        routers: &routers,
        quorums: &quorums(config),
        filter: &filter,
        stopping: false,
    };
    let mut desired = plan::plan(config, &situation);
    for server in &config.services {
        let place = |index: usize| match server.real_servers.get(index) {
            Some(real) => Place::serves(real.dest.weight),
            None => Place::Out,
        };
        let dests = pool::dests(server, Quorum::new(server, place), place);
        for id in server.ids() {
            desired.table.0.insert(id, plan::pool(server, &id, &dests));
        }
    }
    desired
}

/// The addresses of `quorum_up`.
fn quorums(config: &Config) -> BTreeMap<&VirtualAddress, bool> {
    let servers = config.services.iter();
    let addresses = servers.filter_map(|server| server.quorum_address.as_deref());
    addresses.map(|address| (address, true)).collect()
}

/// A kernel that holds just what the old configuration wants.
fn actual(had: &Desired, wanted: &Desired, links: &BTreeMap<Ifindex, Link>) -> Actual {
    let mut links = links.clone();
    let is_there = |link: &Link| {
        let vmac = had.vmacs.get(&link.name);
        link.macvlan.is_none() || vmac.is_some_and(|vmac| vmac.is(link))
    };
    links.retain(|_, link| is_there(link));
    for link in links.values_mut() {
        let mtu = |desired: &Desired| desired.links.get(&link.ifindex).copied().flatten();
        // What nobody sets any more stays as it is.
        link.mtu = mtu(had)
            .or_else(|| mtu(wanted).map(|_| 0))
            .unwrap_or_default();
    }
    let options = had.addresses.iter();
    let options = options.map(|id| (*id, had.options.get(id).cloned()));
    Actual {
        links,
        addresses: had.addresses.iter().map(|id| (*id, true)).collect(),
        options: options.collect(),
        routes: had.routes.clone(),
        rules: had.rules.clone(),
        filter: Some(Arc::clone(&had.filter)),
        table: had.table.clone(),
        sync: had.sync.clone(),
        // Told of already.
        timeouts: wanted.timeouts,
        ..Actual::default()
    }
}

fn node(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    let mut say = |what: String| changes.push(Change { what, cost: None });
    if old.node.hostname != new.node.hostname {
        let name = new.node.hostname.as_deref().unwrap_or("none");
        say(format!("the node is called {name}"));
    }
    if old.node.secret != new.node.secret {
        say("the console's secret is another".to_owned());
    }
    if old.timeouts != new.timeouts {
        say("lvs_timeouts are others".to_owned());
    }
}

fn network_change(op: &Op, links: &BTreeMap<Ifindex, Link>, virtuals: &BTreeSet<IpAddr>) -> Change {
    let name = |ifindex: &Ifindex| links.get(ifindex).map_or("", |link| link.name.as_str());
    let kind = |address| {
        if virtuals.contains(&address) {
            "virtual address"
        } else {
            "address"
        }
    };
    let (what, cost) = match op {
        Op::AddAddress(id, _) => {
            let (kind, cidr, name) = (kind(id.cidr.address), id.cidr, name(&id.ifindex));
            (format!("{kind} {cidr} comes to {name}"), None)
        }
        Op::DelAddress(id) => {
            let (kind, cidr, name) = (kind(id.cidr.address), id.cidr, name(&id.ifindex));
            (format!("{kind} {cidr} goes from {name}"), ENDS)
        }
        Op::AddVmac { name, mac, .. } => (format!("device {name} comes, with {mac}"), None),
        Op::DelVmac(ifindex) => (format!("device {} goes", name(ifindex)), None),
        Op::LinkMtu(ifindex, mtu) => (format!("the MTU of {} becomes {mtu}", name(ifindex)), None),
        op => (op.to_string(), None),
    };
    Change { what, cost }
}

/// A setting of a virtual router, and how it is written.
type Setting = (&'static str, fn(&Router) -> String);

/// Settings whose values are told; others are only counted.
const SETTINGS: [Setting; 7] = [
    ("priority", |router| router.priority.to_string()),
    ("advert_int", |router| {
        router.advert_interval.as_secs_f64().to_string()
    }),
    ("preempt", |router| router.preempt.to_string()),
    ("preempt_delay", |router| {
        router.preempt_delay.as_secs_f64().to_string()
    }),
    ("down_timer_adverts", |router| {
        router.down_adverts.to_string()
    }),
    ("accept", |router| router.accept.to_string()),
    ("addresses", |router| {
        router.virtual_addresses().count().to_string()
    }),
];

fn routers(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    let mut say = |what: String, cost| changes.push(Change { what, cost });
    for router in &new.routers {
        let name = &router.name;
        if let Some(had) = old.routers.iter().find(|had| had.goes_on_as(router)) {
            if had != router {
                let differing = SETTINGS
                    .iter()
                    .filter(|(_, value)| value(had) != value(router));
                let words = differing
                    .map(|(word, value)| format!("{word} {} -> {}", value(had), value(router)));
                let words: Vec<String> = words.collect();
                let words = if words.is_empty() {
                    "other settings".to_owned()
                } else {
                    words.join(", ")
                };
                say(
                    format!("virtual router {name} keeps its state: {words}"),
                    None,
                );
            }
        } else if old.routers.iter().any(|had| had.name == *name) {
            let what = format!(
                "virtual router {name} begins anew: another interface, VRID, version or family"
            );
            say(
                what,
                Some("it hands over, and its addresses are away until it is Active again"),
            );
        } else {
            say(
                format!("virtual router {name} is new, and begins as Backup"),
                None,
            );
        }
    }
    let names: BTreeSet<_> = new.routers.iter().map(|router| &router.name).collect();
    for gone in old.routers.iter().filter(|had| !names.contains(&had.name)) {
        say(
            format!("virtual router {} is given up", gone.name),
            Some("it hands over first"),
        );
    }
}

fn groups(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    let mut say = |what: String| changes.push(Change { what, cost: None });
    for group in new
        .groups
        .iter()
        .filter(|group| !old.groups.contains(group))
    {
        let members: Vec<&str> = group.members.iter().map(|name| name.as_str()).collect();
        say(format!(
            "sync group {} binds {}",
            group.name,
            members.join(", ")
        ));
    }
    for gone in &old.groups {
        if !new.groups.iter().any(|group| group.name == gone.name) {
            say(format!("sync group {} is no more", gone.name));
        }
    }
}

/// How long connections may go on that an operation would end (`drain_timeout`): of a service that goes, or of one
/// that stays.
fn leave(op: &Op, old: &Config, new: &Config) -> Duration {
    let (config, id) = match op {
        Op::DelService(id) => (old, id),
        Op::DelDest(id, _) => (new, id),
        _ => return Duration::ZERO,
    };
    let mut servers = config.services.iter();
    let server = servers.find(|server| server.ids().any(|of| of == *id));
    server.map_or(Duration::ZERO, |server| server.drain_timeout)
}

fn ipvs_change(op: &Op, leave: Duration) -> Change {
    let (drains, ends) = if leave.is_zero() {
        (String::new(), ENDS)
    } else {
        let most = leave.as_secs();
        (
            format!(" when its connections have ended, at most {most} s"),
            None,
        )
    };
    let (what, cost) = match op {
        Op::NewService(id, service) => {
            (format!("service {id} is new: {}", service.scheduler), None)
        }
        Op::SetService(id, service) => (
            format!(
                "service {id} changes ({}), its connections stay",
                service.scheduler
            ),
            None,
        ),
        Op::DelService(id) => (format!("service {id} goes{drains}"), ends),
        Op::NewDest(id, dest, to) => (
            format!("service {id} gets dest {dest}, weight {}", to.weight),
            None,
        ),
        Op::SetDest(id, dest, to) => {
            let way = to.forwarding;
            (
                format!("service {id}: dest {dest} has weight {}, {way}", to.weight),
                None,
            )
        }
        Op::DelDest(id, dest) => (format!("service {id} loses dest {dest}{drains}"), ends),
        Op::StopSync(_) => (
            op.to_string(),
            Some("connections are not synchronised for a moment"),
        ),
        op => (op.to_string(), None),
    };
    Change { what, cost }
}

/// What decides when dests come and go, which the kernel is not told.
fn rules(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    let before = by_id(old);
    for server in &new.services {
        let Some(had) = before.get(&server.id) else {
            continue;
        };
        let rule = |server: &VirtualServer| {
            (
                server.quorum,
                server.hysteresis,
                server.sorry.clone(),
                server.sorry_inhibit,
            )
        };
        if rule(had) != rule(server) {
            let what = format!("service {}: another quorum or sorry server", server.id);
            changes.push(Change { what, cost: None });
        }
    }
}

/// A check goes on with its history when its real server keeps it as it is; see [`crate::check::Checks::replace`].
fn checks(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    let before = by_id(old);
    let (mut begin, mut end, mut led) = (0, 0, 0);
    for server in &new.services {
        let had = before.get(&server.id);
        if had.is_some_and(|had| *had == server) {
            continue;
        }
        let reals = had.iter().flat_map(|had| &had.real_servers);
        let mut old: BTreeMap<_, _> = reals.map(|real| (real.id, real)).collect();
        for real in &server.real_servers {
            let had = old.remove(&real.id).map_or(&[][..], |had| &had.checks);
            let same = had
                .iter()
                .zip(&real.checks)
                .filter(|(had, check)| had == check);
            let same = same.count();
            begin += real.checks.len() - same;
            end += had.len() - same;
            let ways = had.iter().map(|had| &had.how.path).map(Some);
            let ways = real.checks.iter().zip(ways.chain(core::iter::repeat(None)));
            let is_led = |(check, had): &(&ServerCheck, Option<&Option<_>>)| {
                check.how.path.is_some() && *had != Some(&check.how.path)
            };
            led += ways.filter(is_led).count();
        }
        end += old.values().map(|real| real.checks.len()).sum::<usize>();
    }
    let kept: BTreeSet<_> = new.services.iter().map(|server| server.id).collect();
    let gone = old
        .services
        .iter()
        .filter(|server| !kept.contains(&server.id));
    let gone = gone.flat_map(|server| &server.real_servers);
    end += gone.map(|real| real.checks.len()).sum::<usize>();
    if begin + end > 0 {
        let what = format!("{begin} checks begin, {end} end; all others go on with their history");
        changes.push(Change { what, cost: None });
    }
    if led > 0 {
        let what = format!("{led} checks go by way of the virtual address from now on");
        changes.push(Change { what, cost: None });
    }
}

fn by_id(config: &Config) -> BTreeMap<crate::ipvs::ServiceId, &Arc<VirtualServer>> {
    config
        .services
        .iter()
        .map(|server| (server.id, server))
        .collect()
}

const _: () = assert!(limits::ROUTERS_MAX < u32::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};

    const ROUTER: &str = "system { hostname one }\ninterface lan0 {\naddress 10.0.0.11/24\n}\n";
    const VRRP: &str = "vrrp_instance V {\ninterface lan0\nvirtual_router_id 1\npriority 100\nadvert_int 1\n\
        virtual_ipaddress {\n10.0.0.100\n}\n}\n";
    const SERVICE: &str = "virtual_server 10.0.0.100 80 {\nlb_algo rr\nlb_kind DR\nprotocol TCP\n\
        real_server 10.0.0.1 80 {\nweight 1\nTCP_CHECK {\n}\n}\n\
        real_server 10.0.0.2 80 {\nweight 1\nTCP_CHECK {\n}\n}\n}\n";

    fn config(keepalived: &str, router: &str) -> Config {
        let source = |name, text: &'static str| Source {
            name,
            bytes: text.as_bytes(),
        };
        let (keepalived, router) = (keepalived.to_owned().leak(), router.to_owned().leak());
        let parsed = parse(Some(source("k", keepalived)), Some(source("r", router)));
        let said: Vec<String> = parsed.diagnostics.iter().map(ToString::to_string).collect();
        parsed
            .config
            .unwrap_or_else(|| panic!("{}", said.join("\n")))
    }

    /// The changes when `from` is replaced by `to` in the configuration.
    fn by(from: &str, to: &str) -> Vec<String> {
        let keepalived = format!("{VRRP}{SERVICE}");
        let old = config(&keepalived, ROUTER);
        assert!(format!("{keepalived}{ROUTER}").contains(from), "{from}");
        let new = config(
            &keepalived.replacen(from, to, 1),
            &ROUTER.replacen(from, to, 1),
        );
        changes(&old, &new)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn each_edit_comes_to_its_changes() {
        for (from, to, expected) in [
            ("", "! nothing\n", &[][..]),
            ("hostname one", "hostname two", &["the node is called two"]),
            (
                "10.0.0.11/24",
                "10.0.0.12/24",
                &[
                    "address 10.0.0.11/24 goes from lan0 -- its connections end",
                    "address 10.0.0.12/24 comes to lan0",
                ],
            ),
            (
                "address 10.0.0.11/24",
                "mtu 9000\naddress 10.0.0.11/24",
                &["the MTU of lan0 becomes 9000"],
            ),
            (
                "priority 100",
                "priority 150",
                &["virtual router V keeps its state: priority 100 -> 150"],
            ),
            (
                "10.0.0.100\n",
                "10.0.0.100\n10.0.0.101\n",
                &[
                    "virtual address 10.0.0.101/32 comes to lan0",
                    "virtual router V keeps its state: addresses 1 -> 2",
                ],
            ),
            (
                "virtual_router_id 1",
                "virtual_router_id 2",
                &[
                    "virtual router V begins anew: another interface, VRID, version or family -- it hands over, \
                   and its addresses are away until it is Active again",
                ],
            ),
            (
                "instance V",
                "instance W",
                &[
                    "virtual router W is new, and begins as Backup",
                    "virtual router V is given up -- it hands over first",
                ],
            ),
            (
                "lb_algo rr",
                "lb_algo wrr",
                &["service TCP 10.0.0.100:80 changes (wrr), its connections stay"],
            ),
            (
                "weight 1",
                "weight 3",
                &["service TCP 10.0.0.100:80: dest 10.0.0.1:80 has weight 3, DR"],
            ),
            (
                "TCP_CHECK {\n",
                "TCP_CHECK {\nconnect_timeout 1\n",
                &["1 checks begin, 1 end; all others go on with their history"],
            ),
            (
                "TCP_CHECK {\n",
                "TCP_CHECK {\ndata_path\n",
                &[
                    "1 checks begin, 1 end; all others go on with their history",
                    "1 checks go by way of the virtual address from now on",
                ],
            ),
            (
                "lb_algo rr",
                "lb_algo rr\nquorum 2",
                &["service TCP 10.0.0.100:80: another quorum or sorry server"],
            ),
            (
                "real_server 10.0.0.2 80",
                "real_server 10.0.0.3 80",
                &[
                    "service TCP 10.0.0.100:80 gets dest 10.0.0.3:80, weight 1",
                    "service TCP 10.0.0.100:80 loses dest 10.0.0.2:80 -- its connections end",
                    "1 checks begin, 1 end; all others go on with their history",
                ],
            ),
            (
                SERVICE,
                "",
                &[
                    "service TCP 10.0.0.100:80 goes -- its connections end",
                    "0 checks begin, 2 end; all others go on with their history",
                ],
            ),
        ] {
            assert_eq!(by(from, to), expected, "{from} -> {to}");
        }
    }

    #[test]
    fn connections_that_are_given_time_do_not_suffer() {
        let drains = SERVICE.replacen("lb_algo rr", "lb_algo rr\ndrain_timeout 60", 1);
        let less = drains.replacen("real_server 10.0.0.2 80", "real_server 10.0.0.3 80", 1);
        let of = |from: &str, to: &str| -> Vec<String> {
            let (old, new) = (config(from, ROUTER), config(to, ROUTER));
            changes(&old, &new)
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        let leave = "when its connections have ended, at most 60 s".to_owned();
        let loses = format!("service TCP 10.0.0.100:80 loses dest 10.0.0.2:80 {leave}");
        assert!(of(&drains, &less).contains(&loses));
        let goes = format!("service TCP 10.0.0.100:80 goes {leave}");
        assert!(of(&drains, "").contains(&goes));
    }

    #[test]
    fn the_lines_are_bounded_and_end_with_the_sum() {
        let change = |cost| Change {
            what: "x".to_owned(),
            cost,
        };
        assert_eq!(lines(&[], 9), ["nothing would change"]);
        assert_eq!(
            lines(&[change(None)], 9),
            ["x", "1 changes, and nothing in flight suffers"]
        );
        let many = vec![change(ENDS); 5];
        assert_eq!(
            lines(&many, 2),
            [
                "x -- its connections end",
                "x -- its connections end",
                "and 3 more; 5 changes, 5 of which are felt"
            ]
        );
    }
}
