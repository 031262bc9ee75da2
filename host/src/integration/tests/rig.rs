//! The rig: gateways that do as their script says, plugins that exist in name alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gatehouse_plugin_api::attribute::{AttributeSpec, AttributeValues, FieldErrors, PlainValue, ValueType};
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::flow::{FlowReply, StepKind};
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use gatehouse_plugin_api::manifest::Manifest;
use gatehouse_plugin_api::message::{Connection, ConnectionResult, Diagnostics, SettingsOutcome};
use gatehouse_plugin_api::ops::{self, Op};
use gatehouse_plugin_api::{Secret, wire};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::sync::{broadcast, oneshot, watch};

use crate::clock::{Clock, ManualTime};
use crate::config::Config;
use crate::entity::{House, ReadingLimits};
use crate::gateway::{Exit, Gateway, HostCalls, HostReply, Hosting, Launch};
use crate::home::Home;
use crate::integration::ground::{Base, Launcher, PluginNow, Plugins, absence};
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
    AttributeSpec {
        key: key.into(),
        label: key.into(),
        help: String::new(),
        value_type,
        required: true,
        editable: true,
        default: None,
    }
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

/// What a scripted gateway does with a call.
pub(in crate::integration) enum Act {
    Reply(Vec<u8>),
    Fail(CallError),
    /// Its process dies.
    Die,
    /// Answers only when its process has ended.
    Hang,
}

pub(in crate::integration) fn reply<T: Serialize>(value: &T) -> Act {
    Act::Reply(wire::encode(value))
}

pub(in crate::integration) fn fail(code: ErrorCode, message: &str) -> Act {
    Act::Fail(CallError::new(code, message))
}

type Handler = Arc<dyn Fn(&[u8], &ScriptedGateway) -> Act + Send + Sync>;

/// What the gateways of one content do.
#[derive(Clone, Default)]
pub(in crate::integration) struct Script {
    handlers: HashMap<u32, Handler>,
    launch: Option<Reason>,
}

impl Script {
    pub(in crate::integration) fn on<Q: DeserializeOwned>(
        self,
        op: Op,
        act: impl Fn(Q, &ScriptedGateway) -> Act + Send + Sync + 'static,
    ) -> Self {
        self.raw(op, move |bytes, gateway| act(wire::decode(bytes).unwrap(), gateway))
    }

    fn raw(mut self, op: Op, act: impl Fn(&[u8], &ScriptedGateway) -> Act + Send + Sync + 'static) -> Self {
        self.handlers.insert(op.number, Arc::new(act));
        self
    }

    /// Fails the first `n` calls of an operation.
    pub(in crate::integration) fn failing(self, op: Op, n: u32, code: ErrorCode) -> Self {
        let left = AtomicU32::new(n);
        let before = self.handlers.get(&op.number).cloned();
        self.raw(op, move |bytes, gateway| {
            if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                return fail(code, "not today");
            }
            before.as_ref().map_or_else(|| usual(op.number), |before| before(bytes, gateway))
        })
    }

    pub(in crate::integration) fn not_launching(code: ReasonCode) -> Self {
        Self { launch: Some(reason(code, "it does not open")), ..Self::default() }
    }
}

fn usual(op: u32) -> Act {
    match op {
        op if op == ops::VALIDATE_CONFIGURATION.number => reply(&FieldErrors::new()),
        op if op == ops::TEST_CONNECTION.number => {
            reply(&ConnectionResult { outcome: Connection::Ok, message: String::new() })
        }
        op if op == ops::ACTIVATE.number || op == ops::DEACTIVATE.number => reply(&FlowReply::Default),
        op if op == ops::SETTINGS_CHANGED.number => reply(&SettingsOutcome::Restart),
        op if op == ops::DIAGNOSTICS.number => reply(&Diagnostics { data: serde_json::Value::Null }),
        op if [ops::START.number, ops::STOP.number, ops::POLL.number].contains(&op) => reply(&()),
        _ => fail(ErrorCode::Unsupported, "not in the script"),
    }
}

/// A gateway that does as its script says.
pub(in crate::integration) struct ScriptedGateway {
    pub(in crate::integration) launch: Launch,
    pub(in crate::integration) number: u32,
    pub(in crate::integration) calls: Mutex<Vec<&'static str>>,
    script: Script,
    host: Arc<dyn HostCalls>,
    ended: watch::Sender<Option<Reason>>,
}

impl ScriptedGateway {
    pub(in crate::integration) fn die(&self, code: ReasonCode) {
        self.ended.send_if_modified(|ended| {
            let alive = ended.is_none();
            if alive {
                *ended = Some(reason(code, "its process died"));
            }
            alive
        });
    }

    pub(in crate::integration) fn is_alive(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Asks the host for something, as the plugin would.
    pub(in crate::integration) async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        op: Op,
        request: &Q,
    ) -> Result<A, CallError> {
        let (sent, answer) = oneshot::channel();
        let reply = HostReply::new(move |bytes| drop(sent.send(bytes)));
        self.host.call(op.number, wire::encode(request), reply);
        wire::decode_reply(answer.await.unwrap().as_deref())
    }

    /// Tells the host something without waiting.
    pub(in crate::integration) fn tell<Q: Serialize>(&self, op: Op, request: &Q) {
        self.host.call(op.number, wire::encode(request), HostReply::new(|_| {}));
    }

    pub(in crate::integration) fn count(&self, op: Op) -> usize {
        self.calls.lock().iter().filter(|name| **name == op.name).count()
    }
}

impl fmt::Debug for ScriptedGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScriptedGateway({} of {})", self.number, self.launch.plugin.sha256())
    }
}

#[async_trait]
impl Gateway for ScriptedGateway {
    fn hosting(&self) -> Hosting {
        self.launch.hosting
    }

    fn pid(&self) -> Option<u32> {
        (self.launch.hosting == Hosting::Isolated).then_some(self.number)
    }

    async fn call_bytes(&self, op: &Op, request: Vec<u8>, _: Duration) -> Result<Vec<u8>, CallError> {
        let gone = || CallError::new(ErrorCode::Gone, "its process is gone");
        if !self.is_alive() {
            return Err(gone());
        }
        self.calls.lock().push(op.name);
        let handler = self.script.handlers.get(&op.number).cloned();
        match handler.map_or_else(|| usual(op.number), |handler| handler(&request, self)) {
            Act::Reply(bytes) => Ok(bytes),
            Act::Fail(error) => Err(error),
            Act::Die => {
                self.die(ReasonCode::WorkerKilled);
                Err(gone())
            }
            Act::Hang => {
                self.ended().await;
                Err(gone())
            }
        }
    }

    async fn ended(&self) -> Exit {
        let mut ended = self.ended.subscribe();
        let reason = ended.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        Exit { reason }
    }

    async fn close(&self, _: Duration) -> Exit {
        self.die(ReasonCode::AsWanted);
        self.ended().await
    }
}

/// Launches by script and remembers every gateway.
#[derive(Default)]
pub(in crate::integration) struct ScriptedLauncher {
    scripts: Mutex<HashMap<String, Script>>,
    launched: Mutex<Vec<Arc<ScriptedGateway>>>,
    tried: AtomicU32,
}

impl fmt::Debug for ScriptedLauncher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedLauncher")
    }
}

#[async_trait]
impl Launcher for ScriptedLauncher {
    async fn launch(&self, launch: Launch, host: Arc<dyn HostCalls>) -> Result<Arc<dyn Gateway>, Reason> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        let script = self.scripts.lock().get(launch.plugin.sha256()).cloned().unwrap_or_default();
        if let Some(reason) = script.launch {
            return Err(reason);
        }
        let mut launched = self.launched.lock();
        let number = u32::try_from(launched.len()).unwrap() + 1;
        let gateway = Arc::new(ScriptedGateway {
            launch,
            number,
            calls: Mutex::default(),
            script,
            host,
            ended: watch::Sender::new(None),
        });
        launched.push(Arc::clone(&gateway));
        Ok(gateway)
    }
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

    async fn generation(&self, sha256: &str) -> Option<Staged> {
        self.seen.lock().get(sha256).cloned()
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
        Self::at(Arc::new(tempfile::tempdir().unwrap()), config, &[]).await
    }

    pub(in crate::integration) async fn at(dir: Arc<TempDir>, config: Config, plugins: &[Staged]) -> Self {
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
        for plugin in plugins {
            scripted.put(plugin);
        }
        let launcher = Arc::new(ScriptedLauncher::default());
        let (as_plugins, as_launcher) = (Arc::clone(&scripted), Arc::clone(&launcher));
        let base = Base::with(home, Arc::new(config), (store, house), clock, as_plugins, as_launcher);
        let integrations = Integrations(Registry::open(Arc::clone(&base)).await.unwrap());
        Self { dir, base, integrations, hands, plugins: scripted, launcher }
    }

    /// The daemon ends and comes back, with these plugins in the folder.
    pub(in crate::integration) async fn restarted(self, plugins: &[Staged]) -> Self {
        self.integrations.shut_down().await;
        self.base.store.close().await;
        let (dir, config) = (Arc::clone(&self.dir), Config::clone(&self.base.config));
        drop(self);
        Self::at(dir, config, plugins).await
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
        let begin = match kind {
            FlowKind::Activate => FlowBegin { kind, integration_type: None, integration: Some(id(name)) },
            FlowKind::Deactivate => FlowBegin { kind, integration_type: None, integration: Some(id(name)) },
        };
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

    /// Activates with the default flow and waits until it runs.
    pub(in crate::integration) async fn activate(&self, name: &str, values: AttributeValues) -> Arc<IntegrationView> {
        let flow = self.begin(FlowKind::Activate, name).await.unwrap();
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
