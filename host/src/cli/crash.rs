//! `crash list|show`: what gateways left behind when they died.

use super::args;
use super::daemon::Daemon;
use super::failure::Failure;
use super::output::{Output, Tone};
use super::table::{Table, Toned, pairs};
use super::{when, words};
use crate::api::types::{CrashReport, CrashSummary};

pub(super) async fn run(daemon: &Daemon, command: &args::Crash, output: &Output) -> Result<(), Failure> {
    match command {
        args::Crash::List { integration } => list(daemon, integration.as_ref(), output).await,
        args::Crash::Show { id } => {
            let report = daemon.crash(*id).await?;
            if output.json { output.json(&report) } else { output.line(shown(&report, output)) }
        }
    }
}

async fn list(
    daemon: &Daemon,
    integration: Option<&gatehouse_plugin_api::ids::IntegrationId>,
    output: &Output,
) -> Result<(), Failure> {
    let crashes = daemon.crashes(integration).await?;
    if output.json {
        return output.json(&crashes);
    }
    let Some(last) = crashes.first() else { return output.line("No crashes.") };
    output.line(listed(&crashes, when::now_ms(), output))?;
    output.aside(format!("\nMore: {}", daemon.hints.command(&["crash", "show", &last.id.to_string()])));
    Ok(())
}

fn listed(crashes: &[CrashSummary], now_ms: i64, output: &Output) -> Table {
    let mut table = Table::new(output, &["ID", "INTEGRATION", "SIGNAL", "TIMES", "LAST", "DURING", "WHERE"])
        .unbroken(&[0, 1, 2, 3, 4])
        .left_out_when_narrow(output, &[3, 5]);
    for crash in crashes {
        table.row([
            crash.id.to_string().into(),
            crash.integration.to_string().into(),
            Toned(crash.signal.clone(), Tone::Bad),
            crash.count.to_string().into(),
            when::ago(crash.last_at_ms, now_ms).into(),
            crash.op.clone().unwrap_or_else(|| "-".to_owned()).into(),
            Toned::from(place(crash)),
        ]);
    }
    table
}

/// Where it happened.
pub(super) fn place(crash: &CrashSummary) -> String {
    crash.place.as_ref().map_or_else(|| "location unknown".to_owned(), ToString::to_string)
}

fn shown(report: &CrashReport, output: &Output) -> String {
    let crash = &report.record.crash;
    let times = match report.count {
        1 => when::local(report.last_at_ms),
        count => {
            format!("{count} times, last {}, first {}", when::local(report.last_at_ms), when::local(report.first_at_ms))
        }
    };
    let mut rows = vec![
        ("Crash", report.id.to_string()),
        ("Integration", report.integration.to_string()),
        ("When", times),
        ("Why", format!("{} ({})", crash.reason.sentence, crash.reason.code)),
    ];
    if let Some(cause) = &crash.reason.cause {
        rows.push(("Printed last", cause.clone()));
    }
    rows.push(("Where", crash.place.as_ref().map_or_else(unknown, ToString::to_string)));
    if let Some(address) = crash.address {
        rows.push(("Address", format!("0x{address:x}")));
    }
    if let Some(thread) = &crash.thread {
        rows.push(("Thread", thread.clone()));
    }
    let calls: Vec<_> =
        crash.calls.iter().map(|call| format!("{}, for {}", call.op, words::millis(call.age_ms))).collect();
    rows.push(("During", if calls.is_empty() { "no call".to_owned() } else { calls.join("; ") }));
    let generation: String = crash.generation.chars().take(12).collect();
    rows.push(("File", format!("{} {}, generation {generation}", crash.file_name, crash.version)));
    rows.push(("Run", words::hosting(crash.hosting).0));
    if let Some(used) = crash.used {
        let memory = words::number_with_unit(used.memory_bytes as f64, "B");
        let lived = crash.lived_ms.map_or_else(String::new, |ms| format!(" in {}", words::millis(ms)));
        rows.push(("Used", format!("{memory} of memory at most, {} of CPU{lived}", words::millis(used.cpu_ms))));
    }
    if !report.advice.is_empty() {
        rows.push(("What to do", report.advice.clone()));
    }
    let mut text = pairs(output, &rows);
    if !crash.callers.is_empty() {
        let callers: Vec<_> = crash.callers.iter().map(|place| format!("  {place}")).collect();
        let title = output.paint(Tone::Strong, "Called from (as the stack has it; some may have returned before)");
        text.push_str(&format!("\n\n{title}\n{}", callers.join("\n")));
    }
    if !report.record.lines.is_empty() {
        let lines: Vec<_> = report.record.lines.iter().map(|line| super::log::text(line, output)).collect();
        let title = output.paint(Tone::Strong, "Its last lines of the log");
        text.push_str(&format!("\n\n{title}\n{}", lines.join("\n")));
    }
    text
}

fn unknown() -> String {
    "location unknown: nothing in the process could tell (a thread without room on its stack, a handler of the \
     plugin's own, or a signal that cannot be caught)"
        .to_owned()
}
