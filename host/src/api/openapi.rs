//! The OpenAPI description, made from the handlers and the contract's types.

use std::sync::LazyLock;

use utoipa::OpenApi;

use super::handlers;

/// The description that is committed as `docs/openapi.json` and answered at `/v1/openapi.json`.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let document = Document::openapi();
    let mut text = document.to_pretty_json().expect("the description has string keys only, so it becomes JSON");
    text.push('\n');
    text
});

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Gatehouse",
        description = "The daemon's control socket: HTTP/1.1 over the Unix socket `gatehouse.sock` in the home.",
        license(name = "MIT", identifier = "MIT")
    ),
    paths(
        handlers::status::status_get,
        handlers::cost::cost_list,
        handlers::cost::metrics_get,
        handlers::status::openapi_get,
        handlers::plugin::plugin_list,
        handlers::plugin::plugin_get,
        handlers::plugin::plugin_versions,
        handlers::plugin::plugin_rollback,
        handlers::plugin::plugin_pin,
        handlers::plugin::plugin_unpin,
        handlers::plugin::plugin_allow,
        handlers::integration::integration_list,
        handlers::integration::integration_get,
        handlers::integration::integration_pause,
        handlers::integration::integration_resume,
        handlers::integration::integration_synchronize,
        handlers::integration::integration_diagnostics,
        handlers::integration::integration_log_level,
        handlers::integration::integration_explain,
        handlers::integration::integration_move_back,
        handlers::integration::integration_set,
        handlers::crash::crash_list,
        handlers::crash::crash_get,
        handlers::manage::manage_get,
        handlers::manage::manage_post,
        handlers::flow::flow_begin,
        handlers::flow::flow_get,
        handlers::flow::flow_answer,
        handlers::flow::flow_abort,
        handlers::entity::entity_list,
        handlers::entity::entity_get,
        handlers::entity::entity_name,
        handlers::entity::entity_snapshot,
        handlers::entity::entity_stream,
        handlers::state::state_list,
        handlers::state::state_get,
        handlers::state::state_control,
        handlers::state::state_history,
        handlers::trust::trust_list,
        handlers::trust::trust_add,
        handlers::trust::trust_revoke,
        handlers::audit::audit_list,
        handlers::feed::log_get,
        handlers::feed::feed_open,
    ),
    components(schemas(
        crate::api::types::Problem,
        crate::api::types::ReadingEvent,
        crate::api::types::CommittedEvent,
        crate::api::types::LaggedEvent,
        crate::api::types::MissedEvent,
        crate::api::types::LifecycleEvent,
        crate::api::types::PluginEvent,
    ))
)]
pub(super) struct Document;

/// The description as JSON text, ending in a line break.
pub fn document() -> &'static str {
    &DOCUMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_description_is_this_code_s() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, document()).expect("written");
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == document(),
            "docs/openapi.json differs from the code: run `UPDATE=1 cargo test -p gatehouse-host openapi` and commit it"
        );
    }

    #[test]
    fn the_description_is_of_openapi_3_1() {
        assert!(document().starts_with("{\n  \"openapi\": \"3.1"), "{}", &document()[..60]);
    }
}
