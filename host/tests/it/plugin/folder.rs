//! Files that come into the folder, change and go, in all the ways in which people and programs do that.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use gatehouse_host::plugin::Decision;
use gatehouse_host::reason::ReasonCode;

use super::elf::PluginFile;
use super::scene::{Scene, id};

fn house(version: &str) -> PluginFile {
    PluginFile::new("house", version)
}

#[tokio::test]
async fn a_copied_file_becomes_available() {
    let mut scene = Scene::new().await;
    scene.copy("libhouse.so", &house("1.0.0"));
    let verdict = scene.verdict("libhouse.so", ReasonCode::Accepted).await;
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    let plugin = scene.catalog.plugin(&id("house")).unwrap();
    assert_eq!(plugin.file_name(), "libhouse.so");
    assert_eq!(Some(plugin.sha256()), verdict.sha256.as_deref());
    assert_eq!(scene.catalog.verdict("house").unwrap(), verdict, "an id names its file");
    assert!(scene.catalog.verdict("nobody").is_none());
}

#[tokio::test]
async fn who_asks_right_after_a_copy_hears_of_it() {
    let scene = Scene::new().await;
    scene.copy("libhouse.so", &house("1.0.0"));
    fs::write(scene.at("broken.so"), "not a plugin").unwrap();
    scene.catalog.settle().await;
    assert_eq!(scene.catalog.verdict("house").unwrap().decision, Decision::Accepted);
    assert_eq!(scene.catalog.verdict("broken.so").unwrap().reason.code, ReasonCode::NotElf);
    fs::remove_file(scene.at("libhouse.so")).unwrap();
    scene.catalog.settle().await;
    assert!(scene.catalog.plugin(&id("house")).is_none());
}

#[tokio::test]
async fn a_file_renamed_into_place_becomes_available() {
    let mut scene = Scene::new().await;
    for temporary in [".libhouse.so.A1b2C3", "libhouse.so.part", "libhouse.so~", "libhouse.so.tmp", "#libhouse.so#"] {
        fs::write(scene.at(temporary), b"half of a pl").unwrap();
    }
    fs::write(scene.at("README.txt"), b"notes").unwrap();
    fs::write(scene.at(".libhouse.so.A1b2C3"), house("1.0.0").bytes()).unwrap();
    fs::rename(scene.at(".libhouse.so.A1b2C3"), scene.at("libhouse.so")).unwrap();
    scene.accepted("libhouse.so").await;
    assert_eq!(scene.catalog.verdicts().len(), 1, "temporary files and notes get no verdict");
}

#[tokio::test]
async fn a_half_written_file_is_waited_for() {
    let mut scene = Scene::new().await;
    let bytes = house("1.0.0").bytes();
    let mut file = File::create(scene.at("slow.so")).unwrap();
    for part in bytes.chunks(bytes.len() / 8) {
        file.write_all(part).unwrap();
        // Another file's verdict after each part: time has passed, and there were looks at the folder.
        let name = format!("between-{}.so", file.metadata().unwrap().len());
        fs::write(scene.at(&name), b"no plugin").unwrap();
        scene.verdict(&name, ReasonCode::NotElf).await;
        if file.metadata().unwrap().len() < bytes.len() as u64 {
            let verdict = scene.catalog.verdict("slow.so");
            assert!(verdict.is_none_or(|v| v.decision == Decision::Refused), "never in use by half");
        }
    }
    drop(file);
    scene.accepted("slow.so").await;
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    assert_eq!(scene.uses_so_far(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_writer_that_closes_after_each_part_gets_no_verdict_in_between() {
    let mut scene = Scene::new().await;
    let bytes = house("1.0.0").bytes();
    for part in bytes.chunks(64) {
        File::options().create(true).append(true).open(scene.at("parts.so")).unwrap().write_all(part).unwrap();
    }
    scene.accepted("parts.so").await;
    while let Ok(change) = scene.changes.try_recv() {
        if let gatehouse_host::plugin::PluginChange::Verdict(verdict) = change {
            assert_eq!(verdict.decision, Decision::Accepted, "{}", verdict.reason);
        }
    }
}

#[tokio::test]
async fn a_rename_keeps_the_generation_in_use() {
    let mut scene = Scene::new().await;
    scene.copy("old.so", &house("1.0.0"));
    scene.accepted("old.so").await;
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    fs::rename(scene.at("old.so"), scene.at("new.so")).unwrap();
    let verdict = scene.verdict("old.so", ReasonCode::FileGone).await;
    assert_eq!(verdict.reason.sentence, "old.so was renamed to new.so");
    let verdict = scene.accepted("new.so").await;
    assert_eq!(verdict.reason.code, ReasonCode::Accepted);
    assert_eq!(scene.uses_so_far(), [] as [&str; 0], "nothing is restarted");
    assert_eq!(scene.catalog.plugin(&id("house")).unwrap().file_name(), "new.so");
}

#[tokio::test]
async fn a_replaced_file_is_a_new_generation_of_the_same_version_too() {
    let mut scene = Scene::new().await;
    scene.copy("house.so", &house("1.0.0"));
    scene.accepted("house.so").await;
    scene.next_use().await;
    let first = scene.catalog.plugin(&id("house")).unwrap();

    // In place, as cp does.
    scene.copy("house.so", &house("1.0.0").salted("rebuilt"));
    let verdict = scene.verdict("house.so", ReasonCode::ContentChanged).await;
    assert!(verdict.reason.sentence.contains("same version"), "{}", verdict.reason);
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    let second = scene.catalog.plugin(&id("house")).unwrap();
    assert_ne!(first.sha256(), second.sha256());
    assert_eq!(fs::read(first.path()).unwrap(), house("1.0.0").bytes(), "the old copy is untouched and still there");

    // By deleting and making it again, as install and linkers do: no end in between.
    fs::remove_file(scene.at("house.so")).unwrap();
    scene.copy("house.so", &house("1.1.0"));
    assert_eq!(scene.next_use().await, "+house 1.1.0");
    let verdict = scene.accepted("house.so").await;
    assert!(verdict.reason.sentence.contains("1.1.0 in place of 1.0.0"), "{}", verdict.reason);
}

#[tokio::test]
async fn a_file_touched_or_written_with_the_same_content_changes_nothing() {
    let mut scene = Scene::new().await;
    scene.copy("house.so", &house("1.0.0"));
    let verdict = scene.accepted("house.so").await;
    scene.next_use().await;
    let generation = scene.catalog.plugin(&id("house")).unwrap();
    scene.copy("house.so", &house("1.0.0"));
    fs::set_permissions(scene.at("house.so"), Permissions::from_mode(0o755)).unwrap();
    scene.copy("later.so", &PluginFile::new("later", "1.0.0"));
    assert_eq!(scene.next_use().await, "+later 1.0.0", "and nothing before it");
    assert_eq!(scene.catalog.verdict("house.so").unwrap(), verdict);
    assert_eq!(scene.catalog.plugin(&id("house")).unwrap().path(), generation.path());
}

#[tokio::test]
async fn a_deleted_file_is_gone_and_may_come_back() {
    let mut scene = Scene::new().await;
    scene.copy("house.so", &house("1.0.0"));
    scene.accepted("house.so").await;
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    fs::remove_file(scene.at("house.so")).unwrap();
    assert_eq!(scene.next_use().await, "-house file_gone");
    let verdict = scene.verdict("house.so", ReasonCode::FileGone).await;
    assert_eq!(verdict.decision, Decision::Gone);
    assert_eq!(verdict.manifest.as_ref().unwrap().version, "1.0.0", "what it was is remembered");
    assert!(scene.catalog.plugin(&id("house")).is_none());
    assert_eq!(scene.catalog.verdict("house").unwrap().file_name, "house.so");
    scene.copy("house.so", &house("1.0.0"));
    assert_eq!(scene.next_use().await, "+house 1.0.0");
}

#[tokio::test]
async fn a_file_replaced_by_a_broken_one_is_unavailable_for_that_reason() {
    let mut scene = Scene::new().await;
    scene.copy("house.so", &house("1.0.0"));
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    fs::write(scene.at("house.so"), b"no plugin").unwrap();
    assert_eq!(scene.next_use().await, "-house not_elf");
    scene.copy("house.so", &house("1.0.1"));
    assert_eq!(scene.next_use().await, "+house 1.0.1");
    scene.copy("house.so", &PluginFile::new("garden", "1.0.0"));
    assert_eq!(scene.next_use().await, "-house file_gone");
    assert_eq!(scene.next_use().await, "+garden 1.0.0");
}

#[tokio::test]
async fn the_folder_may_vanish_and_return() {
    let mut scene = Scene::new().await;
    scene.copy("house.so", &house("1.0.0"));
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    let away = scene.outside("away");
    fs::rename(scene.home.plugins_dir(), &away).unwrap();
    assert_eq!(scene.next_use().await, "-house file_gone");
    fs::rename(&away, scene.home.plugins_dir()).unwrap();
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    // The new folder is watched as the old one was.
    fs::remove_dir_all(scene.home.plugins_dir()).unwrap();
    assert_eq!(scene.next_use().await, "-house file_gone");
    fs::create_dir(scene.home.plugins_dir()).unwrap();
    scene.copy("garden.so", &PluginFile::new("garden", "2.0.0"));
    assert_eq!(scene.next_use().await, "+garden 2.0.0");
}

#[tokio::test]
async fn a_link_is_followed_and_what_it_leads_to_is_watched() {
    let mut scene = Scene::new().await;
    let build = scene.outside("release");
    fs::create_dir(&build).unwrap();
    let built = build.join("libhouse.so");
    fs::write(&built, house("1.0.0").bytes()).unwrap();
    symlink(&built, scene.at("house.so")).unwrap();
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    fs::write(&built, house("1.0.1").bytes()).unwrap();
    assert_eq!(scene.next_use().await, "+house 1.0.1");
    fs::remove_file(&built).unwrap();
    assert_eq!(scene.next_use().await, "-house broken_link");
    fs::write(&built, house("1.0.2").bytes()).unwrap();
    assert_eq!(scene.next_use().await, "+house 1.0.2");
}

#[tokio::test]
async fn folders_and_loops_in_the_folder_have_verdicts() {
    let mut scene = Scene::new().await;
    fs::create_dir(scene.at("folder.so")).unwrap();
    symlink("loop.so", scene.at("loop.so")).unwrap();
    fs::write(scene.at("empty.so"), b"").unwrap();
    scene.verdict("folder.so", ReasonCode::NotAFile).await;
    scene.verdict("loop.so", ReasonCode::BrokenLink).await;
    scene.verdict("empty.so", ReasonCode::EmptyFile).await;
}

#[tokio::test]
async fn a_file_or_folder_that_others_may_write_is_refused_until_that_is_mended() {
    let mut scene = Scene::new().await;
    scene.copy("house.so", &house("1.0.0"));
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    fs::set_permissions(scene.at("house.so"), Permissions::from_mode(0o666)).unwrap();
    assert_eq!(scene.next_use().await, "-house writable_by_all");
    fs::set_permissions(scene.at("house.so"), Permissions::from_mode(0o644)).unwrap();
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    fs::set_permissions(scene.home.plugins_dir(), Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(scene.next_use().await, "-house writable_by_all");
    let verdict = scene.catalog.verdict("house.so").unwrap();
    assert!(verdict.reason.sentence.contains(&*scene.home.plugins_dir().to_string_lossy()), "{}", verdict.reason);
    fs::set_permissions(scene.home.plugins_dir(), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(scene.next_use().await, "+house 1.0.0");
}

#[tokio::test]
async fn a_file_of_somebody_else_is_refused() {
    // Only root can give a file away; the rule itself is tested beside its code.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut scene = Scene::new().await;
    scene.copy("house.so", &house("1.0.0"));
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    chown(scene.at("house.so"), Some(12345), None).unwrap();
    assert_eq!(scene.next_use().await, "-house foreign_owner");
    let verdict = scene.verdict("house.so", ReasonCode::ForeignOwner).await;
    assert!(verdict.reason.sentence.contains("user 12345"), "{}", verdict.reason);
}

#[tokio::test]
async fn a_file_larger_than_the_limit_is_refused_as_it_lies() {
    let mut scene = Scene::new().await;
    File::create(scene.at("large.so")).unwrap().set_len(200 * 1024 * 1024).unwrap();
    let verdict = scene.verdict("large.so", ReasonCode::TooLarge).await;
    assert_eq!(verdict.size_bytes, Some(200 * 1024 * 1024));
    assert_eq!(scene.copies(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_person_may_have_any_file_inspected() {
    let scene = Scene::new().await;
    let file = scene.outside("libhouse.so");
    fs::write(&file, house("1.0.0").bytes()).unwrap();
    let verdict = scene.catalog.inspect(&file).await;
    assert_eq!(verdict.decision, Decision::Accepted);
    assert!(scene.catalog.verdicts().is_empty(), "nothing is kept of it");
    assert_eq!(scene.copies(), [] as [&str; 0]);
}
