//! How the daemon is: where its things are, and what there is of everything.

use std::collections::BTreeMap;
use std::path::Path;

use super::view::{LogStatus, Status};
use super::{App, is_running};
use crate::causes::with_causes;
use crate::entity::Attachment;
use crate::gateway::{self, Hosting, Kernel};
use crate::store::StoreError;

impl App {
    /// How the daemon is. Reads a few files' sizes.
    pub fn status_get(&self) -> Status {
        let ground = self.ground();
        let home = &ground.home;
        let now_ms = ground.clock.now_ms();
        let integrations = self.integrations().list();
        let in_process = integrations.iter().filter(|view| view.hosting == Hosting::InProcess);
        let entities = ground.house.entities();
        let attached = || entities.iter().filter(|entity| entity.attachment == Attachment::Attached);
        let states = attached().map(|entity| entity.declaration.states.len()).sum::<usize>();
        let log = self.0.log.counts();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api_version: gatehouse_plugin_api::ops::API_VERSION.to_owned(),
            pid: std::process::id(),
            started_at_ms: self.0.started_at_ms,
            uptime_ms: now_ms - self.0.started_at_ms,
            home: shown(home.root()),
            socket: shown(&self.0.socket),
            database: shown(&home.database()),
            database_bytes: database_bytes(&home.database()),
            database_problem: self.database_problem(),
            database_rescue: ground.store.rescue().map_or(String::new(), |rescue| rescue.to_string()),
            config_file: shown(&home.config_file()),
            plugins_folder: self.plugins_folder_get(),
            plugins: counted(ground.catalog.verdicts().iter().map(|verdict| word_of(&verdict.decision))),
            integrations: counted(integrations.iter().map(|view| word_of(&view.actual))),
            in_process: in_process
                .filter(|view| is_running(view.actual) || view.leaked_generations > 0)
                .map(|view| view.id.clone())
                .collect(),
            sandbox_missing: Kernel::found().missing().into_iter().chain(gateway::unbounded()).collect(),
            entities: u32::try_from(attached().count()).unwrap_or(u32::MAX),
            states: u32::try_from(states).unwrap_or(u32::MAX),
            log: LogStatus { kept: log.kept, displaced: log.displaced, dropped: log.dropped },
        }
    }
}

impl App {
    /// Why nothing is written, or why a damaged database is still in use; empty while neither is so.
    fn database_problem(&self) -> String {
        let store = &self.ground().store;
        match store.readings_problem() {
            Some((error, lost)) => told(&error, lost),
            None => store.damage().unwrap_or_default(),
        }
    }
}

/// A path as text; a home with a name that is not UTF-8 shows replacement characters.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The error with its causes, and what it has cost so far.
fn told(error: &StoreError, lost: u64) -> String {
    let mut text = with_causes(error);
    if lost > 0 {
        text.push_str(&format!(". The {lost} oldest readings of those that waited are not kept"));
    }
    text
}

/// With the write-ahead log, which can be larger than the database itself.
pub(super) fn database_bytes(database: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    size(database) + size(Path::new(&wal))
}

fn counted(words: impl Iterator<Item = String>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// The word of an enum as it stands in JSON: the string itself, or the tag `state`.
pub(super) fn word_of(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(serde_json::Value::Object(object)) => {
            object.get("state").and_then(|word| word.as_str()).unwrap_or_default().to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integration::Actual;
    use crate::plugin::Decision;

    #[test]
    fn states_are_counted_by_their_words() {
        let actual = [Actual::Running, Actual::Retrying { attempt: 1, next_at_ms: 0 }, Actual::Running];
        let counts = counted(actual.iter().map(word_of));
        assert_eq!(counts, BTreeMap::from([("retrying".to_owned(), 1), ("running".to_owned(), 2)]));
        assert_eq!(word_of(&Decision::Accepted), "accepted");
    }
}
