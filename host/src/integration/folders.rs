//! How much integrations keep in their data folders: the kernel bounds no folder, so it is looked at now and then.
//!
//! One that keeps too much is stopped, because a full disk is everybody's trouble, and is not started before there is less
//! in its folder: a person deletes something or allows more.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::Duration;

use gatehouse_plugin_api::ids::IntegrationId;

use super::Actual;
use super::ground::Base;
use super::registry::Registry;
use super::supervisor::Input;
use crate::reason::{Reason, ReasonCode};

/// What an entry takes at least, an empty one too: no number of them is looked at without end.
const ENTRY_BYTES: u64 = 4096;

/// Looks at the folders of what runs at every interval, until the registry is gone.
pub(super) async fn watch(registry: Weak<Registry>) {
    loop {
        let Some(base) = registry.upgrade().map(|registry| std::sync::Arc::clone(registry.base())) else { return };
        base.clock.sleep(Duration::from_millis(base.config.integrations.data_check_every_ms)).await;
        let Some(running) = registry.upgrade().map(|registry| registry.list()) else { return };
        for view in running.iter().filter(|view| matches!(view.actual, Actual::Running | Actual::Degraded)) {
            if let Err(reason) = fits(&base, &view.id).await
                && let Some(supervised) = registry.upgrade().and_then(|registry| registry.get(&view.id))
            {
                supervised.send(Input::KeepsTooMuch(reason));
            }
        }
    }
}

/// Whether an integration's folder is within its bound; the sentence when it is not.
pub(super) async fn fits(base: &Base, id: &IntegrationId) -> Result<(), Reason> {
    let folder = base.home.data_dir(id);
    let most_mb = base.config.integrations.data_mb;
    let measured = {
        let folder = folder.clone();
        tokio::task::spawn_blocking(move || is_larger(folder, most_mb.saturating_mul(1024 * 1024))).await
    };
    match measured {
        Ok(true) => Err(too_much(&folder, most_mb)),
        _ => Ok(()),
    }
}

fn too_much(folder: &Path, most_mb: u64) -> Reason {
    let folder = folder.display();
    Reason::new(
        ReasonCode::DataFolderFull,
        format!("it keeps more than {most_mb} MiB in {folder}: delete some of it, or raise integrations.data_mb"),
    )
}

/// Whether what lies in a folder takes more than so many bytes of the disk. Blocks, and follows no link.
fn is_larger(folder: PathBuf, most: u64) -> bool {
    let (mut bytes, mut folders) = (0_u64, vec![folder]);
    while let Some(folder) = folders.pop() {
        // What is deleted meanwhile takes nothing.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512).max(ENTRY_BYTES));
            if bytes > most {
                return true;
            }
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_folder_counts_by_the_room_it_takes() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let within = |most| !is_larger(dir.path().to_owned(), most);
        assert!(within(0) && !is_larger(dir.path().join("nowhere"), 0));
        fs::create_dir_all(dir.path().join("a/b")).expect("made");
        fs::write(dir.path().join("a/b/file"), vec![1; 100_000]).expect("written");
        assert!(within(200_000) && !within(100_000));
        // A file that only says that it is large takes no room, and a link leads nowhere.
        fs::File::create(dir.path().join("sparse")).and_then(|file| file.set_len(1 << 40)).expect("made");
        std::os::unix::fs::symlink("/", dir.path().join("link")).expect("linked");
        assert!(within(200_000));
        (0..60).for_each(|n| fs::write(dir.path().join(format!("empty-{n}")), "").expect("written"));
        assert!(!within(200_000), "sixty empty ones take room");
    }
}
