//! What is watched: the states that are meant, their last values, when each changed before the watcher's eyes.

use std::collections::BTreeMap;

use gatehouse_plugin_api::ids::{EntityAddress, StateAddress};
use gatehouse_plugin_api::value::{StateKind, Value};

use crate::api::types::{ReadingEvent, State};
use crate::cli::pattern::Patterns;

/// How long a change is highlighted.
const HIGHLIGHT_MS: i64 = 1_500;

/// The states by address: those of one entity stand together.
#[derive(Debug)]
pub(super) struct Model {
    patterns: Patterns,
    rows: BTreeMap<StateAddress, Row>,
    away: bool,
}

/// One watched state.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) state: State,
    /// When the change came, by this process's clock.
    seen_change_ms: Option<i64>,
}

impl Row {
    /// Whether its change is still to be highlighted.
    pub(super) fn highlighted(&self, now_ms: i64) -> bool {
        self.seen_change_ms.is_some_and(|at| now_ms - at < HIGHLIGHT_MS)
    }
}

/// A reading that changed a state.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) state: &'a State,
    pub(super) value: &'a Value,
    pub(super) at_ms: i64,
}

impl Model {
    pub(super) fn new(patterns: Patterns) -> Self {
        Self { patterns, rows: BTreeMap::new(), away: false }
    }

    /// Takes the states as they are now; what changed in between is not highlighted.
    pub(super) fn refresh(&mut self, states: Vec<State>) {
        let mut before = std::mem::take(&mut self.rows);
        for state in states {
            if self.patterns.matches(&state.address.to_string()) {
                let seen_change_ms = before.remove(&state.address).and_then(|row| row.seen_change_ms);
                self.rows.insert(state.address.clone(), Row { state, seen_change_ms });
            }
        }
    }

    /// The present values, as readings of the past.
    pub(super) fn present(&self) -> impl Iterator<Item = (ReadingEvent, Change<'_>)> {
        self.rows.values().filter_map(|Row { state, .. }| {
            let (value, at_ms) = (state.value.as_ref()?, state.changed_at_ms?);
            let reading = ReadingEvent {
                address: state.address.clone(),
                value: value.clone(),
                changed_at_ms: at_ms,
                last_seen_ms: state.last_seen_ms.unwrap_or(at_ms),
                sequence: 0,
            };
            Some((reading, Change { state, value, at_ms }))
        })
    }

    /// Whether a state is meant and not known yet: it was declared after the states were read.
    pub(super) fn lacks(&self, address: &StateAddress) -> bool {
        !self.rows.contains_key(address) && self.patterns.matches(&address.to_string())
    }

    /// Takes a reading; the change, when it is one. A value reported again is none, an event always is.
    pub(super) fn reading<'a>(&'a mut self, reading: &'a ReadingEvent, now_ms: i64) -> Option<Change<'a>> {
        let row = self.rows.get_mut(&reading.address)?;
        let event = matches!(row.state.kind, StateKind::Event { .. });
        let again = if event {
            row.state.changed_at_ms.is_some_and(|at| reading.changed_at_ms <= at) && row.state.value.is_some()
        } else {
            row.state.value.as_ref() == Some(&reading.value)
        };
        row.state.last_seen_ms = Some(reading.last_seen_ms);
        if again {
            return None;
        }
        row.state.value = Some(reading.value.clone());
        row.state.changed_at_ms = Some(reading.changed_at_ms);
        row.seen_change_ms = Some(now_ms);
        Some(Change { state: &row.state, value: &reading.value, at_ms: reading.changed_at_ms })
    }

    /// Whether a highlight has to go: it is drawn anew until none is left.
    pub(super) fn fading(&mut self, now_ms: i64) -> bool {
        let mut fading = false;
        for row in self.rows.values_mut() {
            if row.seen_change_ms.is_some() && !row.highlighted(now_ms) {
                row.seen_change_ms = None;
                fading = true;
            }
        }
        fading
    }

    /// The daemon went away, or is back.
    pub(super) fn away(&mut self, away: bool) {
        self.away = away;
    }

    pub(super) fn is_away(&self) -> bool {
        self.away
    }

    /// The rows, those of one entity after each other.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// How many states and entities there are.
    pub(super) fn counts(&self) -> (usize, usize) {
        let mut entities = 0;
        let mut last: Option<&EntityAddress> = None;
        for address in self.rows.keys() {
            if last != Some(&address.entity) {
                entities += 1;
                last = Some(&address.entity);
            }
        }
        (self.rows.len(), entities)
    }
}
