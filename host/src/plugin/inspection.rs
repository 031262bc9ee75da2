//! What a plugin file is, by reading its bytes and nothing else: no part of it runs, and no bytes make it panic.
//!
//! The order of the questions is the order in which an answer helps a person most: is it a library for this
//! machine at all, is it a Gatehouse plugin, does it speak this host's language, and only then what it needs.
//!
//! All reading goes through [`bounded::Bounded`], which stops a file whose tables claim gigabytes or repeat
//! themselves without end.

mod bounded;
mod cpu;
mod declaration;
mod elf;
mod libraries;

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use gatehouse_plugin_api::manifest::Manifest;
use object::read::{ReadCache, ReadRef};

use super::discovery::Candidate;
use super::source::{Content, Source};
use super::staging::Received;
use super::verdict::{Decision, Facts, Refused, Verdict};
use crate::clock::Clock;
use crate::reason::{Reason, ReasonCode};

/// A copy that was found to be a plugin for this host.
#[derive(Debug)]
pub(super) struct Inspected {
    received: Received,
    manifest: Manifest,
    section: Vec<u8>,
    signature: Option<Range<u64>>,
}

impl Inspected {
    pub(super) fn received(&self) -> &Received {
        &self.received
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where in the file a section for a signature lies.
    pub(super) fn signature_range(&self) -> Option<Range<u64>> {
        self.signature.clone()
    }

    pub(super) fn into_parts(self) -> (Received, Manifest, Vec<u8>) {
        (self.received, self.manifest, self.section)
    }
}

/// Inspects a copy.
///
/// # Errors
/// Why it is no plugin for this host.
pub(super) fn inspect(received: Received) -> Result<Inspected, Refused> {
    let found = inspect_open(&received.file_name, &received.content, received.copy(), received.folder())?;
    Ok(Inspected { received, manifest: found.manifest, section: found.section, signature: found.signature })
}

/// Inspects any file for a person, without a daemon and without copying it. Blocks while it reads.
///
/// A sound file is `accepted`, whoever owns it: owner and mode matter in the plugins folder only.
pub fn inspect_file(path: &Path, max_bytes: u64) -> Verdict {
    let candidate = Candidate::given(path);
    let decided_at_ms = Clock::system().now_ms();
    let accept = || -> Result<Verdict, Refused> {
        let mut source = Source::open(&candidate, max_bytes)?;
        let content = source.copy_to(&mut std::io::sink())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let found = inspect_open(candidate.file_name(), &content, &source.into_file(), folder)?;
        let reason = Reason::new(
            ReasonCode::Accepted,
            format!("{} provides {} {}", candidate.file_name(), found.manifest.id, found.manifest.version),
        );
        let facts = Facts { manifest: Some(found.manifest), ..content.facts() };
        Ok(facts.verdict(candidate.file_name(), Decision::Accepted, reason, decided_at_ms))
    };
    accept().unwrap_or_else(|refused| refused.into_verdict(decided_at_ms))
}

/// Inspects bytes as the content of a plugin file. For tests that damage them.
///
/// # Errors
/// The reason for which a file with this content is refused.
pub fn inspect_bytes(file_name: &str, bytes: &[u8]) -> Result<Manifest, Reason> {
    inspect_content(file_name, bytes, Path::new("/")).map(|found| found.manifest).map_err(|refusal| refusal.reason)
}

fn inspect_open(file_name: &str, content: &Content, file: &File, folder: &Path) -> Result<Found, Refused> {
    inspect_content(file_name, &ReadCache::new(file), folder).map_err(|refusal| {
        Refused::new(file_name, refusal.reason)
            .knowing(Facts { manifest: refusal.manifest.map(|manifest| *manifest), ..content.facts() })
    })
}

/// What inspection finds in a sound plugin.
#[derive(Debug)]
struct Found {
    manifest: Manifest,
    section: Vec<u8>,
    signature: Option<Range<u64>>,
}

/// Why inspection stopped, and the manifest if it came that far.
#[derive(Debug)]
struct Refusal {
    reason: Reason,
    manifest: Option<Box<Manifest>>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, manifest: None }
    }
}

fn inspect_content<'data>(file_name: &str, data: impl ReadRef<'data>, folder: &Path) -> Result<Found, Refusal> {
    let budget = bounded::Budget::new();
    let library = elf::read(file_name, bounded::Bounded::new(data, &budget))?;
    let (section, signature) = (library.manifest_section, library.signature);
    let manifest = declaration::read(file_name, &section)?;
    let fits = declaration::check(file_name, &manifest)
        .and_then(|()| elf::check_entry(file_name, library.exports_header))
        .and_then(|()| cpu::check(file_name, &manifest.cpu_features))
        .and_then(|()| libraries::check_versions(file_name, &library.versions))
        .and_then(|()| libraries::check_present(file_name, &library.needed, &library.search_path, folder));
    match fits {
        Ok(()) => Ok(Found { manifest, section, signature }),
        Err(reason) => Err(Refusal { reason, manifest: Some(Box::new(manifest)) }),
    }
}
