//! What is known of a worker that died by a fault: where, in which call, with what.

use gatehouse_host::gateway::{Crash, Hosting};
use gatehouse_host::reason::ReasonCode;

use super::probe::{Probe, soon};

/// The crash that follows from asking the probe for it.
async fn crash(what: &[(&str, &str)]) -> Crash {
    let probe = Probe::launch(Hosting::Isolated).await;
    let pid = probe.pid();
    probe.ask(what).await.expect_err("nobody answers");
    let exit = soon(probe.gateway.ended()).await;
    let crash = probe.crashes.first().await;
    assert_eq!(crash.reason, exit.reason);
    assert_eq!((crash.file_name.as_str(), crash.generation.len()), ("libprobe_plugin.so", 64));
    let used = crash.used.expect("a worker's use is known");
    assert!(used.memory_bytes > 1_000_000, "{used:?}");
    // Whatever became of its code: the call is named.
    assert_eq!(crash.calls.iter().map(|call| call.op.as_str()).collect::<Vec<_>>(), ["manage"], "{pid}");
    crash
}

/// The function where it happened.
fn place(crash: &Crash) -> &str {
    let place = crash.place.as_ref().expect("the place is known");
    assert_eq!(place.library, "libprobe_plugin.so", "{place}");
    place.symbol.as_deref().expect("a debug build names its functions")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_told_with_its_address_and_its_function() {
    let crash = crash(&[("do", "segfault"), ("address", "16")]).await;
    assert_eq!((crash.reason.code, crash.signal.as_str()), (ReasonCode::SegmentationFault, "SIGSEGV"));
    assert_eq!(crash.address, Some(16));
    assert!(place(&crash).ends_with("write_to"), "{crash:?}");
    assert!(crash.thread.is_some(), "{crash:?}");
    assert!(!crash.callers.is_empty(), "{crash:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instruction_that_is_none_is_told_with_its_function() {
    let crash = crash(&[("do", "illegal")]).await;
    assert_eq!((crash.reason.code, crash.signal.as_str()), (ReasonCode::IllegalInstruction, "SIGILL"));
    assert!(place(&crash).ends_with("illegal_instruction"), "{crash:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_is_told_with_the_plugins_function_that_led_to_it() {
    let crash = crash(&[("do", "abort")]).await;
    assert_eq!((crash.reason.code, crash.signal.as_str()), (ReasonCode::Aborted, "SIGABRT"));
    // It happens in the C library; who called is on the stack.
    assert_ne!(crash.place.as_ref().expect("known").library, "libprobe_plugin.so");
    assert!(
        crash.callers.iter().any(|caller| caller.symbol.as_deref().is_some_and(|s| s.contains("abort"))),
        "{crash:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_that_ran_full_is_told_with_the_function_that_filled_it() {
    let crash = crash(&[("do", "overflow")]).await;
    assert_eq!((crash.reason.code, crash.signal.as_str()), (ReasonCode::StackOverflow, "SIGSEGV"), "{crash:?}");
    assert!(place(&crash).ends_with("overflow"), "{crash:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_of_the_plugins_own_that_overflows_leaves_no_place_and_the_call() {
    let crash = crash(&[("do", "overflow-in-thread")]).await;
    assert_eq!(crash.signal, "SIGSEGV");
    assert_eq!((crash.place, crash.address), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_with_a_handler_of_its_own_leaves_no_place_and_the_call() {
    let crash = crash(&[("do", "segfault-unhandled")]).await;
    assert_eq!((crash.reason.code, crash.place), (ReasonCode::SegmentationFault, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_in_a_constructor_has_a_place_too() {
    let folder = tempfile::TempDir::new().unwrap();
    let plugin = gatehouse_host::plugin::stage(&super::probe::plugin_file(), folder.path(), u64::MAX).unwrap();
    let crashes = std::sync::Arc::new(super::probe::Crashes::default());
    let data = folder.path().to_str().unwrap();
    let mut wanted = super::probe::wanted(plugin, "probe-segfaults", data, Hosting::Isolated, super::probe::CALM);
    wanted.onlooker.witness = Some(crashes.clone());
    let host = std::sync::Arc::new(super::probe::Recorder::default());
    let reason = soon(gatehouse_host::gateway::launch(wanted, host)).await.expect_err("refused");
    assert_eq!(reason.code, ReasonCode::SegmentationFault, "{reason}");
    let crash = crashes.first().await;
    assert!(place(&crash).ends_with("write_to"), "{crash:?}");
    assert_eq!(crash.calls, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_was_sent_from_outside_is_no_fault_of_the_plugins() {
    use rustix::process::{Pid, Signal, kill_process};
    let probe = Probe::launch(Hosting::Isolated).await;
    let pid = Pid::from_raw(i32::try_from(probe.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::SEGV).unwrap();
    let exit = soon(probe.gateway.ended()).await;
    assert_eq!(exit.reason.code, ReasonCode::KilledByPerson, "{}", exit.reason);
}
