//! File names by pattern, as `glob(3)` has them: `*`, `?`, `[..]`, and `{a,b}` as the C shell has it.

use crate::config::Outside;
use crate::limits;

/// The patterns without braces that a pattern stands for, in order, at most [`limits::CONFIG_FILES_MAX`].
pub(super) fn braces(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut todo = vec![pattern.to_owned()];
    while let Some(pattern) = todo.pop() {
        if done.len() + todo.len() >= limits::CONFIG_FILES_MAX {
            break;
        }
        match split(&pattern) {
            Some((before, choices, after)) => {
                let choices = choices.iter().rev();
                todo.extend(choices.map(|choice| format!("{before}{choice}{after}")));
            }
            None => done.push(pattern),
        }
    }
    done
}

/// Splits at the first `{..}`.
fn split(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let open = pattern.find('{')?;
    let (mut depth, mut from, mut choices) = (0, open + 1, Vec::new());
    for (at, letter) in pattern.char_indices().skip_while(|(at, _)| *at < open) {
        match letter {
            '{' => depth += 1,
            ',' if depth == 1 => {
                choices.push(pattern.get(from..at)?);
                from = at + 1;
            }
            '}' if depth == 1 => {
                choices.push(pattern.get(from..at)?);
                return Some((pattern.get(..open)?, choices, pattern.get(at + 1..)?));
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether a pattern stands for whatever is there.
pub(super) fn is_wild(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// The paths that a pattern without braces stands for, in order; a plain path stands for itself, there or not.
pub(super) fn paths(pattern: &str, outside: &dyn Outside) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut parts = pattern.split('/').enumerate().peekable();
    let mut looks = false;
    while let Some((index, part)) = parts.next() {
        let slash = if index == 0 { "" } else { "/" };
        looks |= is_wild(part);
        if !looks {
            for path in &mut found {
                path.push_str(slash);
                path.push_str(part);
            }
            continue;
        }
        let is_last = parts.peek().is_none();
        let mut next = Vec::new();
        for folder in found {
            let mut names = outside.list(&format!("{folder}{slash}"));
            names.sort_unstable();
            let fitting = names
                .iter()
                .filter_map(|name| match name.strip_suffix('/') {
                    Some(name) => Some(name).filter(|_| !is_last),
                    None => Some(name.as_str()).filter(|_| is_last),
                });
            let fitting = fitting.filter(|name| matches(part.as_bytes(), name.as_bytes()));
            let paths = fitting.map(|name| format!("{folder}{slash}{name}"));
            next.extend(paths.take(limits::CONFIG_FILES_MAX.saturating_sub(next.len())));
        }
        found = next;
    }
    found
}

/// Whether a name fits a pattern without `/`. A leading `.` is only matched by itself.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut at, mut seen) = (0, 0);
    // Where to go on when it does not fit: the last `*` takes one letter more.
    let mut again: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(at..).unwrap_or_default();
        let letter = name.get(seen).copied();
        let step = match (rest.first(), letter) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                again = Some((at + 1, seen));
                at += 1;
                continue;
            }
            (Some(_), Some(letter)) => one(rest, letter),
            _ => None,
        };
        match (step, again) {
            (Some(step), _) => {
                at += step;
                seen += 1;
            }
            (None, Some((after, from))) if from < name.len() => {
                again = Some((after, from + 1));
                (at, seen) = (after, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// How much of a pattern stands for this letter.
fn one(pattern: &[u8], letter: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', other, ..] => (*other == letter).then_some(2),
        [b'[', set @ ..] => {
            let negated = matches!(set.first(), Some(b'!' | b'^'));
            let set = set.get(usize::from(negated)..).unwrap_or_default();
            // A `]` at the beginning belongs to the set.
            let end = set
                .iter()
                .skip(1)
                .position(|byte| *byte == b']')
                .map(|at| at + 1);
            let Some(members) = end.and_then(|end| set.get(..end)) else {
                return (letter == b'[').then_some(1);
            };
            let within = in_set(members, letter) != negated;
            within.then_some(2 + usize::from(negated) + members.len())
        }
        [byte, ..] => (*byte == letter).then_some(1),
        [] => None,
    }
}

fn in_set(mut members: &[u8], letter: u8) -> bool {
    loop {
        members = match members {
            [low, b'-', high, rest @ ..] => {
                if (*low..=*high).contains(&letter) {
                    return true;
                }
                rest
            }
            [member, rest @ ..] => {
                if *member == letter {
                    return true;
                }
                rest
            }
            [] => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_stand_for_each_of_their_choices() {
        for (pattern, expected) in [
            ("a", &["a"][..]),
            ("a{b,c}d", &["abd", "acd"]),
            (
                "{foo/{,cat,dog},bar}",
                &["foo/", "foo/cat", "foo/dog", "bar"],
            ),
            ("{a,b}{1,2}", &["a1", "a2", "b1", "b2"]),
            ("{a", &["{a"]),
            ("a}", &["a}"]),
        ] {
            assert_eq!(braces(pattern), expected, "{pattern}");
        }
        let bomb = "{a,b}".repeat(40);
        assert!(braces(&bomb).len() <= limits::CONFIG_FILES_MAX);
    }

    #[test]
    fn names_fit_patterns_as_in_a_shell() {
        for (pattern, fits, fails) in [
            ("*", &["a", "ab"][..], &[".a"][..]),
            (
                "*.conf",
                &["a.conf", "a.conf.conf", "b.c.conf"],
                &["a.conf~", ".conf"],
            ),
            (".*", &[".a"], &["a"]),
            ("a?c", &["abc"], &["ac", "abbc"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "-x"]),
            ("[!a-c]x", &["dx"], &["ax"]),
            ("[^ab]", &["c"], &["a"]),
            ("[]-]", &["]", "-"], &["a"]),
            ("[a", &["[a"], &["a"]),
            (r"\*", &["*"], &["a"]),
            ("a*b*c", &["abc", "aXbYbZc"], &["ab", "acb"]),
            ("", &[""], &["a"]),
        ] {
            for name in fits {
                assert!(
                    matches(pattern.as_bytes(), name.as_bytes()),
                    "{pattern} {name}"
                );
            }
            for name in fails {
                assert!(
                    !matches(pattern.as_bytes(), name.as_bytes()),
                    "{pattern} {name}"
                );
            }
        }
        let (pattern, name) = ("*a".repeat(60) + "b", "a".repeat(4000));
        assert!(!matches(pattern.as_bytes(), name.as_bytes()));
    }
}
