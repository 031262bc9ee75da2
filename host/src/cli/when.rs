//! Times for people: ages, local times, spans, and what they type for a moment.

use gatehouse_plugin_api::duration::{HOW_TO_WRITE, parse_ms};
use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Now, in milliseconds since 1970 UTC.
pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// How long ago: `now`, `3 s ago`, `5 min ago`, `2 h ago`, `6 d ago`; `in 5 s` for what is to come.
pub(super) fn ago(at_ms: i64, now_ms: i64) -> String {
    let past = now_ms - at_ms;
    if past.abs() < 1_000 {
        return "now".to_owned();
    }
    let span = span(past.abs());
    if past > 0 { format!("{span} ago") } else { format!("in {span}") }
}

/// A span by its largest unit: `3 s`, `5 min`, `2 h`, `6 d`.
pub(super) fn span(ms: i64) -> String {
    match ms / 1_000 {
        s @ ..60 => format!("{s} s"),
        s @ ..3_600 => format!("{} min", s / 60),
        s @ ..86_400 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

fn local_zoned(at_ms: i64) -> Option<Zoned> {
    Timestamp::from_millisecond(at_ms).ok().map(|at| at.to_zoned(TimeZone::system()))
}

/// Local date and time: `2026-11-25 13:54:10`.
pub(super) fn local(at_ms: i64) -> String {
    local_zoned(at_ms).map_or_else(|| format!("{at_ms} ms"), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Local time with milliseconds, for lines that come now: `13:54:10.123`.
pub(super) fn clock(at_ms: i64) -> String {
    local_zoned(at_ms).map_or_else(|| format!("{at_ms} ms"), |at| at.strftime("%H:%M:%S%.3f").to_string())
}

/// UTC in RFC 3339 with milliseconds, for programs.
pub(super) fn rfc3339(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| format!("{at:.3}"))
}

/// A moment as a person types it, in milliseconds since 1970 UTC: an age (`1h30m`), a local date (its beginning) or
/// date with time, or RFC 3339.
///
/// # Errors
/// A sentence that says how to write it.
pub(super) fn parse_moment(text: &str, now_ms: i64) -> Result<i64, String> {
    parse_moment_in(text, now_ms, &TimeZone::system())
}

fn parse_moment_in(text: &str, now_ms: i64, zone: &TimeZone) -> Result<i64, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(now_ms);
    }
    if let Some(age) = parse_ms(text) {
        return Ok(now_ms.saturating_sub(i64::try_from(age).unwrap_or(i64::MAX)));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond());
    }
    let civil = text.parse::<civil::DateTime>().or_else(|_| text.parse::<civil::Date>().map(civil::DateTime::from));
    match civil.and_then(|at| at.to_zoned(zone.clone())) {
        Ok(at) => Ok(at.timestamp().as_millisecond()),
        Err(_) => Err(format!(
            "{text:?} is not a moment: for an age {HOW_TO_WRITE}; for a date write 2026-11-25 or 2026-11-25T13:00"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_use_their_largest_unit() {
        let now = 1_000_000_000;
        for (past, text) in [
            (0, "now"),
            (999, "now"),
            (3_400, "3 s ago"),
            (59_999, "59 s ago"),
            (60_000, "1 min ago"),
            (7_200_000, "2 h ago"),
            (172_800_000, "2 d ago"),
            (-5_000, "in 5 s"),
        ] {
            assert_eq!(ago(now - past, now), text);
        }
    }

    #[test]
    fn moments_are_ages_dates_and_rfc_3339() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let now = 1_764_079_200_000; // 2025-11-25T14:00:00Z
        for (text, at) in [
            ("now", now),
            ("1h", now - 3_600_000),
            ("2025-11-25T14:00:00Z", now),
            ("2025-11-25 15:00", now),
            ("2025-11-25T15:00:00", now),
            ("2025-11-25", now - 15 * 3_600_000),
        ] {
            assert_eq!(parse_moment_in(text, now, &zone), Ok(at), "{text}");
        }
        for text in ["", "yesterday", "5", "25.11.2025"] {
            assert!(parse_moment_in(text, now, &zone).is_err(), "{text}");
        }
    }
}
