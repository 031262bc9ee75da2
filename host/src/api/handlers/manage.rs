//! A plugin's own pages: as data by default, as pages for a reader that prefers HTML.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::manage::{ManageRequest, Method};

use crate::api::errors::ApiError;
use crate::api::extract::{Asked, GivenForm, Named};
use crate::api::types::{ManageAnswer, Problem};
use crate::app::App;
use crate::integration::ManagePage;

type Params = Asked<BTreeMap<String, String>>;

/// What a plugin's page may do in a browser: show itself and send its forms; no script.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'";

/// Looks at a page of the plugin's own. The query's parameters are the plugin's.
#[utoipa::path(get, path = "/v1/integrations/{id}/manage", tag = "integrations",
    params(("id" = String, Path, description = "The integration")),
    responses((status = 200, description = "As JSON; with `accept: text/html` the page or file itself", body = ManageAnswer),
        (status = 303, description = "With `accept: text/html`: another page"),
        (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn manage_get(
    State(app): State<App>,
    Named(id): Named<IntegrationId>,
    Asked(params): Params,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let request = ManageRequest { method: Method::Get, params, form: BTreeMap::new() };
    Ok(answer(app.integration_manage(&id, request).await?, uri.path(), &headers))
}

/// Sends a form to a page of the plugin's own, as JSON or as a browser does.
#[utoipa::path(post, path = "/v1/integrations/{id}/manage", tag = "integrations",
    params(("id" = String, Path, description = "The integration")),
    request_body(content((BTreeMap<String, String> = "application/json"),
        (BTreeMap<String, String> = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "As JSON; with `accept: text/html` the page or file itself", body = ManageAnswer),
        (status = 303, description = "With `accept: text/html`: another page"),
        (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn manage_post(
    State(app): State<App>,
    Named(id): Named<IntegrationId>,
    Asked(params): Params,
    uri: Uri,
    headers: HeaderMap,
    GivenForm(form): GivenForm,
) -> Result<Response, ApiError> {
    let request = ManageRequest { method: Method::Post, params, form };
    Ok(answer(app.integration_manage(&id, request).await?, uri.path(), &headers))
}

fn answer(page: ManagePage, path: &str, headers: &HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") { as_page(page, path) } else { Json(ManageAnswer::from(page)).into_response() }
}

fn as_page(page: ManagePage, path: &str) -> Response {
    let text =
        |media_type: &'static str| [(header::CONTENT_TYPE, media_type), (header::CONTENT_SECURITY_POLICY, PAGE_POLICY)];
    match page {
        ManagePage::Html(html) => (text("text/html; charset=utf-8"), html).into_response(),
        ManagePage::Redirect(params) => {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
            (StatusCode::SEE_OTHER, [(header::LOCATION, format!("{path}?{query}"))]).into_response()
        }
        ManagePage::File { name, media_type, bytes } => {
            let unknown = HeaderValue::from_static("application/octet-stream");
            let media_type = HeaderValue::try_from(media_type).unwrap_or(unknown);
            let name: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
            let disposition = format!("attachment; filename=\"{name}\"");
            let nosniff = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            let disposition = HeaderValue::try_from(disposition).expect("plain characters make a header value");
            let headers = [(header::CONTENT_TYPE, media_type), (header::CONTENT_DISPOSITION, disposition), nosniff];
            (headers, bytes).into_response()
        }
        ManagePage::Message { error, text: sentence } => {
            let status = if error { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
            (status, text("text/plain; charset=utf-8"), sentence).into_response()
        }
    }
}

/// What may stand in a quoted file name without escaping.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_goes_to_the_same_page_with_other_parameters() {
        let params = BTreeMap::from([("room".to_owned(), "living room".to_owned())]);
        let response = as_page(ManagePage::Redirect(params), "/v1/integrations/hass/manage");
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()["location"], "/v1/integrations/hass/manage?room=living+room");
    }

    #[test]
    fn a_file_cannot_break_out_of_its_headers() {
        let page = ManagePage::File {
            name: "a\"\r\nx: y.csv".into(),
            media_type: "text/csv\r\nx: y".into(),
            bytes: b"1".to_vec(),
        };
        let response = as_page(page, "/");
        assert_eq!(response.headers()["content-type"], "application/octet-stream");
        assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"a___x_ y.csv\"");
    }
}
