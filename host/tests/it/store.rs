//! The database as other rooms and a person meet it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatehouse_host::gateway::Hosting;
use gatehouse_host::plugin::{Decision, Verdict};
use gatehouse_host::reason::{Reason, ReasonCode};
use gatehouse_host::store::{CommitPolicy, Desired, IntegrationRow, KvSpace, Store, StoreError};
use gatehouse_plugin_api::attribute::{AttributeValue, AttributeValues, PlainValue};
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use gatehouse_plugin_api::secret::Secret;

pub(crate) const QUICK: CommitPolicy =
    CommitPolicy { every: Duration::from_millis(20), rows: 5_000, full_durability: false };

pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("gatehouse.db")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.dir.path().join("gatehouse.key")
    }

    pub(crate) fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.database(), &self.key(), QUICK)
    }

    fn bytes_of_all_files(&self) -> Vec<u8> {
        fs::read_dir(self.dir.path()).unwrap().flat_map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    }
}

pub(crate) fn id(id: &str) -> IntegrationId {
    IntegrationId::new(id).unwrap()
}

fn integration(name: &str) -> IntegrationRow {
    let mut attributes = AttributeValues::default();
    attributes.set_plain("api_base_url", PlainValue::Text("http://hass.local:8123".into()));
    attributes.set_plain("port", PlainValue::Integer(8123));
    attributes.set_plain("ratio", PlainValue::Number(0.5));
    attributes.set_plain("verify", PlainValue::Bool(true));
    attributes.set_secret("token", Secret::new("correct-horse-battery".into()));
    IntegrationRow {
        id: id(name),
        integration_type: IntegrationType::new("hass").unwrap(),
        title: "Home".into(),
        desired: Desired::On,
        hosting: Hosting::Isolated,
        unique_id: Some("u-1".into()),
        info_message: "12 entities".into(),
        created_at_ms: 1_700_000_000_000,
        attributes,
        last_good_sha256: Some("ab".repeat(32)),
    }
}

fn verdict(file_name: &str, decision: Decision) -> Verdict {
    Verdict {
        file_name: file_name.into(),
        decision,
        reason: Reason::new(ReasonCode::NotElf, "broken.so is not an ELF file").caused_by("bad magic"),
        sha256: Some("cd".repeat(32)),
        size_bytes: Some(12),
        manifest: None,
        decided_at_ms: 1_700_000_000_001,
    }
}

#[tokio::test]
async fn keeps_integrations_whole_across_a_restart() {
    let place = Place::new();
    let store = place.open().unwrap();
    store.integration_save(integration("hass-b")).await.unwrap();
    store.integration_save(integration("hass-a")).await.unwrap();
    let mut changed = integration("hass-a");
    changed.desired = Desired::Paused;
    changed.attributes.0.remove("port");
    store.integration_save(changed.clone()).await.unwrap();
    store.close().await;
    assert!(matches!(store.integration_list().await, Err(StoreError::Closed)));

    let store = place.open().unwrap();
    assert_eq!(store.integration_list().await.unwrap(), [changed, integration("hass-b")]);
    store.kv_set(&id("hass-b"), KvSpace::Data, "cursor", Some(vec![1])).await.unwrap();
    store.integration_delete(&id("hass-b")).await.unwrap();
    assert_eq!(store.integration_list().await.unwrap().len(), 1);
    assert_eq!(store.kv_get(&id("hass-b"), KvSpace::Data, "cursor").await.unwrap(), None);
}

#[tokio::test]
async fn keeps_one_verdict_per_file_name() {
    let place = Place::new();
    let store = place.open().unwrap();
    store.verdict_save(verdict("b.so", Decision::Refused)).await.unwrap();
    store.verdict_save(verdict("a.so", Decision::Refused)).await.unwrap();
    store.verdict_save(verdict("b.so", Decision::Gone)).await.unwrap();
    assert_eq!(
        store.verdict_list().await.unwrap(),
        [verdict("a.so", Decision::Refused), verdict("b.so", Decision::Gone)]
    );
}

#[tokio::test]
async fn key_value_spaces_are_apart_and_listed_by_prefix() {
    let place = Place::new();
    let store = place.open().unwrap();
    let (hass, cabin) = (id("hass"), id("hass-cabin"));
    for key in ["b/2", "a", "b/1", "b", "c", "b0"] {
        store.kv_set(&hass, KvSpace::Data, key, Some(key.as_bytes().to_vec())).await.unwrap();
    }
    store.kv_set(&hass, KvSpace::Secrets, "b/9", Some(vec![])).await.unwrap();
    assert_eq!(store.kv_keys(&hass, KvSpace::Data, "b/").await.unwrap(), ["b/1", "b/2"]);
    assert_eq!(store.kv_keys(&hass, KvSpace::Data, "").await.unwrap().len(), 6);
    assert_eq!(store.kv_get(&hass, KvSpace::Data, "a").await.unwrap().as_deref(), Some(b"a".as_slice()));
    assert_eq!(store.kv_get(&hass, KvSpace::Secrets, "a").await.unwrap(), None);
    assert_eq!(store.kv_get(&cabin, KvSpace::Data, "a").await.unwrap(), None);
    assert_eq!(store.kv_get(&hass, KvSpace::Secrets, "b/9").await.unwrap(), Some(vec![]));
    store.kv_set(&hass, KvSpace::Data, "a", None).await.unwrap();
    assert_eq!(store.kv_get(&hass, KvSpace::Data, "a").await.unwrap(), None);
    store.kv_clear(&hass, KvSpace::Data).await.unwrap();
    assert!(store.kv_keys(&hass, KvSpace::Data, "").await.unwrap().is_empty());
    assert_eq!(store.kv_keys(&hass, KvSpace::Secrets, "").await.unwrap(), ["b/9"]);
}

#[tokio::test]
async fn no_secret_stands_in_any_file_in_clear() {
    let place = Place::new();
    let store = place.open().unwrap();
    store.integration_save(integration("hass")).await.unwrap();
    store.kv_set(&id("hass"), KvSpace::Secrets, "refresh", Some(b"refresh-me-quietly".to_vec())).await.unwrap();
    store.kv_set(&id("hass"), KvSpace::Data, "state", Some(b"exported-state-bytes".to_vec())).await.unwrap();
    let absent = |place: &Place| {
        let bytes = place.bytes_of_all_files();
        assert!(bytes.windows(9).any(|part| part == b"hass.loca"), "what is no secret is found, so the search works");
        for secret in ["correct-horse-battery", "refresh-me-quietly", "exported-state-bytes"] {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret} is in clear");
        }
    };
    absent(&place);
    store.close().await;
    absent(&place);
    for file in [place.database(), place.key()] {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_sealed_row_copied_over_another_does_not_open() {
    let place = Place::new();
    let store = place.open().unwrap();
    for name in ["hass", "other"] {
        store.kv_set(&id(name), KvSpace::Secrets, "token", Some(name.as_bytes().to_vec())).await.unwrap();
    }
    let raw = rusqlite::Connection::open(place.database()).unwrap();
    raw.execute(
        "UPDATE kv SET sealed = (SELECT sealed FROM kv WHERE integration_id = 'hass') WHERE integration_id = 'other'",
        [],
    )
    .unwrap();
    let error = store.kv_get(&id("other"), KvSpace::Secrets, "token").await.unwrap_err().to_string();
    assert!(error.contains("kv.secrets other/token"), "{error}");
    assert_eq!(store.kv_get(&id("hass"), KvSpace::Secrets, "token").await.unwrap().unwrap(), b"hass");
}

#[tokio::test]
async fn a_missing_or_foreign_key_is_an_error_and_never_replaced() {
    let place = Place::new();
    let store = place.open().unwrap();
    store.integration_save(integration("hass")).await.unwrap();
    store.close().await;
    let kept = fs::read(place.key()).unwrap();

    fs::remove_file(place.key()).unwrap();
    let error = place.open().unwrap_err().to_string();
    assert!(error.contains("gatehouse.key is not there") && error.contains("put back"), "{error}");
    assert!(!place.key().exists(), "no new key was made");

    let write = |bytes: &[u8]| {
        fs::write(place.key(), bytes).unwrap();
        fs::set_permissions(place.key(), PermissionsExt::from_mode(0o600)).unwrap();
    };
    write(&[7; 32]);
    let error = place.open().unwrap_err().to_string();
    assert!(error.contains("is not the one"), "{error}");
    write(&kept);
    fs::set_permissions(place.key(), PermissionsExt::from_mode(0o644)).unwrap();
    assert!(matches!(place.open().unwrap_err(), StoreError::Key { .. }));
    write(&kept);
    assert_eq!(
        place.open().unwrap().integration_list().await.unwrap()[0].attributes.get("token"),
        Some(&AttributeValue::Secret(Secret::new("correct-horse-battery".into())))
    );
}

#[tokio::test]
async fn a_database_without_secrets_gets_a_new_key() {
    let place = Place::new();
    place.open().unwrap().close().await;
    fs::remove_file(place.key()).unwrap();
    let store = place.open().unwrap();
    store.kv_set(&id("hass"), KvSpace::Data, "a", Some(vec![1])).await.unwrap();
    store.close().await;
    assert_eq!(place.open().unwrap().kv_get(&id("hass"), KvSpace::Data, "a").await.unwrap(), Some(vec![1]));
}

#[tokio::test]
async fn refuses_a_newer_database_with_a_sentence() {
    let place = Place::new();
    place.open().unwrap().close().await;
    rusqlite::Connection::open(place.database()).unwrap().pragma_update(None, "user_version", 4_000).unwrap();
    let error = place.open().unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 4_000, .. }));
    assert!(error.to_string().contains("update Gatehouse"), "{error}");
}

#[tokio::test]
async fn refuses_a_damaged_database_with_a_sentence() {
    for content in [b"this is not a database, whatever its name says".repeat(100), vec![0xff; 8192]] {
        let place = Place::new();
        fs::write(place.database(), content).unwrap();
        let error = place.open().unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("move it away"), "{error}");
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nowhere/gatehouse.db");
    let error = Store::open(&path, Path::new("/dev/null"), QUICK).unwrap_err();
    assert!(error.to_string().contains("nowhere/gatehouse.db"), "{error}");
}

#[tokio::test]
async fn one_failing_write_does_not_undo_its_neighbours() {
    let place = Place::new();
    let store = place.open().unwrap();
    let raw = rusqlite::Connection::open(place.database()).unwrap();
    raw.execute_batch(
        "CREATE TRIGGER refuse BEFORE INSERT ON kv WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'refused'); END",
    )
    .unwrap();
    drop(raw);
    let hass = id("hass");
    let writes = ["a", "bad", "b", "bad", "c"].map(|key| store.kv_set(&hass, KvSpace::Data, key, Some(vec![1])));
    let outcomes = futures_util::future::join_all(writes).await;
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, false, true]);
    assert_eq!(store.kv_keys(&hass, KvSpace::Data, "").await.unwrap(), ["a", "b", "c"]);
}
