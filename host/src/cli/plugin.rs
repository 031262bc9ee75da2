//! `plugin list|show|why|inspect`: plugin files, their verdicts and what they say of themselves.

use std::path::Path;

use gatehouse_plugin_api::attribute::{AttributeSpec, PlainValue, ValueType};
use gatehouse_plugin_api::duration::format_ms;
use gatehouse_plugin_api::manifest::Manifest;

use super::daemon::Daemon;
use super::failure::{FAILED, Failure};
use super::output::{Output, Tone};
use super::table::{Table, Toned, pairs};
use super::{version, when, words};
use crate::api::types::Plugin;
use crate::config::Config;
use crate::home::Home;
use crate::nearest::nearest;
use crate::plugin::Decision;
use crate::plugin::inspection::inspect_file;

pub(super) async fn list(daemon: &Daemon, output: &Output) -> Result<(), Failure> {
    let plugins = daemon.plugins().await?;
    if output.json {
        return output.json(&plugins);
    }
    if plugins.is_empty() {
        let folder = daemon.status().await?.plugins_folder.path;
        return output.line(format!("No plugin files. Drop a plugin's .so file into {folder}"));
    }
    output.line(listed(&plugins, output))?;
    if let Some(refused) = plugins.iter().find(|plugin| plugin.decision == Decision::Refused) {
        output.aside(format!("\nWhy: {}", daemon.hints.command(&["plugin", "why", &refused.file_name])));
    }
    Ok(())
}

fn listed(plugins: &[Plugin], output: &Output) -> Table {
    let mut table = Table::new(output, &["FILE", "TYPE", "VERSION", "VERDICT", "INTEGRATIONS", "NOTE"])
        .unbroken(&[0, 1, 2, 3])
        .left_out_when_narrow(output, &[2, 4]);
    for plugin in plugins {
        let manifest = plugin.manifest.as_ref();
        let integrations: Vec<_> = plugin.integrations.iter().map(ToString::to_string).collect();
        let reason = match plugin.decision {
            Decision::Accepted => manifest.map_or(String::new(), |manifest| manifest.label.clone()),
            _ => plugin.reason.sentence.clone(),
        };
        table.row([
            plugin.file_name.as_str().into(),
            manifest.map_or("-".into(), |manifest| manifest.id.to_string().into()),
            manifest.map_or("-".into(), |manifest| manifest.version.as_str().into()),
            words::decision(plugin.decision),
            integrations.join(", ").into(),
            Toned::from(reason),
        ]);
    }
    table
}

pub(super) async fn show(daemon: &Daemon, name: &str, output: &Output) -> Result<(), Failure> {
    let plugin = found(daemon, name).await?;
    if output.json {
        return output.json(&plugin);
    }
    output.line(shown(&plugin, output))
}

pub(super) async fn why(daemon: &Daemon, name: &str, output: &Output) -> Result<(), Failure> {
    let plugin = found(daemon, name).await?;
    if output.json {
        let mut upgrades = std::collections::BTreeMap::new();
        for id in &plugin.integrations {
            upgrades.insert(id.to_string(), daemon.integration(id).await?.upgrade);
        }
        return output.json(&serde_json::json!({
            "file_name": plugin.file_name, "decision": plugin.decision, "reason": plugin.reason, "advice": plugin.advice,
            "problem": plugin.problem, "upgrades": upgrades,
        }));
    }
    output.line(reasons(&plugin, output))?;
    for id in &plugin.integrations {
        let integration = daemon.integration(id).await?;
        let rows = version::rows(&integration, output);
        if !rows.is_empty() {
            let text =
                format!("\n{id} runs {}\n{}", integration.version.as_deref().unwrap_or("-"), pairs(output, &rows));
            output.line(daemon.hints.in_words(&text))?;
        }
    }
    if plugin.decision == Decision::Accepted
        && plugin.integrations.is_empty()
        && let Some(manifest) = &plugin.manifest
    {
        let command = daemon.hints.command(&["integration", "activate", manifest.id.as_str()]);
        output.line(format!("\nActivate it with:  {command}"))?;
    }
    Ok(())
}

/// A file, looked up by its name or its type; a mistyped one is told with the nearest.
async fn found(daemon: &Daemon, name: &str) -> Result<Plugin, Failure> {
    let plugins = daemon.plugins().await?;
    let exact = plugins.iter().any(|plugin| {
        plugin.file_name == name || plugin.manifest.as_ref().is_some_and(|manifest| manifest.id.as_str() == name)
    });
    if exact {
        return daemon.plugin(name).await;
    }
    let names = plugins.iter().flat_map(|plugin| {
        [Some(plugin.file_name.as_str()), plugin.manifest.as_ref().map(|manifest| manifest.id.as_str())]
    });
    let failure = Failure::failed(format!("there is no plugin file or type {name:?}"));
    Err(match nearest(name, names.flatten()) {
        Some(near) => failure.advise(format!("did you mean {near:?}?")),
        None => failure.advise(format!("see what is there: {}", daemon.hints.command(&["plugin", "list"]))),
    })
}

/// Inspects a file in this process, which runs nothing of it.
pub(super) fn inspect(home: &Home, file: &Path, output: &Output) -> Result<(), Failure> {
    // In the plugins folder a file may come and go; one that a person names is there, or was mistyped.
    std::fs::symlink_metadata(file).map_err(|error| Failure::io(file.display(), &error))?;
    // The home's bound on the size holds here too; a configuration with mistakes leaves the default one.
    let config = Config::load(&home.config_file(), true).unwrap_or_default();
    let verdict = inspect_file(file, config.plugins.max_file_mb.saturating_mul(1024 * 1024));
    let plugin = Plugin::from(&verdict);
    if output.json {
        output.json(&plugin)?;
    } else {
        output.line(shown(&plugin, output))?;
    }
    if plugin.decision == Decision::Refused { Err(Failure::Silent { code: FAILED }) } else { Ok(()) }
}

fn reasons(plugin: &Plugin, output: &Output) -> String {
    let Toned(word, tone) = words::decision(plugin.decision);
    let mut rows = vec![
        ("File", plugin.file_name.clone()),
        ("Verdict", format!("{}, {}", output.paint(tone, &word), when::local(plugin.decided_at_ms))),
        ("Reason", plugin.reason.sentence.clone()),
    ];
    if plugin.reason.code.as_str() != word {
        rows.push(("Code", plugin.reason.code.to_string()));
    }
    if let Some(cause) = &plugin.reason.cause {
        rows.push(("Cause", cause.clone()));
    }
    if !plugin.advice.is_empty() {
        rows.push(("What to do", plugin.advice.clone()));
    }
    if let Some(problem) = &plugin.problem {
        let text = format!("{} ({})", problem, problem.code);
        rows.push(("Last activation", output.paint(Tone::Bad, text)));
        if !problem.code.advice().is_empty() {
            rows.push(("What to do", problem.code.advice().to_owned()));
        }
    }
    pairs(output, &rows)
}

fn shown(plugin: &Plugin, output: &Output) -> String {
    let mut text = reasons(plugin, output);
    let mut rows = Vec::new();
    if let Some(size) = plugin.size_bytes {
        rows.push(("Size", words::bytes(size)));
    }
    if let Some(sha256) = &plugin.sha256 {
        rows.push(("SHA-256", sha256.clone()));
    }
    if !plugin.integrations.is_empty() {
        rows.push(("Integrations", plugin.integrations.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")));
    }
    if let Some(manifest) = &plugin.manifest {
        rows.extend(manifest_rows(manifest));
    }
    if !rows.is_empty() {
        text.push_str("\n\n");
        text.push_str(&pairs(output, &rows));
    }
    if let Some(manifest) = plugin.manifest.as_ref().filter(|manifest| !manifest.attributes.is_empty()) {
        text.push_str(&format!(
            "\n\n{}\n{}",
            output.paint(Tone::Strong, "Settings"),
            settings(&manifest.attributes, output)
        ));
    }
    text
}

fn manifest_rows(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let needs: Vec<_> = manifest.capabilities.iter().map(|capability| capability.sentence()).collect();
    let rows = [
        ("Type", manifest.id.to_string()),
        ("Label", manifest.label.clone()),
        ("Description", manifest.description.clone()),
        ("Version", manifest.version.clone()),
        ("Plugin API", format!("{} (abi epoch {})", manifest.api_version, manifest.abi_epoch)),
        ("Polled", manifest.poll_interval_ms.map_or("never".to_owned(), |ms| format!("every {}", format_ms(ms)))),
        ("Needs to", needs.join("\n")),
        ("Built for", built_for(manifest)),
        ("Authors", manifest.authors.clone()),
        ("Licence", manifest.licence.clone()),
        ("Homepage", manifest.homepage.clone()),
    ];
    rows.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn built_for(manifest: &Manifest) -> String {
    let mut parts = vec![manifest.target.clone()];
    if !manifest.rustc.is_empty() {
        parts.push(manifest.rustc.clone());
    }
    parts.push(format!("panic = {}", manifest.panic_strategy));
    parts.join(", ")
}

/// The table of what may be set.
pub(super) fn settings(specs: &[AttributeSpec], output: &Output) -> Table {
    let mut table = Table::new(output, &["KEY", "TAKES", "DEFAULT", "WHAT IT IS"]).unbroken(&[0]);
    for spec in specs {
        let default = match &spec.default {
            Some(value) => plain(value, &spec.value_type),
            None if spec.required => "(required)".to_owned(),
            None => String::new(),
        };
        table.row([spec.key.clone(), takes(&spec.value_type), default, spec.label.clone()]);
    }
    table
}

/// What may be entered, in words.
pub(super) fn takes(value_type: &ValueType) -> String {
    let range = |min: Option<String>, max: Option<String>| match (min, max) {
        (Some(min), Some(max)) => format!(", {min} to {max}"),
        (Some(min), None) => format!(", at least {min}"),
        (None, Some(max)) => format!(", at most {max}"),
        (None, None) => String::new(),
    };
    match value_type {
        ValueType::Text | ValueType::Unknown => "text".to_owned(),
        ValueType::Number { min, max, integer } => {
            let kind = if *integer { "whole number" } else { "number" };
            format!("{kind}{}", range(min.map(|n| n.to_string()), max.map(|n| n.to_string())))
        }
        ValueType::Switch => "on or off".to_owned(),
        ValueType::Choice { options } => {
            options.iter().map(|option| option.value.as_str()).collect::<Vec<_>>().join(" | ")
        }
        ValueType::Url => "URL".to_owned(),
        ValueType::FilePath => "path".to_owned(),
        ValueType::Secret => "secret".to_owned(),
        ValueType::Duration { min_ms, max_ms } => {
            format!("duration{}", range(min_ms.map(format_ms), max_ms.map(format_ms)))
        }
    }
}

/// A value as it is typed.
pub(super) fn plain(value: &PlainValue, value_type: &ValueType) -> String {
    match (value, value_type) {
        (PlainValue::Integer(ms), ValueType::Duration { .. }) => u64::try_from(*ms).map_or(ms.to_string(), format_ms),
        (PlainValue::Bool(on), _) => if *on { "on" } else { "off" }.to_owned(),
        (value, _) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::samples;
    use crate::reason::ReasonCode;

    #[test]
    fn refused_files_stand_with_their_reason() {
        let refused = samples::plugin(
            "libmine.so",
            Decision::Refused,
            ReasonCode::NewerGlibc,
            "libmine.so needs GLIBC_2.41 and this system has 2.36",
        );
        let gone = samples::plugin("old.so", Decision::Gone, ReasonCode::FileGone, "old.so is no longer there");
        let output = Output::plain(90);
        let text = format!("{}\n\n{}", listed(&[refused, gone.clone()], &output), shown(&gone, &output));
        // Times are local: they differ from machine to machine.
        insta::assert_snapshot!(text.replace(&when::local(0), "TIME"));
    }
}
