//! A daemon's parts in this process, behind a real socket, with a house that the test can fill.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatehouse_host::api::access::Access;
use gatehouse_host::api::client::Client;
use gatehouse_host::api::server::Server;
use gatehouse_host::app::App;
use gatehouse_host::clock::Clock;
use gatehouse_host::config::Config;
use gatehouse_host::entity::{House, ReadingLimits};
use gatehouse_host::home::Home;
use gatehouse_host::integration::{Ground, Integrations};
use gatehouse_host::log::HostLog;
use gatehouse_host::plugin::catalog::Catalog;
use gatehouse_host::plugin::trust::Trust;
use gatehouse_host::store::{CommitPolicy, Store};
use gatehouse_plugin_api::Value;
use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::message::{EntityDeclaration, Reading, StateDeclaration};
use gatehouse_plugin_api::value::StateKind;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What is served, and how to end it.
pub(super) struct Daemon {
    pub(super) client: Client,
    pub(super) home: Home,
    pub(super) house: House,
    pub(super) log: HostLog,
    pub(super) stop: CancellationToken,
    pub(super) serving: JoinHandle<()>,
    _folder: TempDir,
}

/// Readings that one subscriber of a test's daemon may lag behind.
pub(super) const SUBSCRIBER_ROWS: usize = 50;

impl Daemon {
    pub(super) async fn start() -> Self {
        Self::start_for(Access::default()).await
    }

    /// For members of groups as well.
    pub(super) async fn start_for(access: Access) -> Self {
        let folder = TempDir::with_prefix("gatehouse-").unwrap();
        let home = Home::at(folder.path());
        home.create().unwrap();
        let commits = CommitPolicy { every: Duration::from_millis(5), rows: 100, full_durability: false };
        let store = Store::open(&home.database(), &home.key_file(), commits).unwrap();
        let clock = Clock::system();
        let limits = ReadingLimits { queue_rows: 1_000, subscriber_rows: SUBSCRIBER_ROWS };
        let house = House::open(store.clone(), clock.clone(), limits).await.unwrap();
        let config = Arc::new(Config::default());
        let catalog =
            Catalog::open(&home, &config.plugins, Trust::open(&home, &config.trust), store.clone(), clock.clone())
                .await
                .unwrap();
        let ground = Ground { home: home.clone(), config, store, house: house.clone(), catalog, clock };
        let integrations = Integrations::open(ground.clone()).await.unwrap();
        let log = HostLog::in_memory(100);
        let groups = access.groups();
        let server = Server::bind_for(&home.socket(), access).unwrap();
        home.let_through(&groups).unwrap();
        let app = App::new(ground, integrations, log.clone(), home.socket());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.serve(app, stop.clone(), Duration::from_secs(5)));
        Self { client: Client::new(&home), home, house, log, stop, serving, _folder: folder }
    }

    /// As `start`, with the entity `test:Lamp/1` of three states: `power` (controllable), `level` and `mode`.
    pub(super) async fn with_a_lamp() -> Self {
        let daemon = Self::start().await;
        let state = |name: &str, kind, controllable| StateDeclaration {
            name: name.parse().unwrap(),
            label: String::new(),
            kind,
            sensed: true,
            controllable,
        };
        let lamp = EntityDeclaration {
            name: "Lamp/1".parse().unwrap(),
            label: "The lamp".into(),
            entity_type: "light".into(),
            states: vec![
                state("power", StateKind::OnOff, true),
                state("level", StateKind::number("%"), false),
                state("mode", StateKind::Choice { options: vec!["warm".into(), "cold".into()] }, true),
            ],
            previous_name: None,
        };
        daemon.house.declare(&test(), vec![lamp]).await.unwrap();
        daemon
    }

    /// Takes readings of the lamp's level.
    pub(super) async fn emit_levels(&self, levels: impl IntoIterator<Item = u32>) {
        let reading = |level| Reading {
            entity: "Lamp/1".parse().unwrap(),
            state: "level".parse().unwrap(),
            value: Value::Number(f64::from(level)),
            at_ms: None,
        };
        let outcome = self.house.emit(&test(), levels.into_iter().map(reading).collect()).await;
        assert_eq!(outcome.refused, 0, "{outcome:?}");
    }

    /// Sends bytes as they are and reads the answer to its end.
    pub(super) async fn raw(&self, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.home.socket()).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends a body with `connection: close`; the status and the answer's body as JSON.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        media_type: &str,
        body: &str,
    ) -> (u16, serde_json::Value) {
        let length = body.len();
        let answer = self
            .raw(
                format!(
                    "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {media_type}\r\n\
                     content-length: {length}\r\n\r\n{body}"
                )
                .as_bytes(),
            )
            .await;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
    }
}

/// The integration that owns the lamp. It is not configured, so it is offline.
pub(super) fn test() -> IntegrationId {
    "test".parse().unwrap()
}

/// Asks again until there is an answer.
pub(super) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < give_up, "{what} did not happen");
        tokio::task::yield_now().await;
    }
}
