//! Databases of every schema that ever was, opened by the store of today.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::Place;

/// The schemas in their order; each is what the one before it was, changed.
const SCHEMAS: [&str; 4] = [
    include_str!("../../../src/store/schema-1.sql"),
    include_str!("../../../src/store/schema-2.sql"),
    include_str!("../../../src/store/schema-3.sql"),
    include_str!("../../../src/store/schema-4.sql"),
];

/// A row or two for every table, by the schema that brought it.
const ROWS: [&str; 4] = [
    "INSERT INTO home VALUES ('next_ordinal', 12);
     INSERT INTO verdicts VALUES ('a.so', 'refused', 'not_elf', 'no plugin', NULL, 'ab', 7, NULL, 5);
     INSERT INTO integrations VALUES ('hass', 'hass', 'Home', 'on', 'isolated', 'unique', '', 5, 'cd');
     INSERT INTO attributes VALUES ('hass', 'host', '\"there\"', NULL), ('hass', 'token', NULL, x'0102');
     INSERT INTO kv VALUES ('hass', 'data', 'seen', x'0304'), ('hass', 'secrets', 'refresh', x'0506');
     INSERT INTO entities VALUES (3, 'hass', 'lamp', '{}', 'attached', 5, 'Mine');
     INSERT INTO states VALUES (4, 3, 'level', 0, 41.5, NULL, NULL, 6, 7), (5, 3, 'word', 2, NULL, NULL, 'x', 6, 7);
     INSERT INTO readings VALUES (4, 6, 10, 0, 40.5, NULL, NULL), (4, 6, 11, 0, 41.5, NULL, NULL);",
    "INSERT INTO upgrades VALUES ('hass', '[]', '{\"pin\":1}', '{\"trial\":1}');
     INSERT INTO shadow_attributes VALUES ('hass', 'host', '\"before\"', NULL), ('hass', 'token', NULL, x'07');
     INSERT INTO shadow_kv VALUES ('hass', 'data', 'seen', x'08');",
    "INSERT INTO audit VALUES (9, 5, 1000, 'me', 'socket', 'pause', 'hass', 'done');",
    "INSERT INTO crashes VALUES (2, 'hass', 'fold', 3, 5, 6, x'0a');
     INSERT INTO moved VALUES ('hass', 5, 'it crashed');",
];

fn tables(connection: &Connection) -> Vec<String> {
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).filter(|name: &String| !name.starts_with("sqlite_")).collect()
}

/// Every row of every table, each with the names of its columns.
fn rows_of(connection: &Connection) -> BTreeMap<String, Vec<Vec<(String, Value)>>> {
    let all = tables(connection).into_iter().map(|table| {
        // The check value of the key is written by whoever opens it first.
        let of = if table == "home" { "WHERE name <> 'key_check'" } else { "" };
        let mut statement = connection.prepare(&format!("SELECT * FROM {table} {of}")).unwrap();
        let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let rows = statement.query_map([], |row| {
            columns.iter().enumerate().map(|(at, name)| Ok((name.clone(), row.get::<_, Value>(at)?))).collect()
        });
        let rows = rows.unwrap().map(Result::unwrap).collect();
        (table, rows)
    });
    all.collect()
}

#[tokio::test]
async fn whatever_an_earlier_schema_held_is_there_in_the_one_of_today() {
    let newest = Place::new();
    newest.open().unwrap().close().await;
    let now = Connection::open(newest.database()).unwrap();
    let version: u32 = now.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(version).unwrap(), SCHEMAS.len(), "a new schema needs a text and rows here");
    for schema in 1..=SCHEMAS.len() {
        let place = Place::new();
        // The key first: a database with secrets and without a key is refused.
        std::fs::copy(newest.key(), place.key()).unwrap();
        let old = Connection::open(place.database()).unwrap();
        for (text, rows) in SCHEMAS.into_iter().zip(ROWS).take(schema) {
            old.execute_batch(text).unwrap();
            old.execute_batch(rows).unwrap();
        }
        old.pragma_update(None, "user_version", i64::try_from(schema).unwrap()).unwrap();
        let before = rows_of(&old);
        assert!(before.values().all(|rows| !rows.is_empty()), "every table has rows: {before:?}");
        drop(old);

        place.open().unwrap().close().await;
        let new = Connection::open(place.database()).unwrap();
        let after = rows_of(&new);
        assert_eq!(tables(&new), tables(&now), "from schema {schema}");
        for (table, rows) in before {
            assert_eq!(after[&table], rows, "{table} from schema {schema}");
        }
        let copy = place.folder().join(format!("gatehouse.db.before-{}", SCHEMAS.len()));
        assert_eq!(copy.exists(), schema < SCHEMAS.len(), "a copy of before it was changed, from schema {schema}");
    }
}
