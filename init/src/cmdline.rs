//! The kernel's command line, as far as it speaks to this program. Pure but for [`CommandLine::read`].
//!
//! | word | meaning |
//! |---|---|
//! | `keelson.node=NAME` | host name, and the node that `@NAME` lines of the configuration are for |
//! | `keelson.watchdog=soft` | load the kernel's software watchdog, for a machine without a better one |
//! | `keelson.watchdog=off` | leave the watchdog alone |
//! | `keelson.log=debug` | log more (`error`, `warn`, `info`, `debug`, `trace`) |
//! | `MODULE.PARAMETER=VALUE` | parameter of a kernel module, as modprobe would read it |

use std::fs;

use log::LevelFilter;

/// What was asked for on the kernel's command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// `keelson.node`, when it is a possible host name.
    pub node: Option<String>,
    /// `keelson.watchdog`.
    pub watchdog: WatchdogChoice,
    /// `keelson.log`.
    pub log: LevelFilter,
    /// Module name (with `_`) and `PARAMETER=VALUE` or `PARAMETER`.
    parameters: Vec<(String, String)>,
}

/// Which watchdog to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchdogChoice {
    /// The machine's own, when there is one.
    Hardware,
    /// The kernel's software watchdog too.
    Soft,
    /// None.
    Off,
}

impl CommandLine {
    /// Reads `/proc/cmdline`; when it cannot be read, nothing was asked for.
    pub fn read() -> Self {
        Self::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default())
    }

    /// Takes from a command line the words that are meant for this program; it ignores all others.
    pub fn parse(line: &str) -> Self {
        let mut asked = Self {
            node: None,
            watchdog: WatchdogChoice::Hardware,
            log: LevelFilter::Info,
            parameters: Vec::new(),
        };
        for word in words(line) {
            let (name, value) = word.split_once('=').unwrap_or((&word, ""));
            match name {
                "keelson.node" if is_host_name(value) => asked.node = Some(value.to_owned()),
                "keelson.watchdog" => asked.watchdog = WatchdogChoice::parse(value),
                "keelson.log" => asked.log = value.parse().unwrap_or(LevelFilter::Info),
                _ => {
                    if let Some((module, _)) = name.split_once('.') {
                        asked.parameters.push((
                            module.replace('-', "_"),
                            word[module.len() + 1..].to_owned(),
                        ));
                    }
                }
            }
        }
        asked
    }

    /// The parameters of one module (its name written with `_`), as finit_module(2) wants them.
    pub fn parameters_of(&self, module: &str) -> String {
        let own: Vec<&str> = self
            .parameters
            .iter()
            .filter(|(name, _)| name == module)
            .map(|(_, parameter)| parameter.as_str())
            .collect();
        own.join(" ")
    }
}

impl WatchdogChoice {
    fn parse(value: &str) -> Self {
        match value {
            "soft" => Self::Soft,
            "off" => Self::Off,
            _ => Self::Hardware,
        }
    }
}

/// True for a host name of one label (RFC 1123 section 2.1).
fn is_host_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Splits at spaces outside of double quotes and drops the quotes, as the kernel does (lib/cmdline.c, `next_arg`).
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            space if space.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_this_program_are_taken_and_others_ignored() {
        let asked = CommandLine::parse(
            "console=ttyS0 quiet keelson.node=lb-1 keelson.watchdog=soft keelson.log=debug\n",
        );
        assert_eq!(asked.node.as_deref(), Some("lb-1"));
        assert_eq!(asked.watchdog, WatchdogChoice::Soft);
        assert_eq!(asked.log, LevelFilter::Debug);
    }

    #[test]
    fn nothing_asked_for_means_the_defaults() {
        let asked = CommandLine::parse("");
        assert_eq!(asked.node, None);
        assert_eq!(asked.watchdog, WatchdogChoice::Hardware);
        assert_eq!(asked.log, LevelFilter::Info);
    }

    #[test]
    fn a_name_that_no_host_can_have_is_ignored() {
        for name in ["", "-a", "a-", "a.b", "a_b", "ä", &"a".repeat(64)] {
            assert_eq!(
                CommandLine::parse(&format!("keelson.node={name}")).node,
                None,
                "{name}"
            );
        }
    }

    #[test]
    fn module_parameters_are_collected_by_module() {
        let asked = CommandLine::parse(
            "ip_vs.conn_tab_bits=16 i6300esb.heartbeat=20 ip-vs.x=\"a b\" softdog.nowayout",
        );
        assert_eq!(asked.parameters_of("ip_vs"), "conn_tab_bits=16 x=a b");
        assert_eq!(asked.parameters_of("softdog"), "nowayout");
        assert_eq!(asked.parameters_of("virtio"), "");
    }
}
