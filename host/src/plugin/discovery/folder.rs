//! One look at the plugins folder: what lies there, and by what a change of it is recognised.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::trust::signature_path;
use super::super::verdict::file_name_of;

/// By what a change of a file is recognised. Owner and mode are in it, because trust is asked again when they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    uid: u32,
    modified_ns: i128,
    /// When anything of the file changed last; unlike the time of modification nobody can set it back.
    changed_ns: i128,
    /// The same of the signature beside it, with its inode: a signature that comes later makes another file of it.
    signature: Option<(u64, i128)>,
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            mode: metadata.mode(),
            uid: metadata.uid(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
            signature: None,
        }
    }
}

impl Stamp {
    /// The stamp that no file has.
    pub(super) fn nothing() -> Self {
        Self { device: 0, inode: 0, size: 0, mode: 0, uid: 0, modified_ns: 0, changed_ns: 0, signature: None }
    }

    /// For how long nothing of the file has changed, by the wall clock; none when that is in the future.
    pub(super) fn unchanged_for(&self, now: SystemTime) -> Option<Duration> {
        let now_ns = i128::try_from(now.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()?;
        u64::try_from(now_ns - self.changed_ns).ok().map(Duration::from_nanos)
    }
}

/// The plugins folder at one moment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Listing {
    /// Device and inode: another folder under the same path is another folder. None when there is none.
    pub(in crate::plugin) identity: Option<(u64, u64)>,
    /// Owner and mode.
    pub(super) ownership: Option<(u32, u32)>,
    /// What is meant to be a plugin, by name.
    pub(super) files: BTreeMap<String, Seen>,
    /// Where symbolic links lead, by the link's name.
    pub(super) links: BTreeMap<String, PathBuf>,
}

/// One entry of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
}

/// Whether a name is one of a plugin file.
///
/// Everything else in the folder is nobody's business: notes, checksums, and above all the temporary files under
/// which editors, browsers and copy programs write before they rename (`.x.so.A1b2`, `x.so~`, `.x.so.swp`,
/// `x.so.part`, `x.so.tmp`, `.#x.so`, `#x.so#`). All of them begin or end otherwise.
pub(in crate::plugin) fn is_candidate_name(name: &str) -> bool {
    name.ends_with(".so") && !name.starts_with(['.', '#']) && name.len() > ".so".len()
}

/// Looks at the folder. A folder that is not there has no files.
///
/// # Errors
/// When the folder is there and cannot be read.
pub(in crate::plugin) fn list(folder: &Path) -> io::Result<Listing> {
    let absent = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    let (metadata, entries) = match std::fs::metadata(folder).and_then(|m| Ok((m, std::fs::read_dir(folder)?))) {
        Ok(found) => found,
        Err(error) if absent(&error) => return Ok(Listing::default()),
        Err(error) => return Err(error),
    };
    let mut listing = Listing {
        identity: Some((metadata.dev(), metadata.ino())),
        ownership: Some((metadata.uid(), metadata.mode())),
        ..Listing::default()
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) if absent(&error) => return Ok(Listing::default()),
            Err(error) => return Err(error),
        };
        let name = file_name_of(&path);
        if !is_candidate_name(&name) {
            continue;
        }
        // Gone since it was listed: the next look will not list it.
        let Ok(itself) = std::fs::symlink_metadata(&path) else { continue };
        if itself.is_symlink()
            && let Ok(target) = std::fs::canonicalize(&path)
        {
            listing.links.insert(name.clone(), target);
        }
        // A link that leads nowhere stands for itself: it gets a verdict like any other entry.
        let signature = std::fs::metadata(signature_path(&path)).map(|metadata| Stamp::from(&metadata));
        let signature = signature.ok().map(|stamp| (stamp.inode, stamp.changed_ns));
        let stamp = Stamp { signature, ..Stamp::from(&std::fs::metadata(&path).unwrap_or(itself)) };
        listing.files.insert(name, Seen { path, stamp });
    }
    Ok(listing)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    impl Stamp {
        /// A file of a size, last changed that long before `now`.
        pub(in crate::plugin::discovery) fn of(size: u64, now: SystemTime, age: Duration) -> Self {
            let changed_ns = i128::try_from(now.duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
                - i128::try_from(age.as_nanos()).unwrap();
            Self {
                device: 1,
                inode: 1,
                size,
                mode: 0o100_644,
                uid: 0,
                modified_ns: changed_ns,
                changed_ns,
                signature: None,
            }
        }
    }

    #[test]
    fn temporary_files_and_notes_are_nobodys_business() {
        for name in ["libx.so", "x.so", "virtual-house.so", "a b.so"] {
            assert!(is_candidate_name(name), "{name}");
        }
        for name in [
            "README.txt",
            "x.so~",
            ".x.so.swp",
            ".x.so",
            "x.so.part",
            "x.so.tmp",
            "x.so.crdownload",
            ".#x.so",
            "#x.so#",
            ".x.so.A1b2C3",
            "x.so.1",
            ".so",
            "x.rs",
            "4913",
            "",
        ] {
            assert!(!is_candidate_name(name), "{name}");
        }
    }

    #[test]
    fn lists_what_is_meant_to_be_a_plugin_with_links_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a.so"), b"1").unwrap();
        std::fs::write(at("notes.txt"), b"1").unwrap();
        std::fs::create_dir(at("dir.so")).unwrap();
        std::os::unix::fs::symlink(at("a.so"), at("link.so")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("broken.so")).unwrap();
        let listing = list(folder.path()).unwrap();
        assert_eq!(listing.files.keys().collect::<Vec<_>>(), ["a.so", "broken.so", "dir.so", "link.so"]);
        assert_eq!(listing.links.keys().collect::<Vec<_>>(), ["link.so"]);
        assert_eq!(listing.files["a.so"].stamp, listing.files["link.so"].stamp);
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_files() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(list(&folder.path().join("none")).unwrap(), Listing::default());
    }
}
