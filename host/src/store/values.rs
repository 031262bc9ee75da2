//! A reading's value as the four columns `kind`, `number`, `whole`, `text`.

use gatehouse_plugin_api::value::Value;
use rusqlite::Row;

use super::error::Fault;

/// The columns of a value.
pub(super) fn columns(value: &Value) -> (i64, Option<f64>, Option<i64>, Option<&str>) {
    match value {
        Value::Number(number) => (0, Some(*number), None, None),
        Value::OnOff(on) => (1, None, Some(i64::from(*on)), None),
        Value::Text(text) => (2, None, None, Some(text)),
        Value::Choice(text) => (3, None, None, Some(text)),
        Value::Event(text) => (4, None, None, Some(text)),
        Value::TimestampMs(ms) => (5, None, Some(*ms), None),
    }
}

/// The value in four columns from `first` on; `None` when `kind` is null.
pub(super) fn read(row: &Row<'_>, first: usize, place: impl Fn() -> String) -> Result<Option<Value>, Fault> {
    let Some(kind) = row.get::<_, Option<i64>>(first)? else { return Ok(None) };
    let value = match kind {
        0 => row.get::<_, Option<f64>>(first + 1)?.map(Value::Number),
        1 => row.get::<_, Option<i64>>(first + 2)?.map(|whole| Value::OnOff(whole != 0)),
        2 => row.get::<_, Option<String>>(first + 3)?.map(Value::Text),
        3 => row.get::<_, Option<String>>(first + 3)?.map(Value::Choice),
        4 => row.get::<_, Option<String>>(first + 3)?.map(Value::Event),
        5 => row.get::<_, Option<i64>>(first + 2)?.map(Value::TimestampMs),
        _ => None,
    };
    value.map(Some).ok_or_else(|| Fault::row(place(), format!("its value of kind {kind} is not there")))
}
