//! A database whose file is damaged, at the start and while it is in use.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use gatehouse_host::store::{AuditEntry, AuditQuery, KvSpace, Store};
use gatehouse_plugin_api::ids::IntegrationId;

use super::{Place, house, id, integration, lamp, lamp_readings, verdict};
use gatehouse_host::plugin::Decision;
use gatehouse_plugin_api::value::Value;

const PAGE: u64 = 4096;
const KEPT_VALUES: usize = 120;
const READINGS: usize = 6_000;

fn key(n: usize) -> String {
    format!("key-{n:03}")
}

/// A database with something in every table that matters, some of them over many pages.
async fn filled(place: &Place) {
    let store = place.open().unwrap();
    for name in ["hass", "cabin"] {
        store.integration_save(integration(name)).await.unwrap();
    }
    store.verdict_save(verdict("broken.so", Decision::Refused)).await.unwrap();
    for n in 0..KEPT_VALUES {
        store.kv_set(&id("hass"), KvSpace::Data, &key(n), Some(vec![7; 200])).await.unwrap();
    }
    let entry = AuditEntry {
        at_ms: 1,
        uid: 0,
        user: None,
        via: "socket".into(),
        operation: "integration_pause".into(),
        target: "hass".into(),
        outcome: "done".into(),
    };
    for _ in 0..60 {
        store.audit_add(entry.clone(), 1_000).await.unwrap();
    }
    let house = house(&store).await;
    house.declare(&id("hass"), vec![lamp()]).await.unwrap();
    house.label_set(&"hass:lamp".parse().unwrap(), Some("Mine".into())).await.unwrap();
    let level = lamp_readings().pop().unwrap();
    for chunk in 0..READINGS / 1_000 {
        let readings = (0..1_000).map(|n| {
            let n = u32::try_from(chunk * 1_000 + n).unwrap();
            let mut reading = level.clone();
            (reading.value, reading.at_ms) = (Value::Number(f64::from(n)), Some(1_600_000_000_000 + i64::from(n)));
            reading
        });
        house.emit_durable(&id("hass"), readings.collect()).await.unwrap();
    }
    store.keep().await.unwrap();
    store.close().await;
}

fn kept(place: &Place) -> PathBuf {
    place.folder().join("gatehouse.db.kept")
}

fn copy_of(place: &Place) -> Place {
    let copy = Place::new();
    fs::copy(place.database(), copy.database()).unwrap();
    fs::copy(place.key(), copy.key()).unwrap();
    fs::copy(kept(place), kept(&copy)).unwrap();
    copy
}

fn overwrite(place: &Place, page: u64, with: u8) {
    let file = fs::OpenOptions::new().write(true).open(place.database()).unwrap();
    file.write_all_at(&vec![with; usize::try_from(PAGE).unwrap()], (page - 1) * PAGE).unwrap();
}

fn pages(place: &Place) -> u64 {
    fs::metadata(place.database()).unwrap().len() / PAGE
}

fn damaged_files(place: &Place) -> Vec<PathBuf> {
    let names = fs::read_dir(place.folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = names.filter(|name| name.to_string_lossy().contains("gatehouse.db.damaged-")).collect();
    names.sort_unstable();
    names
}

/// How much is there: integrations, kept values, audit entries, readings of the lamp's level.
async fn inventory(store: &Store) -> [usize; 4] {
    let house = house(store).await;
    let level = house.history(&"hass:lamp/level".parse().unwrap(), 0, i64::MAX, 100_000).await;
    [
        store.integration_list().await.unwrap().len(),
        store.kv_keys(&id("hass"), KvSpace::Data, "").await.unwrap().len(),
        store.audit_list(AuditQuery { limit: 1_000, ..AuditQuery::default() }).await.unwrap().len(),
        level.map_or(0, |page| page.rows.len()),
    ]
}

/// Damages one page of a copy and has it left behind; what there is then, `None` when the page was of no use.
async fn after_damage(sound: &Place, page: u64, with_copy: bool) -> Option<[usize; 4]> {
    let place = copy_of(sound);
    if !with_copy {
        fs::remove_file(kept(&place)).unwrap();
    }
    overwrite(&place, page, if page.is_multiple_of(2) { 0xff } else { 0 });
    let store = place.open().unwrap_or_else(|error| panic!("page {page}: {error}"));
    store.look().await.unwrap_or_else(|error| panic!("page {page}: {error}"));
    let rescue = store.rescue()?;
    let left = inventory(&store).await;
    let sentence = rescue.to_string();
    let old = damaged_files(&place).into_iter().next().expect("the damaged file is kept");
    assert!(sentence.contains(&*old.to_string_lossy()) && sentence.contains("readings"), "{sentence}");
    let files: Vec<_> = fs::read_dir(place.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(files.iter().all(|name| !name.to_string_lossy().contains("mended")), "{files:?}");
    // It is a database like any other.
    store.kv_set(&id("cabin"), KvSpace::Secrets, "after", Some(vec![1])).await.unwrap();
    store.look().await.unwrap();
    store.close().await;
    let store = place.open().unwrap();
    assert_eq!(inventory(&store).await, left, "page {page}");
    assert_eq!(store.kv_get(&id("cabin"), KvSpace::Secrets, "after").await.unwrap(), Some(vec![1]));
    assert_eq!(store.rescue(), Some(rescue), "it is told as long as the damaged file is there");
    fs::remove_file(&old).unwrap();
    assert_eq!(store.rescue(), None);
    store.close().await;
    Some(left)
}

#[tokio::test]
async fn whatever_page_is_damaged_the_rest_goes_on_in_a_new_database() {
    let sound = Place::new();
    filled(&sound).await;
    let whole = inventory(&sound.open().unwrap()).await;
    assert_eq!(whole, [2, KEPT_VALUES, 60, READINGS]);
    // The first pages hold the schema and the roots of the tables: each is tried. Of the others some.
    let tried: BTreeSet<u64> = (1..=30).chain((31..=pages(&sound)).step_by(6)).collect();
    let (mut found, mut without_history) = (0, 0);
    for page in tried.iter().copied() {
        let Some([integrations, values, audit, readings]) = after_damage(&sound, page, true).await else { continue };
        found += 1;
        assert_eq!([integrations, values, audit], whole[..3], "page {page}");
        without_history += usize::from(readings == 0);
    }
    assert!(found * 2 > tried.len(), "{found} of {} damages were found", tried.len());
    assert!(without_history <= 1, "one page alone, the root of the history, is without another way to it");
}

#[tokio::test]
async fn without_a_copy_of_before_what_the_pages_tell_is_saved() {
    let sound = Place::new();
    filled(&sound).await;
    let whole = inventory(&sound.open().unwrap()).await;
    let mut some_of_the_values = 0;
    for page in (2..=pages(&sound)).step_by(3) {
        let Some(left) = after_damage(&sound, page, false).await else { continue };
        some_of_the_values += usize::from((1..whole[1]).contains(&left[1]));
    }
    assert!(some_of_the_values > 0, "a damaged page of values costs those on it");
}

#[tokio::test]
async fn what_is_no_database_is_put_aside_and_kept() {
    for content in [b"this is not a database, whatever its name says".repeat(100), vec![0xff; 8192]] {
        let place = Place::new();
        fs::write(place.database(), &content).unwrap();
        let store = place.open().unwrap();
        let sentence = store.rescue().expect("told").to_string();
        assert!(sentence.contains("0 integrations") && sentence.contains("delete it when"), "{sentence}");
        assert_eq!(fs::read(&damaged_files(&place)[0]).unwrap(), content);
        store.integration_save(integration("hass")).await.unwrap();
        store.close().await;
        assert_eq!(place.open().unwrap().integration_list().await.unwrap(), [integration("hass")]);
    }
}

#[tokio::test]
async fn a_database_destroyed_in_use_keeps_what_the_house_knows_and_what_comes() {
    let place = Place::new();
    filled(&place).await;
    let store = place.open().unwrap();
    let house = house(&store).await;
    for page in 1..=pages(&place) {
        overwrite(&place, page, 0xee);
    }
    store.look().await.unwrap();
    assert!(store.rescue().is_some() && store.damage().is_none());
    // Nobody who has an entity notices: its readings are kept, and it is there at the next start.
    let mut more = lamp_readings();
    more.truncate(1);
    house.emit_durable(&id("hass"), more).await.unwrap();
    store.close().await;
    let store = place.open().unwrap();
    let reopened = super::house(&store).await;
    let entity = reopened.entity(&"hass:lamp".parse().unwrap()).expect("the house knew it");
    assert_eq!((&entity.declaration, entity.person_label.as_deref()), (&lamp(), Some("Mine")));
    let history = reopened.history(&"hass:lamp/power".parse().unwrap(), 0, i64::MAX, 10).await.unwrap();
    assert_eq!(history.rows.len(), 1);
    assert_eq!(reopened.live_state(&"hass:lamp/level".parse().unwrap()).unwrap().value.to_string(), "5999");
}

#[tokio::test]
async fn damage_that_a_read_or_a_write_meets_is_left_behind_and_both_succeed() {
    for reads in [true, false] {
        let place = Place::new();
        filled(&place).await;
        let before = pages(&place);
        // Nothing of it is in memory yet.
        let store = place.open().unwrap();
        for page in 2..=before {
            overwrite(&place, page, 0xee);
        }
        if reads {
            store.verdict_list().await.unwrap();
        } else {
            let hass: IntegrationId = id("hass");
            store.kv_set(&hass, KvSpace::Data, &key(3), Some(vec![1])).await.unwrap();
            assert_eq!(store.kv_get(&hass, KvSpace::Data, &key(3)).await.unwrap(), Some(vec![1]));
        }
        assert!(store.rescue().is_some(), "reads: {reads}");
    }
}

#[tokio::test]
async fn a_death_in_the_midst_of_it_is_finished_by_the_next_start() {
    let place = Place::new();
    filled(&place).await;
    overwrite(&place, pages(&place), 0xff);
    let store = place.open().unwrap();
    store.look().await.unwrap();
    let rescue = store.rescue().expect("damaged");
    let left = inventory(&store).await;
    store.close().await;
    // As it is right after the decision, and with one of the two files moved.
    let saved = place.folder().join("gatehouse.db.saved");
    for moved in [false, true] {
        fs::rename(place.database(), &saved).unwrap();
        if !moved {
            fs::rename(&rescue.old, place.database()).unwrap();
        }
        fs::write(place.folder().join("gatehouse.db.saved.part"), "of an attempt before").unwrap();
        let store = place.open().unwrap();
        assert_eq!(inventory(&store).await, left);
        assert_eq!(store.rescue().as_ref(), Some(&rescue));
        assert!(rescue.old.exists() && !saved.exists());
        store.close().await;
    }
}

#[tokio::test]
async fn only_the_newest_damaged_databases_are_kept() {
    let place = Place::new();
    for day in 1..=4 {
        for part in ["", "-wal"] {
            fs::write(place.folder().join(format!("gatehouse.db.damaged-2001010{day}-000000{part}")), "old").unwrap();
        }
    }
    fs::write(place.database(), "no database").unwrap();
    let store = place.open().unwrap();
    let kept = damaged_files(&place);
    let names: Vec<_> = kept.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(
        names[..4],
        ["3-000000", "3-000000-wal", "4-000000", "4-000000-wal"]
            .map(|end| format!("gatehouse.db.damaged-2001010{end}"))
    );
    assert_eq!(kept.last(), Some(&store.rescue().expect("told").old));
}

#[tokio::test]
async fn what_cannot_be_left_behind_is_told_and_served_as_far_as_it_goes() {
    let place = Place::new();
    filled(&place).await;
    overwrite(&place, pages(&place), 0xff);
    // Where the new one would be made there is something that is not deleted.
    fs::create_dir_all(place.folder().join("gatehouse.db.saved.part/in-the-way")).unwrap();
    let store = place.open().unwrap();
    let error = store.look().await.unwrap_err().to_string();
    assert!(error.contains("is damaged") && error.contains("tried again"), "{error}");
    assert!(store.damage().expect("told").contains("saving what can be read of it"));
    assert_eq!(store.integration_list().await.unwrap().len(), 2, "what can be read is read");
    assert!(damaged_files(&place).is_empty());
}
