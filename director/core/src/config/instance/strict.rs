//! `strict_mode` and `vrrp_strict`: a virtual router as the RFCs have it, and nothing that keepalived added to them.

use super::Draft;
use crate::config::Version;
use crate::config::global::Global;
use crate::config::read::Reader;
use crate::config::tree::Statement;
use crate::net::Family;

/// What strict mode takes away, and what it has in its place.
const WITHOUT_EFFECT: [(&str, &str); 5] = [
    ("preempt_delay", "a better router preempts at once"),
    (
        "down_timer_adverts",
        "a takeover follows three missed adverts",
    ),
    (
        "vmac_xmit_base",
        "adverts come from the virtual hardware address",
    ),
    (
        "garp_lower_prio_delay",
        "a rival's advert leads to no announcement",
    ),
    (
        "garp_lower_prio_repeat",
        "a rival's advert leads to no announcement",
    ),
];

impl Draft<'_> {
    /// Brings what was read into strict mode: what it rules out is an error where keepalived refuses to run, else it
    /// is left out.
    pub(super) fn conform(
        &mut self,
        reader: &mut Reader<'_, '_>,
        block: Statement<'_>,
        global: &Global,
    ) {
        for statement in block.children() {
            let found = WITHOUT_EFFECT
                .iter()
                .find(|(word, _)| word.as_bytes() == statement.keyword().bytes);
            if let Some((word, instead)) = found {
                let message = format!("`{word}` has no effect in strict mode: {instead}");
                reader.sink.warning(statement.keyword().at, message);
            }
        }
        self.preempt_delay = None;
        self.down_adverts = Some(3);
        self.vmac.from_base = None;
        self.garp.without_rivals();
        self.conform_answers(reader, block);
        self.conform_ownership(reader, block);
        if let Some(at) = self.addressing.unicast_at() {
            reader.sink.error(at, "strict mode has no unicast peers");
        }
        if let Some(hmac) = &self.hmac {
            reader
                .sink
                .error(hmac.at, "strict mode has no authentication");
        }
        if self.no_addresses {
            let message = "strict mode has no virtual router without addresses";
            reader.sink.error(block.keyword().at, message);
        }
        if self.version(global) == Version::V2 && self.family() == Family::V6 {
            let message = "strict mode has version 3 alone over IPv6, which is taken";
            reader.sink.warning(block.keyword().at, message);
            self.version = Some(Version::V3);
        }
        // RFC 3768 has no Accept_Mode.
        if self.version(global) == Version::V2 && self.accept == Some(true) {
            let message = "`accept` has no effect in strict mode with version 2";
            reader.sink.warning(block.keyword().at, message);
            self.accept = None;
        }
        self.accept.get_or_insert(false);
    }

    /// The adverts between two Active routers are those of RFC 3768 and RFC 5798.
    fn conform_answers(&mut self, reader: &mut Reader<'_, '_>, block: Statement<'_>) {
        for (word, value, only) in [
            ("lower_prio_no_advert", &mut self.lower_prio_no_advert, true),
            (
                "higher_prio_send_advert",
                &mut self.higher_prio_send_advert,
                false,
            ),
        ] {
            if value.replace(only) == Some(!only) {
                let only = if only { "on" } else { "off" };
                let message = format!("`{word}` is {only} in strict mode");
                reader.sink.warning(block.keyword().at, message);
            }
        }
        self.owner_ignores_adverts.get_or_insert(true);
    }

    /// `state MASTER` and priority 255 are one.
    fn conform_ownership(&mut self, reader: &mut Reader<'_, '_>, block: Statement<'_>) {
        if self.priority() == 255 {
            return;
        }
        if let Some(at) = self.state_master.take() {
            let message = format!(
                "{}: in strict mode `state MASTER` means priority 255; this router begins as Backup",
                block.title()
            );
            reader.sink.warning(at, message);
        }
    }
}
