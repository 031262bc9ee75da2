//! `explain`: why an integration is as it is, from the wish to what can be done.

use gatehouse_plugin_api::ids::IntegrationId;

use super::daemon::Daemon;
use super::failure::Failure;
use super::hint::Hints;
use super::output::{Output, Tone};
use super::table::{Toned, pairs};
use super::{crash, when, words};
use crate::api::types::{Explanation, Refusal};
use crate::gateway::Hosting;

/// Failures that are shown; the newest ones.
const FAILURES: usize = 5;
/// Refusals that are shown.
const REFUSALS: usize = 5;

pub(super) async fn run(daemon: &Daemon, id: &IntegrationId, output: &Output) -> Result<(), Failure> {
    let told = daemon.explain(id).await?;
    if output.json {
        return output.json(&told);
    }
    output.line(shown(&told, &daemon.hints, output))
}

fn shown(told: &Explanation, hints: &Hints, output: &Output) -> String {
    let now_ms = told.at_ms;
    let toned = |Toned(text, tone): Toned| output.paint(tone, text);
    let mut rows = vec![("Integration", told.id.to_string()), ("Wanted", words::desired(told.desired).to_owned())];
    let state = toned(words::actual(&told.actual, now_ms));
    rows.push(("Is", format!("{state}, since {} ({})", when::local(told.since_ms), when::ago(told.since_ms, now_ms))));
    rows.push(("Why", format!("{} ({})", told.reason.sentence, told.reason.code)));
    if let Some(cause) = &told.reason.cause {
        rows.push(("Cause", cause.clone()));
    }
    if let Some(next) = told.next_retry_ms {
        rows.push(("Next try", format!("{}, by itself", when::ago(next, now_ms))));
    }
    rows.push(("Plugin file", file(told)));
    let pid = told.pid.map_or_else(String::new, |pid| format!(", process {pid}"));
    let run = match told.hosting {
        Hosting::Isolated => format!("in a worker of its own{pid}"),
        Hosting::InProcess => "in the daemon's own process: a crash of it is a crash of the daemon".to_owned(),
    };
    rows.push(("Run", if told.moved.is_empty() { run } else { format!("{run}. {}", told.moved) }));
    if !told.health.message.is_empty() {
        rows.push(("Health", format!("{}: {}", words::health(told.health.status).0, told.health.message)));
    }
    rows.push(("Last call", last_call(told, now_ms)));
    if !told.in_flight.is_empty() {
        let calls = told.in_flight.iter().map(|call| format!("{} for {}", call.op, words::millis(call.age_ms)));
        rows.push(("Under way", calls.collect::<Vec<_>>().join("; ")));
    }
    let last = told.last_success_ms.map_or_else(|| "nothing yet".to_owned(), |at| when::ago(at, now_ms));
    rows.push(("Last success", last));
    if !told.failures.is_empty() {
        rows.push(("Failures", failures(told)));
    }
    if !told.refusals.is_empty() {
        let refused = told.refusals.iter().take(REFUSALS);
        let refused = refused.map(|Refusal { tried, count }| format!("{tried} ({count} times)"));
        rows.push(("Refused", refused.collect::<Vec<_>>().join("\n")));
    }
    if let Some(last) = &told.last_crash {
        let during = last.op.as_ref().map_or_else(String::new, |op| format!(" during {op}"));
        let (signal, at) = (&last.signal, when::ago(last.last_at_ms, now_ms));
        let times = if last.count > 1 { format!(", {} times", last.count) } else { String::new() };
        rows.push(("Last crash", format!("{signal}{during}, {at}{times}, in {}", crash::place(last))));
    }
    if !told.advice.is_empty() {
        rows.push(("What to do", hints.in_words(&told.advice)));
    }
    let mut text = pairs(output, &rows);
    if !told.can_do.is_empty() {
        let widest = told.can_do.iter().map(|one| one.what.chars().count()).max().unwrap_or(0) + 1;
        let line = |one: &crate::api::types::CanDo| {
            let command: Vec<_> = one.command.iter().map(String::as_str).collect();
            format!("  {:widest$}  {}", format!("{}:", one.what), hints.command(&command))
        };
        let lines: Vec<_> = told.can_do.iter().map(line).collect();
        text.push_str(&format!("\n\n{}\n{}", output.paint(Tone::Strong, "What you can do"), lines.join("\n")));
    }
    text
}

fn file(told: &Explanation) -> String {
    let Some(file) = &told.file else { return format!("none provides {}", told.integration_type) };
    let version = file.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
    let decision = words::decision(file.decision).0;
    let running = told.generation.as_ref().map_or_else(String::new, |sha256| {
        format!("; runs as generation {}", sha256.chars().take(12).collect::<String>())
    });
    let why = if decision == "accepted" { String::new() } else { format!(" ({})", file.reason.sentence) };
    format!("{}{version}, {decision}{why}{running}", file.name)
}

fn last_call(told: &Explanation, now_ms: i64) -> String {
    let Some(last) = &told.last_exchange else { return "none yet".to_owned() };
    let outcome = if last.outcome == "ok" { "answered".to_owned() } else { format!("failed ({})", last.outcome) };
    format!("{}, {}, {outcome} after {}", last.op, when::ago(last.began_ms, now_ms), words::millis(last.took_ms))
}

fn failures(told: &Explanation) -> String {
    let window = gatehouse_plugin_api::duration::format_ms(told.failures_within_ms);
    let head = format!("{} of late; {} within {window} make a quarantine", told.failures.len(), told.failures_limit);
    let skipped = told.failures.len().saturating_sub(FAILURES);
    let lines = told
        .failures
        .iter()
        .skip(skipped)
        .map(|failed| format!("{}  {}", when::clock(failed.at_ms), failed.reason.code));
    [head].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}
