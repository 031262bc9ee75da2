//! How the shared vocabulary looks in JSON, for the OpenAPI description alone.
//!
//! The vocabulary crate is the plugin author's and knows no OpenAPI, and a foreign trait cannot be implemented for its
//! types here. These stand-ins have the same JSON; a test writes samples of the one and reads them as the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One value: an object with one key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StateValue {
    /// A finite number, in the state's unit.
    Number(f64),
    /// Free text.
    Text(String),
    /// On (`true`) or off.
    OnOff(bool),
    /// One of the state's options.
    Choice(String),
    /// Something that happened.
    Event(String),
    /// A moment, in milliseconds since 1970 UTC.
    TimestampMs(i64),
}

/// What values a state can have.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StateKind {
    /// A number.
    Number {
        /// The unit as printed; empty for a bare number.
        unit: String,
        /// The least value that may be set.
        min: Option<f64>,
        /// The greatest value that may be set.
        max: Option<f64>,
    },
    /// Free text.
    Text,
    /// On or off.
    OnOff,
    /// One of a list.
    Choice {
        /// The options, in the order to show.
        options: Vec<String>,
    },
    /// Something that happens.
    Event {
        /// The events there are; empty when any text may come.
        events: Vec<String>,
    },
    /// A moment in time.
    Timestamp,
}

/// A setting's value that may be shown.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum PlainValue {
    /// A switch.
    Bool(bool),
    /// A whole number; a duration's milliseconds.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// Text, a choice, a URL, a path.
    Text(String),
}

/// One setting, or one field of a flow's form.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttributeSpec {
    /// Its key.
    pub key: String,
    /// What stands beside the input.
    pub label: String,
    /// More words; may be empty.
    pub help: String,
    /// What may be entered.
    pub value_type: ValueType,
    /// Whether a value must be there.
    pub required: bool,
    /// Whether it may be changed after activation.
    pub editable: bool,
    /// The value offered when there is none.
    pub default: Option<PlainValue>,
}

/// What may be entered for a setting.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueType {
    /// Free text.
    Text,
    /// A number.
    Number {
        /// The least.
        min: Option<f64>,
        /// The greatest.
        max: Option<f64>,
        /// Whole numbers only.
        integer: bool,
    },
    /// Yes or no.
    Switch,
    /// One of a list.
    Choice {
        /// The options, in the order to show.
        options: Vec<ChoiceOption>,
    },
    /// An absolute URL.
    Url,
    /// The path of a file or folder on the daemon's machine.
    FilePath,
    /// Text that is sealed at rest and shown nowhere.
    Secret,
    /// A span of time in milliseconds.
    Duration {
        /// The shortest.
        min_ms: Option<u64>,
        /// The longest.
        max_ms: Option<u64>,
    },
    /// A kind that this daemon does not know; treat it as text.
    Unknown,
}

/// One option of a choice or a menu.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChoiceOption {
    /// What is sent.
    pub value: String,
    /// What a person reads.
    pub label: String,
}

/// A step of a flow: by `kind` a form, a menu, a confirmation, a wait or a page elsewhere.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FlowStep {
    /// The step's name, unique within the flow: the answer names it.
    pub step_id: String,
    /// The heading.
    pub title: String,
    /// A few sentences above the input; may be empty.
    pub description: String,
    /// What is asked.
    #[serde(flatten)]
    pub kind: StepKind,
}

/// What a step asks of the person.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StepKind {
    /// Fields to fill in.
    Form {
        /// The fields.
        fields: Vec<AttributeSpec>,
        /// What was wrong with the answer before, by field.
        errors: BTreeMap<String, String>,
    },
    /// One of several ways to go on.
    Menu {
        /// The ways.
        options: Vec<ChoiceOption>,
    },
    /// Yes, or the flow is aborted.
    Confirm,
    /// Work goes on: answer the step empty after a moment.
    Progress {
        /// What is being done.
        message: String,
        /// 0 to 100 when known.
        percent: Option<f64>,
    },
    /// A page elsewhere to visit; answer the step empty when it is done.
    External {
        /// The page.
        url: String,
    },
}

/// A gateway's own word on how it is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// How well.
    pub status: HealthStatus,
    /// One sentence; may be empty.
    pub message: String,
}

/// How well.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// All is well.
    Healthy,
    /// Something is not as it should be.
    Warning,
    /// It does not work.
    Error,
    /// It is switched off.
    Disabled,
    /// It has not said.
    Unknown,
}

/// How far long work has come.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// What is being done.
    pub message: String,
    /// 0 to 100 when known.
    pub percent: Option<f64>,
}

/// A log line's level.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Payloads.
    Trace,
    /// Decisions.
    Debug,
    /// Transitions.
    Info,
    /// Degraded but handled.
    Warn,
    /// A person must act.
    Error,
}

/// What a plugin file says of itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The integration type.
    pub id: String,
    /// Its name for a person.
    pub label: String,
    /// One sentence.
    pub description: String,
    /// The plugin's version.
    pub version: String,
    /// The version of the vocabulary it was built with.
    pub api_version: String,
    /// The epoch of the boundary.
    pub abi_epoch: u32,
    /// The settings.
    pub attributes: Vec<AttributeSpec>,
    /// What it needs from the machine.
    pub capabilities: Vec<Capability>,
    /// The host operations without which it cannot run.
    pub required_ops: Vec<u32>,
    /// How often it is polled, in milliseconds; `null` when never.
    pub poll_interval_ms: Option<u64>,
    /// `unwind` or `abort`.
    pub panic_strategy: String,
    /// The target triple.
    pub target: String,
    /// The compiler's version.
    pub rustc: String,
    /// CPU features that its code takes for granted.
    pub cpu_features: Vec<String>,
    /// Who wrote it.
    pub authors: String,
    /// Its licence.
    pub licence: String,
    /// Where to read more.
    pub homepage: String,
}

/// One thing that a plugin needs from the machine.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Capability {
    /// TCP to a host and port.
    Network {
        /// A name, an address, `{attribute_key}` or `*`.
        host: String,
        /// The port; 0 is the attribute's own or any.
        port: u16,
    },
    /// UDP to a host and port.
    Udp {
        /// As above.
        host: String,
        /// The port; 0 is any.
        port: u16,
    },
    /// A TCP port to listen on.
    Listen {
        /// The port.
        port: u16,
    },
    /// Multicast on the local network.
    Multicast,
    /// A file or folder to read.
    Read {
        /// The path, or `{attribute_key}`.
        path: String,
    },
    /// A device to open.
    Device {
        /// The path, or `{attribute_key}`.
        path: String,
    },
    /// A program to start.
    Execute {
        /// The program's path.
        path: String,
    },
    /// A need that this daemon does not know.
    Unknown,
}

#[cfg(test)]
mod tests {
    use gatehouse_plugin_api::attribute as vocabulary;
    use gatehouse_plugin_api::{flow, manifest, message, value};
    use serde::de::DeserializeOwned;

    use super::*;

    /// Writes the vocabulary's value, reads it as the stand-in, and writes that: the same JSON.
    #[track_caller]
    fn agree<StandIn: Serialize + DeserializeOwned>(samples: impl IntoIterator<Item = impl Serialize>) {
        for sample in samples {
            let json = serde_json::to_value(&sample).expect("written");
            let read: StandIn = serde_json::from_value(json.clone()).unwrap_or_else(|e| panic!("{json}: {e}"));
            assert_eq!(serde_json::to_value(&read).expect("written"), json);
        }
    }

    fn value_types() -> Vec<vocabulary::ValueType> {
        use vocabulary::ValueType::*;
        let options = vec![vocabulary::ChoiceOption { value: "a".into(), label: "A".into() }];
        let number = Number { min: Some(0.5), max: None, integer: false };
        let duration = Duration { min_ms: Some(1), max_ms: None };
        vec![Text, number, Switch, Choice { options }, Url, FilePath, Secret, duration, Unknown]
    }

    fn specs() -> Vec<vocabulary::AttributeSpec> {
        let spec = |value_type| vocabulary::AttributeSpec {
            key: "key".into(),
            label: "Label".into(),
            help: "help".into(),
            value_type,
            required: true,
            editable: false,
            default: Some(vocabulary::PlainValue::Integer(3)),
        };
        value_types().into_iter().map(spec).collect()
    }

    #[test]
    fn values_and_kinds_agree() {
        use value::{StateKind as K, Value as V};
        let text = || "x".to_owned();
        agree::<StateValue>([
            V::Number(1.5),
            V::Text(text()),
            V::OnOff(true),
            V::Choice(text()),
            V::Event(text()),
            V::TimestampMs(1),
        ]);
        agree::<StateKind>([
            K::Number { unit: "W".into(), min: Some(0.5), max: None },
            K::Text,
            K::OnOff,
            K::Choice { options: vec![text()] },
            K::Event { events: vec![text()] },
            K::Timestamp,
        ]);
    }

    #[test]
    fn settings_and_flows_agree() {
        use flow::StepKind as K;
        use vocabulary::PlainValue as P;
        agree::<PlainValue>([P::Bool(true), P::Integer(1), P::Number(1.5), P::Text("x".into())]);
        agree::<AttributeSpec>(specs());
        let options = vec![vocabulary::ChoiceOption { value: "a".into(), label: "A".into() }];
        let errors = BTreeMap::from([("key".to_owned(), "is wrong".to_owned())]);
        let kinds = [
            K::Form { fields: specs(), errors },
            K::Menu { options },
            K::Confirm,
            K::Progress { message: "m".into(), percent: Some(1.5) },
            K::External { url: "https://x".into() },
        ];
        let step = |kind| flow::FlowStep { step_id: "s".into(), title: "t".into(), description: "d".into(), kind };
        agree::<FlowStep>(kinds.into_iter().map(step));
    }

    #[test]
    fn health_progress_and_levels_agree() {
        use message::HealthStatus as S;
        let health = |status| message::Health { status, message: "m".into() };
        agree::<Health>([S::Healthy, S::Warning, S::Error, S::Disabled, S::Unknown].map(health));
        agree::<Progress>([message::Progress { message: "m".into(), percent: None }]);
        use message::LogLevel as L;
        agree::<LogLevel>([L::Trace, L::Debug, L::Info, L::Warn, L::Error]);
    }

    #[test]
    fn manifests_agree() {
        use manifest::Capability as C;
        let text = || "x".to_owned();
        let capabilities = vec![
            C::Network { host: text(), port: 1 },
            C::Udp { host: text(), port: 0 },
            C::Listen { port: 1 },
            C::Multicast,
            C::Read { path: text() },
            C::Device { path: text() },
            C::Execute { path: text() },
            C::Unknown,
        ];
        let manifest = manifest::Manifest {
            id: "hass".parse().expect("valid"),
            label: text(),
            description: text(),
            version: "1.0.0".into(),
            api_version: "1.0.0".into(),
            abi_epoch: 1,
            attributes: specs(),
            capabilities,
            required_ops: vec![1],
            poll_interval_ms: Some(1000),
            panic_strategy: "unwind".into(),
            target: text(),
            rustc: text(),
            cpu_features: vec![text()],
            authors: text(),
            licence: text(),
            homepage: text(),
        };
        agree::<Manifest>([manifest]);
    }
}
