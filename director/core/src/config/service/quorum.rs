//! `quorum_up` and `quorum_down`: an address that is on the node while the service has its quorum. keepalived runs
//! programs there; that of the common idiom is understood, and no other is run.

use crate::config::diagnostic::Place;
use crate::config::read::Reader;
use crate::config::tracked::tracks;
use crate::config::tree::Statement;
use crate::config::{Router, VirtualAddress, VirtualServer};
use crate::ipvs::ServiceId;
use crate::net::Cidr;

const IDIOM: &str = "`ip addr add ADDRESS dev IF` (and `del`) needs no program; `lvs_notify_fifo` tells of every \
    change";

/// The statements.
#[derive(Clone, Copy, Default)]
pub(super) struct Words<'t> {
    pub(super) up: Option<Statement<'t>>,
    pub(super) down: Option<Statement<'t>>,
    /// `ha_suspend`.
    pub(super) suspend: Option<Place>,
}

impl Words<'_> {
    /// The address that follows the quorum, and `ha_suspend` where the checks can wait for an address of the service.
    pub(super) fn settle(
        self,
        reader: &mut Reader<'_, '_>,
        ids: &[ServiceId],
    ) -> (Option<VirtualAddress>, Option<Place>) {
        let has_address = ids.iter().any(|id| id.address().is_some());
        if let Some(at) = self.suspend.filter(|_| !has_address) {
            let message = "a firewall mark has no address to wait for: its checks always run";
            reader.sink.warning(at, message);
        }
        let suspends = self.suspend.filter(|_| has_address);
        (self.address(reader), suspends)
    }

    /// The address that both are about.
    fn address(self, reader: &mut Reader<'_, '_>) -> Option<VirtualAddress> {
        let up = self.up.map(|statement| idiom(reader, statement, "add"));
        let down = self.down.map(|statement| idiom(reader, statement, "del"));
        match (up, down) {
            (None, None) => None,
            (Some(up), Some(down)) => {
                let ((up, _), (down, at)) = (up?, down?);
                if (up.cidr.address, &up.interface) != (down.cidr.address, &down.interface) {
                    let message = "not the address and the interface of `quorum_up`";
                    reader.sink.error(at, message).hint(IDIOM);
                }
                Some(up)
            }
            (Some(one), None) | (None, Some(one)) => {
                let (_, at) = one?;
                let message = "`quorum_up` and `quorum_down` stand together";
                reader.sink.error(at, message).hint(IDIOM);
                None
            }
        }
    }
}

/// Says that the checks of a service, at whose `ha_suspend` this is, never rest when a virtual router tracks its pool.
pub(in crate::config) fn never_rests(
    reader: &mut Reader<'_, '_>,
    routers: &[Router],
    server: &VirtualServer,
    at: Option<Place>,
) {
    if let Some((at, router)) = at.zip(tracks(routers, server)) {
        let name = &router.name;
        let message =
            format!("`vrrp_instance {name}` tracks this pool: its checks run on both nodes");
        reader.sink.warning(at, message);
    }
}

/// `[/sbin/]ip [-4|-6] address add|del ADDRESS[/PREFIX] dev IF`, with the words that change nothing.
fn idiom(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
    verb: &str,
) -> Option<(VirtualAddress, Place)> {
    let at = statement.place(statement.raw().1);
    let words = reader.program(statement)?.words;
    let found = parse(&words, verb);
    if found.is_none() {
        let name = statement.keyword().quoted();
        let message = format!("{name}: the node runs no such program");
        reader.sink.error(at, message).hint(IDIOM);
    }
    Some((found?, at))
}

fn parse(words: &[String], verb: &str) -> Option<VirtualAddress> {
    let mut words = words.iter().map(String::as_str).peekable();
    let program = words.next()?;
    if program.rsplit('/').next() != Some("ip") {
        return None;
    }
    words.next_if(|word| matches!(*word, "-4" | "-6"));
    let object = words.next()?;
    // As ip does: any beginning of the word.
    let is = |whole: &str, word: &str| !word.is_empty() && whole.starts_with(word);
    let said = words.next()?;
    let is_verb = is(verb, said)
        || (verb == "add" && said == "replace")
        || (verb == "del" && said == "delete");
    if !is("address", object) || !is_verb {
        return None;
    }
    let cidr: Cidr = words.next()?.parse().ok()?;
    let mut interface = None;
    while let Some(word) = words.next() {
        match word {
            "dev" => interface = Some(words.next()?.parse().ok()?),
            "scope" | "label" | "brd" | "broadcast" => drop(words.next()?),
            "nodad" => {}
            _ => return None,
        }
    }
    let interface = interface?;
    let options = None;
    Some(VirtualAddress {
        cidr,
        interface,
        options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idiom_is_understood_in_its_forms_and_nothing_else() {
        let of = |text: &str, verb| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            let found = parse(&words, verb)?;
            Some(format!("{} {}", found.cidr, found.interface))
        };
        for text in [
            "ip addr add 192.0.2.1/32 dev lo",
            "/sbin/ip a a 192.0.2.1/32 dev lo",
            "/usr/sbin/ip -4 address replace 192.0.2.1 scope host label lo:1 dev lo",
        ] {
            assert_eq!(
                of(text, "add").as_deref(),
                Some("192.0.2.1/32 lo"),
                "{text}"
            );
        }
        assert_eq!(
            of("ip -6 addr delete 2001:db8::1/128 dev eth0", "del").as_deref(),
            Some("2001:db8::1/128 eth0")
        );
        for text in [
            "",
            "/bin/true yes",
            "ip addr add 192.0.2.1/32",
            "ip addr del 192.0.2.1/32 dev lo",
            "ip route add 192.0.2.1/32 dev lo",
            "ip addr add 192.0.2.1/32 dev lo && echo",
            "sh -c ip",
        ] {
            assert_eq!(of(text, "add"), None, "{text}");
        }
    }
}
