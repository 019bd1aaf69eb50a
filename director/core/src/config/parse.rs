//! Both files to one [`Config`]: the order of reading, and what must be unique across blocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Needed, Place, Severity, Sink};
use super::expand::expand;
use super::fullnat::{Places, Wish};
use super::global::Global;
use super::global::sync::SyncWords;
use super::instance::{self, Instance};
use super::keywords::{Block, nearest};
use super::lex::lex;
use super::outside::Reading;
use super::read::Reader;
use super::service::{self, Groups};
use super::statics::Words;
use super::sync_group::{self, GroupWords};
use super::text::Text;
use super::track::{self, Tracks};
use super::tree::{Statement, Tree};
use super::watches::Watches;
use super::{
    Config, GarpGroup, LinkDelay, Node, Router, SyncDaemon, SyncGroup, VirtualAddress,
    VirtualServer, check, garp_group, group, node, tls,
};
use crate::limits;
use crate::net::{IfName, Name};

/// One file.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its name, as diagnostics are to show it.
    pub name: &'a str,
    /// Its bytes; they need not be UTF-8.
    pub bytes: &'a [u8],
}

/// What became of the two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The configuration; none when there is an error in either file.
    pub config: Option<Config>,
    /// router.conf as far as it could be read, so that a node whose keepalived.conf is broken still has its
    /// interfaces.
    pub node: Node,
    /// All problems, in the order of the files (keepalived.conf first) and places, at most
    /// [`limits::DIAGNOSTICS_MAX`], each once.
    pub diagnostics: Vec<Diagnostic>,
    /// Files that the configuration names; see [`Parsed::require`].
    needs: Vec<(Needed, String, Diagnostic)>,
}

impl Parsed {
    /// Refuses a configuration that names files which are not there: `absent` says of a path what is wrong with it,
    /// as `is not there`. The core knows no files; so this is for whoever does, and has to be called once.
    pub fn require(&mut self, absent: impl Fn(Needed, &str) -> Option<String>) {
        for (what, path, mut problem) in core::mem::take(&mut self.needs) {
            let Some(reason) = absent(what, &path) else {
                continue;
            };
            problem.message = format!("{} {reason}", problem.message);
            let place = (problem.line, problem.column);
            let before = self.diagnostics.iter().take_while(|before| {
                before.file == problem.file && (before.line, before.column) <= place
            });
            let index = before.count();
            self.diagnostics.insert(index, problem);
            self.diagnostics.truncate(limits::DIAGNOSTICS_MAX);
            self.config = None;
        }
    }

    /// At least one diagnostic is an error; then there is no `config`.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Reads keepalived.conf and router.conf, where there is nothing outside of them. A file that is not there says
/// nothing, and that is no error.
#[must_use]
pub fn parse(keepalived: Option<Source<'_>>, router: Option<Source<'_>>) -> Parsed {
    parse_with(keepalived, router, &Reading::default())
}

/// Reads keepalived.conf and router.conf, and the files that they include. A source's name is its path: what it
/// includes is looked for beside it.
#[must_use]
pub fn parse_with(
    keepalived: Option<Source<'_>>,
    router: Option<Source<'_>>,
    reading: &Reading<'_>,
) -> Parsed {
    let mut sink = Sink::new(keepalived.into_iter().chain(router).collect());
    let router_index = u16::from(keepalived.is_some());
    let mut node = Node::default();
    if router.is_some_and(|source| is_short_enough(&mut sink, router_index, source)) {
        let text = expand(&mut sink, router_index, None, reading.outside);
        let tree = tree(&mut sink, &text, Block::RouterConf);
        node = node::read(&mut Reader::new(&mut sink), tree.statements());
    }
    let identity = node
        .hostname
        .as_deref()
        .and_then(|name| name.split('.').next())
        .map(str::as_bytes);
    let mut config = Config::default();
    if keepalived.is_some_and(|source| is_short_enough(&mut sink, 0, source)) {
        sink.lenient = reading.lenient || node.lenient;
        let text = expand(&mut sink, 0, identity, reading.outside);
        let tree = tree(&mut sink, &text, Block::Keepalived);
        let known = router.map(|_| &node);
        config = Assembly::default().read(&mut Reader::new(&mut sink), &tree, known);
    }
    config.node = node.clone();
    let config = Some(config).filter(|_| !sink.has_errors());
    Parsed {
        config,
        node,
        needs: sink.needs(),
        diagnostics: sink.finish(),
    }
}

fn is_short_enough(sink: &mut Sink<'_>, index: u16, source: Source<'_>) -> bool {
    let is_short = source.bytes.len() <= limits::CONFIG_BYTES_MAX;
    if !is_short {
        let at = Place {
            source: index,
            offset: 0,
        };
        let most = limits::CONFIG_BYTES_MAX >> 20;
        sink.error(at, format!("the file has more than {most} MB"));
    }
    is_short
}

fn tree<'a>(sink: &mut Sink<'_>, text: &'a Text<'a>, root: Block) -> Tree<'a> {
    let tokens = lex(text, sink);
    Tree::build(text, tokens, root, sink)
}

/// What a VRID is unique for: an interface and a family; unicast routers may share it when their sources or peers
/// differ.
type VridKey = (
    crate::net::IfName,
    crate::net::Family,
    u8,
    Option<(Option<core::net::IpAddr>, Vec<core::net::IpAddr>)>,
);

/// keepalived.conf on its way, with the places of all that must be unique.
#[derive(Default)]
struct Assembly {
    global: Global,
    statics: Words,
    routers: Vec<Router>,
    /// Of each router: what it tracks.
    tracked: Vec<Vec<track::Entry>>,
    watches: Watches,
    link_delays: Vec<LinkDelay>,
    garp_groups: Vec<GarpGroup>,
    /// Interfaces of those.
    paced: Vec<(IfName, Place)>,
    services: Vec<Arc<VirtualServer>>,
    sync: Option<SyncWords>,
    names: BTreeMap<Name, (Place, Option<u8>)>,
    vrids: BTreeMap<VridKey, Place>,
    /// Those that are of one interface alone have its name.
    addresses: BTreeMap<(core::net::IpAddr, Option<crate::net::IfName>), Place>,
    groups: Groups,
    ids: BTreeMap<crate::ipvs::ServiceId, Place>,
    /// Of each service, what it says of FULLNAT.
    wishes: Vec<Wish>,
    kernel_services: usize,
    dests: usize,
    /// The first service with a real server of another address family.
    mixed: Option<Place>,
}

impl Assembly {
    fn read(mut self, reader: &mut Reader<'_, '_>, tree: &Tree<'_>, node: Option<&Node>) -> Config {
        let mut instances = Vec::new();
        let mut groups = Vec::new();
        let mut watches = Vec::new();
        let mut servers = Vec::new();
        reader.each(
            Block::Keepalived,
            tree.statements(),
            |reader, word, statement| match word {
                "global_defs" => self.global.read(reader, statement),
                "vrrp_instance" => instances.push(statement),
                "virtual_server_group" => self.group(reader, statement),
                word if Words::has(word) => self.statics.read(reader, word, statement),
                "SSL" => tls::read(reader, statement),
                "vrrp_script" | "track_probe" | "track_file" => watches.push((word, statement)),
                "garp_group" => {
                    let group = garp_group::read(reader, statement, &mut self.paced);
                    self.garp_groups.extend(group);
                }
                "interface_up_down_delays" => self.link_delays(reader, statement),
                "vrrp_sync_group" => groups.push(statement),
                _ => servers.push(statement),
            },
        );
        // The defaults of `global_defs` hold for all, also for what is above it.
        for (word, statement) in watches {
            self.watches.read(reader, word, statement);
        }
        for statement in instances {
            self.instance(reader, statement, node);
        }
        reader.files = self.watches.files();
        let groups = groups.into_iter();
        let groups: Vec<_> = groups
            .map(|block| sync_group::read(reader, block))
            .collect();
        self.trackers(reader, &groups);
        let groups = self.sync_groups(reader, groups);
        for statement in servers {
            self.server(reader, statement);
        }
        check::reserve(reader, &self.services, &self.ids);
        check::of_own(reader, &self.services, &self.routers, &self.ids);
        let local_addresses = self.fullnat(reader, node);
        let statics = self
            .statics
            .resolve(reader, &self.global, &mut self.addresses);
        let sync_daemon = self.sync_daemon(reader);
        Config {
            node: Node::default(),
            routers: self.routers,
            groups,
            garp_groups: self.garp_groups,
            watches: self.watches.list,
            link_delays: self.link_delays,
            services: self.services,
            statics,
            local_addresses,
            sync_daemon,
            timeouts: self.global.timeouts,
            fifos: self.global.fifos,
            notices: core::mem::take(&mut reader.notices),
        }
    }

    fn instance(
        &mut self,
        reader: &mut Reader<'_, '_>,
        statement: Statement<'_>,
        node: Option<&Node>,
    ) {
        if reader.sink.is_full() {
            return;
        }
        let instance = instance::read(reader, statement, &self.global);
        self.unique_instance(reader, &instance);
        if let Some((interface, at)) = &instance.interface
            && let Some(node) = node.filter(|node| !node.interfaces.is_empty())
            && !node.interfaces.iter().any(|known| known.name == *interface)
        {
            let names = node.interfaces.iter().map(|known| known.name.as_str());
            let near = nearest(interface.as_str(), names);
            let message = format!("`{interface}` is not an interface of router.conf");
            let report = reader.sink.warning(*at, message);
            if let Some(near) = near {
                report.hint(format!("did you mean `{near}`?"));
            }
        }
        if self.routers.len() == limits::ROUTERS_MAX {
            let message = format!("more than {} virtual routers", limits::ROUTERS_MAX);
            reader.sink.error(instance.at, message);
        }
        if let Some((interface, at)) = instance.sync_interface {
            let name = instance.name.map(|name| (name, at));
            let words = SyncWords {
                router: name,
                ..SyncWords::new(interface, at)
            };
            self.sync(reader, words);
        }
        if let Some(router) = instance.router {
            self.routers.push(router);
            self.tracked.push(instance.tracked);
        }
    }

    fn unique_instance(&mut self, reader: &mut Reader<'_, '_>, instance: &Instance) {
        let vrid = instance.vrid.map(|(vrid, _)| vrid);
        if let Some(name) = &instance.name {
            match self.names.get(name) {
                Some((first, _)) => {
                    reader.twice(instance.at, &format!("`vrrp_instance {name}`"), *first);
                }
                None => drop(self.names.insert(name.clone(), (instance.at, vrid))),
            }
        }
        if let (Some((interface, _)), Some((vrid, at))) = (&instance.interface, instance.vrid) {
            let unicast = instance.unicast.clone();
            let key = (interface.clone(), instance.family, vrid, unicast);
            match self.vrids.get(&key) {
                Some(first) => reader.twice(
                    at,
                    &format!("virtual router {vrid} on `{interface}`"),
                    *first,
                ),
                None => drop(self.vrids.insert(key, at)),
            }
        }
        for (cidr, scope, at) in &instance.addresses {
            let key = (cidr.address, scope.clone());
            match self.addresses.get(&key) {
                Some(first) => reader.twice(
                    *at,
                    &format!("the virtual address `{}`", cidr.address),
                    *first,
                ),
                None => drop(self.addresses.insert(key, *at)),
            }
        }
    }

    /// Sync groups: each name once, each member in one of them, and all of them there.
    fn sync_groups(
        &mut self,
        reader: &mut Reader<'_, '_>,
        groups: Vec<GroupWords>,
    ) -> Vec<SyncGroup> {
        let mut names: BTreeMap<Name, Place> = BTreeMap::new();
        let mut members: BTreeMap<Name, Place> = BTreeMap::new();
        let mut resolved = Vec::new();
        for group in groups {
            if let Some(name) = &group.name {
                match names.get(name) {
                    Some(first) => {
                        reader.twice(group.at, &format!("`vrrp_sync_group {name}`"), *first);
                    }
                    None => drop(names.insert(name.clone(), group.at)),
                }
            }
            for (member, at) in &group.members {
                if !self.names.contains_key(member) {
                    self.no_instance(reader, member, *at);
                }
                match members.get(member) {
                    Some(first) => {
                        let what = format!("`{member}` as a member of a sync group");
                        reader.twice(*at, &what, *first);
                    }
                    None => drop(members.insert(member.clone(), *at)),
                }
            }
            resolved.extend(group.resolve(reader));
        }
        resolved
    }

    /// What a virtual router tracks, and what its group does.
    fn trackers(&mut self, reader: &mut Reader<'_, '_>, groups: &[GroupWords]) {
        let watches = self.watches.weights();
        for (router, tracked) in self.routers.iter_mut().zip(&self.tracked) {
            let is_member = |group: &&GroupWords| {
                let mut members = group.members.iter();
                members.any(|(name, _)| *name == router.name)
            };
            let group = groups.iter().find(is_member);
            let owner = router.priority == 255;
            let unweighted = group.is_some_and(|group| !group.weighted);
            let own = Tracks { owner, unweighted };
            router.trackers = track::resolve(reader, tracked, own, &watches);
            let Some(group) = group else { continue };
            // What the whole group tracks moves all its members alike.
            let shared = Tracks {
                owner,
                unweighted: false,
            };
            for tracker in track::resolve(reader, &group.tracked, shared, &watches) {
                if !router.trackers.iter().any(|had| had.of == tracker.of) {
                    router.trackers.push(tracker);
                }
            }
        }
    }

    fn link_delays(&mut self, reader: &mut Reader<'_, '_>, statement: Statement<'_>) {
        for (delay, at) in track::link_delays(reader, statement) {
            let mut had = self.link_delays.iter();
            if had.any(|had| had.interface == delay.interface) {
                let message = format!("`{}` has its delays already", delay.interface);
                reader.sink.error(at, message);
            } else {
                self.link_delays.push(delay);
            }
        }
    }

    fn no_instance(&self, reader: &mut Reader<'_, '_>, name: &Name, at: Place) {
        let near = nearest(name.as_str(), self.names.keys().map(Name::as_str)).map(str::to_owned);
        let message = format!("there is no `vrrp_instance {name}`");
        let report = reader.sink.error(at, message);
        if let Some(near) = near {
            report.hint(format!("did you mean `{near}`?"));
        }
    }

    fn sync(&mut self, reader: &mut Reader<'_, '_>, words: SyncWords) {
        match &self.sync {
            Some(first) => reader.twice(words.at, "the synchronisation of connections", first.at),
            None => self.sync = Some(words),
        }
    }

    fn sync_daemon(&mut self, reader: &mut Reader<'_, '_>) -> Option<SyncDaemon> {
        if let Some(words) = self.global.sync_daemon.take() {
            let first = self.sync.take();
            self.sync = Some(words);
            if let Some(later) = first {
                self.sync(reader, later);
            }
        }
        let words = self.sync.take()?;
        let mut vrid = None;
        if let Some((name, at)) = &words.router {
            match self.names.get(name) {
                Some((_, found)) => vrid = *found,
                None => self.no_instance(reader, name, *at),
            }
        }
        if let Some(place) = self.mixed {
            let line = reader.sink.line(place, words.at);
            let message = format!(
                "the kernel synchronises nothing while a tunnel crosses families, as on {line}"
            );
            reader.sink.error(words.at, message);
        }
        Some(words.resolve(vrid))
    }

    fn server(&mut self, reader: &mut Reader<'_, '_>, statement: Statement<'_>) {
        if reader.sink.is_full() {
            return;
        }
        let found = service::read(reader, statement, &self.groups);
        let twice = found.ids.iter().find_map(|id| {
            let first = *self.ids.entry(*id).or_insert(found.at);
            (first != found.at).then_some((*id, first))
        });
        if let Some((id, first)) = twice {
            reader.twice(found.at, &format!("the service {id}"), first);
        }
        let Some(server) = found.server else { return };
        service::never_rests(reader, &self.routers, &server, found.suspends);
        let before = (self.kernel_services, self.dests);
        let pool = server.real_servers.len() + usize::from(server.sorry.is_some());
        self.kernel_services += found.ids.len();
        self.dests += pool * found.ids.len();
        if before.0 <= limits::SERVICES_MAX && self.kernel_services > limits::SERVICES_MAX {
            let message = format!("more than {} services", limits::SERVICES_MAX);
            reader.sink.error(found.at, message);
        }
        if before.1 <= limits::DESTS_MAX && self.dests > limits::DESTS_MAX {
            let message = format!(
                "more than {} real servers in all services together",
                limits::DESTS_MAX
            );
            reader.sink.error(found.at, message);
        }
        if server.is_mixed() {
            self.mixed = self.mixed.or(Some(found.at));
        }
        if self.kernel_services <= limits::SERVICES_MAX {
            self.services.push(server.into());
            self.wishes.push(found.fullnat);
        }
    }

    /// Gives FULLNAT services their local addresses; those that belong to no virtual router.
    fn fullnat(&mut self, reader: &mut Reader<'_, '_>, node: Option<&Node>) -> Vec<VirtualAddress> {
        let mut places = Places::new(&mut self.routers, &self.global.locals, node);
        for (server, wish) in self.services.iter_mut().zip(&self.wishes) {
            places.settle(reader, Arc::make_mut(server), wish);
        }
        places.fixed
    }

    fn group(&mut self, reader: &mut Reader<'_, '_>, statement: Statement<'_>) {
        let Some(group) = group::read(reader, statement) else {
            return;
        };
        match self.groups.get(&group.name) {
            Some(first) => reader.twice(group.at, &statement.title(), first.at),
            None => drop(self.groups.insert(group.name.clone(), group)),
        }
    }
}
