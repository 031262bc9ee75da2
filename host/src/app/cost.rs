//! Who costs what: everything counted, as data and as the text that Prometheus reads.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use super::App;
use super::status::{database_bytes, word_of};
use super::view::{Costs, DaemonCost, IntegrationCost};
use crate::gateway::Hosting;
use crate::integration::{CountedIntegration, OperationError};
use crate::metrics::{Exposition, ProcessCost, Tally, look_at_self};

/// One integration with what a look at its workers found.
struct Looked {
    integration: CountedIntegration,
    tally: Tally,
}

impl App {
    /// What the daemon and each integration cost. Reads a few files of each worker in `/proc`; with `proportional` one
    /// more that takes the kernel about a millisecond each.
    ///
    /// # Errors
    /// `Unavailable` when the daemon's own process cannot be looked at: `/proc` is not there.
    pub async fn cost_list(&self, proportional: bool) -> Result<Costs, OperationError> {
        let (own, looked) = self.look(proportional).await?;
        let (subscribers, subscribers_lagged) = self.ground().house.subscribers();
        let history = self.ground().store.readings_queue();
        Ok(Costs {
            at_ms: self.ground().clock.now_ms(),
            daemon: DaemonCost {
                process: own.into(),
                history_waiting: history.waiting,
                history_lost: history.lost,
                subscribers,
                subscribers_lagged,
            },
            integrations: looked.iter().map(cost_of).collect(),
        })
    }

    /// The same as the text that Prometheus reads.
    ///
    /// # Errors
    /// As [`App::cost_list`].
    pub async fn metrics_get(&self) -> Result<String, OperationError> {
        let (own, looked) = self.look(false).await?;
        let mut exposition = Exposition::default();
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        exposition.gauge("gatehouse_build_info", "The daemon's version, as a label.", &version, 1);
        exposition.process(&own, getrlimit(Resource::Nofile).current, self.0.started_at_ms);
        self.expose_house(&mut exposition);
        for Looked { integration, tally } in &looked {
            expose_state(&mut exposition, integration);
            exposition.integration(&integration.view.id, &integration.meter, tally);
        }
        Ok(exposition.text())
    }

    async fn look(&self, proportional: bool) -> Result<(ProcessCost, Vec<Looked>), OperationError> {
        let counted = self.integrations().counted();
        let look = move || {
            let own = look_at_self(proportional)?;
            let looked = counted.into_iter().map(|integration| {
                let tally = integration.meter.tally(proportional);
                Looked { integration, tally }
            });
            Some((own, looked.collect()))
        };
        // Files of many processes: not on a thread that others wait for.
        let looked = tokio::task::spawn_blocking(look).await;
        let looked = looked.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        looked.ok_or_else(|| {
            OperationError::Unavailable("/proc cannot be read, and it tells what processes cost: mount it".to_owned())
        })
    }

    fn expose_house(&self, exposition: &mut Exposition) {
        let ground = self.ground();
        let (subscribers, lagged) = ground.house.subscribers();
        let (entities, states) = ground.house.counts();
        let history = ground.store.readings_queue();
        let log = self.0.log.counts();
        let gauges = [
            ("entities", "Attached entities.", entities),
            ("states", "States that have a value.", states),
            ("history_queue_readings", "Readings that wait to be written to the history.", history.waiting),
            ("history_writing", "1 while readings are written, 0 while that fails.", u64::from(!history.failing)),
            ("database_bytes", "The database with its write-ahead log.", database_bytes(&ground.home.database())),
            ("subscribers", "Streams of events that are open.", subscribers),
            ("connections", "Connections to the control socket.", self.0.connections.open()),
        ];
        for (name, help, value) in gauges {
            exposition.gauge(&format!("gatehouse_{name}"), help, &[], value);
        }
        let counters = [
            ("history_readings_lost_total", "Readings given up while the history could not be written.", history.lost),
            ("connections_refused_total", "Connections that found no room.", self.0.connections.refused()),
            ("subscribers_lagged_total", "Streams ended because their reader was too slow.", lagged),
            ("log_lines_displaced_total", "Lines of the log that made room for newer ones.", log.displaced),
        ];
        for (name, help, value) in counters {
            exposition.counter(&format!("gatehouse_{name}"), help, &[], value);
        }
    }
}

fn cost_of(Looked { integration, tally }: &Looked) -> IntegrationCost {
    let CountedIntegration { view, meter, waiting } = integration;
    IntegrationCost {
        id: view.id.clone(),
        state: word_of(&view.actual),
        hosting: view.hosting,
        pids: tally.pids.clone(),
        cpu_ms: u64::try_from(tally.cpu.as_millis()).unwrap_or(u64::MAX),
        process: tally.process.map(Into::into),
        calls: tally.calls.count,
        call_p99_us: tally.calls.p99.map(|p99| u64::try_from(p99.as_micros()).unwrap_or(u64::MAX)),
        readings: meter.readings.get(),
        readings_refused: meter.readings_refused.get(),
        calls_refused: meter.calls_refused.get(),
        calls_dropped: meter.calls_dropped.get(),
        log_dropped: meter.log_dropped.get(),
        sandbox_refusals: tally.sandbox_refusals,
        starts: meter.starts.get(),
        crashes: meter.crashes.get(),
        waiting_calls: (waiting.house_calls + waiting.store_calls) as u64,
        waiting_bytes: waiting.bytes as u64,
    }
}

fn expose_state(exposition: &mut Exposition, integration: &CountedIntegration) {
    let (view, waiting) = (Arc::as_ref(&integration.view), integration.waiting);
    let of = ("integration", view.id.as_str());
    let hosting = if view.hosting == Hosting::InProcess { "in_process" } else { "isolated" };
    let version = view.version.as_deref().unwrap_or_default();
    let info = [of, ("type", view.integration_type.as_str()), ("version", version), ("hosting", hosting)];
    exposition.gauge("gatehouse_integration_info", "What it is, as labels.", &info, 1);
    let running = u64::from(super::is_running(view.actual));
    exposition.gauge("gatehouse_integration_up", "1 while it runs.", &[of], running);
    let (name, help) = ("gatehouse_integration_queue_calls", "Calls of the plugin that wait in the daemon.");
    exposition.gauge(name, help, &[of, ("queue", "house")], waiting.house_calls as u64);
    exposition.gauge(name, help, &[of, ("queue", "store")], waiting.store_calls as u64);
    let help = "The bytes of the calls that wait.";
    exposition.gauge("gatehouse_integration_queue_bytes", help, &[of], waiting.bytes as u64);
}
