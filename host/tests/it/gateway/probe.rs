//! The probe plugin, launched either way, and a host that records what it is asked.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gatehouse_host::gateway::{
    Confinement, Crash, Gateway, GatewayTiming, HostCalls, HostReply, Hosting, Kernel, Launch, Onlooker, Witness,
    launch, set_worker_program,
};
use gatehouse_host::plugin::{self, Staged};
use gatehouse_host::reason::Reason;
use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::manage::{ManageReply, ManageRequest};
use gatehouse_plugin_api::manifest::Capability;
use gatehouse_plugin_api::message::{EmitOutcome, Instance, Key, KeyBlob, MaybeBlob};
use gatehouse_plugin_api::{ops, wire};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::sync::watch;

/// What no test waits for in vain.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) const CALM: GatewayTiming =
    GatewayTiming { launch_within: LONG, heartbeat_every: LONG, heartbeat_within: LONG };

/// The probe's file: a dependency of this binary, so it lies beside it.
pub(crate) fn plugin_file() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libprobe_plugin.so")
}

/// Staged once for all tests: the store is addressed by content.
fn staged() -> Staged {
    let store = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("probe");
    std::fs::create_dir_all(&store).unwrap();
    plugin::stage(&plugin_file(), &store, u64::MAX).unwrap()
}

/// The probe built with `panic = "abort"`, as an author may build a plugin.
pub(crate) fn aborting_plugin_file() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("aborting");
    let built = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--offline", "--quiet", "-p", "probe-plugin", "--target-dir"])
        .arg(&target)
        .env("CARGO_PROFILE_DEV_PANIC", "abort")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .unwrap();
    assert!(built.success(), "the probe does not build with panic = \"abort\"");
    target.join("debug/libprobe_plugin.so")
}

/// A running probe; its folders go with it.
pub(crate) struct Probe {
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) host: Arc<Recorder>,
    pub(crate) crashes: Arc<Crashes>,
    folder: TempDir,
}

/// Notes every crash.
#[derive(Debug, Default)]
pub(crate) struct Crashes(watch::Sender<Vec<Crash>>);

impl Crashes {
    /// The first one, once it is told.
    pub(crate) async fn first(&self) -> Crash {
        let mut told = self.0.subscribe();
        let told = soon(told.wait_for(|told| !told.is_empty())).await.unwrap();
        told[0].clone()
    }
}

impl Witness for Crashes {
    fn crashed(&self, _: &IntegrationId, crash: Crash) {
        self.0.send_modify(|told| told.push(crash));
    }
}

impl Probe {
    pub(crate) async fn launch(hosting: Hosting) -> Self {
        Self::launch_as("probe", hosting, CALM).await.unwrap()
    }

    /// With a log filter of its own.
    pub(crate) async fn launch_logging(filter: &str, hosting: Hosting) -> Self {
        let folder = TempDir::new().unwrap();
        let host = Arc::new(Recorder::default());
        let mut wanted = wanted(staged(), "probe", folder.path().to_str().unwrap(), hosting, CALM);
        filter.clone_into(&mut wanted.instance.log_filter);
        let gateway = launch(wanted, host.clone()).await.unwrap();
        Self { gateway, host, crashes: Arc::default(), folder }
    }

    pub(crate) async fn launch_as(id: &str, hosting: Hosting, timing: GatewayTiming) -> Result<Self, Reason> {
        Self::launch_plugin(staged(), id, hosting, timing).await
    }

    pub(crate) async fn launch_plugin(
        plugin: Staged,
        id: &str,
        hosting: Hosting,
        timing: GatewayTiming,
    ) -> Result<Self, Reason> {
        let folder = TempDir::new().unwrap();
        let host = Arc::new(Recorder::default());
        let mut wanted = wanted(plugin, id, folder.path().to_str().unwrap(), hosting, timing);
        let crashes = Arc::new(Crashes::default());
        wanted.onlooker.witness = Some(crashes.clone());
        let gateway = launch(wanted, host.clone()).await?;
        Ok(Self { gateway, host, crashes, folder })
    }

    /// With needs, as if its manifest had them.
    pub(crate) async fn launch_needing(needs: &[Capability]) -> Self {
        Self::launch_trying(needs, Kernel::found(), "").await.unwrap()
    }

    /// With needs, on a kernel that has no more than this; what is to be tried while its library is opened is told
    /// by lines of `what`, a tabulator and `at`.
    pub(crate) async fn launch_trying(needs: &[Capability], kernel: Kernel, attempts: &str) -> Result<Self, Reason> {
        Self::launch_confined(|confinement| confinement, needs, kernel, attempts).await
    }

    /// With needs, and what it opens traced.
    pub(crate) async fn launch_traced(needs: &[Capability]) -> Self {
        Self::launch_confined(|confinement| confinement.traced(true), needs, Kernel::found(), "").await.unwrap()
    }

    async fn launch_confined(
        change: impl FnOnce(Confinement) -> Confinement,
        needs: &[Capability],
        kernel: Kernel,
        attempts: &str,
    ) -> Result<Self, Reason> {
        let folder = TempDir::new().unwrap();
        let host = Arc::new(Recorder::default());
        if !attempts.is_empty() {
            std::fs::write(folder.path().join("attempts"), attempts).unwrap();
        }
        // A store of its own: the shared one belongs to the user who runs the tests.
        let plugin = plugin::stage(&plugin_file(), &store_in(folder.path()), u64::MAX).unwrap();
        let mut wanted = wanted(plugin, "probe", folder.path().to_str().unwrap(), Hosting::Isolated, CALM);
        wanted.confinement = change(Confinement::of(needs, &AttributeValues::default(), folder.path()));
        wanted.kernel = kernel;
        let gateway = launch(wanted, host.clone()).await?;
        Ok(Self { gateway, host, crashes: Arc::default(), folder })
    }

    /// Its own folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks the probe to do something; the text it answers.
    pub(crate) async fn ask(&self, what: &[(&str, &str)]) -> Result<String, CallError> {
        self.ask_within(what, LONG).await
    }

    pub(crate) async fn ask_within(&self, what: &[(&str, &str)], deadline: Duration) -> Result<String, CallError> {
        let reply: ManageReply = self.gateway.call_within(&ops::MANAGE, &request(what), deadline).await?;
        match reply {
            ManageReply::Message { text, .. } => Ok(text),
            other => panic!("{other:?}"),
        }
    }

    /// A call that goes on while the test does something else; resolves once the probe has begun to work on it.
    pub(crate) async fn begin(&self, what: &'static [(&'static str, &'static str)]) -> Pending {
        let gateway = Arc::clone(&self.gateway);
        let pending = tokio::spawn(async move {
            gateway.call_within::<_, ManageReply>(&ops::MANAGE, &request(what), LONG).await.map(drop)
        });
        // Calls are begun in their order: when this one is answered, that one has been begun.
        while self.ask(&[("do", "echo")]).await.is_ok() && pending.is_finished() {}
        Pending(pending)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.gateway.pid().unwrap()
    }
}

pub(crate) struct Pending(tokio::task::JoinHandle<Result<(), CallError>>);

impl Pending {
    pub(crate) async fn error(self) -> CallError {
        soon(self.0).await.unwrap().unwrap_err()
    }
}

pub(crate) fn request(what: &[(&str, &str)]) -> ManageRequest {
    let params = what.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ManageRequest { params, ..ManageRequest::default() }
}

pub(crate) fn wanted(plugin: Staged, id: &str, data_dir: &str, hosting: Hosting, timing: GatewayTiming) -> Launch {
    set_worker_program(env!("CARGO_BIN_EXE_gatehouse"));
    let instance = Instance {
        integration_id: id.parse().unwrap(),
        host_api_version: ops::API_VERSION.to_owned(),
        host_ops: ops::TABLE.iter().map(|op| op.number).filter(|number| *number >= 1000).collect(),
        data_dir: data_dir.to_owned(),
        log_filter: "info".to_owned(),
    };
    let confinement = Confinement::of(&[], &AttributeValues::default(), Path::new(data_dir));
    let (kernel, onlooker, meter) = (Kernel::found(), Onlooker::default(), Arc::default());
    Launch { plugin, instance, hosting, confinement, kernel, timing, onlooker, meter }
}

fn store_in(folder: &Path) -> PathBuf {
    let store = folder.join("store");
    std::fs::create_dir(&store).unwrap();
    store
}

/// Fails the test instead of hanging it.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LONG, future).await.expect("happens at all")
}

/// A host that notes every call. It keeps values, answers readings unless told to hold the answers back, and does not
/// know how to list keys.
#[derive(Default)]
pub(crate) struct Recorder {
    asked: watch::Sender<Vec<(u32, Vec<u8>)>>,
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    held: Mutex<Option<Vec<HostReply>>>,
}

impl Recorder {
    /// The requests of one operation so far, in order.
    pub(crate) fn requests<T: DeserializeOwned>(&self, op: &ops::Op) -> Vec<T> {
        let asked = self.asked.borrow();
        asked.iter().filter(|(number, _)| *number == op.number).map(|(_, r)| wire::decode(r).unwrap()).collect()
    }

    /// Waits until the calls so far are as wanted.
    pub(crate) async fn until(&self, wanted: impl FnMut(&Vec<(u32, Vec<u8>)>) -> bool) {
        soon(self.asked.subscribe().wait_for(wanted)).await.unwrap();
    }

    /// From now on readings are not answered until [`Self::let_go`].
    pub(crate) fn hold(&self) {
        *self.held.lock().unwrap() = Some(Vec::new());
    }

    pub(crate) fn let_go(&self) {
        for reply in self.held.lock().unwrap().take().unwrap_or_default() {
            reply.complete(&Ok(EmitOutcome::default()));
        }
    }

    fn note(&self, op: u32, request: &[u8]) {
        self.asked.send_modify(|asked| asked.push((op, request.to_vec())));
    }
}

impl HostCalls for Recorder {
    fn call(&self, op: u32, request: Vec<u8>, reply: HostReply) {
        let mut kept = self.kept.lock().unwrap();
        if op == ops::KV_SET.number {
            let KeyBlob { key, bytes } = wire::decode(&request).unwrap();
            kept.insert(key, bytes);
            reply.complete(&Ok(()));
        } else if op == ops::KV_GET.number {
            let Key { key } = wire::decode(&request).unwrap();
            reply.complete(&Ok(MaybeBlob { bytes: kept.get(&key).cloned() }));
        } else if op == ops::KV_KEYS.number {
            answer::<()>(reply, Err(CallError::new(ErrorCode::Unsupported, "this host lists no keys")));
        } else if op == ops::EMIT.number || op == ops::EMIT_DURABLE.number {
            match &mut *self.held.lock().unwrap() {
                Some(held) => held.push(reply),
                None => answer(reply, Ok(EmitOutcome::default())),
            }
        } else {
            answer(reply, Ok(()));
        }
        drop(kept);
        // Noted last: whoever waits for a call finds it done.
        self.note(op, &request);
    }
}

fn answer<T: Serialize>(reply: HostReply, answer: Result<T, CallError>) {
    reply.complete(&answer);
}
