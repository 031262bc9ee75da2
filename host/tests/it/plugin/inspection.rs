//! Every kind of file that is no plugin for this host, with the exact code and a sentence that names it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use gatehouse_host::plugin::inspection::{inspect_bytes, inspect_file};
use gatehouse_host::plugin::{Decision, Verdict};
use gatehouse_host::reason::ReasonCode;
use gatehouse_plugin_api::manifest::{HEADER_BYTES, MAGIC};
use proptest::prelude::*;
use serde_json::json;

use super::elf::{PluginFile, manifest_section, other_machine};

const MAX_BYTES: u64 = 1024 * 1024;

fn inspect(path: &Path) -> Verdict {
    inspect_file(path, MAX_BYTES)
}

/// The verdict on bytes under a name, which its sentence must tell.
#[track_caller]
fn check(name: &str, bytes: &[u8], code: ReasonCode, part: &str) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let verdict = inspect(&path);
    check_verdict(&verdict, name, code, part);
    verdict
}

#[track_caller]
fn check_verdict(verdict: &Verdict, name: &str, code: ReasonCode, part: &str) {
    let reason = &verdict.reason;
    assert_eq!(reason.code, code, "{reason}");
    assert_eq!(verdict.decision, Decision::Refused);
    assert_eq!(verdict.file_name, name);
    assert!(reason.sentence.contains(name), "the sentence names the file: {reason}");
    assert!(reason.sentence.contains(part), "{part:?} is missing in: {reason}");
    assert!(!code.advice().is_empty(), "there is something to do about {code}");
}

fn sound() -> PluginFile {
    PluginFile::new("house", "1.2.3")
}

#[test]
fn a_sound_plugin_is_accepted_with_all_that_is_known_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libhouse.so");
    fs::write(&path, sound().bytes()).unwrap();
    let verdict = inspect(&path);
    assert_eq!(verdict.reason.code, ReasonCode::Accepted, "{}", verdict.reason);
    assert_eq!(verdict.reason.sentence, "libhouse.so provides house 1.2.3");
    assert_eq!(verdict.decision, Decision::Accepted);
    assert_eq!(verdict.size_bytes, Some(fs::metadata(&path).unwrap().len()));
    assert_eq!(verdict.sha256.map(|sha256| sha256.len()), Some(64));
    assert_eq!(verdict.manifest.unwrap().id.as_str(), "house");
}

#[test]
fn what_is_no_elf_file_is_told_with_a_guess_at_what_it_is() {
    for (bytes, part) in [
        (&b"hello\n"[..], "is not an ELF file"),
        (b"MZ\x90\0", "Windows"),
        (b"!<arch>\n", "static library"),
        (b"\xcf\xfa\xed\xfe", "macOS"),
        (b"PK\x03\x04", "unpack"),
        (b"#!/bin/sh", "script"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"x", "is not an ELF file"),
    ] {
        check("x.so", bytes, ReasonCode::NotElf, part);
    }
}

#[test]
fn an_empty_file_is_told_as_such() {
    let verdict = check("empty.so", b"", ReasonCode::EmptyFile, "0 bytes");
    assert_eq!(verdict.size_bytes, Some(0));
}

#[test]
fn a_file_cut_anywhere_is_truncated() {
    let whole = sound().bytes();
    for length in [4, 5, 19, 63, 64, 200, whole.len() / 2, whole.len() - 1] {
        check("cut.so", &whole[..length], ReasonCode::Truncated, "cut short");
    }
}

#[test]
fn a_folder_is_not_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("folder.so");
    fs::create_dir(&path).unwrap();
    check_verdict(&inspect(&path), "folder.so", ReasonCode::NotAFile, "a folder");
}

#[test]
fn a_pipe_a_socket_and_a_device_are_not_files_and_nobody_waits_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.so");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    check_verdict(&inspect(&pipe), "pipe.so", ReasonCode::NotAFile, "a named pipe");
    let socket = folder.path().join("socket.so");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    check_verdict(&inspect(&socket), "socket.so", ReasonCode::NotAFile, "a socket");
    let device = folder.path().join("device.so");
    symlink("/dev/zero", &device).unwrap();
    check_verdict(&inspect(&device), "device.so", ReasonCode::NotAFile, "a device");
}

#[test]
fn links_that_lead_nowhere_or_in_a_circle_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink("loop.so", at("loop.so")).unwrap();
    check_verdict(&inspect(&at("loop.so")), "loop.so", ReasonCode::BrokenLink, "in a circle");
    symlink("nothing", at("lost.so")).unwrap();
    check_verdict(&inspect(&at("lost.so")), "lost.so", ReasonCode::BrokenLink, "nothing, which is not there");
    fs::write(at("real"), sound().bytes()).unwrap();
    symlink("real", at("good.so")).unwrap();
    assert_eq!(inspect(&at("good.so")).decision, Decision::Accepted);
}

#[test]
fn a_file_that_may_not_be_read_is_told_with_the_user_who_may_not() {
    const NOBODY: u32 = 65534;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("secret.so");
    fs::write(&path, sound().bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // A thread of its own, whose user alone is changed when the tests run as root, whom no mode keeps out.
    let verdict = std::thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(NOBODY);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        inspect(&path)
    })
    .join()
    .unwrap();
    check_verdict(&verdict, "secret.so", ReasonCode::Unreadable, "may not be read");
}

#[test]
fn a_file_that_is_not_there_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let verdict = inspect(&folder.path().join("none.so"));
    check_verdict(&verdict, "none.so", ReasonCode::ChangedWhileRead, "vanished");
}

#[test]
fn a_file_of_200_mb_is_refused_without_reading_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.so");
    fs::File::create(&path).unwrap().set_len(200 * 1024 * 1024).unwrap();
    let verdict = inspect_file(&path, 100 * 1024 * 1024);
    check_verdict(&verdict, "large.so", ReasonCode::TooLarge, "200 MiB; at most 100 MiB");
    assert_eq!(verdict.sha256, None);
}

#[test]
fn another_processor_is_named() {
    let mut file = sound();
    file.machine = other_machine();
    check("far.so", &file.bytes(), ReasonCode::OtherCpu, std::env::consts::ARCH);
    let mut bytes = sound().bytes();
    // Byte 4 is the class: 1 means 32 bits.
    bytes[4] = 1;
    check("small.so", &bytes, ReasonCode::OtherCpu, "32-bit");
    // Byte 5 is the byte order: 2 means the most significant byte first.
    let mut bytes = sound().bytes();
    bytes[5] = 2;
    check("big.so", &bytes, ReasonCode::OtherCpu, "big-endian");
    let elsewhere = if cfg!(target_arch = "aarch64") { "x86_64" } else { "aarch64" };
    let file = sound().saying("target", json!(format!("{elsewhere}-unknown-linux-gnu")));
    check("said.so", &file.bytes(), ReasonCode::OtherCpu, elsewhere);
}

#[test]
fn another_system_is_named() {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    check("musl.so", &sound().saying("target", json!(target)).bytes(), ReasonCode::OtherSystem, "linux-gnu");
}

#[test]
fn missing_features_of_the_processor_are_named() {
    if cfg!(target_arch = "x86_64") {
        // AMD's and Intel's retired extensions, never in one processor.
        let file = sound().saying("cpu_features", json!(["sse2", "tbm", "rtm", "avx512vp2intersect"]));
        check("fast.so", &file.bytes(), ReasonCode::CpuFeaturesMissing, "tbm");
    }
}

#[test]
fn programs_and_objects_are_not_libraries() {
    let mut file = sound();
    file.kind = 2;
    check("program.so", &file.bytes(), ReasonCode::NotALibrary, "a program");
    file.kind = 1;
    check("object.so", &file.bytes(), ReasonCode::NotALibrary, "an object file");
    file.kind = 3;
    file.position_independent_program = true;
    check("pie.so", &file.bytes(), ReasonCode::NotALibrary, "a program");
    let itself = fs::read(std::env::current_exe().unwrap()).unwrap();
    let reason = inspect_bytes("tests.so", &itself).unwrap_err();
    assert_eq!(reason.code, ReasonCode::NotALibrary, "{reason}");
}

#[test]
fn a_library_that_does_not_export_the_header_cannot_be_opened() {
    let mut file = sound();
    file.exports_header = false;
    check("hidden.so", &file.bytes(), ReasonCode::NotALibrary, "does not export");
}

#[test]
fn a_newer_c_library_is_named() {
    let mut file = sound();
    file.versions.push("GLIBC_9.1".to_owned());
    let verdict = check("new.so", &file.bytes(), ReasonCode::NewerGlibc, "needs glibc 9.1");
    assert!(verdict.manifest.is_some(), "what the file says of itself is shown all the same");
}

#[test]
fn a_library_that_is_not_installed_is_named() {
    let mut file = sound();
    file.needed.push("libnot-there.so.3".to_owned());
    check("needs.so", &file.bytes(), ReasonCode::LibraryMissing, "libnot-there.so.3");
    file.run_path = Some("$ORIGIN/lib".to_owned());
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("lib")).unwrap();
    fs::write(folder.path().join("lib/libnot-there.so.3"), b"").unwrap();
    fs::write(folder.path().join("needs.so"), file.bytes()).unwrap();
    assert_eq!(inspect(&folder.path().join("needs.so")).decision, Decision::Accepted);
}

#[test]
fn a_library_without_a_manifest_is_no_plugin() {
    let mut file = sound();
    file.manifest = None;
    check("plain.so", &file.bytes(), ReasonCode::NoManifest, ".gatehouse");
}

#[test]
fn a_damaged_manifest_is_told_from_one_that_says_what_is_not_allowed() {
    let whole = manifest_section(&sound().manifest.unwrap());
    let with = |section: Vec<u8>| {
        let mut file = sound();
        file.section = Some(section);
        file.bytes()
    };
    check("a.so", &with(Vec::new()), ReasonCode::DamagedManifest, "cut short");
    check("a.so", &with(whole[..whole.len() - 1].to_vec()), ReasonCode::DamagedManifest, "cut short");
    let mut other = whole.clone();
    other[0] ^= 1;
    check("a.so", &with(other), ReasonCode::DamagedManifest, "does not begin as one");
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    check("a.so", &with(flipped), ReasonCode::DamagedManifest, "checksum");
    let mut endless = whole.clone();
    endless[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    check("a.so", &with(endless), ReasonCode::DamagedManifest, "the most is");
    let text = manifest_section(&json!("a text"));
    assert!(text.len() > HEADER_BYTES);
    check("a.so", &with(text), ReasonCode::DamagedManifest, "cannot be read");
    check("a.so", &with([whole.clone(), whole].concat()), ReasonCode::BadManifest, "more than one manifest");
}

#[test]
fn values_that_are_not_allowed_are_named() {
    for (key, value, part) in [
        ("id", json!("Bad Id!"), "\"Bad Id!\""),
        ("id", json!("../../etc"), "../../etc"),
        ("id", json!(""), "empty"),
        ("version", json!("one"), "\"one\""),
        ("version", json!(format!("1.0.0-{}", "a".repeat(100))), "longer than 64"),
        ("api_version", json!("1"), "api_version"),
        ("label", json!(" "), "label"),
        ("panic_strategy", json!("explode"), "explode"),
        ("poll_interval_ms", json!(0), "poll interval"),
    ] {
        check("bad.so", &sound().saying(key, value).bytes(), ReasonCode::BadManifest, part);
    }
    let attribute = json!({ "key": "url", "label": "URL", "value_type": { "kind": "url" } });
    let twice = sound().saying("attributes", json!([attribute, attribute]));
    check("bad.so", &twice.bytes(), ReasonCode::BadManifest, "declared twice");
}

#[test]
fn another_language_is_told_with_both_versions() {
    let ours = gatehouse_plugin_api::ops::API_VERSION;
    check("new.so", &sound().saying("api_version", json!("9.0.0")).bytes(), ReasonCode::NewerApi, ours);
    check("old.so", &sound().saying("api_version", json!("0.9.0")).bytes(), ReasonCode::OlderApi, ours);
    check("ops.so", &sound().saying("required_ops", json!([1, 1999])).bytes(), ReasonCode::NewerApi, "1999");
    check("abi.so", &sound().saying("abi_epoch", json!(2)).bytes(), ReasonCode::OtherAbi, "epoch 2");
    // A newer vocabulary whose manifest this host cannot even read.
    let unreadable = sound().saying("api_version", json!("1.99.0")).saying("attributes", json!({ "new": "form" }));
    check("form.so", &unreadable.bytes(), ReasonCode::NewerApi, "1.99.0");
    // A newer minor version that needs nothing this host lacks runs.
    let newer = sound().saying("api_version", json!("1.99.0"));
    assert!(inspect_bytes("fine.so", &newer.bytes()).is_ok());
}

/// A library that a linker made, damaged where it hurts: in its headers and tables.
#[test]
fn a_real_plugin_damaged_anywhere_in_its_tables_has_a_verdict() {
    let file = crate::gateway::probe::plugin_file();
    let verdict = inspect_file(&file, u64::MAX);
    assert_eq!(verdict.decision, Decision::Accepted, "{}", verdict.reason);
    let mut bytes = fs::read(file).unwrap();
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    // e_shoff, e_shnum (System V ABI, chapter 4).
    let table = usize::try_from(word(&bytes, 40)).unwrap();
    let count = usize::from(u16::from_le_bytes([bytes[60], bytes[61]]));
    let mut places: Vec<usize> = (0..64 + 12 * 56).step_by(8).collect();
    places.extend((table..table + count * 64).step_by(8));
    for section in 0..count {
        let start = usize::try_from(word(&bytes, table + section * 64 + 24)).unwrap();
        let size = usize::try_from(word(&bytes, table + section * 64 + 32)).unwrap();
        places.extend((start..start + size).step_by(8).take(16).filter(|at| at + 8 <= bytes.len()));
    }
    let mut refused = 0;
    for at in places {
        let whole: [u8; 8] = bytes[at..at + 8].try_into().unwrap();
        for damage in [u64::MAX - 7, 0] {
            bytes[at..at + 8].copy_from_slice(&damage.to_le_bytes());
            refused += usize::from(inspect_bytes("probe.so", &bytes).is_err());
        }
        bytes[at..at + 8].copy_from_slice(&whole);
    }
    assert!(refused > 100, "{refused}");
    assert!(inspect_bytes("probe.so", &bytes).is_ok(), "mended");
}

#[test]
fn tables_that_repeat_one_long_text_cost_no_memory_and_no_time() {
    let long = "n".repeat(4000);
    let refused = |plugin: PluginFile, part: &str| {
        let reason = inspect_bytes("x.so", &plugin.bytes()).unwrap_err();
        assert_eq!(reason.code, ReasonCode::DamagedFile, "{reason}");
        assert!(reason.sentence.contains(part), "{reason}");
    };
    refused(PluginFile { needed: vec![long.clone(); 500], ..sound() }, "bytes of names of libraries");
    refused(PluginFile { versions: vec![long; 500], ..sound() }, "bytes of version names");
    let many = (0..600).map(|number| format!("lib{number}.so")).collect();
    refused(PluginFile { needed: many, ..sound() }, "512 needed libraries");
    refused(PluginFile { run_path: Some("/opt:".repeat(100)), ..sound() }, "64 folders");
}

#[test]
fn a_manifest_without_bottom_or_with_very_many_values_is_refused() {
    let mut bottomless = b"\x81\xa2id".to_vec();
    bottomless.resize(500_000, 0x91);
    let mut many = b"\x81\xa2id\xdd\0\x0e\0\0".to_vec();
    many.resize(many.len() + 0xe_0000, 0xc0);
    for content in [bottomless, many] {
        let plugin = PluginFile { section: Some(gatehouse_host::fuzz::section_of(&content)), ..sound() };
        let reason = inspect_bytes("x.so", &plugin.bytes()).unwrap_err();
        assert_eq!(reason.code, ReasonCode::DamagedManifest, "{reason}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _ = inspect_bytes("x.so", &bytes);
        let mut elf = PluginFile::new("house", "1.0.0").bytes();
        let length = elf.len().min(bytes.len());
        elf.splice(64..64.max(length), bytes.iter().copied().take(length.saturating_sub(64)));
        let _ = inspect_bytes("x.so", &elf);
    }

    #[test]
    fn no_damage_makes_it_panic(flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        words in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            Just(u64::MAX), Just(u64::MAX - 7), Just(1 << 63), Just(0), any::<u64>()]), 0..4),
        cut in any::<prop::sample::Index>(), is_cut in any::<bool>())
    {
        let mut bytes = PluginFile::new("house", "1.0.0").bytes();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        for (at, value) in words {
            let at = at.index(bytes.len() / 8 - 1) * 8;
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        if is_cut {
            let length = cut.index(bytes.len());
            bytes.truncate(length);
        }
        // By memory and by file: two readers, one answer.
        let by_memory = inspect_bytes("x.so", &bytes);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.so");
        fs::write(&path, &bytes).unwrap();
        let by_file = inspect(&path);
        prop_assert_eq!(by_memory.is_ok(), by_file.decision == Decision::Accepted, "{:?} {:?}", by_memory, by_file);
    }
}
