//! The text that Prometheus reads: families of samples, written by the `prometheus` crate.
//!
//! Names follow its conventions: the prefix `gatehouse_`, base units (`_seconds`, `_bytes`), `_total` for what only
//! grows. The daemon's own process has the names that every exporter gives it (`process_…`).

use std::time::Duration;

use gatehouse_plugin_api::ids::IntegrationId;
use prometheus::TextEncoder;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::meter::{Meter, Tally};
use super::process::ProcessCost;

/// Families in the order in which they were begun.
#[derive(Debug, Default)]
pub(crate) struct Exposition(Vec<MetricFamily>);

/// Labels of a sample.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// One more sample of what only grows.
    #[expect(clippy::cast_precision_loss, reason = "the form has floating numbers only")]
    pub(crate) fn counter(&mut self, name: &str, help: &str, labels: Labels<'_>, value: u64) {
        self.sample(MetricType::COUNTER, name, help, labels, value as f64);
    }

    /// One more sample of what goes up and down.
    #[expect(clippy::cast_precision_loss, reason = "the form has floating numbers only")]
    pub(crate) fn gauge(&mut self, name: &str, help: &str, labels: Labels<'_>, value: u64) {
        self.sample(MetricType::GAUGE, name, help, labels, value as f64);
    }

    /// One more sample of a time that only grows.
    pub(crate) fn seconds(&mut self, name: &str, help: &str, labels: Labels<'_>, value: Duration) {
        self.sample(MetricType::COUNTER, name, help, labels, value.as_secs_f64());
    }

    /// One more sample of a moment, in milliseconds since 1970 UTC.
    #[expect(clippy::cast_precision_loss, reason = "the form has floating numbers only")]
    pub(crate) fn moment(&mut self, name: &str, help: &str, labels: Labels<'_>, at_ms: i64) {
        self.sample(MetricType::GAUGE, name, help, labels, at_ms as f64 / 1_000.0);
    }

    fn sample(&mut self, kind: MetricType, name: &str, help: &str, labels: Labels<'_>, value: f64) {
        let mut metric = Metric::from_label(pairs(labels));
        if kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.family(kind, name, help).mut_metric().push(metric);
    }

    fn family(&mut self, kind: MetricType, name: &str, help: &str) -> &mut MetricFamily {
        let at = self.0.iter().position(|family| family.name() == name).unwrap_or_else(|| {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            self.0.push(family);
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// What a meter counted, and what a look at its workers found.
    pub(crate) fn integration(&mut self, id: &IntegrationId, meter: &Meter, tally: &Tally) {
        let of = [("integration", id.as_str())];
        let counted = [
            ("readings_total", "Readings taken.", meter.readings.get()),
            (
                "readings_refused_total",
                "Readings refused: undeclared, out of bounds or too much.",
                meter.readings_refused.get(),
            ),
            (
                "calls_refused_total",
                "Calls of the plugin refused: no room, too large or not understood.",
                meter.calls_refused.get(),
            ),
            (
                "calls_dropped_total",
                "Calls of the plugin that came after it was stopped or replaced.",
                meter.calls_dropped.get(),
            ),
            (
                "log_events_dropped_total",
                "Log events that the plugin's side dropped: too many came.",
                meter.log_dropped.get(),
            ),
            (
                "sandbox_refusals_total",
                "What the sandbox refused, as far as the host answers it.",
                tally.sandbox_refusals,
            ),
            ("starts_total", "How often it came to run.", meter.starts.get()),
            ("restarts_total", "How often it came to run again.", meter.starts.get().saturating_sub(1)),
            ("crashes_total", "How often its worker ended without being asked to.", meter.crashes.get()),
        ];
        for (name, help, value) in counted {
            self.counter(&format!("gatehouse_integration_{name}"), help, &of, value);
        }
        let help = "Processor time of its workers, of those that ended too.";
        self.seconds("gatehouse_integration_cpu_seconds_total", help, &of, tally.cpu);
        if let Some(process) = &tally.process {
            self.memory(&of, process);
        }
        let (name, help) =
            ("gatehouse_integration_call_failures_total", "Calls of the gateway that failed, by the error's code.");
        for (code, count) in meter.failures() {
            self.counter(name, help, &[of[0], ("code", code)], count);
        }
        let (name, help) = ("gatehouse_integration_call_duration_seconds", "How long calls of the gateway took.");
        for (operation, mut metric) in meter.call_times() {
            metric.set_label(pairs(&[of[0], ("operation", operation)]));
            self.family(MetricType::HISTOGRAM, name, help).mut_metric().push(metric);
        }
    }

    fn memory(&mut self, of: Labels<'_>, process: &ProcessCost) {
        let help = "Memory its workers have in use.";
        self.gauge("gatehouse_integration_resident_memory_bytes", help, of, process.resident_bytes);
        self.gauge("gatehouse_integration_threads", "Threads of its workers.", of, process.threads);
        if let Some(descriptors) = process.descriptors {
            self.gauge("gatehouse_integration_open_fds", "Open descriptors of its workers.", of, descriptors);
        }
    }

    /// The daemon's own process.
    pub(crate) fn process(&mut self, process: &ProcessCost, max_descriptors: Option<u64>, started_at_ms: i64) {
        self.seconds("process_cpu_seconds_total", "Processor time of the daemon.", &[], process.cpu);
        let help = "Memory the daemon has in use.";
        self.gauge("process_resident_memory_bytes", help, &[], process.resident_bytes);
        self.gauge("process_threads", "Threads of the daemon.", &[], process.threads);
        if let Some(descriptors) = process.descriptors {
            self.gauge("process_open_fds", "Open descriptors of the daemon.", &[], descriptors);
        }
        if let Some(most) = max_descriptors {
            self.gauge("process_max_fds", "Descriptors the daemon may have open.", &[], most);
        }
        let help = "When the daemon started, in seconds since 1970 UTC.";
        self.moment("process_start_time_seconds", help, &[], started_at_ms);
    }

    /// The text.
    pub(crate) fn text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.0)
            .expect("every family has a name and a sample, and memory takes all")
    }
}

fn pairs(labels: Labels<'_>) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use gatehouse_plugin_api::ops;

    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let meter = Meter::default();
        meter.readings.add(12);
        meter.called::<()>(&ops::CONTROL, Duration::from_millis(2), &Ok(()));
        let mut exposition = Exposition::default();
        let id: IntegrationId = "hue".parse().expect("valid");
        exposition.integration(&id, &meter, &Tally { cpu: Duration::from_millis(1_500), ..Tally::default() });
        insta::assert_snapshot!(exposition.text());
    }
}
