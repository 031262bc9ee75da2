//! From text to a configuration: every mistake found, each with line, column and what to write instead.

use std::fmt;
use std::ops::Range;

use gatehouse_plugin_api::ids::IntegrationId;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};
use tracing_subscriber::EnvFilter;

use super::Config;
use super::keys::{Form, KEYS, Key, Kind, PER_INTEGRATION, of_table, tables};
use crate::nearest::did_you_mean;
use crate::plugin::trust::Item;

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// One sentence that names the key, says what is wrong and what to write.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// See [`Config::parse`].
pub(super) fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    let mut check = Check { text, problems: Vec::new() };
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        check.add(error.span().unwrap_or(0..0), first_line(error.message()));
    }
    // What stands behind a syntax error is often misread: its keys are not judged.
    if errors.is_empty() {
        check.root(root.get_ref());
    }
    if check.problems.is_empty() {
        match toml::from_str(text) {
            Ok(config) => return Ok(config),
            Err(error) => check.add(error.span().unwrap_or(0..0), first_line(error.message())),
        }
    }
    check.problems.sort();
    check.problems.dedup();
    Err(check.problems)
}

fn first_line(message: &str) -> String {
    message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ")
}

struct Check<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn add(&mut self, span: Range<usize>, message: String) {
        let before = self.text.get(..span.start.min(self.text.len())).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        self.problems.push(Problem { line, column, message });
    }

    fn root(&mut self, root: &DeTable<'_>) {
        for (name, value) in root {
            match name.get_ref().as_ref() {
                "integration" => {
                    if let Some(ids) = self.table("integration", value) {
                        self.integrations(ids);
                    }
                }
                table if tables().contains(&table) => {
                    if let Some(entries) = self.table(table, value) {
                        self.entries(table, table, entries);
                    }
                }
                other => self.unknown_table(other, name.span()),
            }
        }
    }

    fn unknown_table(&mut self, name: &str, span: Range<usize>) {
        let message = match KEYS.iter().find(|key| key.name == name) {
            Some(key) => format!("the key {name:?} belongs under [{}]", key.table),
            None => {
                let known =
                    tables().into_iter().map(|table| if table == PER_INTEGRATION { "integration" } else { table });
                let hint = did_you_mean(name, known);
                format!("there is no table [{name}]{}", or_list(&hint, "the tables", &tables()))
            }
        };
        self.add(span, message);
    }

    fn integrations(&mut self, ids: &DeTable<'_>) {
        for (id, value) in ids {
            if let Some(key) = of_table(PER_INTEGRATION).find(|key| key.name == id.get_ref().as_ref()) {
                self.add(
                    id.span(),
                    format!("the key {:?} belongs under [integration.ID], ID being the integration's", key.name),
                );
                continue;
            }
            if let Err(error) = IntegrationId::new(id.get_ref()) {
                self.add(id.span(), error.to_string());
            }
            let shown = format!("integration.{}", id.get_ref());
            if let Some(entries) = self.table(&shown, value) {
                self.entries(PER_INTEGRATION, &shown, entries);
            }
        }
    }

    fn table<'v, 'i>(&mut self, name: &str, value: &'v Spanned<DeValue<'i>>) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let got = words(value.get_ref());
            self.add(value.span(), format!("{name} is a table: write [{name}] above its keys (got {got})"));
        }
        table
    }

    fn entries(&mut self, table: &str, shown: &str, entries: &DeTable<'_>) {
        for (name, value) in entries {
            match of_table(table).find(|key| key.name == name.get_ref().as_ref()) {
                Some(key) => self.value(key, &format!("{shown}.{}", key.name), value),
                None => {
                    let names: Vec<_> = of_table(table).map(|key| key.name).collect();
                    let hint = did_you_mean(name.get_ref(), names.iter().copied());
                    let message =
                        format!("[{shown}] has no key {:?}{}", name.get_ref(), or_list(&hint, "its keys", &names));
                    self.add(name.span(), message);
                }
            }
        }
    }

    fn value(&mut self, key: &Key, name: &str, value: &Spanned<DeValue<'_>>) {
        let found = match (key.kind, value.get_ref()) {
            (Kind::Millis { min, max } | Kind::Count { min, max }, DeValue::Integer(number)) => {
                in_range(number, min, max)
            }
            (Kind::MillisList { .. }, DeValue::Array(list)) if list.is_empty() => {
                Err("is empty: write at least one pause".to_owned())
            }
            (Kind::MillisList { min, max }, DeValue::Array(list)) => {
                for entry in list {
                    let found = match entry.get_ref() {
                        DeValue::Integer(number) => in_range(number, min, max),
                        other => Err(format!("takes whole numbers of milliseconds and got {}", words(other))),
                    };
                    if let Err(message) = found {
                        self.add(entry.span(), format!("{name} {message}"));
                    }
                }
                return;
            }
            (Kind::Word(allowed), DeValue::String(word)) if !allowed.contains(&word.as_ref()) => {
                let hint = did_you_mean(word, allowed.iter().copied());
                Err(format!("{word:?} is not known{}", or_list(&hint, "the words", allowed)))
            }
            (Kind::LogFilter, DeValue::String(filter)) => match EnvFilter::builder().parse(filter) {
                Ok(_) if !filter.trim().is_empty() => Ok(()),
                Ok(_) => Err("is empty: write a level, for example \"info\"; \"off\" logs nothing".to_owned()),
                Err(error) => {
                    Err(format!("{filter:?} is not a log filter ({error}): write a level, for example \"info\""))
                }
            },
            (Kind::List(form), DeValue::Array(list)) => {
                for entry in list {
                    let found = match entry.get_ref() {
                        DeValue::String(text) => of_form(form, text),
                        other => Err(format!("takes texts in quotes and got {}", words(other))),
                    };
                    if let Err(message) = found {
                        self.add(entry.span(), format!("{name} {message}"));
                    }
                }
                return;
            }
            (Kind::Word(_), DeValue::String(_)) | (Kind::Switch, DeValue::Boolean(_)) => Ok(()),
            (kind, other) => Err(format!("takes {} and got {}", expected(kind), words(other))),
        };
        if let Err(message) = found {
            self.add(value.span(), format!("{name} {message}"));
        }
    }
}

fn of_form(form: Form, text: &str) -> Result<(), String> {
    match (form, text.parse::<Item>()) {
        (Form::PublicKey, Ok(Item::Key { .. })) | (Form::Sha256, Ok(Item::Hash(_))) => Ok(()),
        (Form::Group, _) if text.is_empty() || text.contains(|c: char| c == ':' || c.is_control()) => {
            Err(format!("has {text:?}, which is no name of a group"))
        }
        (Form::Group, _) => Ok(()),
        (Form::PublicKey, _) => Err(format!(
            "has {text:?}, which is no minisign public key: write the second line of the .pub file (56 characters)"
        )),
        (Form::Sha256, _) => {
            Err(format!("has {text:?}, which is no SHA-256: write 64 hexadecimal digits, as sha256sum shows them"))
        }
    }
}

/// The hint when there is one, else the whole list.
fn or_list(hint: &str, what: &str, names: &[&str]) -> String {
    if hint.is_empty() { format!(": {what} are {}", names.join(", ")) } else { hint.to_owned() }
}

fn in_range(number: &DeInteger<'_>, min: i64, max: i64) -> Result<(), String> {
    match i64::from_str_radix(number.as_str(), number.radix()) {
        Ok(n) if (min..=max).contains(&n) => Ok(()),
        Ok(n) => Err(format!("is {n}: it must be {min} to {max}")),
        Err(_) => Err(format!("is {}: it must be {min} to {max}", number.as_str())),
    }
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Millis { .. } => "a whole number of milliseconds",
        Kind::Count { .. } => "a whole number",
        Kind::MillisList { .. } => "a list of whole numbers of milliseconds, as [1000, 2000]",
        Kind::List(_) => "a list of texts, as [\"…\", \"…\"]",
        Kind::Word(_) | Kind::LogFilter => "text in quotes",
        Kind::Switch => "true or false",
    }
}

fn words(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {:?}", text.as_ref()),
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the fraction {}", number.as_str()),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
