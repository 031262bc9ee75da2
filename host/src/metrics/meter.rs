//! What one integration was counted for, over all its workers; and the meters of all integrations.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gatehouse_plugin_api::error::CallError;
use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::ops::Op;
use parking_lot::{Mutex, RwLock};
use prometheus::proto;

use super::calls::{CallCost, CallTimes};
use super::process::{self, ProcessCost};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds so many.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one integration is counted for. Counting takes no lock, but for a call that failed.
#[derive(Debug, Default)]
pub struct Meter {
    calls: CallTimes,
    /// By the code's word, of which there are few.
    failures: Mutex<BTreeMap<&'static str, u64>>,
    workers: Mutex<Workers>,
    /// Readings taken.
    pub readings: Count,
    /// Readings refused: undeclared, out of bounds, too much.
    pub readings_refused: Count,
    /// Calls of the plugin that found no room, were too large or not understood.
    pub calls_refused: Count,
    /// Calls of the plugin that came after its generation was replaced or stopped.
    pub calls_dropped: Count,
    /// Log events that the plugin's side dropped because too many came.
    pub log_dropped: Count,
    /// How often it came to run.
    pub starts: Count,
    /// How often it ended without being asked to.
    pub crashes: Count,
}

/// The processes in which it runs, usually one.
#[derive(Default)]
struct Workers {
    alive: BTreeMap<u32, Refused>,
    /// Of those that ended.
    cpu: Duration,
    refusals: u64,
}

/// Tells how often a worker's sandbox refused something.
type Refused = Box<dyn Fn() -> u64 + Send + Sync>;

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("alive", &self.alive.keys()).finish_non_exhaustive()
    }
}

/// Everything that one look finds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    /// The workers' process ids.
    pub pids: Vec<u32>,
    /// What the workers cost; their processor time is that of all there were. `None` without a worker.
    pub process: Option<ProcessCost>,
    /// The workers' processor time since the daemon started, of those that ended too.
    pub cpu: Duration,
    /// What the sandbox refused.
    pub sandbox_refusals: u64,
    /// Calls of the gateway.
    pub calls: CallCost,
}

impl Meter {
    /// A call of the gateway has ended.
    pub fn called<T>(&self, op: &Op, took: Duration, outcome: &Result<T, CallError>) {
        self.calls.observe(op, took);
        if let Err(error) = outcome {
            *self.failures.lock().entry(error.code.as_str()).or_default() += 1;
        }
    }

    /// A worker of it is there; `refused` tells what its sandbox refused.
    pub fn worker_began(&self, pid: u32, refused: impl Fn() -> u64 + Send + Sync + 'static) {
        self.workers.lock().alive.insert(pid, Box::new(refused));
    }

    /// A worker of it has ended, having used so much processor time.
    pub fn worker_ended(&self, pid: u32, cpu: Duration) {
        let mut workers = self.workers.lock();
        if let Some(refused) = workers.alive.remove(&pid) {
            workers.refusals += refused();
            workers.cpu += cpu;
        }
    }

    /// Looks at everything; reads a few files of each worker in `/proc`, and with `proportional` one that takes the kernel
    /// about a millisecond to write.
    pub fn tally(&self, proportional: bool) -> Tally {
        let workers = self.workers.lock();
        let mut cpu = workers.cpu;
        let mut process: Option<ProcessCost> = None;
        for pid in workers.alive.keys() {
            // One that has just ended has nothing to show; its time is added when its end is told.
            let Some(found) = process::look(*pid, proportional) else { continue };
            cpu += found.cpu;
            process = Some(process.map_or(found, |before| before.with(&found)));
        }
        let sandbox_refusals = workers.refusals + workers.alive.values().map(|refused| refused()).sum::<u64>();
        Tally {
            pids: workers.alive.keys().copied().collect(),
            process,
            cpu,
            sandbox_refusals,
            calls: self.calls.cost(),
        }
    }

    /// Its calls' times by family.
    pub(super) fn call_times(&self) -> impl Iterator<Item = (&'static str, proto::Metric)> {
        self.calls.families()
    }

    /// Its calls that failed, by the error's word.
    pub(super) fn failures(&self) -> BTreeMap<&'static str, u64> {
        self.failures.lock().clone()
    }
}

/// The meters of all integrations. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Meters(Arc<RwLock<BTreeMap<IntegrationId, Arc<Meter>>>>);

impl Meters {
    /// Begins to tell of an integration; one that is there already is kept.
    pub fn begin(&self, id: &IntegrationId) -> Arc<Meter> {
        Arc::clone(self.0.write().entry(id.clone()).or_default())
    }

    /// The meter of an integration; one that nobody is told of while there is no such integration yet.
    pub fn of(&self, id: &IntegrationId) -> Arc<Meter> {
        self.0.read().get(id).cloned().unwrap_or_default()
    }

    /// Tells no more of an integration that is deleted.
    pub fn forget(&self, id: &IntegrationId) {
        self.0.write().remove(id);
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_plugin_api::error::ErrorCode;
    use gatehouse_plugin_api::ops;

    use super::*;

    #[test]
    fn what_workers_used_stays_counted_when_they_are_gone() {
        let meter = Meter::default();
        meter.worker_began(u32::MAX, || 3);
        assert_eq!(meter.tally(false).sandbox_refusals, 3);
        meter.worker_ended(u32::MAX, Duration::from_secs(2));
        meter.worker_ended(u32::MAX, Duration::from_secs(2));
        let now = meter.tally(false);
        assert_eq!((now.sandbox_refusals, now.cpu, now.process), (3, Duration::from_secs(2), None));
        meter.worker_began(std::process::id(), || 0);
        let now = meter.tally(true);
        let process = now.process.expect("this process");
        assert!(
            process.resident_bytes > 0 && process.proportional_bytes > Some(0) && process.threads > 0,
            "{process:?}"
        );
        assert!(now.cpu >= Duration::from_secs(2) && now.pids == [std::process::id()], "{now:?}");
    }

    #[test]
    fn an_integration_is_told_of_from_its_beginning_to_its_deletion() {
        let meters = Meters::default();
        let id: IntegrationId = "hue".parse().expect("valid");
        meters.of(&id).readings.add(1);
        assert_eq!(meters.begin(&id).readings.get(), 0);
        meters.of(&id).readings.add(1);
        assert_eq!(meters.begin(&id).readings.get(), 1);
        meters.forget(&id);
        assert_eq!(meters.begin(&id).readings.get(), 0);
    }

    #[test]
    fn failed_calls_are_counted_by_their_code() {
        let meter = Meter::default();
        let late = Err::<(), _>(CallError::new(ErrorCode::Deadline, "late"));
        meter.called(&ops::POLL, Duration::from_millis(1), &late);
        meter.called(&ops::POLL, Duration::from_millis(1), &late);
        meter.called(&ops::POLL, Duration::from_millis(1), &Ok(()));
        assert_eq!(meter.failures(), BTreeMap::from([("deadline", 2)]));
        assert_eq!(meter.tally(false).calls.count, 3);
    }
}
