//! A home with a catalog, and waiting for what it says.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gatehouse_host::clock::Clock;
use gatehouse_host::config;
use gatehouse_host::home::Home;
use gatehouse_host::plugin::catalog::Catalog;
use gatehouse_host::plugin::trust::Trust;
use gatehouse_host::plugin::{Decision, PluginChange, Verdict};
use gatehouse_host::reason::ReasonCode;
use gatehouse_host::store::{CommitPolicy, Store};
use gatehouse_plugin_api::ids::IntegrationType;
use tokio::sync::broadcast;

use super::elf::PluginFile;

/// How long anything may take before a test gives up: not a measure of anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon's plugin side.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    pub(crate) home: Home,
    pub(crate) store: Store,
    pub(crate) config: config::Plugins,
    pub(crate) trust: config::Trust,
    pub(crate) catalog: Catalog,
    pub(crate) changes: broadcast::Receiver<PluginChange>,
}

impl Scene {
    /// An empty home.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A home in which something lies before the catalog opens.
    pub(crate) async fn with(prepare: impl FnOnce(&Home)) -> Self {
        Self::trusting(config::Trust::default(), prepare).await
    }

    /// A home that does not let everything in.
    pub(crate) async fn trusting(trust: config::Trust, prepare: impl FnOnce(&Home)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        fs::create_dir_all(home.plugins_dir()).unwrap();
        prepare(&home);
        // Short, so that tests are quick; the rules do not depend on how long it is.
        let config = config::Plugins {
            stable_for_ms: 40,
            rescan_every_ms: 200,
            keep_generations: 0,
            ..config::Plugins::default()
        };
        let store = open_store(&home);
        let catalog =
            Catalog::open(&home, &config, Trust::open(&home, &trust), store.clone(), Clock::system()).await.unwrap();
        let changes = catalog.subscribe();
        Self { folder, home, store, config, trust, catalog, changes }
    }

    /// The daemon stops and starts again; `meanwhile` happens in between.
    pub(crate) async fn restart(self, meanwhile: impl FnOnce(&Home)) -> Self {
        let Self { folder, home, store, config, trust, catalog, changes } = self;
        drop(changes);
        catalog.close().await;
        drop(catalog);
        store.close().await;
        drop(store);
        meanwhile(&home);
        let store = open_store(&home);
        let catalog =
            Catalog::open(&home, &config, Trust::open(&home, &trust), store.clone(), Clock::system()).await.unwrap();
        let changes = catalog.subscribe();
        Self { folder, home, store, config, trust, catalog, changes }
    }

    /// The path of a name in the plugins folder.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.home.plugins_dir().join(name)
    }

    /// A path outside the home, on the same disk.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Copies a plugin in, as `cp` does: create, write, close.
    pub(crate) fn copy(&self, name: &str, plugin: &PluginFile) {
        fs::write(self.at(name), plugin.bytes()).unwrap();
    }

    /// Waits for a verdict.
    pub(crate) async fn verdict(&mut self, name: &str, code: ReasonCode) -> Arc<Verdict> {
        self.verdict_that(name, |verdict| verdict.reason.code == code).await
    }

    /// Waits for a file to be in use.
    pub(crate) async fn accepted(&mut self, name: &str) -> Arc<Verdict> {
        self.verdict_that(name, |verdict| verdict.decision == Decision::Accepted).await
    }

    /// Waits for a verdict of any kind.
    pub(crate) async fn verdict_that(&mut self, name: &str, wanted: impl Fn(&Verdict) -> bool) -> Arc<Verdict> {
        let catalog = self.catalog.clone();
        let mut changes = catalog.subscribe();
        let found = async {
            loop {
                if let Some(verdict) = catalog.verdict(name).filter(|verdict| wanted(verdict)) {
                    return verdict;
                }
                changes.recv().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(verdict) => verdict,
            Err(_) => panic!("no such verdict on {name}; there are {:#?}", self.catalog.verdicts()),
        }
    }

    /// The next change of what is in use: `+id version`, or `-id code`. Verdicts are passed over.
    pub(crate) async fn next_use(&mut self) -> String {
        tokio::time::timeout(PATIENCE, async {
            loop {
                match self.changes.recv().await.unwrap() {
                    PluginChange::Verdict(_) => {}
                    PluginChange::Revoked { integration_type, reason, .. } => {
                        return format!("!{integration_type} {}", reason.code);
                    }
                    PluginChange::Available(plugin) => {
                        return format!("+{} {}", plugin.integration_type(), plugin.manifest().version);
                    }
                    PluginChange::Unavailable { integration_type, reason } => {
                        return format!("-{integration_type} {}", reason.code);
                    }
                }
            }
        })
        .await
        .expect("something changes")
    }

    /// What changed in use so far and was not taken yet.
    pub(crate) fn uses_so_far(&mut self) -> Vec<String> {
        let mut uses = Vec::new();
        while let Ok(change) = self.changes.try_recv() {
            match change {
                PluginChange::Verdict(_) | PluginChange::Revoked { .. } => {}
                PluginChange::Available(plugin) => uses.push(format!("+{}", plugin.integration_type())),
                PluginChange::Unavailable { integration_type, .. } => uses.push(format!("-{integration_type}")),
            }
        }
        uses
    }

    /// Waits until something holds that no change tells.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let watch = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, watch).await.is_ok(), "waited in vain until {what}");
    }

    /// The names of the staged copies, `id-version` only.
    pub(crate) fn copies(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.home.staging_dir()) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name.rsplit_once('-').map_or(name.clone(), |(front, _)| front.to_owned()))
            .collect();
        names.sort();
        names
    }
}

fn open_store(home: &Home) -> Store {
    let commits = CommitPolicy { every: Duration::from_millis(1), rows: 100, full_durability: false };
    Store::open(&home.database(), &home.key_file(), commits).unwrap()
}

/// A type's name.
pub(crate) fn id(text: &str) -> IntegrationType {
    IntegrationType::new(text).unwrap()
}
