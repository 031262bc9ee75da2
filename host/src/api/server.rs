//! The control socket: bound closed to others, one HTTP/1.1 connection after another, drained at the end.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::access::{Access, Peer};
use super::auth::Caller;
use super::patience::Patient;
use super::{busy, routes};
use crate::app::App;
use crate::config;

/// Connections that the system holds while they wait.
const BACKLOG: i32 = 1_024;
/// What hyper holds of one connection: a request's head, or what its reader did not take yet.
const BUFFER_BYTES: usize = 32 * 1024;
/// The pause after a failed accept (the process is out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The daemon may not give the socket to a group.
    #[error(
        "the control socket {path} cannot be given to the group {group} (access.read_groups, access.control_groups): \
         the daemon's user must be one of its members"
    )]
    Group {
        /// The path.
        path: PathBuf,
        /// The group's number.
        group: u32,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// Something else has its path.
    #[error("{path} is not a socket, so the control socket cannot be there: move it away")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("the control socket {path} cannot be made: is its folder there, and writable for the daemon's user?")]
    System {
        /// The path.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

/// The bound socket. Dropping it removes the socket's file.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    access: Access,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Somebody removed it already, or the folder went: nothing is left to remove.
        let _ = fs::remove_file(&self.path);
    }
}

impl Server {
    /// Binds the socket, for the daemon's user alone (mode 0600 before anybody can connect). The caller holds the
    /// home's lock, so a socket that is there already belonged to a daemon that is dead, and is replaced.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        Self::bind_for(path, Access::default())
    }

    /// As [`Self::bind`], for members of groups as well: the socket is given to the one group (mode 0660), or opened to
    /// all when there are several (mode 0666); who connects is asked of the kernel in any case.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind_for(path: &Path, access: Access) -> Result<Self, BindError> {
        let failed = |source: io::Error| BindError::System { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path).map_err(failed)?,
            Ok(_) => return Err(BindError::NotASocket { path: path.to_owned() }),
            Err(_) => {}
        }
        let socket = bound(path).map_err(failed)?;
        let mode = match access.groups().as_slice() {
            [] => 0o600,
            &[group] => {
                chown(path, None, Some(group)).map_err(|source| {
                    let path = path.to_owned();
                    BindError::Group { path, group, source }
                })?;
                0o660
            }
            _ => 0o666,
        };
        let listener = listen(socket, path, mode).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned(), access })
    }

    /// Answers until `stop` is cancelled; then ends streams, lets requests finish for `grace`, and drops the rest.
    pub async fn serve(self, app: App, stop: CancellationToken, grace: Duration) {
        let limits = Limits::of(&app.config().api);
        let doors = app.connections();
        let router = routes::router(app);
        let room = Arc::new(Semaphore::new(limits.connections));
        let access = Arc::new(self.access.clone());
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => match Arc::clone(&room).try_acquire_owned() {
                    Ok(permit) => {
                        let serving =
                            serve_connection(stream, Arc::clone(&access), limits, router.clone(), stop.clone());
                        let open = doors.enter();
                        connections.spawn(async move {
                            serving.await;
                            drop((permit, open));
                        });
                    }
                    Err(_) => {
                        if doors.turn_away() {
                            tracing::warn!(
                                most = limits.connections,
                                "connections to the control socket are refused: too many"
                            );
                        }
                        busy::refuse(stream, limits.connections);
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection to the control socket could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, finished).await.is_err() {
            tracing::warn!("requests were cut off: they did not finish in time");
        }
    }
}

fn bound(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// Listens with the mode set between `bind` and `listen`: before `listen` every connection is refused.
fn listen(socket: OwnedFd, path: &Path, mode: u32) -> io::Result<UnixListener> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    rustix::net::listen(&socket, BACKLOG)?;
    UnixListener::from_std(socket.into())
}

/// What one connection may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connections: usize,
    head_within: Duration,
    body_within: Duration,
    write_within: Duration,
}

impl Limits {
    /// As configured; connections take at most half of the descriptors, the rest is for workers and files.
    fn of(config: &config::Api) -> Self {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let half = descriptors.map_or(usize::MAX, |most| usize::try_from(most / 2).unwrap_or(usize::MAX).max(1));
        if half < config.connections {
            tracing::warn!(connections = half, "fewer connections are served than configured: descriptors are few");
        }
        Self {
            connections: config.connections.min(half).min(Semaphore::MAX_PERMITS),
            head_within: Duration::from_millis(config.head_within_ms),
            body_within: Duration::from_millis(config.body_within_ms),
            write_within: Duration::from_millis(config.write_within_ms),
        }
    }
}

async fn serve_connection(
    stream: UnixStream,
    access: Arc<Access>,
    limits: Limits,
    router: Router,
    stop: CancellationToken,
) {
    // Asked of the kernel and of /proc, neither of which waits for anybody.
    let Some(peer) = Peer::of(&stream) else { return };
    let caller = Caller {
        may: access.permission_of(&peer),
        uid: peer.uid,
        body_within: limits.body_within,
        draining: stop.clone(),
    };
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(caller.clone());
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_within).max_buf_size(BUFFER_BYTES);
    let mut connection = pin!(http.serve_connection(TokioIo::new(Patient::new(stream, limits.write_within)), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the control socket ended early");
    }
}
