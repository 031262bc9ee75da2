//! `plugin versions|rollback|pin|unpin|allow`: versions of plugins, and what an integration shows of them.

use super::daemon::Daemon;
use super::failure::Failure;
use super::output::{Output, Tone};
use super::table::{Table, Toned};
use super::when;
use crate::api::types::{Integration, PluginVersion};
use crate::integration::{NextStep, NextVersion, UpgradeView};

pub(super) async fn versions(daemon: &Daemon, name: &str, output: &Output) -> Result<(), Failure> {
    let versions = daemon.plugin_versions(name).await?;
    if output.json {
        return output.json(&versions);
    }
    if versions.is_empty() {
        return output.line(format!("No version of {name} is kept."));
    }
    output.line(listed(&versions, output))?;
    let waits = |version: &PluginVersion| version.next.values().any(|next| !next.wants.is_empty());
    if versions.iter().any(waits) {
        output.aside(format!("\nAllow it with:  {}", daemon.hints.command(&["plugin", "allow", name])));
    }
    Ok(())
}

fn listed(versions: &[PluginVersion], output: &Output) -> Table {
    let mut table = Table::new(output, &["VERSION", "SHA-256", "FILE", "RUNS", "PINNED", "NOTE"])
        .unbroken(&[0, 1, 2])
        .left_out_when_narrow(output, &[2, 4]);
    for version in versions {
        let names = |ids: &[gatehouse_plugin_api::ids::IntegrationId]| {
            ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let mut notes: Vec<String> =
            version.next.iter().map(|(id, next)| format!("{id}: {}", next_in_words(next))).collect();
        if !version.on_trial.is_empty() {
            notes.push(format!("on trial for {}", names(&version.on_trial)));
        }
        table.row([
            version.version.as_str().into(),
            version.sha256.get(..12).unwrap_or(&version.sha256).into(),
            version.file_name.as_deref().unwrap_or("-").into(),
            names(&version.running).into(),
            names(&version.pinned).into(),
            Toned::from(notes.join("; ")),
        ]);
    }
    table
}

/// Tells which version each integration runs after a change.
pub(super) fn told(integrations: &[Integration], output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.json(&integrations);
    }
    for integration in integrations {
        let version = integration.version.as_deref().unwrap_or("-");
        let mut words = vec![format!("{} runs version {version}", integration.id)];
        if integration.generation.is_none() {
            words = vec![format!("{} has version {version} ({})", integration.id, integration.actual.word())];
        }
        if let Some(pin) = &integration.upgrade.pin {
            words.push(format!("pinned to {}", pin.version));
        }
        if let Some(next) = &integration.upgrade.next {
            words.push(format!("{} {}", next.version, next_in_words(next)));
        }
        output.line(words.join("; "))?;
    }
    Ok(())
}

/// The rows of an integration that tell of other versions.
pub(super) fn rows(integration: &Integration, output: &Output) -> Vec<(&'static str, String)> {
    let UpgradeView { next, trial, pin } = &integration.upgrade;
    let id = integration.id.as_str();
    let mut rows = Vec::new();
    if let Some(next) = next {
        let text = format!("version {} {}", next.version, next_in_words(next));
        rows.push(("Next version", output.paint(Tone::Warn, text)));
        for (at, want) in next.wants.iter().enumerate() {
            rows.push((if at == 0 { "Wants to" } else { "" }, want.clone()));
        }
        if !next.wants.is_empty() {
            rows.push(("Allow it with", format!("gatehouse plugin allow {id}")));
        }
    }
    if let Some(trial) = trial {
        let text = format!("until {}, a failure goes back to {}", when::local(trial.until_ms), trial.from_version);
        rows.push(("On trial", text));
    }
    if let Some(pin) = pin {
        rows.push(("Pinned", format!("to {}: {}", pin.version, pin.why)));
        rows.push(("Unpin with", format!("gatehouse plugin unpin {id}")));
    }
    rows
}

/// Where another version stands, as the end of a sentence that begins with it.
pub(super) fn next_in_words(next: &NextVersion) -> String {
    let why = next.reason.as_ref().map_or(String::new(), |reason| format!(": {} ({})", reason.sentence, reason.code));
    match next.step {
        NextStep::Trying => "is being tried".to_owned(),
        NextStep::Waits => format!("waits{why}"),
        NextStep::Beside => "is started and about to take over".to_owned(),
        NextStep::Replacing => "takes over once the one in use has stopped".to_owned(),
        NextStep::Unused => "is not used".to_owned(),
    }
}
