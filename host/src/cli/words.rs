//! How values and states of things read to a person: words, tones, units, shortened text.

use gatehouse_plugin_api::message::HealthStatus;
use gatehouse_plugin_api::value::{StateKind, Value};
use unicode_width::UnicodeWidthStr;

use super::output::Tone;
use super::table::Toned;
use super::when;
use crate::api::types::Integration;
use crate::gateway::Hosting;
use crate::integration::Actual;
use crate::plugin::Decision;
use crate::reason::ReasonCode;
use crate::store::Desired;

/// What an integration is, in a word or two.
pub(super) fn actual(actual: &Actual, now_ms: i64) -> Toned {
    let (text, tone) = match actual {
        Actual::Missing => ("missing".to_owned(), Tone::Bad),
        Actual::Incompatible => ("incompatible".to_owned(), Tone::Bad),
        Actual::Off => ("off".to_owned(), Tone::Dim),
        Actual::Paused => ("paused".to_owned(), Tone::Dim),
        Actual::Starting => ("starting".to_owned(), Tone::Warn),
        Actual::Running => ("running".to_owned(), Tone::Good),
        Actual::Degraded => ("degraded".to_owned(), Tone::Warn),
        Actual::Retrying { attempt, next_at_ms } => {
            (format!("retrying ({attempt}.), next {}", when::ago(*next_at_ms, now_ms)), Tone::Warn)
        }
        Actual::NeedsAuth => ("needs credentials".to_owned(), Tone::Bad),
        Actual::NeedsConfig => ("needs settings".to_owned(), Tone::Bad),
        Actual::Quarantined { next_at_ms } => {
            (format!("quarantined, next {}", when::ago(*next_at_ms, now_ms)), Tone::Bad)
        }
        Actual::Stopping => ("stopping".to_owned(), Tone::Warn),
    };
    Toned(text, tone)
}

/// What a person wants of an integration.
pub(super) fn desired(desired: Desired) -> &'static str {
    match desired {
        Desired::Off => "off",
        Desired::Paused => "paused",
        Desired::On => "on",
    }
}

/// How an integration is run.
pub(super) fn hosting(hosting: Hosting) -> Toned {
    match hosting {
        Hosting::Isolated => Toned("isolated".to_owned(), Tone::Plain),
        Hosting::InProcess => Toned("IN-PROCESS".to_owned(), Tone::Warn),
    }
}

/// An integration's own word on how it is.
pub(super) fn health(status: HealthStatus) -> Toned {
    let (text, tone) = match status {
        HealthStatus::Healthy => ("healthy", Tone::Good),
        HealthStatus::Warning => ("warning", Tone::Warn),
        HealthStatus::Error => ("error", Tone::Bad),
        HealthStatus::Disabled => ("disabled", Tone::Dim),
        HealthStatus::Unknown => ("unknown", Tone::Dim),
    };
    Toned(text.to_owned(), tone)
}

/// What was decided about a file.
pub(super) fn decision(decision: Decision) -> Toned {
    let (text, tone) = match decision {
        Decision::Accepted => ("accepted", Tone::Good),
        Decision::Shadowed => ("shadowed", Tone::Warn),
        Decision::Refused => ("refused", Tone::Bad),
        Decision::Gone => ("gone", Tone::Dim),
    };
    Toned(text.to_owned(), tone)
}

/// Whether there is something that a person should read about an integration.
pub(super) fn needs_attention(integration: &Integration) -> bool {
    !matches!(integration.actual, Actual::Running | Actual::Off | Actual::Paused)
        || matches!(integration.health.status, HealthStatus::Warning | HealthStatus::Error)
        || matches!(
            integration.reason.code,
            ReasonCode::WantsMore | ReasonCode::UpgradeNeedsConfig | ReasonCode::WentBack
        )
}

/// A value as a person reads it, with its unit: `21.5 °C`, `1.2 GB`, `on`, a local time.
pub(super) fn value(value: &Value, kind: &StateKind) -> String {
    match (value, kind) {
        (Value::Number(number), StateKind::Number { unit, .. }) => number_with_unit(*number, unit),
        (Value::Number(number), _) => number_with_unit(*number, ""),
        (Value::TimestampMs(at), _) => when::local(*at),
        (other, _) => other.to_string(),
    }
}

/// A number rounded for reading. Bytes get a larger unit, decimal steps, and minutes of seconds or more become a span;
/// every other unit stays as declared.
pub(super) fn number_with_unit(number: f64, unit: &str) -> String {
    if unit == "s" && (120.0..1e12).contains(&number) {
        // Far below what an i64 holds, by the range.
        return long_span(number as i64);
    }
    let (bytes, per) = match unit.strip_suffix("/s") {
        Some(base) => (base, "/s"),
        None => (unit, ""),
    };
    if bytes == "B" {
        let mut scaled = number;
        for step in ["B", "kB", "MB", "GB", "TB"] {
            if scaled.abs() < 1_000.0 || step == "TB" {
                let digits = usize::from(step != "B" && scaled.abs() < 100.0);
                return format!("{scaled:.digits$} {step}{per}");
            }
            scaled /= 1_000.0;
        }
    }
    if unit.is_empty() { rounded(number) } else { format!("{} {unit}", rounded(number)) }
}

/// A time that something took: `5 ms`, `1.2 s`, `3 min`.
pub(super) fn millis(ms: u64) -> String {
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => when::span(i64::try_from(ms).unwrap_or(i64::MAX)),
    }
}

/// A span by its two largest units: `1 h 23 min`.
fn long_span(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min {} s", seconds % 60),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Two decimals at the most, fewer for large numbers.
fn rounded(number: f64) -> String {
    let text = if number.abs() >= 1_000.0 { format!("{number:.0}") } else { format!("{number:.2}") };
    match text.split_once('.') {
        Some((whole, decimals)) => {
            let decimals = decimals.trim_end_matches('0');
            if decimals.is_empty() { whole.to_owned() } else { format!("{whole}.{decimals}") }
        }
        None => text,
    }
}

/// A size in bytes.
pub(super) fn bytes(size: u64) -> String {
    // Sizes of files stay far below the numbers that an f64 cannot hold.
    number_with_unit(size as f64, "B")
}

/// Text on one line, at most so many characters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let mut short: String = line.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// `3 states of 1 entity`.
pub(super) fn states_of_entities(states: usize, entities: usize) -> String {
    let state = if states == 1 { "state" } else { "states" };
    let entity = if entities == 1 { "entity" } else { "entities" };
    format!("{states} {state} of {entities} {entity}")
}

/// Text broken between words into lines of at most so many columns; its own line breaks stay.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.width() + 1 + word.width() > width {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (number, unit, text) in [
            (21.5, "°C", "21.5 °C"),
            (21.0, "°C", "21 °C"),
            (33.333_33, "%", "33.33 %"),
            (123_456.7, "W", "123457 W"),
            (0.0, "", "0"),
            (-0.5, "", "-0.5"),
            (999.0, "B", "999 B"),
            (1_234.0, "B", "1.2 kB"),
            (16_384_000_000.0, "B", "16.4 GB"),
            (512_000_000.0, "B", "512 MB"),
            (1_500.0, "B/s", "1.5 kB/s"),
            (59.0, "s", "59 s"),
            (5_000.0, "s", "1 h 23 min"),
            (200_000.0, "s", "2 d 7 h"),
        ] {
            assert_eq!(number_with_unit(number, unit), text);
        }
    }

    #[test]
    fn one_is_one() {
        assert_eq!(states_of_entities(1, 1), "1 state of 1 entity");
        assert_eq!(states_of_entities(3, 2), "3 states of 2 entities");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three\nfour", 8), "one two\nthree\nfour");
        assert_eq!(wrapped("unbreakable", 4), "unbreakable");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(shortened("one\ntwo  three", 20), "one two three");
        assert_eq!(shortened("äöüäöü", 4), "äöü…");
    }
}
