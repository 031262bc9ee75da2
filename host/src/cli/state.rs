//! `state get`: states with their values, and the table that other commands show them in.

use gatehouse_plugin_api::ids::StateAddress;

use super::daemon::Daemon;
use super::failure::Failure;
use super::output::{Output, Tone};
use super::pattern::Patterns;
use super::table::{Table, Toned};
use super::{when, words};
use crate::api::types::{Availability, State};

pub(super) async fn get(daemon: &Daemon, patterns: Vec<String>, output: &Output) -> Result<(), Failure> {
    let states = match one(&patterns) {
        Some(address) => vec![daemon.state(&address).await?],
        None => matching(daemon, patterns).await?,
    };
    if output.json {
        return output.json(&states);
    }
    if states.is_empty() {
        return output.line("No states.");
    }
    output.line(table(&states, when::now_ms(), output))
}

/// The state that is meant, when it is one by its whole address.
fn one(patterns: &[String]) -> Option<StateAddress> {
    match patterns {
        [address] if !address.contains('*') => address.parse().ok(),
        _ => None,
    }
}

async fn matching(daemon: &Daemon, patterns: Vec<String>) -> Result<Vec<State>, Failure> {
    let patterns = Patterns::new(patterns);
    let mut states = daemon.states().await?;
    let addresses: Vec<_> = states.iter().map(|state| state.address.to_string()).collect();
    patterns.check(addresses.iter().map(String::as_str))?;
    states.retain(|state| patterns.matches(&state.address.to_string()));
    if states.is_empty() && !patterns.all() {
        return Err(Failure::failed(format!("no state matches {patterns}"))
            .advise(daemon.hints.command(&["state", "get"]) + " lists them all"));
    }
    Ok(states)
}

/// States with values and ages.
pub(super) fn table(states: &[State], now_ms: i64, output: &Output) -> Table {
    let mut table = Table::new(output, &["STATE", "VALUE", "CHANGED", "SEEN", ""]).unbroken(&[0]).right(1);
    for state in states {
        let age = |at: Option<i64>| at.map_or(String::new(), |at| when::ago(at, now_ms));
        table.row([
            state.address.to_string().into(),
            value(state),
            age(state.changed_at_ms).into(),
            age(state.last_seen_ms).into(),
            flags(state),
        ]);
    }
    table
}

/// The value in its unit; dim when nobody keeps it up to date.
pub(super) fn value(state: &State) -> Toned {
    let tone = if state.availability == Availability::Offline { Tone::Dim } else { Tone::Strong };
    match &state.value {
        Some(value) => Toned(words::value(value, &state.kind), tone),
        None => Toned("-".to_owned(), Tone::Dim),
    }
}

fn flags(state: &State) -> Toned {
    match state.availability {
        Availability::Offline => Toned("offline".to_owned(), Tone::Warn),
        Availability::Online if state.controllable => Toned("can be set".to_owned(), Tone::Dim),
        Availability::Online => Toned::from(""),
    }
}
