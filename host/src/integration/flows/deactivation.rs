//! Switching an integration off: what is deleted and what is kept is shown, chosen, then done.
//!
//! SAFE keeps history and everything a person made; ALL deletes every trace, after the id was typed. The work runs as
//! a task of its own, so that its progress can be asked for and nobody's going away leaves it half done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gatehouse_plugin_api::attribute::{
    AttributeSpec, AttributeValue, AttributeValues, ChoiceOption, FieldErrors, PlainValue, ValueType,
};
use gatehouse_plugin_api::flow::{FlowAnswer, FlowStep, StepKind};
use gatehouse_plugin_api::ids::IntegrationId;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::flow::Turn;
use super::leash::{AtWork, Leash};
use super::target::Target;
use crate::clock::Clock;
use crate::integration::OperationError;
use crate::integration::registry::Registry;
use crate::integration::supervisor::Input;
use crate::store::{Desired, KvSpace};

/// The step that asks what to keep.
const CHOICE: &str = "deactivate";
/// The step that asks for the id before everything is deleted.
const TYPE_ID: &str = "delete_all";
/// The step that shows how far the work has come.
const WORK: &str = "work";
/// The field with SAFE or ALL.
const MODE: &str = "mode";
const MODE_SAFE: &str = "safe";
const MODE_ALL: &str = "all";
/// The field that keeps the settings.
const KEEP_SETTINGS: &str = "keep_settings";
/// The field for the typed id.
const ID: &str = "id";
/// How long an answer waits for the work's end before it shows progress.
const WORK_PATIENCE: Duration = Duration::from_secs(1);

/// The host's deactivation flow.
#[derive(Debug)]
pub(super) struct Deactivation {
    keep_settings: bool,
    own_words: String,
    work: Option<Work>,
}

#[derive(Debug)]
struct Work {
    deleted: Arc<Mutex<u64>>,
    task: JoinHandle<Result<String, OperationError>>,
}

impl Deactivation {
    /// The flow and its first step. `own_words` is what the plugin's own flow said at its end.
    pub(super) async fn begin(registry: &Registry, target: &Target, own_words: String) -> (Self, Turn) {
        let readings = registry.base().store.readings_count(&target.id).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the readings could not be counted");
            0
        });
        let step = choice_step(registry, target, readings, &own_words);
        let mut defaults = BTreeMap::from([(MODE.to_owned(), PlainValue::Text(MODE_SAFE.to_owned()))]);
        defaults.insert(KEEP_SETTINGS.to_owned(), PlainValue::Bool(false));
        (Self { keep_settings: false, own_words, work: None }, Turn::Show { step, defaults })
    }

    /// The answer to the step that is shown.
    pub(super) async fn answer(
        &mut self,
        registry: &Arc<Registry>,
        target: &Target,
        leash: &Leash,
        answer: FlowAnswer,
    ) -> Turn {
        match answer.step_id.as_str() {
            CHOICE => {
                self.keep_settings = is_on(&answer.values, KEEP_SETTINGS);
                if text(&answer.values, MODE) == Some(MODE_ALL) {
                    return Turn::Show { step: id_step(&target.id, FieldErrors::new()), defaults: BTreeMap::new() };
                }
                self.work = Some(begin_work(registry, &target.id, leash.work(), Some(self.keep_settings)));
            }
            TYPE_ID if text(&answer.values, ID).map(str::trim) != Some(target.id.as_str()) => {
                let errors = FieldErrors::from([(ID.to_owned(), format!("is not {:?}", target.id.as_str()))]);
                return Turn::Show { step: id_step(&target.id, errors), defaults: BTreeMap::new() };
            }
            TYPE_ID => self.work = Some(begin_work(registry, &target.id, leash.work(), None)),
            _ => {}
        }
        self.look(&registry.base().clock).await
    }

    /// How far the work has come; waits a moment for its end.
    async fn look(&mut self, clock: &Clock) -> Turn {
        let Some(work) = &mut self.work else {
            return Turn::Abort { code: "failed".to_owned(), message: "nothing was begun".to_owned() };
        };
        let ended = tokio::select! {
            biased;
            ended = &mut work.task => ended,
            () = clock.sleep(WORK_PATIENCE) => {
                let deleted = *work.deleted.lock();
                return Turn::Show { step: work_step(deleted), defaults: BTreeMap::new() };
            }
        };
        match ended {
            Ok(Ok(sentence)) if self.own_words.is_empty() => Turn::Done(sentence),
            Ok(Ok(sentence)) => Turn::Done(format!("{} {sentence}", self.own_words)),
            Ok(Err(error)) => Turn::Abort { code: "failed".to_owned(), message: error.to_string() },
            Err(_) => Turn::Abort { code: "failed".to_owned(), message: "the deactivation failed".to_owned() },
        }
    }
}

/// Begins the work: SAFE with whether settings are kept, ALL without.
fn begin_work(registry: &Arc<Registry>, id: &IntegrationId, at_work: AtWork, safe: Option<bool>) -> Work {
    let deleted = Arc::new(Mutex::new(0));
    let (registry, id, counted) = (Arc::clone(registry), id.clone(), Arc::clone(&deleted));
    let task = tokio::spawn(async move {
        let _at_work = at_work;
        let supervised = registry.find(&id)?;
        // Off first and for good: whatever happens now, a restart does not start it again.
        supervised.ask(|reply| Input::Want(Desired::Off, reply)).await?;
        let base = registry.base();
        match safe {
            Some(keep_settings) => {
                if !keep_settings {
                    supervised.ask(Input::Erase).await?;
                }
                base.house.detach_all(&id).await?;
                let settings = if keep_settings { "its settings are kept" } else { "its settings are erased" };
                Ok(format!("{id} is off; {settings}, its history stays."))
            }
            None => {
                base.house.delete_all(&id, &move |rows| *counted.lock() = rows).await.map_err(|error| {
                    OperationError::Store(format!(
                        "{error}; {id} is off and a part of it may be deleted: deactivate it again to go on"
                    ))
                })?;
                base.store.kv_clear(&id, KvSpace::Data).await?;
                base.store.kv_clear(&id, KvSpace::Secrets).await?;
                registry.delete(&id).await?;
                remove_data(base.home.data_dir(&id)).await;
                Ok(format!("{id} and everything of it is deleted."))
            }
        }
    });
    Work { deleted, task }
}

async fn remove_data(folder: std::path::PathBuf) {
    if let Err(error) = tokio::fs::remove_dir_all(&folder).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "a deleted integration's folder could not be removed");
    }
}

fn choice_step(registry: &Registry, target: &Target, readings: u64, own_words: &str) -> FlowStep {
    let house = &registry.base().house;
    let entities: Vec<_> =
        house.entities().into_iter().filter(|entity| entity.address.integration == target.id).collect();
    let states: usize = entities.iter().map(|entity| entity.declaration.states.len()).sum();
    let settings = target.existing.as_ref().map_or(0, |existing| existing.settings().0.len());
    let there = format!(
        "{} with {} and {}",
        count(entities.len(), "entity", "entities"),
        count(states, "state", "states"),
        count(readings, "reading", "readings")
    );
    let mut description = format!(
        "SAFE switches it off and erases its {} and its secrets, unless they are kept. Kept and taken up again when it \
         is activated anew: {there}.\n\nALL also deletes these for good: {there}, and all that it stored.",
        count(settings, "setting", "settings")
    );
    if !own_words.is_empty() {
        description = format!("{own_words}\n\n{description}");
    }
    let title =
        target.existing.as_ref().map_or_else(|| target.id.to_string(), |existing| existing.view().title.clone());
    let option = |value: &str, label: &str| ChoiceOption { value: value.to_owned(), label: label.to_owned() };
    let mode = ValueType::Choice {
        options: vec![
            option(MODE_SAFE, "SAFE: keep entities and history"),
            option(MODE_ALL, "ALL: delete everything of it"),
        ],
    };
    let fields = vec![
        field(MODE, "What to delete", mode, Some(PlainValue::Text(MODE_SAFE.to_owned()))),
        field(KEEP_SETTINGS, "Keep the settings", ValueType::Switch, Some(PlainValue::Bool(false))),
    ];
    FlowStep {
        step_id: CHOICE.to_owned(),
        title: format!("Deactivate {title}"),
        description,
        kind: StepKind::Form { fields, errors: FieldErrors::new() },
    }
}

fn id_step(id: &IntegrationId, errors: FieldErrors) -> FlowStep {
    FlowStep {
        step_id: TYPE_ID.to_owned(),
        title: format!("Delete everything of {id}"),
        description: format!("Entities, readings, settings and stored data are deleted for good. Type {id} to go on."),
        kind: StepKind::Form { fields: vec![field(ID, "The integration's id", ValueType::Text, None)], errors },
    }
}

fn work_step(deleted: u64) -> FlowStep {
    FlowStep {
        step_id: WORK.to_owned(),
        title: "Being deactivated".to_owned(),
        description: String::new(),
        kind: StepKind::Progress { message: format!("{deleted} rows are deleted so far"), percent: None },
    }
}

fn field(key: &str, label: &str, value_type: ValueType, default: Option<PlainValue>) -> AttributeSpec {
    AttributeSpec { default, ..AttributeSpec::new(key, label, value_type) }
}

fn count(n: impl TryInto<u64>, one: &str, many: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

fn text<'a>(values: &'a AttributeValues, key: &str) -> Option<&'a str> {
    match values.get(key) {
        Some(AttributeValue::Plain(PlainValue::Text(text))) => Some(text),
        _ => None,
    }
}

fn is_on(values: &AttributeValues, key: &str) -> bool {
    matches!(values.get(key), Some(AttributeValue::Plain(PlainValue::Bool(true))))
}
