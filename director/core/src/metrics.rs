//! The status as Prometheus reads it: the text format 0.0.4, in pieces, so that a table of ten thousand dests is
//! written between adverts.
//!
//! Names follow the conventions: `keelson_`, a noun, the base unit, `_total` for what only grows. The families are one
//! table for each kind of thing; each row of it is written once for each thing, all rows of a family together.

mod families;

use core::fmt::Write as _;
use std::collections::BTreeMap;

use crate::status::{
    CheckStatus, DestStatus, InterfaceStatus, OutletStatus, RouterStatus, ServiceStatus, Status,
    SyncStatus,
};

/// What the text is, for the header of an answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bytes after which a piece ends: what a socket takes at once, and some tens of microseconds of work.
const PIECE_BYTES: usize = 16 << 10;

/// A status on its way to text.
#[derive(Debug)]
pub struct Metrics {
    status: Status,
    /// Service and place in its pool, of every dest.
    dests: Vec<(usize, usize)>,
    /// Which of those with the same labels a check is, counted from 0.
    ordinals: Vec<u32>,
    table: usize,
    family: usize,
    row: usize,
}

/// One metric of one kind of thing.
struct Family<T> {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: fn(&T, &mut Samples<'_>),
}

/// Where the samples of one thing go.
struct Samples<'o> {
    out: &'o mut String,
    name: &'static str,
    labels: &'o str,
    now_us: u64,
}

impl Metrics {
    /// Everything that a status says, from its beginning.
    #[must_use]
    pub fn new(status: Status) -> Self {
        let pools = status.services.iter().enumerate();
        let dests = pools
            .flat_map(|(service, pool)| (0..pool.dests.len()).map(move |dest| (service, dest)));
        let dests = dests.collect();
        let mut seen: BTreeMap<(&str, &str, &str), u32> = BTreeMap::new();
        let ordinals = status.checks.iter().map(|check| {
            let next = seen
                .entry((&check.service, &check.target, &check.kind))
                .or_default();
            *next += 1;
            *next - 1
        });
        let ordinals = ordinals.collect();
        Self {
            status,
            dests,
            ordinals,
            table: 0,
            family: 0,
            row: 0,
        }
    }

    /// The next piece of the text; none when all has been given.
    #[must_use]
    pub fn next_piece(&mut self) -> Option<String> {
        let mut piece = String::new();
        while piece.len() < PIECE_BYTES && self.step(&mut piece) {}
        Some(piece).filter(|piece| !piece.is_empty())
    }

    /// Writes one thing's samples of one family, or goes on to the next table; false at the end.
    fn step(&mut self, out: &mut String) -> bool {
        let mut at = At {
            family: self.family,
            row: self.row,
            now_us: self.status.now_us,
        };
        let Some(went_on) = self.row(&mut at, out) else {
            return false;
        };
        (self.family, self.row) = (at.family, at.row);
        if !went_on {
            self.table += 1;
            (self.family, self.row) = (0, 0);
        }
        true
    }

    /// Writes a row of the table that it is at; false at the table's end, none at the end of all.
    fn row(&self, at: &mut At, out: &mut String) -> Option<bool> {
        let Status {
            routers,
            services,
            checks,
            interfaces,
            sync,
            outlets,
            ..
        } = &self.status;
        let dest = |index: usize| {
            let (service, dest) = *self.dests.get(index)?;
            let service = services.get(service)?;
            let dest = service.dests.get(dest)?;
            Some((dest_labels(service, dest), dest))
        };
        let check = |index: usize| {
            let check = checks.get(index)?;
            let ordinal = self.ordinals.get(index).copied().unwrap_or_default();
            Some((check_labels(check, ordinal), check))
        };
        Some(match self.table {
            0 => row(families::NODE, at, 1, out, |_| {
                Some((String::new(), &self.status))
            }),
            1 => row(
                families::ROUTER,
                at,
                routers.len(),
                out,
                each(routers, router_labels),
            ),
            2 => row(
                families::SERVICE,
                at,
                services.len(),
                out,
                each(services, service_labels),
            ),
            3 => row(families::DEST, at, self.dests.len(), out, dest),
            4 => row(families::CHECK, at, checks.len(), out, check),
            5 => row(
                families::INTERFACE,
                at,
                interfaces.len(),
                out,
                each(interfaces, interface_labels),
            ),
            6 => row(families::SYNC, at, sync.len(), out, each(sync, sync_labels)),
            7 => row(
                families::OUTLET,
                at,
                outlets.len(),
                out,
                each(outlets, outlet_labels),
            ),
            _ => return None,
        })
    }
}

/// Where in a table, and when.
struct At {
    family: usize,
    row: usize,
    now_us: u64,
}

/// Things of a list with their labels.
fn each<'s, T>(
    list: &'s [T],
    labels: fn(&T) -> String,
) -> impl Fn(usize) -> Option<(String, &'s T)> {
    move |index| list.get(index).map(|thing| (labels(thing), thing))
}

/// Writes one row of one family and moves on; false at the end of the table.
fn row<'s, T: 's>(
    families: &[Family<T>],
    at: &mut At,
    rows: usize,
    out: &mut String,
    thing: impl Fn(usize) -> Option<(String, &'s T)>,
) -> bool {
    let Some(family) = families.get(at.family) else {
        return false;
    };
    let Family {
        name, kind, help, ..
    } = family;
    if at.row == 0 && rows > 0 {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
    if let Some((labels, thing)) = thing(at.row) {
        let mut into = Samples {
            out,
            name,
            labels: &labels,
            now_us: at.now_us,
        };
        (family.samples)(thing, &mut into);
    }
    at.row += 1;
    if at.row >= rows {
        at.family += 1;
        at.row = 0;
    }
    true
}

impl Samples<'_> {
    fn number(&mut self, value: impl Into<i128>) {
        self.put("", &value.into().to_string());
    }

    fn flag(&mut self, value: bool) {
        self.number(u64::from(value));
    }

    /// Microseconds, written as seconds.
    fn seconds(&mut self, micros: u64) {
        self.put("", &seconds(micros));
    }

    /// The time since a moment.
    fn age(&mut self, since_us: u64) {
        self.seconds(self.now_us.saturating_sub(since_us));
    }

    /// A sample with one label more.
    fn labelled(&mut self, label: &str, text: &str, value: impl Into<i128>) {
        self.put(&labels(&[(label, text)]), &value.into().to_string());
    }

    fn put(&mut self, more: &str, value: &str) {
        let Self {
            out, name, labels, ..
        } = self;
        let comma = if labels.is_empty() || more.is_empty() {
            ""
        } else {
            ","
        };
        let _ = if labels.is_empty() && more.is_empty() {
            writeln!(out, "{name} {value}")
        } else {
            writeln!(out, "{name}{{{labels}{comma}{more}}} {value}")
        };
    }
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// `NAME="VALUE",..`
fn labels(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{name}=\"");
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

fn router_labels(router: &RouterStatus) -> String {
    let vrid = router.vrid.to_string();
    labels(&[
        ("router", &router.name),
        ("interface", &router.interface),
        ("vrid", &vrid),
        ("family", &router.family),
    ])
}

/// As events and checks name it.
fn service_name(service: &ServiceStatus) -> String {
    let ServiceStatus {
        protocol,
        address,
        port,
        mark,
        ..
    } = service;
    match (address.as_str(), address.contains(':')) {
        ("", _) => format!("{protocol} {mark}"),
        (_, true) => format!("{protocol} [{address}]:{port}"),
        (_, false) => format!("{protocol} {address}:{port}"),
    }
}

fn service_labels(service: &ServiceStatus) -> String {
    labels(&[
        ("service", &service_name(service)),
        ("group", &service.group),
    ])
}

fn dest_labels(service: &ServiceStatus, dest: &DestStatus) -> String {
    let port = dest.port;
    let place = if dest.address.contains(':') {
        format!("[{}]:{port}", dest.address)
    } else {
        format!("{}:{port}", dest.address)
    };
    let role = if dest.state == "sorry" {
        "sorry"
    } else {
        "real"
    };
    labels(&[
        ("service", &service_name(service)),
        ("dest", &place),
        ("forwarding", &dest.forwarding),
        ("role", role),
    ])
}

fn check_labels(check: &CheckStatus, ordinal: u32) -> String {
    let ordinal = ordinal.to_string();
    labels(&[
        ("service", &check.service),
        ("target", &check.target),
        ("kind", &check.kind),
        ("ordinal", &ordinal),
    ])
}

fn interface_labels(interface: &InterfaceStatus) -> String {
    labels(&[
        ("interface", &interface.name),
        ("kernel_name", &interface.kernel_name),
    ])
}

fn outlet_labels(outlet: &OutletStatus) -> String {
    labels(&[("kind", &outlet.kind), ("to", &outlet.to)])
}

fn sync_labels(sync: &SyncStatus) -> String {
    let id = sync.id.to_string();
    labels(&[
        ("role", &sync.role),
        ("interface", &sync.interface),
        ("id", &id),
    ])
}
