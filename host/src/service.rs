//! What the daemon tells the service manager: ready, stopping, how it is, and that it still turns (sd_notify(3)).
//!
//! The protocol is one datagram of `KEY=value` lines to the socket in `NOTIFY_SOCKET`, so nothing is linked for it.
//! Without that variable nothing is told. The watchdog's sign of life goes through what everybody depends on: a thread
//! of the runtime's pool for blocking work, a task on the runtime, and the lock under which readings are taken. When one
//! of them hangs, the sign stays away and the service manager starts the daemon anew.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::entity::House;
use crate::integration::{Actual, Integrations};

/// Between two words on how it is, at the least.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// The service manager, if there is one. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServiceManager {
    socket: Option<Arc<(UnixDatagram, SocketAddr)>>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// As the environment says; a variable that cannot be used is told in the log.
    pub(crate) fn from_environment() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let watchdog = watchdog(text("WATCHDOG_USEC").as_deref(), text("WATCHDOG_PID").as_deref());
        let Some(address) = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
            return Self::default();
        };
        match connect(&address) {
            Ok(socket) => Self { socket: Some(Arc::new(socket)), watchdog },
            Err(error) => {
                tracing::warn!(address = %address.display(), %error, "the service manager cannot be told anything");
                Self::default()
            }
        }
    }

    /// It answers.
    pub(crate) fn ready(&self) {
        self.tell("READY=1\nSTATUS=serving");
    }

    /// It ends, which may take so long.
    pub(crate) fn stopping(&self, within: Duration) {
        self.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}\nSTATUS=stopping", within.as_micros()));
    }

    /// It is not ready yet, for this reason; it may take a minute more until it says so again.
    pub(crate) fn waiting(&self, why: &str) {
        self.tell(&format!("EXTEND_TIMEOUT_USEC=60000000\nSTATUS={}", one_line(why)));
    }

    /// Gives signs of life and says how it is, until `stop` is cancelled.
    pub(crate) async fn accompany(self, house: House, integrations: Integrations, stop: CancellationToken) {
        if self.socket.is_none() {
            return;
        }
        tokio::select! {
            () = self.signs_of_life(&house) => {}
            () = self.words(&integrations) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn signs_of_life(&self, house: &House) {
        let Some(within) = self.watchdog else { return std::future::pending().await };
        let mut tick = tokio::time::interval(within / 2);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let house = house.clone();
            let looked = tokio::spawn(async move {
                let look = move || house.counts();
                tokio::task::spawn_blocking(look).await
            });
            if matches!(looked.await, Ok(Ok(_))) {
                self.tell("WATCHDOG=1");
            }
        }
    }

    async fn words(&self, integrations: &Integrations) {
        let mut changes = integrations.subscribe();
        let mut last = String::new();
        loop {
            let word = word(integrations);
            if word != last {
                self.tell(&format!("STATUS={word}"));
                last = word;
            }
            match changes.recv().await {
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return std::future::pending().await,
            }
            // What changes together is told together.
            tokio::time::sleep(STATUS_EVERY).await;
            changes = changes.resubscribe();
        }
    }

    fn tell(&self, lines: &str) {
        let Some(socket) = &self.socket else { return };
        let (socket, address) = &**socket;
        if let Err(error) = socket.send_to_addr(lines.as_bytes(), address) {
            tracing::warn!(%error, "the service manager could not be told");
        }
    }
}

fn word(integrations: &Integrations) -> String {
    let all = integrations.list();
    let running = all.iter().filter(|view| matches!(view.actual, Actual::Running)).count();
    format!("serving, {running} of {} integrations running well", all.len())
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}

/// The address is a path, or, behind an `@`, a name in the abstract namespace.
fn connect(address: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let to = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(OsString::from(address))?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a path nor an abstract name")),
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that takes nothing must not hold the daemon up.
    socket.set_nonblocking(true)?;
    Ok((socket, to))
}

/// Within which time a sign of life is wanted, when it is wanted of this process.
fn watchdog(usec: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    if pid.is_some_and(|pid| pid != std::process::id().to_string()) {
        return None;
    }
    usec?.parse().ok().filter(|usec| *usec > 0).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 512];
        let length = socket.recv(&mut bytes).expect("told");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn a_path_and_an_abstract_name_are_both_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let name = format!("gatehouse-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).expect("a name");
        let listening = [
            (UnixDatagram::bind(&path).expect("bound"), path.into_os_string()),
            (UnixDatagram::bind_addr(&abstract_name).expect("bound"), format!("@{name}").into()),
        ];
        for (socket, address) in listening {
            let manager =
                ServiceManager { socket: Some(Arc::new(connect(&address).expect("reached"))), watchdog: None };
            manager.ready();
            assert_eq!(hear(&socket), "READY=1\nSTATUS=serving");
            manager.stopping(Duration::from_secs(2));
            assert_eq!(hear(&socket), "STOPPING=1\nEXTEND_TIMEOUT_USEC=2000000\nSTATUS=stopping");
            manager.waiting("two\nlines");
            assert!(hear(&socket).ends_with("STATUS=two lines"));
        }
        assert!(connect(OsStr::new("nonsense")).is_err());
    }

    #[test]
    fn the_watchdog_is_for_the_process_that_it_names() {
        let own = std::process::id().to_string();
        assert_eq!(watchdog(Some("2000000"), Some(&own)), Some(Duration::from_secs(2)));
        assert_eq!(watchdog(Some("2000000"), None), Some(Duration::from_secs(2)));
        assert_eq!(watchdog(Some("2000000"), Some("1")), None);
        assert_eq!(watchdog(Some("0"), None), None);
        assert_eq!(watchdog(None, None), None);
    }
}
