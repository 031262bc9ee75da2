//! Every file ever seen with its verdict, and which file provides which integration type.

use std::path::Path;
use std::sync::Arc;

use gatehouse_plugin_api::ids::IntegrationType;
use tokio::sync::broadcast;

use super::{PluginChange, Staged, Verdict};
use crate::clock::Clock;
use crate::config;
use crate::home::Home;
use crate::store::{Store, StoreError};

/// The usable plugins. Cheap to clone; one task of its own watches the folder.
#[derive(Debug, Clone)]
pub struct Catalog(Arc<CatalogParts>);

#[derive(Debug)]
struct CatalogParts {}

#[expect(unused_variables, clippy::unused_async, reason = "being built")]
impl Catalog {
    /// Makes the folders, scans once (resolves when every file there has its verdict) and begins to watch.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open(home: &Home, config: &config::Plugins, store: Store, clock: Clock) -> Result<Self, StoreError> {
        todo!("plugin room")
    }

    /// Every verdict, by file name.
    pub fn verdicts(&self) -> Vec<Arc<Verdict>> {
        todo!("plugin room")
    }

    /// The verdict of a file name, or of the file that provides an integration type.
    pub fn verdict(&self, file_or_id: &str) -> Option<Arc<Verdict>> {
        todo!("plugin room")
    }

    /// The generation in use of a type.
    pub fn plugin(&self, integration_type: &IntegrationType) -> Option<Staged> {
        todo!("plugin room")
    }

    /// Changes from now on, in order.
    pub fn subscribe(&self) -> broadcast::Receiver<PluginChange> {
        todo!("plugin room")
    }

    /// Keeps a verdict that a later stage made (the library did not open, the code disagrees with its manifest).
    pub async fn report(&self, plugin: &Staged, reason: crate::reason::Reason) {
        todo!("plugin room")
    }

    /// Whether the staged copy of a generation is needed no longer: it is deleted when no file has that content.
    pub async fn release(&self, sha256: &str) {
        todo!("plugin room")
    }

    /// Inspects any file without staging it, for a person.
    pub async fn inspect(&self, file: &Path) -> Verdict {
        todo!("plugin room")
    }
}
