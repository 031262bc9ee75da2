//! One flow: the step that is shown, and what an answer to it leads to.

use std::collections::BTreeMap;
use std::sync::Arc;

use gatehouse_plugin_api::attribute::{AttributeSpec, AttributeValues, FieldErrors, PlainValue};
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::flow::{FlowAnswer, FlowReason, FlowReply, FlowStep, StepKind};

use super::activation::{needs, push_line};
use super::deactivation::Deactivation;
use super::leash::Leash;
use super::own::Exchange;
use super::target::Target;
use crate::gateway::clip;
use crate::integration::OperationError;
use crate::integration::attributes::{self, BASE, Given};
use crate::integration::flow_view::{FlowInput, FlowKind};
use crate::integration::registry::Registry;
use crate::integration::view::Actual;
use crate::store::Desired;

/// What a turn leads to.
#[derive(Debug)]
pub(super) enum Turn {
    /// A step waits for its answer.
    Show { step: FlowStep, defaults: BTreeMap<String, PlainValue> },
    /// It ended well.
    Done(String),
    /// It ended without effect.
    Abort { code: String, message: String },
}

/// Why a flow is given up.
#[derive(Debug)]
pub(super) struct GaveUp {
    code: String,
    message: String,
    /// The plugin answered so; else it could not be asked, or failed over it.
    meant: bool,
}

impl GaveUp {
    /// With a stable word and a sentence.
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), meant: false }
    }

    /// After an error that the plugin answered.
    pub(super) fn answered(error: &CallError) -> Self {
        let failed = [ErrorCode::Panicked, ErrorCode::Deadline, ErrorCode::NoReply, ErrorCode::InvalidRequest];
        Self { meant: !failed.contains(&error.code), ..Self::new(error.code.as_str(), error.to_string()) }
    }
}

impl From<GaveUp> for Turn {
    fn from(GaveUp { code, message, .. }: GaveUp) -> Self {
        Self::Abort { code, message }
    }
}

/// Who leads the flow at present.
#[derive(Debug)]
enum Lead {
    /// The host, by what running in the daemon's own process risks; then the plugin.
    Risk,
    /// The plugin.
    Own,
    /// The host, by the attribute specs.
    Activation,
    /// The host.
    Deactivation(Deactivation),
}

/// One open flow.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) registry: Arc<Registry>,
    pub(super) kind: FlowKind,
    pub(super) target: Target,
    pub(super) exchange: Exchange,
    pub(super) leash: Leash,
    lead: Lead,
    shown: FlowStep,
    /// What the plugin's own deactivation flow said at its end.
    own_words: String,
}

/// What stands in the view until the first step is known.
pub(super) fn opening() -> FlowStep {
    FlowStep {
        step_id: "opening".to_owned(),
        title: "One moment".to_owned(),
        description: String::new(),
        kind: StepKind::Progress { message: "The plugin is being asked".to_owned(), percent: None },
    }
}

impl Flow {
    pub(super) fn new(registry: Arc<Registry>, flow_id: String, kind: FlowKind, target: Target, leash: Leash) -> Self {
        let reason = match target.existing.as_ref().map(|existing| existing.view()) {
            Some(view) if kind == FlowKind::Activate && view.desired != Desired::Off => match view.actual {
                Actual::NeedsAuth => FlowReason::Reauthenticate,
                _ => FlowReason::Reconfigure,
            },
            _ => FlowReason::Person,
        };
        Self {
            registry,
            kind,
            exchange: Exchange::new(flow_id, kind, reason),
            target,
            leash,
            lead: Lead::Own,
            shown: opening(),
            own_words: String::new(),
        }
    }

    /// The step that waits for its answer.
    pub(super) fn shown(&self) -> &FlowStep {
        &self.shown
    }

    /// The settings so far: those of the integration that exists.
    pub(super) fn settings(&self) -> AttributeValues {
        self.target.existing.as_ref().map(|existing| existing.settings()).unwrap_or_default()
    }

    /// The attribute specs of the plugin.
    pub(super) fn specs(&self) -> &[AttributeSpec] {
        self.target.plugin.as_ref().map_or(&[], |plugin| &plugin.manifest().attributes)
    }

    /// The first turn.
    pub(super) async fn first(&mut self) -> Turn {
        if self.target.plugin.is_none() {
            return self.host_deactivation().await;
        }
        match self.risk_step() {
            Some(step) => {
                self.lead = Lead::Risk;
                self.note(Turn::Show { step, defaults: BTreeMap::new() })
            }
            None => self.open().await,
        }
    }

    /// The plugin's first turn.
    async fn open(&mut self) -> Turn {
        self.lead = Lead::Own;
        let reply = self.ask(None).await;
        let mut turn = self.own_turn(reply).await;
        // The plugin's own first words say nothing of what it will be allowed to; the default form does.
        if let (Lead::Own, FlowKind::Activate, Turn::Show { step, .. }, Some(plugin)) =
            (&self.lead, self.kind, &mut turn, &self.target.plugin)
        {
            push_line(&mut step.description, &needs(plugin.manifest()));
        }
        turn
    }

    /// Lets go of the worker.
    pub(super) async fn close(&mut self) {
        self.exchange.let_go(self.registry.base()).await;
    }

    /// An answer to the step that is shown; a wrong one shows it again.
    pub(super) async fn answer(&mut self, input: FlowInput) -> Result<Turn, OperationError> {
        let answer = match self.read(input)? {
            Ok(answer) => answer,
            Err(errors) => return Ok(self.show_again(errors)),
        };
        Ok(match &mut self.lead {
            Lead::Risk => self.open().await,
            Lead::Own => {
                let reply = self.ask(Some(answer)).await;
                self.own_turn(reply).await
            }
            Lead::Activation => self.settings_given(answer.values).await,
            Lead::Deactivation(deactivation) => {
                let turn = deactivation.answer(&self.registry, &self.target, &self.leash, answer).await;
                self.note(turn)
            }
        })
    }

    async fn own_turn(&mut self, reply: Result<FlowReply, GaveUp>) -> Turn {
        let turn = match (reply, self.kind) {
            // Who cannot be asked cannot keep itself from being switched off.
            (Err(gave_up), FlowKind::Deactivate) if !gave_up.meant => {
                self.own_words = format!("The plugin itself could not be asked: {}", gave_up.message);
                clip(&mut self.own_words);
                return self.host_deactivation().await;
            }
            (Err(gave_up), _) => gave_up.into(),
            (Ok(FlowReply::Abort { mut code, mut message }), _) => {
                clip(&mut code);
                clip(&mut message);
                Turn::Abort { code, message }
            }
            (Ok(FlowReply::Step(step)), _) => match check_step(&step) {
                Ok(()) => {
                    let defaults = match &step.kind {
                        StepKind::Form { fields, .. } => attributes::offered(fields, Some(&self.settings())),
                        _ => BTreeMap::new(),
                    };
                    Turn::Show { step, defaults }
                }
                Err(problem) => Turn::Abort {
                    code: "bad_step".to_owned(),
                    message: format!("the plugin showed a step that cannot be used: {problem}"),
                },
            },
            (Ok(FlowReply::Default), FlowKind::Activate) => {
                self.lead = Lead::Activation;
                self.settings_step(FieldErrors::new())
            }
            (Ok(FlowReply::Default), FlowKind::Deactivate) => return self.host_deactivation().await,
            (Ok(FlowReply::Done(done)), FlowKind::Deactivate) => {
                self.own_words = done.info_message;
                clip(&mut self.own_words);
                return self.host_deactivation().await;
            }
            (Ok(FlowReply::Done(done)), FlowKind::Activate) => match self.finish(done).await {
                Ok(turn) => turn,
                Err(errors) => self.own_done_was_wrong(errors),
            },
        };
        self.note(turn)
    }

    /// A plugin's flow ended with settings that do not do: its last form is shown again, if it was one.
    fn own_done_was_wrong(&mut self, errors: FieldErrors) -> Turn {
        if matches!(self.shown.kind, StepKind::Form { .. }) {
            self.exchange.take_back();
            return self.show_again(errors);
        }
        Turn::Abort { code: "invalid".to_owned(), message: attributes::sentence(&errors) }
    }

    /// The settings given in the default flow, or the confirmation where there is nothing to set.
    async fn settings_given(&mut self, values: AttributeValues) -> Turn {
        let turn = match self.finish_default(values).await {
            Ok(turn) => turn,
            Err(errors) => self.settings_step(errors),
        };
        self.note(turn)
    }

    async fn host_deactivation(&mut self) -> Turn {
        let words = std::mem::take(&mut self.own_words);
        let (deactivation, turn) = Deactivation::begin(&self.registry, &self.target, words).await;
        self.lead = Lead::Deactivation(deactivation);
        self.note(turn)
    }

    fn note(&mut self, turn: Turn) -> Turn {
        if let Turn::Show { step, .. } = &turn {
            self.shown = step.clone();
        }
        turn
    }

    fn show_again(&mut self, mut wrong: FieldErrors) -> Turn {
        let mut step = self.shown.clone();
        let mut defaults = BTreeMap::new();
        if let StepKind::Form { fields, errors } = &mut step.kind {
            defaults = attributes::offered(fields, Some(&self.settings()));
            // What belongs to no field of this form stands above it, with its name.
            let (of_fields, of_none): (FieldErrors, FieldErrors) =
                wrong.into_iter().partition(|(key, _)| fields.iter().any(|field| field.key == *key));
            wrong = of_fields;
            if !of_none.is_empty() {
                wrong.insert(BASE.to_owned(), attributes::sentence(&of_none));
            }
            *errors = wrong;
        }
        Turn::Show { step, defaults }
    }

    /// Checks an answer against the step; the inner error is by field.
    fn read(&self, input: FlowInput) -> Result<Result<FlowAnswer, FieldErrors>, OperationError> {
        let step_id = self.shown.step_id.clone();
        let answer = |values, choice| FlowAnswer { step_id: step_id.clone(), values, choice };
        match &self.shown.kind {
            StepKind::Form { fields, .. } => {
                let settings = self.settings();
                let checked = attributes::complete(fields, &input.values, Given::Settings(&settings));
                Ok(checked.map(|values| answer(values, None)))
            }
            _ if !input.values.0.is_empty() => {
                let keys: Vec<_> = input.values.0.keys().map(String::as_str).collect();
                Err(OperationError::invalid(format!(
                    "the step {step_id:?} takes no values; given were {}",
                    keys.join(", ")
                )))
            }
            StepKind::Menu { options } => {
                let values = || options.iter().map(|option| option.value.as_str()).collect::<Vec<_>>().join(", ");
                match input.choice {
                    Some(choice) if options.iter().any(|option| option.value == choice) => {
                        Ok(Ok(answer(AttributeValues::default(), Some(choice))))
                    }
                    Some(choice) => Err(OperationError::invalid(format!("{choice:?} is not one of {}", values()))),
                    None => Err(OperationError::invalid(format!("choose one of {}", values()))),
                }
            }
            StepKind::Confirm | StepKind::Progress { .. } | StepKind::External { .. } => {
                Ok(Ok(answer(AttributeValues::default(), None)))
            }
        }
    }
}

/// Whether a plugin's step can be shown and answered.
fn check_step(step: &FlowStep) -> Result<(), String> {
    if step.step_id.is_empty() || step.step_id.len() > 100 || step.step_id.chars().any(char::is_control) {
        return Err("its step_id must have from 1 to 100 characters".to_owned());
    }
    match &step.kind {
        StepKind::Form { fields, .. } => {
            let mut keys: Vec<_> = fields.iter().map(|field| field.key.as_str()).collect();
            keys.sort_unstable();
            match keys.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(pair) => Err(format!("the field {:?} is there twice", pair[0])),
                None if keys.first() == Some(&"") => Err("a field has no key".to_owned()),
                None => Ok(()),
            }
        }
        StepKind::Menu { options } if options.is_empty() => Err("its menu has no options".to_owned()),
        StepKind::External { url } if !url.starts_with("https://") && !url.starts_with("http://") => {
            Err(format!("{url:?} is no web address"))
        }
        _ => Ok(()),
    }
}
