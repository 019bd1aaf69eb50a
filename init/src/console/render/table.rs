//! Columns and wrapped lines.

/// Columns of the screen; the last one of a terminal's 80 may be used by a line that is ended behind it.
const WIDTH: usize = 79;

/// A table: columns with a heading and a width each. A positive width is left-aligned, a negative right-aligned; what
/// stands in the last column may be longer and is wrapped.
pub(super) struct Table {
    widths: &'static [i8],
    indent: usize,
    text: String,
}

impl Table {
    /// A table with its headings.
    pub(super) fn new(indent: usize, columns: &'static [i8], headings: &[&str]) -> Self {
        let mut table = Self {
            widths: columns,
            indent,
            text: String::new(),
        };
        table.row(headings);
        table
    }

    /// Adds a row. A cell that is too long for its column pushes the rest to the next line, in their columns: nothing
    /// is cut off, and a table with a few long names stays a table.
    pub(super) fn row<C: AsRef<str>>(&mut self, cells: &[C]) {
        let mut line = String::new();
        let mut start = self.indent;
        for (index, (cell, &width)) in cells.iter().zip(self.widths).enumerate() {
            let (cell, room) = (cell.as_ref(), usize::from(width.unsigned_abs()));
            let length = cell.chars().count();
            if index > 0 && line.chars().count() >= start {
                self.end(&line);
                line.clear();
            }
            let lead = if width < 0 {
                room.saturating_sub(length)
            } else {
                0
            };
            line.push_str(&" ".repeat((start + lead).saturating_sub(line.chars().count())));
            if start + length > WIDTH {
                self.text += &wrap(&line, start.min(WIDTH / 2), cell);
                return;
            }
            line.push_str(cell);
            start += room + 1;
        }
        self.end(&line);
    }

    /// Adds text as it is, lines and their ends.
    pub(super) fn note(&mut self, text: &str) {
        self.text += text;
    }

    /// The whole.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn end(&mut self, line: &str) {
        self.text += line.trim_end();
        self.text.push('\n');
    }
}

/// `start` and then words, on as many lines as are needed; the lines after the first are indented. A word that is too
/// long for a line is divided.
pub(super) fn wrap(start: &str, indent: usize, words: &str) -> String {
    let mut text = String::new();
    let mut line = start.to_owned();
    let mut column = line.chars().count();
    let mut fresh = true;
    for word in words.split_ascii_whitespace() {
        let length = word.chars().count();
        if !fresh && column + 1 + length > WIDTH {
            text += line.trim_end();
            text.push('\n');
            line = " ".repeat(indent);
            (column, fresh) = (indent, true);
        }
        if !fresh {
            line.push(' ');
            column += 1;
        }
        for letter in word.chars() {
            if column >= WIDTH {
                text += &line;
                text.push('\n');
                line = " ".repeat(indent);
                column = indent;
            }
            line.push(letter);
            column += 1;
        }
        fresh = false;
    }
    text += line.trim_end();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_cells_push_the_rest_to_the_next_line() {
        let mut table = Table::new(0, &[6, -5, 8], &["NAME", "COUNT", "REASON"]);
        table.row(&["eth0", "12", "fine"]);
        table.row(&["ethernet0", "12", "fine"]);
        table.row(&["eth0", "123456", "fine"]);
        let expected = "\
NAME   COUNT REASON
eth0      12 fine
ethernet0
          12 fine
eth0   123456
             fine
";
        assert_eq!(table.finish(), expected);
    }

    #[test]
    fn text_is_wrapped_at_words_and_long_words_are_divided() {
        let text = wrap(
            "  reason  ",
            10,
            &format!("{} {}", "word ".repeat(20), "x".repeat(150)),
        );
        assert!(text.lines().all(|line| line.len() <= 79), "{text}");
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with("          ")),
            "{text}"
        );
        assert_eq!(text.matches('x').count(), 150);
        assert_eq!(wrap("empty:", 2, ""), "empty:\n");
    }
}
