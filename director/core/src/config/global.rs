//! `global_defs`: what holds for all virtual routers and services.

pub(super) mod sync;

use core::net::IpAddr;

use self::sync::SyncWords;
use super::fullnat;
use super::keywords::Block;
use super::program;
use super::read::{Reader, decimal};
use super::tree::{Statement, Word};
use super::{Fifo, Garp, Version, monitoring};
use crate::net::{Family, IfName, ParseError};
use crate::time::Duration;
use crate::wire::vrrp;

/// Longest time that a keyword takes where keepalived names no limit of its own.
pub(super) const TIME_MAX: Duration = Duration::from_secs(4294);

/// A day, a bound for schedules that make no sense beyond it.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// More rounds of announcements than any switch needs.
const REPEAT_MAX: u32 = 1000;

/// `global_defs` with keepalived's defaults.
#[derive(Debug)]
pub(super) struct Global {
    /// The interface of static addresses that name none.
    pub(super) interface: Option<IfName>,
    pub(super) version: Version,
    pub(super) groups: [IpAddr; 2],
    pub(super) garp: GarpWords,
    pub(super) garp_interval: Duration,
    pub(super) gna_interval: Duration,
    pub(super) down_adverts: u8,
    pub(super) checksum_as_v2: bool,
    pub(super) lower_prio_no_advert: bool,
    pub(super) higher_prio_send_advert: bool,
    pub(super) startup_delay: Duration,
    pub(super) delay_after_boot: Duration,
    pub(super) owner_ignores_adverts: bool,
    /// `vrrp_strict`
    pub(super) strict: bool,
    /// On unless the file says otherwise (keepalived: off): adverts from off the link are easily forged.
    pub(super) check_unicast_source: bool,
    /// `lvs_sync_daemon` and the place of the virtual router's name.
    pub(super) sync_daemon: Option<SyncWords>,
    pub(super) timeouts: [u32; 3],
    pub(super) fifos: Vec<Fifo>,
    /// `local_address`: for FULLNAT services without their own.
    pub(super) locals: Vec<fullnat::Entry>,
}

/// The announcement keywords, as far as they were given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GarpWords {
    delay: Option<Duration>,
    repeat: Option<u32>,
    refresh: Option<Duration>,
    refresh_repeat: Option<u32>,
    lower_prio_delay: Option<Duration>,
    lower_prio_repeat: Option<u32>,
    extra: Option<(Duration, bool)>,
}

impl GarpWords {
    /// Reads one of the keywords `garp_..`.
    pub(super) fn read(
        &mut self,
        reader: &mut Reader<'_, '_>,
        word: &str,
        statement: Statement<'_>,
    ) {
        let time = Duration::ZERO..=DAY;
        match word {
            "garp_master_delay" => self.delay = reader.timer(statement, time),
            "garp_master_repeat" => self.repeat = reader.number(statement, 1..=REPEAT_MAX),
            "garp_master_refresh" => self.refresh = reader.timer(statement, time),
            "garp_master_refresh_repeat" => {
                self.refresh_repeat = reader.number(statement, 1..=REPEAT_MAX);
            }
            "garp_lower_prio_delay" => self.lower_prio_delay = reader.timer(statement, time),
            "garp_lower_prio_repeat" => {
                self.lower_prio_repeat = reader.number(statement, 0..=REPEAT_MAX);
            }
            "garp_extra_if" => self.extra = extra(reader, statement),
            _ => {}
        }
    }

    /// Whether all addresses of an interface without adverts are announced, and not the first one alone.
    pub(super) fn extra_all(self, global: &Global) -> bool {
        self.extra.or(global.garp.extra).is_some_and(|(_, all)| all)
    }

    /// `vrrp_min_garp`: one announcement and no second burst, where nothing else is asked for.
    fn minimal(&mut self) {
        self.delay.get_or_insert(Duration::ZERO);
        self.repeat.get_or_insert(1);
    }

    /// Hearing a rival leads to no announcement.
    pub(super) fn without_rivals(&mut self) {
        self.lower_prio_delay = Some(Duration::ZERO);
        self.lower_prio_repeat = Some(0);
    }

    /// The schedule of a virtual router that says `self` where `global_defs` says `global`.
    pub(super) fn resolve(self, global: &Global) -> Garp {
        let base = global.garp;
        let delay = self.delay.or(base.delay).unwrap_or(Duration::from_secs(5));
        let repeat = self.repeat.or(base.repeat).unwrap_or(5);
        Garp {
            delay,
            repeat,
            refresh: self.refresh.or(base.refresh).unwrap_or(Duration::ZERO),
            refresh_repeat: self.refresh_repeat.or(base.refresh_repeat).unwrap_or(1),
            lower_prio_delay: self
                .lower_prio_delay
                .or(base.lower_prio_delay)
                .unwrap_or(delay),
            lower_prio_repeat: self
                .lower_prio_repeat
                .or(base.lower_prio_repeat)
                .unwrap_or(repeat),
            extra: self
                .extra
                .or(base.extra)
                .map_or(Duration::ZERO, |(every, _)| every),
            interval: global.garp_interval,
            interval_v6: global.gna_interval,
        }
    }
}

impl Default for Global {
    fn default() -> Self {
        Self {
            interface: None,
            version: Version::V2,
            groups: [IpAddr::V4(vrrp::GROUP), IpAddr::V6(vrrp::GROUP_V6)],
            garp: GarpWords::default(),
            garp_interval: Duration::ZERO,
            gna_interval: Duration::ZERO,
            down_adverts: 3,
            checksum_as_v2: false,
            lower_prio_no_advert: false,
            higher_prio_send_advert: true,
            startup_delay: Duration::ZERO,
            delay_after_boot: Duration::ZERO,
            owner_ignores_adverts: false,
            strict: false,
            check_unicast_source: true,
            sync_daemon: None,
            timeouts: [0; 3],
            fifos: Vec::new(),
            locals: Vec::new(),
        }
    }
}

impl Global {
    /// Reads one `global_defs`; several add up.
    pub(super) fn read(&mut self, reader: &mut Reader<'_, '_>, block: Statement<'_>) {
        reader.no_more(block.arguments());
        let mut minimal = false;
        let on =
            |reader: &mut Reader<'_, '_>, statement| reader.flag(statement).unwrap_or_default();
        reader.each(
            Block::GlobalDefs,
            block.children(),
            |reader, word, statement| match word {
                "router_id" => drop(reader.text(statement)),
                "default_interface" => self.interface = reader.parse(statement),
                // Interfaces may always come and go.
                "dynamic_interfaces" | "vrrp_skip_check_adv_addr" => {
                    self.nothing(reader, word, statement);
                }
                // It is for the text, and was heeded there.
                "include_check" => {}
                "lvs_sync_daemon" => self.sync_daemon = sync::daemon(reader, statement),
                "lvs_timeouts" => self.timeouts(reader, statement),
                "notify_fifo" | "vrrp_notify_fifo" | "lvs_notify_fifo" => {
                    self.fifos.extend(monitoring::fifo(reader, statement));
                }
                "checker_log_all_failures" => reader.log_all = on(reader, statement),
                "script_user" => program::default_user(reader, statement),
                "local_address" => self.locals = fullnat::entries(reader, statement),
                "vrrp_version" => self.version = version(reader, statement).unwrap_or(self.version),
                "vrrp_mcast_group4" => self.read_group(reader, statement, Family::V4),
                "vrrp_mcast_group6" => self.read_group(reader, statement, Family::V6),
                "vrrp_garp_interval" => {
                    self.garp_interval = announce_interval(reader, statement);
                }
                "vrrp_gna_interval" => self.gna_interval = announce_interval(reader, statement),
                "vrrp_min_garp" => minimal = on(reader, statement),
                "vrrp_down_timer_adverts" => {
                    self.down_adverts =
                        down_adverts(reader, statement).unwrap_or(self.down_adverts);
                }
                "vrrp_lower_prio_no_advert" => self.lower_prio_no_advert = on(reader, statement),
                "vrrp_higher_prio_send_advert" => {
                    self.higher_prio_send_advert = on(reader, statement);
                }
                "v3_checksum_as_v2" => self.checksum_as_v2 = on(reader, statement),
                "vrrp_startup_delay" => {
                    let time = reader.timer(statement, Duration::ZERO..=TIME_MAX);
                    self.startup_delay = time.unwrap_or_default();
                }
                "vrrp_delay_after_boot" => {
                    let time = reader.timer(statement, Duration::ZERO..=TIME_MAX);
                    self.delay_after_boot = time.unwrap_or_default();
                }
                "vrrp_strict" => self.strict = on(reader, statement),
                "vrrp_owner_ignore_adverts" => self.owner_ignores_adverts = on(reader, statement),
                "vrrp_check_unicast_src" => {
                    self.check_unicast_source = reader.flag(statement).unwrap_or(true);
                }
                _ => self.garp.read(
                    reader,
                    word.strip_prefix("vrrp_").unwrap_or(word),
                    statement,
                ),
            },
        );
        if minimal {
            self.garp.minimal();
        }
    }

    /// Keywords that ask for what is always so.
    fn nothing(&self, reader: &mut Reader<'_, '_>, word: &str, statement: Statement<'_>) {
        let first = statement.arguments().next();
        let is_policy = word == "dynamic_interfaces"
            && first.is_some_and(|word| word.bytes == b"allow_if_changes");
        if !is_policy {
            _ = reader.flag(statement);
        }
    }

    /// The multicast group of the virtual routers of a family.
    pub(super) fn group(&self, family: Family) -> IpAddr {
        let [v4, v6] = self.groups;
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }

    fn read_group(
        &mut self,
        reader: &mut Reader<'_, '_>,
        statement: Statement<'_>,
        family: Family,
    ) {
        let Some(word) = reader.value(statement) else {
            return;
        };
        match address_of(reader, word, family) {
            Some(group) if !group.is_multicast() => reader.wrong(word, "not a multicast address"),
            Some(group) => match family {
                Family::V4 => self.groups[0] = group,
                Family::V6 => self.groups[1] = group,
            },
            None => {}
        }
    }

    /// `lvs_timeouts [tcp S] [tcpfin S] [udp S]`
    fn timeouts(&mut self, reader: &mut Reader<'_, '_>, statement: Statement<'_>) {
        let mut words = statement.arguments();
        let mut any = false;
        while let Some(name) = words.next() {
            any = true;
            let slot = match name.bytes {
                b"tcp" => self.timeouts.first_mut(),
                b"tcpfin" => self.timeouts.get_mut(1),
                b"udp" => self.timeouts.last_mut(),
                _ => None,
            };
            let Some(slot) = slot else {
                reader.wrong(name, "not one of tcp, tcpfin, udp");
                return;
            };
            let Some(value) = words.next() else {
                reader.wrong(name, "needs a time in seconds");
                return;
            };
            if let Some(value) = reader.number_word(value, name.bytes, 0..=LVS_TIMEOUT_MAX) {
                *slot = value;
            }
        }
        if !any {
            reader.value(statement);
        }
    }
}

/// The kernel takes no more: `MAX_JIFFY` of ip_vs_ctl.c at 1000 jiffies a second, less some room: 31 days.
pub(super) const LVS_TIMEOUT_MAX: u32 = 31 * 86_400;

/// The word after an option.
pub(super) fn required<'t>(
    reader: &mut Reader<'_, '_>,
    option: Word<'t>,
    value: Option<Word<'t>>,
) -> Option<Word<'t>> {
    if value.is_none() {
        reader.wrong(option, "needs a value");
    }
    value
}

/// A number that was read with a range within 0..=255.
pub(super) fn byte(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// `2` or `3`
pub(super) fn version(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<Version> {
    let word = reader.value(statement)?;
    match decimal(word.bytes) {
        Some(2) => Some(Version::V2),
        Some(3) => Some(Version::V3),
        _ => {
            reader.wrong(word, "the VRRP version is 2 or 3");
            None
        }
    }
}

/// 1..=100
pub(super) fn down_adverts(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<u8> {
    reader.number(statement, 1..=100).map(byte)
}

/// `garp_extra_if [all] SECONDS`; 0 for not at all.
fn extra(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<(Duration, bool)> {
    let name = statement.keyword();
    let (mut every, mut all) = (None, false);
    for word in statement.arguments() {
        match word.bytes {
            b"all" => all = true,
            _ => every = Some(reader.timer_word(word, name.bytes, Duration::ZERO..=DAY)?),
        }
    }
    if every.is_none() {
        reader.wrong(name, "needs a time in seconds");
    }
    every.map(|every| (every, all))
}

/// The pause between two announcements; 0 asks for what is so without it.
pub(super) fn announce_interval(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Duration {
    let Some(interval) = reader.timer(statement, Duration::ZERO..=TIME_MAX) else {
        return Duration::ZERO;
    };
    if interval.is_zero() {
        let name = statement.keyword().quoted();
        let message = format!("{name} with 0 says nothing: without it, there is no pause either");
        reader.sink.warning(statement.keyword().at, message);
    }
    interval
}

/// An address of the family that is called for.
pub(super) fn address_of(
    reader: &mut Reader<'_, '_>,
    word: Word<'_>,
    family: Family,
) -> Option<IpAddr> {
    let found = address(reader, word)?;
    if Family::of(found) == family {
        return Some(found);
    }
    reader.wrong(word, format!("not an {family} address"));
    None
}

/// An address of either family.
pub(super) fn address(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<IpAddr> {
    let text = reader.utf8(word)?;
    let address = text
        .parse()
        .map_err(|_| ParseError("not an IP address (names are not looked up)"));
    address.map_err(|error| reader.wrong(word, error)).ok()
}
