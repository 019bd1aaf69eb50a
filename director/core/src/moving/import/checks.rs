//! Checks of keepalived.conf, as far as this program acts on them.

use super::outline::Block;
use crate::config::keywords::{self, Mark, keywords};

/// How a check is timed, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) timeout_s: u32,
    /// Failures in a row before a server is out, less one.
    pub(super) retry: u32,
    pub(super) pause_s: u32,
}

/// What is asked of an HTTP server.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) path: String,
    /// Value of the Host header.
    pub(super) host: Option<String>,
    /// What must be in the answer; a regular expression.
    pub(super) regex: Option<String>,
    /// Any answer will do.
    pub(super) any_status: bool,
}

/// Whether a keyword has an effect in a block of keepalived.conf.
pub(super) fn acts(block: keywords::Block, word: &str) -> bool {
    let is_it = |keyword: &&keywords::Keyword| keyword.block == block && keyword.word == word;
    keywords()
        .iter()
        .find(is_it)
        .is_some_and(|keyword| keyword.mark == Mark::Acts)
}

/// A check without words of its own, such as `TCP_CHECK`.
pub(super) fn plain(name: &str, port: Option<u16>, timing: Timing) -> Block {
    let mut check = Block::new(name);
    check.lines(port.map(|port| format!("connect_port {port}")));
    check.lines([
        format!("connect_timeout {}", timing.timeout_s),
        format!("retry {}", timing.retry),
        format!("delay_before_retry {}", timing.pause_s),
    ]);
    check
}

/// `HTTP_GET` or `SSL_GET`.
pub(super) fn http(name: &str, port: Option<u16>, timing: Timing, page: &Page) -> Block {
    let mut url = Block::new("url");
    url.line(format!("path {}", page.path));
    url.lines(page.host.iter().map(|host| format!("virtualhost {host}")));
    url.lines(page.any_status.then(|| "status_code 100-599".to_owned()));
    url.lines(page.regex.iter().map(|regex| format!("regex \"{regex}\"")));
    let mut check = Block::new(name);
    check.block(url);
    check.append(plain(name, port, timing));
    check
}
