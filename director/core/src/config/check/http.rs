//! `HTTP_GET` and `SSL_GET`, and their `url`s.

use core::net::SocketAddr;
use core::ops::RangeInclusive;

use super::{Common, Context, regex};
use crate::check::Tls;
use crate::config::keywords::Block;
use crate::config::read::{Reader, decimal};
use crate::config::tree::{Statement, Word};
use crate::config::{CheckKind, Url};

pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    common: &mut Common,
    context: &Context<'_>,
) -> Option<CheckKind> {
    let mut host = None;
    let mut http11 = false;
    let mut urls = Vec::new();
    let mut words = TlsWords {
        sni: true,
        ..TlsWords::default()
    };
    let is_tls = block.keyword().bytes == b"SSL_GET";
    let table = if is_tls {
        Block::SslGet
    } else {
        Block::HttpGet
    };
    reader.each(
        table,
        block.children(),
        |reader, word, statement| match word {
            "virtualhost" => host = virtualhost(reader, statement),
            "http_protocol" => http11 = http_protocol(reader, statement),
            // A server that was down has all its URLs asked in a row anyway.
            "fast_recovery" => _ = reader.flag(statement),
            "url" => urls.push(statement),
            "enable_sni" => words.sni = reader.flag(statement).unwrap_or(true),
            "sni_name" => words.name = visible(reader, statement, "a host name"),
            "tls_compliant" => words.compliant = reader.flag(statement).unwrap_or_default(),
            "verify" => words.verify = reader.flag(statement).unwrap_or_default(),
            _ => common.read(reader, word, statement),
        },
    );
    let host = host.as_deref().or(context.virtualhost).map(str::to_owned);
    let named = host.clone();
    let host = host
        .or_else(|| Some(SocketAddr::new(common.address?, common.port?).to_string()))
        .unwrap_or_default();
    if urls.is_empty() {
        let message = format!("{} has no `url`", block.title());
        reader.sink.error(block.keyword().at, message);
    }
    let mut compliant = words.compliant;
    let urls: Vec<Url> = urls
        .iter()
        .filter_map(|block| url(reader, *block, &host, &mut compliant))
        .collect();
    words.compliant = compliant;
    words.name = words.name.or(named).or_else(|| {
        let first = urls.first().map(|url| &url.host);
        first.filter(|first| **first != host).cloned()
    });
    let tls = if is_tls {
        Some(words.tls(reader, block))
    } else {
        None
    };
    Some(CheckKind::Http { urls, http11, tls })
}

/// What an `SSL_GET` says of its TLS.
#[derive(Debug, Default)]
struct TlsWords {
    sni: bool,
    name: Option<String>,
    compliant: bool,
    verify: bool,
}

impl TlsWords {
    fn tls(self, reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Box<Tls> {
        if self.verify && reader.ssl.ca.is_none() {
            let message = "`verify` needs the block `SSL` with the `ca` that is trusted";
            reader.sink.error(block.keyword().at, message);
        }
        // A port is no part of a name.
        let name = self.name.map(|name| match name.split_once(':') {
            Some((host, _)) if !name.starts_with('[') => host.to_owned(),
            _ => name,
        });
        Box::new(Tls {
            name,
            sni: self.sni,
            ca: reader.ssl.ca.clone().filter(|_| self.verify),
            identity: reader.ssl.identity(),
            compliant: self.compliant,
        })
    }
}

/// A value of the Host header: visible ASCII, so that it can't break out of it.
pub(in crate::config) fn virtualhost(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
) -> Option<String> {
    visible(reader, statement, "a host name")
}

pub(super) fn visible(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
    what: &str,
) -> Option<String> {
    let word = reader.value(statement)?;
    let text = word
        .text()
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()));
    if text.is_none() {
        reader.wrong(word, format!("{what} has visible ASCII characters only"));
    }
    text.map(core::convert::Into::into)
}

/// `1.0`, `1.0C` or `1.1`; true for the last.
fn http_protocol(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> bool {
    let Some(word) = reader.value(statement) else {
        return false;
    };
    match word.bytes {
        b"1.1" => true,
        b"1.0" | b"1.0C" | b"1.0c" => false, // all our requests ask for the connection to be closed
        _ => {
            reader.wrong(word, "the HTTP protocol is 1.0, 1.0C or 1.1");
            false
        }
    }
}

fn url(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    host: &str,
    compliant: &mut bool,
) -> Option<Url> {
    reader.no_more(block.arguments());
    let mut path = None;
    let mut status = Vec::new();
    let mut digest = None;
    let mut host = host.to_owned();
    let mut regex = regex::Words::default();
    reader.each(
        Block::Url,
        block.children(),
        |reader, word, statement| match word {
            "path" => path = Some(request_path(reader, statement)),
            "status_code" => status_codes(reader, statement, &mut status),
            "digest" => digest = md5(reader, statement),
            "tls_compliant" => *compliant |= reader.flag(statement).unwrap_or_default(),
            "virtualhost" => host = virtualhost(reader, statement).unwrap_or_default(),
            _ => regex.read(reader, word, statement),
        },
    );
    if path.is_none() {
        reader.sink.error(block.keyword().at, "`url` has no `path`");
    }
    if status.is_empty() {
        status.push(200..=299);
    }
    let regex = regex.finish(reader);
    Some(Url {
        path: path??,
        host,
        status,
        digest,
        regex,
    })
}

fn request_path(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<String> {
    let path = visible(reader, statement, "a path")?;
    if path.starts_with('/') {
        return Some(path);
    }
    let word = reader.value(statement)?;
    reader.wrong(word, "a path begins with `/`");
    None
}

/// `status_code N[-M]..`
fn status_codes(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
    list: &mut Vec<RangeInclusive<u16>>,
) {
    if statement.arguments().next().is_none() {
        reader.value(statement);
    }
    for word in statement.arguments() {
        match status_range(word) {
            // A response has one code of three digits: more ranges than codes say nothing new.
            Some(range) if list.len() < 500 => list.push(range),
            Some(_) => {}
            None => reader.wrong(
                word,
                "a status code is a number from 100 to 599, or two with `-` between",
            ),
        }
    }
}

fn status_range(word: Word<'_>) -> Option<RangeInclusive<u16>> {
    let mut ends = word.bytes.splitn(2, |byte| *byte == b'-');
    let code = |bytes| {
        decimal(bytes)
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (100..=599).contains(code))
    };
    let low = code(ends.next()?)?;
    let high = match ends.next() {
        Some(bytes) => code(bytes)?,
        None => low,
    };
    (low <= high).then_some(low..=high)
}

/// 32 hexadecimal digits.
fn md5(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<[u8; 16]> {
    let word = reader.value(statement)?;
    let mut digest = [0; 16];
    let mut pairs = word.bytes.chunks_exact(2);
    let digits = |pair: &[u8]| {
        let text = core::str::from_utf8(pair)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        u8::from_str_radix(text, 16).ok()
    };
    let read = digest.iter_mut().all(|byte| {
        let value = pairs.next().and_then(digits);
        *byte = value.unwrap_or_default();
        value.is_some()
    });
    if !read || word.bytes.len() != 32 {
        reader.wrong(word, "an MD5 digest has 32 hexadecimal digits");
        return None;
    }
    Some(digest)
}
