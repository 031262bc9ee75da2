//! Being told by the kernel (inotify) that something in the plugins folder moved, so that a drop is seen at once.
//!
//! A notification only says when to look and which names were finished; what is there is always found out by looking,
//! so a lost or doubled notification costs nothing. The folder is watched itself; while it is not there, it is looked
//! for at intervals. (Its parent, the home, is not watched: the database beside it is written all the time.)

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;

use super::super::trust::SIGNATURE_EXTENSION;
use super::super::verdict::file_name_of;
use super::folder::{Listing, is_candidate_name};

/// The watch on the folder, and on the folders that links in it lead to.
#[derive(Debug)]
pub(in crate::plugin) struct FolderWatch {
    folder: PathBuf,
    watcher: Option<RecommendedWatcher>,
    watched: Option<(u64, u64)>,
    followed: BTreeSet<PathBuf>,
    /// Folders that could not be watched: told once, tried at every look.
    unwatchable: BTreeSet<PathBuf>,
    told: Arc<Told>,
}

/// What was told since the last look. Bounded by the number of names, however often they are told.
#[derive(Debug, Default)]
struct Told {
    /// A wake is on its way and nobody has looked since.
    woken: AtomicBool,
    folder_moved: AtomicBool,
    finished: Mutex<BTreeSet<String>>,
    /// The links' names by the path they lead to.
    links: Mutex<BTreeMap<PathBuf, String>>,
}

impl FolderWatch {
    /// Prepares to watch; `wake` is called on the watcher's thread when it is time for a look, and must not block.
    pub(in crate::plugin) fn new(folder: PathBuf, wake: impl Fn() + Send + 'static) -> Self {
        let told = Arc::new(Told::default());
        let heard = Hearing { folder: folder.clone(), told: Arc::clone(&told), wake };
        let watcher = match notify::recommended_watcher(move |event| heard.hear(event)) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "no file notifications: the plugins folder is only looked at at intervals");
                None
            }
        };
        Self { folder, watcher, watched: None, followed: BTreeSet::new(), unwatchable: BTreeSet::new(), told }
    }

    /// The names that were finished since the last call. Call it before looking: what moves later wakes again.
    pub(in crate::plugin) fn take_finished(&mut self) -> BTreeSet<String> {
        self.told.woken.store(false, Ordering::SeqCst);
        if self.told.folder_moved.swap(false, Ordering::SeqCst) {
            self.watched = None;
        }
        std::mem::take(&mut *self.told.finished.lock())
    }

    /// Watches the folder that was just looked at, if it is not watched yet. Answers whether it began to: then what
    /// moved between the look and the watch was not told, and one more look is due.
    pub(in crate::plugin) fn follow(&mut self, listing: &Listing) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let mut begun = false;
        if self.watched != listing.identity {
            if self.watched.is_some() {
                // Its path may be another folder by now; the kernel drops the watch with the old one.
                let _ = watcher.unwatch(&self.folder);
            }
            self.watched = None;
            if listing.identity.is_some() && watch(watcher, &self.folder, &mut self.unwatchable) {
                self.watched = listing.identity;
                begun = true;
            }
        }
        let targets: BTreeMap<PathBuf, String> =
            listing.links.iter().map(|(name, target)| (target.clone(), name.clone())).collect();
        let wanted: BTreeSet<PathBuf> = targets
            .keys()
            .filter_map(|target| target.parent())
            .filter(|parent| *parent != self.folder)
            .map(Path::to_owned)
            .collect();
        for folder in self.followed.difference(&wanted) {
            let _ = watcher.unwatch(folder);
        }
        let mut followed: BTreeSet<PathBuf> = self.followed.intersection(&wanted).cloned().collect();
        for folder in wanted.difference(&self.followed) {
            if watch(watcher, folder, &mut self.unwatchable) {
                followed.insert(folder.clone());
                begun = true;
            }
        }
        self.followed = followed;
        *self.told.links.lock() = targets;
        begun
    }
}

fn watch(watcher: &mut RecommendedWatcher, folder: &Path, unwatchable: &mut BTreeSet<PathBuf>) -> bool {
    match watcher.watch(folder, RecursiveMode::NonRecursive) {
        Ok(()) => {
            unwatchable.remove(folder);
            true
        }
        Err(error) => {
            if unwatchable.insert(folder.to_owned()) {
                let folder = folder.display();
                tracing::warn!(%folder, %error, "folder cannot be watched: it is looked at at intervals");
            }
            false
        }
    }
}

/// The watcher's end.
struct Hearing<W> {
    folder: PathBuf,
    told: Arc<Told>,
    wake: W,
}

impl<W: Fn()> Hearing<W> {
    fn hear(&self, event: notify::Result<Event>) {
        let worth_a_look = match event {
            Ok(event) => self.take_in(&event),
            // An overflow, or a watch that was lost: looking shows what is there.
            Err(_) => true,
        };
        if worth_a_look && !self.told.woken.swap(true, Ordering::SeqCst) {
            (self.wake)();
        }
    }

    fn take_in(&self, event: &Event) -> bool {
        if event.need_rescan() {
            return true;
        }
        let finished = matches!(
            event.kind,
            EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Modify(ModifyKind::Name(RenameMode::To))
        );
        // Opening and reading a file is nobody's business; the daemon does it itself.
        if matches!(event.kind, EventKind::Access(_)) && !finished {
            return false;
        }
        let mut worth_a_look = false;
        for path in &event.paths {
            if *path == self.folder {
                if matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
                    self.told.folder_moved.store(true, Ordering::SeqCst);
                }
                worth_a_look = true;
            } else if let Some(name) = self.name_of(path) {
                if finished {
                    self.told.finished.lock().insert(name);
                }
                worth_a_look = true;
            } else {
                let name = file_name_of(path);
                worth_a_look |= name.strip_suffix(SIGNATURE_EXTENSION).is_some_and(is_candidate_name);
            }
        }
        worth_a_look
    }

    /// The plugin's name that a path stands for: in the folder itself, or where a link in it leads.
    fn name_of(&self, path: &Path) -> Option<String> {
        if path.parent() == Some(&self.folder) {
            return Some(file_name_of(path)).filter(|name| is_candidate_name(name));
        }
        self.told.links.lock().get(path).cloned()
    }
}
