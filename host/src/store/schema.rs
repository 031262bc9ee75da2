//! The schema by `user_version`: append-only migrations, and a copy of the database before each.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};

use super::error::{StoreError, sql_error};

/// Every migration ever released, in order; one is appended for a new schema and none is ever changed.
const MIGRATIONS: &[M<'static>] = &[
    M::up(include_str!("schema-1.sql")),
    M::up(include_str!("schema-2.sql")),
    M::up(include_str!("schema-3.sql")),
    M::up(include_str!("schema-4.sql")),
];
/// How many copies from before migrations are kept.
const COPIES_KEPT: usize = 2;
/// Room that stays free beside a copy.
const MARGIN_BYTES: u64 = 8 * 1024 * 1024;

/// Brings the database to the newest schema.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    migrate_by(connection, path, MIGRATIONS)
}

/// Gives a new database the schema that another one has; the newest where that one does not say.
pub(super) fn as_in(new: &mut Connection, old: &Connection, path: &Path) -> Result<(), StoreError> {
    let known = MIGRATIONS.len();
    let found = version(old).ok().and_then(|found| usize::try_from(found).ok());
    let to = found.filter(|found| (1..=known).contains(found)).unwrap_or(known);
    Migrations::from_slice(MIGRATIONS).to_version(new, to).map_err(|error| not_migrated(error, path))
}

fn migrate_by(connection: &mut Connection, path: &Path, migrations: &[M<'static>]) -> Result<(), StoreError> {
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let found = version(connection).map_err(|error| sql_error(error, path, "reading its schema version"))?;
    if found > known {
        let restore = newest_readable_copy(path, known)
            .map_or_else(String::new, |copy| format!(", or put {} in its place", copy.display()));
        return Err(StoreError::Newer { path: path.display().to_string(), found, known, restore });
    }
    if found == known {
        return Ok(());
    }
    if found > 0 {
        copy_before(connection, path, known)?;
    }
    Migrations::from_slice(migrations).to_latest(connection).map_err(|error| not_migrated(error, path))
}

fn not_migrated(error: rusqlite_migration::Error, path: &Path) -> StoreError {
    match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => sql_error(err, path, "changing its schema"),
        other => StoreError::Row { row: format!("schema of {}", path.display()), problem: other.to_string() },
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Writes `gatehouse.db.before-N` (N: the schema it is about to get) and deletes all but the newest two.
fn copy_before(connection: &Connection, path: &Path, to: i64) -> Result<(), StoreError> {
    let sql = |error| sql_error(error, path, "copying it before its schema changes");
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(sql);
    let bytes = u64::try_from(pragma("page_count")?.saturating_mul(pragma("page_size")?)).unwrap_or(0);
    let file = |doing: &'static str| {
        move |source: std::io::Error| StoreError::File { path: path.display().to_string(), doing, source }
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let space = rustix::fs::statvfs(folder).map_err(|error| file("asking for free space")(error.into()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    // The migration itself rewrites pages through the write-ahead log: the copy, as much again, and a margin.
    let needed = bytes.saturating_mul(2).saturating_add(MARGIN_BYTES);
    if free < needed {
        let mb = |bytes: u64| bytes.div_ceil(1024 * 1024);
        return Err(StoreError::NoRoom {
            path: path.display().to_string(),
            needed_mb: mb(needed),
            free_mb: free / (1024 * 1024),
        });
    }
    let copy = copy_path(path, to);
    // One that was left by an attempt that failed is of no more use: the database is still what it was.
    if copy.exists() {
        fs::remove_file(&copy).map_err(file("replacing an older copy"))?;
    }
    // Made empty first, because a copy must not be readable for others either.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy).map_err(file("making a copy"))?;
    connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()]).map_err(sql)?;
    let mut copies = copies(path);
    copies.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
    for (_, old) in copies.into_iter().skip(COPIES_KEPT) {
        fs::remove_file(&old).map_err(file("deleting an old copy"))?;
    }
    Ok(())
}

fn copy_path(path: &Path, number: i64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".before-{number}"));
    PathBuf::from(name)
}

fn copies(path: &Path) -> Vec<(i64, PathBuf)> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let prefix = format!("{}.before-", name.to_string_lossy());
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_string_lossy().strip_prefix(&prefix)?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect()
}

fn newest_readable_copy(path: &Path, known: i64) -> Option<PathBuf> {
    copies(path)
        .into_iter()
        .filter(|(_, copy)| {
            Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY)
                .and_then(|connection| version(&connection))
                .is_ok_and(|found| found > 0 && found <= known)
        })
        .max_by_key(|(number, _)| *number)
        .map(|(_, copy)| copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &[M<'static>] =
        &[M::up("CREATE TABLE a (x)"), M::up("CREATE TABLE b (x)"), M::up("CREATE TABLE c (x)")];

    #[test]
    fn the_migrations_are_sound() {
        Migrations::from_slice(MIGRATIONS).validate().expect("every migration applies");
    }

    #[test]
    fn keeps_two_copies_and_names_the_one_to_restore() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("gatehouse.db");
        let mut connection = Connection::open(&path).expect("opens");
        migrate_by(&mut connection, &path, &THREE[..1]).expect("first");
        assert!(copies(&path).is_empty(), "a new database needs no copy");
        fs::write(copy_path(&path, 1), "older").expect("written");
        migrate_by(&mut connection, &path, &THREE[..2]).expect("second");
        migrate_by(&mut connection, &path, THREE).expect("third");
        let mut numbers: Vec<_> = copies(&path).into_iter().map(|(number, _)| number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [2, 3]);

        let error = migrate_by(&mut connection, &path, &THREE[..1]).expect_err("newer").to_string();
        assert!(error.contains("schema 3, this one knows 1") && error.contains("gatehouse.db.before-2"), "{error}");
        let copy = Connection::open(copy_path(&path, 3)).expect("opens");
        assert_eq!(version(&copy).expect("has one"), 2);
    }

    #[test]
    fn a_failed_migration_leaves_the_schema_as_it_was() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("gatehouse.db");
        let mut connection = Connection::open(&path).expect("opens");
        migrate_by(&mut connection, &path, &THREE[..1]).expect("first");
        let bad = &[M::up("CREATE TABLE a (x)"), M::up("CREATE TABLE b (x); CREATE TABLE a (x)")];
        migrate_by(&mut connection, &path, bad).expect_err("refused");
        assert_eq!(version(&connection).expect("has one"), 1);
        migrate_by(&mut connection, &path, &THREE[..2]).expect("a corrected one applies");
    }
}
