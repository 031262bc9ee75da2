//! Everything that changes, as one stream: readings, integrations, plugins.
//!
//! Changes of integrations and plugins are told by their present state. So a receiver that missed some is told all of
//! the present state instead, and is as good as one that missed none.

use std::collections::VecDeque;

use futures_util::FutureExt;
use gatehouse_plugin_api::ids::IntegrationId;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::App;
use super::view::{LifecycleEvent, PluginChange, PluginEvent};
use crate::entity::{StateEvent, Subscription};
use crate::integration;
use crate::plugin;

/// What a subscriber wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedChoice {
    /// Readings.
    pub states: bool,
    /// Changes of integrations.
    pub lifecycle: bool,
    /// Changes of plugin files.
    pub plugins: bool,
}

/// One thing that changed.
#[derive(Debug, Clone)]
pub enum FeedEvent {
    /// Something about readings.
    State(StateEvent),
    /// An integration.
    Lifecycle(Box<LifecycleEvent>),
    /// A plugin file.
    Plugin(Box<PluginEvent>),
}

/// A stream of what changes.
#[derive(Debug)]
pub struct Feed {
    app: App,
    states: Option<Subscription>,
    lifecycle: Option<Receiver<integration::LifecycleEvent>>,
    plugins: Option<Receiver<plugin::PluginChange>>,
    waiting: VecDeque<FeedEvent>,
}

impl App {
    /// Subscribes to what changes from now on. With an unknown resume token, readings begin with `Reset` and the full
    /// state.
    pub fn feed_open(&self, choice: FeedChoice, resume: Option<&str>) -> Feed {
        Feed {
            app: self.clone(),
            states: choice.states.then(|| self.ground().house.subscribe(resume)),
            lifecycle: choice.lifecycle.then(|| self.integrations().subscribe()),
            plugins: choice.plugins.then(|| self.ground().catalog.subscribe()),
            waiting: VecDeque::new(),
        }
    }

    /// The resume token of a committed sequence number.
    pub fn feed_token(&self, sequence: u64) -> String {
        self.ground().house.resume_token(sequence)
    }
}

impl Feed {
    /// The next event; `None` when there will be none. May be cancelled and called again.
    pub async fn next(&mut self) -> Option<FeedEvent> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let Self { states, lifecycle, plugins, .. } = self;
            tokio::select! {
                biased;
                event = received(lifecycle) => self.lifecycle_received(event),
                change = received(plugins) => self.plugin_received(change),
                event = next_state(states) => match event {
                    Some(event) => return Some(FeedEvent::State(event)),
                    None => self.states = None,
                },
            }
            if self.waiting.is_empty() && self.states.is_none() && self.lifecycle.is_none() && self.plugins.is_none() {
                return None;
            }
        }
    }

    /// The next event if it is there already.
    pub fn next_now(&mut self) -> Option<FeedEvent> {
        self.next().now_or_never().flatten()
    }

    fn lifecycle_received(&mut self, event: Result<integration::LifecycleEvent, RecvError>) {
        match event {
            Ok(event) => {
                let view = event.integration.as_ref().map(|view| self.app.integration_of(view));
                self.push_lifecycle(event.id, event.at_ms, view);
            }
            Err(RecvError::Lagged(_)) => {
                let now_ms = self.app.ground().clock.now_ms();
                for view in self.app.integration_list() {
                    self.push_lifecycle(view.id.clone(), now_ms, Some(view));
                }
            }
            Err(RecvError::Closed) => self.lifecycle = None,
        }
    }

    fn push_lifecycle(&mut self, id: IntegrationId, at_ms: i64, integration: Option<super::view::Integration>) {
        self.waiting.push_back(FeedEvent::Lifecycle(Box::new(LifecycleEvent { id, at_ms, integration })));
    }

    fn plugin_received(&mut self, change: Result<plugin::PluginChange, RecvError>) {
        match change {
            Ok(change) => self.push_plugin(&change),
            Err(RecvError::Lagged(_)) => {
                for verdict in self.app.ground().catalog.verdicts() {
                    self.push_plugin(&plugin::PluginChange::Verdict(verdict));
                }
            }
            Err(RecvError::Closed) => self.plugins = None,
        }
    }

    fn push_plugin(&mut self, change: &plugin::PluginChange) {
        let nothing = PluginEvent {
            change: PluginChange::Verdict,
            plugin: None,
            integration_type: None,
            version: None,
            sha256: None,
            reason: None,
        };
        let event = match change {
            plugin::PluginChange::Verdict(verdict) => {
                PluginEvent { plugin: Some(self.app.plugin_of(verdict)), ..nothing }
            }
            plugin::PluginChange::Available(staged) => PluginEvent {
                change: PluginChange::Available,
                integration_type: Some(staged.integration_type().clone()),
                version: Some(staged.manifest().version.clone()),
                sha256: Some(staged.sha256().to_owned()),
                ..nothing
            },
            plugin::PluginChange::Unavailable { integration_type, reason } => PluginEvent {
                change: PluginChange::Unavailable,
                integration_type: Some(integration_type.clone()),
                reason: Some(reason.clone()),
                ..nothing
            },
            plugin::PluginChange::Revoked { integration_type, sha256, reason } => PluginEvent {
                change: PluginChange::Revoked,
                integration_type: Some(integration_type.clone()),
                sha256: Some(sha256.clone()),
                reason: Some(reason.clone()),
                ..nothing
            },
        };
        self.waiting.push_back(FeedEvent::Plugin(Box::new(event)));
    }
}

/// The next of a receiver; never, when there is none.
async fn received<T: Clone>(receiver: &mut Option<Receiver<T>>) -> Result<T, RecvError> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

async fn next_state(subscription: &mut Option<Subscription>) -> Option<StateEvent> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}
