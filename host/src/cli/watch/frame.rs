//! What is drawn: the lines of one picture, from the model and the width. Knows no terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::model::{Model, Row};
use crate::api::types::Availability;
use crate::cli::output::Tone;
use crate::cli::screen::Line;
use crate::cli::{when, words};

/// The widest that a state's name or value may be when there is room.
const COLUMN_MAX: usize = 32;
/// Between two columns.
const GAP: usize = 2;

/// All lines of the table, the heading aside; there may be more than fit the screen.
pub(super) fn body(model: &Model, now_ms: i64, width: usize) -> Vec<Line> {
    let names: Vec<&str> = model.rows().map(name).collect();
    let values: Vec<String> = model.rows().map(value).collect();
    let widest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0).min(COLUMN_MAX);
    let name_width = widest(&mut names.iter().map(|name| name.width())).min(width / 2);
    let value_width = widest(&mut values.iter().map(|value| value.width())).min(width / 3);
    let mut lines = Vec::new();
    let mut entity = None;
    for ((row, name), value) in model.rows().zip(&names).zip(&values) {
        let address = &row.state.address.entity;
        if entity != Some(address) {
            if entity.is_some() {
                lines.push(Line(Vec::new()));
            }
            entity = Some(address);
            lines.push(heading(row, width));
        }
        let tone = match row.state.availability {
            _ if row.highlighted(now_ms) => Tone::Warn,
            Availability::Offline => Tone::Dim,
            Availability::Online if row.state.value.is_none() => Tone::Dim,
            Availability::Online => Tone::Strong,
        };
        let mark = if row.highlighted(now_ms) { "• " } else { "  " };
        let age = row.state.changed_at_ms.map_or(String::new(), |at| when::ago(at, now_ms));
        let pieces = [
            (tone, mark.to_owned()),
            (Tone::Plain, padded(name, name_width + GAP, false)),
            (tone, padded(value, value_width, true)),
            (Tone::Dim, format!("  {age}")),
        ];
        lines.push(fitted(pieces, width));
    }
    lines
}

fn heading(row: &Row, width: usize) -> Line {
    let address = row.state.address.entity.to_string();
    let offline = if row.state.availability == Availability::Offline { "  offline" } else { "" };
    let rest = if row.state.entity_label == address { String::new() } else { format!("  {address}") };
    let pieces = [(Tone::Strong, row.state.entity_label.clone()), (Tone::Dim, format!("{rest}{offline}"))];
    fitted(pieces, width)
}

/// The line above the table.
pub(super) fn status(model: &Model, now_ms: i64, width: usize) -> Line {
    let (states, entities) = model.counts();
    if model.is_away() {
        return Line::of(Tone::Bad, cut("The daemon is away: waiting for it to come back. q ends.", width));
    }
    let text = format!("{}  {}. q ends.", when::local(now_ms), words::states_of_entities(states, entities));
    Line::of(Tone::Dim, cut(&text, width))
}

fn name(row: &Row) -> &str {
    if row.state.label.is_empty() { row.state.address.state.as_str() } else { &row.state.label }
}

fn value(row: &Row) -> String {
    match &row.state.value {
        Some(value) => words::shortened(&words::value(value, &row.state.kind), COLUMN_MAX),
        None => "-".to_owned(),
    }
}

/// The pieces, cut where the screen ends.
fn fitted(pieces: impl IntoIterator<Item = (Tone, String)>, width: usize) -> Line {
    let mut room = width;
    let cut_pieces = pieces.into_iter().map(|(tone, text)| {
        let text = cut(&text, room);
        room -= text.width();
        (tone, text)
    });
    Line(cut_pieces.collect())
}

/// The text in exactly so many columns.
fn padded(text: &str, width: usize, right: bool) -> String {
    let text = cut(text, width);
    let space = " ".repeat(width.saturating_sub(text.width()));
    if right { format!("{space}{text}") } else { format!("{text}{space}") }
}

/// The text in at most so many columns.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        cut.push(c);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use gatehouse_plugin_api::value::{StateKind, Value};

    use super::*;
    use crate::api::types::{ReadingEvent, State};
    use crate::cli::pattern::Patterns;

    const NOW: i64 = 1_764_079_200_000;

    fn state(address: &str, entity_label: &str, label: &str, kind: StateKind, value: Option<Value>) -> State {
        State {
            address: address.parse().expect("valid"),
            entity_label: entity_label.into(),
            label: label.into(),
            unit: String::new(),
            kind,
            text: String::new(),
            changed_at_ms: value.as_ref().map(|_| NOW - 65_000),
            last_seen_ms: value.as_ref().map(|_| NOW - 1_000),
            value,
            availability: Availability::Online,
            sensed: true,
            controllable: false,
        }
    }

    fn model() -> Model {
        let mut model = Model::new(Patterns::new(vec![]));
        let mut door = state("house:door/contact", "Küchentür 🚪", "Contact", StateKind::OnOff, None);
        door.availability = Availability::Offline;
        model.refresh(vec![
            state("house:lamp/power", "Lamp", "Power", StateKind::OnOff, Some(true.into())),
            state("house:lamp/energy", "Lamp", "Energy", StateKind::number("W"), Some(12.5.into())),
            door,
        ]);
        model
    }

    fn text(lines: &[Line]) -> String {
        let lines: Vec<String> =
            lines.iter().map(|line| line.0.iter().map(|(_, text)| text.as_str()).collect()).collect();
        lines.join("\n")
    }

    #[test]
    fn states_stand_under_their_entity() {
        let mut model = model();
        let reading = ReadingEvent {
            address: "house:lamp/energy".parse().expect("valid"),
            value: 1_500.0.into(),
            changed_at_ms: NOW,
            last_seen_ms: NOW,
            sequence: 1,
        };
        assert!(model.reading(&reading, NOW).is_some());
        assert!(model.reading(&reading, NOW).is_none(), "the same value again is no change");
        insta::assert_snapshot!(text(&body(&model, NOW, 60)));
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        for width in [10, 20, 31, 80] {
            for line in body(&model(), NOW, width) {
                let line = text(&[line]);
                assert!(line.width() <= width, "{width}: {line:?}");
            }
        }
    }
}
