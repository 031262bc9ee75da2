//! The one table of routes: method, path, permission, handler.

use axum::Router;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use tower_http::catch_panic::CatchPanicLayer;

use super::audit::Audited;
use super::auth::Needs;
use super::auth::Permission::{self, Control, Read};
use super::errors;
use super::handlers::{audit, cost, crash, entity, feed, flow, integration, manage, plugin, state, status, trust};
use crate::app::App;

/// One route.
pub(super) struct Route {
    /// The method.
    pub(super) method: Method,
    /// The path, with its names in braces.
    pub(super) path: &'static str,
    /// What the caller must be permitted.
    pub(super) permission: Permission,
    /// What it does, as `noun_verb`.
    pub(super) operation: &'static str,
    /// What answers.
    pub(super) handler: fn(MethodFilter) -> MethodRouter<App>,
}

impl Route {
    /// Whether its use belongs into the audit list.
    fn changes_something(&self) -> bool {
        self.permission == Control && self.method != Method::GET
    }
}

macro_rules! routes {
    ($($method:ident $path:literal $permission:ident $room:ident::$handler:ident;)*) => {
        &[$(Route {
            method: Method::$method,
            path: $path,
            permission: $permission,
            operation: stringify!($handler),
            handler: |method| on(method, $room::$handler),
        }),*]
    };
}

/// Every route there is.
pub(super) const ROUTES: &[Route] = routes! {
    GET    "/v1/status"                              Read    status::status_get;
    GET    "/v1/costs"                               Read    cost::cost_list;
    GET    "/v1/metrics"                             Read    cost::metrics_get;
    GET    "/v1/openapi.json"                        Read    status::openapi_get;
    GET    "/v1/plugins"                             Read    plugin::plugin_list;
    GET    "/v1/plugins/{name}"                      Read    plugin::plugin_get;
    GET    "/v1/plugins/{name}/versions"             Read    plugin::plugin_versions;
    POST   "/v1/plugins/{name}/rollback"             Control plugin::plugin_rollback;
    POST   "/v1/plugins/{name}/pin"                  Control plugin::plugin_pin;
    POST   "/v1/plugins/{name}/unpin"                Control plugin::plugin_unpin;
    POST   "/v1/plugins/{name}/allow"                Control plugin::plugin_allow;
    GET    "/v1/integrations"                        Read    integration::integration_list;
    GET    "/v1/integrations/{id}"                   Read    integration::integration_get;
    POST   "/v1/integrations/{id}/pause"             Control integration::integration_pause;
    POST   "/v1/integrations/{id}/resume"            Control integration::integration_resume;
    POST   "/v1/integrations/{id}/synchronize"       Control integration::integration_synchronize;
    GET    "/v1/integrations/{id}/diagnostics"       Read    integration::integration_diagnostics;
    POST   "/v1/integrations/{id}/log-level"         Control integration::integration_log_level;
    GET    "/v1/integrations/{id}/explain"           Read    integration::integration_explain;
    POST   "/v1/integrations/{id}/move-back"         Control integration::integration_move_back;
    GET    "/v1/crashes"                             Read    crash::crash_list;
    GET    "/v1/crashes/{id}"                        Read    crash::crash_get;
    PATCH  "/v1/integrations/{id}/attributes"        Control integration::integration_set;
    GET    "/v1/integrations/{id}/manage"            Control manage::manage_get;
    POST   "/v1/integrations/{id}/manage"            Control manage::manage_post;
    POST   "/v1/flows"                               Control flow::flow_begin;
    GET    "/v1/flows/{id}"                          Control flow::flow_get;
    DELETE "/v1/flows/{id}"                          Control flow::flow_abort;
    POST   "/v1/flows/{id}/steps/{step_id}"          Control flow::flow_answer;
    GET    "/v1/entities"                            Read    entity::entity_list;
    GET    "/v1/entities/{address}"                  Read    entity::entity_get;
    PATCH  "/v1/entities/{address}"                  Control entity::entity_name;
    GET    "/v1/entities/{address}/snapshot"         Read    entity::entity_snapshot;
    GET    "/v1/entities/{address}/stream"           Control entity::entity_stream;
    GET    "/v1/states"                              Read    state::state_list;
    GET    "/v1/states/{address}"                    Read    state::state_get;
    POST   "/v1/states/{address}/control"            Control state::state_control;
    GET    "/v1/states/{address}/history"            Read    state::state_history;
    GET    "/v1/trust"                               Read    trust::trust_list;
    POST   "/v1/trust"                               Control trust::trust_add;
    POST   "/v1/trust/revocations"                   Control trust::trust_revoke;
    GET    "/v1/audit"                               Read    audit::audit_list;
    GET    "/v1/log"                                 Read    feed::log_get;
    GET    "/v1/events"                              Read    feed::feed_open;
};

/// The table with its handlers, permissions checked, panics caught.
pub(super) fn router(app: App) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let method = MethodFilter::try_from(route.method.clone()).expect("the table names common methods only");
        let mut handler = (route.handler)(method);
        if route.changes_something() {
            handler = handler.layer(Audited { app: app.clone(), operation: route.operation, path: route.path });
        }
        let checked = handler.layer(Needs(route.permission));
        router = router.route(route.path, checked);
    }
    router
        .method_not_allowed_fallback(errors::wrong_method)
        .fallback(errors::unknown_route)
        .layer(CatchPanicLayer::custom(errors::panicked))
        .with_state(app)
}

#[cfg(test)]
mod tests;
