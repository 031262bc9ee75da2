//! Activation: one form, and at the end a sentence that says what will be watched on this machine.

use gatehouse_plugin_api::attribute::{AttributeSpec, AttributeValue, AttributeValues, FieldErrors};
use gatehouse_plugin_api::flow::{FlowDone, FlowReply, FlowRequest, FlowStep, StepKind};
use gatehouse_plugin_api::tokio::task::spawn_blocking;
use gatehouse_plugin_api::{Result, Settings};
use sysinfo::System;

use crate::measure::{Probe, Thing};
use crate::options::Options;

const STEP: &str = "settings";

pub(crate) async fn activate(request: FlowRequest) -> Result<FlowReply> {
    let Some(answer) = request.answer else {
        return Ok(form(&request.attributes, FieldErrors::new()));
    };
    match Options::from_values(&answer.values) {
        Err(errors) => Ok(form(&answer.values, errors)),
        Ok(options) => {
            let interval = options.interval;
            let things = spawn_blocking(move || Probe::new().map(|mut probe| probe.measure(&options))).await??;
            Ok(FlowReply::Done(FlowDone {
                attributes: answer.values,
                title: System::host_name().unwrap_or_default(),
                unique_id: None,
                info_message: format!("Watches {}, every {interval:?}.", sentence(&things)),
            }))
        }
    }
}

/// The form, with the values there are in place of the defaults.
fn form(values: &AttributeValues, errors: FieldErrors) -> FlowReply {
    let field = |spec: AttributeSpec| match values.get(&spec.key) {
        Some(AttributeValue::Plain(value)) => AttributeSpec { default: Some(value.clone()), ..spec },
        _ => spec,
    };
    FlowReply::Step(FlowStep {
        step_id: STEP.to_owned(),
        title: "Watch this machine".to_owned(),
        description: String::new(),
        kind: StepKind::Form { fields: Options::SPECS.iter().map(|spec| field(spec.to_spec())).collect(), errors },
    })
}

/// What there is to watch, in words: the machine, 2 disks (disk-root, disk-home), …
fn sentence(things: &[Thing]) -> String {
    let named = |prefix: &str| -> Vec<&str> {
        things.iter().filter_map(|thing| thing.name.strip_prefix(prefix)).map(|name| name.trim_matches('-')).collect()
    };
    let mut parts = vec!["this machine's uptime".to_owned()];
    parts.extend(["processor", "memory", "swap"].into_iter().filter(|kind| !named(kind).is_empty()).map(str::to_owned));
    for (prefix, one, many) in [
        ("disk-", "disk", "disks"),
        ("network-", "network interface", "network interfaces"),
        ("temperature-", "temperature", "temperatures"),
    ] {
        let found = named(prefix);
        if !found.is_empty() {
            let word = if found.len() == 1 { one } else { many };
            parts.push(format!("{} {word} ({})", found.len(), found.join(", ")));
        }
    }
    match parts.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => parts.concat(),
    }
}
