//! Every file ever seen with its verdict, and which file provides which integration type.

mod rounds;
mod shelf;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gatehouse_plugin_api::ids::IntegrationType;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

use self::rounds::{Input, Rounds};
use self::shelf::Shelf;
use super::discovery::{FolderWatch, Resting};
use super::inspection::inspect_file;
use super::staging::StagingFolder;
use super::trust::{Trust, TrustWatch};
use super::{Decision, PluginChange, Staged, Verdict};
use crate::clock::Clock;
use crate::config;
use crate::home::Home;
use crate::reason::Reason;
use crate::store::{Store, StoreError};

/// Changes kept for a subscriber that is late.
const CHANGES_KEPT: usize = 1024;
/// How long a reader waits at most for the verdicts of files that have just come.
const SETTLE_WITHIN: Duration = Duration::from_secs(1);
const MIB: u64 = 1024 * 1024;

/// The usable plugins. Cheap to clone; one thread of its own watches the folder until the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Catalog(Arc<CatalogParts>);

#[derive(Debug)]
struct CatalogParts {
    shared: Arc<Shared>,
    inputs: Mutex<mpsc::Sender<Input>>,
    max_bytes: u64,
    trust: Trust,
    saving: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for CatalogParts {
    fn drop(&mut self) {
        // A thread that has ended already needs no telling.
        let _ = self.inputs.lock().send(Input::End);
    }
}

/// What readers see, as the thread left it.
#[derive(Debug)]
struct Shared {
    shown: RwLock<Shown>,
    changes: broadcast::Sender<PluginChange>,
}

#[derive(Debug, Default)]
struct Shown {
    verdicts: BTreeMap<String, Arc<Verdict>>,
    plugins: BTreeMap<IntegrationType, Staged>,
}

impl Shared {
    fn publish(&self, shelf: &Shelf) {
        let shown = Shown { verdicts: shelf.verdicts(), plugins: shelf.in_use().clone() };
        *self.shown.write() = shown;
    }

    fn broadcast(&self, change: PluginChange) {
        // Nobody listening is no failure.
        let _ = self.changes.send(change);
    }
}

impl Catalog {
    /// Makes the plugins folder, looks at every file there and begins to watch. Resolves when each file that is not
    /// still being written has its verdict.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open(
        home: &Home,
        config: &config::Plugins,
        trust: Trust,
        store: Store,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let folder = home.plugins_dir();
        if let Err(error) = std::fs::create_dir_all(&folder) {
            tracing::error!(folder = %folder.display(), %error, "the plugins folder cannot be made");
        }
        let shelf = Shelf::from_rows(store.verdict_list().await?);
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        let shared = Arc::new(Shared { shown: RwLock::default(), changes });
        shared.publish(&shelf);
        let (inputs, received) = mpsc::channel();
        let (saves, to_save) = tokio::sync::mpsc::unbounded_channel();
        let (first_look, looked) = oneshot::channel();
        let mut resting = Resting::new(Duration::from_millis(config.stable_for_ms));
        resting.expect(shelf.expected(), Instant::now());
        let max_bytes = config.max_file_mb.saturating_mul(MIB);
        let (wake, wake_for_trust) = (inputs.clone(), inputs.clone());
        let trust_watch = TrustWatch::on(&trust, move || {
            // As below.
            let _ = wake_for_trust.send(Input::Trust { done: None });
        });
        let rounds = Rounds {
            watch: FolderWatch::new(folder.clone(), move || {
                // The thread has ended when nobody receives.
                let _ = wake.send(Input::Look);
            }),
            folder,
            staging: StagingFolder::at(home.staging_dir()),
            trust: trust.clone(),
            _trust_watch: trust_watch,
            max_bytes,
            keep: config.keep_generations,
            rescan_every: Duration::from_millis(config.rescan_every_ms),
            resting,
            shelf,
            shared: Arc::clone(&shared),
            store: store.clone(),
            runtime: tokio::runtime::Handle::current(),
            clock,
            saves,
            first_look: Some(first_look),
            settling: Vec::new(),
            made: Vec::new(),
            sweep_due: false,
            readable: true,
            absent: false,
        };
        let saving = tokio::spawn(save(store, to_save));
        std::thread::Builder::new()
            .name("plugins".to_owned())
            .spawn(move || rounds.run(&received))
            .expect("a process that cannot have one more thread at its start cannot go on");
        // An end without a word is the thread's panic, which the log has told.
        let _ = looked.await;
        Ok(Self(Arc::new(CatalogParts {
            shared,
            inputs: Mutex::new(inputs),
            max_bytes,
            trust,
            saving: Mutex::new(Some(saving)),
        })))
    }

    /// Resolves when every file that lies in the folder by now has its verdict, so that a file is known to whoever asks
    /// right after it was copied; after a second at the latest, without what is still being written.
    pub async fn settle(&self) {
        let (done, answer) = oneshot::channel();
        self.send(Input::Settle { done });
        // Either way what is known by then is shown.
        let _ = tokio::time::timeout(SETTLE_WITHIN, answer).await;
    }

    /// Every verdict, by file name.
    pub fn verdicts(&self) -> Vec<Arc<Verdict>> {
        self.0.shared.shown.read().verdicts.values().cloned().collect()
    }

    /// The verdict of a file name, or of the file that provides an integration type.
    ///
    /// An id that no file provides answers with the last file that did.
    pub fn verdict(&self, file_or_id: &str) -> Option<Arc<Verdict>> {
        let shown = self.0.shared.shown.read();
        if let Some(verdict) = shown.verdicts.get(file_or_id) {
            return Some(Arc::clone(verdict));
        }
        let in_use = shown.plugins.iter().find(|(id, _)| id.as_str() == file_or_id);
        if let Some((_, plugin)) = in_use {
            return shown.verdicts.get(plugin.file_name()).cloned();
        }
        let has_id = |v: &&Arc<Verdict>| v.manifest.as_ref().is_some_and(|manifest| manifest.id.as_str() == file_or_id);
        let rank = |v: &&Arc<Verdict>| (v.decision != Decision::Gone, v.decided_at_ms);
        shown.verdicts.values().filter(has_id).max_by_key(rank).cloned()
    }

    /// The file that was last refused without a word of what it provides.
    pub fn unreadable(&self) -> Option<Arc<Verdict>> {
        let shown = self.0.shared.shown.read();
        let unreadable = shown.verdicts.values().filter(|v| v.decision == Decision::Refused && v.manifest.is_none());
        unreadable.max_by_key(|v| v.decided_at_ms).cloned()
    }

    /// The generation in use of a type.
    pub fn plugin(&self, integration_type: &IntegrationType) -> Option<Staged> {
        self.0.shared.shown.read().plugins.get(integration_type).cloned()
    }

    /// Every generation in use, by type.
    pub fn plugins(&self) -> Vec<Staged> {
        self.0.shared.shown.read().plugins.values().cloned().collect()
    }

    /// Any generation whose copy is still there, in use or not: what an integration goes back to.
    pub async fn generation(&self, sha256: &str) -> Option<Staged> {
        let (found, answer) = oneshot::channel();
        self.send(Input::Fetch { sha256: sha256.to_owned(), found });
        answer.await.unwrap_or_default()
    }

    /// Every generation of a type whose copy is there, the newest copy first.
    pub async fn generations(&self, integration_type: &IntegrationType) -> Vec<Staged> {
        let (found, answer) = oneshot::channel();
        self.send(Input::FetchAll { integration_type: integration_type.clone(), found });
        answer.await.unwrap_or_default()
    }

    /// Changes from now on, in order.
    pub fn subscribe(&self) -> broadcast::Receiver<PluginChange> {
        self.0.shared.changes.subscribe()
    }

    /// Keeps a verdict that a later stage made (the library did not open, the code disagrees with its manifest).
    ///
    /// Every file of that content is refused, and the next file of the id takes over; without one the type becomes
    /// unavailable. Touching or replacing the file, or a restart, tries it again.
    pub async fn report(&self, plugin: &Staged, reason: Reason) {
        let (done, answer) = oneshot::channel();
        self.send(Input::Report { sha256: plugin.sha256().to_owned(), reason, done });
        // No answer: the thread has ended, and so does the daemon.
        let _ = answer.await;
    }

    /// A generation is needed no longer: its copy is deleted unless a file has that content, somebody holds a
    /// [`Staged`] of it, or it is the one an integration goes back to. Drop your own handles first; a copy that is
    /// held still is deleted later.
    pub async fn release(&self, sha256: &str) {
        tracing::debug!(sha256, "generation released");
        let (done, answer) = oneshot::channel();
        self.send(Input::Release { done });
        // As above.
        let _ = answer.await;
    }

    /// Why a generation may not run any longer, if it may not.
    pub fn revoked(&self, plugin: &Staged) -> Option<Reason> {
        self.0.trust.revoked(plugin.file_name(), plugin.sha256(), plugin.signature_key())
    }

    /// Who is trusted.
    pub fn trust(&self) -> &Trust {
        &self.0.trust
    }

    /// The trust lists were written: resolves when what is revoked by now was told to whoever listens.
    pub async fn judge_again(&self) {
        let (done, answer) = oneshot::channel();
        self.send(Input::Trust { done: Some(done) });
        // As above.
        let _ = answer.await;
    }

    /// Inspects any file without staging it, for a person.
    pub async fn inspect(&self, file: &Path) -> Verdict {
        let (path, max_bytes) = (file.to_owned(), self.0.max_bytes);
        tokio::task::spawn_blocking(move || inspect_file(&path, max_bytes))
            .await
            .expect("inspection does not panic, whatever the bytes")
    }

    /// Ends the watch; resolves when every verdict is in the database. For the end of the daemon, before the store's.
    pub async fn close(&self) {
        self.send(Input::End);
        let saving = self.0.saving.lock().take();
        if let Some(saving) = saving {
            // Its panic was logged where it happened.
            let _ = saving.await;
        }
    }

    fn send(&self, input: Input) {
        // A thread that has ended drops the answer's sender, which the caller notices.
        let _ = self.0.inputs.lock().send(input);
    }
}

/// Saves verdicts, the newest of a file only, as many in one commit as have come by then.
async fn save(store: Store, mut verdicts: tokio::sync::mpsc::UnboundedReceiver<Arc<Verdict>>) {
    while let Some(first) = verdicts.recv().await {
        let mut newest = BTreeMap::from([(first.file_name.clone(), first)]);
        while let Ok(next) = verdicts.try_recv() {
            newest.insert(next.file_name.clone(), next);
        }
        let saved = newest.into_values().map(|verdict| store.verdict_save(Verdict::clone(&verdict)));
        for result in join_all(saved).await {
            match result {
                Ok(()) => {}
                Err(StoreError::Closed) => return,
                Err(error) => tracing::error!(%error, "a verdict cannot be saved"),
            }
        }
    }
}
