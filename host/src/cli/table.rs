//! Tables that fit the terminal: a header, columns without lines, cells in their tone.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement};

use super::output::{Output, Tone};
use super::words;

/// Characters in a line from which on every column has room.
const WIDE: u16 = 100;

/// A table to fill and print.
#[derive(Debug)]
pub(super) struct Table {
    inner: comfy_table::Table,
    columns: usize,
}

/// A cell's text with its tone.
#[derive(Debug, Clone)]
pub(super) struct Toned(pub(super) String, pub(super) Tone);

impl From<&str> for Toned {
    fn from(text: &str) -> Self {
        Self(text.to_owned(), Tone::Plain)
    }
}

impl From<String> for Toned {
    fn from(text: String) -> Self {
        Self(text, Tone::Plain)
    }
}

impl Table {
    /// A table with these column headings.
    pub(super) fn new(output: &Output, header: &[&str]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.load_style(comfy_table::presets::NOTHING).force_no_tty();
        if output.color {
            inner.enforce_styling();
        }
        match output.width {
            Some(width) => inner.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
            None => inner.set_content_arrangement(ContentArrangement::Disabled),
        };
        inner.set_header(header.iter().map(|text| Cell::new(text).add_attribute(Attribute::Bold)));
        for column in inner.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self { inner, columns: header.len() }
    }

    /// Lets a column keep its width: addresses and ids are copied, so they are not broken.
    #[must_use]
    pub(super) fn unbroken(mut self, columns: &[usize]) -> Self {
        for index in columns {
            if let Some(column) = self.inner.column_mut(*index) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        self
    }

    /// Leaves columns out where the terminal has no room for all: what they say is in the thing's own view.
    #[must_use]
    pub(super) fn left_out_when_narrow(mut self, output: &Output, columns: &[usize]) -> Self {
        if output.width.is_some_and(|width| width < WIDE) {
            for index in columns {
                if let Some(column) = self.inner.column_mut(*index) {
                    column.set_constraint(ColumnConstraint::Hidden);
                }
            }
        }
        self
    }

    /// Aligns a column to the right.
    #[must_use]
    pub(super) fn right(mut self, index: usize) -> Self {
        if let Some(column) = self.inner.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self
    }

    /// Adds a row.
    pub(super) fn row<T: Into<Toned>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells: Vec<_> = cells.into_iter().map(|cell| styled(cell.into())).collect();
        debug_assert_eq!(cells.len(), self.columns, "a row has a cell for every column");
        self.inner.add_row(cells);
    }

    /// The lines, without spaces at their ends.
    pub(super) fn lines(&self) -> Vec<String> {
        self.inner.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

fn styled(Toned(text, tone): Toned) -> Cell {
    let cell = Cell::new(text);
    match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Warn => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Dim => cell.add_attribute(Attribute::Dim),
        Tone::Strong => cell.add_attribute(Attribute::Bold),
    }
}

/// Names and values under each other, the values beginning in one column and broken where the terminal ends.
pub(super) fn pairs(output: &Output, rows: &[(&str, String)]) -> String {
    let widest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let indent = " ".repeat(widest + 2);
    let room = output.width.map(|width| usize::from(width).saturating_sub(widest + 2).max(20));
    let line = |(name, value): &(&str, String)| {
        let value = match room {
            // A coloured value is a short one.
            Some(room) if !value.contains('\x1b') => words::wrapped(value, room),
            _ => value.clone(),
        };
        format!("{name:widest$}  {}", value.replace('\n', &format!("\n{indent}"))).trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
