//! Activation: furnished or empty → the house → its website, if it has one → sure? → building → done.
//!
//! The host keeps the answers; what is kept here is the draft they add up to, by flow. It may be lost: the host then
//! gives the answers again, from the first.

use std::cell::RefCell;
use std::collections::HashMap;

use gatehouse_plugin_api::attribute::{AttributeValue, AttributeValues, ChoiceOption, FieldErrors};
use gatehouse_plugin_api::flow::{FlowAnswer, FlowDone, FlowReason, FlowReply, FlowRequest, FlowStep, StepKind};
use gatehouse_plugin_api::url::Url;
use gatehouse_plugin_api::{Error, Result, Settings};

use crate::options::Options;

const KIND: &str = "kind";
const HOUSE: &str = "house";
const WEBSITE: &str = "website";
const CONFIRM: &str = "confirm";
const BUILD: &str = "build";

/// How many flows are remembered; the host has few at a time.
const DRAFTS_MAX: usize = 16;

/// The flows under way.
#[derive(Debug, Default)]
pub(crate) struct Activation {
    drafts: RefCell<HashMap<String, Draft>>,
}

#[derive(Debug, Clone, Default)]
struct Draft {
    values: AttributeValues,
    /// How many rooms are built.
    built: u8,
}

impl Activation {
    /// One turn.
    pub(crate) fn turn(&self, request: FlowRequest) -> Result<FlowReply> {
        if request.reason != FlowReason::Person {
            return Ok(FlowReply::Default);
        }
        let Some(answer) = request.answer else {
            self.keep(&request.flow_id, Draft { values: request.attributes, built: 0 });
            return Ok(menu());
        };
        let draft = self.drafts.borrow().get(&request.flow_id).cloned();
        let mut draft =
            draft.ok_or_else(|| Error::refused("this flow is not known any more: begin again from its first step"))?;
        let reply = step(&mut draft, answer)?;
        match &reply {
            FlowReply::Step(_) => self.keep(&request.flow_id, draft),
            _ => {
                self.drafts.borrow_mut().remove(&request.flow_id);
            }
        }
        Ok(reply)
    }

    fn keep(&self, flow_id: &str, draft: Draft) {
        let mut drafts = self.drafts.borrow_mut();
        if drafts.len() >= DRAFTS_MAX && !drafts.contains_key(flow_id) {
            drafts.clear();
        }
        drafts.insert(flow_id.to_owned(), draft);
    }
}

fn step(draft: &mut Draft, answer: FlowAnswer) -> Result<FlowReply> {
    match answer.step_id.as_str() {
        KIND => match answer.choice.as_deref() {
            Some("look") => {
                let message = "No house was founded; come back when you want one.";
                Ok(FlowReply::Abort { code: "not_wanted".to_owned(), message: message.to_owned() })
            }
            Some(kind @ ("furnished" | "empty")) => {
                draft.values.set_plain("furnished", (kind == "furnished").into());
                Ok(form(&draft.values, FieldErrors::new()))
            }
            _ => Ok(menu()),
        },
        HOUSE => {
            forget_emptied(&mut draft.values, &answer.values);
            draft.values.0.extend(answer.values.0);
            Ok(match options(draft) {
                Err(errors) => form(&draft.values, errors),
                Ok(options) => options.link().map_or_else(|| confirm(&options), visit),
            })
        }
        WEBSITE => Ok(match options(draft) {
            Err(errors) => form(&draft.values, errors),
            Ok(options) => confirm(&options),
        }),
        CONFIRM => build(draft),
        BUILD => {
            draft.built = draft.built.saturating_add(1);
            build(draft)
        }
        other => Err(Error::refused(format!("this flow has no step {other}"))),
    }
}

/// Forgets what the form showed and the answer emptied. A secret is never shown: left empty, it stays.
fn forget_emptied(values: &mut AttributeValues, answer: &AttributeValues) {
    let optional = Options::SPECS.iter().filter(|spec| !spec.required && spec.default.is_none());
    for spec in optional {
        if answer.get(spec.key).is_none() && matches!(values.get(spec.key), Some(AttributeValue::Plain(_))) {
            values.0.remove(spec.key);
        }
    }
}

fn options(draft: &Draft) -> Result<Options, FieldErrors> {
    let options = Options::from_values(&draft.values)?;
    if options.name.trim().is_empty() {
        return Err(FieldErrors::from([("name".to_owned(), "give the house a name".to_owned())]));
    }
    if options.website.is_some() && options.link().is_none() {
        let sentence = "give an address that begins with http:// or https://".to_owned();
        return Err(FieldErrors::from([("website".to_owned(), sentence)]));
    }
    Ok(options)
}

fn shown(step_id: &str, title: &str, description: String, kind: StepKind) -> FlowReply {
    FlowReply::Step(FlowStep { step_id: step_id.to_owned(), title: title.to_owned(), description, kind })
}

fn menu() -> FlowReply {
    let option = |value: &str, label: &str| ChoiceOption { value: value.to_owned(), label: label.to_owned() };
    let options = vec![
        option("furnished", "A furnished house, with a lamp in each room"),
        option("empty", "An empty house, to furnish on its own pages"),
        option("look", "None: I only wanted to look"),
    ];
    let description = "Nothing of it is real: try whatever you like.".to_owned();
    shown(KIND, "What house is it to be?", description, StepKind::Menu { options })
}

fn form(values: &AttributeValues, errors: FieldErrors) -> FlowReply {
    // What the menu said is not asked again, and a seed only matters to who looks for it.
    let asked = Options::SPECS.iter().filter(|spec| !matches!(spec.key, "furnished" | "seed"));
    let fields = asked
        .map(|spec| {
            let mut field = spec.to_spec();
            // What was wrong in an optional field does not stand there again: left empty, it would be taken once more.
            let wrong = spec.default.is_none() && errors.contains_key(spec.key);
            if let Some(AttributeValue::Plain(value)) = values.get(&field.key)
                && !wrong
            {
                field.default = Some(value.clone());
            }
            field
        })
        .collect();
    shown(HOUSE, "The house", String::new(), StepKind::Form { fields, errors })
}

fn visit(website: &Url) -> FlowReply {
    let description = "Visit the house's website, then go on.".to_owned();
    shown(WEBSITE, "The house's website", description, StepKind::External { url: website.to_string() })
}

fn furniture(options: &Options) -> String {
    match (options.furnished, options.rooms) {
        (false, _) => "no lamps yet".to_owned(),
        (true, 1) => "1 lamp".to_owned(),
        (true, rooms) => format!("{rooms} lamps"),
    }
}

fn rooms(count: u8) -> String {
    if count == 1 { "1 room".to_owned() } else { format!("{count} rooms") }
}

fn confirm(options: &Options) -> FlowReply {
    let last = match options.alarm_code {
        Some(_) => "a motion sensor, an electricity meter and an alarm",
        None => "a motion sensor and an electricity meter",
    };
    let description = format!(
        "{} will have {}, {}, a thermostat, a front door with a bell, {last}.",
        options.name,
        rooms(options.rooms),
        furniture(options)
    );
    shown(CONFIRM, "Build this house?", description, StepKind::Confirm)
}

/// One room at a time, then done.
fn build(draft: &Draft) -> Result<FlowReply> {
    let options = match options(draft) {
        Ok(options) => options,
        Err(errors) => return Ok(form(&draft.values, errors)),
    };
    if draft.built < options.rooms {
        let message = format!("Building room {} of {}", draft.built + 1, options.rooms);
        let percent = Some(f64::from(draft.built) / f64::from(options.rooms) * 100.0);
        return Ok(shown(BUILD, "Building", String::new(), StepKind::Progress { message, percent }));
    }
    Ok(FlowReply::Done(FlowDone {
        attributes: draft.values.clone(),
        title: options.name.clone(),
        unique_id: None,
        info_message: format!(
            "{} stands: {}, {}. Its pages add and rename rooms and lamps.",
            options.name,
            rooms(options.rooms),
            furniture(&options)
        ),
    }))
}
