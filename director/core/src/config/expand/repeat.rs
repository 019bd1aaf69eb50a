//! Lines that are read several times: `~SEQ(var, start, step, end)`, `~SEQx`, `~LST(var, value, ..)`.

use super::variables::{Line, Value};
use super::{Expander, Lines};
use crate::config::text::Origin;

/// How a line begins that is repeated.
const WORDS: [&[u8]; 3] = [b"~SEQx", b"~SEQ", b"~LST"];

/// A line that is to be repeated, taken apart.
struct Repeat<'l> {
    word: &'static [u8],
    /// What stands in the parentheses, and where that begins.
    inside: &'l [u8],
    inside_at: usize,
    /// Where the rest of the line begins.
    rest_at: usize,
}

/// The values of the variables in each turn.
struct Turns {
    names: Vec<Vec<u8>>,
    rows: Vec<Vec<Vec<u8>>>,
}

/// Whether a line is to be repeated.
pub(super) fn is_repeat(line: &[u8]) -> bool {
    WORDS.iter().any(|word| line.starts_with(word))
}

fn parts(line: &[u8]) -> Option<Repeat<'_>> {
    let word = WORDS.into_iter().find(|word| line.starts_with(word))?;
    let blanks = line
        .iter()
        .skip(word.len())
        .take_while(|byte| byte.is_ascii_whitespace());
    let inside_at = word.len() + blanks.count() + 1;
    if line.get(inside_at - 1) != Some(&b'(') {
        return None;
    }
    let length = line.iter().skip(inside_at).position(|byte| *byte == b')')?;
    Some(Repeat {
        word,
        inside: line.get(inside_at..inside_at + length)?,
        inside_at,
        rest_at: inside_at + length + 1,
    })
}

impl Expander<'_, '_, '_> {
    /// Reads the rest of the line once for each turn.
    pub(super) fn repeat(&mut self, line: &[u8], origin: Origin) {
        let at = origin.place(0);
        let Some(repeat) = parts(line) else {
            let message = "the values of the repetition must follow in `( .. )`";
            self.error(at, message);
            return;
        };
        let inside = self.replaced_apart(repeat.inside, origin.after(repeat.inside_at));
        let turns = if repeat.word == b"~LST" {
            list(&inside)
        } else {
            sequence(&inside, repeat.word == b"~SEQx")
        };
        let turns = match turns {
            Ok(turns) => turns,
            Err(message) => {
                self.error(at, message);
                return;
            }
        };
        if !self.deeper(at) {
            return;
        }
        let rest = line.get(repeat.rest_at..).unwrap_or_default();
        for row in turns.rows {
            if !self.spend(rest.len(), at) {
                break;
            }
            for (name, value) in turns.names.iter().zip(row) {
                let line = Line {
                    bytes: value,
                    origin: Origin::For(at),
                };
                self.set(name.clone(), Value::single(line));
            }
            self.line(rest, origin.after(repeat.rest_at), &mut Lines::None);
        }
        self.depth -= 1;
    }
}

fn sequence(inside: &[u8], hexadecimal: bool) -> Result<Turns, &'static str> {
    const FORM: &str =
        "`~SEQ` is written `~SEQ(NAME, START, STEP, END)`; STEP or START and STEP may be left out";
    let text = str::from_utf8(inside).map_err(|_| FORM)?;
    let mut words = text.split(',').map(str::trim);
    let name = words
        .next()
        .filter(|name| is_name(name.as_bytes()))
        .ok_or(FORM)?;
    let numbers: Option<Vec<i64>> = words.map(number).collect();
    let (start, step, end) = match numbers.ok_or(FORM)?.as_slice() {
        [end] => (end.signum(), end.signum(), *end),
        [start, end] => (*start, if start <= end { 1 } else { -1 }, *end),
        [start, step, end] => (*start, *step, *end),
        _ => return Err(FORM),
    };
    if step == 0 || (end - start).signum() * step.signum() < 0 {
        return Err("the sequence never comes to its end");
    }
    let count = (end - start) / step;
    // The work of the turns is bounded; that of writing their numbers is not worth more.
    if count >= i64::from(u16::MAX) * 4 {
        return Err("the sequence has too many numbers");
    }
    let value = |index: i64| {
        let value = start + index * step;
        let text = match hexadecimal {
            true if value < 0 => format!("-{:x}", -value),
            true => format!("{value:x}"),
            false => value.to_string(),
        };
        vec![text.into_bytes()]
    };
    Ok(Turns {
        names: vec![name.as_bytes().to_vec()],
        rows: (0..=count).map(value).collect(),
    })
}

/// A decimal number, or a hexadecimal one after `0x`, small enough to be counted with.
fn number(text: &str) -> Option<i64> {
    let (negative, digits) = text
        .strip_prefix('-')
        .map_or((false, text), |rest| (true, rest));
    let value = match digits.strip_prefix("0x") {
        Some(digits) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok()?,
        None if !digits.starts_with('+') => digits.parse().ok()?,
        _ => return None,
    };
    let value = i64::from(value);
    Some(if negative { -value } else { value })
}

fn list(inside: &[u8]) -> Result<Turns, &'static str> {
    const FORM: &str =
        "`~LST` is written `~LST(NAME, VALUE, ..)` or `~LST({NAME, ..}, {VALUE, ..}, ..)`";
    let mut groups = Vec::new();
    let mut rest = inside.trim_ascii();
    while !rest.is_empty() {
        let (group, after) = match rest.strip_prefix(b"{") {
            Some(inner) => {
                let end = inner.iter().position(|byte| *byte == b'}').ok_or(FORM)?;
                let (group, after) = inner.split_at(end);
                let after = after.get(1..).unwrap_or_default().trim_ascii();
                (group.split(|byte| *byte == b',').collect(), after)
            }
            None => {
                let end = rest
                    .iter()
                    .position(|byte| *byte == b',')
                    .unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                (vec![word], after)
            }
        };
        let words: Vec<Vec<u8>> = group
            .iter()
            .map(|word| word.trim_ascii().to_vec())
            .collect();
        groups.push(words);
        rest = match after.strip_prefix(b",") {
            Some(after) => after.trim_ascii(),
            None if after.is_empty() => after,
            None => return Err(FORM),
        };
    }
    let mut groups = groups.into_iter();
    let names: Vec<Vec<u8>> = groups.next().ok_or(FORM)?;
    let rows: Vec<Vec<Vec<u8>>> = groups.collect();
    let has_blank = |word: &Vec<u8>| word.iter().any(u8::is_ascii_whitespace);
    if rows.is_empty()
        || !names.iter().all(|name| is_name(name))
        || rows.iter().flatten().any(has_blank)
    {
        return Err(FORM);
    }
    if rows.iter().any(|row| row.len() != names.len()) {
        return Err("each group of `~LST` needs one value for each name");
    }
    Ok(Turns { names, rows })
}

/// A name that a variable may have.
pub(super) fn is_name(name: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    name.first().is_some_and(is_letter)
        && name
            .iter()
            .all(|byte| is_letter(byte) || byte.is_ascii_digit())
}
