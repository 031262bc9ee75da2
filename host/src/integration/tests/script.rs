//! Gateways that do as their script says.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gatehouse_plugin_api::attribute::FieldErrors;
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::flow::FlowReply;
use gatehouse_plugin_api::message::{
    Connection, ConnectionResult, Diagnostics, SettingsOutcome, SyncCall, SyncOutcome,
};
use gatehouse_plugin_api::ops::{self, Op};
use gatehouse_plugin_api::wire;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, oneshot, watch};

use super::rig::reason;
use crate::gateway::{Exit, Gateway, HostCalls, HostReply, Hosting, Launch};
use crate::integration::ground::Launcher;
use crate::reason::{Reason, ReasonCode};

/// What a scripted gateway does with a call.
pub(in crate::integration) enum Act {
    Reply(Vec<u8>),
    /// Answers `()` once the host has answered this operation.
    After(Op, SyncCall),
    Fail(CallError),
    /// Its process dies.
    Die,
    /// Answers only when its process has ended.
    Hang,
    /// Answers this once there is a permit.
    Held(Arc<Semaphore>, Box<Act>),
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
    launch_gate: Option<Arc<Semaphore>>,
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

    /// Launches once there is a permit.
    pub(in crate::integration) fn launching_at(gate: &Arc<Semaphore>) -> Self {
        Self { launch_gate: Some(Arc::clone(gate)), ..Self::default() }
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
    /// How long its last call of each operation had.
    pub(in crate::integration) within: Mutex<HashMap<&'static str, Duration>>,
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
        ask(&*self.host, op, request).await
    }

    /// Tells the host something without waiting.
    pub(in crate::integration) fn tell<Q: Serialize>(&self, op: Op, request: &Q) {
        self.host.call(op.number, wire::encode(request), HostReply::new(|_| {}));
    }

    pub(in crate::integration) fn count(&self, op: Op) -> usize {
        self.calls.lock().iter().filter(|name| **name == op.name).count()
    }
}

impl ScriptedGateway {
    async fn act(&self, mut act: Act) -> Result<Vec<u8>, CallError> {
        while let Act::Held(gate, then) = act {
            gate.acquire().await.unwrap().forget();
            act = *then;
        }
        match act {
            Act::Reply(bytes) => Ok(bytes),
            Act::After(op, call) => self.ask::<_, SyncOutcome>(op, &call).await.map(|_| wire::encode(&())),
            Act::Fail(error) => Err(error),
            Act::Die => {
                self.die(ReasonCode::WorkerKilled);
                Err(gone())
            }
            Act::Hang => {
                self.ended().await;
                Err(gone())
            }
            Act::Held(..) => unreachable!("taken apart above"),
        }
    }
}

fn gone() -> CallError {
    CallError::new(ErrorCode::Gone, "its process is gone")
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

    async fn call_bytes(&self, op: &Op, request: Vec<u8>, within: Duration) -> Result<Vec<u8>, CallError> {
        if !self.is_alive() {
            return Err(gone());
        }
        self.within.lock().insert(op.name, within);
        self.calls.lock().push(op.name);
        let handler = self.script.handlers.get(&op.number).cloned();
        self.act(handler.map_or_else(|| usual(op.number), |handler| handler(&request, self))).await
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

/// Asks the host for something, as a plugin would.
pub(in crate::integration) async fn ask<Q: Serialize, A: DeserializeOwned>(
    host: &dyn HostCalls,
    op: Op,
    request: &Q,
) -> Result<A, CallError> {
    let (sent, answer) = oneshot::channel();
    let reply = HostReply::new(move |bytes| drop(sent.send(bytes)));
    host.call(op.number, wire::encode(request), reply);
    wire::decode_reply(answer.await.unwrap().as_deref())
}

/// Launches by script and remembers every gateway.
#[derive(Default)]
pub(in crate::integration) struct ScriptedLauncher {
    pub(in crate::integration) scripts: Mutex<HashMap<String, Script>>,
    pub(in crate::integration) launched: Mutex<Vec<Arc<ScriptedGateway>>>,
    pub(in crate::integration) tried: AtomicU32,
    /// The host's side of every launch, as the code that is launched has it.
    pub(in crate::integration) hosts: Mutex<Vec<Arc<dyn HostCalls>>>,
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
        self.hosts.lock().push(Arc::clone(&host));
        if let Some(gate) = &script.launch_gate {
            gate.acquire().await.unwrap().forget();
        }
        if let Some(reason) = script.launch {
            return Err(reason);
        }
        let mut launched = self.launched.lock();
        let number = u32::try_from(launched.len()).unwrap() + 1;
        let gateway = Arc::new(ScriptedGateway {
            launch,
            number,
            calls: Mutex::default(),
            within: Mutex::default(),
            script,
            host,
            ended: watch::Sender::new(None),
        });
        launched.push(Arc::clone(&gateway));
        Ok(gateway)
    }
}
