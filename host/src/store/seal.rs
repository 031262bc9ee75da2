//! Sealing of secrets at rest: XChaCha20-Poly1305 under a key file that lies beside the database.
//!
//! A sealed value is `version (1 byte), nonce (24 bytes), ciphertext with tag`. What stands around the value (table,
//! integration, key) is authenticated with it, so that a row copied over another one does not open.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::error::{Fault, StoreError};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const VERSION: u8 = 1;
/// How much longer a sealed value is: version, nonce and tag.
pub(super) const SEALED_MORE: u64 = 1 + NONCE_BYTES as u64 + 16;

/// Seals and opens values.
pub(super) struct Seal(XChaCha20Poly1305);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// Where a sealed value stands; part of what is authenticated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) table: &'static str,
    pub(super) integration: &'a str,
    pub(super) key: &'a str,
}

impl Place<'_> {
    fn bytes(&self) -> Vec<u8> {
        // Lengths in front: no two places have the same bytes, whatever characters the key holds.
        let mut bytes = Vec::with_capacity(32 + self.integration.len() + self.key.len());
        for part in [self.table, self.integration, self.key] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

impl Seal {
    /// Reads the key file.
    pub(super) fn read(path: &Path) -> Result<Self, StoreError> {
        let bad = |problem: String| StoreError::Key { path: path.display().to_string(), problem };
        let cannot = |error: std::io::Error| bad(format!("cannot be read ({error}): let the daemon's user read it"));
        let mut file = File::open(path).map_err(cannot)?;
        let meta = file.metadata().map_err(cannot)?;
        if !meta.is_file() {
            return Err(bad("is not a plain file: put the key's file there".into()));
        }
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(bad(format!(
                "may be read by others (mode {mode:04o}): run chmod 600 {} and start again",
                path.display()
            )));
        }
        if meta.len() != KEY_BYTES as u64 {
            return Err(bad(format!("has {} bytes instead of {KEY_BYTES}: put back the copy you kept", meta.len())));
        }
        let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
        file.read_exact(key.as_mut_slice()).map_err(cannot)?;
        Ok(Self(XChaCha20Poly1305::new(&Key::from(*key))))
    }

    /// Makes a key file that only the owner reads; refuses to replace one.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let cannot = |error: std::io::Error| StoreError::Key {
            path: path.display().to_string(),
            problem: format!("cannot be made ({error}): let the daemon's user write to its folder"),
        };
        let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
        getrandom::fill(key.as_mut_slice()).map_err(|error| cannot(std::io::Error::other(error.to_string())))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(cannot)?;
        file.write_all(key.as_slice()).and_then(|()| file.sync_all()).map_err(cannot)?;
        // The name must survive power loss as well, or the first secrets would be lost with it.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot)?;
        }
        Ok(Self(XChaCha20Poly1305::new(&Key::from(*key))))
    }

    /// Seals a value for its place.
    pub(super) fn seal(&self, place: Place<'_>, value: &[u8]) -> Result<Vec<u8>, Fault> {
        let nonce = XNonce::try_generate().map_err(|error| Fault::row(describe(place), error))?;
        let sealed = self
            .0
            .encrypt(&nonce, Payload { msg: value, aad: &place.bytes() })
            .map_err(|_| Fault::row(describe(place), "it is too large to be sealed"))?;
        let mut bytes = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(bytes)
    }

    /// Opens a value that was sealed for this place.
    pub(super) fn open(&self, place: Place<'_>, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        let bad = |problem: &str| Fault::row(describe(place), problem);
        let (&version, rest) = bytes.split_first().ok_or_else(|| bad("the sealed value is empty"))?;
        if version != VERSION || rest.len() < NONCE_BYTES {
            return Err(bad("the sealed value has an unknown form"));
        }
        let (nonce, sealed) = rest.split_at(NONCE_BYTES);
        let nonce = XNonce::try_from(nonce).map_err(|_| bad("the sealed value has an unknown form"))?;
        self.0.decrypt(&nonce, Payload { msg: sealed, aad: &place.bytes() }).map_err(|_| {
            bad("it does not open with this key: it was changed, or the key file is another database's; enter the value again")
        })
    }
}

fn describe(place: Place<'_>) -> String {
    format!("{} {}/{}", place.table, place.integration, place.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(key: &str) -> Place<'_> {
        Place { table: "kv", integration: "hass", key }
    }

    #[test]
    fn a_sealed_value_opens_in_its_own_place_alone() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let seal = Seal::create(&dir.path().join("key")).expect("made");
        let sealed = seal.seal(place("token"), b"hunter2").expect("sealed");
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        assert_eq!(seal.open(place("token"), &sealed).expect("opens"), b"hunter2");
        assert!(seal.open(place("other"), &sealed).is_err());
        let other = Seal::create(&dir.path().join("key2")).expect("made");
        assert!(other.open(place("token"), &sealed).is_err());
    }

    #[test]
    fn refuses_keys_that_others_read_or_that_have_another_length() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("key");
        Seal::create(&path).expect("made");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(Seal::create(&path).is_err(), "never replaced");
        Seal::read(&path).expect("sound");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("chmod");
        let sentence = Seal::read(&path).expect_err("refused").to_string();
        assert!(sentence.contains("chmod 600") && sentence.contains("0640"), "{sentence}");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("chmod");
        std::fs::write(&path, b"short").expect("written");
        let sentence = Seal::read(&path).expect_err("refused").to_string();
        assert!(sentence.contains("5 bytes instead of 32"), "{sentence}");
    }
}
