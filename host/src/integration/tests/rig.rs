//! The rig: gateways that do as their script says, plugins that exist in name alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use gatehouse_plugin_api::Secret;
use gatehouse_plugin_api::attribute::{AttributeSpec, AttributeValues, FieldErrors, PlainValue, ValueType};
use gatehouse_plugin_api::flow::StepKind;
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use gatehouse_plugin_api::manifest::Manifest;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::broadcast;

use super::script::ScriptedLauncher;
pub(in crate::integration) use super::script::{Act, Script, ScriptedGateway, ask, fail, reply};
use crate::clock::{Clock, ManualTime};
use crate::config::Config;
use crate::entity::{House, ReadingLimits};
use crate::home::Home;
use crate::integration::ground::{Base, PluginNow, Plugins, absence};
use crate::integration::registry::Registry;
use crate::integration::{
    FlowBegin, FlowInput, FlowKind, FlowState, FlowView, IntegrationView, Integrations, OperationError,
};
use crate::plugin::{PluginChange, Staged};
use crate::reason::{Reason, ReasonCode};
use crate::store::{CommitPolicy, Store};

pub(in crate::integration) const START_MS: i64 = 1_000_000;

pub(in crate::integration) fn id(name: &str) -> IntegrationId {
    IntegrationId::new(name).unwrap()
}

pub(in crate::integration) fn reason(code: ReasonCode, sentence: &str) -> Reason {
    Reason::new(code, sentence)
}

pub(in crate::integration) fn spec(key: &str, value_type: ValueType) -> AttributeSpec {
    AttributeSpec::new(key, key, value_type)
}

/// A URL, a secret and a number with a default.
pub(in crate::integration) fn hass_specs() -> Vec<AttributeSpec> {
    vec![
        spec("url", ValueType::Url),
        spec("token", ValueType::Secret),
        AttributeSpec {
            default: Some(PlainValue::Integer(30)),
            ..spec("every", ValueType::Number { min: Some(1.0), max: None, integer: true })
        },
    ]
}

pub(in crate::integration) fn values(plain: &[(&str, &str)], secrets: &[(&str, &str)]) -> AttributeValues {
    let mut values = AttributeValues::default();
    for (key, value) in plain {
        values.set_plain(key, PlainValue::Text((*value).into()));
    }
    for (key, value) in secrets {
        values.set_secret(key, Secret::new((*value).into()));
    }
    values
}

pub(in crate::integration) fn hass_values() -> AttributeValues {
    values(&[("url", "http://pi:8123")], &[("token", "hunter2")])
}

/// A generation in name alone.
pub(in crate::integration) fn plugin(name: &str, version: &str, attributes: Vec<AttributeSpec>) -> Staged {
    let manifest = Manifest {
        id: IntegrationType::new(name).unwrap(),
        label: name.to_uppercase(),
        description: "Watches things.".into(),
        version: version.into(),
        api_version: "1.0.0".into(),
        abi_epoch: 1,
        attributes,
        capabilities: vec![],
        required_ops: vec![],
        poll_interval_ms: None,
        panic_strategy: "unwind".into(),
        target: String::new(),
        rustc: String::new(),
        cpu_features: vec![],
        authors: String::new(),
        licence: String::new(),
        homepage: String::new(),
    };
    Staged::imagined(manifest, &format!("{name}-{version}"))
}

pub(in crate::integration) fn polling(name: &str, interval_ms: u64) -> Staged {
    let mut manifest = plugin(name, "1.0.0", vec![]).manifest().clone();
    manifest.poll_interval_ms = Some(interval_ms);
    Staged::imagined(manifest, &format!("{name}-1.0.0"))
}

/// Plugins by hand.
#[derive(Debug)]
pub(in crate::integration) struct ScriptedPlugins {
    now: Mutex<HashMap<IntegrationType, PluginNow>>,
    seen: Mutex<HashMap<String, Staged>>,
    changes: broadcast::Sender<PluginChange>,
    pub(in crate::integration) reported: Mutex<Vec<(String, ReasonCode)>>,
    pub(in crate::integration) released: Mutex<Vec<String>>,
}

impl ScriptedPlugins {
    pub(in crate::integration) fn put(&self, plugin: &Staged) {
        self.seen.lock().insert(plugin.sha256().to_owned(), plugin.clone());
        self.now.lock().insert(plugin.integration_type().clone(), PluginNow::Here(plugin.clone()));
        let _ = self.changes.send(PluginChange::Available(plugin.clone()));
    }

    pub(in crate::integration) fn take(&self, name: &str, reason: Reason) {
        let integration_type = IntegrationType::new(name).unwrap();
        self.now.lock().insert(integration_type.clone(), absence(&integration_type, reason.clone()));
        let _ = self.changes.send(PluginChange::Unavailable { integration_type, reason });
    }
}

impl ScriptedPlugins {
    /// As the catalog tells that a generation may not run any longer; `other` is what provides its type then.
    pub(in crate::integration) fn revoke(&self, plugin: &Staged, other: Option<&Staged>) {
        let reason = reason(ReasonCode::Revoked, "it is revoked");
        let integration_type = plugin.integration_type().clone();
        let now = other.cloned().map_or_else(|| absence(&integration_type, reason.clone()), PluginNow::Here);
        self.seen.lock().remove(plugin.sha256());
        self.now.lock().insert(integration_type.clone(), now);
        let sha256 = plugin.sha256().to_owned();
        let told = PluginChange::Revoked { integration_type: integration_type.clone(), sha256, reason: reason.clone() };
        let _ = self.changes.send(told);
        let _ = self.changes.send(match other {
            Some(other) => PluginChange::Available(other.clone()),
            None => PluginChange::Unavailable { integration_type, reason },
        });
    }
}

#[async_trait]
impl Plugins for ScriptedPlugins {
    fn plugin_now(&self, integration_type: &IntegrationType) -> PluginNow {
        let gone = || absence(integration_type, reason(ReasonCode::FileGone, "gone"));
        self.now.lock().get(integration_type).cloned().unwrap_or_else(gone)
    }

    fn types(&self) -> Vec<IntegrationType> {
        self.now.lock().iter().filter(|(_, now)| matches!(now, PluginNow::Here(_))).map(|(t, _)| t.clone()).collect()
    }

    fn subscribe(&self) -> broadcast::Receiver<PluginChange> {
        self.changes.subscribe()
    }

    fn revoked(&self, _: &Staged) -> Option<Reason> {
        None
    }

    async fn generation(&self, sha256: &str) -> Option<Staged> {
        self.seen.lock().get(sha256).cloned()
    }

    async fn generations(&self, integration_type: &IntegrationType) -> Vec<Staged> {
        let mut seen: Vec<_> = self.seen.lock().values().cloned().collect();
        seen.retain(|plugin| plugin.integration_type() == integration_type);
        seen.sort_by(|a, b| b.sha256().cmp(a.sha256()));
        seen
    }

    async fn report(&self, plugin: &Staged, reason: Reason) {
        self.reported.lock().push((plugin.sha256().to_owned(), reason.code));
    }

    async fn release(&self, sha256: &str) {
        self.released.lock().push(sha256.to_owned());
    }
}

/// The room on its ground.
pub(in crate::integration) struct Rig {
    pub(in crate::integration) dir: Arc<TempDir>,
    pub(in crate::integration) base: Arc<Base>,
    pub(in crate::integration) integrations: Integrations,
    pub(in crate::integration) hands: ManualTime,
    pub(in crate::integration) plugins: Arc<ScriptedPlugins>,
    pub(in crate::integration) launcher: Arc<ScriptedLauncher>,
}

impl Rig {
    pub(in crate::integration) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(in crate::integration) async fn with(config: Config) -> Self {
        Self::at(Arc::new(tempfile::tempdir().unwrap()), config, |_| {}).await
    }

    /// At a home; `prepare` brings the plugins that are there from the beginning.
    pub(in crate::integration) async fn at(
        dir: Arc<TempDir>,
        config: Config,
        prepare: impl FnOnce(&ScriptedPlugins),
    ) -> Self {
        let home = Home::at(dir.path());
        let policy = CommitPolicy { every: Duration::from_millis(1), rows: 100, full_durability: false };
        let store = Store::open(&home.database(), &home.key_file(), policy).unwrap();
        let (clock, hands) = Clock::manual(START_MS);
        let limits = ReadingLimits { queue_rows: 1_000, subscriber_rows: 1_000 };
        let house = House::open(store.clone(), clock.clone(), limits).await.unwrap();
        let scripted = Arc::new(ScriptedPlugins {
            now: Mutex::default(),
            seen: Mutex::default(),
            changes: broadcast::Sender::new(64),
            reported: Mutex::default(),
            released: Mutex::default(),
        });
        prepare(&scripted);
        let launcher = Arc::new(ScriptedLauncher::default());
        let (as_plugins, as_launcher) = (Arc::clone(&scripted), Arc::clone(&launcher));
        let base = Base::with(home, Arc::new(config), (store, house), clock, as_plugins, as_launcher);
        let integrations = Integrations(Registry::open(Arc::clone(&base)).await.unwrap());
        Self { dir, base, integrations, hands, plugins: scripted, launcher }
    }

    /// The daemon ends and comes back, with these plugins in the folder.
    pub(in crate::integration) async fn restarted(self, plugins: &[Staged]) -> Self {
        self.restarted_where(|scripted| plugins.iter().for_each(|plugin| scripted.put(plugin))).await
    }

    /// The daemon ends and comes back where `prepare` brings the plugins.
    pub(in crate::integration) async fn restarted_where(self, prepare: impl FnOnce(&ScriptedPlugins)) -> Self {
        self.integrations.shut_down().await;
        self.base.store.close().await;
        let (dir, config) = (Arc::clone(&self.dir), Config::clone(&self.base.config));
        drop(self);
        Self::at(dir, config, prepare).await
    }

    pub(in crate::integration) fn script(&self, plugin: &Staged, script: Script) {
        self.launcher.scripts.lock().insert(plugin.sha256().to_owned(), script);
    }

    pub(in crate::integration) fn advance(&self, ms: u64) {
        self.hands.advance(Duration::from_millis(ms));
    }

    pub(in crate::integration) fn view(&self, name: &str) -> Arc<IntegrationView> {
        self.integrations.view(&id(name)).unwrap()
    }

    pub(in crate::integration) fn launches(&self) -> u32 {
        self.launcher.tried.load(Ordering::SeqCst)
    }

    pub(in crate::integration) fn gateways(&self) -> Vec<Arc<ScriptedGateway>> {
        self.launcher.launched.lock().clone()
    }

    pub(in crate::integration) fn alive(&self) -> Vec<Arc<ScriptedGateway>> {
        self.gateways().into_iter().filter(|gateway| gateway.is_alive()).collect()
    }

    /// The one gateway that lives.
    pub(in crate::integration) fn gateway(&self) -> Arc<ScriptedGateway> {
        let alive = self.alive();
        assert_eq!(alive.len(), 1, "{alive:?}");
        Arc::clone(&alive[0])
    }

    /// Waits until an integration is in a state; fails when it does not come to it.
    pub(in crate::integration) async fn until(&self, name: &str, state: &str) -> Arc<IntegrationView> {
        self.until_view(name, state, |view| view.actual.word() == state).await
    }

    pub(in crate::integration) async fn until_view(
        &self,
        name: &str,
        what: &str,
        is: impl Fn(&IntegrationView) -> bool,
    ) -> Arc<IntegrationView> {
        let mut changes = self.integrations.subscribe();
        let come = async {
            loop {
                if let Ok(view) = self.integrations.view(&id(name))
                    && is(&view)
                {
                    return view;
                }
                changes.recv().await.unwrap();
            }
        };
        match tokio::time::timeout(Duration::from_secs(20), come).await {
            Ok(view) => view,
            Err(_) => panic!("{name} does not come to {what}: {:?}", self.integrations.view(&id(name))),
        }
    }

    /// Waits for something that no event tells.
    pub(in crate::integration) async fn wait_for(&self, what: &str, is: impl Fn() -> bool) {
        let come = async {
            while !is() {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(20), come).await.is_ok(), "{what} does not come");
    }

    pub(in crate::integration) async fn begin(&self, kind: FlowKind, name: &str) -> Result<FlowView, OperationError> {
        let begin = FlowBegin { kind, integration_type: None, integration: Some(id(name)), take_over: false };
        self.integrations.flow_begin(begin).await
    }

    /// Begins a flow in the place of the one that is open.
    pub(in crate::integration) async fn take_over(
        &self,
        kind: FlowKind,
        name: &str,
    ) -> Result<FlowView, OperationError> {
        let begin = FlowBegin { kind, integration_type: None, integration: Some(id(name)), take_over: true };
        self.integrations.flow_begin(begin).await
    }

    pub(in crate::integration) async fn begin_instance(
        &self,
        of: &str,
        name: &str,
    ) -> Result<FlowView, OperationError> {
        let begin = FlowBegin {
            kind: FlowKind::Activate,
            integration_type: Some(IntegrationType::new(of).unwrap()),
            integration: Some(id(name)),
            take_over: false,
        };
        self.integrations.flow_begin(begin).await
    }

    /// Answers the step that a flow shows.
    pub(in crate::integration) async fn answer(
        &self,
        flow: &FlowView,
        values: AttributeValues,
    ) -> Result<FlowView, OperationError> {
        let FlowState::Step { step, .. } = &flow.state else { panic!("the flow has ended: {flow:?}") };
        let input = FlowInput { values, choice: None };
        self.integrations.flow_answer(&flow.flow_id, &step.step_id, input).await
    }

    /// Activates with the default flow, in the daemon's own process too, and waits until it runs.
    pub(in crate::integration) async fn activate(&self, name: &str, values: AttributeValues) -> Arc<IntegrationView> {
        let mut flow = self.begin(FlowKind::Activate, name).await.unwrap();
        if matches!(&flow.state, FlowState::Step { step, .. } if step.step_id == "in_process") {
            flow = self.answer(&flow, AttributeValues::default()).await.unwrap();
        }
        let flow = self.answer(&flow, values).await.unwrap();
        assert!(matches!(flow.state, FlowState::Done { .. }), "{flow:?}");
        self.view(name)
    }
}

impl Rig {
    /// Activates what has nothing to set.
    pub(in crate::integration) async fn begin_and_confirm(&self, name: &str) -> Arc<IntegrationView> {
        self.activate(name, AttributeValues::default()).await
    }

    /// Deactivates safely with the default flow.
    pub(in crate::integration) async fn deactivate(&self, name: &str, keep_settings: bool) -> FlowView {
        let flow = self.begin(FlowKind::Deactivate, name).await.unwrap();
        let keep = if keep_settings { "on" } else { "off" };
        let flow = self.answer(&flow, values(&[("mode", "safe"), ("keep_settings", keep)], &[])).await.unwrap();
        assert!(matches!(flow.state, FlowState::Done { .. }), "{flow:?}");
        flow
    }
}

/// The errors of the form that a flow shows.
pub(in crate::integration) fn errors(flow: &FlowView) -> FieldErrors {
    match &flow.state {
        FlowState::Step { step, .. } => match &step.kind {
            StepKind::Form { errors, .. } => errors.clone(),
            other => panic!("no form: {other:?}"),
        },
        other => panic!("no step: {other:?}"),
    }
}

pub(in crate::integration) fn step_id(flow: &FlowView) -> &str {
    match &flow.state {
        FlowState::Step { step, .. } => &step.step_id,
        other => panic!("no step: {other:?}"),
    }
}
