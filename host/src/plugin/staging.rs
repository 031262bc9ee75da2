//! The content-addressed store of plugin copies: the only files that are ever opened as libraries.
//!
//! # Why a copy, and why by content
//!
//! `dlopen` of a path that is already loaded returns the library that is loaded, even after the file was renamed
//! away; and whoever overwrites a mapped file in place kills the process that mapped it. So the file in the plugins
//! folder is never opened as a library. It is copied under a name that holds the copy's own SHA-256, which is its
//! generation: another content is another path, the same content is the same path, and a name once given never
//! changes its bytes. The copy is hashed while it is written and inspected afterwards, so that what was inspected is
//! what is loaded. Mode 0400 in a folder of mode 0700 keeps it so.
//!
//! Rejected: hard links and reflinks into the store (an in-place write to the dropped file would reach the copy of a
//! hard link; a reflink needs the right file system and saves a few milliseconds), names by version only (every
//! author's dev loop replaces a file without raising its version).

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use gatehouse_plugin_api::ids::IntegrationType;
use gatehouse_plugin_api::manifest::Manifest;

use super::discovery::Candidate;
use super::source::{Content, Source};
use super::trust::{self, KeyId, Provenance, SignatureText, Trusted};
use super::verdict::Refused;
use crate::reason::{Reason, ReasonCode};

const UNFINISHED: &str = ".incoming-";

/// A plugin generation that was inspected and copied into the content-addressed store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Staged(Arc<StagedParts>);

#[derive(Debug)]
struct StagedParts {
    manifest: Manifest,
    section: Vec<u8>,
    content: Content,
    path: PathBuf,
    file_name: String,
    provenance: Provenance,
}

impl Staged {
    /// What the file says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The manifest section's bytes, for comparison with what the running code reports.
    pub fn section(&self) -> &[u8] {
        &self.0.section
    }

    /// The SHA-256 of the staged copy, in lower-case hex: the generation's identity.
    pub fn sha256(&self) -> &str {
        &self.0.content.sha256
    }

    /// The copy's size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.0.content.size_bytes
    }

    /// The staged copy: the only file that is ever opened as a library.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The name of the file in the plugins folder.
    pub fn file_name(&self) -> &str {
        &self.0.file_name
    }

    /// The integration type it provides.
    pub fn integration_type(&self) -> &IntegrationType {
        &self.0.manifest.id
    }

    /// The trusted key that it is signed with; none when it is not signed, or with a key that is not known.
    pub fn signed_by(&self) -> Option<KeyId> {
        self.0.provenance.key.filter(|_| self.0.provenance.is_verified)
    }

    /// The key that its signature names, known or not.
    pub(super) fn signature_key(&self) -> Option<KeyId> {
        self.0.provenance.key
    }

    /// A generation that exists in a test alone: no file has its content.
    #[cfg(test)]
    pub(crate) fn imagined(manifest: Manifest, sha256: &str) -> Self {
        Self(Arc::new(StagedParts {
            file_name: format!("lib{}.so", manifest.id),
            path: PathBuf::from(format!("/nowhere/{sha256}.so")),
            content: Content { sha256: sha256.to_owned(), size_bytes: 0 },
            section: Vec::new(),
            provenance: Provenance::default(),
            manifest,
        }))
    }

    pub(super) fn watch(&self) -> StagedWatch {
        StagedWatch {
            sha256: self.0.content.sha256.clone(),
            path: self.0.path.clone(),
            file_name: self.0.file_name.clone(),
            integration_type: self.0.manifest.id.clone(),
            key: self.0.provenance.key,
            is_revoked: false,
            parts: Arc::downgrade(&self.0),
        }
    }
}

/// Tells whether anybody still holds a generation, without holding it.
#[derive(Debug)]
pub(super) struct StagedWatch {
    pub(super) sha256: String,
    pub(super) path: PathBuf,
    pub(super) file_name: String,
    pub(super) integration_type: IntegrationType,
    pub(super) key: Option<KeyId>,
    /// Whether it was told that it may not run any longer.
    pub(super) is_revoked: bool,
    parts: Weak<StagedParts>,
}

impl StagedWatch {
    pub(super) fn is_held(&self) -> bool {
        self.parts.strong_count() > 0
    }
}

/// The store's folder.
#[derive(Debug, Clone)]
pub(super) struct StagingFolder {
    path: PathBuf,
}

/// A file that was copied and hashed, and not yet inspected. Its copy is deleted when it goes no further.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) file_name: String,
    pub(super) content: Content,
    pub(super) signature: Option<SignatureText>,
    copy: Unfinished,
}

impl Received {
    pub(super) fn copy(&self) -> &File {
        &self.copy.file
    }

    pub(super) fn folder(&self) -> &Path {
        self.copy.path.parent().unwrap_or(Path::new("/"))
    }
}

/// A copy under a name that only this process knows.
#[derive(Debug)]
struct Unfinished {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing to be done about a failure: the next start sweeps what is left.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl StagingFolder {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Copies a candidate's file into the folder, hashing it.
    ///
    /// # Errors
    /// What [`Source`] answers, `staging_failed` when the folder cannot be written.
    pub(super) fn receive(&self, candidate: &Candidate, max_bytes: u64) -> Result<Received, Refused> {
        let mut source = Source::open(candidate, max_bytes)?;
        source.check_trust()?;
        let signature =
            trust::beside(candidate.path(), true).map_err(|reason| Refused::new(candidate.file_name(), reason))?;
        let mut copy = self.begin().map_err(|error| unwritable(candidate.file_name(), &self.path, &error))?;
        let content = source.copy_to(&mut copy.file)?;
        Ok(Received { file_name: source.file_name().to_owned(), content, signature, copy })
    }

    /// Gives a trusted copy its name for good, and its signature a place beside it. A copy of the same content that is already there stays, because a
    /// running gateway may have it open.
    ///
    /// # Errors
    /// `staging_failed`.
    pub(super) fn keep(&self, trusted: Trusted) -> Result<Staged, Refused> {
        let Trusted { inspected, provenance, signature } = trusted;
        let (received, manifest, section) = inspected.into_parts();
        let Received { file_name, content, mut copy, .. } = received;
        let path = self.path.join(format!("{}-{}-{}.so", manifest.id, manifest.version, content.sha256));
        if !is_whole(&path, &content) {
            copy.finish(&path).map_err(|error| unwritable(&file_name, &self.path, &error))?;
        }
        if let Some(signature) = signature {
            self.keep_signature(&path, &signature).map_err(|error| unwritable(&file_name, &self.path, &error))?;
        }
        Ok(Staged(Arc::new(StagedParts { manifest, section, content, path, file_name, provenance })))
    }

    /// So that a generation is known by its signature when the file it came from is gone.
    fn keep_signature(&self, copy: &Path, signature: &SignatureText) -> io::Result<()> {
        let path = trust::signature_path(copy);
        if std::fs::read(&path).is_ok_and(|bytes| bytes == signature.bytes()) {
            return Ok(());
        }
        let mut beside = self.begin()?;
        beside.file.write_all(signature.bytes())?;
        beside.finish(&path)
    }

    /// Every finished copy in the folder, by its path and SHA-256.
    pub(super) fn copies(&self) -> Vec<(PathBuf, String)> {
        self.names()
            .into_iter()
            .filter_map(|path| {
                let sha256 = path.file_stem()?.to_str()?.rsplit_once('-')?.1.to_owned();
                (path.extension()? == "so" && sha256.len() == 64).then_some((path, sha256))
            })
            .collect()
    }

    /// Deletes what a process that died in the middle of a copy left.
    pub(super) fn sweep_unfinished(&self) {
        for path in self.names() {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED)) {
                self.delete(&path);
            }
        }
    }

    /// Deletes a copy. Whoever has it open keeps it until it is closed.
    pub(super) fn delete(&self, copy: &Path) {
        // Most have none.
        let _ = std::fs::remove_file(trust::signature_path(copy));
        match std::fs::remove_file(copy) {
            Ok(()) => tracing::debug!(copy = %copy.display(), "staged copy deleted"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(copy = %copy.display(), %error, "staged copy cannot be deleted"),
        }
    }

    fn names(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return Vec::new() };
        entries.filter_map(Result::ok).map(|entry| entry.path()).collect()
    }

    fn begin(&self) -> io::Result<Unfinished> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        self.make()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("{UNFINISHED}{}-{number}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Unfinished { path, file, kept: false })
    }

    fn make(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        let metadata = std::fs::metadata(&self.path)?;
        if metadata.mode() & 0o7777 != 0o700 {
            std::fs::set_permissions(&self.path, Permissions::from_mode(0o700))?;
        }
        Ok(())
    }
}

impl Unfinished {
    /// On the disk before it has its name: a name in the store is a promise about the bytes.
    fn finish(&mut self, path: &Path) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(0o400))?;
        self.file.sync_all()?;
        std::fs::rename(&self.path, path)?;
        self.kept = true;
        Ok(())
    }
}

fn is_whole(path: &Path, content: &Content) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| {
        metadata.is_file() && metadata.len() == content.size_bytes && metadata.mode() & 0o7777 == 0o400
    })
}

fn unwritable(file_name: &str, folder: &Path, error: &io::Error) -> Refused {
    let why = if error.kind() == io::ErrorKind::StorageFull { "its disk is full" } else { "it cannot be written" };
    Refused::new(
        file_name,
        Reason::new(
            ReasonCode::StagingFailed,
            format!("{file_name} cannot be copied into the staging folder {}: {why}", folder.display()),
        )
        .caused_by(error),
    )
}
