//! What a command prints and how: width, colour, JSON, and the one place that writes to standard output.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use super::args::{ColorChoice, Global};
use super::failure::Failure;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// Data as JSON.
    pub(super) json: bool,
    /// With colours.
    pub(super) color: bool,
    /// Standard output is a terminal.
    pub(super) terminal: bool,
    /// Characters in a line; `None` when it is no terminal.
    pub(super) width: Option<u16>,
}

/// What a text means, and so its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it is.
    Plain,
    /// As it should be.
    Good,
    /// Not quite as it should be.
    Warn,
    /// Wrong.
    Bad,
    /// Beside the point.
    Dim,
    /// To the point.
    Strong,
}

impl Output {
    /// As the flags, the environment and the terminal say.
    pub(super) fn new(global: &Global) -> Self {
        let terminal = io::stdout().is_terminal();
        let color = color(global.color, terminal);
        let width = if terminal { crossterm::terminal::size().ok().map(|(width, _)| width.max(40)) } else { None };
        Self { json: global.json, color, terminal, width }
    }

    /// Plain text of a given width, for tests.
    #[cfg(test)]
    pub(super) fn plain(width: u16) -> Self {
        Self { json: false, color: false, terminal: false, width: Some(width) }
    }

    /// Prints a line.
    pub(super) fn line(&self, text: impl Display) -> Result<(), Failure> {
        Ok(writeln!(io::stdout().lock(), "{text}")?)
    }

    /// Prints text as it is.
    pub(super) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Prints bytes as they are.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// Prints a value as JSON over several lines.
    pub(super) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string_pretty(value).map_err(Failure::failed)?)
    }

    /// Prints a value as JSON on one line, at once.
    pub(super) fn json_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string(value).map_err(Failure::failed)?)?;
        Ok(io::stdout().lock().flush()?)
    }

    /// A text in its colour.
    pub(super) fn paint(&self, tone: Tone, text: impl Display) -> String {
        let style = tone.style();
        if self.color && tone != Tone::Plain { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// Prints something beside the data, on standard error: it never mixes with what a program reads.
    pub(super) fn aside(&self, text: impl Display) {
        // There is nobody to tell when standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Dim => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
        }
    }
}

/// Whether standard error is printed in colour.
pub(super) fn error_color(global: &Global) -> bool {
    color(global.color, io::stderr().is_terminal())
}

fn color(choice: ColorChoice, terminal: bool) -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && !no_color && !dumb,
    }
}

/// Prints why a command failed, on standard error.
pub(super) fn print_failure(color: bool, failure: &Failure) {
    let Failure::Told { message, advice, .. } = failure else { return };
    let mut out = io::stderr().lock();
    let (bad, dim) =
        if color { (AnsiColor::Red.on_default().bold(), Style::new().bold()) } else { (Style::new(), Style::new()) };
    // There is nobody to tell when standard error is gone.
    let _ = writeln!(out, "{bad}error:{bad:#} {}", message.replace('\n', "\n       "));
    if !advice.is_empty() {
        let _ = writeln!(out, "{dim} hint:{dim:#} {}", advice.replace('\n', "\n       "));
    }
}
