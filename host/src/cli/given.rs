//! Answers given on the command line: `--set`, `--set-file`, `--choose`, and which of them were of use.

use std::io::Read;
use std::path::PathBuf;

use super::failure::Failure;
use crate::api::types::GivenValue;
use crate::nearest::did_you_mean;

/// How keys are written: with flags in a flow, or bare where there are no steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// `--set [STEP.]KEY=VALUE`
    Flags,
    /// `KEY=VALUE`
    Bare,
}

/// What was given, with what was used of it.
#[derive(Debug)]
pub(super) struct Given {
    values: Vec<Entry>,
    choices: Vec<Choice>,
    keys: Keys,
}

#[derive(Debug)]
struct Entry {
    step: Option<String>,
    key: String,
    source: Source,
    /// Made from another flag (`--keep-settings`): of no concern when no step asks for it.
    soft: bool,
    used: bool,
}

enum Source {
    Text(String),
    StandardInput,
    File(PathBuf),
}

impl std::fmt::Debug for Source {
    /// Without the text, which may be a secret given by mistake.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text",
            Self::StandardInput => "StandardInput",
            Self::File(_) => "File",
        })
    }
}

#[derive(Debug)]
struct Choice {
    text: String,
    used: bool,
}

impl Given {
    /// Reads the flags' texts.
    ///
    /// # Errors
    /// When one has no `=`, or several want standard input.
    pub(super) fn parse(set: &[String], set_file: &[String], choose: &[String], keys: Keys) -> Result<Self, Failure> {
        let mut given = Self { values: Vec::new(), choices: Vec::new(), keys };
        for text in set {
            let flag = if keys == Keys::Flags { "--set " } else { "" };
            let (left, value) = split(text).ok_or_else(|| {
                Failure::usage(format!("{flag}{text} has no '='")).advise(format!("write {flag}KEY=VALUE"))
            })?;
            let source = if value == "-" { Source::StandardInput } else { Source::Text(value.to_owned()) };
            given.add(left, source);
        }
        for text in set_file {
            let (left, path) = split(text).ok_or_else(|| {
                Failure::usage(format!("--set-file {text} has no '='")).advise("write --set-file KEY=PATH")
            })?;
            given.add(left, Source::File(PathBuf::from(path)));
        }
        if given.values.iter().filter(|entry| matches!(entry.source, Source::StandardInput)).count() > 1 {
            return Err(Failure::usage("standard input ('-') can answer one field only")
                .advise("give the others with --set-file KEY=PATH"));
        }
        given.choices = choose.iter().map(|text| Choice { text: text.clone(), used: false }).collect();
        Ok(given)
    }

    fn add(&mut self, left: &str, source: Source) {
        let (step, key) = match (self.keys, left.rsplit_once('.')) {
            (Keys::Flags, Some((step, key))) => (Some(step.to_owned()), key.to_owned()),
            _ => (None, left.to_owned()),
        };
        self.values.push(Entry { step, key, source, soft: false, used: false });
    }

    /// A value that stands for another flag; nothing is said when the step does not come.
    pub(super) fn imply_value(&mut self, step: &str, key: &str, text: &str) {
        let source = Source::Text(text.to_owned());
        self.values.push(Entry { step: Some(step.to_owned()), key: key.to_owned(), source, soft: true, used: false });
    }

    /// Whether nothing was given.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.choices.is_empty()
    }

    /// The value for a field of a step. An entry for this very step goes before one for any.
    ///
    /// # Errors
    /// When a secret was given for everybody to see, or its source cannot be read.
    pub(super) fn take(&mut self, step: &str, key: &str, secret: bool) -> Result<Option<GivenValue>, Failure> {
        let keys = self.keys;
        let fits = |entry: &Entry, exact: bool| {
            entry.key == key && if exact { entry.step.as_deref() == Some(step) } else { entry.step.is_none() }
        };
        let found = self
            .values
            .iter()
            .rposition(|entry| fits(entry, true))
            .or_else(|| self.values.iter().rposition(|entry| fits(entry, false)));
        let Some(index) = found else { return Ok(None) };
        // An earlier entry for the same field is answered by the later one.
        for entry in &mut self.values[..=index] {
            if fits(entry, true) || fits(entry, false) {
                entry.used = true;
            }
        }
        let entry = &mut self.values[index];
        let text = match &entry.source {
            Source::Text(_) if secret => {
                let (flag, set_file) = if keys == Keys::Flags { ("--set ", "--set-file") } else { ("", "--set-file") };
                return Err(Failure::usage(format!(
                    "{key} is a secret: {flag}{key}=VALUE would show it to every user of this machine"
                ))
                .advise(format!(
                    "give it as {set_file} {key}=PATH, or as {flag}{key}=- on standard input{}",
                    if keys == Keys::Flags { ", or wait to be asked on a terminal" } else { "" }
                )));
            }
            Source::Text(text) => text.clone(),
            Source::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::io(format!("--set-file {key}={}", path.display()), &error))?;
                without_newline(text)
            }
            Source::StandardInput => {
                let mut text = String::new();
                std::io::stdin()
                    .read_to_string(&mut text)
                    .map_err(|error| Failure::io(format!("standard input, for {key}"), &error))?;
                let text = without_newline(text);
                // Standard input is read once; a step that is shown again gets the same answer.
                entry.source = Source::Text(text.clone());
                text
            }
        };
        Ok(Some(GivenValue::Text(text)))
    }

    /// The option chosen for a step's menu.
    pub(super) fn take_choice(&mut self, step: &str, options: &[&str]) -> Option<String> {
        let prefix = format!("{step}.");
        for choice in &mut self.choices {
            let option = choice.text.strip_prefix(&prefix).unwrap_or(&choice.text);
            if !choice.used && options.contains(&option) {
                choice.used = true;
                return Some(option.to_owned());
            }
        }
        None
    }

    /// Sentences about what answered nothing; `known` are the keys that would have been understood.
    pub(super) fn unused(&self, known: &[&str]) -> Vec<String> {
        let mut sentences = self.unused_of(known, |_| true);
        for choice in self.choices.iter().filter(|choice| !choice.used) {
            sentences.push(format!("--choose {} answers nothing: no step had that option", choice.text));
        }
        sentences
    }

    /// As [`Given::unused`], of values alone and of keys that `which` says.
    pub(super) fn unused_of(&self, known: &[&str], which: impl Fn(&str) -> bool) -> Vec<String> {
        let mut sentences = Vec::new();
        for entry in self.values.iter().filter(|entry| !entry.used && !entry.soft && which(&entry.key)) {
            let flag = match (&entry.source, self.keys) {
                (Source::File(_), _) => "--set-file ",
                (_, Keys::Flags) => "--set ",
                (_, Keys::Bare) => "",
            };
            let step = entry.step.as_ref().map_or(String::new(), |step| format!("{step}."));
            let hint = did_you_mean(&entry.key, known.iter().copied());
            let hint = match (hint.is_empty(), known.is_empty()) {
                (false, _) => hint,
                (true, false) => format!(": there is {}", known.join(", ")),
                (true, true) => ": there is nothing to set".to_owned(),
            };
            sentences.push(format!("{flag}{step}{} answers nothing{hint}", entry.key));
        }
        sentences
    }

    /// Everything must have been of use.
    ///
    /// # Errors
    /// What was not, as a usage error.
    pub(super) fn all_used(&self, known: &[&str]) -> Result<(), Failure> {
        let sentences = self.unused(known);
        if sentences.is_empty() { Ok(()) } else { Err(Failure::usage(sentences.join("\n"))) }
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(key, _)| !key.is_empty())
}

/// Editors and `echo` end a file with a newline that is no part of the value.
fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(set: &[&str], choose: &[&str]) -> Given {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Given::parse(&owned(set), &[], &owned(choose), Keys::Flags).expect("well-formed")
    }

    fn text(value: &str) -> Option<GivenValue> {
        Some(GivenValue::Text(value.to_owned()))
    }

    fn message(failure: &Failure) -> String {
        match failure {
            Failure::Told { message, advice, code } => format!("{code} {message}\n{advice}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_key_with_its_step_goes_before_the_bare_key() {
        let mut given = given(&["name=any", "second.name=two"], &[]);
        assert_eq!(given.take("first", "name", false).expect("given"), text("any"));
        assert_eq!(given.take("second", "name", false).expect("given"), text("two"));
        assert_eq!(given.take("first", "other", false).expect("given"), None);
        assert!(given.unused(&[]).is_empty());
    }

    #[test]
    fn a_secret_on_the_command_line_is_refused_without_repeating_it() {
        let failure = given(&["token=hunter2"], &[]).take("x", "token", true).expect_err("refused");
        let told = message(&failure);
        assert!(told.starts_with("2 token is a secret") && told.contains("--set-file token=PATH"), "{told}");
        assert!(!told.contains("hunter2"));
    }

    #[test]
    fn a_file_gives_a_secret_without_its_last_newline() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "s3cret\n").expect("written");
        let set_file = [format!("token={}", file.path().display())];
        let mut given = Given::parse(&[], &set_file, &[], Keys::Flags).expect("well-formed");
        assert_eq!(given.take("x", "token", true).expect("read"), text("s3cret"));
    }

    #[test]
    fn what_answers_nothing_is_told_with_the_nearest_key() {
        let mut given = given(&["intervall=5s", "zone=1"], &["fast"]);
        assert_eq!(given.take_choice("menu", &["slow", "off"]), None);
        assert_eq!(
            given.unused(&["interval", "host"]),
            [
                "--set intervall answers nothing: did you mean \"interval\"?",
                "--set zone answers nothing: there is interval, host",
                "--choose fast answers nothing: no step had that option",
            ]
        );
    }

    #[test]
    fn choices_are_used_in_their_order() {
        let mut given = given(&[], &["a", "menu2.b"]);
        assert_eq!(given.take_choice("menu1", &["a", "b"]).as_deref(), Some("a"));
        assert_eq!(given.take_choice("menu2", &["a", "b"]).as_deref(), Some("b"));
    }

    #[test]
    fn malformed_flags_are_usage_errors() {
        for set in [&["no-equals".to_owned()][..], &["=x".to_owned()], &["a=-".to_owned(), "b=-".to_owned()]] {
            let failure = Given::parse(set, &[], &[], Keys::Flags).expect_err("refused");
            assert!(message(&failure).starts_with('2'));
        }
    }
}
