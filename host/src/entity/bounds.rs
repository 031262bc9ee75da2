//! What a plugin may declare and report: bounds that keep one integration from filling the house.

use std::collections::{HashMap, HashSet};

use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::message::{EntityDeclaration, StateDeclaration};
use gatehouse_plugin_api::value::{StateKind, TEXT_MAX_BYTES, Value};

use super::name_key;

/// Most attached entities of one integration.
pub const ENTITIES_MAX: usize = 10_000;
/// Most entities that are remembered of one integration, detached ones included.
pub const ENTITIES_KNOWN_MAX: usize = 50_000;
/// Most states of one entity.
pub const STATES_MAX: usize = 200;
/// The longest label, in bytes.
pub const LABEL_MAX_BYTES: usize = 255;
/// The longest entity type, in bytes.
pub const ENTITY_TYPE_MAX_BYTES: usize = 64;
/// The longest unit, in bytes.
pub const UNIT_MAX_BYTES: usize = 32;
/// Most options of a choice, and most events of an event state.
pub const OPTIONS_MAX: usize = 500;
/// Most bytes that the last values of one integration's states have together.
pub const LIVE_TEXT_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most bytes of texts on their way to the database, one request more; `emit` waits beyond.
pub const QUEUE_TEXT_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Most bytes of texts in the ring for those who resume, and for each subscriber in what waits for it.
pub const SUBSCRIBER_TEXT_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most bytes of texts in one answer about the history.
pub const HISTORY_TEXT_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Readings may not be older: 2000-01-01 UTC, before any home that is watched.
pub const EARLIEST_MS: i64 = 946_684_800_000;
/// Readings may not be further ahead of the host's clock.
pub const AHEAD_MAX_MS: i64 = 24 * 60 * 60 * 1000;

fn invalid(message: String) -> CallError {
    CallError::new(ErrorCode::InvalidRequest, message)
}

/// Checks the declarations of one call.
///
/// # Errors
/// `invalid_request` with a sentence that names the first entity or state that is out of bounds.
pub(super) fn check_declarations(entities: &[EntityDeclaration]) -> Result<(), CallError> {
    if entities.len() > ENTITIES_MAX {
        return Err(invalid(format!(
            "{} entities were declared; an integration may have {ENTITIES_MAX}",
            entities.len()
        )));
    }
    let mut names = HashMap::with_capacity(entities.len());
    let mut previous = HashMap::new();
    for entity in entities {
        let name = entity.name.as_str();
        if let Some(other) = names.insert(name_key(name), name) {
            return Err(invalid(format!(
                "the entities {other:?} and {name:?} have the same name (names are compared without regard to case): \
                 the plugin must give each its own"
            )));
        }
        if let Some(before) = &entity.previous_name
            && let Some(other) = previous.insert(name_key(before.as_str()), name)
        {
            return Err(invalid(format!(
                "the entities {other:?} and {name:?} both say that they were {before:?} before: only one can be"
            )));
        }
        check_entity(entity).map_err(|problem| invalid(format!("the entity {name:?} {problem}")))?;
    }
    Ok(())
}

fn check_entity(entity: &EntityDeclaration) -> Result<(), String> {
    short("label", &entity.label, LABEL_MAX_BYTES)?;
    short("entity type", &entity.entity_type, ENTITY_TYPE_MAX_BYTES)?;
    if entity.states.len() > STATES_MAX {
        return Err(format!("has {} states; the most is {STATES_MAX}", entity.states.len()));
    }
    let mut names = HashSet::with_capacity(entity.states.len());
    for state in &entity.states {
        let name = state.name.as_str();
        if !names.insert(name_key(name)) {
            return Err(format!("has two states named {name:?} (names are compared without regard to case)"));
        }
        check_state(state).map_err(|problem| format!("has the state {name:?}, which {problem}"))?;
    }
    Ok(())
}

fn check_state(state: &StateDeclaration) -> Result<(), String> {
    short("label", &state.label, LABEL_MAX_BYTES)?;
    match &state.kind {
        StateKind::Number { unit, min, max } => {
            short("unit", unit, UNIT_MAX_BYTES)?;
            if [min, max].into_iter().flatten().any(|bound| !bound.is_finite()) {
                return Err("has a bound that is not a finite number".into());
            }
            match (min, max) {
                (Some(min), Some(max)) if min > max => {
                    Err(format!("has a least value {min} above its greatest value {max}"))
                }
                _ => Ok(()),
            }
        }
        StateKind::Choice { options } if options.is_empty() => Err("is a choice without options".into()),
        StateKind::Choice { options: words } | StateKind::Event { events: words } => {
            if words.len() > OPTIONS_MAX {
                return Err(format!("lists {} words; the most is {OPTIONS_MAX}", words.len()));
            }
            words.iter().try_for_each(|word| short("word", word, LABEL_MAX_BYTES))
        }
        StateKind::Text | StateKind::OnOff | StateKind::Timestamp => Ok(()),
    }
}

fn short(what: &str, text: &str, most: usize) -> Result<(), String> {
    if text.len() > most {
        return Err(format!("has a {what} of {} bytes; the most is {most}", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("has a control character in its {what}"));
    }
    Ok(())
}

/// Whether a value may be a reading of a state, and if not, a sentence without the state's name.
///
/// The least and greatest value of a number bound what may be set, not what a sensor may see.
pub(super) fn check_reading(kind: &StateKind, value: &Value) -> Result<(), String> {
    match (kind, value) {
        (StateKind::Number { .. }, Value::Number(number)) if number.is_finite() => Ok(()),
        (StateKind::Text, Value::Text(text)) | (StateKind::Event { .. }, Value::Event(text))
            if text.len() > TEXT_MAX_BYTES =>
        {
            Err(format!("got a text of {} bytes; the most is {TEXT_MAX_BYTES}", text.len()))
        }
        _ => kind.check(value),
    }
}

/// Whether a reading's own time can be meant, and if not, a sentence without the state's name.
pub(super) fn check_time(at_ms: i64, now_ms: i64) -> Result<(), String> {
    if at_ms < EARLIEST_MS {
        return Err(format!("got a time before the year 2000 ({at_ms} ms): milliseconds since 1970 UTC are meant"));
    }
    if at_ms > now_ms.saturating_add(AHEAD_MAX_MS) {
        return Err(format!("got a time more than a day ahead ({at_ms} ms): milliseconds since 1970 UTC are meant"));
    }
    Ok(())
}
