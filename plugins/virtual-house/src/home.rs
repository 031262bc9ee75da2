//! The house and its host: begins, lives, tells what changed, keeps itself.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use gatehouse_plugin_api::ids::{EntityName, StateName};
use gatehouse_plugin_api::message::{Control, ControlOutcome, HealthStatus, Reading, SettingsOutcome, Snapshot};
use gatehouse_plugin_api::tokio::sync::Notify;
use gatehouse_plugin_api::tokio::task::spawn_local;
use gatehouse_plugin_api::url::Url;
use gatehouse_plugin_api::{Context, Error, Result, Value, serde_json, tokio, tracing};

use crate::entities::{self, ALARM, DOOR, DOOR_CAMERA, HOUSE, MOTION, MOVED, RING};
use crate::model::House;
use crate::options::Options;
use crate::simulate::{self, Happening};
use crate::{camera, control, picture};

/// Where the house is kept.
const KEY: &str = "house";
/// How often it is kept while it lives, and every value told again, in milliseconds.
const KEEP_EVERY_MS: i64 = 60_000;

/// What the gateway and its task share.
#[derive(Debug)]
pub(crate) struct Home {
    context: Context,
    options: RefCell<Option<Options>>,
    house: RefCell<Option<House>>,
    told: RefCell<HashMap<(String, &'static str), Value>>,
    kept_at_ms: Cell<i64>,
    /// Someone set something: the house is kept at once, without whoever did it waiting.
    touched: Notify,
    changed: Notify,
}

impl Home {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            context,
            options: RefCell::default(),
            house: RefCell::default(),
            told: RefCell::default(),
            kept_at_ms: Cell::new(0),
            touched: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// Takes the house that was kept, or founds one, declares it and lets it live until the context is cancelled.
    pub(crate) async fn begin(self: Rc<Self>, options: Options) -> Result<()> {
        let now_ms = self.context.clock().now_ms();
        let mut house = match self.context.kv().get::<House>(KEY).await? {
            Some(kept) if kept.is_of(&options) => kept,
            other => {
                let house = House::found(&options, now_ms);
                let (lamps, armed) = other.map_or_else(Default::default, |other| (other.lamps, other.armed));
                let gone = lamps.into_iter().map(|lamp| lamp.entity);
                let gone: Vec<_> =
                    gone.filter(|entity| house.lamps.iter().all(|lamp| lamp.entity != *entity)).collect();
                if !gone.is_empty() {
                    self.context.remove(gone).await?;
                }
                House { armed, ..house }
            }
        };
        if house.fit_alarm(&options) {
            self.context.remove([ALARM]).await?;
        }
        let entities = entities::all(&house, &options.name);
        self.house.replace(Some(house));
        self.options.replace(Some(options));
        self.told.take();
        self.context.declare(entities).await?;
        self.save().await?;
        self.step().await?;
        self.context.health(HealthStatus::Healthy, "").await?;
        spawn_local(self.run());
        Ok(())
    }

    async fn run(self: Rc<Self>) {
        let cancelled = self.context.cancellation();
        loop {
            let Some(pace) = self.options.borrow().as_ref().map(|options| options.pace) else { return };
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return,
                () = self.changed.notified() => {}
                () = self.touched.notified() => {
                    if let Err(error) = self.save().await {
                        tracing::warn!(%error, "the house could not be kept");
                    }
                }
                () = self.context.clock().sleep(pace) => {
                    if let Err(error) = self.step().await {
                        tracing::warn!(%error, "the house could not tell what changed");
                    }
                }
            }
        }
    }

    /// Lives until now and tells what changed.
    async fn step(&self) -> Result<()> {
        let now_ms = self.context.clock().now_ms();
        let season = self.options.borrow().as_ref().map(|options| options.season);
        let happenings = season.and_then(|season| self.with(|house| simulate::live(house, season, now_ms)));
        let again = now_ms - self.kept_at_ms.get() >= KEEP_EVERY_MS;
        if again {
            self.told.take();
        }
        for happening in happenings.unwrap_or_default() {
            match happening {
                Happening::Motion => self.tell_event(MOTION, "motion", MOVED).await?,
                Happening::Ring => self.tell_event(DOOR, "bell", RING).await?,
            }
        }
        self.tell_changes(None).await?;
        if again { self.save().await } else { Ok(()) }
    }

    async fn tell_event(&self, entity: &str, state: &str, event: &str) -> Result<()> {
        self.context.emit_value(entity, state, Value::Event(event.to_owned())).await
    }

    /// Emits the values that are not those told last, without that of the state which `set` set: its outcome tells.
    async fn tell_changes(&self, set: Option<&Control>) -> Result<()> {
        let values = self.with(|house| entities::values(house)).unwrap_or_default();
        let mut readings = Vec::new();
        for (entity, state, value) in values {
            let (name, of) = (EntityName::new(&entity)?, StateName::new(state)?);
            let by_outcome = set.is_some_and(|set| {
                set.entity.as_str().eq_ignore_ascii_case(&entity) && set.state.as_str().eq_ignore_ascii_case(state)
            });
            let before = self.told.borrow_mut().insert((entity, state), value.clone());
            if before.as_ref() != Some(&value) && !by_outcome {
                readings.push(Reading { entity: name, state: of, value, at_ms: None });
            }
        }
        self.context.emit_all(readings).await
    }

    /// Keeps the house as it is.
    pub(crate) async fn save(&self) -> Result<()> {
        let Some(house) = self.house.borrow().clone() else { return Ok(()) };
        self.kept_at_ms.set(self.context.clock().now_ms());
        self.context.kv().set(KEY, &house).await
    }

    /// Sets a state. What else changes by it is told as readings; the house is kept soon.
    pub(crate) async fn control(&self, control: Control) -> Result<ControlOutcome> {
        let now_ms = self.context.clock().now_ms();
        let value = {
            let options = self.options.borrow();
            let code = options.as_ref().and_then(|options| options.alarm_code.as_ref());
            self.with(|house| control::apply(house, code, &control, now_ms)).ok_or_else(not_started)??
        };
        self.touched.notify_one();
        self.tell_changes(Some(&control)).await?;
        Ok(ControlOutcome { value })
    }

    /// Changes the furniture, declares it anew, keeps it.
    ///
    /// # Errors
    /// The sentence of `change` as `Ok(Err(…))`; the host's failure as `Err`.
    pub(crate) async fn furnish<T>(
        &self,
        change: impl FnOnce(&mut House) -> Result<T, String>,
    ) -> Result<Result<T, String>> {
        self.visit().await?;
        let changed = match self.with(change).ok_or_else(not_started)? {
            Ok(changed) => changed,
            Err(sentence) => return Ok(Err(sentence)),
        };
        self.save().await?;
        self.declare_again().await?;
        Ok(Ok(changed))
    }

    async fn declare_again(&self) -> Result<()> {
        let entities = {
            let (house, options) = (self.house.borrow(), self.options.borrow());
            match (house.as_ref(), options.as_ref()) {
                (Some(house), Some(options)) => entities::all(house, &options.name),
                // Not started: declared at the next start.
                _ => return Ok(()),
            }
        };
        self.context.declare(entities).await?;
        self.tell_changes(None).await
    }

    /// The house, also while it is not started: then as it was kept.
    pub(crate) async fn visit(&self) -> Result<Option<House>> {
        if self.house.borrow().is_none()
            && let Some(kept) = self.context.kv().get::<House>(KEY).await?
        {
            self.house.borrow_mut().get_or_insert(kept);
        }
        Ok(self.house.borrow().clone())
    }

    /// The house's website, once it is started.
    pub(crate) fn link(&self) -> Option<Url> {
        self.options.borrow().as_ref().and_then(|options| options.link().cloned())
    }

    /// The image of an entity: what the camera sees, or the picture of the house that a person chose.
    pub(crate) async fn snapshot(&self, entity: &EntityName) -> Result<Snapshot> {
        if entity.as_str().eq_ignore_ascii_case(DOOR_CAMERA) {
            let now_ms = self.context.clock().now_ms();
            return self.with(|house| camera::snapshot(house, now_ms)).ok_or_else(not_started);
        }
        if entity.as_str().eq_ignore_ascii_case(HOUSE) {
            let chosen = self.options.borrow().as_ref().and_then(|options| options.picture.clone());
            return picture::snapshot(chosen).await;
        }
        Err(Error::unsupported(format!("{entity} has no image: {DOOR_CAMERA} and {HOUSE} have one")))
    }

    /// All holds at once but what a house is founded with, which needs a new start.
    pub(crate) async fn change(&self, options: Options) -> Result<SettingsOutcome> {
        if !self.with(|house| house.is_of(&options)).unwrap_or(false) {
            return Ok(SettingsOutcome::Restart);
        }
        let alarm_gone = self.with(|house| house.fit_alarm(&options)).unwrap_or(false);
        self.options.replace(Some(options));
        self.changed.notify_one();
        if alarm_gone {
            self.told.borrow_mut().retain(|(entity, _), _| entity != ALARM);
            self.context.remove([ALARM]).await?;
        }
        self.touched.notify_one();
        self.declare_again().await?;
        Ok(SettingsOutcome::Applied)
    }

    pub(crate) fn diagnostics(&self) -> serde_json::Value {
        self.with(|house| {
            serde_json::json!({
                "rooms": house.rooms.len(),
                "lamps": house.lamps.len(),
                "note": house.note,
                "watt_hours": house.watt_hours,
                "lived_until_ms": house.lived_until_ms,
            })
        })
        .unwrap_or_else(|| serde_json::json!({}))
    }

    /// Works on the house, if there is one. Never across an await.
    fn with<T>(&self, work: impl FnOnce(&mut House) -> T) -> Option<T> {
        self.house.borrow_mut().as_mut().map(work)
    }
}

pub(crate) fn not_started() -> Error {
    Error::refused("there is no house yet: activate the integration first")
}
