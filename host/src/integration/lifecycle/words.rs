//! What the lifecycle hears, what it asks for, and how patient it is.

use gatehouse_plugin_api::message::Health;

use crate::config;
use crate::reason::Reason;
use crate::store::Desired;

/// How patient the lifecycle is; all from the configuration.
#[derive(Debug, Clone)]
pub(in crate::integration) struct Policy {
    pub(super) backoff_ms: Vec<u64>,
    pub(super) forgive_after_ms: u64,
    pub(super) quarantine_failures: u32,
    pub(super) quarantine_within_ms: u64,
    pub(super) quarantine_retry_ms: u64,
}

impl From<&config::Integrations> for Policy {
    fn from(config: &config::Integrations) -> Self {
        Self {
            backoff_ms: config.backoff_ms.clone(),
            forgive_after_ms: config.forgive_after_ms,
            quarantine_failures: config.quarantine_failures.max(1),
            quarantine_within_ms: config.quarantine_within_ms,
            quarantine_retry_ms: config.quarantine_retry_ms,
        }
    }
}

/// When an input comes, and the chance that spreads retries.
#[derive(Debug, Clone, Copy)]
pub(in crate::integration) struct Moment {
    /// Milliseconds since 1970 UTC.
    pub(in crate::integration) now_ms: i64,
    /// From 0 to 1; 0.5 leaves a pause as it is.
    pub(in crate::integration) chance: f64,
}

/// Whether there is a plugin to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::integration) enum Presence {
    /// Its file is there and usable.
    Here,
    /// Its file is not there.
    Missing(Reason),
    /// Its file was refused.
    Refused(Reason),
}

/// What a failure asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::integration) enum Failure {
    /// It may work later.
    Passing,
    /// A person must give other credentials.
    Credentials,
    /// A person must change a setting.
    Configuration,
    /// This file will never work here.
    Incompatible,
}

/// What happens to an integration.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::integration) enum Input {
    /// A person wants this (again). `On` is also "try at once".
    Wanted(Desired),
    /// Its plugin can be used; `new` when this content was not known before.
    PluginHere { new: bool },
    /// Its plugin file is gone.
    PluginGone(Reason),
    /// The file in its plugin's place was refused.
    PluginRefused(Reason),
    /// The generation in use may not run any longer, and nothing else provides the type.
    PluginRevoked(Reason),
    /// The new generation was tried in a worker of its own.
    Probed(Result<(), Reason>),
    /// What there is to tell of a new generation that waits, or nothing any more.
    UpgradeTold(Option<Reason>),
    /// A new generation that was started beside it has taken over.
    Switched,
    /// The generation in use failed on trial and the one before is in its place; whether something of it `runs` still.
    WentBack { note: Reason, runs: bool },
    /// The gateway is launched and its `start` came back well.
    Started,
    /// It could not be launched or started; nothing of it runs any more. With the failure, whether there is an
    /// earlier generation to go back to.
    StartFailed { failure: Failure, reason: Reason, goes_back: bool },
    /// A poll came back well.
    PollOk,
    /// A poll failed.
    PollFailed(Failure, Reason),
    /// A snapshot of the upstream's entities was applied, or why not.
    Synchronized(Result<(), Reason>),
    /// It told how it is.
    HealthTold(Health),
    /// Its gateway ended by itself.
    Ended(Reason),
    /// Settings were saved while it did not run.
    SettingsSaved,
    /// It must be stopped and started for new settings.
    RestartNeeded,
    /// The moment of [`super::Life::due_at_ms`] has come.
    TimerDue,
    /// It is stopped; with the reason when it had to be killed.
    Stopped { late: Option<Reason> },
}

/// What the supervisor does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::integration) enum Effect {
    /// Launch the newest generation and start it.
    Start,
    /// Launch the generation that ran well before and start it.
    StartPrevious,
    /// Stop and close what runs or is being started.
    Stop,
    /// Try the newest generation in a worker of its own.
    Probe,
    /// Remember the running generation as good.
    KeepGood,
}
