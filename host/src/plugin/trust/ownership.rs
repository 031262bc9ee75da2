//! Who may put code into the house: the owner and the mode of a plugin file and of the folder it lies in.
//!
//! A file that belongs to somebody else than the daemon's user or root, or that anybody may write, is somebody's code
//! in the daemon's hands, so it is refused before a byte of it is read. The same holds for its signature. The sticky
//! bit of a folder changes nothing: it keeps others from deleting a file, not from adding one.
//!
//! What a group may write is let in when the group is the daemon's own or root's: most systems give every user a group
//! of their own and a umask of 002.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::reason::{Reason, ReasonCode};

const OTHERS_MAY_WRITE: u32 = 0o002;
const GROUP_MAY_WRITE: u32 = 0o020;

/// What trust looks at. Of an open descriptor, so that it is the very file that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) struct Ownership {
    pub(in crate::plugin) uid: u32,
    pub(in crate::plugin) gid: u32,
    pub(in crate::plugin) mode: u32,
}

impl From<&Metadata> for Ownership {
    fn from(metadata: &Metadata) -> Self {
        Self { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() }
    }
}

impl Ownership {
    fn foreign_to(self, daemon: Daemon) -> bool {
        self.uid != daemon.uid && self.uid != 0
    }

    fn writable_by_all(self) -> bool {
        self.mode & OTHERS_MAY_WRITE != 0
    }

    fn writable_by_another_group(self, daemon: Daemon) -> bool {
        self.mode & GROUP_MAY_WRITE != 0 && self.gid != daemon.gid && self.gid != 0
    }
}

/// The user and the group that the daemon acts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) struct Daemon {
    pub(in crate::plugin) uid: u32,
    pub(in crate::plugin) gid: u32,
}

impl Daemon {
    /// This process.
    pub(in crate::plugin) fn this() -> Self {
        Self { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }
}

/// Whether code may come from this folder at all.
///
/// # Errors
/// `foreign_owner`, `writable_by_all` or `writable_by_group`, in a sentence that names file and folder.
pub(in crate::plugin) fn folder(file_name: &str, path: &Path, found: Ownership, daemon: Daemon) -> Result<(), Reason> {
    let path = path.display();
    if found.foreign_to(daemon) {
        return Err(Reason::new(
            ReasonCode::ForeignOwner,
            format!(
                "{file_name} lies in {path}, which belongs to user {}; the daemon runs as user {} and takes \
                 plugins only from folders of its own user or root",
                found.uid, daemon.uid
            ),
        ));
    }
    if found.writable_by_all() {
        return Err(Reason::new(
            ReasonCode::WritableByAll,
            format!("{file_name} lies in {path}, where every user may put files (mode {:04o})", found.mode & 0o7777),
        ));
    }
    if found.writable_by_another_group(daemon) {
        return Err(Reason::new(
            ReasonCode::WritableByGroup,
            format!("{file_name} lies in {path}, where {}", group_words(found, "put files", daemon)),
        ));
    }
    Ok(())
}

/// Whether code may come from this file.
///
/// # Errors
/// `foreign_owner`, `writable_by_all` or `writable_by_group`, in a sentence that names the file.
pub(in crate::plugin) fn file(file_name: &str, found: Ownership, daemon: Daemon) -> Result<(), Reason> {
    if found.foreign_to(daemon) {
        return Err(Reason::new(
            ReasonCode::ForeignOwner,
            format!("{file_name} belongs to user {}; the daemon runs as user {}", found.uid, daemon.uid),
        ));
    }
    if found.writable_by_all() {
        return Err(Reason::new(
            ReasonCode::WritableByAll,
            format!("{file_name} may be written by every user (mode {:04o})", found.mode & 0o7777),
        ));
    }
    if found.writable_by_another_group(daemon) {
        return Err(Reason::new(
            ReasonCode::WritableByGroup,
            format!("{file_name} can be changed: {}", group_words(found, "write it", daemon)),
        ));
    }
    Ok(())
}

fn group_words(found: Ownership, what: &str, daemon: Daemon) -> String {
    format!(
        "the group {} may {what} (mode {:04o}); only the daemon's own group {} and root's may",
        found.gid,
        found.mode & 0o7777,
        daemon.gid
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<(), Reason>) -> Option<ReasonCode> {
        result.err().map(|reason| reason.code)
    }

    const DAEMON: Daemon = Daemon { uid: 1000, gid: 1000 };

    #[test]
    fn takes_files_of_the_daemon_and_of_root_that_others_cannot_write() {
        for (uid, gid, mode, expect) in [
            (1000, 1000, 0o100_644, None),
            (0, 0, 0o100_755, None),
            (1000, 1000, 0o100_664, None),
            (1000, 0, 0o100_664, None),
            (1000, 27, 0o100_644, None),
            (1000, 27, 0o100_664, Some(ReasonCode::WritableByGroup)),
            (1001, 1000, 0o100_644, Some(ReasonCode::ForeignOwner)),
            (1000, 1000, 0o100_646, Some(ReasonCode::WritableByAll)),
            (0, 0, 0o100_777, Some(ReasonCode::WritableByAll)),
        ] {
            let found = Ownership { uid, gid, mode };
            assert_eq!(code(file("a.so", found, DAEMON)), expect, "{uid} {gid} {mode:o}");
        }
        let root = Daemon { uid: 0, gid: 0 };
        let of_a_user = Ownership { uid: 1000, gid: 1000, mode: 0o100_644 };
        assert_eq!(code(file("a.so", of_a_user, root)), Some(ReasonCode::ForeignOwner));
    }

    #[test]
    fn refuses_a_folder_that_all_may_write_with_the_sticky_bit_too() {
        for (uid, gid, mode, expect) in [
            (1000, 1000, 0o040_755, None),
            (0, 0, 0o040_755, None),
            (1000, 1000, 0o040_775, None),
            (1000, 27, 0o040_775, Some(ReasonCode::WritableByGroup)),
            (1000, 1000, 0o041_777, Some(ReasonCode::WritableByAll)),
            (1002, 1000, 0o040_700, Some(ReasonCode::ForeignOwner)),
        ] {
            let result = folder("a.so", Path::new("/home/x/plugins"), Ownership { uid, gid, mode }, DAEMON);
            if let Err(reason) = &result {
                assert!(reason.sentence.contains("a.so") && reason.sentence.contains("/home/x/plugins"), "{reason}");
            }
            assert_eq!(code(result), expect, "{uid} {gid} {mode:o}");
        }
    }
}
