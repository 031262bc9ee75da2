//! What can be trusted or revoked: a minisign key, the id of one, or the SHA-256 of a file.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::PublicKey;

/// A minisign key's id, as `minisign` shows it: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u64);

impl KeyId {
    /// From the eight bytes of a key or a signature, least significant first (minisign's file format).
    pub(super) fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// A file's SHA-256 in lower-case hex.
type Sha256Text = String;

/// One thing that can be trusted or revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A public key, as the second line of a `.pub` file has it.
    Key {
        /// The line.
        text: String,
        /// Its id.
        id: KeyId,
    },
    /// A key known by its id alone: enough to revoke it, not to check a signature.
    KeyId(KeyId),
    /// A file by its content.
    Hash(Sha256Text),
}

/// Why a text is none of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// It has the form of none.
    #[error(
        "{0:?} is neither a minisign public key (56 characters that begin with RW), nor a key's id (16 hexadecimal \
         digits), nor a SHA-256 (64 hexadecimal digits)"
    )]
    Form(String),
    /// It looks like a key and is none.
    #[error("{0:?} looks like a minisign public key and is none: is it cut short?")]
    Key(String),
}

/// The characters of a public key: 42 bytes in base64.
const KEY_CHARS: usize = 56;

impl FromStr for Item {
    type Err = ItemError;

    fn from_str(text: &str) -> Result<Self, ItemError> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match text.len() {
            64 if is_hex => Ok(Self::Hash(text.to_ascii_lowercase())),
            16 if is_hex => u64::from_str_radix(text, 16)
                .map(|id| Self::KeyId(KeyId(id)))
                .map_err(|_| ItemError::Form(text.to_owned())),
            KEY_CHARS if text.starts_with("RW") => {
                let bytes = STANDARD.decode(text).ok();
                let id = bytes.as_deref().and_then(|bytes| bytes.get(2..10)?.try_into().ok());
                match (PublicKey::from_base64(text), id) {
                    (Ok(_), Some(id)) => Ok(Self::Key { text: text.to_owned(), id: KeyId::from_bytes(id) }),
                    _ => Err(ItemError::Key(text.to_owned())),
                }
            }
            _ => Err(ItemError::Form(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { text, .. } | Self::Hash(text) => f.write_str(text),
            Self::KeyId(id) => id.fmt(f),
        }
    }
}

impl Item {
    /// `key`, `key_id` or `hash`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key { .. } => "key",
            Self::KeyId(_) => "key_id",
            Self::Hash(_) => "hash",
        }
    }

    /// The id of a key.
    pub fn key_id(&self) -> Option<KeyId> {
        match self {
            Self::Key { id, .. } | Self::KeyId(id) => Some(*id),
            Self::Hash(_) => None,
        }
    }

    pub(super) fn is_hash(&self, sha256: &str) -> bool {
        matches!(self, Self::Hash(hash) if hash == sha256)
    }

    pub(super) fn public_key(&self) -> Option<PublicKey> {
        match self {
            Self::Key { text, .. } => PublicKey::from_base64(text).ok(),
            Self::KeyId(_) | Self::Hash(_) => None,
        }
    }

    /// Whether both mean the same key or file.
    pub(super) fn means(&self, other: &Self) -> bool {
        self == other || self.key_id().is_some_and(|id| other.key_id() == Some(id))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// The example of minisign's documentation.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn a_key_has_the_id_that_minisign_shows() {
        let item: Item = KEY.parse().unwrap();
        assert_eq!((item.kind(), item.key_id().unwrap().to_string().as_str()), ("key", "E7620F1842B4E81F"));
        assert!(item.public_key().is_some());
        let by_id: Item = "e7620f1842b4e81f".parse().unwrap();
        assert!(by_id.means(&item) && item.means(&by_id) && by_id.public_key().is_none());
    }

    #[test]
    fn what_is_none_of_them_is_told() {
        for (text, part) in [
            ("", "is neither"),
            ("hello", "is neither"),
            (&KEY[..55], "is neither"),
            (&format!("RW{}", "?".repeat(54)), "is none"),
            (&"g".repeat(64), "is neither"),
        ] {
            let error = text.parse::<Item>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!("A".repeat(64).parse::<Item>().unwrap().is_hash(&"a".repeat(64)));
    }
}
