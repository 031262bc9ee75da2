//! Which generation an integration uses: its file's, the one that it is pinned to, or the one that ran well before.

use super::{Supervisor, lifecycle};
use crate::integration::ground::PluginNow;
use crate::integration::upgrade;
use crate::plugin::Staged;
use crate::reason::{Reason, ReasonCode};

/// Which generation to use when nothing runs.
pub(super) enum Chosen {
    /// The one whose file is there.
    File(Staged),
    /// The one that ran well before; the file's waits.
    Earlier { plugin: Staged, file: Staged, hindrance: Option<Reason> },
    /// None: a person must allow the file's first.
    None(Reason),
}

/// What an integration begins with.
pub(super) enum Remembered {
    /// Its file, or that there is none.
    File,
    /// Nothing: a person must allow the file's first.
    Nothing(Reason),
    /// What ran well before: its file was refused.
    Copy(Reason),
}

/// Whether a version is higher than another; versions that are none are not.
fn is_higher(version: &str, than: &str) -> bool {
    match (semver::Version::parse(version), semver::Version::parse(than)) {
        (Ok(version), Ok(than)) => version > than,
        _ => false,
    }
}

impl Supervisor {
    /// A pin that a failure left is lifted by a version above the one that failed.
    pub(super) fn lift_pin(&mut self, new: &Staged) {
        let lifted = self.held.pin.as_ref().and_then(|pin| pin.failed.as_ref());
        if lifted.is_some_and(|failed| is_higher(&new.manifest().version, &failed.version)) {
            self.held.pin = None;
            self.held_unsaved = true;
        }
    }

    /// Reads what the integration is held to, and which generation that means at the start.
    pub(super) async fn remember(&mut self) -> Remembered {
        match self.base.store.upgrade_get(&self.row.id).await {
            Ok(held) => self.held = held,
            Err(error) => tracing::error!(%error, "what the integration is held to could not be read"),
        }
        self.upgrade = upgrade::Upgrade::resume(self.held.trial.as_ref().map(|trial| trial.until_ms));
        let Some(file) = self.plugin.take() else { return self.without_file().await };
        self.lift_pin(&file);
        match self.choose(file).await {
            Chosen::None(reason) => Remembered::Nothing(reason),
            chosen => {
                self.take_chosen(chosen);
                Remembered::File
            }
        }
    }

    /// No file provides it. What ran well before needs its staged copy alone, unless a person took the file away.
    async fn without_file(&mut self) -> Remembered {
        let PluginNow::Refused(reason) = self.base.plugins.plugin_now(&self.row.integration_type) else {
            return Remembered::File;
        };
        self.plugin = match self.good() {
            Some(good) => self.base.plugins.generation(&good).await,
            None => None,
        };
        if self.plugin.is_some() {
            return Remembered::Copy(reason);
        }
        // One that was on trial may have been revoked since: the one before it takes its place.
        self.upgrade_step(upgrade::Input::Failed(reason));
        Remembered::File
    }

    /// What it is pinned to, or else what ran well last.
    fn good(&self) -> Option<String> {
        let pinned = self.held.pin.as_ref().map(|pin| pin.to.sha256.clone());
        pinned.or_else(|| self.row.last_good_sha256.clone())
    }

    /// The file in its plugin's place was refused. What runs goes on, and what ran well is started again from its copy.
    pub(super) fn refused(&mut self, reason: Reason) {
        self.candidate = None;
        self.upgrade_step(upgrade::Input::Gone);
        let runs = self.life.holds_gateway();
        let ran_well = self.plugin.as_ref().is_some_and(|plugin| self.good().as_deref() == Some(plugin.sha256()));
        if !runs && !ran_well {
            self.plugin = None;
        }
        if runs || !ran_well {
            self.step(lifecycle::Input::PluginRefused(reason));
        }
    }

    /// Which generation to use while nothing runs.
    pub(super) async fn choose(&self, file: Staged) -> Chosen {
        let Some(good) = self.good().filter(|good| good != file.sha256()) else {
            return Chosen::File(file);
        };
        let hindrance = self.hindrance(&file);
        let continues = self.held.trial.as_ref().is_some_and(|trial| trial.to.sha256 == good);
        if hindrance.is_none() && !continues {
            return Chosen::File(file);
        }
        match (self.base.plugins.generation(&good).await, hindrance) {
            (Some(plugin), hindrance) => Chosen::Earlier { plugin, file, hindrance },
            (None, Some(reason)) if reason.code == ReasonCode::WantsMore => Chosen::None(reason),
            (None, _) => Chosen::File(file),
        }
    }

    pub(super) fn take_chosen(&mut self, chosen: Chosen) {
        match chosen {
            Chosen::File(file) => {
                self.plugin = Some(file);
                self.candidate = None;
            }
            Chosen::Earlier { plugin, file, hindrance } => {
                self.plugin = Some(plugin);
                self.candidate = Some(file);
                self.untried = hindrance.is_none();
                if hindrance.is_some() {
                    self.upgrade_step(upgrade::Input::Found(hindrance));
                }
            }
            Chosen::None(_) => {}
        }
    }

    /// What provides its type has changed.
    pub(super) async fn plugin_now(&mut self, now: PluginNow) {
        match now {
            PluginNow::Here(plugin) => {
                let known = |known: &Option<Staged>| known.as_ref().is_some_and(|k| k.sha256() == plugin.sha256());
                let new = !known(&self.plugin) && !known(&self.candidate);
                // The file that runs is back in its place: what was tried instead does not matter any more.
                let back = known(&self.plugin);
                if new {
                    self.lift_pin(&plugin);
                }
                if new && self.running().is_some() && self.life.holds_gateway() {
                    let old = self.candidate.replace(plugin);
                    self.base.let_go_of(old);
                } else if new {
                    let old = self.candidate.take().into_iter().chain(self.plugin.take());
                    self.base.let_go_of(old);
                    match self.choose(plugin).await {
                        Chosen::None(reason) => {
                            self.step(lifecycle::Input::PluginRefused(reason));
                            return;
                        }
                        chosen => self.take_chosen(chosen),
                    }
                } else if back {
                    let old = self.candidate.take();
                    self.base.let_go_of(old);
                    self.upgrade_step(upgrade::Input::Gone);
                }
                self.step(lifecycle::Input::PluginHere { new });
            }
            PluginNow::Missing(reason) => {
                self.candidate = None;
                self.upgrade_step(upgrade::Input::Gone);
                self.plugin = None;
                self.step(lifecycle::Input::PluginGone(reason));
            }
            PluginNow::Refused(reason) => self.refused(reason),
        }
    }

    /// The next start is that of the newer generation.
    pub(super) fn take_newer(&mut self) {
        self.switching = self.running().is_some();
        self.plugin = self.candidate.take();
    }

    /// Whether the candidate failed for want of other settings.
    pub(super) fn note_need(&mut self, failed: &Reason) {
        let of_settings = failed.code == ReasonCode::BadConfiguration;
        self.wants_settings = self.candidate.as_ref().filter(|_| of_settings).map(|it| it.sha256().to_owned());
    }

    /// The newer generation that waits for settings while an earlier one is in use.
    pub(super) fn newer(&self) -> Option<&Staged> {
        self.candidate.as_ref().filter(|it| self.wants_settings.as_deref() == Some(it.sha256()))
    }
}
