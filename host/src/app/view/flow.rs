//! Flows: the exchange of forms between a person and a gateway.

use std::collections::BTreeMap;
use std::fmt;

use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use gatehouse_plugin_api::secret::MASK;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::integration::{FlowKind, FlowState, FlowView};

/// Opens a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowBeginRequest {
    /// Which way.
    pub kind: FlowKind,
    /// The type to activate, when there is no integration yet. `type` is understood too.
    #[serde(default, alias = "type", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub integration_type: Option<IntegrationType>,
    /// The integration: the one to deactivate or reconfigure, or the wanted id of the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub integration: Option<IntegrationId>,
    /// Gives up the flow that the integration has open, if there is one, and begins a new one in its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take_over: bool,
}

/// Answers a step of a flow.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowAnswerRequest {
    /// The values of a form by key.
    #[serde(default, skip_serializing_if = "GivenValues::is_empty")]
    pub values: GivenValues,
    /// The option of a menu.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<String>,
}

/// Values by key, as a person or program gave them. `Debug` shows the keys only.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct GivenValues(pub BTreeMap<String, GivenValue>);

impl GivenValues {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for GivenValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|key| (key, MASK))).finish()
    }
}

/// One value as it was given: what type the field has decides how it is read, so text is taken for every type
/// (`"21.5"`, `"on"`, `"90s"`), and a secret is text. `Debug` masks it, because it may be a secret.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum GivenValue {
    /// A switch.
    Bool(bool),
    /// A whole number; a duration's milliseconds.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// Text, a choice, a URL, a path, a secret, or any other type as a person types it.
    Text(String),
}

impl fmt::Debug for GivenValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl<'de> Deserialize<'de> for GivenValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GivenVisitor;
        impl Visitor<'_> for GivenVisitor {
            type Value = GivenValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number, true or false")
            }
            fn visit_bool<E>(self, value: bool) -> Result<GivenValue, E> {
                Ok(GivenValue::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<GivenValue, E> {
                Ok(GivenValue::Integer(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<GivenValue, E> {
                Ok(i64::try_from(value).map_or(GivenValue::Number(value as f64), GivenValue::Integer))
            }
            fn visit_f64<E>(self, value: f64) -> Result<GivenValue, E> {
                Ok(GivenValue::Number(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<GivenValue, E> {
                Ok(GivenValue::Text(value.to_owned()))
            }
            fn visit_string<E>(self, value: String) -> Result<GivenValue, E> {
                Ok(GivenValue::Text(value))
            }
        }
        deserializer.deserialize_any(GivenVisitor)
    }
}

/// A flow as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Flow {
    /// Its id.
    pub flow_id: String,
    /// Which way.
    pub kind: FlowKind,
    /// The type.
    #[schema(value_type = String)]
    pub integration_type: IntegrationType,
    /// The integration, or the id it will have.
    #[schema(value_type = String)]
    pub integration: IntegrationId,
    /// The step to answer, or how it ended.
    pub state: FlowState,
    /// When it is given up unless it is answered.
    pub expires_at_ms: i64,
}

impl From<FlowView> for Flow {
    fn from(view: FlowView) -> Self {
        Self {
            flow_id: view.flow_id,
            kind: view.kind,
            integration_type: view.integration_type,
            integration: view.integration,
            state: view.state,
            expires_at_ms: view.expires_at_ms,
        }
    }
}
