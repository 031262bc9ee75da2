//! minisign signatures: found beside the file or in a section of it, checked over the staged bytes.
//!
//! A signature in the section [`SECTION`] is over the file with that section's content as zeros: the section is made
//! first, the file signed, and the signature written into its place. The section must lie in no part of the file that
//! is loaded, so that what stands there, signed or not, is never code or data of the plugin.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use minisign_verify::{Error, PublicKey, Signature};
use rustix::fs::{Mode, OFlags};

use super::KeyId;
use super::ownership::{self, Daemon, Ownership};
use crate::reason::{Reason, ReasonCode};

/// The section that may hold a signature.
pub(in crate::plugin) const SECTION: &str = ".gatehouse.sig";
/// What a signature's file is called: the plugin's name and this.
pub(in crate::plugin) const EXTENSION: &str = ".minisig";
/// The most that a signature takes: minisign's own bound on comments is 8 KiB.
pub(in crate::plugin) const MOST_BYTES: usize = 16 * 1024;
const CHUNK_BYTES: usize = 128 * 1024;

/// A signature as it was found, not yet understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct SignatureText(Vec<u8>);

/// A signature that was understood.
pub(super) struct Signed {
    pub(super) key: KeyId,
    signature: Signature,
}

/// Where the signature of a file is looked for.
pub(in crate::plugin) fn path_of(plugin: &Path) -> PathBuf {
    let mut path = plugin.as_os_str().to_owned();
    path.push(EXTENSION);
    PathBuf::from(path)
}

/// The signature beside a file, if there is one. Its owner and mode are checked as the file's own when `guarded`.
///
/// # Errors
/// `foreign_owner`, `writable_by_all`, `writable_by_group`; `unreadable` and `bad_signature` for what is no file of
/// reasonable size.
pub(in crate::plugin) fn beside(plugin: &Path, guarded: bool) -> Result<Option<SignatureText>, Reason> {
    let path = path_of(plugin);
    let name = super::super::verdict::file_name_of(&path);
    let unread = |error: io::Error| {
        Reason::new(ReasonCode::Unreadable, format!("the signature {name} cannot be read")).caused_by(error)
    };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(unread(errno.into())),
    };
    let metadata = file.metadata().map_err(unread)?;
    if !metadata.is_file() || metadata.len() > MOST_BYTES as u64 {
        let sentence = format!("{name} is no signature: a file of at most {} KiB", MOST_BYTES / 1024);
        return Err(Reason::new(ReasonCode::BadSignature, sentence));
    }
    if guarded {
        ownership::file(&name, Ownership::from(&metadata), Daemon::this())?;
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES as u64).read_to_end(&mut bytes).map_err(unread)?;
    Ok(Some(SignatureText(bytes)))
}

/// The signature in a section; none when the section is empty or holds nothing but zeros.
pub(super) fn in_section(copy: &File, range: &Range<u64>) -> io::Result<Option<SignatureText>> {
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?.min(MOST_BYTES);
    let mut bytes = vec![0; length];
    copy.read_exact_at(&mut bytes, range.start)?;
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    Ok((end > 0).then_some(SignatureText(bytes)))
}

impl SignatureText {
    pub(in crate::plugin) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads it.
    ///
    /// # Errors
    /// Half a sentence: what is wrong with it.
    pub(super) fn parse(&self) -> Result<Signed, String> {
        let unread = || "cannot be read: it is not what minisign writes".to_owned();
        let text = std::str::from_utf8(&self.0).map_err(|_| unread())?;
        let signature = Signature::decode(text).map_err(|_| unread())?;
        let key = key_of(text).ok_or_else(unread)?;
        Ok(Signed { key, signature })
    }
}

/// The id of the key, which the second line holds behind the two letters of the algorithm.
fn key_of(text: &str) -> Option<KeyId> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.lines().nth(1)?).ok()?;
    Some(KeyId::from_bytes(bytes.get(2..10)?.try_into().ok()?))
}

impl Signed {
    /// Checks the copy, with the bytes of `mask` as zeros.
    ///
    /// # Errors
    /// The outer one: the copy cannot be read. The inner one: half a sentence, what is wrong with the signature.
    pub(super) fn check(
        &self,
        public: &PublicKey,
        copy: &File,
        mask: Option<Range<u64>>,
    ) -> io::Result<Result<(), String>> {
        let mut verifier = match public.verify_stream(&self.signature) {
            Ok(verifier) => verifier,
            Err(Error::UnsupportedLegacyMode) => {
                return Ok(Err("is of minisign's old form: sign again with minisign 0.10 or newer".to_owned()));
            }
            Err(error) => return Ok(Err(format!("cannot be checked: {error}"))),
        };
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut at = 0;
        loop {
            let count = match copy.read_at(&mut buffer, at) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let chunk = buffer.get_mut(..count).unwrap_or_default();
            if let Some(mask) = &mask {
                let within = |place: u64| usize::try_from(place.saturating_sub(at)).unwrap_or(usize::MAX).min(count);
                chunk[within(mask.start)..within(mask.end)].fill(0);
            }
            verifier.update(chunk);
            at += count as u64;
        }
        Ok(verifier.finalize().map_err(|_| {
            "does not fit: the file was changed after it was signed, or the signature is another file's".to_owned()
        }))
    }
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signed({})", self.key)
    }
}
