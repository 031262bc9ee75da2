//! Launches that fail: the reason's code, and a sentence that names the plugin.

use std::sync::Arc;
use std::time::Duration;

use gatehouse_host::gateway::{GatewayTiming, Hosting, in_process, launch};
use gatehouse_host::plugin::stage;
use gatehouse_host::reason::{Reason, ReasonCode};

use super::probe::{CALM, LONG, Probe, Recorder, plugin_file, soon, wanted};

async fn refusal(id: &str, hosting: Hosting) -> Reason {
    let timing = GatewayTiming { launch_within: Duration::from_millis(500), ..CALM };
    let timing = if id == "probe-hangs" { timing } else { CALM };
    soon(Probe::launch_as(id, hosting, timing)).await.err().expect("refused")
}

#[tokio::test]
async fn a_constructor_that_panics_is_told_with_its_place() {
    for hosting in [Hosting::Isolated, Hosting::InProcess] {
        let reason = refusal("probe-panics", hosting).await;
        assert_eq!(reason.code, ReasonCode::ConstructorFailed);
        assert!(reason.sentence.starts_with("libprobe_plugin.so: "), "{reason}");
        assert!(reason.sentence.contains("no gateway today"), "{reason}");
        assert!(reason.sentence.contains("probe/src/lib.rs:"), "{reason}");
    }
}

#[tokio::test]
async fn what_a_failing_constructor_says_is_cut_to_what_can_be_kept() {
    for hosting in [Hosting::Isolated, Hosting::InProcess] {
        let reason = refusal("probe-panics-at-length", hosting).await;
        assert_eq!(reason.code, ReasonCode::ConstructorFailed);
        assert!(reason.sentence.contains("no gateway today"), "{}", &reason.sentence[..200]);
        assert_eq!(reason.sentence.chars().count(), 1_001, "{hosting:?}");
    }
}

#[tokio::test]
async fn a_constructor_that_hangs_is_given_up() {
    for hosting in [Hosting::Isolated, Hosting::InProcess] {
        let reason = refusal("probe-hangs", hosting).await;
        assert_eq!(reason.code, ReasonCode::DeadlineMissed);
        assert_eq!(reason.sentence, "libprobe_plugin.so: its gateway was not made within 500ms");
    }
}

#[tokio::test]
async fn a_constructor_that_ends_its_process_ends_a_worker() {
    let reason = refusal("probe-aborts", Hosting::Isolated).await;
    assert_eq!(reason.code, ReasonCode::Aborted);
    let sentence = "libprobe_plugin.so: while the plugin was opened its worker was killed by SIGABRT: its code gave up";
    assert!(reason.sentence.starts_with(sentence), "{reason}");
    assert_eq!(reason.cause.as_deref(), Some("about to abort"));

    let reason = refusal("probe-exits", Hosting::Isolated).await;
    assert_eq!(reason.code, ReasonCode::WorkerExited);
    assert!(reason.sentence.ends_with("ended by itself with exit code 7"), "{reason}");
}

/// A generation whose staged copy is another file than the one that was inspected.
async fn launched_after(change: impl Fn(&std::path::Path), hosting: Hosting) -> Reason {
    let folder = tempfile::TempDir::new().unwrap();
    let plugin = stage(&plugin_file(), folder.path(), u64::MAX).unwrap();
    change(plugin.path());
    let wanted = wanted(plugin, "probe", folder.path().to_str().unwrap(), hosting, CALM);
    soon(launch(wanted, Arc::new(Recorder::default()))).await.expect_err("refused")
}

fn replace(path: &std::path::Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_copy_that_does_not_open_is_told_with_the_loaders_word() {
    for hosting in [Hosting::Isolated, Hosting::InProcess] {
        let reason = launched_after(|path| replace(path, b"no library"), hosting).await;
        assert_eq!(reason.code, ReasonCode::OpenFailed);
        assert_eq!(reason.sentence, "libprobe_plugin.so: the library does not open");
        assert!(reason.cause.unwrap().contains(".so: "));
    }
}

#[tokio::test]
async fn code_that_tells_another_manifest_than_its_file_is_refused() {
    let edit = |path: &std::path::Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let label = b"Probe";
        let at: Vec<usize> = (0..bytes.len() - 30)
            .filter(|at| bytes[*at..].starts_with(b"label") && bytes[at + 6..].starts_with(label))
            .collect();
        assert_eq!(at.len(), 1);
        bytes[at[0] + 6] = b'X';
        replace(path, &bytes);
    };
    for hosting in [Hosting::Isolated, Hosting::InProcess] {
        let reason = launched_after(edit, hosting).await;
        assert_eq!(reason.code, ReasonCode::ManifestDisagrees, "{reason}");
    }
}

#[tokio::test]
async fn a_library_without_the_boundary_is_of_another() {
    let libm = |path: &std::path::Path| {
        // Any library will do: one that this process has mapped.
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libm = maps.split_whitespace().find(|word| word.contains("/libm.so")).unwrap().to_owned();
        replace(path, &std::fs::read(libm).unwrap());
    };
    for hosting in [Hosting::Isolated, Hosting::InProcess] {
        let reason = launched_after(libm, hosting).await;
        assert_eq!(reason.code, ReasonCode::OtherAbi, "{reason}");
    }
}

#[tokio::test]
async fn every_generation_mapped_into_the_daemon_is_counted_once() {
    assert_eq!(in_process::mapped_generations(), 0);
    let first = Probe::launch(Hosting::InProcess).await;
    let second = Probe::launch(Hosting::InProcess).await;
    assert_eq!(in_process::mapped_generations(), 1);
    first.gateway.close(LONG).await;
    second.gateway.close(LONG).await;
    assert_eq!(in_process::mapped_generations(), 1, "it stays mapped");
    let _third = Probe::launch(Hosting::Isolated).await;
    assert_eq!(in_process::mapped_generations(), 1);
    let folder = tempfile::TempDir::new().unwrap();
    let other = stage(&plugin_file(), folder.path(), u64::MAX).unwrap();
    Probe::launch_plugin(other, "probe", Hosting::InProcess, CALM).await.unwrap();
    assert_eq!(in_process::mapped_generations(), 2);
}
