//! What is known of a gateway whose process died by a signal, and who is told.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use gatehouse_plugin_api::ids::IntegrationId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::crash_page::LastWord;
use super::exchange::{Exchanges, InFlight};
use super::symbol::symbol_at;
use super::{Hosting, Launch, sys};
use crate::plugin::Staged;
use crate::reason::Reason;

/// Callers that are told of.
const CALLERS: usize = 12;

/// A place in code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// The library's or program's file name.
    pub library: String,
    /// The offset in it, as `addr2line` and `nm` count.
    pub offset: u64,
    /// The function, where the file still names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+0x{:x}", self.library, self.offset)?;
        match &self.symbol {
            Some(symbol) => write!(f, " ({symbol})"),
            None => Ok(()),
        }
    }
}

/// What a process had used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Used {
    /// The most memory it ever had, in bytes.
    pub memory_bytes: u64,
    /// CPU time, its own and the kernel's for it.
    pub cpu_ms: u64,
}

/// One crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Crash {
    /// Why, as the integration's state says it.
    pub reason: Reason,
    /// The signal's name.
    pub signal: String,
    /// Where it happened; `None` when no handler ran: location unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Who had called, innermost first, as far as the stack tells: there may be places among them that had returned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub callers: Vec<Place>,
    /// The address that was used, for a fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<u64>,
    /// The thread's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The calls in flight, the newest first.
    pub calls: Vec<InFlight>,
    /// How it was run.
    pub hosting: Hosting,
    /// The plugin's file.
    pub file_name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its content.
    pub generation: String,
    /// What its process had used; `None` in-process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Used>,
    /// How long its process had lived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lived_ms: Option<u64>,
}

impl Crash {
    /// What two crashes have in common that are the same one again: library and offset (the reason where they are
    /// unknown), signal and operation.
    pub fn fold(&self) -> String {
        let place = self
            .place
            .as_ref()
            .map_or_else(|| self.reason.code.to_string(), |place| format!("{}+{:x}", place.library, place.offset));
        // Outside the plugin it is the caller in it that tells one from another.
        let outside = self.place.as_ref().is_some_and(|place| place.library != self.file_name);
        let caller = self.callers.first().filter(|_| outside);
        let caller = caller.map_or_else(String::new, |caller| format!("{}+{:x}", caller.library, caller.offset));
        let op = self.calls.first().map_or("-", |call| call.op.as_str());
        format!("{} {place} {caller} {op} {}", self.signal, &self.generation.get(..16).unwrap_or(&self.generation))
    }

    /// Assembles what is known.
    pub(super) fn new(reason: Reason, signal: i32, plugin: &Staged, hosting: Hosting) -> Self {
        Self {
            reason,
            signal: sys::signal_name(signal),
            place: None,
            callers: Vec::new(),
            address: None,
            thread: None,
            calls: Vec::new(),
            hosting,
            file_name: plugin.file_name().to_owned(),
            version: plugin.manifest().version.clone(),
            generation: plugin.sha256().to_owned(),
            used: None,
            lived_ms: None,
        }
    }

    /// Adds what the process wrote at its end. Reads the libraries' files: blocks for some milliseconds.
    #[must_use]
    pub(super) fn at(mut self, word: &LastWord, plugin: &Staged) -> Self {
        let known_as = [(plugin.path(), plugin.file_name())];
        self.place = place(word, word.counter, &known_as);
        self.callers = callers(word, &known_as);
        self.address = (word.code > 0).then_some(word.address);
        self.thread = Some(word.thread_name.clone()).filter(|name| !name.is_empty());
        self
    }
}

/// The place of an address: staged copies are called by the names of their files.
pub(super) fn place(word: &LastWord, address: u64, known_as: &[(&Path, &str)]) -> Option<Place> {
    let (path, offset) = word.code_at(address)?;
    let path = Path::new(path);
    let (offset, symbol) = symbol_at(path, offset);
    Some(Place { library: name_of(path, known_as), offset, symbol })
}

/// The places in plugins that the stack points to.
fn callers(word: &LastWord, known_as: &[(&Path, &str)]) -> Vec<Place> {
    let mut found = Vec::new();
    for address in word.on_stack() {
        let Some((path, _)) = word.code_at(address) else { continue };
        if !known_as.iter().any(|(staged, _)| *staged == Path::new(path)) {
            continue;
        }
        // What is on the stack is where it returns to: the call is the instruction before.
        let Some(place) = place(word, address - 1, known_as) else { continue };
        if found.last() != Some(&place) {
            found.push(place);
        }
        if found.len() == CALLERS {
            break;
        }
    }
    found
}

fn name_of(path: &Path, known_as: &[(&Path, &str)]) -> String {
    let known = known_as.iter().find(|(staged, _)| *staged == path).map(|(_, name)| (*name).to_owned());
    known.unwrap_or_else(|| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()))
}

/// Is told of crashes. Called on a blocking thread of a tokio runtime.
pub trait Witness: Send + Sync + fmt::Debug {
    /// A gateway of this integration died.
    fn crashed(&self, integration: &IntegrationId, crash: Crash);
}

/// Who looks on at a gateway. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Onlooker {
    /// The record of its calls.
    pub exchanges: Exchanges,
    /// Who is told when it dies.
    pub witness: Option<Arc<dyn Witness>>,
}

impl Onlooker {
    /// Finds the place of a crash and tells of it, if anybody wants to know: beside, because libraries are read for it.
    pub(super) fn report(&self, launch: &Launch, crash: Crash, word: Option<LastWord>) {
        let Some(witness) = self.witness.clone() else { return };
        let (id, plugin) = (launch.instance.integration_id.clone(), launch.plugin.clone());
        let find = move || {
            let crash = match word {
                Some(word) => crash.at(&word, &plugin),
                None => crash,
            };
            witness.crashed(&id, crash);
        };
        tokio::task::spawn_blocking(find);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::ReasonCode;

    #[test]
    fn without_a_place_it_is_the_reason_that_tells_one_crash_from_another() {
        let crash = |code| Crash {
            reason: Reason::new(code, "it died"),
            signal: "SIGKILL".to_owned(),
            place: None,
            callers: Vec::new(),
            address: None,
            thread: None,
            calls: Vec::new(),
            hosting: Hosting::Isolated,
            file_name: "libhue.so".to_owned(),
            version: "1.0.0".to_owned(),
            generation: "ab".repeat(32),
            used: None,
            lived_ms: None,
        };
        let (hung, killed) = (crash(ReasonCode::HeartbeatMissed), crash(ReasonCode::KilledByPerson));
        assert_ne!(hung.fold(), killed.fold());
        assert_eq!(hung.fold(), crash(ReasonCode::HeartbeatMissed).fold());
    }
}
