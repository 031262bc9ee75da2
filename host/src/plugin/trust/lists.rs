//! The two lists in the home: what a person trusts beside the configuration, and what is revoked.
//!
//! Plain text, so that a list can be made elsewhere and copied in: one thing in each line, then a note of any words;
//! `#` begins a remark. A line that is not understood does nothing and is told as a problem; the others count.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::item::Item;

/// What is trusted.
pub(super) const TRUSTED: &str = "trusted.list";
/// What is revoked.
pub(super) const REVOKED: &str = "revoked.list";
/// The most that is read of a list: tens of thousands of lines.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// Problems told of one list.
const MOST_PROBLEMS: usize = 20;

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What.
    pub item: Item,
    /// Why, in a person's words; may be empty.
    pub note: String,
}

/// Both lists as read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lists {
    pub(super) trusted: Vec<Entry>,
    pub(super) revoked: Vec<Entry>,
    pub(super) problems: Vec<String>,
    texts: [String; 2],
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the list {} cannot be {doing}: {source}", path.display())]
pub struct ListError {
    /// The list's file.
    pub path: PathBuf,
    /// `read` or `written`.
    pub doing: &'static str,
    /// The system's word.
    #[source]
    pub source: io::Error,
}

impl Lists {
    /// Reads both; what says the same as `before` is not parsed again.
    pub(super) fn read(folder: &Path, before: Option<&Self>) -> Result<Self, ListError> {
        let texts = [text_of(folder, TRUSTED)?, text_of(folder, REVOKED)?];
        if let Some(before) = before.filter(|before| before.texts == texts) {
            return Ok(before.clone());
        }
        let mut problems = Vec::new();
        let trusted = parse(TRUSTED, &texts[0], &mut problems);
        let revoked = parse(REVOKED, &texts[1], &mut problems);
        Ok(Self { trusted, revoked, problems, texts })
    }
}

impl Lists {
    /// Whether something that `before` revokes is not revoked here.
    pub(super) fn loosens(&self, before: &Self) -> bool {
        before.revoked.iter().any(|old| !self.revoked.iter().any(|new| new.item.means(&old.item)))
    }

    /// These lists, and what `before` revokes beside. They count as not read, so that the files are parsed next time.
    pub(super) fn with_revoked_of(&self, before: &Self) -> Self {
        let missing = before.revoked.iter().filter(|old| !self.revoked.iter().any(|new| new.item.means(&old.item)));
        let revoked = self.revoked.iter().chain(missing).cloned().collect();
        Self { trusted: self.trusted.clone(), revoked, problems: self.problems.clone(), texts: before.texts.clone() }
    }
}

fn text_of(folder: &Path, name: &str) -> Result<String, ListError> {
    let path = folder.join(name);
    let read = || {
        let mut bytes = Vec::new();
        fs::File::open(&path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(io::Error::other(format!("it is larger than {} MiB", MOST_BYTES / (1024 * 1024))));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|source| ListError { path, doing: "read", source }),
    }
}

fn parse(name: &str, text: &str, problems: &mut Vec<String>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let told_before = problems.len();
    for (index, line) in text.lines().enumerate() {
        match entry(line) {
            Some(Ok(entry)) => entries.push(entry),
            Some(Err(problem)) if problems.len() - told_before < MOST_PROBLEMS => {
                problems.push(format!("{name}, line {}: {problem}", index + 1));
            }
            Some(Err(_)) | None => {}
        }
    }
    entries
}

/// What a line says; `None` when it is empty or a remark.
fn entry(line: &str) -> Option<Result<Entry, String>> {
    let line = line.split('#').next().unwrap_or_default().trim();
    if line.is_empty() {
        return None;
    }
    let (item, note) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    Some(match item.parse() {
        Ok(item) => Ok(Entry { item, note: note.trim().to_owned() }),
        Err(error) => Err(error.to_string()),
    })
}

/// Adds a line, in place of one that means the same.
pub(super) fn add(folder: &Path, name: &str, item: &Item, note: &str) -> Result<(), ListError> {
    // What begins a remark or another line would make the note, or the list, say something else.
    let note: String = note.chars().map(|c| if c == '#' || c.is_control() { ' ' } else { c }).collect();
    let mut text = without(folder, name, item)?;
    text.push_str(format!("{item} {}", note.trim()).trim_end());
    text.push('\n');
    write(folder, name, &text)
}

/// Takes out the lines that mean the same.
pub(super) fn remove(folder: &Path, name: &str, item: &Item) -> Result<(), ListError> {
    let before = text_of(folder, name)?;
    let after = without(folder, name, item)?;
    if before.lines().eq(after.lines()) { Ok(()) } else { write(folder, name, &after) }
}

fn without(folder: &Path, name: &str, item: &Item) -> Result<String, ListError> {
    let means = |line: &str| matches!(entry(line), Some(Ok(entry)) if entry.item.means(item));
    let mut text = String::new();
    for line in text_of(folder, name)?.lines().filter(|line| !means(line)) {
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}

/// Whole or not at all: written beside and renamed.
fn write(folder: &Path, name: &str, text: &str) -> Result<(), ListError> {
    let path = folder.join(name);
    let beside = folder.join(format!(".{name}.new"));
    let write = || {
        crate::home::make_private(folder)?;
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    };
    write().map_err(|source| ListError { path: path.clone(), doing: "written", source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn hash(digit: &str) -> Item {
        digit.repeat(64).parse().unwrap()
    }

    #[test]
    fn lines_have_a_thing_a_note_and_remarks_and_the_others_count_when_one_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("# made by hand\n\n{} a bad build # really\nnonsense\n{}\n", hash("a"), hash("b"));
        fs::write(folder.path().join(REVOKED), text).unwrap();
        let lists = Lists::read(folder.path(), None).unwrap();
        let revoked = [("a bad build", hash("a")), ("", hash("b"))];
        let revoked = revoked.map(|(note, item)| Entry { item, note: note.to_owned() });
        assert_eq!(lists.revoked, revoked);
        assert_eq!(lists.problems.len(), 1);
        assert!(lists.problems[0].starts_with("revoked.list, line 4: \"nonsense\" is neither"), "{:?}", lists.problems);
        assert!(lists.trusted.is_empty());
    }

    #[test]
    fn what_is_written_is_read_and_nothing_stands_twice() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(TRUSTED), "# mine\n").unwrap();
        add(folder.path(), TRUSTED, &hash("a"), "first").unwrap();
        add(folder.path(), TRUSTED, &hash("b"), "sly\nnote # here").unwrap();
        add(folder.path(), TRUSTED, &hash("a"), "second").unwrap();
        let text = fs::read_to_string(folder.path().join(TRUSTED)).unwrap();
        assert_eq!(text, format!("# mine\n{} sly note   here\n{} second\n", hash("b"), hash("a")));
        remove(folder.path(), TRUSTED, &hash("b")).unwrap();
        remove(folder.path(), TRUSTED, &hash("c")).unwrap();
        let lists = Lists::read(folder.path(), None).unwrap();
        assert_eq!(lists.trusted.len(), 1);
        assert_eq!(Lists::read(folder.path(), Some(&lists)).unwrap(), lists);
    }

    #[test]
    fn a_list_that_cannot_be_read_is_an_error_and_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(REVOKED)).unwrap();
        let error = Lists::read(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("revoked.list cannot be read"), "{error}");
    }
}
