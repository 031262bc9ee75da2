//! What the sandbox costs: the same plugin in a worker of the running kernel's sandbox, and in one of a kernel that has none.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use gatehouse_host::gateway::{Gateway, Hosting, Kernel};
use gatehouse_host::plugin::Staged;
use gatehouse_plugin_api::manage::{ManageReply, ManageRequest};
use gatehouse_plugin_api::manifest::Capability;
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::wire;

use super::{LAUNCHES, MINUTE, Rounds, start_on};

/// Files opened and connections made in one round.
const ATTEMPTS: u32 = 200;

/// A kernel without any part of it.
pub(super) const NOTHING: Kernel =
    Kernel { landlock: 0, filters: false, asks: false, descriptors: false, memory: false };

/// A worker with the sandbox, one without, and what both may reach.
pub(super) struct Pair {
    held: Arc<dyn Gateway>,
    free: Arc<dyn Gateway>,
    file: String,
    at: String,
}

impl Pair {
    pub(super) async fn start(plugin: &Staged, data_dir: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let at = listener.local_addr()?;
        std::thread::spawn(move || while listener.accept().is_ok() {});
        let needs = [Capability::Network { host: at.ip().to_string(), port: at.port() }];
        let file = data_dir.join("opened");
        std::fs::write(&file, "a few bytes")?;
        Ok(Self {
            held: start_on(plugin, data_dir, Hosting::Isolated, Kernel::found(), &needs).await?,
            free: start_on(plugin, data_dir, Hosting::Isolated, NOTHING, &needs).await?,
            file: file.to_string_lossy().into_owned(),
            at: at.to_string(),
        })
    }

    pub(super) async fn round(&self, plugin: &Staged, data_dir: &Path) -> Result<Rounds> {
        let mut round = Rounds::default();
        round.add("open, free", timed(&self.free, "read", &self.file).await?);
        round.add("open, held", timed(&self.held, "read", &self.file).await?);
        round.add("connect, free", timed(&self.free, "reach", &self.at).await?);
        round.add("connect, held", timed(&self.held, "reach", &self.at).await?);
        let began = std::time::Instant::now();
        for _ in 0..LAUNCHES {
            start_on(plugin, data_dir, Hosting::Isolated, NOTHING, &[]).await?.close(MINUTE).await;
        }
        round.add("launch, free", began.elapsed() / LAUNCHES);
        Ok(round)
    }

    pub(super) async fn close(&self) {
        tokio::join!(self.held.close(MINUTE), self.free.close(MINUTE));
    }
}

/// Has the plugin attempt it, over and over; the time of one, as the plugin measures it.
async fn timed(gateway: &Arc<dyn Gateway>, what: &str, at: &str) -> Result<Duration> {
    let count = ATTEMPTS.to_string();
    let params = [("do", "time"), ("what", what), ("at", at), ("count", &count)];
    let params: BTreeMap<_, _> = params.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let request = wire::encode(&ManageRequest { params, ..ManageRequest::default() });
    match wire::decode(&gateway.call_bytes(&ops::MANAGE, request, MINUTE).await?)? {
        ManageReply::Message { text, .. } => Ok(Duration::from_nanos(text.parse().context(text)?)),
        other => anyhow::bail!("{what} {at}: {other:?}"),
    }
}
