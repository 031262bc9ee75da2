//! Questions on the terminal: one for each type of value, the default offered, secrets masked.

use gatehouse_plugin_api::attribute::{AttributeSpec, ChoiceOption, PlainValue, ValueType};
use inquire::validator::Validation;
use inquire::{Confirm, InquireError, Password, PasswordDisplayMode, Select, Text};
use tokio::sync::oneshot;

use super::given_up;
use crate::cli::failure::Failure;
use crate::cli::plugin::{plain, takes};

/// Asks on a thread of its own, so that whoever waits can end meanwhile; a question that is left open ends with the
/// process.
///
/// # Errors
/// As the question.
pub(super) async fn asked<T: Send + 'static>(
    question: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (told, answer) = oneshot::channel();
    std::thread::spawn(move || {
        // Who has ended meanwhile wants no answer.
        let _ = told.send(question());
    });
    answer.await.unwrap_or_else(|_| Err(given_up()))
}

/// Leaves a question that may be open, so that the terminal is as it was before it.
pub(super) fn leave() {
    // A terminal that has gone away needs nothing.
    let _ = crossterm::terminal::disable_raw_mode();
    let _ = crossterm::execute!(std::io::stderr(), crossterm::cursor::Show);
}

/// Asks for a field. `None`: nothing was entered and nothing is needed.
///
/// # Errors
/// When the person gives up (Esc, Ctrl-C).
pub(super) fn field(spec: &AttributeSpec, offered: Option<&PlainValue>) -> Result<Option<String>, Failure> {
    let label = if spec.label.is_empty() { &spec.key } else { &spec.label };
    let help = help(spec, offered.is_some());
    match &spec.value_type {
        ValueType::Switch => {
            let default = matches!(offered, Some(PlainValue::Bool(true)));
            let on = told(Confirm::new(label).with_default(default).with_help_message(&help).prompt())?;
            Ok(Some(if on { "on" } else { "off" }.to_owned()))
        }
        ValueType::Choice { options } if !options.is_empty() => {
            let at = offered.and_then(|value| options.iter().position(|option| option.value == value.to_string()));
            choose(label, options, at).map(Some)
        }
        ValueType::Secret => secret(spec, label, &help, offered.is_some()),
        _ => text(spec, label, &help, offered),
    }
}

fn text(
    spec: &AttributeSpec,
    label: &str,
    help: &str,
    offered: Option<&PlainValue>,
) -> Result<Option<String>, Failure> {
    let default = offered.map(|value| plain(value, &spec.value_type));
    let checked = spec.clone();
    let mut prompt = Text::new(label).with_help_message(help).with_validator(move |text: &str| {
        Ok(if text.is_empty() && !checked.required {
            Validation::Valid
        } else {
            match checked.parse_text(text) {
                Ok(_) => Validation::Valid,
                Err(problem) => Validation::Invalid(problem.into()),
            }
        })
    });
    if let Some(default) = &default {
        prompt = prompt.with_default(default);
    }
    let text = told(prompt.prompt())?;
    Ok(if text.is_empty() && !spec.required { None } else { Some(text) })
}

fn secret(spec: &AttributeSpec, label: &str, help: &str, kept: bool) -> Result<Option<String>, Failure> {
    let optional = kept || !spec.required;
    let prompt = Password::new(label)
        .with_display_mode(PasswordDisplayMode::Masked)
        .without_confirmation()
        .with_formatter(&|text| if text.is_empty() { String::new() } else { "********".to_owned() })
        .with_help_message(help)
        .with_validator(move |text: &str| {
            Ok(if text.is_empty() && !optional {
                Validation::Invalid("must not be empty".into())
            } else {
                Validation::Valid
            })
        });
    let text = told(prompt.prompt())?;
    Ok(if text.is_empty() { None } else { Some(text) })
}

fn help(spec: &AttributeSpec, offered: bool) -> String {
    let mut parts = Vec::new();
    if !spec.help.is_empty() {
        parts.push(spec.help.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    match &spec.value_type {
        ValueType::Secret if offered => parts.push("Enter keeps the one that is set".to_owned()),
        ValueType::Text | ValueType::Secret | ValueType::Switch | ValueType::Choice { .. } | ValueType::Unknown => {}
        other => parts.push(takes(other)),
    }
    if !spec.required && !offered {
        parts.push("may stay empty".to_owned());
    }
    if parts.is_empty() {
        parts.push("Esc gives up".to_owned());
    }
    parts.join(" · ")
}

/// Asks for one of several options.
///
/// # Errors
/// When the person gives up.
pub(super) fn choose(label: &str, options: &[ChoiceOption], at: Option<usize>) -> Result<String, Failure> {
    let labels: Vec<_> = options
        .iter()
        .map(|option| if option.label.is_empty() { option.value.clone() } else { option.label.clone() })
        .collect();
    let chosen = told(Select::new(label, labels).with_starting_cursor(at.unwrap_or(0)).raw_prompt())?;
    Ok(options[chosen.index].value.clone())
}

/// Asks yes or no.
///
/// # Errors
/// When the person gives up.
pub(super) fn confirm(question: &str, default: bool) -> Result<bool, Failure> {
    told(Confirm::new(question).with_default(default).prompt())
}

fn told<T>(answer: Result<T, InquireError>) -> Result<T, Failure> {
    answer.map_err(|error| match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => given_up(),
        other => Failure::failed(format!("the question could not be asked: {other}"))
            .advise("answer with --set KEY=VALUE and --yes instead"),
    })
}
