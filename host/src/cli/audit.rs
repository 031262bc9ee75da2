//! `audit`: who changed what, when, and how it went.

use super::args;
use super::daemon::Daemon;
use super::failure::Failure;
use super::output::{Output, Tone};
use super::table::{Table, Toned};
use super::when;
use crate::api::types::AuditEntry;

pub(super) async fn run(daemon: &Daemon, wanted: &args::Audit, output: &Output) -> Result<(), Failure> {
    let moment = |text: &Option<String>| {
        text.as_deref().map(|text| when::parse_moment(text, when::now_ms())).transpose().map_err(Failure::usage)
    };
    let (since, until) = (moment(&wanted.since)?, moment(&wanted.until)?);
    let mut entries = daemon.audit(wanted, since, until).await?;
    if output.json {
        return output.json(&entries);
    }
    if entries.is_empty() {
        return output.line("No changes.");
    }
    // The newest stands last, as in a log.
    entries.reverse();
    output.line(listed(&entries, output))
}

fn listed(entries: &[AuditEntry], output: &Output) -> Table {
    let mut table = Table::new(output, &["WHEN", "WHO", "VIA", "WHAT", "OF", "OUTCOME"])
        .unbroken(&[0, 3])
        .left_out_when_narrow(output, &[2]);
    for entry in entries {
        let tone = match entry.outcome.as_str() {
            "done" => Tone::Good,
            "refused" => Tone::Warn,
            _ => Tone::Bad,
        };
        table.row([
            when::local(entry.at_ms).into(),
            entry.user.clone().unwrap_or_else(|| format!("user {}", entry.uid)).into(),
            entry.via.as_str().into(),
            entry.operation.as_str().into(),
            entry.target.as_str().into(),
            Toned(entry.outcome.clone(), tone),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_a_name_has_a_number() {
        let entry = AuditEntry {
            at_ms: 0,
            uid: 1234,
            user: None,
            via: "socket".into(),
            operation: "state_control".into(),
            target: "hass:lamp/power".into(),
            outcome: "refused".into(),
        };
        let text = listed(&[entry], &Output::plain(120)).to_string();
        for part in ["user 1234", "state_control", "hass:lamp/power", "refused"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
