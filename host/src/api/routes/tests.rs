//! The table is whole: every route is described, documented and refuses a caller who may not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::api::auth::Caller;
use crate::api::openapi;
use crate::clock::Clock;
use crate::config::Config;
use crate::entity::{House, ReadingLimits};
use crate::home::Home;
use crate::integration::{Ground, Integrations};
use crate::log::HostLog;
use crate::plugin::catalog::Catalog;
use crate::plugin::trust::Trust;
use crate::store::{CommitPolicy, Store};

async fn app(folder: &Path) -> App {
    let home = Home::at(folder);
    home.create().expect("a home");
    let commits = CommitPolicy { every: Duration::from_millis(5), rows: 100, full_durability: false };
    let store = Store::open(&home.database(), &home.key_file(), commits).expect("a database");
    let clock = Clock::system();
    let limits = ReadingLimits { queue_rows: 100, subscriber_rows: 100 };
    let house = House::open(store.clone(), clock.clone(), limits).await.expect("a house");
    let config = Arc::new(Config::default());
    let catalog =
        Catalog::open(&home, &config.plugins, Trust::open(&home, &config.trust), store.clone(), clock.clone())
            .await
            .expect("a catalog");
    let ground = Ground { home: home.clone(), config, store, house, catalog, clock };
    let integrations = Integrations::open(ground.clone()).await.expect("integrations");
    App::new(ground, integrations, HostLog::in_memory(10), home.socket())
}

fn request(route: &Route, may: Option<Permission>) -> Request<Body> {
    let names = [("{name}", "none.so"), ("{id}", "none"), ("{step_id}", "none"), ("{address}", "none:none%2Fnone")];
    let path = names.iter().fold(route.path.to_owned(), |path, (name, value)| path.replace(name, value));
    let mut request = Request::builder().method(route.method.clone()).uri(path);
    if route.method != Method::GET {
        request = request.header("content-type", "application/json");
    }
    let mut request = request.body(Body::from("{}")).expect("a request");
    // Already draining, so that streams end at once.
    let draining = CancellationToken::new();
    draining.cancel();
    request.extensions_mut().insert(Caller { may, uid: 0, body_within: Duration::from_secs(5), draining });
    request
}

#[tokio::test]
async fn every_route_lets_through_who_may_and_nobody_else() {
    let folder = TempDir::new().expect("a folder");
    let router = router(app(folder.path()).await);
    for route in ROUTES {
        let name = format!("{} {}", route.method, route.path);
        let may_not = match route.permission {
            Read => vec![None],
            Control => vec![None, Some(Read)],
        };
        for may in may_not {
            let answer = router.clone().oneshot(request(route, may)).await.expect("answered");
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name} by a caller who may {may:?}");
        }
        let answer = router.clone().oneshot(request(route, Some(route.permission))).await.expect("answered");
        let status = answer.status();
        assert!(
            status != StatusCode::FORBIDDEN && !status.is_server_error() && status != StatusCode::METHOD_NOT_ALLOWED,
            "{name}: {status}"
        );
    }
}

#[test]
fn every_route_is_described_and_every_description_is_a_route() {
    let document: serde_json::Value = serde_json::from_str(openapi::document()).expect("json");
    let mut described: Vec<_> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("an item").keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let mut routes: Vec<_> = ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    described.sort();
    routes.sort();
    assert_eq!(described, routes);
}

#[test]
fn the_documentation_has_a_row_for_every_route() {
    let documentation = include_str!("../../../../docs/api.md");
    for route in ROUTES {
        let permission = match route.permission {
            Read => "read",
            Control => "control",
        };
        let row = format!("| `{} {}` | {permission} |", route.method, route.path);
        assert!(documentation.contains(&row), "docs/api.md lacks the row {row}");
    }
}
