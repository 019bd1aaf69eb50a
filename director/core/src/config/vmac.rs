//! `use_vmac`, `use_vmac_addr`, `vmac_xmit_base`: a virtual router with a hardware address of its own.
//!
//! A device is made for it on the router's interface, and on others that carry its addresses where that is asked for.
//! Its name is the given one, or `vrrp.VRID` (`vrrp6.VRID` over IPv6), with a further number where that is taken.

use super::Vmac;
use super::addresses::Entry;
use super::diagnostic::Place;
use super::global::required;
use super::read::Reader;
use super::tree::Statement;
use crate::net::{Family, IfName, Mac};

/// As it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    device: Option<Device>,
    /// `use_vmac_addr`
    others: bool,
    /// `vmac_xmit_base`
    pub(super) from_base: Option<Place>,
}

#[derive(Clone, Debug)]
struct Device {
    at: Place,
    name: Option<IfName>,
    mac: Option<Mac>,
}

/// What a router with hardware addresses of its own is, beside them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of<'d> {
    pub(super) interface: &'d IfName,
    pub(super) family: Family,
    pub(super) vrid: u8,
    pub(super) unicast: bool,
}

impl Words {
    /// Reads one of the keywords.
    pub(super) fn read(
        &mut self,
        reader: &mut Reader<'_, '_>,
        word: &str,
        statement: Statement<'_>,
    ) {
        match word {
            "use_vmac" => self.device = device(reader, statement),
            "use_vmac_addr" => self.others = reader.flag(statement).unwrap_or_default(),
            _ => {
                let is_on = reader.flag(statement).unwrap_or_default();
                self.from_base = is_on.then_some(statement.keyword().at);
            }
        }
    }

    /// The devices, and the hardware address that the adverts come from.
    pub(super) fn resolve(
        &self,
        reader: &mut Reader<'_, '_>,
        of: Of<'_>,
        addresses: &[&Entry],
    ) -> (Vec<Vmac>, Option<Mac>) {
        let given = self.device.as_ref().and_then(|device| device.mac);
        let mac = given.unwrap_or_else(|| Mac::of_router(of.family, of.vrid));
        let mut vmacs = Vec::new();
        if let Some(device) = &self.device {
            let name = match &device.name {
                Some(name) => taken(reader, name, device.at),
                None => free(reader, of, device.at),
            };
            let base = of.interface.clone();
            vmacs.extend(name.map(|name| Vmac { base, name, mac }));
        }
        for entry in addresses {
            let base = entry.device.as_ref().unwrap_or(of.interface);
            let is_other = base != of.interface;
            let wanted = entry.vmac || (self.others && is_other);
            if !wanted || vmacs.iter().any(|vmac| vmac.base == *base) {
                continue;
            }
            let name = free(reader, of, entry.at);
            let base = base.clone();
            vmacs.extend(name.map(|name| Vmac { base, name, mac }));
        }
        for entry in addresses.iter().filter(|entry| !entry.vmac) {
            let base = entry.device.as_ref().unwrap_or(of.interface);
            let all = if base == of.interface {
                self.device.is_some()
            } else {
                self.others
            };
            if !all && vmacs.iter().any(|vmac| vmac.base == *base) {
                let message = format!(
                    "`{}`: all addresses of a virtual router on `{base}` have `use_vmac`, or none has",
                    entry.address.address
                );
                reader.sink.error(entry.at, message);
            }
        }
        (vmacs, self.sender(reader, of).then_some(mac))
    }

    /// Whether the adverts come from the virtual hardware address.
    fn sender(&self, reader: &mut Reader<'_, '_>, of: Of<'_>) -> bool {
        match (&self.device, self.from_base) {
            (None, Some(at)) => {
                let message = "`vmac_xmit_base` has no effect without `use_vmac`";
                reader.sink.warning(at, message);
                false
            }
            (Some(device), None) if of.unicast => {
                let message =
                    "adverts to unicast peers come from the interface's own hardware address";
                let report = reader.sink.warning(device.at, message);
                report.hint("`vmac_xmit_base` says so");
                false
            }
            (device, from_base) => device.is_some() && from_base.is_none(),
        }
    }
}

/// `use_vmac [[name] NAME] [MAC] [netlink_notify_msg] [group GROUP]`
fn device(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<Device> {
    let mut device = Device {
        at: statement.keyword().at,
        name: None,
        mac: None,
    };
    let mut words = statement.arguments();
    while let Some(word) = words.next() {
        match word.bytes {
            b"name" => {
                let name = required(reader, word, words.next())?;
                device.name = Some(reader.parse_word(name)?);
            }
            // The kernel tells of every device as it is.
            b"netlink_notify_msg" => {}
            b"group" => {
                required(reader, word, words.next())?;
                let message =
                    "`group` of `use_vmac` has no effect: devices are in the default group";
                reader.sink.warning(word.at, message);
            }
            _ => match word.text().and_then(|text| text.parse::<Mac>().ok()) {
                Some(mac) if mac.is_of_a_device() && device.mac.is_none() => {
                    device.mac = Some(mac);
                }
                Some(_) => {
                    reader.wrong(word, "not the hardware address of one device");
                    return None;
                }
                None if device.name.is_none() => device.name = Some(reader.parse_word(word)?),
                None => {
                    reader.no_more(core::iter::once(word));
                    return None;
                }
            },
        }
    }
    Some(device)
}

/// A name that the file gives.
fn taken(reader: &mut Reader<'_, '_>, name: &IfName, at: Place) -> Option<IfName> {
    if let Some(first) = reader.devices.get(name).copied() {
        reader.twice(at, &format!("the device `{name}`"), first);
        return None;
    }
    reader.devices.insert(name.clone(), at);
    Some(name.clone())
}

/// The first name of a router that no other device has.
fn free(reader: &mut Reader<'_, '_>, of: Of<'_>, at: Place) -> Option<IfName> {
    let word = match of.family {
        Family::V4 => "vrrp",
        Family::V6 => "vrrp6",
    };
    let plain = format!("{word}.{}", of.vrid);
    let numbered = (1..NUMBER_MAX).map(|number| format!("{plain}.{number}"));
    let mut names = core::iter::once(plain.clone()).chain(numbered);
    let name = names.find_map(|name| {
        let name: IfName = name.parse().ok()?;
        (!reader.devices.contains_key(&name)).then_some(name)
    });
    match name {
        Some(name) => {
            reader.devices.insert(name.clone(), at);
            Some(name)
        }
        None => {
            let message = format!("all names of devices like `{plain}.N` are taken");
            reader.sink.error(at, message).hint("give it one");
            None
        }
    }
}

/// What has room behind `vrrp6.255.` in an interface's name.
const NUMBER_MAX: u32 = 100_000;
