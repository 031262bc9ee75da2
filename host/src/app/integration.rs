//! Integrations: what they are, pausing and resuming, their settings and their own pages.

use std::sync::Arc;

use gatehouse_plugin_api::attribute::{FieldErrors, PlainValue};
use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::manage::ManageRequest;

use super::App;
use super::given::attribute_values;
use super::view::{AttributesPatch, Diagnostics, Integration, LogLevelAnswer, LogLevelRequest, SyncAnswer};
use crate::entity::Attachment;
use crate::integration::{IntegrationView, ManagePage, OperationError, Redaction};

impl App {
    /// Every integration, by id.
    pub fn integration_list(&self) -> Vec<Integration> {
        let entities = self.ground().house.entities();
        let attached: Vec<_> = entities
            .iter()
            .filter(|entity| entity.attachment == Attachment::Attached)
            .map(|entity| &entity.address.integration)
            .collect();
        let count = |id: &IntegrationId| attached.iter().filter(|owner| **owner == id).count();
        let views = self.integrations().list();
        let attached = |view: &IntegrationView| u32::try_from(count(&view.id)).unwrap_or(u32::MAX);
        views.iter().map(|view| self.integration_with(view, attached(view))).collect()
    }

    /// One integration.
    ///
    /// # Errors
    /// `NotFound`, with the nearest name.
    pub fn integration_get(&self, id: &IntegrationId) -> Result<Integration, OperationError> {
        self.integrations().view(id).map(|view| self.integration_of(&view))
    }

    /// Pauses it; resolves when it is.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is off.
    pub async fn integration_pause(&self, id: &IntegrationId) -> Result<Integration, OperationError> {
        self.integrations().pause(id).await.map(|view| self.integration_of(&view))
    }

    /// Resumes it; resolves when it runs, or when it is known why not.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is off.
    pub async fn integration_resume(&self, id: &IntegrationId) -> Result<Integration, OperationError> {
        self.integrations().resume(id).await.map(|view| self.integration_of(&view))
    }

    /// Runs it in the daemon again, after a crash of the daemon moved it to a worker; resolves when it does.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it was not moved.
    pub async fn integration_move_back(&self, id: &IntegrationId) -> Result<Integration, OperationError> {
        self.integrations().move_back(id).await.map(|view| self.integration_of(&view))
    }

    /// Changes settings; those not named stay.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` by field.
    pub async fn integration_set(
        &self,
        id: &IntegrationId,
        patch: AttributesPatch,
    ) -> Result<Integration, OperationError> {
        let view = self.integrations().view(id)?;
        let values = attribute_values(&view.attribute_specs, patch.values)
            .map_err(|fields| OperationError::Invalid { message: sentence_of(id, &fields), fields })?;
        self.integrations().set(id, values).await.map(|view| self.integration_of(&view))
    }

    /// Reads the upstream's entities again; resolves when they are applied.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` when it does not run; `Gateway`, `unsupported` when it declares its entities by itself.
    pub async fn integration_synchronize(&self, id: &IntegrationId) -> Result<SyncAnswer, OperationError> {
        self.integrations().synchronize(id).await.map(SyncAnswer::from)
    }

    /// Logs more or less of it: in force at once, for what its plugin says and what the host says about it, without a
    /// restart of its worker, and until the daemon restarts. With no filter, what the configuration says.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when the filter cannot be read; `Gateway` when its plugin does not take it.
    pub async fn integration_log_level(
        &self,
        id: &IntegrationId,
        wanted: LogLevelRequest,
    ) -> Result<LogLevelAnswer, OperationError> {
        self.integrations().view(id)?;
        let levels = self.0.log.levels();
        let before = levels.set(id, wanted.filter.as_deref()).map_err(|error| filter_problem(&wanted, &error))?;
        let until_restart = wanted.filter.is_some();
        let filter = wanted.filter.unwrap_or_else(|| self.integrations().configured_log_filter(id));
        if let Err(refused) = self.integrations().log_filter(id, filter.clone()).await {
            // Read once already.
            let _ = levels.set(id, before.as_deref());
            return Err(refused);
        }
        tracing::info!(integration = %id, filter, until_restart, "its log filter was changed");
        Ok(LogLevelAnswer { filter, until_restart })
    }

    /// One request for a page of the plugin's own.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Gateway`, `Invalid`.
    pub async fn integration_manage(
        &self,
        id: &IntegrationId,
        request: ManageRequest,
    ) -> Result<ManagePage, OperationError> {
        self.integrations().manage(id, request).await
    }

    /// What helps to find a fault, for whoever is asked for help: nothing secret is in it.
    ///
    /// # Errors
    /// `NotFound`; `Store` when its secrets, which must not be in it, cannot be read.
    pub async fn integration_diagnostics(&self, id: &IntegrationId) -> Result<Diagnostics, OperationError> {
        let found = self.integrations().diagnostics(id).await?;
        Ok(Diagnostics {
            gatehouse: env!("CARGO_PKG_VERSION").to_owned(),
            at_ms: self.ground().clock.now_ms(),
            integration: redacted(self.integration_of(&found.view), &found.redaction),
            data: found.data,
            problem: found.problem,
        })
    }

    fn integration_with(&self, view: &IntegrationView, attached: u32) -> Integration {
        let tried = self.integrations().tried(&view.id);
        Integration { log_filter: self.0.log.levels().get(&view.id), ..Integration::new(view, attached, tried) }
    }

    pub(super) fn integration_of(&self, view: &Arc<IntegrationView>) -> Integration {
        let entities = self.ground().house.entities();
        let attached = |entity: &&Arc<crate::entity::Entity>| {
            entity.attachment == Attachment::Attached && entity.address.integration == view.id
        };
        let attached = u32::try_from(entities.iter().filter(attached).count()).unwrap_or(u32::MAX);
        self.integration_with(view, attached)
    }
}

fn filter_problem(wanted: &LogLevelRequest, error: &dyn std::fmt::Display) -> OperationError {
    let filter = wanted.filter.as_deref().unwrap_or_default();
    let message = format!(
        "the log filter {filter:?} cannot be read ({error}): write a level (off, error, warn, info, debug, trace), or \
         MODULE=LEVEL pairs with commas"
    );
    OperationError::Invalid { fields: FieldErrors::from([("filter".to_owned(), message.clone())]), message }
}

/// The integration, with no secret in the words that came from its plugin or its upstream.
fn redacted(mut integration: Integration, redaction: &Redaction) -> Integration {
    let words = [
        &mut integration.title,
        &mut integration.reason.sentence,
        &mut integration.health.message,
        &mut integration.info_message,
    ];
    let progress = integration.progress.as_mut().map(|progress| &mut progress.message);
    let settings = integration.attributes.values_mut().filter_map(|value| match value {
        PlainValue::Text(text) => Some(text),
        _ => None,
    });
    for text in words.into_iter().chain(progress).chain(settings) {
        *text = redaction.text(text);
    }
    integration
}

/// The fields' sentences as one.
fn sentence_of(id: &IntegrationId, fields: &FieldErrors) -> String {
    let problems: Vec<_> = fields.iter().map(|(key, problem)| format!("{key} {problem}")).collect();
    format!("{id} cannot be set so: {}", problems.join("; "))
}
