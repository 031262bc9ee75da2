//! A worker that dies or is stuck: noticed at once, told in words, reaped.

use std::time::Duration;

use gatehouse_host::gateway::{Exit, GatewayTiming, Hosting};
use gatehouse_host::plugin::stage;
use gatehouse_host::reason::ReasonCode;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Log, Progress};
use gatehouse_plugin_api::ops;
use rustix::process::{Pid, Signal, kill_process};

use super::probe::{CALM, LONG, Probe, aborting_plugin_file, soon};

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// A zombie still has its entry.
fn is_reaped(pid: u32) -> bool {
    !std::path::Path::new(&format!("/proc/{pid}")).exists()
}

async fn ended(probe: &Probe) -> Exit {
    let exit = soon(probe.gateway.ended()).await;
    assert!(is_reaped(probe.pid()), "pid {}", probe.pid());
    assert_eq!(probe.ask(&[("do", "echo")]).await.unwrap_err().code, ErrorCode::Gone);
    exit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_fails_its_calls_at_once() {
    for (with, name) in [(Signal::KILL, "SIGKILL"), (Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let probe = Probe::launch(Hosting::Isolated).await;
        let never = probe.begin(&[("do", "never")]).await;
        signal(probe.pid(), with);
        let error = never.error().await;
        assert_eq!(error.code, ErrorCode::Gone);
        let killed =
            format!("probe: its worker was killed by {name}: not by Gatehouse, but by a person or another program");
        assert_eq!(error.message, killed);
        let exit = ended(&probe).await;
        assert_eq!(exit.reason.code, ReasonCode::KilledByPerson);
    }
}

/// Every way of ending that a plugin's code can choose, by the probe itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_ending_has_its_own_code() {
    let raise = |signal: &'static str| vec![("do", "raise"), ("signal", signal)];
    let ways = [
        (vec![("do", "exit"), ("code", "0")], ReasonCode::ExitedCleanly, "ended by itself with exit code 0"),
        (vec![("do", "exit"), ("code", "3")], ReasonCode::WorkerExited, "ended by itself with exit code 3"),
        (vec![("do", "segfault"), ("address", "16")], ReasonCode::SegmentationFault, "was killed by SIGSEGV: "),
        (vec![("do", "illegal")], ReasonCode::IllegalInstruction, "was killed by SIGILL: "),
        (vec![("do", "abort")], ReasonCode::Aborted, "was killed by SIGABRT: "),
        (vec![("do", "allocate")], ReasonCode::OutOfMemory, "was killed by SIGABRT: it asked for more memory"),
        (raise("5"), ReasonCode::Trapped, "was killed by SIGTRAP: "),
        (raise("7"), ReasonCode::BusError, "was killed by SIGBUS: "),
        (raise("8"), ReasonCode::ArithmeticFault, "was killed by SIGFPE: "),
        (raise("24"), ReasonCode::LimitExceeded, "was killed by SIGXCPU: "),
        (raise("31"), ReasonCode::RefusedBySandbox, "was killed by SIGSYS: "),
        (raise("10"), ReasonCode::WorkerKilled, "was killed by SIGUSR1"),
    ];
    for (what, code, words) in ways {
        let probe = Probe::launch(Hosting::Isolated).await;
        let error = probe.ask(&what).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Gone, "{what:?}");
        let exit = ended(&probe).await;
        assert_eq!(exit.reason.code, code, "{what:?}: {}", exit.reason);
        assert!(exit.reason.sentence.starts_with(&format!("probe: its worker {words}")), "{}", exit.reason);
        assert_ne!(code.advice(), "", "{code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_printed_last_is_the_cause_of_its_death() {
    let probe = Probe::launch(Hosting::Isolated).await;
    probe.ask(&[("do", "print"), ("text", "out of memory, or so")]).await.unwrap();
    probe.ask(&[("do", "abort")]).await.unwrap_err();
    let exit = ended(&probe).await;
    assert_eq!(exit.reason.sentence, "probe: its worker was killed by SIGABRT: its code gave up (abort)");
    assert_eq!(exit.reason.cause.as_deref(), Some("out of memory, or so"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_that_aborts_ends_its_worker_with_the_reason_and_no_neighbour() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = aborting_plugin_file();
    let plugin = stage(&file, folder.path(), u64::MAX).unwrap();
    assert_eq!(plugin.manifest().panic_strategy, "abort");
    let aborting = Probe::launch_plugin(plugin, "probe", Hosting::Isolated, CALM).await.unwrap();
    let neighbour = Probe::launch(Hosting::Isolated).await;
    let never = neighbour.begin(&[("do", "never")]).await;
    assert_eq!(aborting.ask(&[("do", "panic")]).await.unwrap_err().code, ErrorCode::Gone);
    let exit = ended(&aborting).await;
    assert_eq!(exit.reason.code, ReasonCode::Panicked);
    assert_eq!(exit.reason.sentence, "probe: its worker was killed by SIGABRT: its code panicked");
    let cause = exit.reason.cause.unwrap();
    assert!(cause.contains("probe/src/lib.rs:") && cause.contains("asked to panic"), "{cause}");
    // The log has it as well: it was sent before the process ended.
    let records = aborting.host.requests::<Log>(&ops::LOG).into_iter().flat_map(|log| log.records);
    assert!(records.into_iter().any(|record| record.message == "the plugin panicked"));
    assert_eq!(neighbour.ask(&[("do", "echo"), ("text", "well")]).await.unwrap(), "well");
    soon(neighbour.gateway.close(LONG)).await;
    assert_eq!(never.error().await.code, ErrorCode::Gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_emitted_before_the_death_arrives() {
    let probe = Probe::launch(Hosting::Isolated).await;
    probe.ask(&[("do", "emit"), ("count", "100")]).await.unwrap();
    probe.ask(&[("do", "exit"), ("code", "0")]).await.unwrap_err();
    ended(&probe).await;
    let emitted: Vec<gatehouse_plugin_api::message::Emit> = probe.host.requests(&ops::EMIT);
    assert_eq!(emitted.iter().map(|emit| emit.readings.len()).sum::<usize>(), 100);
}

const QUICK: GatewayTiming = GatewayTiming {
    heartbeat_every: Duration::from_millis(10),
    heartbeat_within: Duration::from_millis(200),
    launch_within: LONG,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_thread_misses_its_heartbeat_and_is_killed() {
    let probe = Probe::launch_as("probe", Hosting::Isolated, QUICK).await.unwrap();
    let error = probe.ask(&[("do", "block"), ("ms", "3600000")]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Gone);
    let exit = ended(&probe).await;
    assert_eq!(exit.reason.code, ReasonCode::HeartbeatMissed);
    let sentence = "probe: its gateway did not answer for 200ms and its worker was killed";
    assert_eq!(exit.reason.sentence, sentence);
    // No handler ran, and the record names the call all the same.
    let crash = probe.crashes.first().await;
    assert_eq!((&crash.reason, crash.signal.as_str(), &crash.place), (&exit.reason, "SIGKILL", &None));
    assert_eq!(crash.calls.iter().map(|call| call.op.as_str()).collect::<Vec<_>>(), ["manage"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_given_up_is_named_when_it_still_holds_the_thread() {
    // Long enough for the call to begin, and for it to be given up before the worker is.
    let timing = GatewayTiming { heartbeat_within: Duration::from_secs(4), ..QUICK };
    let probe = Probe::launch_as("probe", Hosting::Isolated, timing).await.unwrap();
    let block = [("do", "block"), ("ms", "3600000")];
    let late = probe.ask_within(&block, Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::Deadline);
    assert_eq!(ended(&probe).await.reason.code, ReasonCode::HeartbeatMissed);
    let crash = probe.crashes.first().await;
    assert_eq!(crash.calls.iter().map(|call| call.op.as_str()).collect::<Vec<_>>(), ["manage"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_process_misses_its_heartbeat_and_is_killed() {
    let probe = Probe::launch_as("probe", Hosting::Isolated, QUICK).await.unwrap();
    signal(probe.pid(), Signal::STOP);
    assert_eq!(ended(&probe).await.reason.code, ReasonCode::HeartbeatMissed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_misses_no_heartbeat() {
    let timing = GatewayTiming { heartbeat_every: Duration::from_millis(1), ..CALM };
    let probe = Probe::launch_as("probe", Hosting::Isolated, timing).await.unwrap();
    assert_eq!(probe.ask(&[("do", "sleep"), ("ms", "100")]).await.unwrap(), "slept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_process_a_missed_heartbeat_is_reported_and_its_end_too() {
    let probe = Probe::launch_as("probe", Hosting::InProcess, QUICK).await.unwrap();
    assert_eq!(probe.ask(&[("do", "block"), ("ms", "600")]).await.unwrap(), "blocked");
    probe.host.until(|asked| asked.iter().filter(|(op, _)| *op == ops::HEALTH.number).count() >= 2).await;
    let reports: Vec<gatehouse_plugin_api::message::Health> = probe.host.requests(&ops::HEALTH);
    assert!(reports[0].message.starts_with("its thread has not answered for 200ms"), "{reports:?}");
    assert_eq!(reports[1].message, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_does_not_end_in_time_is_killed() {
    let probe = Probe::launch(Hosting::Isolated).await;
    let gateway = std::sync::Arc::clone(&probe.gateway);
    let blocked = tokio::spawn(async move {
        let request = super::probe::request(&[("do", "block"), ("ms", "3600000")]);
        gateway.call_bytes(&ops::MANAGE, gatehouse_plugin_api::wire::encode(&request), LONG).await
    });
    // It says that it blocks, and then does.
    probe.host.until(|asked| asked.iter().any(|(op, _)| *op == ops::PROGRESS.number)).await;
    assert_eq!(probe.host.requests::<Progress>(&ops::PROGRESS)[0].message, "blocking");
    // Whether it blocks by now or is about to: stopped, it does not end by itself.
    signal(probe.pid(), Signal::STOP);
    let exit = soon(probe.gateway.close(Duration::from_millis(50))).await;
    assert_eq!(exit.reason.code, ReasonCode::KilledAtStop, "{}", exit.reason);
    assert_eq!(soon(blocked).await.unwrap().unwrap_err().code, ErrorCode::Gone);
    assert!(is_reaped(probe.pid()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_wish_shortens_the_wait() {
    let probe = Probe::launch(Hosting::Isolated).await;
    signal(probe.pid(), Signal::STOP);
    let closes = async { tokio::join!(probe.gateway.close(LONG * 100), probe.gateway.close(Duration::ZERO)) };
    let (exit, _) = soon(closes).await;
    assert_eq!(exit.reason.code, ReasonCode::KilledAtStop);
}
