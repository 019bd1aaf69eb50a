//! `auth_hmac`: the keys that adverts are signed with.

use super::diagnostic::Place;
use super::global::byte;
use super::keywords::Block;
use super::read::Reader;
use super::tree::{Statement, Word};
use crate::limits;
use crate::time::Duration;
use crate::vrrp::{Hmac, Key, Mode};

/// A secret has so many bytes.
const SECRET_BYTES: core::ops::RangeInclusive<usize> = 32..=64;
/// `time_window`, in seconds.
const WINDOW_S: core::ops::RangeInclusive<u32> = 1..=300;
/// The least that it is where nothing is said.
const WINDOW_MIN: Duration = Duration::from_secs(5);

/// The block before its virtual router is known.
pub(super) struct Words {
    pub(super) at: Place,
    keys: Vec<Key>,
    active: u8,
    ordered: bool,
    window: Option<Duration>,
    mode: Mode,
}

impl Words {
    /// For a router with this interval: adverts may be as late as those that are missed before a takeover.
    pub(super) fn resolve(&self, interval: Duration) -> Hmac {
        let window = self
            .window
            .unwrap_or_else(|| (interval * 3).max(WINDOW_MIN));
        Hmac {
            keys: self.keys.clone(),
            active: self.active,
            window: (!self.ordered).then_some(window),
            mode: self.mode,
        }
    }
}

/// `auth_hmac { key ID SECRET; active_key ID; anti_replay time|monotonic; time_window SECONDS; mode MODE }`
pub(super) fn read(reader: &mut Reader<'_, '_>, block: Statement<'_>) -> Option<Words> {
    reader.no_more(block.arguments());
    let mut keys: Vec<Key> = Vec::new();
    let mut active = None;
    let (mut ordered, mut window, mut mode) = (false, None, Mode::Enforce);
    reader.each(
        Block::AuthHmac,
        block.children(),
        |reader, word, statement| match word {
            "key" => keys.extend(key(reader, statement, &keys)),
            "active_key" => {
                let id = reader.number(statement, 0..=255);
                active = id.map(|id| (byte(id), statement.keyword().at));
            }
            "time_window" => {
                let seconds = reader.number(statement, WINDOW_S);
                window = seconds.map(|seconds| Duration::from_secs(seconds.into()));
            }
            "anti_replay" => {
                let choices = [("time", false), ("monotonic", true)];
                ordered = choice(reader, statement, &choices).unwrap_or(ordered);
            }
            _ => {
                let choices = [
                    ("enforce", Mode::Enforce),
                    ("permissive", Mode::Permissive),
                    ("receive-only", Mode::ReceiveOnly),
                ];
                mode = choice(reader, statement, &choices).unwrap_or(mode);
            }
        },
    );
    let at = block.keyword().at;
    let active = match (active, &keys[..]) {
        (_, []) => {
            if block.lacks("key") {
                reader.sink.error(at, "`auth_hmac` has no `key`");
            }
            return None;
        }
        (Some((id, at)), keys) if !keys.iter().any(|key| key.id == id) => {
            reader.sink.error(at, format!("there is no key {id}"));
            return None;
        }
        (Some((id, _)), _) => id,
        (None, [only]) => only.id,
        (None, _) => {
            let message = "`auth_hmac` has several keys and no `active_key`";
            reader.sink.error(at, message);
            return None;
        }
    };
    Some(Words {
        at,
        keys,
        active,
        ordered,
        window,
        mode,
    })
}

/// One of a few words.
fn choice<T: Copy>(
    reader: &mut Reader<'_, '_>,
    statement: Statement<'_>,
    choices: &[(&str, T)],
) -> Option<T> {
    let word = reader.value(statement)?;
    let found = choices
        .iter()
        .find(|(name, _)| name.as_bytes() == word.bytes);
    if found.is_none() {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        reader.wrong(word, format!("not one of {}", names.join(", ")));
    }
    found.map(|(_, value)| *value)
}

/// `key ID SECRET`, the secret as text or as `hex:..`
fn key(reader: &mut Reader<'_, '_>, statement: Statement<'_>, others: &[Key]) -> Option<Key> {
    let mut words = statement.arguments();
    let (Some(id), Some(secret)) = (words.next(), words.next()) else {
        let message = "`key` takes a number and a secret";
        reader.sink.error(statement.keyword().at, message);
        return None;
    };
    // What follows may be a part of the secret, and is not quoted.
    if let Some(word) = words.next() {
        let report = reader.sink.error(word.at, "a secret is one word");
        report.hint("put a text with blanks in quotes");
        return None;
    }
    let number = byte(reader.number_word(id, b"key", 0..=255)?);
    if others.iter().any(|key| key.id == number) {
        reader.wrong(id, "this key is already there");
        return None;
    }
    if others.len() >= limits::HMAC_KEYS_MAX {
        let message = format!("more than {} keys", limits::HMAC_KEYS_MAX);
        reader.sink.error(id.at, message);
        return None;
    }
    let secret = self::secret(reader, secret)?;
    Some(Key { id: number, secret })
}

fn secret(reader: &mut Reader<'_, '_>, word: Word<'_>) -> Option<Vec<u8>> {
    let text = word.unescaped();
    if text.starts_with(b"file:") {
        let report = reader.sink.error(word.at, "a key is not read from a file");
        report.hint("put the whole line `key ..` into the file, and `include` it");
        return None;
    }
    let bytes = match text.strip_prefix(b"hex:") {
        Some(digits) => hex(digits),
        None => Some(text.to_vec()),
    };
    let Some(bytes) = bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.len())) else {
        // Not with the word itself: what is nearly a secret is one too.
        let message = "a secret has 32 to 64 bytes, as text or as `hex:` and two digits for each";
        reader.sink.error(word.at, message);
        return None;
    };
    Some(bytes)
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    rest.is_empty()
        .then(|| pairs.iter().map(byte).collect())
        .flatten()
}
