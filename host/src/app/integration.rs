//! Integrations: what they are, pausing and resuming, their settings and their own pages.

use std::sync::Arc;

use gatehouse_plugin_api::attribute::{FieldErrors, PlainValue};
use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::manage::ManageRequest;

use super::App;
use super::given::attribute_values;
use super::view::{AttributesPatch, Diagnostics, Integration, SyncAnswer};
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
        let tried = |view: &IntegrationView| self.integrations().tried(&view.id);
        let attached = |view: &IntegrationView| u32::try_from(count(&view.id)).unwrap_or(u32::MAX);
        views.iter().map(|view| Integration::new(view, attached(view), tried(view))).collect()
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

    pub(super) fn integration_of(&self, view: &Arc<IntegrationView>) -> Integration {
        let entities = self.ground().house.entities();
        let attached = |entity: &&Arc<crate::entity::Entity>| {
            entity.attachment == Attachment::Attached && entity.address.integration == view.id
        };
        let attached = u32::try_from(entities.iter().filter(attached).count()).unwrap_or(u32::MAX);
        Integration::new(view, attached, self.integrations().tried(&view.id))
    }
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
