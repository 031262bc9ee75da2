//! Admin pages of a plugin's own: asked for from its gateway, rendered here.
//!
//! A template is the plugin's text and its context the plugin's data, so neither is trusted: everything is escaped,
//! there are no functions of the host and no files, work and output are bounded, and what is undefined is an error.
//! Rendering runs on a blocking thread; a template that another one includes or extends is fetched from the gateway
//! when the renderer comes to it, and kept for the generation's life.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::manage::{ManageReply, ManageRequest, PaneReply, PaneRequest};
use gatehouse_plugin_api::ops;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use parking_lot::Mutex;

use super::OperationError;
use super::control::not_running;
use super::registry::Registry;
use super::supervisor::Running;
use super::view::ManagePage;

/// The most HTML that one page may be, in bytes.
const PAGE_BYTES: usize = 1024 * 1024;
/// The most work that one page may take; one unit pays for an instruction or for 64 bytes.
const PAGE_FUEL: u64 = 500_000;
/// How deep templates may include each other.
const PAGE_DEPTH: usize = 50;
/// Templates kept of one generation; a page that needs more than this many is refused.
const PANES: usize = 256;
/// The largest template, in bytes.
const PANE_BYTES: usize = 256 * 1024;

/// The templates of one generation, as far as they were asked for; `None` is one that it does not have.
#[derive(Debug, Default)]
pub(super) struct Panes(Mutex<HashMap<String, Option<Arc<str>>>>);

/// Asks for a page and renders it.
pub(super) async fn page(
    registry: &Registry,
    id: &IntegrationId,
    request: ManageRequest,
) -> Result<ManagePage, OperationError> {
    let integration = registry.find(id)?;
    let running = integration.enter().await.ok_or_else(|| not_running(&integration.view()))?;
    let failed = |error| OperationError::of_call(id, error, "its page was made");
    match running.gateway.call::<_, ManageReply>(&ops::MANAGE, &request).await.map_err(failed)? {
        ManageReply::Template { name, context } => {
            let rendered = render(&running, name, context).await;
            rendered.map(ManagePage::Html).map_err(|problem| OperationError::invalid(format!("{id}: {problem}")))
        }
        ManageReply::Redirect { params } => Ok(ManagePage::Redirect(params)),
        ManageReply::File { name, media_type, bytes } => {
            Ok(ManagePage::File { name: plain_file_name(&name), media_type: plain_media_type(media_type), bytes })
        }
        ManageReply::Message { error, text } => Ok(ManagePage::Message { error, text }),
    }
}

async fn render(running: &Running, name: String, context: serde_json::Value) -> Result<String, String> {
    let running = running.clone();
    let runtime = tokio::runtime::Handle::current();
    let work = move || {
        let mut environment = environment();
        environment.set_loader(move |pane| {
            runtime
                .block_on(fetch(&running, pane))
                .map_err(|problem| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, problem))
        });
        let template = environment.get_template(&name).map_err(|error| sentence(&error))?;
        let context = minijinja::Value::from(minijinja::value::Serde(context));
        let mut page = Bounded(Vec::new());
        match template.render_captured_to(context, &mut page) {
            Ok(_) => {}
            Err(_) if page.is_full() => {
                return Err(format!("the page {name:?} is larger than {PAGE_BYTES} bytes: show less on it"));
            }
            Err(error) => return Err(sentence(&error)),
        }
        String::from_utf8(page.0).map_err(|_| format!("the page {name:?} is not UTF-8"))
    };
    // The blocking thread ends when the page is rendered or its fuel is spent.
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err("the page could not be rendered".to_owned()))
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(PAGE_FUEL));
    environment.set_recursion_limit(PAGE_DEPTH);
    // Both would show the whole context, the first of them in every error.
    environment.set_debug(false);
    environment.remove_global("debug");
    // What the upstream sent stays escaped whatever the template says of it.
    environment.remove_filter("safe");
    environment
}

async fn fetch(running: &Running, pane: &str) -> Result<Option<String>, String> {
    let kept = running.panes.0.lock().get(pane).cloned();
    if let Some(kept) = kept {
        return Ok(kept.map(|source| source.to_string()));
    }
    if running.panes.0.lock().len() >= PANES {
        return Err(format!("{pane:?} is one template too many: at most {PANES} are possible"));
    }
    let request = PaneRequest { name: pane.to_owned() };
    let reply: PaneReply = running
        .gateway
        .call(&ops::PANE, &request)
        .await
        .map_err(|error| format!("the template {pane:?} could not be had from the plugin: {error}"))?;
    if let Some(bytes) = reply.source.as_ref().map(String::len)
        && bytes > PANE_BYTES
    {
        return Err(format!("the template {pane:?} has {bytes} bytes: at most {PANE_BYTES} are possible"));
    }
    running.panes.0.lock().insert(pane.to_owned(), reply.source.as_deref().map(Arc::from));
    Ok(reply.source)
}

/// What is wrong, with the template and line where it is: an include's error wraps the included template's.
fn sentence(error: &minijinja::Error) -> String {
    let mut innermost = error;
    let mut place = (error.name(), error.line());
    while let Some(inner) = std::error::Error::source(innermost).and_then(|source| source.downcast_ref()) {
        innermost = inner;
        if innermost.line().is_some() {
            place = (innermost.name(), innermost.line());
        }
    }
    let problem = match (innermost.kind(), innermost.detail()) {
        (minijinja::ErrorKind::TemplateNotFound, detail) => {
            format!("{}: the plugin's panes() does not list it", detail.unwrap_or("no such template"))
        }
        (minijinja::ErrorKind::OutOfFuel, _) => "it takes too much work: show less on one page".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    match place {
        (Some(name), Some(line)) => format!("the template {name:?}, line {line}: {problem}"),
        (Some(name), None) => format!("the template {name:?}: {problem}"),
        _ => format!("the template: {problem}"),
    }
}

/// The last part of a path, without what a terminal or a shell would stumble over.
fn plain_file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| !c.is_control() && *c != '"').take(200).collect();
    if plain.trim_matches('.').trim().is_empty() { "file".to_owned() } else { plain }
}

fn plain_media_type(media_type: String) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/+-._; =".contains(c);
    if media_type.contains('/') && media_type.chars().all(allowed) {
        media_type
    } else {
        "application/octet-stream".to_owned()
    }
}

/// A page that takes no more than [`PAGE_BYTES`].
struct Bounded(Vec<u8>);

impl Bounded {
    fn is_full(&self) -> bool {
        self.0.len() >= PAGE_BYTES
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PAGE_BYTES - self.0.len();
        if bytes.len() > room {
            self.0.resize(PAGE_BYTES, b' ');
            return Err(io::Error::other("the page is full"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_and_media_types_are_plain() {
        for (name, plain) in [
            ("report.csv", "report.csv"),
            ("../../etc/passwd", "passwd"),
            ("a\\b.txt", "b.txt"),
            ("..", "file"),
            ("", "file"),
            ("a\"\n.csv", "a.csv"),
        ] {
            assert_eq!(plain_file_name(name), plain);
        }
        assert_eq!(plain_media_type("text/csv".into()), "text/csv");
        assert_eq!(plain_media_type("text/html\r\nX: y".into()), "application/octet-stream");
    }
}
