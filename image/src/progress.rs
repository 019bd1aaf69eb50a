//! Progress of the long steps, a line when one begins and a line with its time when it has ended.

use std::time::Instant;

/// Where progress lines go: one call for each line, without a line end.
pub type Report = fn(&str);

/// Progress lines on the standard error stream.
pub fn to_stderr(line: &str) {
    eprintln!("image: {line}");
}

/// No progress lines.
pub fn silent(_line: &str) {}

/// Runs `work`, reporting `what` before it and the time it took after it.
pub(crate) fn step<T, E>(
    report: Report,
    what: &str,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    report(&format!("{what} ..."));
    let start = Instant::now();
    let result = work();
    let end = if result.is_ok() { "done" } else { "failed" };
    report(&format!(
        "{what}: {end} in {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    result
}
