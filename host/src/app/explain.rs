//! Why an integration is as it is, and the crashes behind it.

use gatehouse_plugin_api::ids::IntegrationId;

use super::App;
use super::view::{CanDo, CrashReport, CrashSummary, Explanation, PluginFile};
use crate::integration::{Actual, IntegrationView, OperationError};
use crate::store::Desired;

impl App {
    /// The chain from what is wanted to what can be done.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn integration_explain(&self, id: &IntegrationId) -> Result<Explanation, OperationError> {
        let view = self.integrations().view(id)?;
        let store = &self.ground().store;
        let last_crash = store.crash_list(Some(id)).await?.into_iter().find_map(CrashReport::new);
        let last_crash = last_crash.map(CrashReport::summary);
        let moved = store.moved_get(id).await?.map_or_else(String::new, |moved| moved.why);
        let (last_exchange, in_flight) = self.integrations().exchanges(id)?;
        let verdict = self.ground().catalog.verdict(view.integration_type.as_str());
        let file = verdict.map(|verdict| PluginFile {
            name: verdict.file_name.clone(),
            version: verdict.manifest.as_ref().map(|manifest| manifest.version.clone()),
            decision: verdict.decision,
            reason: verdict.reason.clone(),
        });
        let config = &self.ground().config.integrations;
        Ok(Explanation {
            at_ms: self.ground().clock.now_ms(),
            next_retry_ms: match view.actual {
                Actual::Retrying { next_at_ms, .. } | Actual::Quarantined { next_at_ms } => Some(next_at_ms),
                _ => None,
            },
            can_do: can_do(&view, last_crash.as_ref(), !moved.is_empty()),
            failures: self.integrations().failures(id)?,
            failures_limit: config.quarantine_failures,
            failures_within_ms: config.quarantine_within_ms,
            refusals: self.integrations().tried(id).refusals,
            id: view.id.clone(),
            integration_type: view.integration_type.clone(),
            desired: view.desired,
            actual: view.actual,
            since_ms: view.since_ms,
            reason: view.reason.clone(),
            advice: view.advice.clone(),
            health: view.health.clone(),
            hosting: view.hosting,
            moved,
            pid: view.pid,
            file,
            generation: view.generation.clone(),
            last_success_ms: view.last_success_ms,
            last_exchange,
            in_flight,
            last_crash,
        })
    }

    /// Crashes, the latest first; of one integration alone when one is given, which need not be there any more.
    ///
    /// # Errors
    /// `Store`.
    pub async fn crash_list(&self, of: Option<&IntegrationId>) -> Result<Vec<CrashSummary>, OperationError> {
        let rows = self.ground().store.crash_list(of).await?;
        Ok(rows.into_iter().filter_map(CrashReport::new).map(CrashReport::summary).collect())
    }

    /// One crash.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn crash_get(&self, id: i64) -> Result<CrashReport, OperationError> {
        let row = self.ground().store.crash_get(id).await?;
        row.and_then(CrashReport::new).ok_or_else(|| OperationError::NotFound {
            what: format!("the crash {id}"),
            hint: ": gatehouse crash list shows those that do".into(),
        })
    }
}

/// What helps in a state; commands that work as they stand.
fn can_do(view: &IntegrationView, crash: Option<&CrashSummary>, moved: bool) -> Vec<CanDo> {
    let id = view.id.as_str();
    let kind = view.integration_type.as_str();
    let mut found: Vec<CanDo> = Vec::new();
    let mut add = |what: &str, command: &[&str]| {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        found.push(CanDo { what: what.to_owned(), command });
    };
    match view.actual {
        Actual::Off => add("set it up", &["integration", "activate", id]),
        Actual::Paused => add("start it", &["integration", "resume", id]),
        Actual::Missing => add("see the plugin files", &["plugin", "list"]),
        Actual::Incompatible => add("see why the file was refused", &["plugin", "why", kind]),
        Actual::NeedsAuth => add("give new credentials", &["integration", "activate", id]),
        Actual::NeedsConfig => {
            add("see its settings", &["integration", "show", id]);
            add("set it up anew", &["integration", "activate", id]);
        }
        Actual::Retrying { .. } | Actual::Quarantined { .. } => add("try it at once", &["integration", "resume", id]),
        Actual::Degraded | Actual::Running | Actual::Starting | Actual::Stopping => {}
    }
    if let Some(crash) = crash {
        add("read its last crash", &["crash", "show", &crash.id.to_string()]);
    }
    if moved {
        add("run it in the daemon again", &["integration", "move-back", id]);
    }
    if view.actual != Actual::Off {
        add("read its log", &["log", "--integration", id]);
    }
    if view.desired == Desired::On && !matches!(view.actual, Actual::Running | Actual::Missing) {
        add("keep it stopped", &["integration", "pause", id]);
    }
    found
}
