//! What a plugin implements: one async method for each operation, few of them required.

use crate::attribute::{AttributeValues, FieldErrors};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::flow::{FlowReply, FlowRequest};
use crate::ids::EntityName;
use crate::manage::{ManageReply, ManageRequest};
use crate::message::{
    Connection, ConnectionResult, Control, ControlOutcome, EntityDeclaration, SettingsOutcome, Snapshot,
};
use crate::settings::Settings;

/// The gateway between the house and one kind of upstream.
///
/// One value serves one integration. Every method runs on the gateway's own thread, which has a current-thread
/// tokio runtime of its own; calls overlap at their `await` points, so the methods take `&self` and state lives in
/// `Cell` and `RefCell` (never held across an `await`). Nothing here need be `Send`. A method must not block the
/// thread for long: the host's heartbeat would be missed; use `tokio::task::spawn_blocking`. What has not come to its
/// end by its deadline is dropped at its `await`; tasks that it spawned go on.
#[expect(async_fn_in_trait, reason = "the futures stay on the gateway's thread: no Send bound is wanted")]
pub trait IntegrationGateway: Sized + 'static {
    /// The settings struct; `()` when there is nothing to set.
    type Settings: Settings;

    /// Makes the gateway, before anything is configured: keep the context, do nothing else.
    fn new(context: Context) -> Self;

    /// Begins monitoring with complete, validated settings. Deadline 30 s.
    ///
    /// # Errors
    /// `transient` is retried with growing pauses; `bad_credentials` and `bad_configuration` wait for a person.
    async fn start(&self, settings: Self::Settings) -> Result<()>;

    /// Ends monitoring. Deadline 10 s, then the worker is killed.
    ///
    /// # Errors
    /// Reported and logged; the integration stops all the same.
    async fn stop(&self) -> Result<()> {
        Ok(())
    }

    /// One monitor cycle, at the manifest's `poll_interval`. Deadline: the interval; a cycle that is still under way
    /// when the next begins is dropped at its `await`.
    ///
    /// # Errors
    /// Degrades the integration's health until a cycle succeeds.
    async fn poll(&self) -> Result<()> {
        Ok(())
    }

    /// Sets one controllable state; the host has checked that it exists and takes the value. Deadline 10 s.
    ///
    /// # Errors
    /// Shown to whoever asked.
    async fn control(&self, control: Control) -> Result<ControlOutcome> {
        Err(Error::unsupported(format!("{}/{} cannot be set", control.entity, control.state)))
    }

    /// A turn of an activation flow of the plugin's own. Deadline 30 s.
    ///
    /// # Errors
    /// Ends the flow with the error's sentence.
    async fn activate(&self, _request: FlowRequest) -> Result<FlowReply> {
        Ok(FlowReply::Default)
    }

    /// A turn of a deactivation flow of the plugin's own. Deadline 30 s.
    ///
    /// # Errors
    /// Ends the flow with the error's sentence.
    async fn deactivate(&self, _request: FlowRequest) -> Result<FlowReply> {
        Ok(FlowReply::Default)
    }

    /// One request for an admin page of the plugin's own. Deadline 30 s.
    ///
    /// # Errors
    /// Shown as a message.
    async fn manage(&self, _request: ManageRequest) -> Result<ManageReply> {
        Err(Error::unsupported("this integration has no pages of its own"))
    }

    /// The templates of [`IntegrationGateway::manage`], as (name, source): `("panes/rooms.html", include_str!(…))`.
    fn panes() -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Checks what the settings struct alone cannot (fields that depend on each other). Never the network. Deadline 1 s.
    ///
    /// # Errors
    /// Only when the check itself fails; wrong fields are the returned map.
    async fn validate_configuration(&self, _settings: &Self::Settings) -> Result<FieldErrors> {
        Ok(FieldErrors::new())
    }

    /// A live probe of the upstream with settings that are not saved yet. Deadline 5 s.
    ///
    /// # Errors
    /// `bad_credentials` counts as [`Connection::BadCredentials`], `transient` as [`Connection::CannotConnect`],
    /// all others as [`Connection::Other`].
    async fn test_connection(&self, _settings: Self::Settings) -> Result<ConnectionResult> {
        Ok(ConnectionResult { outcome: Connection::Ok, message: String::new() })
    }

    /// All the entities that the upstream has, as one complete snapshot. Deadline 5 min.
    ///
    /// # Errors
    /// `unsupported` (the default) tells the host that this plugin declares its entities by itself.
    async fn synchronize(&self) -> Result<Vec<EntityDeclaration>> {
        Err(Error::unsupported("this integration declares its entities by itself"))
    }

    /// New settings while running: apply them, or ask for a restart (the default). Deadline 10 s.
    ///
    /// # Errors
    /// The host restarts the integration.
    async fn settings_changed(&self, _settings: Self::Settings) -> Result<SettingsOutcome> {
        Ok(SettingsOutcome::Restart)
    }

    /// What helps to find a fault: a JSON object, redacted by the host. Deadline 5 s.
    ///
    /// # Errors
    /// Stands in the bundle in place of the data.
    async fn diagnostics(&self) -> Result<serde_json::Value> {
        Ok(serde_json::Value::Object(serde_json::Map::new()))
    }

    /// A camera's image. Deadline 10 s.
    ///
    /// # Errors
    /// `unsupported` by default.
    async fn snapshot(&self, entity: EntityName) -> Result<Snapshot> {
        Err(Error::unsupported(format!("{entity} has no image")))
    }

    /// The address of a camera's stream. Deadline 10 s.
    ///
    /// # Errors
    /// `unsupported` by default.
    async fn stream(&self, entity: EntityName) -> Result<String> {
        Err(Error::unsupported(format!("{entity} has no stream")))
    }

    /// What a newer version of this plugin takes over at an upgrade: the last thing it is asked before `stop`, and every
    /// call waits meanwhile. Empty when there is nothing. Deadline 5 s.
    ///
    /// # Errors
    /// The upgrade goes on without.
    async fn export_state(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Takes over what [`IntegrationGateway::export_state`] of the version before gave. Called once it has started and
    /// nothing more is asked of that one; calls wait meanwhile. Deadline 5 s.
    ///
    /// # Errors
    /// The upgrade goes on without.
    async fn import_state(&self, _state: Vec<u8>) -> Result<()> {
        Ok(())
    }
}

/// Parses settings for the shim: the error names every wrong field.
pub(crate) fn parse_settings<S: Settings>(values: &AttributeValues) -> Result<S, crate::CallError> {
    S::from_values(values).map_err(crate::CallError::bad_fields)
}
