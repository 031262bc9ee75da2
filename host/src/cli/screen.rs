//! The terminal while it is drawn on: the other screen, no cursor, and everything back as it was at the end.

use std::fmt::Write as _;
use std::io::{self, Write};

use crossterm::event::KeyCode;
use crossterm::{cursor, execute, terminal};

use super::failure::Failure;
use super::output::{Output, Tone};

/// A line in pieces, each with its tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<(Tone, String)>);

impl Line {
    /// A line of one tone.
    pub(super) fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self(vec![(tone, text.into())])
    }
}

/// The terminal, taken over until this is dropped.
#[derive(Debug)]
pub(super) struct Screen {
    output: Output,
    width: usize,
    height: usize,
    /// The first line of the table that is shown.
    top: usize,
    /// How many lines there were at the last drawing.
    lines: usize,
    open: bool,
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn open(color: bool) -> Result<Self, Failure> {
        let output = Output { json: false, color, terminal: true, width: None };
        let mut screen = Self { output, width: 80, height: 24, top: 0, lines: 0, open: true };
        terminal::enable_raw_mode()?;
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        screen.resized();
        Ok(screen)
    }

    /// The size may have changed.
    pub(super) fn resized(&mut self) {
        if let Ok((width, height)) = terminal::size() {
            (self.width, self.height) = (usize::from(width).max(1), usize::from(height).max(2));
        }
    }

    /// Moves through a table that is longer than the screen.
    pub(super) fn scroll(&mut self, key: KeyCode) {
        let page = self.height.saturating_sub(3).max(1);
        self.top = match key {
            KeyCode::Up | KeyCode::Char('k') => self.top.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.top + 1,
            KeyCode::PageUp => self.top.saturating_sub(page),
            KeyCode::PageDown | KeyCode::Char(' ') => self.top + page,
            KeyCode::Home => 0,
            KeyCode::End => usize::MAX,
            _ => self.top,
        };
        self.top = self.top.min(self.lines.saturating_sub(self.height.saturating_sub(2)));
    }

    /// Columns to draw in.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Draws the whole picture in one write, so that it does not flicker: a line on top and the table below, of which
    /// there may be more than fits.
    pub(super) fn draw(&mut self, head: &Line, body: &[Line]) -> Result<(), Failure> {
        self.lines = body.len();
        let room = self.height.saturating_sub(2);
        self.top = self.top.min(self.lines.saturating_sub(room));
        let mut picture = String::from("\x1b[H");
        self.push(&mut picture, head);
        picture.push_str("\x1b[K\r\n\x1b[K");
        for line in body.iter().skip(self.top).take(room) {
            picture.push_str("\r\n");
            self.push(&mut picture, line);
            picture.push_str("\x1b[K");
        }
        let below = self.lines.saturating_sub(self.top + room);
        if below > 0 || self.top > 0 {
            // Writing to a String cannot fail.
            let _ =
                write!(picture, "\x1b[2;1H\x1b[2m{} above, {below} below: arrows, PgUp, PgDn\x1b[0m\x1b[K", self.top);
            let _ = write!(picture, "\x1b[{};1H", self.height);
        }
        picture.push_str(if body.len() < room { "\x1b[J" } else { "" });
        let mut out = io::stdout().lock();
        out.write_all(picture.as_bytes())?;
        Ok(out.flush()?)
    }

    fn push(&self, picture: &mut String, line: &Line) {
        for (tone, text) in &line.0 {
            picture.push_str(&self.output.paint(*tone, text));
        }
    }

    /// Gives the terminal back, and says when that failed.
    pub(super) fn close(mut self) -> Result<(), Failure> {
        Ok(self.restore()?)
    }

    fn restore(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        let shown = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        terminal::disable_raw_mode().and(shown)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // On the way out of a failure: there is nothing better to do about another one.
        let _ = self.restore();
    }
}
