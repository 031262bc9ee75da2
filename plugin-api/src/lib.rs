//! All that the author of a Gatehouse plugin depends on.
//!
//! The vocabulary (ids, values, attributes, messages, the operation table) is shared with the host; the feature
//! `plugin` adds the author's side: [`IntegrationGateway`], [`Context`], [`export_integration!`] and [`testing`].

pub mod attribute;
pub mod duration;
pub mod error;
pub mod flow;
pub mod ids;
pub mod manage;
pub mod manifest;
pub mod message;
pub mod ops;
pub mod secret;
pub mod section;
pub mod value;
pub mod wire;

pub use error::{CallError, Error, ErrorCode, Result};
pub use secret::Secret;
pub use value::{StateKind, Value};

pub mod settings;
pub use settings::{SettingChoice, SettingValue, Settings};

/// The URL type of settings, from the crate `url`.
pub use url;

// The derive macros name this crate by its name, inside it too.
extern crate self as gatehouse_plugin_api;

#[cfg(feature = "plugin")]
pub mod context;
#[cfg(feature = "plugin")]
mod export;
#[cfg(feature = "plugin")]
pub mod gateway;
#[cfg(feature = "plugin")]
mod log;
#[cfg(feature = "plugin")]
pub mod runtime;
#[cfg(feature = "plugin")]
pub mod testing;

#[cfg(feature = "plugin")]
pub use context::{Context, Entity, State};
#[cfg(feature = "plugin")]
pub use gateway::IntegrationGateway;

/// JSON values, for pages and diagnostics.
pub use serde_json;
/// The runtime that a gateway's methods run on: tasks, timers, channels.
#[cfg(feature = "plugin")]
pub use tokio;
/// Log events; those of a plugin reach the host's log.
pub use tracing;

/// What the expansion of [`export_integration!`] needs; not for use by hand.
#[cfg(feature = "plugin")]
#[doc(hidden)]
pub mod __private {
    pub use gatehouse_abi as abi;

    pub use crate::manifest::{capability, poll_interval_ms};
}
