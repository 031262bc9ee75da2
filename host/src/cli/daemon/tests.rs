//! Every operation of the application has a route, and every such route is asked by the command line.
//!
//! Nothing is listed here that could be forgotten: operations and handlers are read from their sources, routes from the
//! description (which another test holds to the route table). A method of [`Daemon`] that no command uses is dead code,
//! which the compiler refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::api::openapi;

fn source(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(below)
}

/// The texts of a file or of all files in a folder and below.
fn texts(path: &Path) -> Vec<String> {
    if path.is_file() {
        return vec![fs::read_to_string(path).expect("a source file")];
    }
    let entries = fs::read_dir(path).expect("a source folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| texts(&path)).collect()
}

/// `app.name(`, however it is broken into lines.
fn calls(text: &str, name: &str) -> bool {
    let dense: String = text.split_whitespace().collect();
    dense.contains(&format!("app.{name}("))
}

/// The public methods of the application.
fn operations() -> BTreeSet<String> {
    let files = [texts(&source("app.rs")), texts(&source("app"))].concat();
    let blocks = files.iter().flat_map(|text| {
        let begun = text.split("\nimpl App {\n").skip(1);
        begun.map(|block| block.split("\n}\n").next().unwrap_or_default())
    });
    let lines = blocks.flat_map(str::lines);
    let signatures = lines.filter_map(|line| line.strip_prefix("    pub ")).filter(|line| !line.contains("fn new("));
    let names = signatures.filter_map(|line| line.split("fn ").nth(1)?.split(['(', '<']).next());
    names.map(str::to_owned).collect()
}

/// The handlers by name, each with its text.
fn handlers() -> BTreeMap<String, String> {
    let files = texts(&source("api/handlers"));
    let begun = files.iter().flat_map(|text| text.split("\npub(crate) async fn ").skip(1));
    let whole = begun.map(|text| text.split("\n}\n").next().unwrap_or_default());
    whole.map(|text| (text.split('(').next().unwrap_or_default().to_owned(), text.to_owned())).collect()
}

/// Routes as `METHOD /path/{name}`, with the name of the handler.
fn routes() -> Vec<(String, String)> {
    let document: serde_json::Value = serde_json::from_str(openapi::document()).expect("json");
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, item): (&String, &serde_json::Value)| {
        let methods = item.as_object().expect("an item").iter();
        let route = |(method, of): (&String, &serde_json::Value)| {
            let handler = of["operationId"].as_str().expect("an id").to_owned();
            (format!("{} {path}", method.to_uppercase()), handler)
        };
        methods.map(route).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

/// Whether a request is one for a route.
fn is_for(request: &str, route: &str) -> bool {
    let (request, route): (Vec<_>, Vec<_>) = (request.split('/').collect(), route.split('/').collect());
    let same = |(asked, part): (&&str, &&str)| part.starts_with('{') || asked == part;
    request.len() == route.len() && request.iter().zip(&route).all(same)
}

/// A daemon that refuses everything and remembers what it was asked.
async fn recorder(home: &Home) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let listener = UnixListener::bind(home.socket()).expect("a socket");
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut bytes = Vec::new();
            while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
                stream.read_buf(&mut bytes).await.expect("a request");
            }
            let head = String::from_utf8_lossy(&bytes).into_owned();
            let mut words = head.split(' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let path = target.split('?').next().unwrap_or_default();
            seen.lock().push(format!("{method} {path}"));
            // A step that no longer waits is looked for anew.
            let status = if path.contains("/steps/") { "409 Conflict" } else { "404 Not Found" };
            let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("answered");
        }
    });
    asked
}

/// Asks everything that the commands can ask.
async fn ask_everything(daemon: &Daemon) {
    let id: IntegrationId = "a".parse().expect("valid");
    let (entity, state) = ("a:b".parse().expect("valid"), "a:b/c".parse().expect("valid"));
    let log = Daemon::log_path(None, "info", 1, false);
    // Every answer is a refusal.
    let _ = daemon.status().await;
    let _ = daemon.costs(false).await;
    let _ = daemon.metrics().await;
    let _ = daemon.log_level(&id, None).await;
    let _ = daemon.plugins().await;
    let _ = daemon.plugin("a.so").await;
    let _ = daemon.plugin_versions("a").await;
    let _ = daemon.plugin_rollback("a", None).await;
    let _ = daemon.plugin_pin("a").await;
    let _ = daemon.plugin_unpin("a").await;
    let _ = daemon.plugin_allow("a").await;
    let _ = daemon.integrations().await;
    let _ = daemon.integration(&id).await;
    let _ = daemon.pause(&id).await;
    let _ = daemon.resume(&id).await;
    let _ = daemon.synchronize(&id).await;
    let _ = daemon.diagnostics(&id).await;
    let _ = daemon.explain(&id).await;
    let _ = daemon.move_back(&id).await;
    let _ = daemon.crashes(None).await;
    let _ = daemon.crash(1).await;
    let _ = daemon.set(&id, GivenValues::default()).await;
    let _ = daemon.manage(&id, [], None).await;
    let _ = daemon.manage(&id, [], Some(BTreeMap::new())).await;
    let begin = FlowBeginRequest {
        kind: crate::integration::FlowKind::Activate,
        integration_type: None,
        integration: Some(id.clone()),
        take_over: false,
    };
    let _ = daemon.flow_begin(&begin).await;
    let _ = daemon.flow_look("f", "s").await;
    let _ = daemon.flow_answer("f", "s", &FlowAnswerRequest::default()).await;
    let _ = daemon.flow_abort("f").await;
    let _ = daemon.entities().await;
    let _ = daemon.entity(&entity).await;
    let _ = daemon.entity_rename(&entity, String::new()).await;
    let _ = daemon.snapshot(&entity).await;
    let _ = daemon.stream(&entity).await;
    let _ = daemon.states().await;
    let _ = daemon.state(&state).await;
    let _ = daemon.control(&state, &ControlRequest::default()).await;
    let _ = daemon.history(&state, 0, None, 1).await;
    let item = TrustRequest { item: String::new(), note: String::new() };
    let _ = daemon.trust().await;
    let _ = daemon.trust_add(&item).await;
    let _ = daemon.trust_revoke(&item).await;
    let every = args::Audit { user: None, operation: None, target: None, since: None, until: None, limit: 1 };
    let _ = daemon.audit(&every, None, None).await;
    let _ = daemon.log(&log).await;
    let _ = daemon.events("/v1/events", None).await;
}

#[test]
fn every_operation_has_a_route() {
    let operations = operations();
    assert!(operations.contains("state_control") && operations.len() > 20, "{operations:?}");
    let api = [texts(&source("api/handlers")), texts(&source("api/events.rs"))].concat().concat();
    let unreachable: Vec<_> = operations.iter().filter(|name| !calls(&api, name)).collect();
    assert!(unreachable.is_empty(), "no handler calls {unreachable:?}: give each a route");
}

#[tokio::test]
async fn every_route_of_an_operation_has_a_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = Home::at(folder.path());
    let asked = recorder(&home).await;
    ask_everything(&Daemon::new(&home)).await;
    let (asked, handlers, operations) = (asked.lock().clone(), handlers(), operations());
    for (route, handler) in routes() {
        let text = handlers.get(&handler).unwrap_or_else(|| panic!("the handler {handler} of {route} is not found"));
        let operates = operations.iter().any(|name| calls(text, name));
        assert!(
            !operates || asked.iter().any(|request| is_for(request, &route)),
            "no command asks {route}: give {handler} one"
        );
    }
    // And the other way: nothing is asked that is no route.
    for request in &asked {
        assert!(routes().iter().any(|(route, _)| is_for(request, route)), "{request} is no route");
    }
}
