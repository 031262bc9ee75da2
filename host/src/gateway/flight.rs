//! Who flies in the daemon's own process: a seat for each gateway in a file that outlives it.
//!
//! The file is the daemon's crash page with seats behind it. While all goes well a call costs two stores in mapped
//! memory. When the daemon dies by a fault, the next one reads who it was: by the thread that faulted, else by the
//! library whose code was at work. A daemon that is killed leaves no word, and nobody is blamed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::ops;
use parking_lot::Mutex;

use super::crash_page::{LastWord, PAGE_BYTES, SEAT_FIELDS, SEATS, SEATS_AT};
use super::{Crash, Hosting, InFlight, Launch, isolated, sys};
use crate::plugin::Staged;
use crate::reason::Reason;

static FILE: OnceLock<PathBuf> = OnceLock::new();
static TAKEN: Mutex<[bool; SEATS]> = Mutex::new([false; SEATS]);

/// The fields of a seat; the two texts have eight fields each.
const OCCUPIED: usize = 0;
const THREAD: usize = 1;
const OPERATION: usize = 2;
const BEGAN_MS: usize = 3;
const INTEGRATION: usize = 8;
const GENERATION: usize = 16;
const TEXT_BYTES: usize = 64;

/// Keeps who flies in this file from now on, once; nothing is written before the first gateway in this process.
pub fn keep_in(file: PathBuf) {
    // A second daemon in one process is a test's: the first file counts.
    let _ = FILE.set(file);
}

/// Maps the file and installs the handler, once in a process. Whether there are seats.
fn board() -> bool {
    static BOARDED: OnceLock<bool> = OnceLock::new();
    *BOARDED.get_or_init(|| {
        let Some(file) = FILE.get() else { return false };
        let made = open(file).and_then(|page| sys::crash::map(&page)).and_then(|()| sys::crash::arm());
        if let Err(error) = &made {
            tracing::warn!(%error, file = %file.display(), "a crash of the daemon will not be told by whom");
        }
        made.is_ok()
    })
}

fn open(file: &Path) -> io::Result<File> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let page = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(file)?;
    page.set_len(PAGE_BYTES as u64)?;
    Ok(page)
}

/// A gateway's seat; given up when this is dropped. Without a free one nothing is kept of it.
#[derive(Debug)]
pub(super) struct Seat(Option<(usize, &'static [AtomicU64])>);

impl Seat {
    pub(super) fn take(launch: &Launch) -> Self {
        if !board() {
            return Self(None);
        }
        let mut taken = TAKEN.lock();
        let Some(number) = taken.iter().position(|taken| !taken) else { return Self(None) };
        let Some(fields) = sys::crash::seat(number) else { return Self(None) };
        taken[number] = true;
        write_text(&fields[INTEGRATION..], launch.instance.integration_id.as_str());
        write_text(&fields[GENERATION..], launch.plugin.sha256());
        fields[OPERATION].store(0, Ordering::Relaxed);
        fields[OCCUPIED].store(1, Ordering::Release);
        Self(Some((number, fields)))
    }

    /// This thread is the gateway's.
    pub(super) fn is_mine(&self) {
        if let Some((_, fields)) = self.0 {
            fields[THREAD].store(sys::crash::thread_id(), Ordering::Relaxed);
        }
    }

    /// A call begins.
    pub(super) fn begins(&self, op: u32) {
        if let Some((_, fields)) = self.0 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis());
            fields[BEGAN_MS].store(u64::try_from(now).unwrap_or(0), Ordering::Relaxed);
            fields[OPERATION].store(u64::from(op), Ordering::Relaxed);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some((number, fields)) = self.0 {
            fields[OCCUPIED].store(0, Ordering::Release);
            TAKEN.lock()[number] = false;
        }
    }
}

fn write_text(fields: &[AtomicU64], text: &str) {
    let mut bytes = [0; TEXT_BYTES];
    let length = text.len().min(TEXT_BYTES);
    bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
    for (field, word) in fields.iter().zip(bytes.chunks_exact(8)) {
        field.store(u64::from_ne_bytes(word.try_into().unwrap_or_default()), Ordering::Relaxed);
    }
}

/// How the daemon before this one died.
#[derive(Debug)]
pub struct Fall {
    word: LastWord,
    /// Whose code it was; `None` when it was no plugin's.
    pub culprit: Option<Culprit>,
}

/// The gateway whose code brought the daemon down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// The integration.
    pub integration: IntegrationId,
    /// The generation's SHA-256.
    pub sha256: String,
    /// The call that began last.
    pub call: Option<InFlight>,
}

impl Fall {
    /// Reads what the daemon before left in this file, and deletes it. `None` when it did not die by a fault.
    pub fn take(file: &Path) -> Option<Self> {
        let page = File::open(file).ok()?;
        let mut seats = vec![0; PAGE_BYTES - SEATS_AT];
        let read = page.read_exact_at(&mut seats, SEATS_AT as u64);
        // One that cannot be deleted is written anew by the next gateway in this process.
        let _ = std::fs::remove_file(file);
        let word = LastWord::read(page.into())?;
        let occupied: Vec<_> = read
            .map(|()| seats.chunks_exact(SEAT_FIELDS * 8).filter_map(|seat| occupant(seat, word.at_ms)).collect())
            .unwrap_or_default();
        let culprit = by_thread(&word, &occupied).or_else(|| by_code(&word, &occupied)).cloned();
        Some(Self { word, culprit })
    }

    /// The signal's name.
    pub fn signal(&self) -> String {
        sys::signal_name(self.word.signal)
    }

    /// Why, as the state of an integration says it.
    pub fn reason(&self, integration: &IntegrationId) -> Reason {
        isolated::reason_of(&format!("{integration}: the daemon, in which it ran,"), &self.word)
    }

    /// The record of it. Reads the plugin's file: blocks.
    pub fn crash(&self, culprit: &Culprit, plugin: &Staged) -> Crash {
        let reason = self.reason(&culprit.integration);
        let mut crash = Crash::new(reason, self.word.signal, plugin, Hosting::InProcess).at(&self.word, plugin);
        crash.calls.extend(culprit.call.clone());
        crash
    }
}

struct Occupant {
    thread: u64,
    culprit: Culprit,
}

fn occupant(seat: &[u8], at_ms: u64) -> Option<Occupant> {
    let number = |at: usize| seat.get(at * 8..at * 8 + 8)?.try_into().ok().map(u64::from_ne_bytes);
    let text = |at: usize| {
        let bytes = seat.get(at * 8..at * 8 + TEXT_BYTES)?;
        std::str::from_utf8(bytes).ok().map(|text| text.trim_end_matches('\0').to_owned())
    };
    (number(OCCUPIED)? == 1).then_some(())?;
    let op = u32::try_from(number(OPERATION)?).ok().and_then(ops::by_number);
    let age_ms = at_ms.saturating_sub(number(BEGAN_MS)?);
    Some(Occupant {
        thread: number(THREAD)?,
        culprit: Culprit {
            integration: IntegrationId::new(&text(INTEGRATION)?).ok()?,
            sha256: text(GENERATION)?,
            call: op.map(|op| InFlight { op: op.name.to_owned(), age_ms }),
        },
    })
}

fn by_thread<'a>(word: &LastWord, occupied: &'a [Occupant]) -> Option<&'a Culprit> {
    occupied.iter().find(|one| one.thread == u64::from(word.thread)).map(|one| &one.culprit)
}

/// The first place on the stack, from where it happened outwards, that is in a plugin's library.
fn by_code<'a>(word: &LastWord, occupied: &'a [Occupant]) -> Option<&'a Culprit> {
    let mut places = std::iter::once(word.counter).chain(word.on_stack());
    places
        .find_map(|address| {
            // A staged copy has its content's name.
            let (path, _) = word.code_at(address)?;
            occupied.iter().find(|one| one.culprit.sha256.len() == 64 && path.contains(&one.culprit.sha256))
        })
        .map(|one| &one.culprit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_was_killed_or_ended_well_blames_nobody() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("run/in-process");
        assert!(Fall::take(&file).is_none());
        drop(open(&file).expect("made"));
        assert!(Fall::take(&file).is_none());
        assert!(!file.exists());
    }

    #[test]
    fn the_seat_of_the_thread_that_faulted_is_told_else_that_of_the_code() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("in-process");
        let sha = |c: &str| c.repeat(64);
        let write = |thread: u64, counter: u64| {
            let page = open(&file).expect("made");
            let put = |at: usize, bytes: &[u8]| page.write_all_at(bytes, at as u64).expect("written");
            let maps = format!("6000-8000 r-xp 00001000 08:01 17 /staging/hue-1.0.0-{}.so\n", sha("b"));
            for (field, value) in super::super::crash_page::fault(thread, counter, maps.len()) {
                put(field as usize * 8, &value.to_ne_bytes());
            }
            put(super::super::crash_page::MAPS_AT, maps.as_bytes());
            for (seat, (thread, id, content)) in [(7, "hass", "a"), (8, "hue", "b")].into_iter().enumerate() {
                let at = SEATS_AT + seat * SEAT_FIELDS * 8;
                put(at, &1_u64.to_ne_bytes());
                put(at + THREAD * 8, &u64::to_ne_bytes(thread));
                put(at + OPERATION * 8, &u64::from(ops::POLL.number).to_ne_bytes());
                put(at + INTEGRATION * 8, id.as_bytes());
                put(at + GENERATION * 8, sha(content).as_bytes());
            }
            Fall::take(&file).expect("a fall").culprit
        };
        let by_thread = write(7, 0).expect("known");
        assert_eq!(by_thread.integration.as_str(), "hass");
        assert_eq!(by_thread.call.expect("a call").op, "poll");
        assert_eq!(write(99, 0x6123).expect("known").integration.as_str(), "hue");
        assert_eq!(write(99, 0x9000), None);
    }
}
