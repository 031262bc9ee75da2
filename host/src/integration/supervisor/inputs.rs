//! All that a supervisor hears: from people, from the catalog, from its own tasks.

use std::sync::Arc;

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::CallError;
use gatehouse_plugin_api::message::{SettingsOutcome, SyncOutcome};
use tokio::sync::oneshot;

use super::bring_up::BroughtUp;
use super::crossing::Crossed;
use super::handle::SettingsTurn;
use super::news::News;
use super::synchronize::SyncReply;
use crate::gateway::Exit;
use crate::integration::OperationError;
use crate::integration::ground::PluginNow;
use crate::integration::view::IntegrationView;
use crate::reason::Reason;
use crate::store::{Desired, Trial};

/// The answer to a person: the integration once it is settled.
pub(super) type Reply = oneshot::Sender<Result<Arc<IntegrationView>, OperationError>>;

/// What a finished activation flow says of an integration that exists.
#[derive(Debug)]
pub(in crate::integration) struct Activation {
    pub(in crate::integration) attributes: AttributeValues,
    pub(in crate::integration) title: String,
    pub(in crate::integration) unique_id: Option<String>,
    pub(in crate::integration) info_message: String,
}

/// Settings that a person changes: complete and checked.
#[derive(Debug)]
pub(in crate::integration) struct Change {
    pub(in crate::integration) attributes: AttributeValues,
    /// The newer generation that waits for them and found them right, by its content.
    pub(in crate::integration) checked_by_newer: Option<String>,
}

/// What a person says of versions.
#[derive(Debug)]
pub(in crate::integration) enum Hold {
    /// Yes to what the newest version wants.
    Allow,
    /// Stay with the version in use.
    Pin,
    /// Stay no longer.
    Unpin,
    /// Back to an earlier version: a version or the beginning of a hash, or the one before.
    Rollback(Option<String>),
}

/// The one closed list of what a supervisor hears.
#[derive(Debug)]
pub(in crate::integration) enum Input {
    /// A person wants it on, paused or off.
    Want(Desired, Reply),
    /// A person changes settings.
    Settings(Box<Change>, SettingsTurn, Reply),
    /// An activation flow is done.
    Activate(Box<Activation>, SettingsTurn, Reply),
    /// It is off and its settings and secrets are to be erased.
    Erase(Reply),
    /// It is off and its row is to be deleted: the last input.
    Delete(oneshot::Sender<Result<(), OperationError>>),
    /// It is to run anew, if it runs: how it is run has changed.
    Restart(Reply),
    /// The daemon ends: the last input.
    Close(oneshot::Sender<()>),
    /// A person wants a snapshot of the upstream's entities.
    Synchronize(SyncReply),
    /// A person says something of versions.
    Hold(Hold, Reply),
    /// Its type's plugin changed.
    Plugin(PluginNow),
    /// The generation with this content may not run any longer.
    Revoked(String, Reason),
    /// Its data folder holds more than it may.
    KeepsTooMuch(Reason),
    /// The way of a new generation to its switch ended; with the epoch it was given.
    Crossed(u64, Crossed),
    /// The generation with this content was tried out.
    TriedOut(String, Result<(), Reason>),
    /// What a task of an epoch brought. Of an earlier epoch: too late.
    Came(u64, Came),
}

/// What the tasks of one launch bring.
#[derive(Debug)]
pub(in crate::integration) enum Came {
    /// The end of bringing up.
    BroughtUp(BroughtUp),
    /// The gateway ended.
    Ended(Exit),
    /// One poll.
    Polled(Result<(), CallError>),
    /// A snapshot that was asked for a while ago may be under way still.
    SyncLasts,
    /// One snapshot of the upstream's entities.
    Synchronized(Result<SyncOutcome, CallError>),
    /// The end of taking down; the reason when it was killed.
    TakenDown(Option<Reason>),
    /// The gateway told something by itself.
    News(Arc<News>),
    /// A start put a generation on trial: the shadow is there.
    TrialBegan(Box<Trial>),
    /// What it did with changed settings.
    SettingsTaken(Result<SettingsOutcome, CallError>),
}
