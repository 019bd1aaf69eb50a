//! One line of RFC 5424.

use std::time::{Duration, SystemTime};

use director_core::event::Level;

use crate::process;

/// Facility 3: system daemons (section 6.2.1).
const DAEMON: u8 = 3;

/// What a receiver must take (section 6.1: 480 octets) and should (2048).
const LINE_BYTES_MAX: usize = 2048;

/// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG`, of now and this node.
pub(super) fn format(level: Level, text: &str) -> Vec<u8> {
    let priority = DAEMON * 8 + severity(level);
    let host = process::node_name();
    let host: String = host
        .chars()
        .filter(char::is_ascii_graphic)
        .take(255)
        .collect();
    let host = if host.is_empty() { "-" } else { &host };
    let process = std::process::id();
    let mut line = format!(
        "<{priority}>1 {} {host} keelson {process} - - {text}",
        timestamp(SystemTime::now())
    );
    line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
    line.into_bytes()
}

/// `LENGTH LINE`: RFC 6587 section 3.4.1.
pub(super) fn counted(line: &[u8]) -> Vec<u8> {
    let mut frame = format!("{} ", line.len()).into_bytes();
    frame.extend_from_slice(line);
    frame
}

/// Section 6.2.1.
const fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warning => 4,
        Level::Info => 6,
    }
}

/// RFC 3339 in UTC with microseconds; the nil value while the clock has not been set since boot.
fn timestamp(now: SystemTime) -> String {
    /// 1 January 2020: no node with this program was on before.
    const SET: Duration = Duration::from_secs(1_577_836_800);
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    if since < SET {
        return "-".to_owned();
    }
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z",
        since.subsec_micros()
    )
}

/// Year, month and day of a day since 1970, in the Gregorian calendar. Years begin in March here, so that the leap day
/// is the last one and a month's first day is a linear function of its number.
const fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    // From 1 March of the year 0 to 1 January 1970.
    let days = days + 719_468;
    let era = days / DAYS_IN_400_YEARS;
    let day_of_era = days % DAYS_IN_400_YEARS;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (0, month + 3)
    } else {
        (1, month - 9)
    };
    (era * 400 + year_of_era + year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_rfc_3339_says() {
        for (seconds, expected) in [
            (1_582_934_400, "2020-02-29T00:00:00.000000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000000Z"),
            (1_795_651_200, "2026-11-26T00:00:00.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(
                timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
                expected
            );
        }
        assert_eq!(
            timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(100)),
            "-"
        );
    }

    #[test]
    fn a_long_line_is_cut_between_letters() {
        assert!(format(Level::Info, &"é".repeat(3000)).len() <= LINE_BYTES_MAX);
        assert_eq!(counted(b"abc"), b"3 abc");
    }
}
