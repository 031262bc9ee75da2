//! Two looks at what everything costs, and what that is in a second. Knows no terminal.

use std::collections::BTreeMap;

use gatehouse_plugin_api::ids::IntegrationId;
use serde::Serialize;

use crate::api::types::{Costs, DaemonCost, IntegrationCost};
use crate::cli::output::{Output, Tone};
use crate::cli::table::{Table, Toned};
use crate::cli::words;
use crate::gateway::Hosting;

/// The newest look, with what was used since the one before.
#[derive(Debug, Serialize)]
pub(super) struct Looked {
    at_ms: i64,
    daemon: OfDaemon,
    /// The costliest first.
    integrations: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct OfDaemon {
    #[serde(flatten)]
    cost: DaemonCost,
    cpu_percent: f64,
}

#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    cost: IntegrationCost,
    cpu_percent: f64,
    calls_per_second: f64,
    readings_per_second: f64,
}

impl Row {
    fn lost(&self) -> u64 {
        let cost = &self.cost;
        cost.readings_refused + cost.calls_refused + cost.calls_dropped + cost.log_dropped
    }

    fn memory(&self) -> Option<u64> {
        let process = self.cost.process?;
        Some(process.proportional_bytes.unwrap_or(process.memory_bytes))
    }
}

impl Looked {
    /// The first look: nothing was used since.
    pub(super) fn first(costs: Costs) -> Self {
        let row = |cost| Row { cost, cpu_percent: 0.0, calls_per_second: 0.0, readings_per_second: 0.0 };
        let integrations = costs.integrations.into_iter().map(row).collect();
        Self::sorted(costs.at_ms, OfDaemon { cost: costs.daemon, cpu_percent: 0.0 }, integrations)
    }

    /// The next look.
    pub(super) fn then(self, costs: Costs) -> Self {
        let span_ms = (costs.at_ms - self.at_ms).max(1);
        let per_second = |now: u64, before: u64| rate(now.saturating_sub(before), span_ms);
        // A share of one processor: milliseconds in a second, in hundredths.
        let percent = |now: u64, before: u64| per_second(now, before) / 10.0;
        let before: BTreeMap<IntegrationId, IntegrationCost> =
            self.integrations.into_iter().map(|row| (row.cost.id.clone(), row.cost)).collect();
        let row = |cost: IntegrationCost| {
            // One that is new has used everything since.
            let was = before.get(&cost.id);
            Row {
                cpu_percent: percent(cost.cpu_ms, was.map_or(0, |was| was.cpu_ms)),
                calls_per_second: per_second(cost.calls, was.map_or(0, |was| was.calls)),
                readings_per_second: per_second(cost.readings, was.map_or(0, |was| was.readings)),
                cost,
            }
        };
        let integrations = costs.integrations.into_iter().map(row).collect();
        let cpu_percent = percent(costs.daemon.process.cpu_ms, self.daemon.cost.process.cpu_ms);
        Self::sorted(costs.at_ms, OfDaemon { cost: costs.daemon, cpu_percent }, integrations)
    }

    fn sorted(at_ms: i64, daemon: OfDaemon, mut integrations: Vec<Row>) -> Self {
        integrations.sort_by(|a, b| {
            let by_cpu = b.cpu_percent.total_cmp(&a.cpu_percent);
            by_cpu.then_with(|| b.memory().cmp(&a.memory())).then_with(|| a.cost.id.cmp(&b.cost.id))
        });
        Self { at_ms, daemon, integrations }
    }

    /// When the look was.
    pub(super) fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// What the daemon's own process costs, in half a line.
    pub(super) fn daemon(&self) -> String {
        let OfDaemon { cost, cpu_percent } = &self.daemon;
        let memory = words::bytes(cost.process.memory_bytes);
        format!("daemon {cpu_percent:.1} %, {memory}, {} readings wait. q ends.", cost.history_waiting)
    }

    /// The table.
    pub(super) fn lines(&self, output: &Output) -> Vec<String> {
        if self.integrations.is_empty() {
            return vec!["No integrations yet.".to_owned()];
        }
        let header =
            ["INTEGRATION", "CPU %", "MEMORY", "FDS", "THREADS", "CALLS/S", "P99", "READ/S", "LOST", "QUEUE", "STARTS"];
        let mut table = Table::new(output, &header).unbroken(&[0]).left_out_when_narrow(output, &[3, 4, 9]);
        for column in 1..header.len() {
            table = table.right(column);
        }
        for row in &self.integrations {
            table.row(cells(row));
        }
        table.lines()
    }
}

fn cells(row: &Row) -> [Toned; 11] {
    let cost = &row.cost;
    let or_dash = |text: Option<String>| text.map_or_else(|| Toned("-".to_owned(), Tone::Dim), Toned::from);
    let memory = match cost.hosting {
        Hosting::InProcess => Some("in daemon".to_owned()),
        Hosting::Isolated => row.memory().map(words::bytes),
    };
    let process = cost.process.as_ref();
    let cpu_tone = if row.cpu_percent >= 50.0 { Tone::Warn } else { Tone::Plain };
    let lost = row.lost();
    let starts_tone = if cost.crashes > 0 { Tone::Warn } else { Tone::Plain };
    [
        Toned(cost.id.to_string(), Tone::Strong),
        Toned(format!("{:.1}", row.cpu_percent), cpu_tone),
        or_dash(memory),
        or_dash(process.and_then(|process| process.descriptors).map(|count| count.to_string())),
        or_dash(process.map(|process| process.threads.to_string())),
        format!("{:.1}", row.calls_per_second).into(),
        or_dash(cost.call_p99_us.map(micros)),
        format!("{:.1}", row.readings_per_second).into(),
        Toned(lost.to_string(), if lost > 0 { Tone::Warn } else { Tone::Plain }),
        cost.waiting_calls.to_string().into(),
        Toned(cost.starts.to_string(), starts_tone),
    ]
}

fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", us as f64 / 1_000.0),
        _ => format!("{} s", us / 1_000_000),
    }
}

/// How many in a second.
fn rate(count: u64, span_ms: i64) -> f64 {
    // Counts of a second and spans of a look stay far below what an f64 cannot hold.
    count as f64 * 1_000.0 / span_ms as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::ProcessUse;

    fn cost(id: &str, cpu_ms: u64, memory_bytes: u64) -> IntegrationCost {
        let process = ProcessUse { cpu_ms, memory_bytes, proportional_bytes: None, threads: 2, descriptors: Some(9) };
        IntegrationCost {
            id: id.parse().expect("valid"),
            state: "running".into(),
            hosting: Hosting::Isolated,
            pids: vec![7],
            cpu_ms,
            process: Some(process),
            calls: cpu_ms * 2,
            call_p99_us: Some(2_500),
            readings: cpu_ms * 10,
            readings_refused: 0,
            calls_refused: 0,
            calls_dropped: 0,
            log_dropped: 0,
            sandbox_refusals: 0,
            starts: 1,
            crashes: 0,
            waiting_calls: 0,
            waiting_bytes: 0,
        }
    }

    fn costs(at_ms: i64, integrations: Vec<IntegrationCost>) -> Costs {
        let process = ProcessUse { memory_bytes: 30_000_000, ..ProcessUse::default() };
        let daemon = DaemonCost { process, history_waiting: 0, history_lost: 0, subscribers: 0, subscribers_lagged: 0 };
        Costs { at_ms, daemon, integrations }
    }

    #[test]
    fn the_costliest_stands_first_in_eighty_columns() {
        let before = costs(0, vec![cost("hass-in-the-cabin", 100, 4_000_000), cost("zoneminder", 100, 4_000_000)]);
        let mut busy = cost("zoneminder", 1_500, 4_100_000);
        (busy.log_dropped, busy.crashes, busy.starts) = (12, 3, 4);
        let mut off = cost("off", 0, 0);
        (off.process, off.call_p99_us, off.starts) = (None, None, 0);
        let now = costs(2_000, vec![cost("hass-in-the-cabin", 110, 123_400_000), off, busy]);
        let looked = Looked::first(before).then(now);
        let told = [80, 130].map(|width| {
            let lines = looked.lines(&Output::plain(width));
            assert!(lines.iter().all(|line| line.chars().count() <= usize::from(width)), "{lines:#?}");
            lines.join("\n")
        });
        insta::assert_snapshot!(told.join("\n\n"));
        let json = serde_json::to_value(&looked).expect("json");
        assert_eq!(json["integrations"][0]["id"], "zoneminder");
        assert_eq!(json["integrations"][0]["cpu_percent"], 70.0);
        assert_eq!(json["integrations"][0]["readings_per_second"], 7_000.0);
    }
}
