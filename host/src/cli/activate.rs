//! `integration activate` and `deactivate`: which flow to open, and what to tell at its end.

use std::time::Duration;

use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use gatehouse_plugin_api::value::{StateKind, Value};
use serde_json::json;

use super::args;
use super::daemon::Daemon;
use super::failure::Failure;
use super::flow::{Driver, not_used};
use super::output::{Output, Tone};
use super::table::{Table, Toned};
use super::{state, when, words};
use crate::api::types::{FlowBeginRequest, Integration, Plugin, State};
use crate::integration::{Actual, FlowKind};
use crate::nearest::nearest;
use crate::plugin::Decision;
use crate::store::Desired;

/// How long the first readings are waited for, in looks.
const LOOKS: u32 = 30;
/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The step of the host's deactivation flow that asks what to keep.
const HOW: &str = "deactivate";
/// The step that wants the id typed before everything is deleted.
const TYPED_ID: &str = "delete_all";
/// How many states are listed at the end.
const SHOWN: usize = 8;

pub(super) async fn activate(daemon: &Daemon, wanted: &args::Activate, output: &Output) -> Result<(), Failure> {
    let mut driver = Driver::new(daemon, output, &wanted.answers)?;
    let (begin, plugin) = activation(daemon, wanted).await?;
    if let Some(manifest) = plugin.as_ref().and_then(|plugin| plugin.manifest.as_ref()) {
        driver.expect_keys(manifest.attributes.iter().map(|spec| spec.key.as_str()));
    }
    let before = daemon.integrations().await?;
    let flow = daemon.flow_begin(&begin).await?;
    let id = flow.integration.clone();
    if before.iter().any(|integration| integration.id == id && integration.desired == Desired::On) {
        output.aside(format!("{id} is set up already: this sets it up anew, from the settings it has"));
    }
    let info_message = driver.drive(flow).await?;
    let integration = settled(daemon, &id).await?;
    if output.json {
        output.json(&json!({ "integration": integration, "info_message": info_message }))?;
    } else {
        tell(daemon, &integration, &info_message, output).await?;
    }
    after(&driver)
}

/// What to open: the type of a plugin, or an integration that is there and is set up anew.
async fn activation(daemon: &Daemon, wanted: &args::Activate) -> Result<(FlowBeginRequest, Option<Plugin>), Failure> {
    let name = wanted.integration_type.as_str();
    let plugins = daemon.plugins().await?;
    let types = || plugins.iter().filter_map(|plugin| plugin.manifest.as_ref().map(|manifest| (plugin, &manifest.id)));
    let usable = types().find(|(plugin, id)| id.as_str() == name && plugin.decision == Decision::Accepted);
    if let Some((plugin, id)) = usable {
        let begin = FlowBeginRequest {
            kind: FlowKind::Activate,
            integration_type: Some(id.clone()),
            integration: wanted.id.clone(),
            take_over: wanted.take_over,
        };
        return Ok((begin, Some(plugin.clone())));
    }
    let integrations = daemon.integrations().await?;
    if let Some(integration) = integrations.iter().find(|integration| integration.id.as_str() == name) {
        if wanted.id.is_some() {
            return Err(Failure::usage(format!("{name:?} is an integration that has its id: --id is for new ones")));
        }
        let begin = FlowBeginRequest {
            kind: FlowKind::Activate,
            integration_type: None,
            integration: Some(integration.id.clone()),
            take_over: wanted.take_over,
        };
        return Ok((begin, None));
    }
    if let Some((plugin, _)) = types().find(|(_, id)| id.as_str() == name) {
        let command = daemon.hints.command(&["plugin", "why", &plugin.file_name]);
        return Err(Failure::failed(format!("{} cannot be used: {}", plugin.file_name, plugin.reason.sentence))
            .advise(format!("see {command}")));
    }
    IntegrationType::new(name).map_err(Failure::usage)?;
    let names =
        types().map(|(_, id)| id.as_str()).chain(integrations.iter().map(|integration| integration.id.as_str()));
    let failure = Failure::failed(format!("there is no integration type {name:?}"));
    Err(match nearest(name, names) {
        Some(near) => failure.advise(format!("did you mean {near:?}?")),
        None => failure.advise(format!("see what there is: {}", daemon.hints.command(&["plugin", "list"]))),
    })
}

/// The integration once it is known how it started, or after a few seconds as it is.
async fn settled(daemon: &Daemon, id: &IntegrationId) -> Result<Integration, Failure> {
    let mut integration = daemon.integration(id).await?;
    for _ in 0..LOOKS {
        let starting = matches!(integration.actual, Actual::Starting | Actual::Stopping);
        let empty = matches!(integration.actual, Actual::Running) && integration.entities == 0;
        if !starting && !empty {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        integration = daemon.integration(id).await?;
    }
    Ok(integration)
}

async fn tell(daemon: &Daemon, integration: &Integration, info_message: &str, output: &Output) -> Result<(), Failure> {
    let Toned(word, tone) = words::actual(&integration.actual, when::now_ms());
    let wrapped = |text: &str| words::wrapped(text, output.width.map_or(usize::MAX, usize::from));
    output.line(format!("\n{} is {}", output.paint(Tone::Strong, &integration.id), output.paint(tone, word)))?;
    if !info_message.is_empty() {
        output.line(wrapped(info_message))?;
    }
    if words::needs_attention(integration) {
        output.line(format!("{}: {}", integration.reason.code, integration.reason))?;
        if !integration.advice.is_empty() {
            output.line(&integration.advice)?;
        }
    }
    let mut states = daemon.states().await?;
    states.retain(|state| state.address.entity.integration == integration.id);
    if !states.is_empty() {
        let entities = usize::try_from(integration.entities).unwrap_or(usize::MAX);
        output.line(format!("\nIt watches {}:", words::states_of_entities(states.len(), entities)))?;
        let mut table = Table::new(output, &["STATE", "NAME", "VALUE"]).unbroken(&[0]).right(2);
        for state in states.iter().take(SHOWN) {
            table.row([state.address.to_string().into(), state.label.as_str().into(), state::value(state)]);
        }
        output.line(table)?;
        if states.len() > SHOWN {
            output.line(format!("and {} more", states.len() - SHOWN))?;
        }
    }
    let id = integration.id.as_str();
    let mut next = vec![daemon.hints.command(&["state", "watch", id])];
    if let Some((address, value)) = to_try(&states) {
        next.push(daemon.hints.command(&["control", &address, &value]));
    }
    next.push(daemon.hints.command(&["integration", "show", id]));
    output.line(format!("\nNext:\n  {}", next.join("\n  ")))
}

/// A state to set and a value for it: a switch if there is one.
fn to_try(states: &[State]) -> Option<(String, String)> {
    let with_value = |state: &State| {
        let value = match (&state.kind, &state.value) {
            (StateKind::OnOff, Some(Value::OnOff(true))) => "off".to_owned(),
            (StateKind::OnOff, _) => "on".to_owned(),
            (StateKind::Choice { options }, _) => options.last()?.clone(),
            (StateKind::Number { .. }, Some(Value::Number(number))) => number.to_string(),
            _ => return None,
        };
        Some((state.address.to_string(), value))
    };
    let mut controllable = states.iter().filter(|state| state.controllable);
    let switch = controllable.clone().find(|state| state.kind == StateKind::OnOff);
    switch.and_then(with_value).or_else(|| controllable.find_map(with_value))
}

/// What was given and not used, told at the end.
fn after(driver: &Driver<'_>) -> Result<(), Failure> {
    let unused = driver.unused();
    if unused.is_empty() { Ok(()) } else { Err(not_used(&unused)) }
}

pub(super) async fn deactivate(daemon: &Daemon, wanted: &args::Deactivate, output: &Output) -> Result<(), Failure> {
    let mut driver = Driver::new(daemon, output, &wanted.answers)?;
    let given = driver.given();
    if wanted.all || wanted.purge {
        given.imply_value(HOW, "mode", "all");
    } else if wanted.safe || wanted.keep_settings || wanted.answers.yes {
        given.imply_value(HOW, "mode", "safe");
    }
    if wanted.keep_settings {
        given.imply_value(HOW, "keep_settings", "on");
    } else if wanted.all || wanted.purge {
        given.imply_value(HOW, "keep_settings", "off");
    }
    if wanted.purge {
        given.imply_value(TYPED_ID, "id", wanted.id.as_str());
    } else if wanted.all && wanted.answers.yes {
        return Err(Failure::usage(format!("--all deletes everything of {} and wants its id to be typed", wanted.id))
            .advise("leave --yes out to be asked for it, or delete without being asked: --purge --yes"));
    }
    let typed = wanted.all && !wanted.answers.set.is_empty();
    if wanted.purge {
        driver.make_sure(format!("Delete {} and everything of it?", wanted.id)).await?;
    } else if !driver.asks() && !typed {
        driver.make_sure(format!("Switch {} off and erase its settings?", wanted.id)).await?;
    }
    let begin = FlowBeginRequest {
        kind: FlowKind::Deactivate,
        integration_type: None,
        integration: Some(wanted.id.clone()),
        take_over: wanted.take_over,
    };
    let flow = daemon.flow_begin(&begin).await?;
    let info_message = driver.drive(flow).await?;
    if output.json {
        output.json(&json!({ "integration": wanted.id, "info_message": info_message }))?;
    } else {
        let sentence = if info_message.is_empty() { format!("{} is off", wanted.id) } else { info_message };
        output.line(sentence)?;
    }
    after(&driver)
}
