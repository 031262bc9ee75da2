//! `integration manage`: a page of the plugin's own, as text, as HTML, or a file to save.
//!
//! As text, its links and forms stand below it as the commands that follow them.

mod page;

use std::collections::BTreeMap;

use serde_json::json;
use unicode_width::UnicodeWidthStr;

use super::args;
use super::daemon::Daemon;
use super::failure::{FAILED, Failure};
use super::hint::Hints;
use super::output::Output;
use super::{save, words};
use crate::api::types::ManageAnswer;
use base64::Engine as _;
use page::Page;

/// How many redirects are followed.
const REDIRECTS: u32 = 5;

pub(super) async fn run(daemon: &Daemon, wanted: &args::Manage, output: &Output) -> Result<(), Failure> {
    let mut params = pairs(&wanted.params, "")?;
    let mut form = wanted.post.as_ref().map(|fields| pairs(fields, "--post ")).transpose()?;
    for _ in 0..=REDIRECTS {
        let query = params.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        match daemon.manage(&wanted.id, query, form.take()).await? {
            ManageAnswer::Redirect(to) => params = to,
            page => return show(page, &params, wanted, daemon, output),
        }
    }
    Err(Failure::failed(format!("{} led from page to page more than {REDIRECTS} times", wanted.id))
        .advise("tell the plugin's author"))
}

fn pairs(texts: &[String], flag: &str) -> Result<BTreeMap<String, String>, Failure> {
    texts
        .iter()
        .map(|text| match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(Failure::usage(format!("{flag}{text} has no '='")).advise(format!("write {flag}KEY=VALUE"))),
        })
        .collect()
}

fn show(
    page: ManageAnswer,
    params: &BTreeMap<String, String>,
    wanted: &args::Manage,
    daemon: &Daemon,
    output: &Output,
) -> Result<(), Failure> {
    match page {
        ManageAnswer::Message { error, text } => {
            if output.json {
                output.json(&json!({ "message": text, "error": error }))?;
            } else if error {
                return Err(Failure::failed(text));
            } else {
                output.line(text)?;
            }
            if error { Err(Failure::Silent { code: FAILED }) } else { Ok(()) }
        }
        ManageAnswer::Html(html) if output.json => output.json(&json!({ "html": html })),
        ManageAnswer::Html(html) if wanted.html => output.line(html.trim_end()),
        ManageAnswer::Html(html) => {
            let page = Page::read(&html);
            output.line(as_text(&page.html, output)?)?;
            let ways = ways_on(&page, params, wanted, &daemon.hints);
            if ways.is_empty() { Ok(()) } else { output.line(format!("\n{}", ways.join("\n"))) }
        }
        ManageAnswer::File { name, media_type, base64: content } => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(&content).map_err(|error| {
                Failure::failed(format!("the file that the page answered with cannot be read: {error}"))
            })?;
            let path = save::write(wanted.save.as_deref(), &name, &bytes, "--save FILE")?;
            if output.json {
                return output.json(&json!({ "file": path, "media_type": media_type, "size_bytes": bytes.len() }));
            }
            output.line(format!("saved {} ({}, {media_type})", path.display(), words::bytes(bytes.len() as u64)))
        }
        ManageAnswer::Redirect(_) => Ok(()),
    }
}

/// The page's links and forms as commands.
fn ways_on(page: &Page, here: &BTreeMap<String, String>, wanted: &args::Manage, hints: &Hints) -> Vec<String> {
    let command = |params: &BTreeMap<String, String>, fields: &[(String, String)]| {
        let pair = |(key, value): (&String, &String)| format!("{key}={value}");
        let mut arguments = vec!["integration".to_owned(), "manage".to_owned(), wanted.id.to_string()];
        arguments.extend(params.iter().map(pair));
        if !fields.is_empty() {
            arguments.push("--post".to_owned());
            arguments.extend(fields.iter().map(|(key, value)| pair((key, value))));
        }
        hints.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let text = |text: &str, other: &str| {
        let text = words::shortened(text, 24);
        if text.is_empty() { other.to_owned() } else { text }
    };
    let links = page.links.iter().map(|link| (text(&link.text, "Link"), command(&link.params, &[])));
    let forms = page
        .forms
        .iter()
        .map(|form| (text(&form.button, "Send"), command(form.params.as_ref().unwrap_or(here), &form.fields)));
    let ways: Vec<_> = links.chain(forms).collect();
    let widest = ways.iter().map(|(text, _)| text.width()).max().unwrap_or(0);
    ways.iter().map(|(text, command)| format!("{text}{}  {command}", " ".repeat(widest - text.width()))).collect()
}

fn as_text(html: &str, output: &Output) -> Result<String, Failure> {
    let width = usize::from(output.width.unwrap_or(100));
    let text = html2text::config::plain_no_decorate().string_from_read(html.as_bytes(), width).map_err(|error| {
        Failure::failed(format!("the page cannot be shown as text: {error}")).advise("print it with --html")
    })?;
    Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned())
}
