//! The database as other rooms and a person meet it.

mod damaged;
mod schemas;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatehouse_host::clock::Clock;
use gatehouse_host::entity::{House, ReadingLimits};
use gatehouse_host::gateway::Hosting;
use gatehouse_host::plugin::{Decision, Verdict};
use gatehouse_host::reason::{Reason, ReasonCode};
use gatehouse_host::store::{CommitPolicy, Desired, IntegrationRow, KvSpace, Store, StoreError};
use gatehouse_plugin_api::attribute::{AttributeValue, AttributeValues, PlainValue};
use gatehouse_plugin_api::ids::{EntityName, IntegrationId, IntegrationType, StateName};
use gatehouse_plugin_api::message::{EntityDeclaration, Reading, StateDeclaration};
use gatehouse_plugin_api::secret::Secret;
use gatehouse_plugin_api::value::{StateKind, Value};

pub(crate) const QUICK: CommitPolicy =
    CommitPolicy { every: Duration::from_millis(20), rows: 5_000, full_durability: false };

/// A folder for a database and its key.
pub(crate) struct Place {
    folder: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { folder: dir.path().to_owned(), _temporary: Some(dir) }
    }

    /// One that somebody else made and deletes.
    pub(crate) fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), _temporary: None }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join("gatehouse.db")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("gatehouse.key")
    }

    pub(crate) fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.database(), &self.key(), QUICK)
    }

    fn bytes_of_all_files(&self) -> Vec<u8> {
        fs::read_dir(&self.folder).unwrap().flat_map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
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
    let before = fs::read(place.database()).unwrap();
    let error = place.open().unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 4_000, .. }));
    assert!(error.to_string().contains("update Gatehouse"), "{error}");
    assert!(fs::read(place.database()).unwrap() == before, "the database is untouched");
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

/// The folder of fixtures: `schema-N.db` with `schema-N.key`, one pair per released schema.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// With this variable set the test below writes the present schema's fixture, which is done once per new schema.
const WRITE_FIXTURE: &str = "GATEHOUSE_WRITE_SCHEMA_FIXTURE";

fn lamp() -> EntityDeclaration {
    let state = |name: &str, kind| StateDeclaration {
        name: StateName::new(name).unwrap(),
        label: "Label".into(),
        kind,
        sensed: true,
        controllable: true,
    };
    EntityDeclaration {
        name: EntityName::new("Lamp").unwrap(),
        label: "A lamp".into(),
        entity_type: "light".into(),
        states: vec![state("power", StateKind::OnOff), state("level", StateKind::number("%"))],
        previous_name: None,
    }
}

fn lamp_readings() -> Vec<Reading> {
    let reading = |state: &str, value, at_ms| Reading {
        entity: EntityName::new("lamp").unwrap(),
        state: StateName::new(state).unwrap(),
        value,
        at_ms: Some(at_ms),
    };
    vec![
        reading("power", Value::OnOff(true), 1_700_000_000_000),
        reading("level", Value::Number(40.5), 1_700_000_000_001),
        reading("level", Value::Number(41.5), 1_700_000_000_001),
    ]
}

async fn house(store: &Store) -> House {
    let limits = ReadingLimits { queue_rows: 1_000, subscriber_rows: 1_000 };
    House::open(store.clone(), Clock::manual(1_700_000_000_005).0, limits).await.unwrap()
}

async fn write_fixture(to: &str) {
    let place = Place::new();
    let store = place.open().unwrap();
    store.integration_save(integration("hass")).await.unwrap();
    store.verdict_save(verdict("broken.so", Decision::Refused)).await.unwrap();
    store.kv_set(&id("hass"), KvSpace::Secrets, "refresh", Some(b"kept".to_vec())).await.unwrap();
    let house = house(&store).await;
    house.declare(&id("hass"), vec![lamp()]).await.unwrap();
    house.emit_durable(&id("hass"), lamp_readings()).await.unwrap();
    house.label_set(&"hass:lamp".parse().unwrap(), Some("Mine".into())).await.unwrap();
    store.close().await;
    fs::copy(place.database(), fixtures().join(format!("{to}.db"))).unwrap();
    fs::copy(place.key(), fixtures().join(format!("{to}.key"))).unwrap();
}

#[tokio::test]
async fn every_released_schema_is_migrated_with_all_that_it_holds() {
    if let Ok(to) = std::env::var(WRITE_FIXTURE) {
        write_fixture(&to).await;
    }
    let mut seen = 0;
    for entry in fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "db") {
            continue;
        }
        seen += 1;
        let place = Place::new();
        fs::copy(&path, place.database()).unwrap();
        fs::copy(path.with_extension("key"), place.key()).unwrap();
        fs::set_permissions(place.key(), PermissionsExt::from_mode(0o600)).unwrap();
        let store = place.open().unwrap();
        assert_eq!(store.integration_list().await.unwrap(), [integration("hass")]);
        assert_eq!(store.verdict_list().await.unwrap(), [verdict("broken.so", Decision::Refused)]);
        assert_eq!(store.kv_get(&id("hass"), KvSpace::Secrets, "refresh").await.unwrap().unwrap(), b"kept");
        let house = house(&store).await;
        let entity = house.entity(&"hass:lamp".parse().unwrap()).unwrap();
        assert_eq!((&entity.declaration, entity.person_label.as_deref()), (&lamp(), Some("Mine")));
        let history = house.history(&"hass:lamp/level".parse().unwrap(), 0, i64::MAX, 10).await.unwrap().rows;
        assert_eq!(history.iter().map(|row| row.value.to_string()).collect::<Vec<_>>(), ["40.5", "41.5"]);
        let power = house.live_state(&"hass:lamp/power".parse().unwrap()).unwrap();
        assert_eq!((&power.value, power.changed_at_ms), (&Value::OnOff(true), 1_700_000_000_000));
        store.close().await;
    }
    assert!(seen >= 1, "the fixtures are there");
}
