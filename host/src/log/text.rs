//! A line as text: one line on a terminal or in a journal, whatever it says.

use std::fmt::Write as _;

use gatehouse_plugin_api::message::LogLevel;

use super::LogLine;

/// The line as it stands on a terminal or in a journal.
pub(super) fn format_line(line: &LogLine, coloured: bool) -> String {
    let (level, colour) = match line.level {
        LogLevel::Trace => ("TRACE", "35"),
        LogLevel::Debug => ("DEBUG", "34"),
        LogLevel::Info => (" INFO", "32"),
        LogLevel::Warn => (" WARN", "33"),
        LogLevel::Error => ("ERROR", "31"),
    };
    let time = jiff::Timestamp::from_millisecond(line.at_ms).unwrap_or_default();
    let mut text = if coloured {
        format!("\x1b[2m{time:.3}\x1b[0m \x1b[{colour}m{level}\x1b[0m ")
    } else {
        format!("{time:.3} {level} ")
    };
    if let Some(integration) = &line.integration {
        // Writing to a String cannot fail; the same below.
        let _ = write!(text, "{integration}: ");
    }
    push_printable(&mut text, &line.message);
    for (name, value) in &line.fields {
        text.push(' ');
        push_printable(&mut text, name);
        text.push('=');
        if value.is_empty() || value.contains(char::is_whitespace) {
            let _ = write!(text, "{value:?}");
        } else {
            push_printable(&mut text, value);
        }
    }
    text.push('\n');
    text
}

/// A plugin's words must not move the cursor or begin a line of their own.
fn push_printable(text: &mut String, words: &str) {
    for c in words.chars() {
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
}
