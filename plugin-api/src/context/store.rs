//! The two stores of an integration: values, and secrets. Both are the host's, sealed at rest, behind async calls.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::host::Host;
use crate::error::{CallError, Error, ErrorCode, Result};
use crate::message::{Key, KeyBlob, Keys, MaybeBlob};
use crate::ops;
use crate::secret::Secret;

/// The key-value store of one integration. Cheap to clone.
///
/// Kept across restarts and upgrades, erased with the integration's data. Small on purpose: settings that a page
/// changes, a cursor, a list of rooms; not readings and not images.
#[derive(Debug, Clone)]
pub struct Kv {
    host: Arc<Host>,
}

impl Kv {
    pub(super) fn new(host: Arc<Host>) -> Self {
        Self { host }
    }

    /// The value of a key, or `None` when there is none.
    ///
    /// # Errors
    /// `refused` when what is kept is not a `T`; else as every call of the context.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(bytes) = self.get_bytes(key).await? else { return Ok(None) };
        rmp_serde::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Error::refused(format!("the value kept as {key:?} cannot be read: {error}")))
    }

    /// Keeps a value (as MessagePack with named fields); resolves after the commit.
    ///
    /// # Errors
    /// `refused` when the value cannot be written as MessagePack; else as every call of the context.
    pub async fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        let bytes = rmp_serde::to_vec_named(value)
            .map_err(|error| Error::refused(format!("the value for {key:?} cannot be kept: {error}")))?;
        self.set_bytes(key, bytes).await
    }

    /// The bytes of a key.
    ///
    /// # Errors
    /// As every call of the context.
    pub async fn get_bytes(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let found: MaybeBlob = self.host.call(&ops::KV_GET, &Key { key: key.to_owned() }).await?;
        Ok(found.bytes)
    }

    /// Keeps bytes; resolves after the commit.
    ///
    /// # Errors
    /// As every call of the context.
    pub async fn set_bytes(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        Ok(self.host.call(&ops::KV_SET, &KeyBlob { key: key.to_owned(), bytes }).await?)
    }

    /// Forgets a key; one that is not there is no error.
    ///
    /// # Errors
    /// As every call of the context.
    pub async fn delete(&self, key: &str) -> Result<()> {
        Ok(self.host.call(&ops::KV_DELETE, &Key { key: key.to_owned() }).await?)
    }

    /// The keys that begin with `prefix`, sorted; all of them for `""`.
    ///
    /// # Errors
    /// As every call of the context.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let found: Keys = self.host.call(&ops::KV_KEYS, &Key { key: prefix.to_owned() }).await?;
        Ok(found.keys)
    }
}

/// The sealed store for what a plugin obtains itself. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Secrets {
    host: Arc<Host>,
}

impl Secrets {
    pub(super) fn new(host: Arc<Host>) -> Self {
        Self { host }
    }

    /// The secret of a key, or `None` when there is none.
    ///
    /// # Errors
    /// As every call of the context.
    pub async fn get(&self, key: &str) -> Result<Option<Secret<String>>> {
        let found: MaybeBlob = self.host.call(&ops::SECRET_GET, &Key { key: key.to_owned() }).await?;
        let Some(bytes) = found.bytes else { return Ok(None) };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Secret::new(text))),
            Err(_) => Err(CallError::new(ErrorCode::Refused, format!("the secret kept as {key:?} is not text")).into()),
        }
    }

    /// Seals a secret; resolves after the commit.
    ///
    /// # Errors
    /// As every call of the context.
    pub async fn set(&self, key: &str, value: Secret<String>) -> Result<()> {
        let blob = KeyBlob { key: key.to_owned(), bytes: value.into_exposed().into_bytes() };
        Ok(self.host.call(&ops::SECRET_SET, &blob).await?)
    }

    /// Forgets a secret; one that is not there is no error.
    ///
    /// # Errors
    /// As every call of the context.
    pub async fn delete(&self, key: &str) -> Result<()> {
        Ok(self.host.call(&ops::SECRET_DELETE, &Key { key: key.to_owned() }).await?)
    }
}
