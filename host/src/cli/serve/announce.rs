//! What the daemon says while it serves: one line for each plugin that comes, goes or is refused, and for each change of
//! an integration.
//!
//! It listens to the daemon's own event stream like any client, so it says what every client sees. It has a thread of
//! its own, because a terminal that was stopped holds up whoever writes to it.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use gatehouse_plugin_api::ids::IntegrationId;

use super::super::{when, words};
use super::greet;
use crate::api::types::{Integration, LifecycleEvent, Plugin, PluginChange, PluginEvent};
use crate::cli::daemon::Daemon;
use crate::cli::failure::Failure;
use crate::cli::hint::Hints;
use crate::cli::output::{Output, Tone};
use crate::cli::table::Toned;
use crate::integration::Actual;
use crate::plugin::Decision;
use crate::serve::Ready;
use crate::store::Desired;

const PATH: &str = "/v1/events?lifecycle=true&plugins=true";

/// Begins to say where everything is, what is there and what changes, until the process ends.
///
/// # Errors
/// When there can be no thread for it.
pub(super) fn start(ready: Ready, config: PathBuf, daemon: Daemon, output: Output) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("announce".into()).spawn(move || {
        // A closed output is no reason to stop: the daemon serves without it, and says everything else in its log.
        let _ = runtime.block_on(follow(&ready, &config, &daemon, &output));
    })?;
    Ok(())
}

async fn follow(ready: &Ready, config: &Path, daemon: &Daemon, output: &Output) -> Result<(), Failure> {
    let failure = |error| daemon.failure(&error);
    let mut stream = daemon.events(PATH, None).await.map_err(failure)?;
    let mut last = HashMap::new();
    let plugins = daemon.plugins().await?;
    greet::say(ready, config, &plugins, &daemon.hints, output)?;
    let integrations = daemon.integrations().await?;
    for plugin in plugins {
        if plugin.decision != Decision::Gone {
            say(output, verdict(&plugin, &daemon.hints, output))?;
        }
    }
    for integration in integrations {
        say(output, change(&mut last, &integration, output))?;
    }
    while let Some(event) = stream.next().await.map_err(failure)? {
        if output.json {
            if matches!(event.event.as_str(), "plugin" | "lifecycle") {
                let data: serde_json::Value = event.json().map_err(failure)?;
                output.json_line(&serde_json::json!({ "event": event.event, "data": data }))?;
            }
            continue;
        }
        match event.event.as_str() {
            "plugin" => {
                let event: PluginEvent = event.json().map_err(failure)?;
                if let (PluginChange::Verdict, Some(plugin)) = (event.change, &event.plugin) {
                    say(output, verdict(plugin, &daemon.hints, output))?;
                }
            }
            "lifecycle" => {
                let event: LifecycleEvent = event.json().map_err(failure)?;
                match &event.integration {
                    Some(integration) => say(output, change(&mut last, integration, output))?,
                    None if last.remove(&event.id).is_some() => say(output, Some(format!("{} is deleted", event.id)))?,
                    None => {}
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn say(output: &Output, line: Option<String>) -> Result<(), Failure> {
    match line {
        Some(line) if !output.json => {
            output.line(format!("{} {line}", output.paint(Tone::Dim, when::clock(when::now_ms()))))
        }
        _ => Ok(()),
    }
}

/// A file's verdict as one line.
fn verdict(plugin: &Plugin, hints: &Hints, output: &Output) -> Option<String> {
    let name = match &plugin.manifest {
        Some(manifest) => format!("{} {}", manifest.id, manifest.version),
        None => plugin.file_name.clone(),
    };
    let why = hints.command(&["plugin", "why", &plugin.file_name]);
    Some(match plugin.decision {
        Decision::Accepted => {
            let there = format!("{} is there", output.paint(Tone::Good, name));
            match &plugin.manifest {
                Some(manifest) if plugin.integrations.is_empty() => {
                    format!(
                        "{there}: activate it with  {}",
                        hints.command(&["integration", "activate", manifest.id.as_str()])
                    )
                }
                _ => there,
            }
        }
        Decision::Shadowed => {
            format!(
                "{} is not used: {}: see  {why}",
                output.paint(Tone::Warn, &plugin.file_name),
                plugin.reason.sentence
            )
        }
        Decision::Refused => {
            format!(
                "{} was refused: {}: see  {why}",
                output.paint(Tone::Bad, &plugin.file_name),
                plugin.reason.sentence
            )
        }
        Decision::Gone => format!("{} is gone", output.paint(Tone::Warn, &plugin.file_name)),
    })
}

/// What was said last of an integration: its state, and the content that it ran.
type Said = (String, Option<String>);

/// An integration's state, or the content that it runs, when it is another than the last one said; what passes in a
/// moment is not said.
fn change(last: &mut HashMap<IntegrationId, Said>, integration: &Integration, output: &Output) -> Option<String> {
    let passing = matches!(integration.actual, Actual::Starting | Actual::Stopping);
    let off = integration.desired == Desired::Off && !last.contains_key(&integration.id);
    if passing || off {
        return None;
    }
    let Toned(word, tone) = words::actual(&integration.actual, when::now_ms());
    let reason =
        if words::needs_attention(integration) { format!(": {}", integration.reason.sentence) } else { String::new() };
    // The time of the next attempt alone is no change.
    let state = format!("{:?}{reason}", std::mem::discriminant(&integration.actual));
    let generation = integration.generation.clone();
    let id = output.paint(Tone::Strong, &integration.id);
    match last.insert(integration.id.clone(), (state.clone(), generation.clone())) {
        Some((said, before)) if said == state => match (before, &generation, &integration.version) {
            (Some(before), Some(now), Some(version)) if before != *now => {
                Some(format!("{id} runs the new file: version {version}, content {}", now.get(..12).unwrap_or(now)))
            }
            _ => None,
        },
        _ => Some(format!("{id} is {}{reason}", output.paint(tone, word))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::samples;
    use crate::reason::ReasonCode;

    #[test]
    fn a_state_is_said_once_and_a_new_content_that_runs_is_said() {
        let output = Output::plain(80);
        let mut last = HashMap::new();
        let mut house = samples::integration("house", Actual::Running, ReasonCode::AsWanted, "it runs", 0);
        house.generation = Some("464bb6103a6b0000".to_owned());
        house.version = Some("0.2.0".to_owned());
        assert_eq!(change(&mut last, &house, &output).as_deref(), Some("house is running"));
        assert_eq!(change(&mut last, &house, &output), None);
        house.actual = Actual::Stopping;
        assert_eq!(change(&mut last, &house, &output), None, "it passes");
        house.actual = Actual::Running;
        house.generation = Some("702450d8258500000".to_owned());
        let expected = "house runs the new file: version 0.2.0, content 702450d82585";
        assert_eq!(change(&mut last, &house, &output).as_deref(), Some(expected));
    }
}
