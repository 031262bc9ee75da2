//! The shadow of an integration's data: what a switch keeps in it, what going back makes of it.

use std::time::Duration;

use gatehouse_plugin_api::ids::IntegrationType;

use super::*;
use crate::gateway::Hosting;
use crate::store::{CommitPolicy, Desired, IntegrationRow};

fn id(name: &str) -> IntegrationId {
    IntegrationId::new(name).expect("a name")
}

fn settings(url: &str, token: &str) -> AttributeValues {
    AttributeValues::default().with("url", url).with_secret("token", token)
}

fn row(name: &str, attributes: AttributeValues) -> IntegrationRow {
    IntegrationRow {
        id: id(name),
        integration_type: IntegrationType::new("hass").expect("a name"),
        title: "Home".into(),
        desired: Desired::On,
        hosting: Hosting::Isolated,
        unique_id: None,
        info_message: String::new(),
        created_at_ms: 1,
        attributes,
        last_good_sha256: Some("old".into()),
    }
}

fn generation(sha256: &str) -> GenerationRow {
    GenerationRow { sha256: sha256.into(), version: "1.0.0".into() }
}

fn on_trial() -> UpgradeRow {
    let trial = Trial { from: generation("old"), to: generation("new"), until_ms: 5 };
    UpgradeRow {
        granted: Some(vec![Capability::Device { path: "/dev/ttyUSB0".into() }]),
        pin: None,
        trial: Some(trial),
    }
}

fn gone_back() -> UpgradeRow {
    let (to, failed) = (generation("old"), Some(generation("new")));
    UpgradeRow { pin: Some(Pin { to, failed, why: "it failed".into(), since_ms: 7 }), ..UpgradeRow::default() }
}

/// A database with two integrations of the same data; the second is there to stay as it is.
struct Scene {
    store: Store,
    folder: tempfile::TempDir,
}

const KEPT: [(KvSpace, &str, &[u8]); 3] =
    [(KvSpace::Data, "mark", b"old"), (KvSpace::Data, "gone", b"old"), (KvSpace::Secrets, "session", b"old")];

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let policy = CommitPolicy { every: Duration::from_millis(1), rows: 100, full_durability: false };
        let store =
            Store::open(&folder.path().join("gatehouse.db"), &folder.path().join("key"), policy).expect("opens");
        for name in ["mine", "other"] {
            store.integration_save(row(name, settings("http://old", "hunter2"))).await.expect("saved");
            for (space, key, value) in KEPT {
                store.kv_set(&id(name), space, key, Some(value.to_vec())).await.expect("kept");
            }
        }
        Self { store, folder }
    }

    /// Its settings.
    async fn settings(&self, name: &str) -> AttributeValues {
        self.row(name).await.attributes
    }

    async fn row(&self, name: &str) -> IntegrationRow {
        let rows = self.store.integration_list().await.expect("read");
        rows.into_iter().find(|row| row.id == id(name)).expect("it is there")
    }

    /// Its good generation, then all that it keeps.
    async fn kept(&self, name: &str) -> Vec<String> {
        let mut all = vec![self.row(name).await.last_good_sha256.unwrap_or_default()];
        for space in [KvSpace::Data, KvSpace::Secrets] {
            let mut keys = self.store.kv_keys(&id(name), space, "").await.expect("read");
            keys.sort_unstable();
            for key in keys {
                let value = self.store.kv_get(&id(name), space, &key).await.expect("read").expect("it is there");
                all.push(format!("{key}={}", String::from_utf8(value).expect("text")));
            }
        }
        all
    }

    fn shadow_rows(&self) -> i64 {
        let raw = Connection::open(self.folder.path().join("gatehouse.db")).expect("opens");
        let count = "SELECT (SELECT count(*) FROM shadow_kv) + (SELECT count(*) FROM shadow_attributes)";
        raw.query_row(count, [], |row| row.get(0)).expect("counted")
    }

    async fn switch(&self) {
        let written = vec![
            (KvSpace::Data, "mark".to_owned(), Some(b"new".to_vec())),
            (KvSpace::Data, "gone".to_owned(), None),
            (KvSpace::Secrets, "more".to_owned(), Some(b"new".to_vec())),
        ];
        self.store.upgrade_switch(&id("mine"), on_trial(), written).await.expect("switched");
    }
}

#[tokio::test]
async fn a_switch_puts_what_the_new_one_wrote_in_force_and_the_shadow_has_what_was() {
    let scene = Scene::new().await;
    let others = scene.kept("other").await;
    scene.store.shadow_copy(&id("mine")).await.expect("copied");
    // After the copy that was made ahead: the switch brings the shadow up to date.
    scene.store.kv_set(&id("mine"), KvSpace::Data, "late", Some(b"old".to_vec())).await.expect("kept");
    scene.store.kv_set(&id("mine"), KvSpace::Data, "gone", Some(b"older".to_vec())).await.expect("kept");
    scene.switch().await;
    assert_eq!(scene.kept("mine").await, ["new", "late=old", "mark=new", "more=new", "session=old"]);
    assert_eq!(scene.settings("mine").await, settings("http://old", "hunter2"));
    assert_eq!(scene.shadow_rows(), 2 + 4);
    assert_eq!(scene.store.upgrade_get(&id("mine")).await.expect("read"), on_trial());

    let values = scene.store.upgrade_undo(&id("mine"), generation("old"), gone_back()).await.expect("undone");
    assert_eq!(values, settings("http://old", "hunter2"));
    assert_eq!(scene.kept("mine").await, ["old", "gone=older", "late=old", "mark=old", "session=old"]);
    assert_eq!(scene.shadow_rows(), 0);
    assert_eq!(scene.store.upgrade_get(&id("mine")).await.expect("read"), gone_back());
    assert_eq!(scene.kept("other").await, others);
}

#[tokio::test]
async fn going_back_brings_settings_and_secrets_of_before_the_trial() {
    let scene = Scene::new().await;
    scene.switch().await;
    scene.store.integration_save(row("mine", settings("http://new", "swordfish"))).await.expect("saved");
    let values = scene.store.upgrade_undo(&id("mine"), generation("old"), gone_back()).await.expect("undone");
    assert_eq!(values, settings("http://old", "hunter2"));
    assert_eq!(scene.settings("mine").await, settings("http://old", "hunter2"));
}

#[tokio::test]
async fn a_trial_that_is_over_leaves_no_shadow_and_what_the_new_one_wrote() {
    let scene = Scene::new().await;
    scene.switch().await;
    let over = UpgradeRow { trial: None, ..on_trial() };
    scene.store.upgrade_save(&id("mine"), over.clone()).await.expect("saved");
    assert_eq!(scene.shadow_rows(), 0);
    assert_eq!(scene.kept("mine").await, ["new", "mark=new", "more=new", "session=old"]);
    assert_eq!(scene.store.upgrade_list().await.expect("read"), [over]);
}

#[tokio::test]
async fn a_switch_that_cannot_be_written_changes_nothing() {
    let scene = Scene::new().await;
    let before = scene.kept("mine").await;
    let raw = Connection::open(scene.folder.path().join("gatehouse.db")).expect("opens");
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON upgrades BEGIN SELECT RAISE(ABORT, 'no'); END";
    raw.execute_batch(refuse).expect("made");
    let written = vec![(KvSpace::Data, "mark".to_owned(), Some(b"new".to_vec()))];
    let failed = scene.store.upgrade_switch(&id("mine"), on_trial(), written).await;
    assert!(failed.is_err());
    assert_eq!((scene.kept("mine").await, scene.shadow_rows()), (before, 0));
    assert_eq!(scene.store.upgrade_get(&id("mine")).await.expect("read"), UpgradeRow::default());
}
