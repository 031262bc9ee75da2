//! Which file is in use for an id, what is kept of it across restarts, and when copies go.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use gatehouse_host::gateway::Hosting;
use gatehouse_host::plugin::Decision;
use gatehouse_host::reason::{Reason, ReasonCode};
use gatehouse_host::store::{Desired, IntegrationRow};
use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::ids::IntegrationId;

use super::elf::PluginFile;
use super::scene::{Scene, id};

fn house(version: &str) -> PluginFile {
    PluginFile::new("house", version)
}

fn integration(name: &str, integration_type: &str, last_good_sha256: Option<String>) -> IntegrationRow {
    IntegrationRow {
        id: IntegrationId::new(name).unwrap(),
        integration_type: id(integration_type),
        title: name.to_owned(),
        desired: Desired::On,
        hosting: Hosting::Isolated,
        unique_id: None,
        info_message: String::new(),
        created_at_ms: 0,
        attributes: AttributeValues::default(),
        last_good_sha256,
    }
}

#[tokio::test]
async fn of_two_files_with_one_id_the_higher_version_is_in_use() {
    let mut scene = Scene::new().await;
    scene.copy("a.so", &house("1.9.0"));
    assert_eq!(scene.next_use().await, "+house 1.9.0");
    scene.copy("b.so", &house("1.10.0"));
    assert_eq!(scene.next_use().await, "+house 1.10.0");
    let verdict = scene.verdict("a.so", ReasonCode::OlderVersion).await;
    assert_eq!(verdict.decision, Decision::Shadowed);
    for part in ["a.so", "1.9.0", "b.so", "1.10.0"] {
        assert!(verdict.reason.sentence.contains(part), "{}", verdict.reason);
    }
    scene.copy("c.so", &house("1.10.0-rc.1"));
    scene.verdict("c.so", ReasonCode::OlderVersion).await;
    fs::remove_file(scene.at("b.so")).unwrap();
    assert_eq!(scene.next_use().await, "+house 1.10.0-rc.1", "the next takes over");
    fs::remove_file(scene.at("c.so")).unwrap();
    assert_eq!(scene.next_use().await, "+house 1.9.0");
    fs::remove_file(scene.at("a.so")).unwrap();
    assert_eq!(scene.next_use().await, "-house file_gone");
}

#[tokio::test]
async fn a_file_that_was_refused_and_then_deleted_is_told_twice() {
    let mut scene = Scene::new().await;
    scene.copy("house.so", &house("1.0.0"));
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    fs::write(scene.at("house.so"), "no plugin").unwrap();
    assert_eq!(scene.next_use().await, "-house not_elf");
    fs::remove_file(scene.at("house.so")).unwrap();
    assert_eq!(scene.next_use().await, "-house file_gone");
    // Once; and a new one begins anew.
    scene.copy("house.so", &house("1.0.0"));
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    assert_eq!(scene.uses_so_far(), Vec::<String>::new());
}

#[tokio::test]
async fn of_two_equal_versions_the_one_in_use_stays() {
    let mut scene = Scene::new().await;
    scene.copy("m.so", &house("1.0.0"));
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    scene.copy("a.so", &house("1.0.0").salted("other"));
    let verdict = scene.verdict("a.so", ReasonCode::IdTaken).await;
    assert!(verdict.reason.sentence.contains("a.so") && verdict.reason.sentence.contains("m.so"), "{}", verdict.reason);
    scene.copy("z.so", &house("1.0.0"));
    let verdict = scene.verdict("z.so", ReasonCode::IdTaken).await;
    assert!(verdict.reason.sentence.contains("same content"), "{}", verdict.reason);
    assert_eq!(scene.catalog.plugin(&id("house")).unwrap().file_name(), "m.so");
    assert_eq!(scene.uses_so_far(), [] as [&str; 0]);

    // After a restart too, though another name comes first.
    let mut scene = scene.restart(|_| {}).await;
    assert_eq!(scene.catalog.plugin(&id("house")).unwrap().file_name(), "m.so");
    assert_eq!(scene.catalog.verdict("a.so").unwrap().reason.code, ReasonCode::IdTaken);
    fs::remove_file(scene.at("m.so")).unwrap();
    scene.accepted("a.so").await;
}

#[tokio::test]
async fn the_name_of_an_integration_of_another_type_is_taken() {
    let mut scene = Scene::new().await;
    scene.store.integration_save(integration("house-cabin", "house", None)).await.unwrap();
    scene.copy("cabin.so", &PluginFile::new("house-cabin", "1.0.0"));
    let verdict = scene.verdict("cabin.so", ReasonCode::IdTaken).await;
    assert_eq!(verdict.decision, Decision::Shadowed);
    assert!(verdict.reason.sentence.contains("integration"), "{}", verdict.reason);
    assert!(scene.catalog.plugin(&id("house-cabin")).is_none());
    scene.store.integration_delete(&IntegrationId::new("house-cabin").unwrap()).await.unwrap();
    assert_eq!(scene.next_use().await, "+house-cabin 1.0.0");
}

#[tokio::test]
async fn verdicts_survive_a_restart_with_their_time() {
    let mut scene = Scene::new().await;
    scene.copy("house.so", &house("1.0.0"));
    scene.accepted("house.so").await;
    scene.copy("house.so", &house("1.0.0").salted("rebuilt"));
    let changed = scene.verdict("house.so", ReasonCode::ContentChanged).await;
    fs::write(scene.at("broken.so"), b"no").unwrap();
    let broken = scene.verdict("broken.so", ReasonCode::NotElf).await;
    scene.copy("off.so", &PluginFile::new("off", "1.0.0"));
    scene.accepted("off.so").await;
    scene.copy("new.so", &PluginFile::new("new", "1.0.0"));
    scene.accepted("new.so").await;

    let scene = scene
        .restart(|home| {
            fs::remove_file(home.plugins_dir().join("off.so")).unwrap();
            fs::write(home.plugins_dir().join("new.so"), PluginFile::new("new", "1.1.0").bytes()).unwrap();
        })
        .await;
    assert_eq!(scene.catalog.verdict("house.so").unwrap(), changed, "unchanged, and since the same time");
    assert_eq!(scene.catalog.verdict("broken.so").unwrap(), broken);
    assert_eq!(scene.catalog.verdict("off.so").unwrap().decision, Decision::Gone, "it vanished while it was off");
    let new = scene.catalog.verdict("new.so").unwrap();
    assert_eq!(new.reason.code, ReasonCode::ContentChanged, "{}", new.reason);
    assert_eq!(scene.catalog.plugins().len(), 2);
}

#[tokio::test]
async fn open_resolves_when_every_file_has_its_verdict() {
    let scene = Scene::with(|home| {
        for number in 0..20 {
            let name = format!("p{number}");
            fs::write(home.plugins_dir().join(format!("{name}.so")), PluginFile::new(&name, "1.0.0").bytes()).unwrap();
        }
    })
    .await;
    assert_eq!(scene.catalog.plugins().len(), 20);
}

#[tokio::test]
async fn a_staged_copy_is_private_and_its_name_is_its_content() {
    let mut scene = Scene::new().await;
    scene.copy("house.so", &house("1.0.0+build.7"));
    scene.accepted("house.so").await;
    let plugin = scene.catalog.plugin(&id("house")).unwrap();
    let name = plugin.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(name, format!("house-1.0.0+build.7-{}.so", plugin.sha256()));
    assert_eq!(fs::metadata(plugin.path()).unwrap().permissions().mode() & 0o7777, 0o400);
    assert_eq!(fs::metadata(scene.home.staging_dir()).unwrap().permissions().mode() & 0o7777, 0o700);
    assert_eq!(fs::read(plugin.path()).unwrap(), house("1.0.0+build.7").bytes());
    // Writing over the dropped file in place does not reach it.
    fs::write(scene.at("house.so"), b"overwritten").unwrap();
    scene.verdict("house.so", ReasonCode::NotElf).await;
    assert_eq!(fs::read(plugin.path()).unwrap(), house("1.0.0+build.7").bytes());
}

#[tokio::test]
async fn copies_go_when_nobody_needs_them() {
    let mut scene = Scene::new().await;
    scene.copy("house.so", &house("1.0.0"));
    scene.accepted("house.so").await;
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    let running = scene.catalog.plugin(&id("house")).unwrap();
    scene.copy("house.so", &house("1.1.0"));
    assert_eq!(scene.next_use().await, "+house 1.1.0");
    scene.copy("house.so", &house("1.2.0"));
    assert_eq!(scene.next_use().await, "+house 1.2.0");
    scene.until("1.1.0 has gone", || scene.copies() == ["house-1.0.0", "house-1.2.0"]).await;
    let sha256 = running.sha256().to_owned();
    scene.catalog.release(&sha256).await;
    assert_eq!(scene.copies(), ["house-1.0.0", "house-1.2.0"], "somebody still holds it");
    drop(running);
    scene.catalog.release(&sha256).await;
    assert_eq!(scene.copies(), ["house-1.2.0"]);
    let in_use = scene.catalog.plugin(&id("house")).unwrap().sha256().to_owned();
    scene.catalog.release(&in_use).await;
    assert_eq!(scene.copies(), ["house-1.2.0"], "a file has that content");
}

#[tokio::test]
async fn a_start_sweeps_all_but_what_an_integration_goes_back_to() {
    let mut scene = Scene::new().await;
    scene.copy("house.so", &house("1.0.0"));
    scene.accepted("house.so").await;
    let good = scene.catalog.plugin(&id("house")).unwrap().sha256().to_owned();
    scene.store.integration_save(integration("house", "house", Some(good.clone()))).await.unwrap();
    let staging = scene.home.staging_dir();
    let scene = scene
        .restart(|home| {
            fs::write(home.plugins_dir().join("house.so"), house("2.0.0").bytes()).unwrap();
            fs::write(staging.join(format!("old-1.0.0-{}.so", "0".repeat(64))), b"old").unwrap();
            fs::write(staging.join(".incoming-1-1"), b"half").unwrap();
        })
        .await;
    scene.until("what nobody needs has gone", || scene.copies() == ["house-1.0.0", "house-2.0.0"]).await;
    let back = scene.catalog.generation(&good).await.unwrap();
    assert_eq!(back.manifest().version, "1.0.0");
    assert_eq!(back.sha256(), good);
    assert!(scene.catalog.generation(&"1".repeat(64)).await.is_none());
}

#[tokio::test]
async fn what_a_later_stage_reports_is_kept_and_the_next_file_takes_over() {
    let mut scene = Scene::new().await;
    scene.copy("a.so", &house("1.0.0"));
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    scene.copy("b.so", &house("2.0.0"));
    assert_eq!(scene.next_use().await, "+house 2.0.0");
    let plugin = scene.catalog.plugin(&id("house")).unwrap();
    let reason = Reason::new(ReasonCode::OpenFailed, "b.so does not open");
    scene.catalog.report(&plugin, reason.clone()).await;
    let verdict = scene.catalog.verdict("b.so").unwrap();
    assert_eq!((verdict.decision, &verdict.reason), (Decision::Refused, &reason));
    assert_eq!(verdict.manifest.as_ref().unwrap().version, "2.0.0");
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    let plugin = scene.catalog.plugin(&id("house")).unwrap();
    scene.catalog.report(&plugin, Reason::new(ReasonCode::LayoutMismatch, "a.so differs")).await;
    assert_eq!(scene.next_use().await, "-house layout_mismatch");
    // Written anew, it is tried anew.
    scene.copy("a.so", &house("1.0.0"));
    assert_eq!(scene.next_use().await, "+house 1.0.0");
}

#[tokio::test]
async fn a_staging_folder_that_cannot_be_written_is_told_and_tried_again() {
    let mut scene = Scene::with(|home| {
        // A file where the folder should be: keeps root out as well.
        fs::write(home.staging_dir(), b"in the way").unwrap();
    })
    .await;
    scene.copy("house.so", &house("1.0.0"));
    let verdict = scene.verdict("house.so", ReasonCode::StagingFailed).await;
    assert!(verdict.reason.sentence.contains("house.so"), "{}", verdict.reason);
    fs::remove_file(scene.home.staging_dir()).unwrap();
    assert_eq!(scene.next_use().await, "+house 1.0.0");
}

#[tokio::test]
async fn a_staging_folder_open_to_others_is_closed() {
    let mut scene = Scene::with(|home| {
        fs::create_dir(home.staging_dir()).unwrap();
        fs::set_permissions(home.staging_dir(), Permissions::from_mode(0o777)).unwrap();
    })
    .await;
    scene.copy("house.so", &house("1.0.0"));
    scene.accepted("house.so").await;
    assert_eq!(fs::metadata(scene.home.staging_dir()).unwrap().permissions().mode() & 0o7777, 0o700);
}
