//! `SSL`: the certificates that all `SSL_GET` share.

use super::diagnostic::Needed;
use super::keywords::Block;
use super::read::Reader;
use super::tree::Statement;

/// Files, by their paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Ssl {
    pub(super) ca: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl Ssl {
    /// This node's certificate with its key. A file that holds both may be named once.
    pub(super) fn identity(&self) -> Option<(String, String)> {
        let certificate = self.certificate.clone()?;
        let key = self.key.clone().unwrap_or_else(|| certificate.clone());
        Some((certificate, key))
    }
}

/// Reads the block into the reader, for the checks that follow.
pub(super) fn read(reader: &mut Reader<'_, '_>, block: Statement<'_>) {
    let mut ssl = Ssl::default();
    reader.no_more(block.arguments());
    reader.each(Block::Ssl, block.children(), |reader, word, statement| {
        let path = file(reader, statement);
        match word {
            "ca" => ssl.ca = path,
            "certificate" => ssl.certificate = path,
            _ => ssl.key = path,
        }
    });
    if ssl.key.is_some() && ssl.certificate.is_none() {
        let at = block.keyword().at;
        reader
            .sink
            .error(at, "`SSL` has a `key` and no `certificate`");
    }
    reader.ssl = ssl;
}

fn file(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<String> {
    let word = reader.value(statement)?;
    let path = reader.utf8(word)?;
    reader.sink.need(word.at, Needed::File, &path, None);
    Some(path.into_owned())
}
