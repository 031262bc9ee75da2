//! `state history`: what a state was, as a table with a drawing, as CSV or as JSON.

use gatehouse_plugin_api::value::{StateKind, Value};

use super::args;
use super::daemon::Daemon;
use super::failure::Failure;
use super::output::{Output, Tone};
use super::spark::sparkline;
use super::table::Table;
use super::{when, words};
use crate::api::types::History;

pub(super) async fn run(daemon: &Daemon, wanted: &args::History, output: &Output) -> Result<(), Failure> {
    let now_ms = when::now_ms();
    let moment = |flag: &str, text: &str| {
        when::parse_moment(text, now_ms).map_err(|problem| Failure::usage(format!("{flag}: {problem}")))
    };
    let since_ms = moment("--since", &wanted.since)?;
    let until_ms = wanted.until.as_deref().map(|text| moment("--until", text)).transpose()?;
    if until_ms.is_some_and(|until_ms| until_ms <= since_ms) {
        return Err(Failure::usage("--until is not after --since").advise("--since takes the earlier moment"));
    }
    let history = daemon.history(&wanted.address, since_ms, until_ms, wanted.limit).await?;
    if output.json {
        return output.json(&history);
    }
    if wanted.csv {
        return output.text(&csv(&history));
    }
    if history.rows.is_empty() {
        return output.line(format!("No readings of {} since {}.", history.address, when::local(since_ms)));
    }
    output.line(text(&history, output))?;
    if history.older {
        let more = if history.rows.len() == wanted.limit as usize { "--limit" } else { "--until" };
        output.aside(format!("\nThese are the newest {}: {more} shows more.", history.rows.len()));
    }
    Ok(())
}

fn text(history: &History, output: &Output) -> String {
    let mut lines = vec![output.paint(Tone::Strong, &history.address)];
    let width = usize::from(output.width.unwrap_or(80).clamp(20, 100));
    if let Some(line) = sparkline(&history.rows, history.since_ms, history.until_ms, width) {
        lines.push(line);
        lines.push(summary(history));
    }
    let mut table = Table::new(output, &["TIME", "VALUE"]).right(1);
    for row in &history.rows {
        table.row([when::local(row.at_ms), words::value(&row.value, &history.kind)]);
    }
    lines.push(String::new());
    lines.push(table.to_string());
    lines.join("\n")
}

/// Least, mean and greatest of numbers; how long a switch was on.
fn summary(history: &History) -> String {
    let numbers: Vec<f64> = history
        .rows
        .iter()
        .filter_map(|row| if let Value::Number(number) = row.value { Some(number) } else { None })
        .collect();
    if let Some(first) = numbers.first() {
        let (mut min, mut max, mut sum) = (*first, *first, 0.0);
        for number in &numbers {
            (min, max, sum) = (min.min(*number), max.max(*number), sum + number);
        }
        // As many readings as fit into memory are few for an f64.
        let mean = sum / numbers.len() as f64;
        let show = |number| words::number_with_unit(number, &history.unit);
        return format!("{}, {} to {}, mean {}", counted(numbers.len()), show(min), show(max), show(mean));
    }
    let mut on_ms = 0;
    for (index, row) in history.rows.iter().enumerate() {
        if row.value == Value::OnOff(true) {
            let until_ms = history.rows.get(index + 1).map_or(history.known_until_ms, |next| next.at_ms);
            on_ms += (until_ms - row.at_ms).max(0);
        }
    }
    format!("{}, on for {}", counted(history.rows.len()), when::span(on_ms))
}

fn counted(readings: usize) -> String {
    if readings == 1 { "1 reading".to_owned() } else { format!("{readings} readings") }
}

/// RFC 4180: `time,value`, times in UTC.
fn csv(history: &History) -> String {
    let mut text = match &history.kind {
        StateKind::Number { unit, .. } if !unit.is_empty() => format!("time,{}\r\n", field(&format!("value ({unit})"))),
        _ => "time,value\r\n".to_owned(),
    };
    for row in &history.rows {
        let value = match &row.value {
            Value::TimestampMs(at) => when::rfc3339(*at),
            other => other.to_string(),
        };
        text.push_str(&format!("{},{}\r\n", when::rfc3339(row.at_ms), field(&value)));
    }
    text
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::HistoryRow;

    fn history(kind: StateKind, values: &[(i64, Value)]) -> History {
        let unit = if let StateKind::Number { unit, .. } = &kind { unit.clone() } else { String::new() };
        let rows = values.iter().map(|(at_ms, value)| HistoryRow { at_ms: *at_ms, value: value.clone() }).collect();
        let address = "hass:kitchen/x".parse().expect("valid");
        History { address, kind, unit, since_ms: 0, until_ms: 600_000, known_until_ms: 600_000, rows, older: false }
    }

    #[test]
    fn csv_quotes_what_must_be() {
        let texts = history(StateKind::Text, &[(0, "a,b".into()), (1_500, "say \"hi\"".into())]);
        assert_eq!(
            csv(&texts),
            "time,value\r\n1970-01-01T00:00:00.000Z,\"a,b\"\r\n1970-01-01T00:00:01.500Z,\"say \"\"hi\"\"\"\r\n"
        );
        assert!(csv(&history(StateKind::number("°C"), &[])).starts_with("time,value (°C)\r\n"));
    }

    #[test]
    fn numbers_and_switches_are_summed_up() {
        let numbers = history(StateKind::number("W"), &[(0, 1.0.into()), (1, 3.0.into())]);
        assert_eq!(summary(&numbers), "2 readings, 1 W to 3 W, mean 2 W");
        let switch = history(StateKind::OnOff, &[(0, true.into()), (120_000, false.into()), (540_000, true.into())]);
        assert_eq!(summary(&switch), "3 readings, on for 3 min");
        let ceased = History { known_until_ms: 540_000, ..switch };
        assert_eq!(summary(&ceased), "3 readings, on for 2 min", "nobody knows how it was after the integration's end");
    }
}
