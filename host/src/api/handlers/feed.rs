//! Streams: the log, and everything that changes.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::message::LogLevel;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::auth::Caller;
use crate::api::events;
use crate::api::extract::{Asked, flag, parsed};
use crate::api::types::{LogPage, Problem};
use crate::app::App;
use crate::app::feed::FeedChoice;
use crate::log::LogQuery;
use crate::schema;

/// Which lines of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogLines {
    /// About this integration only.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>)]
    integration: Option<IntegrationId>,
    /// Of this level or a graver one.
    #[param(value_type = Option<schema::LogLevel>)]
    level: Option<LogLevel>,
    /// Behind this place: the `resume` of an earlier answer, or the id of a line's event.
    after: Option<String>,
    /// At most this many, the newest ones.
    limit: Option<usize>,
    /// As a stream of events `log` that goes on with each new line; also `reset` and `missed`.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    follow: bool,
}

/// The log's lines in memory, oldest first; with `follow`, a stream. `Last-Event-ID` counts as `after`.
#[utoipa::path(get, path = "/v1/log", tag = "streams", params(LogLines),
    responses((status = 200, content((LogPage = "application/json"), (String = "text/event-stream"))),
        (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn log_get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Asked(asked): Asked<LogLines>,
) -> Response {
    let after = asked.after.or_else(|| last_event_id(&headers).map(str::to_owned));
    let query = LogQuery { integration: asked.integration, level: asked.level, after, limit: asked.limit };
    if asked.follow {
        return events::log_lines(app.log_follow(query), caller.draining);
    }
    Json(app.log_get(&query)).into_response()
}

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Changes {
    /// Readings: events `state`, `committed`, `reset`, `lagged`.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    states: bool,
    /// Integrations: events `lifecycle`.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    lifecycle: bool,
    /// Plugin files: events `plugin`.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    plugins: bool,
    /// Readings that are ready together as one event `states` with an array.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    batch: bool,
    /// The id of the last `committed` event that was seen.
    resume: Option<String>,
}

/// What changes, as it does; all of it when no kind is named. `Last-Event-ID` counts as `resume`.
#[utoipa::path(get, path = "/v1/events", tag = "streams", params(Changes),
    responses((status = 200, content((String = "text/event-stream"))),
        (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn feed_open(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Asked(Changes { states, lifecycle, plugins, batch, resume }): Asked<Changes>,
) -> Response {
    let all = !(states || lifecycle || plugins);
    let choice = FeedChoice { states: states || all, lifecycle: lifecycle || all, plugins: plugins || all };
    let resume = resume.or_else(|| last_event_id(&headers).map(str::to_owned));
    let feed = app.feed_open(choice, resume.as_deref());
    events::changes(app, feed, batch, caller.draining)
}

/// Where a client that lost its stream wants to go on.
fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok().filter(|id| !id.is_empty())
}
