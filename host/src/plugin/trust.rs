//! Who may put code into the house: the owner and the mode of a plugin file and of the folder it lies in.
//!
//! A file that belongs to somebody else than the daemon's user or root, or that anybody may write, is somebody's code
//! in the daemon's hands, so it is refused before a byte of it is read. The sticky bit of a folder changes nothing: it keeps others from
//! deleting a file, not from adding one.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::reason::{Reason, ReasonCode};

const OTHERS_MAY_WRITE: u32 = 0o002;

/// What trust looks at. Of an open descriptor, so that it is the very file that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ownership {
    pub(super) uid: u32,
    pub(super) mode: u32,
}

impl From<&Metadata> for Ownership {
    fn from(metadata: &Metadata) -> Self {
        Self { uid: metadata.uid(), mode: metadata.mode() }
    }
}

impl Ownership {
    fn foreign_to(self, daemon: u32) -> bool {
        self.uid != daemon && self.uid != 0
    }

    fn writable_by_all(self) -> bool {
        self.mode & OTHERS_MAY_WRITE != 0
    }
}

/// The user that the daemon acts as.
pub(super) fn daemon_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether code may come from this folder at all.
///
/// # Errors
/// `foreign_owner` or `writable_by_all`, in a sentence that names file and folder.
pub(super) fn folder(file_name: &str, path: &Path, found: Ownership, daemon: u32) -> Result<(), Reason> {
    let path = path.display();
    if found.foreign_to(daemon) {
        return Err(Reason::new(
            ReasonCode::ForeignOwner,
            format!(
                "{file_name} lies in {path}, which belongs to user {}; the daemon runs as user {daemon} and takes \
                 plugins only from folders of its own user or root",
                found.uid
            ),
        ));
    }
    if found.writable_by_all() {
        return Err(Reason::new(
            ReasonCode::WritableByAll,
            format!("{file_name} lies in {path}, where every user may put files (mode {:04o})", found.mode & 0o7777),
        ));
    }
    Ok(())
}

/// Whether code may come from this file.
///
/// # Errors
/// `foreign_owner` or `writable_by_all`, in a sentence that names the file.
pub(super) fn file(file_name: &str, found: Ownership, daemon: u32) -> Result<(), Reason> {
    if found.foreign_to(daemon) {
        return Err(Reason::new(
            ReasonCode::ForeignOwner,
            format!("{file_name} belongs to user {}; the daemon runs as user {daemon}", found.uid),
        ));
    }
    if found.writable_by_all() {
        return Err(Reason::new(
            ReasonCode::WritableByAll,
            format!("{file_name} may be written by every user (mode {:04o})", found.mode & 0o7777),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<(), Reason>) -> Option<ReasonCode> {
        result.err().map(|reason| reason.code)
    }

    #[test]
    fn takes_files_of_the_daemon_and_of_root_that_others_cannot_write() {
        for (uid, mode, expect) in [
            (1000, 0o100_644, None),
            (0, 0o100_755, None),
            (1000, 0o100_664, None),
            (1001, 0o100_644, Some(ReasonCode::ForeignOwner)),
            (1000, 0o100_646, Some(ReasonCode::WritableByAll)),
            (0, 0o100_777, Some(ReasonCode::WritableByAll)),
        ] {
            assert_eq!(code(file("a.so", Ownership { uid, mode }, 1000)), expect, "{uid} {mode:o}");
        }
        assert_eq!(code(file("a.so", Ownership { uid: 1000, mode: 0o100_644 }, 0)), Some(ReasonCode::ForeignOwner));
    }

    #[test]
    fn refuses_a_folder_that_all_may_write_with_the_sticky_bit_too() {
        for (uid, mode, expect) in [
            (1000, 0o040_755, None),
            (0, 0o040_755, None),
            (1000, 0o041_777, Some(ReasonCode::WritableByAll)),
            (1002, 0o040_700, Some(ReasonCode::ForeignOwner)),
        ] {
            let result = folder("a.so", Path::new("/home/x/plugins"), Ownership { uid, mode }, 1000);
            if let Err(reason) = &result {
                assert!(reason.sentence.contains("a.so") && reason.sentence.contains("/home/x/plugins"), "{reason}");
            }
            assert_eq!(code(result), expect, "{uid} {mode:o}");
        }
    }
}
