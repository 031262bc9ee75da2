//! The file behind a candidate, opened once: what is checked, what is hashed and what is copied is one descriptor.
//!
//! The path is resolved first (symbolic links are followed, as a person expects) and the result opened without
//! following any further one. From there on only the descriptor is asked, so nothing can be swapped between the
//! check and the copy. The bytes are hashed while they are written, and the file must look the same afterwards.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::discovery::Candidate;
use super::trust::{self, Daemon, Ownership};
use super::verdict::{Facts, Refused};
use crate::reason::{Reason, ReasonCode};

const CHUNK_BYTES: usize = 128 * 1024;

/// An open plugin file, of bounded size.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    file_name: String,
    folder: PathBuf,
    opened: Metadata,
}

/// What was read of a source: its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) sha256: String,
    pub(super) size_bytes: u64,
}

impl Content {
    pub(super) fn facts(&self) -> Facts {
        Facts { sha256: Some(self.sha256.clone()), size_bytes: Some(self.size_bytes), manifest: None }
    }
}

impl Source {
    /// Opens the candidate's file, links followed.
    ///
    /// # Errors
    /// `not_a_file`, `broken_link`, `unreadable`, `changed_while_read`, `empty_file` or `too_large`.
    pub(super) fn open(candidate: &Candidate, max_bytes: u64) -> Result<Self, Refused> {
        let file_name = candidate.file_name();
        let refuse = |reason| Refused::new(file_name, reason);
        let real = resolve(file_name, candidate.path()).map_err(refuse)?;
        // Looked at before it is opened: opening a device can have effects of its own.
        let metadata =
            std::fs::metadata(&real).map_err(|error| refuse(unopened(file_name, Errno::from_io_error(&error))))?;
        only_regular(file_name, &metadata).map_err(refuse)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let descriptor =
            rustix::fs::open(&real, flags, Mode::empty()).map_err(|errno| refuse(unopened(file_name, Some(errno))))?;
        let file = File::from(descriptor);
        let opened = file.metadata().map_err(|error| refuse(unread(file_name, &error)))?;
        only_regular(file_name, &opened).map_err(refuse)?;
        let folder = match candidate.path().parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let source = Self { file, file_name: file_name.to_owned(), folder, opened };
        source.check_size(max_bytes)?;
        Ok(source)
    }

    fn check_size(&self, max_bytes: u64) -> Result<(), Refused> {
        let file_name = &self.file_name;
        let size = self.opened.len();
        let reason = if size == 0 {
            Reason::new(ReasonCode::EmptyFile, format!("{file_name} is empty (0 bytes)"))
        } else if size > max_bytes {
            let mib = |bytes: u64| bytes / (1024 * 1024);
            Reason::new(
                ReasonCode::TooLarge,
                format!("{file_name} has {} MiB; at most {} MiB are allowed", mib(size), mib(max_bytes)),
            )
        } else {
            return Ok(());
        };
        Err(Refused::new(file_name, reason).knowing(Facts { size_bytes: Some(size), ..Facts::default() }))
    }

    /// Checks who owns the open file and the folder it was found in, and who may write them.
    ///
    /// # Errors
    /// `foreign_owner`, `writable_by_all` or `writable_by_group`.
    pub(super) fn check_trust(&self) -> Result<(), Refused> {
        let daemon = Daemon::this();
        let folder = std::fs::metadata(&self.folder)
            .map_err(|error| self.refuse(unopened(&self.file_name, Errno::from_io_error(&error))))?;
        trust::folder(&self.file_name, &self.folder, Ownership::from(&folder), daemon)
            .and_then(|()| trust::file(&self.file_name, Ownership::from(&self.opened), daemon))
            .map_err(|reason| self.refuse(reason))
    }

    /// Copies every byte to `copy` and hashes what was copied.
    ///
    /// # Errors
    /// `unreadable` when reading fails, `staging_failed` when writing does, `changed_while_read` when the file is
    /// not the same afterwards.
    pub(super) fn copy_to(&mut self, copy: &mut impl Write) -> Result<Content, Refused> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut copied = 0_u64;
        loop {
            let count = match self.file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.refuse(unread(&self.file_name, &error))),
            };
            copied += count as u64;
            if copied > self.opened.len() {
                return Err(self.changed("grew"));
            }
            let chunk = buffer.get(..count).unwrap_or_default();
            hasher.update(chunk);
            copy.write_all(chunk).map_err(|error| self.refuse(uncopied(&self.file_name, &error)))?;
        }
        let now = self.file.metadata().map_err(|error| self.refuse(unread(&self.file_name, &error)))?;
        if now.nlink() == 0 {
            return Err(self.changed("was deleted"));
        }
        let moved = |m: &Metadata| (m.len(), m.mtime(), m.mtime_nsec());
        if copied != self.opened.len() || moved(&now) != moved(&self.opened) {
            return Err(self.changed("changed"));
        }
        Ok(Content { sha256: hex::encode(hasher.finalize()), size_bytes: copied })
    }

    /// The open file itself, to read again at any offset.
    pub(super) fn into_file(self) -> File {
        self.file
    }

    pub(super) fn file_name(&self) -> &str {
        &self.file_name
    }

    fn refuse(&self, reason: Reason) -> Refused {
        Refused::new(&self.file_name, reason).knowing(Facts { size_bytes: Some(self.opened.len()), ..Facts::default() })
    }

    fn changed(&self, how: &str) -> Refused {
        self.refuse(Reason::new(ReasonCode::ChangedWhileRead, format!("{} {how} while it was read", self.file_name)))
    }
}

fn resolve(file_name: &str, path: &Path) -> Result<PathBuf, Reason> {
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    std::fs::canonicalize(path).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => {
            Reason::new(ReasonCode::BrokenLink, format!("{file_name} is a symbolic link that leads in a circle"))
        }
        Some(Errno::NOENT | Errno::NOTDIR) if is_link => Reason::new(
            ReasonCode::BrokenLink,
            match std::fs::read_link(path) {
                Ok(target) => format!("{file_name} is a symbolic link to {}, which is not there", target.display()),
                Err(_) => format!("{file_name} is a symbolic link that leads nowhere"),
            },
        ),
        errno => unopened(file_name, errno),
    })
}

fn only_regular(file_name: &str, metadata: &Metadata) -> Result<(), Reason> {
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(Reason::new(ReasonCode::NotAFile, format!("{file_name} is {what}, not a file")))
}

/// Why a path could not be opened, by the kernel's own word.
fn unopened(file_name: &str, errno: Option<Errno>) -> Reason {
    let (code, sentence) = match errno {
        Some(Errno::ACCESS | Errno::PERM) => (
            ReasonCode::Unreadable,
            format!("{file_name} may not be read by the user that runs the daemon (user {})", Daemon::this().uid),
        ),
        Some(Errno::NOENT | Errno::NOTDIR) => {
            (ReasonCode::ChangedWhileRead, format!("{file_name} vanished before it could be read"))
        }
        Some(Errno::LOOP) => {
            (ReasonCode::ChangedWhileRead, format!("{file_name} became a symbolic link while it was opened"))
        }
        Some(Errno::NXIO) => (ReasonCode::NotAFile, format!("{file_name} is not a file that can be read")),
        _ => (ReasonCode::Unreadable, format!("{file_name} cannot be opened")),
    };
    let reason = Reason::new(code, sentence);
    match errno {
        Some(errno) => reason.caused_by(io::Error::from(errno)),
        None => reason,
    }
}

fn unread(file_name: &str, error: &io::Error) -> Reason {
    Reason::new(ReasonCode::Unreadable, format!("{file_name} cannot be read to its end")).caused_by(error)
}

fn uncopied(file_name: &str, error: &io::Error) -> Reason {
    let why = if error.kind() == io::ErrorKind::StorageFull { ": the disk is full" } else { "" };
    Reason::new(ReasonCode::StagingFailed, format!("{file_name} cannot be copied into the staging folder{why}"))
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn open(path: &Path) -> Source {
        Source::open(&Candidate::given(path), 1024 * 1024).unwrap()
    }

    #[test]
    fn a_file_deleted_while_it_is_read_is_refused_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone.so");
        std::fs::write(&path, b"bytes").unwrap();
        let mut source = open(&path);
        std::fs::remove_file(&path).unwrap();
        let refused = source.copy_to(&mut Vec::new()).unwrap_err();
        assert_eq!(refused.reason().code, ReasonCode::ChangedWhileRead);
        assert_eq!(refused.reason().sentence, "gone.so was deleted while it was read");
    }

    #[test]
    fn a_file_that_grows_or_shrinks_while_it_is_read_is_refused_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moving.so");
        for (now, how) in [(&b"more bytes"[..], "grew"), (b"b", "changed")] {
            std::fs::write(&path, b"bytes").unwrap();
            let mut source = open(&path);
            std::fs::write(&path, now).unwrap();
            let refused = source.copy_to(&mut Vec::new()).unwrap_err();
            assert_eq!(refused.reason().code, ReasonCode::ChangedWhileRead);
            assert_eq!(refused.reason().sentence, format!("moving.so {how} while it was read"));
        }
    }

    #[test]
    fn the_copy_and_its_hash_are_of_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.so");
        std::fs::write(&path, b"abc").unwrap();
        let mut copy = Vec::new();
        let content = open(&path).copy_to(&mut copy).unwrap();
        assert_eq!(copy, b"abc");
        // The test vector of FIPS 180-2, appendix B.1.
        assert_eq!(content.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(content.size_bytes, 3);
    }

    #[test]
    fn a_full_disk_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.so");
        std::fs::write(&path, b"abc").unwrap();
        let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let refused = open(&path).copy_to(&mut full).unwrap_err();
        assert_eq!(refused.reason().code, ReasonCode::StagingFailed);
        assert_eq!(refused.reason().sentence, "a.so cannot be copied into the staging folder: the disk is full");
    }

    #[test]
    fn the_kernels_words_become_codes() {
        for (errno, code) in [
            (Errno::ACCESS, ReasonCode::Unreadable),
            (Errno::PERM, ReasonCode::Unreadable),
            (Errno::NOENT, ReasonCode::ChangedWhileRead),
            (Errno::LOOP, ReasonCode::ChangedWhileRead),
            (Errno::NXIO, ReasonCode::NotAFile),
            (Errno::IO, ReasonCode::Unreadable),
        ] {
            let reason = unopened("a.so", Some(errno));
            assert_eq!(reason.code, code, "{errno:?}");
            assert!(reason.sentence.contains("a.so"));
        }
    }
}
