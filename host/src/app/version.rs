//! Versions of plugins: which are kept, going back to one, staying with one, allowing one.

use std::sync::Arc;

use futures_util::future::join_all;
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};

use super::App;
use super::view::{Integration, PluginVersion};
use crate::integration::{IntegrationView, OperationError};

impl App {
    /// The versions of a plugin whose copies are kept, the newest copy first. `name` is an integration, a type or a file.
    ///
    /// # Errors
    /// `NotFound`, with the nearest name.
    pub async fn plugin_versions(&self, name: &str) -> Result<Vec<PluginVersion>, OperationError> {
        let (integration_type, _) = self.meant(name).await?;
        let catalog = &self.ground().catalog;
        let in_folder = catalog.verdicts();
        let views = self.integrations().list();
        let of_type = views.iter().filter(|view| view.integration_type == integration_type);
        let of_type: Vec<&Arc<IntegrationView>> = of_type.collect();
        let generations = catalog.generations(&integration_type).await;
        let versions = generations.iter().map(|generation| {
            let sha256 = generation.sha256();
            let those = |is: &dyn Fn(&IntegrationView) -> bool| -> Vec<IntegrationId> {
                of_type.iter().filter(|view| is(view)).map(|view| view.id.clone()).collect()
            };
            let runs = |view: &IntegrationView| view.generation.as_deref() == Some(sha256);
            let file = in_folder.iter().find(|verdict| {
                verdict.sha256.as_deref() == Some(sha256) && verdict.decision != crate::plugin::Decision::Gone
            });
            let next = of_type.iter().filter_map(|view| {
                let next = view.upgrade.next.clone().filter(|next| next.generation == sha256)?;
                Some((view.id.clone(), next))
            });
            PluginVersion {
                version: generation.manifest().version.clone(),
                sha256: sha256.to_owned(),
                file_name: file.map(|verdict| verdict.file_name.clone()),
                running: those(&runs),
                on_trial: those(&|view| runs(view) && view.upgrade.trial.is_some()),
                pinned: those(&|view| view.upgrade.pin.as_ref().is_some_and(|pin| pin.generation == sha256)),
                next: next.collect(),
            }
        });
        Ok(versions.collect())
    }

    /// Goes back to an earlier version and stays there, each integration that is meant.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when none is in use; what the first that fails says.
    pub async fn plugin_rollback(&self, name: &str, to: Option<String>) -> Result<Vec<Integration>, OperationError> {
        let meant = self.in_use(name).await?;
        self.all(join_all(meant.iter().map(|id| self.integrations().roll_back(id, to.clone()))).await)
    }

    /// Keeps each integration that is meant with the version that it uses.
    ///
    /// # Errors
    /// As [`App::plugin_rollback`].
    pub async fn plugin_pin(&self, name: &str) -> Result<Vec<Integration>, OperationError> {
        let meant = self.in_use(name).await?;
        self.all(join_all(meant.iter().map(|id| self.integrations().pin(id))).await)
    }

    /// Lets each integration that is meant go on to the newest version.
    ///
    /// # Errors
    /// As [`App::plugin_rollback`].
    pub async fn plugin_unpin(&self, name: &str) -> Result<Vec<Integration>, OperationError> {
        let meant = self.in_use(name).await?;
        self.all(join_all(meant.iter().map(|id| self.integrations().unpin(id))).await)
    }

    /// Allows what the newest version wants, for each integration that is meant.
    ///
    /// # Errors
    /// As [`App::plugin_rollback`].
    pub async fn plugin_allow(&self, name: &str) -> Result<Vec<Integration>, OperationError> {
        let meant = self.in_use(name).await?;
        self.all(join_all(meant.iter().map(|id| self.integrations().allow(id))).await)
    }

    /// The integrations in use that a name means: one of its own, or all of a type.
    async fn in_use(&self, name: &str) -> Result<Vec<IntegrationId>, OperationError> {
        let (integration_type, ids) = self.meant(name).await?;
        if ids.is_empty() {
            let sentence = format!("no integration of the type {integration_type} is in use: activate one first");
            return Err(OperationError::Conflict(sentence));
        }
        Ok(ids)
    }

    async fn meant(&self, name: &str) -> Result<(IntegrationType, Vec<IntegrationId>), OperationError> {
        let views = self.integrations().list();
        // The first integration of a type has the type's name: the type means all of them.
        let one = views.iter().find(|view| view.id.as_str() == name && view.integration_type.as_str() != name);
        if let Some(one) = one {
            return Ok((one.integration_type.clone(), vec![one.id.clone()]));
        }
        let of_type = |wanted: &str| {
            let on = views.iter().filter(|view| view.integration_type.as_str() == wanted);
            on.filter(|view| view.desired != crate::store::Desired::Off).map(|view| view.id.clone()).collect()
        };
        if let Some(view) = views.iter().find(|view| view.integration_type.as_str() == name) {
            return Ok((view.integration_type.clone(), of_type(name)));
        }
        let plugin = self.plugin_get(name).await?;
        match plugin.manifest {
            Some(manifest) => Ok((manifest.id.clone(), of_type(manifest.id.as_str()))),
            None => Err(OperationError::Conflict(format!("{name} says of no type, so it has no versions"))),
        }
    }

    fn all(&self, done: Vec<Result<Arc<IntegrationView>, OperationError>>) -> Result<Vec<Integration>, OperationError> {
        done.into_iter().map(|view| view.map(|view| self.integration_of(&view))).collect()
    }
}
