//! `status`: how the daemon is and where its things are.

use super::daemon::Daemon;
use super::failure::Failure;
use super::output::{Output, Tone};
use super::table::pairs;
use super::{when, words};
use crate::api::types::{Missing, Status};

pub(super) async fn run(daemon: &Daemon, output: &Output) -> Result<(), Failure> {
    let status = daemon.status().await?;
    if output.json {
        return output.json(&status);
    }
    output.line(text(&status, output))
}

fn text(status: &Status, output: &Output) -> String {
    let counted = |counts: &std::collections::BTreeMap<String, u32>| {
        let parts: Vec<_> =
            counts.iter().filter(|(_, n)| **n > 0).map(|(word, n)| format!("{n} {}", word.replace('_', " "))).collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    };
    let folder = &status.plugins_folder;
    let plugins_folder = if folder.usable {
        folder.path.clone()
    } else {
        format!("{}\n{}", folder.path, output.paint(Tone::Bad, &folder.problem))
    };
    let mut database = format!("{} ({})", status.database, words::bytes(status.database_bytes));
    if !status.database_problem.is_empty() {
        database = format!("{database}\n{}", output.paint(Tone::Bad, &status.database_problem));
    }
    if !status.database_rescue.is_empty() {
        database = format!("{database}\n{}", output.paint(Tone::Warn, &status.database_rescue));
    }
    let mut rows = vec![
        ("Gatehouse", format!("{} (plugin API {}), process {}", status.version, status.api_version, status.pid)),
        ("Running", format!("{}, since {}", when::span(status.uptime_ms), when::local(status.started_at_ms))),
        ("Integrations", counted(&status.integrations)),
        ("Plugin files", counted(&status.plugins)),
        ("Entities", format!("{} with {} states", status.entities, status.states)),
        ("Plugins folder", plugins_folder),
        ("Socket", status.socket.clone()),
        ("Database", database),
        ("Configuration", status.config_file.clone()),
    ];
    if !status.in_process.is_empty() {
        let ids: Vec<_> = status.in_process.iter().map(ToString::to_string).collect();
        let text = format!("{}: a crash there is a crash of the daemon", ids.join(", "));
        rows.insert(3, ("In-process", output.paint(Tone::Warn, text)));
    }
    for (at, Missing { part, means }) in status.sandbox_missing.iter().enumerate() {
        let text = format!("without {part}: {means}");
        rows.push((if at == 0 { "Sandbox" } else { "" }, output.paint(Tone::Warn, text)));
    }
    if status.log.dropped > 0 {
        rows.push(("Log", format!("{} lines of plugins were dropped: too many came", status.log.dropped)));
    }
    pairs(output, &rows)
}
