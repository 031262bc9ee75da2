//! How an activation ends: validated, tested, saved, started; and the default flow that leads there.

use gatehouse_plugin_api::attribute::{AttributeValues, FieldErrors};
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::flow::{FlowDone, FlowStep, StepKind};
use gatehouse_plugin_api::manifest::Manifest;
use gatehouse_plugin_api::message::{Attributes, Connection, ConnectionResult};
use gatehouse_plugin_api::ops;

use super::flow::{Flow, Turn};
use super::target::taken;
use crate::gateway::{Hosting, clip};
use crate::integration::OperationError;
use crate::integration::attributes::{self, BASE, Given};
use crate::integration::flow_view::FlowKind;
use crate::integration::supervisor::{Activation, Input, Running, fields_of, validate};
use crate::integration::view::{Actual, IntegrationView};
use crate::store::{Desired, IntegrationRow};

/// What running in the daemon's own process risks.
const IN_PROCESS: &str = "The configuration runs it IN THE DAEMON'S OWN PROCESS: nothing holds it there. It can do all \
     that the daemon can, and a crash of it is a crash of the whole daemon. Go on only if you trust it like Gatehouse \
     itself; else give it up, and take `hosting` out of its part of the configuration first.";
/// The step that asks for it.
const RISK: &str = "in_process";
/// The step of the default flow that asks for settings.
const SETTINGS: &str = "settings";
/// The step of the default flow where there is nothing to set.
const CONFIRM: &str = "confirm";

impl Flow {
    /// The default flow's only step: a form from the specs, or a confirmation where there are none.
    pub(super) fn settings_step(&self, errors: FieldErrors) -> Turn {
        let fields = self.specs().to_vec();
        let defaults = attributes::offered(&fields, Some(&self.settings()));
        let manifest = self.target.plugin.as_ref().map(|plugin| plugin.manifest());
        let verb = if self.target.existing.is_some() { "Set up" } else { "Activate" };
        let title = format!("{verb} {}", manifest.map_or(self.target.id.as_str(), |manifest| manifest.label.as_str()));
        let mut description = manifest.map(what_it_does).unwrap_or_default();
        let (step_id, kind) = if fields.is_empty() {
            // A confirmation has no place for errors but its text.
            if !errors.is_empty() {
                description = format!("It did not work: {}\n\n{description}", attributes::sentence(&errors));
            }
            (CONFIRM, StepKind::Confirm)
        } else {
            (SETTINGS, StepKind::Form { fields, errors })
        };
        let step = FlowStep { step_id: step_id.to_owned(), title, description, kind };
        Turn::Show { step, defaults }
    }

    /// Asks, before anything of the plugin is, whether it may run in the daemon's own process; not again of one that
    /// is in use.
    pub(super) fn risk_step(&self) -> Option<FlowStep> {
        let in_use = self.target.existing.as_ref().is_some_and(|existing| existing.view().desired != Desired::Off);
        let asks = self.kind == FlowKind::Activate && !in_use;
        (asks && self.registry.base().hosting(&self.target.id) == Hosting::InProcess).then(|| FlowStep {
            step_id: RISK.to_owned(),
            title: format!("Run {} in the daemon's own process?", self.target.id),
            description: IN_PROCESS.to_owned(),
            kind: StepKind::Confirm,
        })
    }

    /// The default flow's end.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub(super) async fn finish_default(&mut self, values: AttributeValues) -> Result<Turn, FieldErrors> {
        self.finish(FlowDone { attributes: values, ..FlowDone::default() }).await
    }

    /// Validates, tests, saves and starts.
    ///
    /// # Errors
    /// What is wrong with which field; nothing is saved then.
    pub(super) async fn finish(&mut self, mut done: FlowDone) -> Result<Turn, FieldErrors> {
        // Both are kept and shown wherever the integration is.
        clip(&mut done.title);
        clip(&mut done.info_message);
        let attributes = attributes::complete(self.specs(), &done.attributes, Given::Nothing)?;
        let entered = self.enter().await;
        let running = match self.gateway_for(&attributes).await {
            Ok(running) => running,
            Err(gave_up) => return Ok(gave_up.into()),
        };
        let wrong = validate(&running.gateway, &attributes).await.unwrap_or_else(|error| fields_of(&error));
        if !wrong.is_empty() {
            return Err(wrong);
        }
        if let Some(other) = self.other_with(done.unique_id.as_deref()) {
            return Ok(Turn::Abort {
                code: "already_configured".to_owned(),
                message: format!("this upstream is already configured as {other}"),
            });
        }
        test_connection(&running, &attributes).await?;
        drop((running, entered));
        match self.save_and_start(FlowDone { attributes, ..done }).await {
            Ok(turn) => Ok(turn),
            Err(error) => Ok(Turn::Abort { code: "not_saved".to_owned(), message: error.to_string() }),
        }
    }

    /// Another integration of the type with this upstream's identity.
    fn other_with(&self, unique_id: Option<&str>) -> Option<String> {
        let unique_id = unique_id?;
        let others = self.registry.list();
        let mut same_type = others
            .iter()
            .filter(|view| view.integration_type == self.target.integration_type && view.id != self.target.id);
        let other = same_type.find(|view| {
            self.registry.get(&view.id).and_then(|other| other.unique_id()).as_deref() == Some(unique_id)
        })?;
        Some(other.id.to_string())
    }

    async fn save_and_start(&mut self, done: FlowDone) -> Result<Turn, OperationError> {
        let base = std::sync::Arc::clone(self.registry.base());
        let label = self.target.plugin.as_ref().map_or("", |plugin| plugin.manifest().label.as_str());
        let id = self.target.id.clone();
        let title = match (done.title.is_empty(), id.as_str() == self.target.integration_type.as_str()) {
            (false, _) => done.title,
            (true, true) => label.to_owned(),
            (true, false) => format!("{label} ({id})"),
        };
        let info_message =
            if done.info_message.is_empty() { format!("{title} is activated.") } else { done.info_message };
        self.leash.saves();
        // The flow's worker ends before the integration's own begins: never two of one integration.
        let overlay = self.exchange.take_overlay(&base).await;
        let view = if let Some(existing) = self.target.existing.clone() {
            for ((space, key), value) in overlay {
                base.store.kv_set(&id, space, &key, value).await?;
            }
            let activation = Activation {
                attributes: done.attributes,
                title,
                unique_id: done.unique_id,
                info_message: info_message.clone(),
            };
            let turn = existing.settings_turn().await;
            existing.ask(|reply| Input::Activate(Box::new(activation), turn, reply)).await?
        } else {
            if self.registry.get(&id).is_some() {
                return Err(taken(&id, "an integration got it meanwhile"));
            }
            let row = IntegrationRow {
                id: id.clone(),
                integration_type: self.target.integration_type.clone(),
                title,
                desired: Desired::On,
                hosting: base.hosting(&id),
                unique_id: done.unique_id,
                info_message: info_message.clone(),
                created_at_ms: base.clock.now_ms(),
                attributes: done.attributes,
                last_good_sha256: None,
            };
            // The row last: an integration that stands in the database has all that its flow kept for it.
            for ((space, key), value) in overlay {
                base.store.kv_set(&id, space, &key, value).await?;
            }
            base.store.integration_save(row.clone()).await?;
            let supervised = self.registry.supervise(row).ok_or_else(|| {
                let later = "the daemon is ending: the integration is saved and starts together with it";
                OperationError::Unavailable(later.to_owned())
            })?;
            supervised.ask(|reply| Input::Want(Desired::On, reply)).await?
        };
        Ok(Turn::Done(end_sentence(info_message, &view)))
    }
}

/// The sentence at the end; when it does not run yet, that too.
fn end_sentence(info_message: String, view: &IntegrationView) -> String {
    if matches!(view.actual, Actual::Running | Actual::Degraded) {
        return info_message;
    }
    let advice = if view.advice.is_empty() { String::new() } else { format!(" {}", view.advice) };
    format!("{info_message} It does not run yet ({}): {}.{advice}", view.actual.word(), view.reason)
}

async fn test_connection(running: &Running, attributes: &AttributeValues) -> Result<(), FieldErrors> {
    let request = Attributes { attributes: attributes.clone() };
    let result = match running.gateway.call::<_, ConnectionResult>(&ops::TEST_CONNECTION, &request).await {
        Ok(result) => result,
        Err(error) if error.code == ErrorCode::Unsupported => return Ok(()),
        Err(error) => return Err(fields_of(&error)),
    };
    let what = match result.outcome {
        Connection::Ok => return Ok(()),
        Connection::CannotConnect => "it cannot be reached",
        Connection::BadCredentials => "it refused the credentials",
        Connection::WrongVersion => "it has a version that the plugin does not speak",
        Connection::Other => "the connection could not be tested",
    };
    let sentence = if result.message.is_empty() { what.to_owned() } else { format!("{what}: {}", result.message) };
    Err(FieldErrors::from([(BASE.to_owned(), sentence)]))
}

/// What a plugin does and needs, in plain words.
fn what_it_does(manifest: &Manifest) -> String {
    let mut words = manifest.description.clone();
    if let Some(interval_ms) = manifest.poll_interval_ms.filter(|ms| *ms > 0) {
        let interval = gatehouse_plugin_api::duration::format_ms(interval_ms);
        push_line(&mut words, &format!("It looks for new values every {interval}."));
    }
    push_line(&mut words, &needs(manifest));
    words
}

/// What a plugin will be allowed to, in plain words; a setting that a need names is called by its label.
pub(super) fn needs(manifest: &Manifest) -> String {
    let named = |sentence: String| {
        manifest.attributes.iter().fold(sentence, |sentence, spec| {
            sentence.replace(&format!("{{{}}}", spec.key), &format!("what you set as {:?}", spec.label))
        })
    };
    let needs: Vec<_> = manifest.capabilities.iter().map(|need| format!("- {}", named(need.sentence()))).collect();
    if needs.is_empty() {
        return "It needs nothing else from this machine.".to_owned();
    }
    format!("It will be allowed to:\n{}", needs.join("\n"))
}

pub(super) fn push_line(words: &mut String, line: &str) {
    if !words.is_empty() {
        words.push_str("\n\n");
    }
    words.push_str(line);
}
