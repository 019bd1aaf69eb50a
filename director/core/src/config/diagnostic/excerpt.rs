//! Lines and names of a file as a terminal may show them.

use super::SHOWN_COLUMNS;

/// Columns of a name that is quoted in a message.
pub(super) const QUOTED_COLUMNS: usize = 40;

/// Columns shown before the place when the line is cut.
const SHOWN_BEFORE: usize = 60;

/// The bytes from `from` up to `to`, cut to what there is.
pub(super) fn between(bytes: &[u8], from: u32, to: u32) -> &[u8] {
    let to = usize::try_from(to).unwrap_or(usize::MAX).min(bytes.len());
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(to);
    bytes.get(from..to).unwrap_or_default()
}

/// Characters of UTF-8 text; in other text, bytes that do not look like the tail of one.
pub(super) fn characters(bytes: &[u8]) -> u32 {
    let heads = bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    u32::try_from(heads).unwrap_or(u32::MAX)
}

/// The line that begins at `start`, cut around `offset`, and the number of its characters before `offset`.
pub(super) fn excerpt(bytes: &[u8], start: u32, offset: u32) -> (String, usize) {
    // Four bytes a character at most, so that this much is always enough to fill the window.
    const REACH: u32 = 4 * SHOWN_COLUMNS as u32;
    let from = start.max(offset.saturating_sub(REACH));
    let rest = between(bytes, offset, offset.saturating_add(REACH));
    let rest = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    let end = offset.saturating_add(u32::try_from(rest.len()).unwrap_or(u32::MAX));
    let looked_at = start.max(from.saturating_sub(REACH));
    let secret = secret(between(bytes, looked_at, end)).map(|at| looked_at.saturating_add(at));
    let shown = |from, to| match secret {
        Some(secret) => {
            let secret = secret.clamp(from, to);
            safe(between(bytes, from, secret)) + &masked(between(bytes, secret, to))
        }
        None => safe(between(bytes, from, to)),
    };

    let mut line = tail(&shown(from, offset), SHOWN_BEFORE);
    let caret = line.chars().count();
    let room = SHOWN_COLUMNS.saturating_sub(width(&line));
    line.push_str(&head(&shown(offset, end), room));
    (line.trim_end().to_owned(), caret)
}

/// Where the value of a keyword begins that must not be shown: whoever reads the console has not logged in.
fn secret(line: &[u8]) -> Option<u32> {
    let mut begins = 0;
    for word in
        line.split_inclusive(|byte| byte.is_ascii_whitespace() || matches!(byte, b'{' | b'}'))
    {
        begins += word.len();
        if crate::config::keywords::is_secret(word.trim_ascii_end()) {
            return u32::try_from(begins).ok();
        }
    }
    None
}

/// A star for each character that is no blank.
fn masked(bytes: &[u8]) -> String {
    let star = |character: char| {
        if character.is_whitespace() {
            character
        } else {
            '*'
        }
    };
    safe(bytes).chars().map(star).collect()
}

/// Columns on a terminal, a tab counted as the most that it can take.
fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(character: char) -> usize {
    if character == '\t' { 8 } else { 1 }
}

/// The first characters of a text, `…` at the end when it was cut.
fn head(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let mut left = limit.saturating_sub(1);
    let kept = text.chars().take_while(|character| {
        let fits = columns(*character) <= left;
        left = left.saturating_sub(columns(*character));
        fits
    });
    let mut kept: String = kept.collect();
    kept.push('…');
    kept
}

/// The last characters of a text, `…` at the beginning when it was cut.
pub(super) fn tail(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let mut left = limit.saturating_sub(1);
    let kept = text.char_indices().rev().take_while(|(_, character)| {
        let fits = columns(*character) <= left;
        left = left.saturating_sub(columns(*character));
        fits
    });
    let from = kept.last().map_or(text.len(), |(index, _)| index);
    format!("…{}", text.get(from..).unwrap_or_default())
}

/// Text that a terminal shows as it is: tabs stay, whatever could act on the terminal or hide is escaped, and bytes
/// that are not UTF-8 become U+FFFD.
pub(crate) fn safe(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        if character == '\t' || !hides(character) {
            text.push(character);
        } else {
            text.extend(character.escape_default());
        }
    }
    text
}

/// Control characters, blanks that look like others, and marks that change the direction of writing.
pub(in crate::config) fn hides(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{a0}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        )
        || matches!(character, '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}')
        || matches!(character, '\u{3000}' | '\u{e0000}'..='\u{e0fff}')
}

/// A name out of the file, in backquotes, safe for a terminal and cut.
pub(in crate::config) fn quote(bytes: &[u8]) -> String {
    let reach = bytes.get(..4 * QUOTED_COLUMNS).unwrap_or(bytes);
    format!(
        "`{}`",
        head(&safe(reach).replace('\t', "\\t"), QUOTED_COLUMNS)
    )
}
