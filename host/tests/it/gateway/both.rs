//! What is promised of a gateway however it is run.

use std::time::Duration;

use gatehouse_host::gateway::Hosting;
use gatehouse_host::reason::ReasonCode;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Blob, Emit, Log, LogFilter};
use gatehouse_plugin_api::ops::{self, Op};
use gatehouse_plugin_api::value::Value;

use super::probe::{LONG, Probe, soon};

macro_rules! on_both {
    ($($name:ident)*) => {
        mod isolated {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Hosting::Isolated).await; })*
        }
        mod in_process {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Hosting::InProcess).await; })*
        }
    };
}

on_both! {
    answers_what_it_was_asked
    many_calls_are_under_way_at_once
    an_operation_it_does_not_know_is_unsupported
    what_the_host_does_not_know_is_unsupported
    a_late_answer_is_a_missed_deadline_and_later_calls_go_on
    a_panic_is_an_error_with_its_place
    a_panic_in_a_task_is_an_error
    the_plugins_calls_come_in_their_order
    the_hosts_late_answer_holds_the_plugin_back
    large_payloads_arrive_whole
    more_than_a_frame_holds_is_refused
    closing_fails_what_is_under_way_and_what_comes_after
    closing_twice_is_closing_once
    values_are_kept_and_log_lines_arrive
    only_log_lines_that_are_wanted_cross
}

async fn answers_what_it_was_asked(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    assert_eq!(probe.gateway.hosting(), hosting);
    assert_eq!(probe.gateway.pid().is_some(), hosting == Hosting::Isolated);
    assert_eq!(probe.ask(&[("do", "echo"), ("text", "hällo")]).await.unwrap(), "hällo");
    assert_eq!(probe.ask(&[("do", "dance")]).await.unwrap_err().code, ErrorCode::NotFound);
}

async fn many_calls_are_under_way_at_once(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    let never = probe.begin(&[("do", "never")]).await;
    let texts: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let asked = texts.iter().map(|text| {
        let probe = &probe;
        async move {
            let asked = [("do", "echo"), ("text", text.as_str())];
            // Some wait, so that answers come in another order than the questions.
            let waits = [("do", "sleep"), ("ms", "1")];
            probe.ask(if text.ends_with('7') { &waits } else { &asked }).await.unwrap()
        }
    });
    let answers = futures_util::future::join_all(asked).await;
    for (text, answer) in texts.iter().zip(answers) {
        assert_eq!(answer, if text.ends_with('7') { "slept" } else { text });
    }
    soon(probe.gateway.close(LONG)).await;
    assert_eq!(never.error().await.code, ErrorCode::Gone);
}

async fn an_operation_it_does_not_know_is_unsupported(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    let op = Op { number: 999, name: "later", since_minor: 9, deadline: LONG };
    let error = probe.gateway.call_bytes(&op, Vec::new(), LONG).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unsupported, "{error}");
}

async fn what_the_host_does_not_know_is_unsupported(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    let error = probe.ask(&[("do", "keys")]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unsupported, "{error}");
}

async fn a_late_answer_is_a_missed_deadline_and_later_calls_go_on(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    let sleep = [("do", "sleep"), ("ms", "50")];
    let error = probe.ask_within(&sleep, Duration::from_millis(1)).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Deadline, "no answer came within 1ms"));
    // The late answer arrives before this one and goes nowhere.
    assert_eq!(probe.ask(&[("do", "sleep"), ("ms", "60")]).await.unwrap(), "slept");
    assert_eq!(probe.ask(&[("do", "echo"), ("text", "well")]).await.unwrap(), "well");
}

async fn a_panic_is_an_error_with_its_place(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    let error = probe.ask(&[("do", "panic")]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Panicked);
    assert!(error.message.contains("asked to panic"), "{error}");
    assert!(error.location.unwrap().contains("probe/src/lib.rs:"));
    assert_eq!(probe.ask(&[("do", "echo"), ("text", "still here")]).await.unwrap(), "still here");
}

async fn a_panic_in_a_task_is_an_error(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    let error = probe.ask(&[("do", "panic-in-task")]).await.unwrap_err();
    assert!(error.message.contains("panicked"), "{error}");
    assert_eq!(probe.ask(&[("do", "echo"), ("text", "still here")]).await.unwrap(), "still here");
}

async fn the_plugins_calls_come_in_their_order(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    assert_eq!(probe.ask(&[("do", "emit"), ("count", "500")]).await.unwrap(), "emitted 500");
    let readings: Vec<Value> = emitted(&probe).into_iter().flat_map(|emit| emit.readings).map(|r| r.value).collect();
    let wanted: Vec<Value> = (0..500).map(|number| Value::Number(f64::from(number))).collect();
    assert_eq!(readings, wanted);
}

async fn the_hosts_late_answer_holds_the_plugin_back(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    probe.host.hold();
    let gateway = std::sync::Arc::clone(&probe.gateway);
    let emitting = tokio::spawn(async move {
        let request = super::probe::request(&[("do", "emit"), ("count", "20000")]);
        gateway.call_bytes(&ops::MANAGE, gatehouse_plugin_api::wire::encode(&request), LONG).await
    });
    probe.host.until(|asked| asked.iter().any(|(op, _)| *op == ops::EMIT.number)).await;
    // Two answers later it has had every chance to go on, and has waited.
    assert_eq!(probe.ask(&[("do", "sleep"), ("ms", "20")]).await.unwrap(), "slept");
    assert_eq!(emitted(&probe).len(), 1);
    assert!(!emitting.is_finished());
    probe.host.let_go();
    soon(emitting).await.unwrap().unwrap();
    assert_eq!(emitted(&probe).iter().map(|emit| emit.readings.len()).sum::<usize>(), 20_000);
}

fn emitted(probe: &Probe) -> Vec<Emit> {
    probe.host.requests(&ops::EMIT)
}

async fn large_payloads_arrive_whole(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    for size in [1, 70_000, 1 << 20, 15 << 20] {
        #[expect(clippy::cast_possible_truncation, reason = "a pattern")]
        let bytes: Vec<u8> = (0..size).map(|at| (at * 7 / 3) as u8).collect();
        let () = probe.gateway.call_within(&ops::IMPORT_STATE, &Blob { bytes: bytes.clone() }, LONG).await.unwrap();
        let back: Blob = probe.gateway.call_within(&ops::EXPORT_STATE, &(), LONG).await.unwrap();
        assert!(back.bytes == bytes, "{size} bytes");
    }
}

async fn more_than_a_frame_holds_is_refused(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    let blob = Blob { bytes: vec![1; 17 << 20] };
    let imported: Result<(), _> = probe.gateway.call_within(&ops::IMPORT_STATE, &blob, LONG).await;
    assert_eq!(imported.unwrap_err().code, ErrorCode::InvalidRequest);
    assert_eq!(probe.ask(&[("do", "echo"), ("text", "well")]).await.unwrap(), "well");
}

async fn closing_fails_what_is_under_way_and_what_comes_after(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    let never = probe.begin(&[("do", "never")]).await;
    let exit = soon(probe.gateway.close(LONG)).await;
    assert_eq!(exit.reason.code, ReasonCode::AsWanted, "{}", exit.reason);
    assert_eq!(never.error().await.code, ErrorCode::Gone);
    assert_eq!(probe.ask(&[("do", "echo")]).await.unwrap_err().code, ErrorCode::Gone);
}

async fn closing_twice_is_closing_once(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    let (first, second) = soon(async { tokio::join!(probe.gateway.close(LONG), probe.gateway.close(LONG)) }).await;
    assert_eq!(first, second);
    assert_eq!(soon(probe.gateway.ended()).await, first);
    assert_eq!(soon(probe.gateway.close(Duration::ZERO)).await, first);
}

async fn values_are_kept_and_log_lines_arrive(hosting: Hosting) {
    let probe = Probe::launch(hosting).await;
    assert_eq!(probe.ask(&[("do", "keep"), ("key", "k"), ("text", "v")]).await.unwrap(), "v");
    assert_eq!(probe.ask(&[("do", "log"), ("text", "forty-two")]).await.unwrap(), "logged");
    probe.host.until(|asked| asked.iter().any(|(op, _)| *op == ops::LOG.number)).await;
    let records = probe.host.requests::<Log>(&ops::LOG).into_iter().flat_map(|log| log.records);
    let line = records.into_iter().find(|record| record.message == "a line of the log").unwrap();
    assert_eq!(line.fields, [("text".to_owned(), "forty-two".to_owned())]);
}

async fn only_log_lines_that_are_wanted_cross(hosting: Hosting) {
    // Wanted from the start on, then for a while, then no more.
    let probe = Probe::launch_logging("warn", hosting).await;
    for (filter, say) in [(None, "never"), (Some("info"), "wanted"), (Some("off"), "no more"), (Some("info"), "last")] {
        if let Some(filter) = filter {
            let filter = LogFilter { filter: filter.to_owned() };
            let () = probe.gateway.call(&ops::SET_LOG_FILTER, &filter).await.unwrap();
        }
        assert_eq!(probe.ask(&[("do", "log"), ("text", say)]).await.unwrap(), "logged");
    }
    let said = |probe: &Probe| -> Vec<String> {
        let records = probe.host.requests::<Log>(&ops::LOG).into_iter().flat_map(|log| log.records);
        let records = records.filter(|record| record.message == "a line of the log");
        records
            .filter_map(|record| record.fields.into_iter().find(|(key, _)| key == "text"))
            .map(|(_, text)| text)
            .collect()
    };
    probe.host.until(|_| said(&probe).iter().any(|text| text == "last")).await;
    assert_eq!(said(&probe), ["wanted", "last"]);
}
