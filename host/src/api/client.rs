//! A client of the control socket: one connection a request, typed JSON both ways, event streams.
//!
//! A connection a request because a Unix socket connects in microseconds and nothing has to be kept alive or retried.

mod error;
mod stream;

pub use error::ClientError;
pub use stream::{EventStream, ServerEvent};

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::types::Problem;
use crate::home::Home;

/// The largest answer that is read, in bytes; event streams are not bounded.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;

/// What may stand unencoded in one segment of a path or in a query value.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');

/// One part of a path or one query value, percent-encoded: an address holds `/`.
pub fn encoded(part: &str) -> String {
    utf8_percent_encode(part, SEGMENT).to_string()
}

/// A path with a query of the pairs whose value is there, encoded.
pub fn path_with_query(path: &str, query: &[(&str, Option<&str>)]) -> String {
    let mut text = path.to_owned();
    for (key, value) in query {
        if let Some(value) = value {
            text.push(if text.contains('?') { '&' } else { '?' });
            text.push_str(&encoded(key));
            text.push('=');
            text.push_str(&encoded(value));
        }
    }
    text
}

/// Talks to the daemon of one home. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    home: Home,
    socket: PathBuf,
}

/// An answer as it came: an image, or what `manage` gives when HTML is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The media type; empty when none was said.
    pub media_type: String,
    /// Where to go, of a redirect.
    pub location: Option<String>,
    /// The body.
    pub bytes: Bytes,
}

impl Client {
    /// A client for the daemon that serves `home`. Connects at the first request.
    pub fn new(home: &Home) -> Self {
        Self { home: home.clone(), socket: home.socket() }
    }

    /// The socket that is asked.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks for a path such as `/v1/status`; parts of it are written with [`encoded`].
    ///
    /// # Errors
    /// See [`ClientError`]; the same for all methods.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(Method::GET, path, None).await
    }

    /// Sends a JSON body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.json(Method::POST, path, Some(json_bytes(body))).await
    }

    /// Changes what is there.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.json(Method::PATCH, path, Some(json_bytes(body))).await
    }

    /// Deletes, or aborts a flow.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(Method::DELETE, path, None).await
    }

    /// Asks for a page as HTML or file instead of JSON. A redirect is an answer, not followed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<RawAnswer, ClientError> {
        self.as_it_comes(self.send(method, path, body.map(json_bytes), "text/html", None).await?).await
    }

    /// Asks for plain text.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn text(&self, path: &str) -> Result<String, ClientError> {
        let answer = self.as_it_comes(self.send(Method::GET, path, None, "text/plain", None).await?).await?;
        Ok(String::from_utf8_lossy(&answer.bytes).into_owned())
    }

    /// Asks for an image.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn image(&self, path: &str) -> Result<RawAnswer, ClientError> {
        self.as_it_comes(self.send(Method::GET, path, None, "image/*", None).await?).await
    }

    async fn as_it_comes(&self, response: Response<Incoming>) -> Result<RawAnswer, ClientError> {
        let status = response.status();
        let media_type = header(response.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
        let location = header(response.headers(), LOCATION.as_str());
        let bytes = self.body(response).await?;
        if status.is_client_error() || status.is_server_error() {
            return Err(answer_error(status, &bytes));
        }
        Ok(RawAnswer { status: status.as_u16(), media_type, location, bytes })
    }

    /// Opens an event stream (`/v1/events?…`, `/v1/log?follow=true`), from after the event with this id if one is given.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self, path: &str, after: Option<&str>) -> Result<EventStream, ClientError> {
        let response = self.send(Method::GET, path, None, "text/event-stream", after).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(answer_error(status, &self.body(response).await?));
        }
        Ok(EventStream::new(response.into_body()))
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, ClientError> {
        let response = self.send(method, path, body, "application/json", None).await?;
        let status = response.status();
        let bytes = self.body(response).await?;
        if !status.is_success() {
            return Err(answer_error(status, &bytes));
        }
        serde_json::from_slice(&bytes)
            .map_err(|source| ClientError::Unreadable { path: path.to_owned(), problem: source.to_string() })
    }

    async fn body(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| ClientError::Broken { problem: error.to_string() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        accept: &str,
        after: Option<&str>,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::connecting(&self.home, &self.socket, source))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| ClientError::broken(&error))?;
        // Ends when the response's body was read or dropped.
        tokio::spawn(connection);
        let mut request =
            Request::builder().method(method).uri(path).header("host", "gatehouse").header(ACCEPT, accept);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| ClientError::BadRequest { path: path.to_owned(), problem: error.to_string() })?;
        sender.send_request(request).await.map_err(|error| ClientError::broken(&error))
    }
}

fn json_bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("the contract's types have string keys only, so they always become JSON")
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The error of an answer with an error status; a body that is no [`Problem`] becomes its message.
fn answer_error(status: StatusCode, body: &[u8]) -> ClientError {
    let problem = serde_json::from_slice(body).unwrap_or_else(|_| Problem {
        code: "unreadable".to_owned(),
        message: format!("the daemon answered {status}"),
        fields: std::collections::BTreeMap::new(),
    });
    ClientError::Answer { status: status.as_u16(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_one_segment_of_a_path() {
        assert_eq!(encoded("virtual-house:lamp/power"), "virtual-house:lamp%2Fpower");
        assert_eq!(encoded("mqtt:a%2Fb/c d"), "mqtt:a%252Fb%2Fc%20d");
    }

    #[test]
    fn queries_hold_only_what_is_there() {
        let path = path_with_query("/v1/log", &[("level", Some("warn")), ("integration", None), ("q", Some("a&b"))]);
        assert_eq!(path, "/v1/log?level=warn&q=a%26b");
    }
}
