//! The table of a bench: what the one took, what the other, how they relate, and whether that holds.
use std::fmt;
use std::time::Duration;

/// The rows so far. Its Display is the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    cells: [String; 5],
    held: Option<bool>,
}

const HEAD: [&str; 5] = ["what", "other", "keelson", "ratio", "bound"];

impl Verdicts {
    /// Two figures of one kind, of which the second must be at most so much of the first.
    pub(super) fn ratio(&mut self, what: &str, other: Figure, ours: Figure, bound: f64) {
        let ratio = ours.value() / other.value().max(f64::MIN_POSITIVE);
        let cells = [
            what.to_owned(),
            other.to_string(),
            ours.to_string(),
            format!("{ratio:.3}"),
            format!("<= {bound}"),
        ];
        self.push(cells, Some(ratio <= bound));
    }

    /// A figure of ours that has to be something by itself.
    pub(super) fn must(
        &mut self,
        what: &str,
        other: impl fmt::Display,
        ours: impl fmt::Display,
        bound: &str,
        held: bool,
    ) {
        let cells = [
            what.to_owned(),
            other.to_string(),
            ours.to_string(),
            String::new(),
            bound.to_owned(),
        ];
        self.push(cells, Some(held));
    }

    /// Figures that nothing is promised of.
    pub(super) fn note(&mut self, what: &str, other: impl fmt::Display, ours: impl fmt::Display) {
        let cells = [
            what.to_owned(),
            other.to_string(),
            ours.to_string(),
            String::new(),
            String::new(),
        ];
        self.push(cells, None);
    }

    /// Whether everything is what it must be.
    pub(super) fn held(&self) -> bool {
        self.rows.iter().all(|row| row.held != Some(false))
    }

    fn push(&mut self, cells: [String; 5], held: Option<bool>) {
        let row = Row { cells, held };
        eprintln!("  {}", row.line([0; 5]));
        self.rows.push(row);
    }
}

impl Row {
    fn line(&self, widths: [usize; 5]) -> String {
        let verdict = match self.held {
            None => "",
            Some(true) => "held",
            Some(false) => "MISSED",
        };
        let [what, other, ours, ratio, bound] = &self.cells;
        let [w, o, k, r, b] = widths;
        let line =
            format!("{what:<w$}  {other:>o$}  {ours:>k$}  {ratio:>r$}  {bound:<b$}  {verdict}");
        line.trim_end().to_owned()
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = Row {
            cells: HEAD.map(str::to_owned),
            held: None,
        };
        let rows = || std::iter::once(&head).chain(&self.rows);
        let widths = std::array::from_fn(|column| {
            let cells = rows().map(|row| row.cells[column].chars().count());
            cells.max().unwrap_or(0)
        });
        rows().try_for_each(|row| writeln!(f, "{}", row.line(widths)))
    }
}

/// One measured figure with its unit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Figure {
    /// A time.
    Time(Duration),
    /// Memory.
    Kib(u64),
}

impl Figure {
    pub(super) const fn micros(us: u64) -> Self {
        Self::Time(Duration::from_micros(us))
    }

    fn value(self) -> f64 {
        match self {
            Self::Time(time) => time.as_secs_f64(),
            Self::Kib(kib) => kib as f64,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) if *time < Duration::from_secs(1) => {
                write!(f, "{:.1} ms", time.as_secs_f64() * 1e3)
            }
            Self::Time(time) => write!(f, "{:.2} s", time.as_secs_f64()),
            Self::Kib(kib) => write!(f, "{kib} KiB"),
        }
    }
}

/// The middle one, of an even number the upper of the two; zero of none.
pub(super) fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_its_bound_is_named_and_spoils_the_whole() {
        let mut verdicts = Verdicts::default();
        let time = Figure::micros;
        verdicts.ratio("fill", time(2_000_000), time(500_000), 0.5);
        verdicts.note("reads", 1, 2);
        assert!(verdicts.held());
        verdicts.ratio("memory", Figure::Kib(100), Figure::Kib(60), 0.5);
        assert!(!verdicts.held());
        let expected = "\
what      other   keelson  ratio  bound
fill     2.00 s  500.0 ms  0.250  <= 0.5  held
reads         1         2
memory  100 KiB    60 KiB  0.600  <= 0.5  MISSED
";
        assert_eq!(verdicts.to_string(), expected);
    }
}
