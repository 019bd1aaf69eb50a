//! `FILE_CHECK`: a `track_file` whose number is added to the weight of a real server.

use core::net::SocketAddr;

use super::Context;
use crate::config::Check;
use crate::config::keywords::Block;
use crate::config::read::Reader;
use crate::config::track_file;
use crate::config::tree::Statement;
use crate::net::Name;

/// Reads one. The file is read by a check of the real server's own, as often as for a virtual router.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    block: Statement<'_>,
    context: &Context<'_>,
) -> Option<Check> {
    let mut name = None;
    let mut weight = None;
    reader.each(
        Block::FileCheck,
        block.children(),
        |reader, word, statement| match word {
            "track_file" => {
                name = reader
                    .parse::<Name>(statement)
                    .zip(Some(statement.keyword().at));
            }
            _ => weight = weight_of(reader, statement),
        },
    );
    if block.lacks("track_file") {
        let at = block.keyword().at;
        reader.sink.error(at, "`FILE_CHECK` has no `track_file`");
    }
    let (name, at) = name?;
    let Some((path, own)) = reader.files.get(&name).cloned() else {
        reader
            .sink
            .error(at, format!("there is no `track_file {name}`"));
        return None;
    };
    let weight = weight.unwrap_or_else(|| (i32::from(own.value), own.reverse));
    let target = SocketAddr::new(context.address?, context.port.unwrap_or(0));
    Some(track_file::look(target, path, weight))
}

/// `weight N [reverse]`; as far as a weight of IPVS goes.
fn weight_of(reader: &mut Reader<'_, '_>, statement: Statement<'_>) -> Option<(i32, bool)> {
    let mut words = statement.arguments();
    let Some(word) = words.next() else {
        reader.value(statement);
        return None;
    };
    let reverse = words.next();
    reader.no_more(words);
    let value = word.text().and_then(|text| text.parse::<i32>().ok());
    let value = value.filter(|value| *value > i32::MIN);
    if value.is_none() {
        reader.wrong(
            word,
            "the weight is a number from -2147483647 to 2147483647",
        );
    }
    if let Some(word) = reverse.filter(|word| word.bytes != b"reverse") {
        reader.wrong(word, "after the weight stands `reverse`, or nothing");
    }
    Some((value?, reverse.is_some()))
}
