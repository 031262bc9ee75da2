//! The watch: measures at its interval, declares what comes, removes what goes, emits the values.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use gatehouse_plugin_api::ids::{EntityName, StateName};
use gatehouse_plugin_api::message::{EntityDeclaration, HealthStatus, Reading};
use gatehouse_plugin_api::tokio::sync::Notify;
use gatehouse_plugin_api::tokio::task::{spawn_blocking, spawn_local};
use gatehouse_plugin_api::{Context, Error, Result, serde_json, tokio, tracing};

use crate::measure::{Probe, Thing};
use crate::options::Options;

/// The pause before the second measurement, which is the first with rates.
const SECOND_AFTER: Duration = Duration::from_millis(500);

/// What the gateway and its task share.
#[derive(Debug)]
pub(crate) struct Watch {
    context: Context,
    options: RefCell<Option<Options>>,
    /// Away while a measurement runs on a blocking thread.
    probe: RefCell<Option<Probe>>,
    declared: RefCell<BTreeMap<EntityName, EntityDeclaration>>,
    changed: Notify,
    healthy: Cell<bool>,
    cycles: Cell<u64>,
}

impl Watch {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            context,
            options: RefCell::default(),
            probe: RefCell::default(),
            declared: RefCell::default(),
            changed: Notify::new(),
            healthy: Cell::new(false),
            cycles: Cell::new(0),
        }
    }

    /// Measures once, then at the interval until the context is cancelled.
    pub(crate) async fn begin(self: Rc<Self>, options: Options) -> Result<()> {
        self.options.replace(Some(options));
        self.declared.take();
        self.healthy.set(false);
        self.probe.replace(Some(spawn_blocking(Probe::new).await??));
        self.cycle().await?;
        spawn_local(self.run());
        Ok(())
    }

    /// Takes new options; entities of what is no longer watched go at once.
    pub(crate) async fn change(&self, options: Options) -> Result<()> {
        self.options.replace(Some(options));
        self.changed.notify_one();
        self.cycle().await
    }

    async fn run(self: Rc<Self>) {
        let cancelled = self.context.cancellation();
        let mut pause = SECOND_AFTER;
        loop {
            let interval = self.options.borrow().as_ref().map_or(pause, |options| options.interval);
            pause = pause.min(interval);
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return,
                () = self.changed.notified() => {}
                () = self.context.clock().sleep(pause) => {
                    if let Err(error) = self.cycle().await {
                        self.unwell(&error).await;
                    }
                }
            }
            pause = interval;
        }
    }

    async fn unwell(&self, error: &Error) {
        self.healthy.set(false);
        tracing::warn!(%error, "the machine could not be measured");
        if let Err(error) = self.context.health(HealthStatus::Warning, error.to_string()).await {
            tracing::debug!(%error, "the host did not take the health");
        }
    }

    /// One measurement, from the machine to the host.
    pub(crate) async fn cycle(&self) -> Result<()> {
        let Some(options) = self.options.borrow().clone() else { return Ok(()) };
        let Some(mut probe) = self.probe.take() else {
            return Err(Error::transient("the measurement before is not finished: a file system may not answer"));
        };
        let measured = spawn_blocking(move || {
            let things = probe.measure(&options);
            (probe, things)
        });
        let things = match measured.await {
            Ok((probe, things)) => {
                self.probe.replace(Some(probe));
                things
            }
            Err(error) => {
                self.probe.replace(Some(Probe::new()?));
                return Err(error.into());
            }
        };
        self.tell(things).await?;
        self.cycles.set(self.cycles.get() + 1);
        if !self.healthy.replace(true) {
            self.context.health(HealthStatus::Healthy, "").await?;
        }
        Ok(())
    }

    async fn tell(&self, things: Vec<Thing>) -> Result<()> {
        let mut present = BTreeMap::new();
        let mut readings = Vec::new();
        for thing in things {
            let name = EntityName::new(&thing.name)?;
            for (state, value) in thing.values {
                readings.push(Reading { entity: name.clone(), state: StateName::new(&state)?, value, at_ms: None });
            }
            present.insert(name, thing.entity.build()?);
        }
        let (new, gone) = self.difference(&present);
        if !gone.is_empty() {
            self.context.remove(gone).await?;
        }
        if !new.is_empty() {
            self.context.declare(new).await?;
        }
        self.declared.replace(present);
        self.context.emit_all(readings).await
    }

    /// What to declare, and what to remove.
    fn difference(
        &self,
        present: &BTreeMap<EntityName, EntityDeclaration>,
    ) -> (Vec<EntityDeclaration>, Vec<EntityName>) {
        let declared = self.declared.borrow();
        let new = present.iter().filter(|(name, entity)| declared.get(*name) != Some(*entity));
        let gone = declared.keys().filter(|name| !present.contains_key(*name));
        (new.map(|(_, entity)| entity.clone()).collect(), gone.cloned().collect())
    }

    pub(crate) fn diagnostics(&self) -> serde_json::Value {
        let declared = self.declared.borrow();
        serde_json::json!({
            "entities": declared.keys().map(EntityName::as_str).collect::<Vec<_>>(),
            "cycles": self.cycles.get(),
            "measuring": self.probe.borrow().is_none(),
        })
    }
}
