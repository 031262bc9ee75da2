//! How long calls of a gateway take: a histogram for each family of operations.

use std::sync::OnceLock;
use std::time::Duration;

use gatehouse_plugin_api::ops::{self, Op};
use prometheus::core::Metric;
use prometheus::{Histogram, HistogramOpts, proto};

/// The families, by the word that stands in the label `operation`. Their number bounds what one integration adds.
pub const CALL_FAMILIES: [&str; 11] =
    ["ping", "flow", "page", "settings", "start", "stop", "poll", "control", "synchronize", "camera", "other"];

/// Upper bounds in seconds: from what a call costs at the least to the longest deadline of a common one.
const BUCKETS: [f64; 14] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// What the name and help of the histogram are does not matter: the exposition gives its own.
const NAME: &str = "call_duration_seconds";

fn family(op: &Op) -> usize {
    match *op {
        ops::PING => 0,
        ops::ACTIVATE | ops::DEACTIVATE => 1,
        ops::MANAGE | ops::PANE => 2,
        ops::VALIDATE_CONFIGURATION | ops::TEST_CONNECTION | ops::SETTINGS_CHANGED => 3,
        ops::START => 4,
        ops::STOP => 5,
        ops::POLL => 6,
        ops::CONTROL => 7,
        ops::SYNCHRONIZE => 8,
        ops::SNAPSHOT | ops::STREAM => 9,
        _ => 10,
    }
}

/// The histograms of one integration; made when a family is first called.
#[derive(Debug, Default)]
pub(super) struct CallTimes([OnceLock<Histogram>; CALL_FAMILIES.len()]);

/// What calls took together, heartbeats aside.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CallCost {
    /// How many.
    pub count: u64,
    /// Of a hundred, ninety-nine took no longer; told by the bound of its bucket, `None` without calls.
    pub p99: Option<Duration>,
}

impl CallTimes {
    pub(super) fn observe(&self, op: &Op, took: Duration) {
        self.0[family(op)].get_or_init(histogram).observe(took.as_secs_f64());
    }

    /// Each family that was called, with its histogram.
    pub(super) fn families(&self) -> impl Iterator<Item = (&'static str, proto::Metric)> {
        let called = CALL_FAMILIES.iter().zip(&self.0);
        called.filter_map(|(family, times)| Some((*family, times.get()?.metric())))
    }

    pub(super) fn cost(&self) -> CallCost {
        let mut buckets = [0_u64; BUCKETS.len()];
        let mut count = 0;
        for (_, metric) in self.families().filter(|(family, _)| *family != CALL_FAMILIES[0]) {
            let histogram = metric.get_histogram();
            count += histogram.get_sample_count();
            for (sum, bucket) in buckets.iter_mut().zip(histogram.get_bucket()) {
                *sum += bucket.cumulative_count();
            }
        }
        let rank = count - count / 100;
        let within = buckets.iter().zip(BUCKETS).find(|(reached, _)| count > 0 && **reached >= rank);
        // Beyond the last bound: that bound is the least that can be said.
        let p99 = within.map(|(_, bound)| bound).or((count > 0).then_some(BUCKETS[BUCKETS.len() - 1]));
        CallCost { count, p99: p99.map(Duration::from_secs_f64) }
    }
}

fn histogram() -> Histogram {
    let options = HistogramOpts::new(NAME, "How long calls took.").buckets(BUCKETS.to_vec());
    Histogram::with_opts(options).expect("the name is a name and the bounds rise")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_of_a_gateway_has_a_family_and_calls_add_up() {
        let times = CallTimes::default();
        assert_eq!(times.cost(), CallCost::default());
        for op in ops::TABLE.iter().filter(|op| op.side() == ops::Side::Gateway) {
            times.observe(op, Duration::from_micros(300));
        }
        let families: Vec<_> = times.families().map(|(family, _)| family).collect();
        assert_eq!(families, CALL_FAMILIES);
        let calls = ops::TABLE.iter().filter(|op| op.side() == ops::Side::Gateway).count() as u64 - 1;
        assert_eq!(times.cost(), CallCost { count: calls, p99: Some(Duration::from_micros(500)) });
    }

    #[test]
    fn the_slowest_of_a_hundred_is_left_out_and_two_are_not() {
        let times = CallTimes::default();
        (0..98).for_each(|_| times.observe(&ops::CONTROL, Duration::from_micros(80)));
        times.observe(&ops::CONTROL, Duration::from_secs(60));
        times.observe(&ops::POLL, Duration::from_micros(80));
        assert_eq!(times.cost().p99, Some(Duration::from_micros(100)));
        times.observe(&ops::POLL, Duration::from_secs(60));
        assert_eq!(times.cost().p99, Some(Duration::from_secs(30)));
    }
}
