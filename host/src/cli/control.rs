//! `control ADDRESS VALUE`: sets a controllable state.

use super::args;
use super::daemon::Daemon;
use super::failure::Failure;
use super::output::{Output, Tone};
use super::words;
use crate::api::types::ControlRequest;

pub(super) async fn run(daemon: &Daemon, control: &args::Control, output: &Output) -> Result<(), Failure> {
    let payload = match &control.payload {
        None => serde_json::Value::Null,
        Some(text) => match serde_json::from_str(text) {
            Ok(payload @ serde_json::Value::Object(_)) => payload,
            Ok(_) => {
                return Err(Failure::usage(format!("--payload {text} is no JSON object"))
                    .advise("write an object in quotes, for example --payload '{\"transition_s\": 5}'"));
            }
            Err(error) => {
                return Err(Failure::usage(format!("--payload {text} is no JSON: {error}"))
                    .advise("write an object in quotes, for example --payload '{\"transition_s\": 5}'"));
            }
        },
    };
    let request = ControlRequest { value: None, text: Some(control.value.clone()), payload };
    let answer = daemon.control(&control.address, &request).await?;
    if output.json {
        return output.json(&answer);
    }
    match &answer.value {
        Some(value) => {
            let value = words::value(value, &answer.state.kind);
            output.line(format!("{} is {}", control.address, output.paint(Tone::Strong, value)))
        }
        // Not with the value: what is not sensed may be a code that stands nowhere else.
        None if !answer.state.sensed => output.line(format!("{} was told", control.address)),
        None => output.line(format!("{} was asked to become {}", control.address, control.value)),
    }
}
