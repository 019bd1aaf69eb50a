//! Ages, numbers and foreign text in few columns.

/// How long ago `at` was: `12s`, `3m12s`, `2h14m`, `12d4h`, `412d`.
pub(super) fn age(now_us: u64, at_us: u64) -> String {
    span(now_us.saturating_sub(at_us))
}

/// A span of time in microseconds, as [`age`] writes it.
pub(super) fn span(us: u64) -> String {
    let seconds = us / 1_000_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86400 => format!("{hours}h{:02}m", minutes % 60),
        _ if days < 100 => format!("{days}d{:02}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// A short time with its unit: `850us`, `12ms`, `1.2s`.
pub(super) fn brief(us: u64) -> String {
    match us {
        0..1000 => format!("{us}us"),
        1000..1_000_000 => format!("{}ms", us / 1000),
        1_000_000..60_000_000 => format!("{}.{}s", us / 1_000_000, us / 100_000 % 10),
        _ => span(us),
    }
}

/// A count in at most six columns: whole up to 99999, then `123k`, `1.2M`.
pub(super) fn count(value: u64) -> String {
    if value < 100_000 {
        return value.to_string();
    }
    let (mut whole, mut tenth) = (value / 1000, value / 100 % 10);
    for unit in ["k", "M", "G", "T", "P"] {
        if whole < 10 {
            return format!("{whole}.{tenth}{unit}");
        }
        if whole < 1000 {
            return format!("{whole}{unit}");
        }
        (whole, tenth) = (whole / 1000, whole / 100 % 10);
    }
    format!("{whole}E")
}

/// An address with its port, as it is written: `192.0.2.1:80`, `[2001:db8::1]:80`.
pub fn endpoint(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

/// One `name` or several `names`.
pub(super) fn plural(count: u64, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// Text in which everything but printable ASCII and the ends of lines has become `?`. Names and reasons come from
/// files and from other machines, and a terminal obeys what it is sent.
pub fn ascii(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if matches!(letter, ' '..='~' | '\n') {
                letter
            } else {
                '?'
            }
        })
        .collect()
}

/// Text in which every control character but tabs and ends of lines has become `?`: for the operator's own files,
/// which may hold letters of any language.
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_control() && !"\n\t".contains(letter) {
                '?'
            } else {
                letter
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        const S: u64 = 1_000_000;
        for (us, text) in [
            (0, "0s"),
            (59_999_999, "59s"),
            (60 * S, "1m00s"),
            (192 * S, "3m12s"),
            (8070 * S, "2h14m"),
            (86_400 * S, "1d00h"),
            (1_051_200 * S, "12d04h"),
            (86_400 * 412 * S, "412d"),
        ] {
            assert_eq!(span(us), text);
        }
        assert_eq!(age(5, 10), "0s");
        assert_eq!(
            [
                brief(850),
                brief(12_345),
                brief(1_250_000),
                brief(61_000_000)
            ],
            ["850us", "12ms", "1.2s", "1m01s"]
        );
    }

    #[test]
    fn counts_fit_six_columns() {
        for (value, text) in [
            (0, "0"),
            (99_999, "99999"),
            (100_000, "100k"),
            (999_999, "999k"),
            (1_250_000, "1.2M"),
            (12_500_000, "12M"),
            (1_000_000_000, "1.0G"),
            (u64::MAX, "18E"),
        ] {
            assert_eq!(count(value), text);
        }
    }

    #[test]
    fn a_terminal_is_told_nothing_by_foreign_text() {
        assert_eq!(ascii("a\x1b[2Jb\u{9b}c\u{e4}\r\n"), "a?[2Jb?c??\n");
        assert_eq!(visible("a\x1b[2J\tb\u{9b}\u{e4}\n"), "a?[2J\tb?\u{e4}\n");
    }
}
