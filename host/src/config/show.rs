//! A configuration written out: as TOML with a comment for every key, and the reference in `docs/config.md`.

use std::fmt::Write as _;

use toml::Value;

use super::Config;
use super::keys::{KEYS, Key, PER_INTEGRATION, of_table, tables};

/// The effective values as TOML that can be read again, each key with what it means and what may be written.
pub fn show(config: &Config) -> String {
    let values = Value::try_from(config).expect("a configuration holds only what TOML can write");
    let mut text = String::new();
    for table in tables().into_iter().filter(|table| *table != PER_INTEGRATION) {
        let entries = values.get(table);
        section(&mut text, table, of_table(table).map(|key| (key, entries.and_then(|entries| entries.get(key.name)))));
    }
    for id in config.integration.keys() {
        let entries = values.get("integration").and_then(|all| all.get(id));
        let keys = of_table(PER_INTEGRATION).map(|key| (key, entries.and_then(|entries| entries.get(key.name))));
        section(&mut text, &format!("integration.{id}"), keys);
    }
    text
}

fn section<'v>(text: &mut String, table: &str, keys: impl Iterator<Item = (&'static Key, Option<&'v Value>)>) {
    let gap = if text.is_empty() { "" } else { "\n" };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{gap}[{table}]");
    for (key, value) in keys {
        let _ = writeln!(text, "# {} ({})", key.meaning, key.kind.words());
        let _ = match value {
            Some(value) => writeln!(text, "{} = {}", key.name, written(value)),
            None => writeln!(text, "# {} is not set", key.name),
        };
    }
}

fn written(value: &Value) -> String {
    match value {
        // JSON's escapes are TOML's too.
        Value::String(text) => serde_json::Value::from(text.as_str()).to_string(),
        Value::Array(list) => format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Datetime(_) | Value::Table(_) => unreachable!("no key is a date or a table"),
    }
}

/// The reference of all keys, the content of `docs/config.md`.
pub fn reference() -> String {
    let defaults = Value::try_from(Config::default()).expect("a configuration holds only what TOML can write");
    let mut text = String::from(INTRODUCTION);
    for table in tables() {
        let _ =
            write!(text, "\n## `[{table}]`\n\n| key | default | what may be written | meaning |\n|---|---|---|---|\n");
        for key in KEYS.iter().filter(|key| key.table == table) {
            let default = defaults
                .get(table)
                .and_then(|entries| entries.get(key.name))
                .map_or("not set".to_owned(), |value| format!("`{}`", written(value)));
            let _ = writeln!(text, "| `{}` | {default} | {} | {} |", key.name, key.kind.words(), key.meaning);
        }
    }
    text
}

const INTRODUCTION: &str = "\
# Configuration

One file, `gatehouse.toml` in the home (`gatehouse serve --config FILE` takes another). Every key is optional, and so
is the file. `gatehouse config show` prints what is in force, `gatehouse config check` finds every mistake with its
line before a restart does. The daemon reads the file when it starts.
";
