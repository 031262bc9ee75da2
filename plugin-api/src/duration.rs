//! Spans of time as people write them: `90s`, `5m`, `1h30m`, `250ms`; read at run time and at compile time alike.

use std::fmt::Write as _;

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What a duration looks like, for sentences about one that cannot be read.
pub const HOW_TO_WRITE: &str =
    "write a whole number and its unit (ms, s, m, h, d), for example 30s, 5m, 1h30m or 250ms";

/// Reads a duration; the result is in milliseconds. `None` when the text is not one, or is too long to count.
///
/// Units stand once each, the longest first: `1h30m`, not `30m1h`. A `const fn`, so that macros can check literals.
///
/// # Examples
/// ```
/// use gatehouse_plugin_api::duration::parse_ms;
/// assert_eq!(parse_ms("1h30m"), Some(5_400_000));
/// assert_eq!(parse_ms("90"), None);
/// ```
pub const fn parse_ms(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let (mut at, mut total, mut next_unit) = (0, 0_u64, 0);
    if bytes.is_empty() {
        return None;
    }
    while at < bytes.len() {
        let (mut number, first_digit) = (0_u64, at);
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            number = match number.checked_mul(10) {
                Some(tens) => match tens.checked_add((bytes[at] - b'0') as u64) {
                    Some(number) => number,
                    None => return None,
                },
                None => return None,
            };
            at += 1;
        }
        let unit_at = at;
        while at < bytes.len() && !bytes[at].is_ascii_digit() {
            at += 1;
        }
        if first_digit == unit_at {
            return None;
        }
        let unit = match unit_index(bytes, unit_at, at) {
            Some(unit) if unit >= next_unit => unit,
            _ => return None,
        };
        next_unit = unit + 1;
        total = match number.checked_mul(UNITS[unit].1) {
            Some(ms) => match total.checked_add(ms) {
                // A duration is stored as a signed number.
                Some(total) if total <= i64::MAX as u64 => total,
                _ => return None,
            },
            None => return None,
        };
    }
    Some(total)
}

const fn unit_index(bytes: &[u8], from: usize, to: usize) -> Option<usize> {
    let mut unit = 0;
    while unit < UNITS.len() {
        let name = UNITS[unit].0.as_bytes();
        if name.len() == to - from && name[0] == bytes[from] && (name.len() == 1 || name[1] == bytes[from + 1]) {
            return Some(unit);
        }
        unit += 1;
    }
    None
}

/// Writes a duration in the form that [`parse_ms`] reads: `5400000` is `1h30m`, `0` is `0s`.
pub fn format_ms(mut ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, length) in UNITS {
        if ms >= length {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}{unit}", ms / length);
            ms %= length;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ] {
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn refuses_what_could_be_misread() {
        for text in
            ["", "90", "s", "30m1h", "1m1m", "1.5h", "-5s", "5 m", "5min", "99999999999999999999s", "300000000000d"]
        {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["90ms", "5m", "1h30m", "1d2h3m4s5ms", "0s"] {
            assert_eq!(format_ms(parse_ms(text).expect("valid")), text);
        }
    }
}
