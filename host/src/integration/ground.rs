//! What the integrations are built on, with two seams: where plugins come from, and how a gateway is launched.
//!
//! In the daemon both lead to the catalog and to [`gateway::launch`]; tests bring scripts of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use gatehouse_plugin_api::message::Instance;
use gatehouse_plugin_api::ops;
use parking_lot::RwLock;
use tokio::sync::{Semaphore, broadcast};

use super::crashes::CrashBook;
use super::problems::Problems;
use crate::clock::Clock;
use crate::config::{Config, Sandboxing};
use crate::entity::House;
use crate::gateway::{self, Confinement, Exchanges, Gateway, HostCalls, Hosting, Kernel, Launch, Onlooker, Witness};
use crate::home::Home;
use crate::log;
use crate::metrics::Meters;
use crate::plugin::catalog::Catalog;
use crate::plugin::{Decision, PluginChange, Staged};
use crate::reason::{Reason, ReasonCode};
use crate::store::Store;

/// What the integrations are built on.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The home.
    pub home: Home,
    /// The configuration.
    pub config: Arc<Config>,
    /// The database.
    pub store: Store,
    /// Entities and readings.
    pub house: House,
    /// The usable plugins.
    pub catalog: Catalog,
    /// The time.
    pub clock: Clock,
}

/// What provides a type.
#[derive(Debug, Clone)]
pub(super) enum PluginNow {
    /// This generation.
    Here(Staged),
    /// Nothing: the file is not there.
    Missing(Reason),
    /// Nothing: the file was refused.
    Refused(Reason),
}

/// Where plugins come from.
#[async_trait]
pub(super) trait Plugins: Send + Sync + fmt::Debug {
    /// What provides a type now.
    fn plugin_now(&self, integration_type: &IntegrationType) -> PluginNow;
    /// Every usable type.
    fn types(&self) -> Vec<IntegrationType>;
    /// Changes from now on.
    fn subscribe(&self) -> broadcast::Receiver<PluginChange>;
    /// Why a generation may not run any longer, if it may not.
    fn revoked(&self, plugin: &Staged) -> Option<Reason>;
    /// Any generation whose staged copy is there, in use or not.
    async fn generation(&self, sha256: &str) -> Option<Staged>;
    /// Every generation of a type whose staged copy is there, the newest copy first.
    async fn generations(&self, integration_type: &IntegrationType) -> Vec<Staged>;
    /// Keeps a verdict made here.
    async fn report(&self, plugin: &Staged, reason: Reason);
    /// A generation's staged copy is not used here any more.
    async fn release(&self, sha256: &str);
}

#[async_trait]
impl Plugins for Catalog {
    fn plugin_now(&self, integration_type: &IntegrationType) -> PluginNow {
        if let Some(plugin) = self.plugin(integration_type) {
            return PluginNow::Here(plugin);
        }
        match self.verdict(integration_type.as_str()) {
            Some(verdict) if verdict.decision == Decision::Refused => absence(integration_type, verdict.reason.clone()),
            Some(_) => absence(integration_type, no_file()),
            // The row of a file that went away keeps its id: this one was overwritten with what tells none.
            None => absence(integration_type, self.unreadable().map_or_else(no_file, |verdict| verdict.reason.clone())),
        }
    }

    fn types(&self) -> Vec<IntegrationType> {
        self.plugins().iter().map(|plugin| plugin.integration_type().clone()).collect()
    }

    fn subscribe(&self) -> broadcast::Receiver<PluginChange> {
        Catalog::subscribe(self)
    }

    fn revoked(&self, plugin: &Staged) -> Option<Reason> {
        Catalog::revoked(self, plugin)
    }

    async fn generation(&self, sha256: &str) -> Option<Staged> {
        Catalog::generation(self, sha256).await
    }

    async fn generations(&self, integration_type: &IntegrationType) -> Vec<Staged> {
        Catalog::generations(self, integration_type).await
    }

    async fn report(&self, plugin: &Staged, reason: Reason) {
        Catalog::report(self, plugin, reason).await;
    }

    async fn release(&self, sha256: &str) {
        Catalog::release(self, sha256).await;
    }
}

fn no_file() -> Reason {
    Reason::new(ReasonCode::FileGone, "no file provides it")
}

/// Why a type has no plugin: its file is gone, or another reason that refused it.
pub(super) fn absence(integration_type: &IntegrationType, reason: Reason) -> PluginNow {
    if reason.code == ReasonCode::FileGone {
        PluginNow::Missing(Reason::new(
            ReasonCode::PluginMissing,
            format!("the plugin file of {integration_type} is not in the plugins folder"),
        ))
    } else {
        PluginNow::Refused(refusal(integration_type, reason))
    }
}

/// Why a type has no plugin although its file is there.
pub(super) fn refusal(integration_type: &IntegrationType, reason: Reason) -> Reason {
    let is_revoked = matches!(reason.code, ReasonCode::Revoked | ReasonCode::KeyRevoked);
    Reason {
        code: if is_revoked { reason.code } else { ReasonCode::PluginIncompatible },
        sentence: format!("the plugin file of {integration_type} was refused: {}", reason.sentence),
        cause: reason.cause,
    }
}

/// How a gateway is launched.
#[async_trait]
pub(super) trait Launcher: Send + Sync + fmt::Debug {
    /// Opens, checks and constructs.
    async fn launch(&self, launch: Launch, host: Arc<dyn HostCalls>) -> Result<Arc<dyn Gateway>, Reason>;
}

/// The gateways of the daemon.
#[derive(Debug)]
pub(super) struct RealLauncher;

#[async_trait]
impl Launcher for RealLauncher {
    async fn launch(&self, launch: Launch, host: Arc<dyn HostCalls>) -> Result<Arc<dyn Gateway>, Reason> {
        gateway::launch(launch, host).await
    }
}

/// The ground as this room sees it.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) home: Home,
    pub(super) config: Arc<Config>,
    pub(super) store: Store,
    pub(super) house: House,
    pub(super) clock: Clock,
    pub(super) plugins: Arc<dyn Plugins>,
    pub(super) launcher: Arc<dyn Launcher>,
    /// How many start at once.
    pub(super) starts: Semaphore,
    /// What did not come up in a flow.
    pub(super) problems: Problems,
    /// What each integration is counted for.
    pub(super) meters: Meters,
    /// Integrations that run in a worker against the configuration, with the reason.
    pub(super) moved: RwLock<BTreeMap<IntegrationId, String>>,
}

impl Base {
    pub(super) fn new(ground: Ground) -> Arc<Self> {
        let catalog = Arc::new(ground.catalog.clone());
        Self::with(
            ground.home,
            ground.config,
            (ground.store, ground.house),
            ground.clock,
            catalog,
            Arc::new(RealLauncher),
        )
    }

    pub(super) fn with(
        home: Home,
        config: Arc<Config>,
        (store, house): (Store, House),
        clock: Clock,
        plugins: Arc<dyn Plugins>,
        launcher: Arc<dyn Launcher>,
    ) -> Arc<Self> {
        let starts = Semaphore::new(config.integrations.start_parallel.clamp(1, Semaphore::MAX_PERMITS));
        Arc::new(Self {
            home,
            config,
            store,
            house,
            clock,
            plugins,
            launcher,
            starts,
            problems: Problems::default(),
            meters: Meters::default(),
            moved: RwLock::default(),
        })
    }

    /// Lets go of generations; the catalog deletes the copies that nobody needs any more.
    pub(super) fn let_go_of(&self, plugins: impl IntoIterator<Item = Staged>) {
        for plugin in plugins {
            let (catalog, sha256) = (Arc::clone(&self.plugins), plugin.sha256().to_owned());
            drop(plugin);
            tokio::spawn(async move { catalog.release(&sha256).await });
        }
    }

    /// Who keeps the crashes of gateways; of provisional ones without what was printed.
    pub(super) fn witness(&self, provisional: bool) -> Arc<dyn Witness> {
        CrashBook::witness(&self.store, &self.clock, provisional)
    }

    /// How an integration is run: by the configuration, unless it was moved out of the daemon.
    pub(super) fn hosting(&self, id: &IntegrationId) -> Hosting {
        if self.moved.read().contains_key(id) {
            return Hosting::Isolated;
        }
        self.config.integration.get(id.as_str()).and_then(|one| one.hosting).unwrap_or_default()
    }

    /// Which of its plugin's events are logged, by the configuration.
    pub(super) fn log_filter(&self, id: &IntegrationId) -> String {
        let one = self.config.integration.get(id.as_str());
        one.and_then(|one| one.log.clone()).unwrap_or_else(|| self.config.log.plugin_filter.clone())
    }

    /// What a worker of an integration may do with these settings.
    pub(super) fn confinement(&self, id: &IntegrationId, plugin: &Staged, settings: &AttributeValues) -> Confinement {
        let one = self.config.integration.get(id.as_str());
        Confinement::of(&plugin.manifest().capabilities, settings, &self.home.data_dir(id))
            .traced(one.and_then(|one| one.sandbox_trace).unwrap_or_default())
    }

    /// What to launch for an integration with these settings. Makes its data folder (mode 0700).
    pub(super) fn launch_of(
        &self,
        id: &IntegrationId,
        plugin: &Staged,
        hosting: Hosting,
        settings: &AttributeValues,
    ) -> Result<Launch, Reason> {
        let kernel = Kernel::found();
        self.may_run(id, hosting, kernel)?;
        let data_dir = self.home.data_dir(id);
        make_private_dir(&data_dir).map_err(|error| {
            Reason::new(ReasonCode::StartFailed, format!("the folder {} cannot be made", data_dir.display()))
                .caused_by(error)
        })?;
        let log_filter = log::filter_of(id).unwrap_or_else(|| self.log_filter(id));
        let host_ops = ops::TABLE.iter().filter(|op| op.side() == ops::Side::Host).map(|op| op.number).collect();
        Ok(Launch {
            plugin: plugin.clone(),
            instance: Instance {
                integration_id: id.clone(),
                host_api_version: ops::API_VERSION.to_owned(),
                host_ops,
                data_dir: data_dir.to_string_lossy().into_owned(),
                log_filter,
            },
            hosting,
            confinement: self.confinement(id, plugin, settings),
            kernel,
            timing: self.config.integrations.gateway_timing(),
            onlooker: Onlooker { exchanges: Exchanges::new(self.clock.clone()), witness: Some(self.witness(true)) },
            meter: self.meters.of(id),
        })
    }

    /// Whether the sandbox is whole, where the configuration requires it.
    fn may_run(&self, id: &IntegrationId, hosting: Hosting, kernel: Kernel) -> Result<(), Reason> {
        if self.config.integrations.sandbox == Sandboxing::BestEffort {
            return Ok(());
        }
        let refused =
            |why: String| Err(Reason::new(ReasonCode::SandboxIncomplete, format!("{id} was not started: {why}")));
        if hosting == Hosting::InProcess {
            return refused("in the daemon's own process nothing holds it, and the sandbox is required".into());
        }
        let missing: Vec<_> = kernel.missing().into_iter().map(|missing| missing.part).collect();
        if missing.is_empty() {
            return Ok(());
        }
        refused(format!("the sandbox is required, and this kernel lacks {}", missing.join(", ")))
    }
}

fn make_private_dir(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // One that was there before may have been opened to others.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}
