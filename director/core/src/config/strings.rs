//! Strings as a shell would read them, for the keywords that need it: those that name programs, and `regex`.
//!
//! These keywords read their line again: `"` and `'` may stand anywhere in a word and take blanks into it, and `\`
//! stands for a byte. A program with its arguments is one such string, and is split by the same rules once more.

/// Splits at blanks that are not in quotes, and takes quotes and backslashes away. The error is where a quote begins
/// that does not end.
///
/// `\a \b \E \f \n \r \t \v` are control characters, `\NNN` is a byte in octal, `\xHH` one in hexadecimal, `\cX` is
/// control-X, and `\` before anything else is that byte itself. They hold in quotes, too.
pub(super) fn split(text: &[u8]) -> Result<Vec<Vec<u8>>, usize> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote: Option<(u8, usize)> = None;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match (byte, quote) {
            (b'\\', _) => {
                let (value, length) = escape(text.get(at..).unwrap_or_default());
                at += length;
                word.get_or_insert_default().push(value);
            }
            (_, Some((open, _))) if byte == open => quote = None,
            (_, Some(_)) => word.get_or_insert_default().push(byte),
            (b'"' | b'\'', None) => {
                quote = Some((byte, at - 1));
                word.get_or_insert_default();
            }
            _ if byte.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    quote.map_or(Ok(words), |(_, at)| Err(at))
}

/// The byte that is meant by what follows a backslash, and how much of that it takes.
fn escape(text: &[u8]) -> (u8, usize) {
    let digits = |text: &[u8], radix: u32, most: usize| {
        let values = text.iter().take(most);
        let mut values = values.map_while(|digit| char::from(*digit).to_digit(radix));
        let (mut value, mut length) = (0, 0);
        for digit in values.by_ref() {
            (value, length) = (value * radix + digit, length + 1);
        }
        // Three octal digits may be more than a byte; as in C, the low bits are what is left.
        (value.to_le_bytes()[0], length)
    };
    match text {
        [] => (b'\\', 0),
        [b'a', ..] => (0x07, 1),
        [b'b', ..] => (0x08, 1),
        [b'E', ..] => (0x1b, 1),
        [b'f', ..] => (0x0c, 1),
        [b'n', ..] => (b'\n', 1),
        [b'r', ..] => (b'\r', 1),
        [b't', ..] => (b'\t', 1),
        [b'v', ..] => (0x0b, 1),
        [b'c', letter, ..] => (letter & 0x1f, 2),
        [b'x', rest @ ..] => match digits(rest, 16, 2) {
            (_, 0) => (b'x', 1),
            (value, length) => (value, length + 1),
        },
        [b'0'..=b'7', ..] => digits(text, 8, 3),
        [byte, ..] => (*byte, 1),
    }
}

/// The part of a line before its comment: `#` or `!` outside of `"..."`, unless a backslash is before it.
pub(super) fn without_comment(line: &[u8]) -> &[u8] {
    let (mut quoted, mut escaped) = (false, false);
    let begins = line.iter().position(|byte| {
        let is_sign = matches!(byte, b'#' | b'!');
        let begins = is_sign && !quoted && !escaped;
        quoted ^= *byte == b'"';
        escaped = *byte == b'\\';
        begins
    });
    line.get(..begins.unwrap_or(line.len())).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, usize> {
        let words = split(text.as_bytes())?;
        let text = |word| String::from_utf8_lossy(word).into_owned();
        Ok(words.iter().map(|word| text(word)).collect())
    }

    #[test]
    fn quotes_join_with_their_neighbours_and_backslashes_stand_for_bytes() {
        for (text, expected) in [
            ("", vec![]),
            (" a  b\t", vec!["a", "b"]),
            (r#"abcd" efg h jkl "mnop"#, vec!["abcd efg h jkl mnop"]),
            (
                r#"abcd "efg h jkl" mnop"#,
                vec!["abcd", "efg h jkl", "mnop"],
            ),
            (r#""it's" 'a "b" c'"#, vec!["it's", r#"a "b" c"#]),
            (r#""" ''"#, vec!["", ""]),
            (
                r"a\ b \\ \' \x41\x4z\101\60 \d",
                vec!["a b", r"\", "'", "A\u{4}zA0", "d"],
            ),
            (r#""a\"b\tc" '\x20'"#, vec!["a\"b\tc", " "]),
            (r"\cA\E\xg", vec!["\u{1}\u{1b}xg"]),
            (r"end\", vec![r"end\"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        assert_eq!(words(r#"a "b"#), Err(2));
        assert_eq!(words("a' b"), Err(1));
    }

    #[test]
    fn a_program_with_arguments_is_one_string_that_is_split_again() {
        // What keepalived 2.2.7 makes of the same text.
        let line = r#""/bin/echo 'a b' \"q\" x\x20y\x5C\\z\tT \d \101 # c" root"#;
        let strings = words(line).unwrap();
        assert_eq!(strings.last().unwrap(), "root");
        let expected = [
            "/bin/echo",
            "a b",
            "q",
            "x",
            r"y\z",
            "T",
            "d",
            "A",
            "#",
            "c",
        ];
        assert_eq!(words(&strings[0]).unwrap(), expected);
    }

    #[test]
    fn a_comment_begins_outside_of_double_quotes_and_not_after_a_backslash() {
        for (line, expected) in [
            ("a # b", "a "),
            ("a ! b", "a "),
            ("\"#\" '#", "\"#\" '"),
            (r"a\#b !", r"a\#b "),
            ("a\"", "a\""),
        ] {
            assert_eq!(without_comment(line.as_bytes()), expected.as_bytes());
        }
    }
}
