//! `integration list|show|pause|resume|synchronize|set`: what is set up, and how it is.

use gatehouse_plugin_api::attribute::ValueType;
use gatehouse_plugin_api::ids::IntegrationId;

use super::args;
use super::daemon::Daemon;
use super::failure::Failure;
use super::given::{Given, Keys};
use super::output::{Output, Tone};
use super::table::{Table, Toned, pairs};
use super::{plugin, version, when, words};
use crate::api::types::{GivenValues, Integration, LogLevelAnswer, Refusal, SyncAnswer, UndeclaredPath};

pub(super) async fn run(daemon: &Daemon, command: &args::Integration, output: &Output) -> Result<(), Failure> {
    match command {
        args::Integration::List => list(daemon, output).await,
        args::Integration::Show { id, diagnostics: true } => output.json(&daemon.diagnostics(id).await?),
        args::Integration::Show { id, diagnostics: false } => {
            let integration = daemon.integration(id).await?;
            if output.json {
                output.json(&integration)
            } else {
                output.line(daemon.hints.in_words(&shown(&integration, output)))
            }
        }
        args::Integration::Pause { id } => told(&daemon.pause(id).await?, output),
        args::Integration::Resume { id } => told(&daemon.resume(id).await?, output),
        args::Integration::MoveBack { id } => told(&daemon.move_back(id).await?, output),
        args::Integration::Synchronize { id } => synchronize(daemon, id, output).await,
        args::Integration::LogLevel { id, filter } => log_level(daemon, id, filter, output).await,
        args::Integration::Set(set) => change(daemon, set, output).await,
        args::Integration::Activate(_) | args::Integration::Deactivate(_) | args::Integration::Manage(_) => Ok(()),
    }
}

async fn list(daemon: &Daemon, output: &Output) -> Result<(), Failure> {
    let integrations = daemon.integrations().await?;
    if output.json {
        return output.json(&integrations);
    }
    if integrations.is_empty() {
        let plugins = daemon.hints.command(&["plugin", "list"]);
        let activate = daemon.hints.command(&["integration", "activate", "TYPE"]);
        return output
            .line(format!("No integrations yet.\n  what there is:    {plugins}\n  set one up with:  {activate}"));
    }
    output.line(listed(&integrations, when::now_ms(), output))
}

fn listed(integrations: &[Integration], now_ms: i64, output: &Output) -> Table {
    let mut table = Table::new(output, &["ID", "TYPE", "STATE", "SINCE", "ENTITIES", "RUN", "NOTE"])
        .unbroken(&[0, 1, 4, 5])
        .left_out_when_narrow(output, &[1, 4]);
    for integration in integrations {
        let note = if words::needs_attention(integration) { problem(integration) } else { integration.title.clone() };
        table.row([
            integration.id.to_string().into(),
            integration.integration_type.to_string().into(),
            words::actual(&integration.actual, now_ms),
            when::ago(integration.since_ms, now_ms).into(),
            integration.entities.to_string().into(),
            words::hosting(integration.hosting),
            Toned::from(note),
        ]);
    }
    table
}

/// What is wrong with an integration: its health's word when it said one, else the reason.
fn problem(integration: &Integration) -> String {
    if integration.health.message.is_empty() {
        integration.reason.sentence.clone()
    } else {
        integration.health.message.clone()
    }
}

fn shown(integration: &Integration, output: &Output) -> String {
    let now_ms = when::now_ms();
    let toned = |Toned(text, tone): Toned| output.paint(tone, text);
    let version = integration.version.as_ref().map_or(String::new(), |version| format!(" {version}"));
    let mut health = toned(words::health(integration.health.status));
    if !integration.health.message.is_empty() {
        health = format!("{health}: {}", integration.health.message);
    }
    let mut rows = vec![
        ("Integration", integration.id.to_string()),
        ("Title", integration.title.clone()),
        ("Type", format!("{}{version}", integration.integration_type)),
        (
            "State",
            format!(
                "{}, since {} (wanted: {})",
                toned(words::actual(&integration.actual, now_ms)),
                when::local(integration.since_ms),
                words::desired(integration.desired)
            ),
        ),
        ("Reason", format!("{} ({})", integration.reason, integration.reason.code)),
    ];
    if !integration.advice.is_empty() {
        rows.push(("What to do", integration.advice.clone()));
    }
    rows.push(("Health", health));
    let last = integration.last_success_ms.map_or("never".to_owned(), |at| when::ago(at, now_ms));
    rows.push(("Last success", last));
    if let Some(progress) = &integration.progress {
        let percent = progress.percent.map_or(String::new(), |percent| format!(" {percent:.0} %"));
        rows.push(("In progress", format!("{}{percent}", progress.message)));
    }
    let pid = integration.pid.map_or(String::new(), |pid| format!(", process {pid}"));
    rows.push(("Run", format!("{}{pid}", toned(words::hosting(integration.hosting)))));
    rows.extend(version::rows(integration, output));
    if !integration.moved.is_empty() {
        rows.push(("Moved", integration.moved.clone()));
    }
    if integration.leaked_generations > 0 {
        let text = format!("{} libraries of earlier generations stay in the daemon", integration.leaked_generations);
        rows.push(("Memory", output.paint(Tone::Warn, text)));
    }
    // What it tried and may not do: an author declares it, a person wonders why.
    for (at, Refusal { tried, count }) in integration.refusals.iter().enumerate() {
        let times = if *count == 1 { String::new() } else { format!(" ({count} times)") };
        let text = format!("{tried}{times}: not declared");
        rows.push((if at == 0 { "Refused" } else { "" }, output.paint(Tone::Warn, text)));
    }
    for (at, UndeclaredPath { path, count }) in integration.undeclared_paths.iter().enumerate() {
        let times = if *count == 1 { String::new() } else { format!(" ({count} times)") };
        rows.push((if at == 0 { "Opened" } else { "" }, format!("{path}{times}: not declared")));
    }
    if let Some(filter) = &integration.log_filter {
        rows.push(("Log", format!("{filter}, until the daemon restarts")));
    }
    rows.push(("Entities", integration.entities.to_string()));
    if !integration.info_message.is_empty() {
        rows.push(("Note", integration.info_message.clone()));
    }
    let mut text = pairs(output, &rows);
    if !integration.attribute_specs.is_empty() {
        text.push_str(&format!("\n\n{}\n{}", output.paint(Tone::Strong, "Settings"), values(integration, output)));
    }
    text
}

fn values(integration: &Integration, output: &Output) -> Table {
    let mut table = Table::new(output, &["KEY", "VALUE", "WHAT IT IS"]).unbroken(&[0]);
    for spec in &integration.attribute_specs {
        let value = match integration.attributes.get(&spec.key) {
            Some(value) => Toned::from(plugin::plain(value, &spec.value_type)),
            None => match &spec.default {
                Some(default) => Toned(format!("{} (default)", plugin::plain(default, &spec.value_type)), Tone::Dim),
                None => Toned("not set".to_owned(), Tone::Dim),
            },
        };
        table.row([spec.key.as_str().into(), value, spec.label.as_str().into()]);
    }
    table
}

/// Tells how an integration is after a change.
fn told(integration: &Integration, output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.json(integration);
    }
    let Toned(word, tone) = words::actual(&integration.actual, when::now_ms());
    let note = if words::needs_attention(integration) { format!(": {}", problem(integration)) } else { String::new() };
    output.line(format!("{} is {}{note}", integration.id, output.paint(tone, word)))
}

async fn synchronize(daemon: &Daemon, id: &IntegrationId, output: &Output) -> Result<(), Failure> {
    let answer = daemon.synchronize(id).await?;
    if output.json {
        return output.json(&answer);
    }
    let SyncAnswer { created, updated, reconnected, detached } = answer;
    output.line(format!(
        "{id} is synchronized: {created} new, {updated} changed, {reconnected} back, {detached} no longer there"
    ))
}

async fn log_level(daemon: &Daemon, id: &IntegrationId, filter: &str, output: &Output) -> Result<(), Failure> {
    let answer = daemon.log_level(id, (filter != "default").then(|| filter.to_owned())).await?;
    if output.json {
        return output.json(&answer);
    }
    output.line(match answer {
        LogLevelAnswer { filter, until_restart: true } => format!("{id} logs {filter} until the daemon restarts"),
        LogLevelAnswer { filter, until_restart: false } => format!("{id} logs {filter}, as configured"),
    })
}

async fn change(daemon: &Daemon, set: &args::Set, output: &Output) -> Result<(), Failure> {
    let mut given = Given::parse(&set.values, &set.set_file, &[], Keys::Bare)?;
    if given.is_empty() {
        return Err(Failure::usage("nothing to set").advise("write KEY=VALUE, or --set-file KEY=PATH"));
    }
    let integration = daemon.integration(&set.id).await?;
    let known: Vec<&str> = integration.attribute_specs.iter().map(|spec| spec.key.as_str()).collect();
    let mut values = GivenValues::default();
    for spec in &integration.attribute_specs {
        let secret = matches!(spec.value_type, ValueType::Secret);
        if let Some(value) = given.take("", &spec.key, secret)? {
            values.0.insert(spec.key.clone(), value);
        }
    }
    given.all_used(&known)?;
    let keys: Vec<String> = values.0.keys().cloned().collect();
    let integration = daemon.set(&set.id, values).await?;
    if !output.json {
        for spec in integration.attribute_specs.iter().filter(|spec| keys.contains(&spec.key)) {
            let value = integration.attributes.get(&spec.key).map(|value| plugin::plain(value, &spec.value_type));
            let value = value.unwrap_or_else(|| "not set".to_owned());
            output.line(format!("{} is {}", spec.key, output.paint(Tone::Strong, value)))?;
        }
    }
    told(&integration, output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::samples;
    use crate::gateway::Hosting;
    use crate::integration::Actual;
    use crate::reason::ReasonCode;

    #[test]
    fn the_list_says_what_is_wrong_and_fits_the_terminal() {
        let now_ms = 1_764_079_200_000;
        let wrong = samples::integration(
            "hass-cabin",
            Actual::Retrying { attempt: 3, next_at_ms: now_ms + 5_500 },
            ReasonCode::StartFailed,
            "http://cabin:8123 cannot be reached: connection refused",
            now_ms - 65_000,
        );
        let mut well =
            samples::integration("hass", Actual::Running, ReasonCode::AsWanted, "it runs", now_ms - 7_200_000);
        well.hosting = Hosting::InProcess;
        let list = [well, wrong];
        let told = [130, 80].map(|width| listed(&list, now_ms, &Output::plain(width)).to_string());
        insta::assert_snapshot!(told.join("\n\n"));
    }
}
