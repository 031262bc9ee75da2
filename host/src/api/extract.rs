//! What handlers take: JSON bodies, names in the path, queries; each refusal is a sentence about the thing.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use gatehouse_plugin_api::duration::format_ms;
use http_body_util::BodyExt;
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserializer, de};

use super::auth::Caller;
use super::errors::ApiError;

/// The largest body that is taken, in bytes.
pub(super) const BODY_MAX_BYTES: usize = 1024 * 1024;
/// How much of a too large body is read and thrown away, so that its sender hears why it was refused.
const DISCARD_MAX_BYTES: usize = 16 * BODY_MAX_BYTES;
/// How long a body may take to arrive when nobody says so.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// A JSON body. Fields that the type does not know are refused by the type's own `deny_unknown_fields`.
pub(super) struct Given<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Given<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            let message = "the body must be JSON: send the header content-type: application/json";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message));
        }
        read_json(&read_body(request).await?).map(Self)
    }
}

/// Free fields, as a JSON object or as a form sends them.
pub(super) struct GivenForm(pub(super) BTreeMap<String, String>);

impl<S: Sync> FromRequest<S> for GivenForm {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let json = is_json(request.headers());
        let body = read_body(request).await?;
        if json && !body.is_empty() {
            return read_json(&body).map(Self);
        }
        let pairs = url::form_urlencoded::parse(&body);
        Ok(Self(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())).collect()))
    }
}

/// The one name in the path: an id or an address.
pub(super) struct Named<T>(pub(super) T);

impl<T: FromStr<Err: Into<ApiError>>, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = path.map_err(|error| bad_part("path", &error.body_text()))?;
        name.parse().map(Self).map_err(Into::into)
    }
}

/// The two names in the path.
pub(super) struct NamedPair(pub(super) String, pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for NamedPair {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        path.map(|Path((first, second))| Self(first, second)).map_err(|error| bad_part("path", &error.body_text()))
    }
}

/// The query, with unknown keys refused by the type's own `deny_unknown_fields`.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => Err(bad_part("query", &cause_of(&error))),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json") || media_type.to_ascii_lowercase().ends_with("+json")
}

async fn read_body(request: Request) -> Result<Vec<u8>, ApiError> {
    let within = request.extensions().get::<Caller>().map_or(BODY_WITHIN, |caller| caller.body_within);
    let mut body: Body = request.into_body();
    let reading = async {
        let mut bytes = Vec::new();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ApiError::bad_request(format!("the body broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            length += data.len();
            if length <= BODY_MAX_BYTES {
                bytes.extend_from_slice(&data);
            } else if length > DISCARD_MAX_BYTES {
                break;
            }
        }
        if length > BODY_MAX_BYTES {
            let message = format!("the body is larger than {BODY_MAX_BYTES} bytes, the most that is taken");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
        }
        Ok(bytes)
    };
    tokio::time::timeout(within, reading).await.unwrap_or_else(|_| {
        let message = format!(
            "the body took longer than {} to arrive",
            format_ms(u64::try_from(within.as_millis()).unwrap_or(u64::MAX))
        );
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message))
    })
}

fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.is_empty() {
        return Err(ApiError::bad_request("the body is empty: send a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            bad_part("body", &error.to_string())
        } else {
            ApiError::bad_request(format!("the body is not JSON: {error}"))
        }
    })
}

/// The refusal of a part that has the wrong fields or values. A value is not repeated: it may be a secret.
fn bad_part(part: &str, problem: &str) -> ApiError {
    let problem = without_values(problem);
    let error = ApiError::bad_request(format!("the {part} cannot be used: {problem}"));
    match problem.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        Some((field, _)) => error.with_field(field, "is not known"),
        None => error,
    }
}

/// serde's sentence without the value that it quotes: `invalid type: string "x", expected …`.
fn without_values(problem: &str) -> String {
    let quoting = ["invalid type: string \"", "invalid value: string \""].iter().find_map(|start| {
        let begin = problem.find(start)? + start.len();
        let end = problem.rfind("\", expected ")?;
        (begin <= end).then_some((begin - 1, end + 1))
    });
    match quoting {
        Some((begin, end)) => format!("{}{}", problem[..begin].trim_end(), &problem[end..]),
        None => problem.to_owned(),
    }
}

/// The innermost cause, which is serde's own sentence.
fn cause_of(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A switch in a query: `?follow`, `?follow=1`, `?follow=true`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct FlagVisitor;
    impl Visitor<'_> for FlagVisitor {
        type Value = bool;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("1 or 0, true or false")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
            match text {
                "" | "1" | "true" | "yes" | "on" => Ok(true),
                "0" | "false" | "no" | "off" => Ok(false),
                other => Err(E::custom(format!("{other:?} is neither 1 nor 0"))),
            }
        }
    }
    deserializer.deserialize_str(FlagVisitor)
}

/// A value in a query that is read by its type's own `FromStr`.
pub(super) fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text: String = serde::Deserialize::deserialize(deserializer)?;
    text.parse().map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_repeated_in_sentences() {
        let problem = "invalid type: string \"hunter2, expected\", expected a map at line 1 column 20";
        assert_eq!(without_values(problem), "invalid type: string, expected a map at line 1 column 20");
        assert_eq!(without_values("missing field `kind`"), "missing field `kind`");
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = read_json::<crate::api::types::EntityPatch>(br#"{"labl":"x"}"#).expect_err("refused");
        let expected = "the body cannot be used: unknown field `labl`, expected `label` at line 1 column 7";
        let expected = ApiError::bad_request(expected);
        assert_eq!(error, expected.with_field("labl", "is not known"));
    }

    #[test]
    fn json_that_is_none_has_a_line_and_a_column() {
        let error = read_json::<crate::api::types::EntityPatch>(b"{\n  \"label\" 3}").expect_err("refused");
        let expected = "the body is not JSON: expected `:` at line 2 column 11";
        assert_eq!(error, ApiError::bad_request(expected));
    }
}
