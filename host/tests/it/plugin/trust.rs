//! Signatures, lists and revocations: who is let in, and who has to go.

use std::fs::{self, Permissions};
use std::io::Cursor;
use std::os::unix::fs::{PermissionsExt, chown};

use gatehouse_host::config;
use gatehouse_host::config::TrustPolicy;
use gatehouse_host::plugin::Decision;
use gatehouse_host::plugin::inspection::inspect_bytes;
use gatehouse_host::plugin::trust::Item;
use gatehouse_host::reason::ReasonCode;
use minisign::KeyPair;
use sha2::{Digest, Sha256};

use super::elf::PluginFile;
use super::scene::{Scene, id};

fn house(version: &str) -> PluginFile {
    PluginFile::new("house", version)
}

fn key() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

fn public(key: &KeyPair) -> String {
    key.pk.to_base64()
}

fn item(text: &str) -> Item {
    text.parse().unwrap()
}

fn sign(key: &KeyPair, bytes: &[u8]) -> String {
    minisign::sign(Some(&key.pk), &key.sk, Cursor::new(bytes), None, None).unwrap().into_string()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

async fn signed_only(key: &KeyPair) -> Scene {
    Scene::trusting(config::Trust { policy: TrustPolicy::Signed, keys: vec![public(key)], hashes: Vec::new() }, |_| {})
        .await
}

#[tokio::test]
async fn a_plugin_signed_with_a_known_key_is_let_in_and_every_other_is_told_why_not() {
    let (known, stranger) = (key(), key());
    let mut scene = signed_only(&known).await;
    let bytes = house("1.0.0").bytes();
    fs::write(scene.at("unsigned.so"), &bytes).unwrap();
    scene.verdict("unsigned.so", ReasonCode::Unsigned).await;

    fs::write(scene.at("strange.so.minisig"), sign(&stranger, &bytes)).unwrap();
    fs::write(scene.at("strange.so"), &bytes).unwrap();
    let verdict = scene.verdict("strange.so", ReasonCode::UnknownKey).await;
    let id_of_stranger = item(&public(&stranger)).key_id().unwrap().to_string();
    assert!(verdict.reason.sentence.contains(&id_of_stranger), "{}", verdict.reason);
    assert_eq!(verdict.manifest.as_ref().unwrap().id.as_str(), "house", "what it says of itself is shown");

    fs::write(scene.at("changed.so.minisig"), sign(&known, &bytes)).unwrap();
    fs::write(scene.at("changed.so"), house("1.0.0").salted("evil").bytes()).unwrap();
    let verdict = scene.verdict("changed.so", ReasonCode::BadSignature).await;
    assert!(verdict.reason.sentence.contains("does not fit"), "{}", verdict.reason);

    fs::write(scene.at("nonsense.so.minisig"), "hello").unwrap();
    fs::write(scene.at("nonsense.so"), &bytes).unwrap();
    scene.verdict("nonsense.so", ReasonCode::BadSignature).await;

    fs::write(scene.at("signed.so.minisig"), sign(&known, &bytes)).unwrap();
    fs::write(scene.at("signed.so"), &bytes).unwrap();
    let verdict = scene.accepted("signed.so").await;
    let id_of_known = item(&public(&known)).key_id().unwrap();
    assert!(verdict.reason.sentence.ends_with(&format!("signed with {id_of_known}")), "{}", verdict.reason);
    assert_eq!(scene.catalog.plugin(&id("house")).unwrap().signed_by(), Some(id_of_known));
}

#[tokio::test]
async fn a_signature_that_comes_after_its_file_is_enough() {
    let known = key();
    let mut scene = signed_only(&known).await;
    let bytes = house("1.0.0").bytes();
    fs::write(scene.at("house.so"), &bytes).unwrap();
    scene.verdict("house.so", ReasonCode::Unsigned).await;
    fs::write(scene.at("house.so.minisig"), sign(&known, &bytes)).unwrap();
    scene.accepted("house.so").await;
    // And one that goes takes it along.
    fs::remove_file(scene.at("house.so.minisig")).unwrap();
    scene.verdict("house.so", ReasonCode::Unsigned).await;
}

#[tokio::test]
async fn a_signature_in_a_section_is_over_the_file_with_that_section_empty() {
    let known = key();
    let mut scene = signed_only(&known).await;
    let with = |content: Vec<u8>| PluginFile { signature: Some((content, false)), ..house("1.0.0") }.bytes();
    let mut section = sign(&known, &with(vec![0; 600])).into_bytes();
    assert!(section.len() < 600);
    section.resize(600, 0);
    fs::write(scene.at("house.so"), with(section.clone())).unwrap();
    scene.accepted("house.so").await;

    fs::write(scene.at("empty.so"), with(vec![0; 600])).unwrap();
    scene.verdict("empty.so", ReasonCode::Unsigned).await;
    let changed = PluginFile { signature: Some((section, false)), ..house("1.0.0") }.salted("evil").bytes();
    fs::write(scene.at("changed.so"), changed).unwrap();
    scene.verdict("changed.so", ReasonCode::BadSignature).await;
}

#[test]
fn a_section_for_a_signature_that_is_loaded_or_not_its_own_is_refused() {
    let refused = |plugin: PluginFile, part: &str| {
        let reason = inspect_bytes("x.so", &plugin.bytes()).unwrap_err();
        assert_eq!(reason.code, ReasonCode::DamagedFile);
        assert!(reason.sentence.contains(part), "{reason}");
    };
    refused(PluginFile { signature: Some((vec![0; 600], true)), ..house("1.0.0") }, "that is loaded");
    refused(PluginFile { signature: Some((vec![0; 40_000], false)), ..house("1.0.0") }, "larger than any signature");
}

#[tokio::test]
async fn only_listed_files_are_let_in_when_the_policy_says_so() {
    let known = key();
    let (listed, added, other) = (house("1.0.0").bytes(), house("2.0.0").bytes(), house("3.0.0").bytes());
    let trust =
        config::Trust { policy: TrustPolicy::Listed, keys: vec![public(&known)], hashes: vec![sha256(&listed)] };
    let mut scene = Scene::trusting(trust, |_| {}).await;
    fs::write(scene.at("listed.so"), &listed).unwrap();
    scene.accepted("listed.so").await;
    fs::write(scene.at("other.so.minisig"), sign(&known, &other)).unwrap();
    fs::write(scene.at("other.so"), &other).unwrap();
    let verdict = scene.verdict("other.so", ReasonCode::NotListed).await;
    assert!(verdict.reason.sentence.contains(&sha256(&other)), "it can be listed from here: {}", verdict.reason);
    fs::write(scene.at("added.so"), &added).unwrap();
    scene.verdict("added.so", ReasonCode::NotListed).await;
    scene.catalog.trust().add(&item(&sha256(&added)), "tried it").unwrap();
    scene.accepted("added.so").await;
    // The command's list outlives the daemon as the configuration does.
    let scene = scene.restart(|_| {}).await;
    assert_eq!(scene.catalog.verdict("added.so").unwrap().decision, Decision::Accepted);
}

#[tokio::test]
async fn a_revoked_file_goes_at_once_by_command_or_by_a_list_that_is_copied_in() {
    let mut scene = Scene::new().await;
    let (first, second) = (house("1.0.0").bytes(), PluginFile::new("garden", "1.0.0").bytes());
    fs::write(scene.at("house.so"), &first).unwrap();
    fs::write(scene.at("garden.so"), &second).unwrap();
    scene.accepted("house.so").await;
    scene.accepted("garden.so").await;
    scene.next_use().await;
    scene.next_use().await;
    let held = [id("house"), id("garden")].map(|id| scene.catalog.plugin(&id).unwrap());

    scene.catalog.trust().revoke(&item(&sha256(&first)), "steals").unwrap();
    scene.catalog.judge_again().await;
    let verdict = scene.catalog.verdict("house.so").unwrap();
    assert_eq!((verdict.decision, verdict.reason.code), (Decision::Refused, ReasonCode::Revoked));
    assert!(verdict.reason.sentence.ends_with(": steals"), "{}", verdict.reason);
    // What runs hears of its end first.
    assert_eq!(scene.next_use().await, "!house revoked");
    assert_eq!(scene.next_use().await, "-house revoked");
    assert!(scene.catalog.generation(held[0].sha256()).await.is_none(), "nobody goes back to it");

    let list = scene.home.trust_dir().join("revoked.list");
    // Copied in anew, which empties it first: nothing slips through.
    let both = format!("{}\n{} from the author's site\n", sha256(&first), sha256(&second));
    fs::write(&list, both).unwrap();
    scene.verdict("garden.so", ReasonCode::Revoked).await;
    assert_eq!(scene.next_use().await, "!garden revoked");
    assert_eq!(scene.next_use().await, "-garden revoked");
    // A list that says nothing any more lets both in again.
    fs::remove_file(&list).unwrap();
    scene.accepted("garden.so").await;
    scene.accepted("house.so").await;
}

#[tokio::test]
async fn a_revoked_key_takes_along_all_that_is_signed_with_it_under_every_policy() {
    let known = key();
    let trust = config::Trust { keys: vec![public(&known)], ..config::Trust::default() };
    let mut scene = Scene::trusting(trust, |_| {}).await;
    let bytes = house("1.0.0").bytes();
    fs::write(scene.at("house.so.minisig"), sign(&known, &bytes)).unwrap();
    fs::write(scene.at("house.so"), &bytes).unwrap();
    scene.accepted("house.so").await;
    let held = scene.catalog.plugin(&id("house")).unwrap();
    // Its file is gone, and it may run on; that it was signed is still known.
    fs::remove_file(scene.at("house.so")).unwrap();
    fs::remove_file(scene.at("house.so.minisig")).unwrap();
    scene.verdict("house.so", ReasonCode::FileGone).await;
    assert_eq!(scene.next_use().await, "+house 1.0.0");
    assert_eq!(scene.next_use().await, "-house file_gone");
    assert!(scene.catalog.generation(held.sha256()).await.unwrap().signed_by().is_some());
    let key_id = item(&public(&known)).key_id().unwrap();
    scene.catalog.trust().revoke(&Item::KeyId(key_id), "").unwrap();
    scene.catalog.judge_again().await;
    assert_eq!(scene.next_use().await, "!house key_revoked");
    fs::write(scene.at("house.so.minisig"), sign(&known, &bytes)).unwrap();
    fs::write(scene.at("house.so"), &bytes).unwrap();
    scene.verdict("house.so", ReasonCode::KeyRevoked).await;
    // Trusting it again, knowingly, ends the revocation.
    scene.catalog.trust().add(&item(&public(&known)), "").unwrap();
    scene.accepted("house.so").await;
}

#[tokio::test]
async fn nothing_is_let_in_while_nobody_knows_what_is_revoked() {
    let mut scene = Scene::with(|home| {
        fs::create_dir_all(home.trust_dir().join("revoked.list")).unwrap();
        fs::write(home.plugins_dir().join("house.so"), house("1.0.0").bytes()).unwrap();
    })
    .await;
    scene.verdict("house.so", ReasonCode::TrustUnreadable).await;
    assert!(!scene.catalog.trust().view().problems.is_empty());
    fs::remove_dir(scene.home.trust_dir().join("revoked.list")).unwrap();
    scene.accepted("house.so").await;
}

#[tokio::test]
async fn owner_and_mode_of_file_folder_and_signature_count() {
    if !rustix::process::geteuid().is_root() {
        // Giving files away needs root; the rules themselves are tested with every user.
        return;
    }
    const SOMEBODY: u32 = 4242;
    let mut scene = Scene::new().await;
    let write = |scene: &Scene, name: &str| fs::write(scene.at(name), house("1.0.0").bytes()).unwrap();
    write(&scene, "group.so");
    chown(scene.at("group.so"), None, Some(SOMEBODY)).unwrap();
    fs::set_permissions(scene.at("group.so"), Permissions::from_mode(0o664)).unwrap();
    let verdict = scene.verdict("group.so", ReasonCode::WritableByGroup).await;
    assert!(verdict.reason.sentence.contains("the group 4242"), "{}", verdict.reason);
    fs::write(scene.at("signed.so.minisig"), "x").unwrap();
    chown(scene.at("signed.so.minisig"), Some(SOMEBODY), None).unwrap();
    write(&scene, "signed.so");
    let verdict = scene.verdict("signed.so", ReasonCode::ForeignOwner).await;
    assert!(verdict.reason.sentence.contains("signed.so.minisig"), "{}", verdict.reason);
    write(&scene, "house.so");
    scene.accepted("house.so").await;
    chown(scene.home.plugins_dir(), None, Some(SOMEBODY)).unwrap();
    fs::set_permissions(scene.home.plugins_dir(), Permissions::from_mode(0o770)).unwrap();
    scene.verdict("house.so", ReasonCode::WritableByGroup).await;
}
