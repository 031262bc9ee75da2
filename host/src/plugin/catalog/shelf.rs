//! Which file provides which integration type: pure, fed with what the stages said of each file.
//!
//! Of the sound files with one id the highest version is in use. Between equal versions the file that is in use
//! stays, so that a second copy dropped beside it changes nothing; at a start that is the file whose row says so.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gatehouse_plugin_api::ids::IntegrationType;
use semver::Version;

use crate::plugin::verdict::{Decision, Facts, Refused, Verdict};
use crate::plugin::{PluginChange, Staged};
use crate::reason::{Reason, ReasonCode};

/// What a stage says of a file.
#[derive(Debug)]
pub(super) enum Update {
    /// It went all the way.
    Sound(Staged),
    /// It did not.
    Refused(Refused),
    /// It is no longer there.
    Gone(String),
    /// It is there under another name.
    Renamed { from: String, to: String },
}

/// Every file ever seen.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    files: BTreeMap<String, Shelved>,
    in_use: BTreeMap<IntegrationType, Staged>,
    /// Types that went out of use because their file was refused, with its name. Their integrations may run on from
    /// the generation before; when the file goes as well, that is told too.
    refused: BTreeMap<IntegrationType, String>,
    /// The generations that the rows of the last run call accepted.
    before: BTreeMap<IntegrationType, Generation>,
    /// Names of integrations that are no types.
    taken: BTreeSet<String>,
}

#[derive(Debug)]
struct Shelved {
    /// There while the file is sound.
    plugin: Option<Staged>,
    /// None until the first decision.
    verdict: Option<Arc<Verdict>>,
}

/// What a generation is remembered by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Generation {
    file_name: String,
    sha256: String,
    version: String,
}

impl From<&Staged> for Generation {
    fn from(plugin: &Staged) -> Self {
        Self {
            file_name: plugin.file_name().to_owned(),
            sha256: plugin.sha256().to_owned(),
            version: plugin.manifest().version.clone(),
        }
    }
}

impl Shelf {
    /// The shelf as the rows of the last run tell it; no file of it has been looked at yet.
    pub(super) fn from_rows(rows: Vec<Verdict>) -> Self {
        let mut shelf = Self::default();
        for row in rows {
            if let (Decision::Accepted, Some(manifest), Some(sha256)) = (row.decision, &row.manifest, &row.sha256) {
                let generation = Generation {
                    file_name: row.file_name.clone(),
                    sha256: sha256.clone(),
                    version: manifest.version.clone(),
                };
                shelf.before.insert(manifest.id.clone(), generation);
            }
            shelf.files.insert(row.file_name.clone(), Shelved { plugin: None, verdict: Some(Arc::new(row)) });
        }
        shelf
    }

    /// The names whose file was there by their row.
    pub(super) fn expected(&self) -> Vec<String> {
        let there = |shelved: &Shelved| shelved.verdict.as_ref().is_some_and(|v| v.decision != Decision::Gone);
        self.files.iter().filter(|(_, shelved)| there(shelved)).map(|(name, _)| name.clone()).collect()
    }

    /// Every verdict, by file name.
    pub(super) fn verdicts(&self) -> BTreeMap<String, Arc<Verdict>> {
        self.files.iter().filter_map(|(name, shelved)| Some((name.clone(), shelved.verdict.clone()?))).collect()
    }

    /// The generations in use.
    pub(super) fn in_use(&self) -> &BTreeMap<IntegrationType, Staged> {
        &self.in_use
    }

    /// A sound file of a content.
    pub(super) fn by_content(&self, sha256: &str) -> Option<&Staged> {
        self.sound().find(|plugin| plugin.sha256() == sha256)
    }

    /// The sound files of a content, by name.
    pub(super) fn names_of_content(&self, sha256: &str) -> Vec<String> {
        self.sound().filter(|plugin| plugin.sha256() == sha256).map(|plugin| plugin.file_name().to_owned()).collect()
    }

    /// The files that were refused for a cause that may go by itself.
    pub(super) fn worth_another_look(&self) -> Vec<String> {
        self.files
            .values()
            .filter_map(|shelved| shelved.verdict.as_ref())
            .filter(|v| v.decision == Decision::Refused && v.reason.code.may_pass_by_itself())
            .map(|v| v.file_name.clone())
            .collect()
    }

    fn sound(&self) -> impl Iterator<Item = &Staged> {
        self.files.values().filter_map(|shelved| shelved.plugin.as_ref())
    }

    /// Whether some name of an integration must be known before the update is applied: that of a type not yet in use.
    pub(super) fn brings_a_new_type(&self, updates: &[Update]) -> bool {
        updates.iter().any(
            |update| matches!(update, Update::Sound(plugin) if !self.in_use.contains_key(plugin.integration_type())),
        )
    }

    /// Whether some file waits for a name that an integration has.
    pub(super) fn waits_for_a_name(&self) -> bool {
        self.sound().any(|plugin| self.is_taken(plugin))
    }

    /// Tells the names of integrations that differ from their type's.
    pub(super) fn set_taken(&mut self, taken: BTreeSet<String>) {
        self.taken = taken;
    }

    fn is_taken(&self, plugin: &Staged) -> bool {
        self.taken.contains(plugin.integration_type().as_str()) && !self.in_use.contains_key(plugin.integration_type())
    }

    /// Takes in what happened at one moment and tells what changed: verdicts first, then what is in use.
    pub(super) fn apply(&mut self, updates: Vec<Update>, now_ms: i64) -> Vec<PluginChange> {
        let mut changed = Vec::new();
        for update in updates {
            match update {
                Update::Sound(plugin) => self.keep(plugin),
                Update::Refused(refused) => {
                    self.drop_plugin(refused.file_name());
                    let name = refused.file_name().to_owned();
                    self.decide(&name, refused.into_verdict(now_ms), &mut changed);
                }
                Update::Gone(name) => {
                    let sentence = format!("{name} is no longer in the plugins folder");
                    self.end(&name, sentence, now_ms, &mut changed);
                }
                Update::Renamed { from, to } => {
                    self.end(&from, format!("{from} was renamed to {to}"), now_ms, &mut changed);
                }
            }
        }
        self.arbitrate(now_ms, changed)
    }

    /// Refuses every file of a content, by the word of a later stage.
    pub(super) fn refuse_content(&mut self, sha256: &str, reason: &Reason, now_ms: i64) -> Vec<PluginChange> {
        let refused = self
            .sound()
            .filter(|plugin| plugin.sha256() == sha256)
            .map(|plugin| Update::Refused(Refused::new(plugin.file_name(), reason.clone()).knowing(Facts::of(plugin))));
        let refused = refused.collect();
        self.apply(refused, now_ms)
    }

    /// Refuses every sound file for which there is a reason.
    pub(super) fn refuse_where(&mut self, why: impl Fn(&Staged) -> Option<Reason>, now_ms: i64) -> Vec<PluginChange> {
        let refusal = |plugin: &Staged| {
            Some(Update::Refused(Refused::new(plugin.file_name(), why(plugin)?).knowing(Facts::of(plugin))))
        };
        let refused: Vec<_> = self.sound().filter_map(refusal).collect();
        if refused.is_empty() { Vec::new() } else { self.apply(refused, now_ms) }
    }

    fn keep(&mut self, plugin: Staged) {
        let name = plugin.file_name().to_owned();
        let shelved = self.files.entry(name).or_insert(Shelved { plugin: None, verdict: None });
        // The same content again is the same generation: whoever holds it goes on holding it.
        if shelved.plugin.as_ref().is_none_or(|known| known.sha256() != plugin.sha256()) {
            shelved.plugin = Some(plugin);
        }
    }

    fn drop_plugin(&mut self, name: &str) {
        if let Some(shelved) = self.files.get_mut(name) {
            shelved.plugin = None;
        }
    }

    fn end(&mut self, name: &str, sentence: String, now_ms: i64, changed: &mut Vec<Arc<Verdict>>) {
        self.drop_plugin(name);
        let known = self.files.get(name).and_then(|shelved| shelved.verdict.as_deref());
        let facts =
            known.map(|v| Facts { sha256: v.sha256.clone(), size_bytes: v.size_bytes, manifest: v.manifest.clone() });
        let reason = Reason::new(ReasonCode::FileGone, sentence);
        let verdict = facts.unwrap_or_default().verdict(name, Decision::Gone, reason, now_ms);
        self.decide(name, verdict, changed);
    }

    /// Keeps a verdict, unless it says what was said before: then that stands, with its time.
    fn decide(&mut self, name: &str, verdict: Verdict, changed: &mut Vec<Arc<Verdict>>) {
        let shelved = self.files.entry(name.to_owned()).or_insert(Shelved { plugin: None, verdict: None });
        if shelved.verdict.as_ref().is_some_and(|known| known.says_the_same(&verdict)) {
            return;
        }
        let verdict = Arc::new(verdict);
        shelved.verdict = Some(Arc::clone(&verdict));
        changed.push(verdict);
    }

    fn arbitrate(&mut self, now_ms: i64, mut changed: Vec<Arc<Verdict>>) -> Vec<PluginChange> {
        let mut by_type: BTreeMap<IntegrationType, Vec<Staged>> = BTreeMap::new();
        let mut without_a_name = Vec::new();
        for plugin in self.sound().cloned() {
            if self.is_taken(&plugin) {
                without_a_name.push(plugin);
            } else {
                by_type.entry(plugin.integration_type().clone()).or_default().push(plugin);
            }
        }
        for plugin in without_a_name {
            let verdict =
                Facts::of(&plugin).verdict(plugin.file_name(), Decision::Shadowed, name_taken(&plugin), now_ms);
            self.decide(plugin.file_name(), verdict, &mut changed);
        }
        let mut winners = BTreeMap::new();
        for (integration_type, plugins) in by_type {
            let Some(winner) = plugins.iter().max_by(|a, b| self.order(a, b)).cloned() else { continue };
            for loser in plugins.iter().filter(|plugin| plugin.file_name() != winner.file_name()) {
                let facts = Facts::of(loser);
                let verdict = facts.verdict(loser.file_name(), Decision::Shadowed, shadowed(loser, &winner), now_ms);
                self.decide(loser.file_name(), verdict, &mut changed);
            }
            if let Some(reason) = self.accepted(&winner) {
                let verdict = Facts::of(&winner).verdict(winner.file_name(), Decision::Accepted, reason, now_ms);
                self.decide(winner.file_name(), verdict, &mut changed);
            }
            winners.insert(integration_type, winner);
        }
        let mut changes: Vec<PluginChange> = changed.into_iter().map(PluginChange::Verdict).collect();
        changes.extend(self.switch(winners));
        changes
    }

    /// Which of two files of one id is rather in use.
    fn order(&self, a: &Staged, b: &Staged) -> Ordering {
        let wanted = |plugin: &Staged| {
            let now = self.in_use.get(plugin.integration_type()).map(Staged::file_name);
            let before = self.before.get(plugin.integration_type()).map(|generation| generation.file_name.as_str());
            now.or(before) == Some(plugin.file_name())
        };
        precedence(a, b).then(wanted(a).cmp(&wanted(b))).then_with(|| b.file_name().cmp(a.file_name()))
    }

    /// Why a winner is accepted; none when its verdict stands.
    fn accepted(&self, winner: &Staged) -> Option<Reason> {
        let verdict = self.files.get(winner.file_name()).and_then(|shelved| shelved.verdict.as_ref());
        if verdict.is_some_and(|v| v.decision == Decision::Accepted && v.sha256.as_deref() == Some(winner.sha256())) {
            return None;
        }
        let id = winner.integration_type();
        let (name, version) = (winner.file_name(), &winner.manifest().version);
        let before = self.in_use.get(id).map(Generation::from).or_else(|| self.before.get(id).cloned());
        let signed = winner.signed_by().map_or_else(String::new, |key| format!(", signed with {key}"));
        let mut reason = match before.filter(|generation| generation.sha256 != winner.sha256()) {
            Some(old) if old.file_name != name => Reason::new(
                ReasonCode::ContentChanged,
                format!("{name} provides {id} {version} in place of {} ({})", old.file_name, old.version),
            ),
            Some(old) if old.version != *version => Reason::new(
                ReasonCode::ContentChanged,
                format!("{name} was replaced: {id} {version} in place of {}", old.version),
            ),
            Some(_) => Reason::new(
                ReasonCode::ContentChanged,
                format!("{name} was replaced by other content of the same version: {id} {version}"),
            ),
            None => Reason::new(ReasonCode::Accepted, format!("{name} provides {id} {version}")),
        };
        reason.sentence.push_str(&signed);
        Some(reason)
    }

    fn switch(&mut self, winners: BTreeMap<IntegrationType, Staged>) -> Vec<PluginChange> {
        let mut changes = Vec::new();
        let before = std::mem::take(&mut self.in_use);
        for (integration_type, old) in &before {
            if !winners.contains_key(integration_type) {
                let reason = self.why_unavailable(old);
                if reason.code != ReasonCode::FileGone {
                    self.refused.insert(integration_type.clone(), old.file_name().to_owned());
                }
                changes.push(PluginChange::Unavailable { integration_type: integration_type.clone(), reason });
            }
        }
        for (integration_type, winner) in &winners {
            // Another name for the same content (a rename) is no new generation.
            if before.get(integration_type).is_none_or(|old| old.sha256() != winner.sha256()) {
                changes.push(PluginChange::Available(winner.clone()));
            }
            self.before.remove(integration_type);
            self.refused.remove(integration_type);
        }
        self.in_use = winners;
        changes.extend(self.take_gone());
        changes
    }

    /// What to say of the refused files that are gone by now.
    fn take_gone(&mut self) -> Vec<PluginChange> {
        let mut changes = Vec::new();
        let files = &self.files;
        self.refused.retain(|integration_type, name| {
            let verdict = files.get(name).and_then(|shelved| shelved.verdict.as_ref());
            let gone = verdict.filter(|verdict| verdict.decision == Decision::Gone);
            changes.extend(gone.map(|verdict| PluginChange::Unavailable {
                integration_type: integration_type.clone(),
                reason: verdict.reason.clone(),
            }));
            gone.is_none()
        });
        changes
    }

    fn why_unavailable(&self, old: &Staged) -> Reason {
        let shelved = self.files.get(old.file_name());
        if let Some(other) = shelved.and_then(|shelved| shelved.plugin.as_ref()) {
            let sentence = format!(
                "{} now provides {} and no longer {}",
                old.file_name(),
                other.integration_type(),
                old.integration_type()
            );
            return Reason::new(ReasonCode::FileGone, sentence);
        }
        shelved.and_then(|shelved| shelved.verdict.as_ref()).map_or_else(
            || Reason::new(ReasonCode::FileGone, format!("{} is no longer there", old.file_name())),
            |verdict| verdict.reason.clone(),
        )
    }
}

fn precedence(a: &Staged, b: &Staged) -> Ordering {
    let version = |plugin: &Staged| Version::parse(&plugin.manifest().version).ok();
    match (version(a), version(b)) {
        (Some(a), Some(b)) => a.cmp_precedence(&b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

fn shadowed(loser: &Staged, winner: &Staged) -> Reason {
    let id = winner.integration_type();
    let (loser_name, winner_name) = (loser.file_name(), winner.file_name());
    if loser.sha256() == winner.sha256() {
        return Reason::new(
            ReasonCode::IdTaken,
            format!("{loser_name} has the same content as {winner_name}, which is in use for {id}"),
        );
    }
    let (loser_version, winner_version) = (&loser.manifest().version, &winner.manifest().version);
    if precedence(loser, winner) == Ordering::Less {
        return Reason::new(
            ReasonCode::OlderVersion,
            format!("{loser_name} provides {id} {loser_version}; {winner_name} has {winner_version} and is in use"),
        );
    }
    Reason::new(
        ReasonCode::IdTaken,
        format!("{loser_name} provides {id} {loser_version}, and so does {winner_name}, which is in use"),
    )
}

fn name_taken(plugin: &Staged) -> Reason {
    let (name, id) = (plugin.file_name(), plugin.integration_type());
    Reason::new(
        ReasonCode::IdTaken,
        format!("{name} provides {id}, which is the name of an integration of another plugin"),
    )
}
