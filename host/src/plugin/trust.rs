//! Whether code may come into the house: who owns the file, who signed it, and what a person has listed or revoked.
//!
//! Asked between inspection and staging, of the very bytes that were copied and hashed and will be loaded; so there
//! is no moment in which another file could be signed than the one that runs.
//!
//! Three sources, the strictest word wins: what is revoked (`trust/revoked.list` in the home) is refused whatever else
//! is said of it; a signature that does not fit is refused whatever the policy; then the policy decides. Keys and
//! hashes of the configuration and of `trust/trusted.list` count alike. Both lists are read again when they change.

mod item;
mod lists;
mod ownership;
mod signature;
mod watch;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

pub use item::{Item, ItemError, KeyId};
pub use lists::{Entry, ListError};
pub(super) use ownership::{Daemon, Ownership, file, folder};
pub(super) use signature::{
    EXTENSION as SIGNATURE_EXTENSION, MOST_BYTES as SIGNATURE_MOST_BYTES, SECTION as SIGNATURE_SECTION,
};
pub(super) use signature::{SignatureText, beside, path_of as signature_path};

pub(super) use watch::TrustWatch;

use self::lists::{Lists, REVOKED, TRUSTED};
use super::inspection::Inspected;
use super::verdict::{Facts, Refused};
use crate::config;
use crate::config::TrustPolicy;
use crate::home::Home;
use crate::reason::{Reason, ReasonCode};

/// For how long a list must revoke less before it counts: longer than copying one takes.
const LOOSENS_AFTER: Duration = Duration::from_secs(1);

/// Who is trusted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trust(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    policy: TrustPolicy,
    /// Of the configuration.
    configured: Vec<Entry>,
    /// Where the lists are; none for a trust without a home.
    folder: Option<PathBuf>,
    /// What is in force. An error: they were never read, so nobody knows what is revoked.
    lists: RwLock<Result<Lists, String>>,
    /// Lists that revoke less than what is in force, and since when they do.
    loosening: Mutex<Option<(Lists, Instant)>>,
}

/// An inspected copy that may be used.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) inspected: Inspected,
    pub(super) provenance: Provenance,
    pub(super) signature: Option<SignatureText>,
}

/// What is known of where a file comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Provenance {
    /// The key that its signature says it is made with, known or not.
    pub(super) key: Option<KeyId>,
    /// Whether that key is known and its signature fits.
    pub(super) is_verified: bool,
}

/// Who is trusted, for a person.
#[derive(Debug, Clone)]
pub struct TrustView {
    /// What is let in.
    pub policy: TrustPolicy,
    /// Of the configuration file.
    pub configured: Vec<Entry>,
    /// Added by command.
    pub trusted: Vec<Entry>,
    /// Refused whatever else is said.
    pub revoked: Vec<Entry>,
    /// Lines that cannot be understood, and lists that cannot be read; empty when all is well.
    pub problems: Vec<String>,
}

impl Trust {
    /// What the configuration and the lists in the home say. Makes the lists' folder (mode 0700). Blocks.
    pub fn open(home: &Home, config: &config::Trust) -> Self {
        let folder = home.trust_dir();
        if let Err(error) = crate::home::make_private(&folder) {
            tracing::error!(folder = %folder.display(), %error, "the folder of the trust lists cannot be made");
        }
        let lists = Lists::read(&folder, None).map_err(|error| error.to_string());
        tell_problems(&lists);
        let texts = config.keys.iter().chain(&config.hashes);
        let configured = texts.filter_map(|text| Some(Entry { item: text.parse().ok()?, note: String::new() }));
        let configured = configured.collect();
        Self(Arc::new(Parts {
            policy: config.policy,
            configured,
            folder: Some(folder),
            lists: RwLock::new(lists),
            loosening: Mutex::default(),
        }))
    }

    /// Lets everything in: for a file that a person stages outside a home.
    pub(super) fn anybody() -> Self {
        Self(Arc::new(Parts {
            policy: TrustPolicy::Any,
            configured: Vec::new(),
            folder: None,
            lists: RwLock::new(Ok(Lists::default())),
            loosening: Mutex::default(),
        }))
    }

    /// Where the lists are.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.0.folder.as_deref()
    }

    /// Reads the lists again; answers whether they say something else than before. A list that cannot be read leaves
    /// what was read last in force. Blocks.
    ///
    /// Unless `at_once`, what is no longer revoked stays so until the list has said it for a while: a list that is being
    /// copied in is empty or half for a moment, in which nothing may slip through.
    pub(super) fn reload(&self, at_once: bool) -> bool {
        let Some(folder) = &self.0.folder else { return false };
        let before = self.0.lists.read().clone();
        let read = match Lists::read(folder, before.as_ref().ok()) {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "a trust list cannot be read: what was read last stays in force");
                return false;
            }
        };
        let mut loosening = self.0.loosening.lock();
        let now = match &before {
            Ok(before) if !at_once && read.loosens(before) => match loosening.take() {
                Some((seen, since)) if seen == read && since.elapsed() >= LOOSENS_AFTER => read,
                seen_before => {
                    let since =
                        seen_before.filter(|(seen, _)| *seen == read).map_or_else(Instant::now, |(_, since)| since);
                    let both = read.with_revoked_of(before);
                    *loosening = Some((read, since));
                    both
                }
            },
            _ => {
                *loosening = None;
                read
            }
        };
        if before.as_ref() == Ok(&now) {
            return false;
        }
        let now = Ok(now);
        tell_problems(&now);
        *self.0.lists.write() = now;
        true
    }

    /// Who is trusted, for a person.
    pub fn view(&self) -> TrustView {
        let (trusted, revoked, problems) = match &*self.0.lists.read() {
            Ok(lists) => (lists.trusted.clone(), lists.revoked.clone(), lists.problems.clone()),
            Err(problem) => (Vec::new(), Vec::new(), vec![problem.clone()]),
        };
        TrustView { policy: self.0.policy, configured: self.0.configured.clone(), trusted, revoked, problems }
    }

    /// Adds to the trusted; what was revoked is so no longer. Blocks.
    ///
    /// # Errors
    /// When a list cannot be written.
    pub fn add(&self, item: &Item, note: &str) -> Result<(), ListError> {
        let Some(folder) = &self.0.folder else { return Ok(()) };
        lists::remove(folder, REVOKED, item)?;
        lists::add(folder, TRUSTED, item, note)
    }

    /// Adds to the revoked, which wins over everything. Blocks.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn revoke(&self, item: &Item, note: &str) -> Result<(), ListError> {
        self.0.folder.as_ref().map_or(Ok(()), |folder| lists::add(folder, REVOKED, item, note))
    }

    /// Why a file that was let in may not be used any longer, if it may not.
    pub(super) fn revoked(&self, file_name: &str, sha256: &str, key: Option<KeyId>) -> Option<Reason> {
        let lists = self.0.lists.read();
        let revoked = &lists.as_ref().ok()?.revoked;
        let because = |entry: &Entry| if entry.note.is_empty() { String::new() } else { format!(": {}", entry.note) };
        if let Some(entry) = revoked.iter().find(|entry| entry.item.is_hash(sha256)) {
            let sentence = format!("{file_name} is revoked by its content{}", because(entry));
            return Some(Reason::new(ReasonCode::Revoked, sentence));
        }
        let key = key?;
        let entry = revoked.iter().find(|entry| entry.item.key_id() == Some(key))?;
        let sentence = format!("{file_name} is signed with the key {key}, which is revoked{}", because(entry));
        Some(Reason::new(ReasonCode::KeyRevoked, sentence))
    }

    /// Lets an inspected copy in, or not.
    ///
    /// # Errors
    /// `revoked`, `key_revoked`, `bad_signature`, `unsigned`, `unknown_key`, `not_listed` or `trust_unreadable`.
    pub(super) fn admit(&self, inspected: Inspected) -> Result<Trusted, Refused> {
        let received = inspected.received();
        let beside = received.signature.clone();
        let in_section = inspected.signature_range();
        let decided =
            self.decide(&received.file_name, &received.content.sha256, beside.as_ref(), in_section, received.copy());
        match decided {
            Ok(provenance) => Ok(Trusted { provenance, signature: beside, inspected }),
            Err(reason) => {
                let facts = Facts { manifest: Some(inspected.manifest().clone()), ..received.content.facts() };
                Err(Refused::new(&received.file_name, reason).knowing(facts))
            }
        }
    }

    fn decide(
        &self,
        file_name: &str,
        sha256: &str,
        beside: Option<&SignatureText>,
        in_section: Option<Range<u64>>,
        copy: &File,
    ) -> Result<Provenance, Reason> {
        if let Err(problem) = &*self.0.lists.read() {
            let sentence = format!("{file_name} cannot be judged: what is revoked is not known");
            return Err(Reason::new(ReasonCode::TrustUnreadable, sentence).caused_by(problem));
        }
        if let Some(reason) = self.revoked(file_name, sha256, None) {
            return Err(reason);
        }
        let bad = |problem: &str| {
            Reason::new(ReasonCode::BadSignature, format!("{file_name} has a signature that {problem}"))
        };
        let unread = |error: io::Error| {
            Reason::new(ReasonCode::StagingFailed, format!("the copy of {file_name} cannot be read")).caused_by(error)
        };
        let from_section = match (beside, &in_section) {
            (None, Some(range)) => signature::in_section(copy, range).map_err(unread)?,
            _ => None,
        };
        let mask = in_section.filter(|_| beside.is_none());
        let Some(text) = beside.or(from_section.as_ref()) else {
            return self.without_signature(file_name, sha256);
        };
        let signed = text.parse().map_err(|problem| bad(&problem))?;
        let key = signed.key;
        if let Some(reason) = self.revoked(file_name, sha256, Some(key)) {
            return Err(reason);
        }
        match self.known_key(key) {
            Some(public) => match signed.check(&public, copy, mask).map_err(unread)? {
                Ok(()) => self.by_policy(file_name, sha256, Some(key)),
                Err(problem) => Err(bad(&problem)),
            },
            None if self.0.policy == TrustPolicy::Signed && !self.is_listed(sha256) => Err(Reason::new(
                ReasonCode::UnknownKey,
                format!("{file_name} is signed with the key {key}, which is not among the trusted keys"),
            )),
            None => self.by_policy(file_name, sha256, None),
        }
        .map(|provenance| Provenance { key: Some(key), ..provenance })
    }

    fn without_signature(&self, file_name: &str, sha256: &str) -> Result<Provenance, Reason> {
        if self.0.policy == TrustPolicy::Signed && !self.is_listed(sha256) {
            let sentence = format!("{file_name} is not signed, and only signed plugins are let in");
            return Err(Reason::new(ReasonCode::Unsigned, sentence));
        }
        self.by_policy(file_name, sha256, None)
    }

    fn by_policy(&self, file_name: &str, sha256: &str, verified: Option<KeyId>) -> Result<Provenance, Reason> {
        if self.0.policy == TrustPolicy::Listed && !self.is_listed(sha256) {
            return Err(Reason::new(
                ReasonCode::NotListed,
                format!("{file_name} is not among the listed files; its SHA-256 is {sha256}"),
            ));
        }
        Ok(Provenance { key: verified, is_verified: verified.is_some() })
    }

    fn is_listed(&self, sha256: &str) -> bool {
        self.any_trusted(|item| item.is_hash(sha256).then_some(())).is_some()
    }

    fn known_key(&self, key: KeyId) -> Option<minisign_verify::PublicKey> {
        self.any_trusted(|item| item.public_key().filter(|_| item.key_id() == Some(key)))
    }

    fn any_trusted<T>(&self, find: impl Fn(&Item) -> Option<T>) -> Option<T> {
        let in_config = self.0.configured.iter().find_map(|entry| find(&entry.item));
        in_config.or_else(|| self.0.lists.read().as_ref().ok()?.trusted.iter().find_map(|entry| find(&entry.item)))
    }
}

fn tell_problems(lists: &Result<Lists, String>) {
    match lists {
        Ok(lists) => {
            for problem in &lists.problems {
                tracing::error!(problem, "a line of a trust list is not understood and does nothing");
            }
        }
        Err(problem) => tracing::error!(problem, "what is revoked is not known: no plugin is let in"),
    }
}
