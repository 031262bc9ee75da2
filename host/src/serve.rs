//! The daemon: configuration to build to run to drain.
//!
//! Built from the ground up (home, lock, database, house, catalog, socket, integrations, application) and drained from
//! the top down: the socket first, so that nobody asks for what is ending, the database last.

mod checking;
mod memory;
mod retention;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::api::access::{Access, AccessError};
use crate::api::server::{BindError, Server};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Durability};
use crate::entity::{House, ReadingLimits};
use crate::gateway;
use crate::home::{Home, HomeError, LockError};
use crate::integration::{Ground, Integrations, OperationError};
use crate::log::{HostLog, LogError};
use crate::plugin::catalog::Catalog;
use crate::plugin::trust::Trust;
use crate::service::ServiceManager;
use crate::store::{CommitPolicy, Store, StoreError};

/// How long requests may go on once the daemon stops.
const REQUESTS_GRACE: Duration = Duration::from_secs(2);
/// Between two attempts to open a database that another process holds; SQLite itself waits some seconds each time.
const LOCKED_PAUSE: Duration = Duration::from_millis(500);
/// What draining may take beyond the integrations' own bound.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);
/// How long the end waits for a standard error that takes nothing.
const LOG_WITHIN: Duration = Duration::from_secs(1);

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Another daemon has the home.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The log cannot be set up.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The integrations cannot be loaded.
    #[error(transparent)]
    Integrations(#[from] OperationError),
    /// The control socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The groups of the configuration cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Signals cannot be received.
    #[error("the signals that stop the daemon cannot be received")]
    Signals(#[source] io::Error),
}

/// Where everything is, once the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The daemon's process id.
    pub pid: u32,
    /// The home.
    pub home: Home,
    /// The control socket.
    pub socket: PathBuf,
}

/// Serves `home` until SIGTERM or SIGINT, then drains; a second signal ends at once, and so does one while it starts.
/// Calls `on_ready` once, when the socket answers; it must not block. Needs a multi-threaded tokio runtime, which is not
/// to be waited for afterwards (a start that was given up may still be reading), and a process without a log.
///
/// # Errors
/// See [`ServeError`]; nothing is left behind but the home's folders.
pub async fn run(config: Config, home: Home, on_ready: impl FnOnce(&Ready)) -> Result<(), ServeError> {
    memory::keep_little();
    let log = HostLog::install(&config.log)?;
    let _written = WrittenAtEnd(log.clone());
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let mut signalled = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let stop = CancellationToken::new();
    let hurry = CancellationToken::new();
    let watching = tokio::spawn({
        let (stop, hurry) = (stop.clone(), hurry.clone());
        async move {
            signalled().await;
            stop.cancel();
            signalled().await;
            hurry.cancel();
        }
    });
    let served = run_until(config, home, log, stop, hurry.cancelled(), on_ready).await;
    watching.abort();
    served
}

/// However serving ends, by a panic as well: what was logged is written.
struct WrittenAtEnd(HostLog);

impl Drop for WrittenAtEnd {
    fn drop(&mut self) {
        self.0.close(LOG_WITHIN);
    }
}

/// As [`run`], in a process that has its log, until `stop` is cancelled; draining is given up when `hurry` resolves.
///
/// # Errors
/// See [`ServeError`].
pub async fn run_until(
    config: Config,
    home: Home,
    log: HostLog,
    stop: CancellationToken,
    hurry: impl Future<Output = ()>,
    on_ready: impl FnOnce(&Ready),
) -> Result<(), ServeError> {
    raise_descriptors();
    let (memory_mb, threads) = (config.integrations.worker_memory_mb, config.integrations.worker_threads);
    gateway::bound_workers(gateway::Bounds { memory_bytes: memory_mb << 20, threads });
    let manager = ServiceManager::from_environment();
    home.create()?;
    let lock = home.lock()?;
    let groups = config.access.clone();
    let access = tokio::task::spawn_blocking(move || Access::of(&groups))
        .await
        .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
    let socket = home.place_socket()?;
    let store = tokio::select! {
        opened = open_store(&config, &home, &manager) => opened?,
        () = stop.cancelled() => return stopped_early(),
    };
    let ground = tokio::select! {
        built = build_ground(config, home.clone(), store.clone()) => built?,
        () = stop.cancelled() => {
            // Nothing was accepted yet, so that nothing is lost when this takes too long.
            let _ = tokio::time::timeout(REQUESTS_GRACE, store.close()).await;
            return stopped_early();
        }
    };
    let groups = access.groups();
    let server = Server::bind_for(&socket, access)?;
    home.let_through(&groups)?;
    if !groups.is_empty() && !socket.starts_with(home.root()) {
        tracing::warn!(socket = %socket.display(), "other users may not go where the socket is: choose a shorter home");
    }
    gateway::keep_flights_in(home.flight_file());
    let integrations = Integrations::open(ground.clone()).await?;
    let app = App::new(ground.clone(), integrations.clone(), log, socket.clone());
    let serving = tokio::spawn(server.serve(app, stop.clone(), REQUESTS_GRACE));
    let telling = tokio::spawn(manager.clone().accompany(ground.house.clone(), integrations.clone(), stop.clone()));
    let expiring = tokio::spawn(retention::run(ground.clone()));
    let tidying = tokio::spawn(memory::run());
    let checking = tokio::spawn(checking::run(ground.clone()));
    tracing::info!(home = %home.root().display(), socket = %socket.display(), "serving");
    manager.ready();
    on_ready(&Ready { pid: std::process::id(), home, socket });

    stop.cancelled().await;
    tracing::info!("stopping");
    expiring.abort();
    tidying.abort();
    checking.abort();
    telling.abort();
    let bound = REQUESTS_GRACE + Duration::from_millis(ground.config.integrations.stop_within_ms) + DRAIN_MARGIN;
    manager.stopping(bound);
    let drain = async {
        // A panic while draining is logged by its task; the rest is drained all the same.
        let _ = serving.await;
        integrations.shut_down().await;
        if let Err(error) = ground.house.flush().await {
            tracing::error!(%error, "the last readings could not be written");
        }
        ground.catalog.close().await;
        ground.store.close().await;
    };
    tokio::select! {
        () = drain => tracing::info!("stopped"),
        () = tokio::time::sleep(bound) => tracing::error!("stopped without waiting any longer: something did not end"),
        () = hurry => tracing::warn!("stopped at once, as asked twice"),
    }
    drop(lock);
    Ok(())
}

/// The end of a start that was told to stop: as good as any other end.
fn stopped_early() -> Result<(), ServeError> {
    tracing::info!("stopped before it served");
    Ok(())
}

/// Lets the daemon have as many descriptors as the system allows it: connections and workers take some each.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        tracing::warn!(%error, "no more descriptors could be had than usual");
    }
}

/// Opens the database; one that another process holds is waited for, and said so.
async fn open_store(config: &Config, home: &Home, manager: &ServiceManager) -> Result<Store, ServeError> {
    let mut told = false;
    loop {
        match open_store_once(config, home).await {
            Err(ServeError::Store(error @ StoreError::Locked { .. })) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::error!(%error, "waiting for the database");
                }
                manager.waiting(&error.to_string());
                tokio::time::sleep(LOCKED_PAUSE).await;
            }
            other => return other,
        }
    }
}

async fn open_store_once(config: &Config, home: &Home) -> Result<Store, ServeError> {
    let history = &config.history;
    let commits = CommitPolicy {
        every: Duration::from_millis(history.commit_every_ms),
        rows: history.commit_rows,
        full_durability: history.durability == Durability::Full,
    };
    let (database, key_file) = (home.database(), home.key_file());
    let store = tokio::task::spawn_blocking(move || Store::open(&database, &key_file, commits))
        .await
        .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
    Ok(store)
}

async fn build_ground(config: Config, home: Home, store: Store) -> Result<Ground, ServeError> {
    let clock = Clock::system();
    let history = &config.history;
    let limits = ReadingLimits { queue_rows: history.queue_rows, subscriber_rows: history.subscriber_rows };
    let house = House::open(store.clone(), clock.clone(), limits).await?;
    let catalog =
        Catalog::open(&home, &config.plugins, Trust::open(&home, &config.trust), store.clone(), clock.clone()).await?;
    Ok(Ground { home, config: Arc::new(config), store, house, catalog, clock })
}
