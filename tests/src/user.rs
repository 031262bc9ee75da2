//! Another user of the machine, with a copy of the binary where that user can reach it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::build;

/// A user without any rights (`nobody` on most systems).
pub const NOBODY: u32 = 65_534;
/// Another user without any rights, who is nobody's neighbour.
pub const STRANGER: u32 = 65_533;

/// Whether this process may become another user.
pub fn may_change_user() -> bool {
    rustix::process::geteuid().is_root()
}

/// A user other than the one who runs the tests; making one needs root.
#[derive(Debug)]
pub struct User {
    uid: u32,
    folder: TempDir,
}

impl User {
    /// The user with this id, who need not be in the machine's list.
    ///
    /// # Panics
    /// When the binary cannot be put where everybody can run it.
    pub fn new(uid: u32) -> Self {
        // The build's folder may be closed to other users.
        let folder = TempDir::with_prefix("gatehouse-binary-").expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
        let binary = folder.path().join("gatehouse");
        if fs::hard_link(build::binary(), &binary).is_err() {
            fs::copy(build::binary(), &binary).expect("copied");
        }
        Self { uid, folder }
    }

    /// The user's number, which is that of the group too.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The user's way to the binary.
    pub fn binary(&self) -> PathBuf {
        self.folder.path().join("gatehouse")
    }

    /// Gives a file or folder to the user.
    ///
    /// # Panics
    /// When this process may not.
    pub fn own(&self, path: &Path) {
        chown(path, Some(self.uid), Some(self.uid)).expect("root may give a file away");
    }

    /// Copies a file into a folder as the user's own, under its own name at once.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn put(&self, file: &Path, folder: &Path) {
        let part = folder.join(".part");
        fs::copy(file, &part).expect("copied");
        self.own(&part);
        fs::rename(&part, folder.join(file.file_name().expect("a file"))).expect("renamed");
    }
}
