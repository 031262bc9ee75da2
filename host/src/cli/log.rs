//! `log`: the daemon's log, kept lines and new ones.

use gatehouse_plugin_api::message::LogLevel;

use super::args::{self, Level};
use super::daemon::Daemon;
use super::failure::{FAILED, Failure};
use super::output::{Output, Tone};
use super::when;
use crate::api::types::{LogLine, MissedEvent};

pub(super) async fn run(daemon: &Daemon, wanted: &args::Log, output: &Output) -> Result<(), Failure> {
    let level = match wanted.level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    if let Some(id) = &wanted.integration {
        // Tells a mistyped id, which the log's filter cannot know of.
        daemon.integration(id).await?;
    }
    let path = Daemon::log_path(wanted.integration.as_ref(), level, wanted.lines, wanted.follow);
    if !wanted.follow {
        for line in daemon.log(&path).await?.lines {
            print(&line, output)?;
        }
        return Ok(());
    }
    let mut stream = daemon.events(&path, None).await.map_err(|error| daemon.failure(&error))?;
    loop {
        tokio::select! {
            event = stream.next() => match event.map_err(|error| daemon.failure(&error))? {
                Some(event) if event.event == "log" => {
                    print(&event.json().map_err(|error| daemon.failure(&error))?, output)?;
                }
                Some(event) if event.event == "missed" => {
                    let missed: MissedEvent = event.json().map_err(|error| daemon.failure(&error))?;
                    output.aside(format!("{} lines are missing here: they came faster than this took them", missed.lines));
                }
                Some(_) => {}
                None => {
                    output.aside("the daemon ended the log");
                    return Err(Failure::Silent { code: FAILED });
                }
            },
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

fn print(line: &LogLine, output: &Output) -> Result<(), Failure> {
    if output.json { output.json_line(line) } else { output.line(text(line, output)) }
}

pub(super) fn text(line: &LogLine, output: &Output) -> String {
    let (word, tone) = match line.level {
        LogLevel::Trace => ("TRACE", Tone::Dim),
        LogLevel::Debug => ("DEBUG", Tone::Dim),
        LogLevel::Info => ("INFO ", Tone::Good),
        LogLevel::Warn => ("WARN ", Tone::Warn),
        LogLevel::Error => ("ERROR", Tone::Bad),
    };
    let mut text = format!("{} {}", output.paint(Tone::Dim, when::local(line.at_ms)), output.paint(tone, word));
    if let Some(integration) = &line.integration {
        text.push_str(&format!(" {}", output.paint(Tone::Strong, format!("[{integration}]"))));
    }
    text.push_str(&format!(" {}", printable(&line.message)));
    for (key, value) in &line.fields {
        let apart = value.is_empty() || value.contains(|c: char| c.is_whitespace() || c == '"');
        let value = if apart { format!("{value:?}") } else { printable(value) };
        text.push_str(&output.paint(Tone::Dim, format!(" {}={value}", printable(key))));
    }
    text
}

/// A plugin's words must not move the cursor or begin a line of their own.
fn printable(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    for c in words.chars() {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_line_stays_one_line_whose_fields_stand_apart() {
        let field = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let line = LogLine {
            sequence: 1,
            at_ms: 0,
            level: LogLevel::Warn,
            target: "plugin".into(),
            integration: Some("hass".parse().expect("valid")),
            message: "two\nlines\u{1b}[2J".into(),
            fields: BTreeMap::from([field("reason", "it runs"), field("to", "running")]),
        };
        let text = text(&line, &Output::plain(80));
        assert!(text.ends_with(r#"WARN  [hass] two\nlines\u{1b}[2J reason="it runs" to=running"#), "{text}");
    }
}
