//! What is wrong with an animal: read from its folder, and done.

use std::path::Path;
use std::time::Duration;

use gatehouse_plugin_api::{Context, Error, Result, tokio};

use crate::{channel, endings, floods, process, values};

/// One fault, in one place.
pub(crate) struct Fault(String);

impl Fault {
    /// The fault that the file in this folder names, when it is for this place.
    pub(crate) fn at(folder: &Path, place: &str) -> Option<Self> {
        let named = std::fs::read_to_string(folder.join("fault")).ok()?;
        let (at, kind) = named.trim().split_once(' ')?;
        (at == place).then(|| Self(kind.to_owned()))
    }

    pub(crate) fn is(&self, kind: &str) -> bool {
        self.0 == kind
    }

    /// Does it, where one can wait.
    pub(crate) async fn strike(&self, context: &Context) -> Result<()> {
        match self.0.as_str() {
            "never" => std::future::pending().await,
            "late" => {
                // The thread is not given back, so the deadline passes before anybody can look at it.
                std::thread::sleep(Duration::from_millis(400));
                Ok(())
            }
            "task-panic" => {
                tokio::task::spawn_local(async { panic!("a task of the zoo's") });
                tokio::task::yield_now().await;
                Ok(())
            }
            "task-overlives" => {
                let context = context.clone();
                tokio::task::spawn_local(async move {
                    loop {
                        let _ = context.emit_value("cage", "count", 2.0).await;
                        tokio::task::yield_now().await;
                    }
                });
                Ok(())
            }
            flood if flood.starts_with("flood-") => floods::strike(flood, context).await,
            value if value.starts_with("value-") => values::strike(value, context).await,
            _ if self.now() => Ok(()),
            unknown => Err(Error::not_found(format!("the zoo has no {unknown:?}"))),
        }
    }

    /// Does it, where nothing can wait.
    pub(crate) fn strike_now(&self) {
        assert!(self.now(), "the zoo has no {:?} that could be done here", self.0);
    }

    fn now(&self) -> bool {
        endings::strike(&self.0) || process::strike(&self.0) || channel::strike(&self.0)
    }
}
