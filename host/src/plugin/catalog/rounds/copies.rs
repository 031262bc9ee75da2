//! The care of staged copies: found for whoever needs one, deleted when nobody will.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gatehouse_plugin_api::ids::IntegrationType;

use super::Rounds;
use crate::plugin::discovery::Candidate;
use crate::plugin::staging::StagedWatch;
use crate::plugin::{Staged, stage_candidate};
use crate::store::UpgradeRow;

impl Rounds {
    pub(super) fn fetch(&mut self, sha256: &str) -> Option<Staged> {
        if let Some(plugin) = self.shelf.by_content(sha256) {
            return Some(plugin.clone());
        }
        let (path, _) = self.staging.copies().into_iter().find(|(_, found)| found == sha256)?;
        match stage_candidate(&self.staging, &Candidate::given(&path), self.max_bytes, &self.trust) {
            // A copy whose bytes are no longer those of its name is not the generation that was asked for.
            Ok(plugin) if plugin.sha256() == sha256 => {
                self.made.push(plugin.watch());
                Some(plugin)
            }
            Ok(_) => None,
            Err(refused) => {
                tracing::warn!(copy = %path.display(), reason = %refused, "staged copy cannot be used");
                None
            }
        }
    }

    pub(super) fn fetch_all(&mut self, integration_type: &IntegrationType) -> Vec<Staged> {
        let mut copies = self.staging.copies();
        copies.retain(|(path, _)| plugin_of(path) == integration_type.as_str());
        copies.sort_by_key(|(path, _)| std::cmp::Reverse(written(path)));
        copies.into_iter().filter_map(|(_, sha256)| self.fetch(&sha256)).collect()
    }

    /// Deletes the copies that no file has, nobody holds and no integration would go back to.
    pub(super) fn sweep(&mut self) {
        self.sweep_due = false;
        self.made.retain(StagedWatch::is_held);
        let needless: Vec<PathBuf> = self
            .staging
            .copies()
            .into_iter()
            .filter(|(_, sha256)| self.shelf.by_content(sha256).is_none())
            .filter(|(path, sha256)| !self.made.iter().any(|held| held.sha256 == *sha256 || held.path == *path))
            .map(|(path, _)| path)
            .collect();
        if needless.is_empty() {
            return;
        }
        let Some(needed) = self.needed() else { return };
        let is_needed = |path: &PathBuf| path.to_str().is_some_and(|text| needed.iter().any(|one| text.contains(one)));
        for path in spare(needless.into_iter().filter(|path| !is_needed(path)).collect(), self.keep) {
            self.staging.delete(&path);
        }
    }

    /// The contents that some integration uses, goes back to or is pinned to.
    fn needed(&self) -> Option<BTreeSet<String>> {
        let mut needed: BTreeSet<_> = self.integrations()?.into_iter().filter_map(|row| row.last_good_sha256).collect();
        let held = match self.runtime.block_on(self.store.upgrade_list()) {
            Ok(held) => held,
            Err(error) => {
                tracing::warn!(%error, "what integrations are held to cannot be read: no copy is deleted");
                return None;
            }
        };
        for UpgradeRow { pin, trial, .. } in held {
            needed.extend(pin.map(|pin| pin.to.sha256));
            needed.extend(trial.into_iter().flat_map(|trial| [trial.from.sha256, trial.to.sha256]));
        }
        Some(needed)
    }
}

/// Of copies that nothing needs those that go: of each plugin all but the newest.
fn spare(copies: Vec<PathBuf>, keep: usize) -> Vec<PathBuf> {
    let mut by_plugin: BTreeMap<String, Vec<(SystemTime, PathBuf)>> = BTreeMap::new();
    for path in copies {
        by_plugin.entry(plugin_of(&path)).or_default().push((written(&path), path));
    }
    by_plugin
        .into_values()
        .flat_map(|mut copies| {
            copies.sort_unstable_by(|a, b| b.cmp(a));
            copies.into_iter().skip(keep).map(|(_, path)| path)
        })
        .collect()
}

fn written(copy: &Path) -> SystemTime {
    std::fs::metadata(copy).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The id in a copy's name, `ID-VERSION-SHA256.so`: an id has no dot, and a version has one behind its first number.
fn plugin_of(copy: &Path) -> String {
    let name = copy.file_name().unwrap_or_default().to_string_lossy();
    let until_dot = name.split('.').next().unwrap_or_default();
    until_dot.rsplit_once('-').map_or(until_dot, |(id, _)| id).to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_newest_copies_of_each_plugin_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = |name: &str, age_s: u64| {
            let path = folder.path().join(name);
            let file = std::fs::File::create(&path).expect("made");
            file.set_modified(SystemTime::now() - Duration::from_secs(age_s)).expect("aged");
            path
        };
        let copies = vec![
            made("hue-1.0.0-aa.so", 30),
            made("hue-1.1.0-beta-2-bb.so", 20),
            made("hue-2.0.0-cc.so", 10),
            made("hue-cabin-1.0.0-dd.so", 40),
        ];
        assert_eq!(copies.iter().map(|copy| plugin_of(copy)).collect::<Vec<_>>(), ["hue", "hue", "hue", "hue-cabin"]);
        assert_eq!(spare(copies.clone(), 1), [copies[1].clone(), copies[0].clone()]);
        assert_eq!(spare(copies.clone(), 2), [copies[0].clone()]);
        assert_eq!(spare(copies, 3), Vec::<PathBuf>::new());
    }
}
