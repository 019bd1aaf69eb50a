//! What was measured, as a table, and whether it is what it must be.
use std::fmt;
use std::time::Duration;

/// A table of measurements. Its Display is the table.
#[derive(Clone, Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    what: String,
    measured: String,
    must: String,
    held: bool,
}

impl Report {
    /// A value that nothing is promised of.
    pub fn note(&mut self, what: &str, measured: impl fmt::Display) {
        self.push(what, measured.to_string(), String::new(), true);
    }

    /// A value, what it must be in words, and whether it is.
    pub fn must(
        &mut self,
        what: &str,
        measured: impl fmt::Display,
        must: impl fmt::Display,
        held: bool,
    ) {
        self.push(what, measured.to_string(), must.to_string(), held);
    }

    /// Whether everything is what it must be.
    pub fn held(&self) -> bool {
        self.rows.iter().all(|row| row.held)
    }

    fn push(&mut self, what: &str, measured: String, must: String, held: bool) {
        self.rows.push(Row {
            what: what.to_owned(),
            measured,
            must,
            held,
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&Row) -> &str, least: usize| {
            self.rows
                .iter()
                .map(|row| of(row).chars().count())
                .max()
                .unwrap_or(0)
                .max(least)
        };
        let what = width(|row| &row.what, 4);
        let measured = width(|row| &row.measured, 8);
        let must = width(|row| &row.must, 7);
        writeln!(f, "{:<what$}  {:>measured$}  must be", "what", "measured")?;
        writeln!(f, "{}", "-".repeat(what + measured + must + 14))?;
        for row in &self.rows {
            let verdict = match (row.must.is_empty(), row.held) {
                (true, _) => "",
                (false, true) => "held",
                (false, false) => "NOT HELD",
            };
            let line = format!(
                "{:<what$}  {:>measured$}  {:<must$}  {verdict}",
                row.what, row.measured, row.must
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Milliseconds below ten seconds, seconds above.
pub fn duration(duration: Duration) -> String {
    if duration < Duration::from_secs(10) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// Megabytes (of a million bytes) with two digits.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

/// The middle one, of an even number the upper of the two; zero of none.
pub fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_out_of_bounds_is_named_and_spoils_the_whole() {
        let mut report = Report::default();
        report.note("requests", 200);
        report.must("binary", megabytes(2_910_000), "< 4 MB", true);
        assert!(report.held());
        report.must(
            "gap",
            duration(Duration::from_millis(1234)),
            "<= 50 ms",
            false,
        );
        assert!(!report.held());
        let expected = "\
what      measured  must be
--------------------------------------
requests       200
binary     2.91 MB  < 4 MB    held
gap        1234 ms  <= 50 ms  NOT HELD
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        let of = |values: &[u64]| {
            median(values.iter().map(|ms| Duration::from_millis(*ms)).collect()).as_millis()
        };
        assert_eq!((of(&[5, 1, 9]), of(&[1, 2]), of(&[])), (5, 2, 0));
    }
}
