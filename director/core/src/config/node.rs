//! router.conf: what a distribution would have configured. Its grammar is described in [the module](super).

use core::net::IpAddr;
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::diagnostic::Place;
use super::global::required;
use super::keywords::Block;
use super::read::Reader;
use super::routing::Draft;
use super::tree::{Statement, Statements, Word};
use super::{Interface, Node, Route, monitoring};
use crate::limits;
use crate::net::{Cidr, IfName, Mac};

/// Reads router.conf; what is wrong is left out.
pub(super) fn read(reader: &mut Reader<'_, '_>, statements: Statements<'_>) -> Node {
    let mut node = Node::default();
    let mut seen = Seen::default();
    reader.each(
        Block::RouterConf,
        statements,
        |reader, word, statement| match word {
            "system" => system(reader, statement, &mut node),
            "config" => match reader.value(statement) {
                Some(word) if word.bytes == b"lenient" => node.lenient = true,
                Some(word) => reader.wrong(word, "`config` can only be `lenient`"),
                None => {}
            },
            "metrics" => node.metrics = monitoring::metrics(reader, statement),
            "interface" => {
                if let Some(interface) = interface(reader, statement, &mut seen) {
                    node.interfaces.push(interface);
                }
            }
            _ => {
                if let Some(route) = route(reader, statement) {
                    let key = (route.destination, route.metric);
                    let is_new =
                        seen.is_new(reader, What::Route(key.0, key.1), statement.keyword());
                    node.routes.extend(Some(route).filter(|_| is_new));
                }
            }
        },
    );
    node
}

/// What must not be given twice, and where it was given.
#[derive(Default)]
struct Seen(BTreeMap<What, Place>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Interface(IfName),
    Mac(Mac),
    Address(IpAddr),
    Route(Cidr, u32),
}

impl Seen {
    fn is_new(&mut self, reader: &mut Reader<'_, '_>, what: What, word: Word<'_>) -> bool {
        let name = match &what {
            What::Interface(name) => format!("the interface `{name}`"),
            What::Mac(mac) => format!("the hardware address `{mac}`"),
            What::Address(address) => format!("the address `{address}`"),
            What::Route(destination, metric) => {
                format!("the route `{destination}` with metric {metric}")
            }
        };
        if let Some(first) = self.0.get(&what) {
            reader.twice(word.at, &name, *first);
            return false;
        }
        self.0.insert(what, word.at);
        true
    }
}

fn system(reader: &mut Reader<'_, '_>, block: Statement<'_>, node: &mut Node) {
    reader.no_more(block.arguments());
    reader.each(
        Block::System,
        block.children(),
        |reader, word, statement| match word {
            "hostname" => node.hostname = hostname(reader, statement),
            "log_level" => node.log_level = monitoring::level(reader, statement),
            "syslog" => syslog(reader, statement, node),
            _ => {
                reader.no_more(statement.arguments());
                reader.each(
                    Block::Console,
                    statement.children(),
                    |reader, _, statement| {
                        node.secret = secret(reader, statement);
                    },
                );
            }
        },
    );
}

fn syslog(reader: &mut Reader<'_, '_>, block: Statement<'_>, node: &mut Node) {
    if node.syslog.len() == limits::SYSLOG_RECEIVERS_MAX {
        let message = format!(
            "more than {} machines are sent the log",
            limits::SYSLOG_RECEIVERS_MAX
        );
        reader.sink.error(block.keyword().at, message);
    } else {
        node.syslog.extend(monitoring::syslog(reader, block));
    }
}

/// RFC 1123 section 2.1: letters, digits and hyphens in labels of at most 63, together at most 64 (HOST_NAME_MAX).
fn hostname(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<String> {
    let word = reader.value(statement)?;
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = word
        .text()
        .filter(|text| text.len() <= 64 && text.split('.').all(label));
    if name.is_none() {
        reader.wrong(
            word,
            "a host name has letters, digits and hyphens, at most 64 characters",
        );
    }
    name.map(Cow::into_owned)
}

fn secret(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<String> {
    let word = reader.value(statement)?;
    let is_good = |text: &Cow<'_, str>| {
        (1..=SECRET_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
    };
    let text = word.text().filter(is_good);
    if text.is_none() {
        let message = "`secret` is a text of 1 to 128 bytes without control characters";
        reader.sink.error(word.at, message);
    }
    text.map(Cow::into_owned)
}

/// A secret is typed at a console, whose lines are bounded.
const SECRET_MAX: usize = 128;

fn interface(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    seen: &mut Seen,
) -> Option<Interface> {
    let name: Option<IfName> = reader.parse(block);
    if let Some(name) = &name {
        let what = What::Interface(name.clone());
        seen.is_new(reader, what, block.keyword());
    }
    let mut mac = None;
    let mut addresses = Vec::new();
    let mut mtu = None;
    reader.each(
        Block::Interface,
        block.children(),
        |reader, word, statement| match word {
            "match" => {
                reader.no_more(statement.arguments());
                reader.each(
                    Block::Match,
                    statement.children(),
                    |reader, _, statement| {
                        mac = reader.parse::<Mac>(statement);
                        if let Some(mac) = mac {
                            seen.is_new(reader, What::Mac(mac), statement.keyword());
                        }
                    },
                );
            }
            "address" => addresses.extend(own_address(reader, statement, seen)),
            _ => mtu = reader.number(statement, 68..=65_535),
        },
    );
    Some(Interface {
        name: name?,
        mac,
        addresses,
        mtu,
    })
}

fn own_address(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
    seen: &mut Seen,
) -> Option<Cidr> {
    let word = reader.value(statement)?;
    let cidr: Cidr = reader.parse_word(word)?;
    if cidr.address.is_unspecified() || cidr.address.is_multicast() {
        reader.wrong(word, "not an address that a machine can have");
        return None;
    }
    if !word.bytes.contains(&b'/') {
        let message = format!(
            "{} without a prefix length is one address without a network",
            word.quoted()
        );
        reader
            .sink
            .warning(word.at, message)
            .hint("write the network's length, such as /24");
    }
    seen.is_new(reader, What::Address(cidr.address), word)
        .then_some(cidr)
}

/// `route DEST [via A] [dev IF] [source A] [metric N]`, and the same words in a block.
fn route(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<Route> {
    let mut words = statement.arguments();
    let Some(destination) = words.next() else {
        reader.value(statement);
        return None;
    };
    let (mut draft, mut good) = (Draft::default(), true);
    while let Some(option) = words.next() {
        let value = required(reader, option, words.next())?;
        let known = match option.bytes {
            b"via" => "via",
            b"dev" => "dev",
            b"source" => "source",
            b"metric" => "metric",
            _ => {
                reader.wrong(option, "not one of via, dev, source, metric");
                return None;
            }
        };
        good &= read_route(reader, &mut draft, known, value).is_some();
    }
    reader.each(
        Block::Route,
        statement.children(),
        |reader, word, statement| {
            if let Some(value) = reader.value(statement) {
                good &= read_route(reader, &mut draft, word, value).is_some();
            }
        },
    );
    // What could not be read has been said.
    if good {
        draft.finish(reader, destination)
    } else {
        None
    }
}

fn read_route(
    reader: &mut Reader<'_, '_>,
    draft: &mut Draft,
    option: &str,
    value: Word<'_>,
) -> Option<()> {
    match option {
        "via" => draft.via(reader, value),
        "dev" => draft.interface(reader, value),
        "source" => draft.source(reader, value),
        _ => draft.metric(reader, value),
    }
}
