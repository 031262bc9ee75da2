//! Every change that is asked for over the socket leaves an entry: who, what, of which thing, when, and how it went.
//!
//! The entry is made from the route, never from the body, so no value of a setting can be in it. It is written beside
//! the answer, not before it: what was done is done.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use percent_encoding::percent_decode_str;
use tower::{Layer, Service};

use super::auth::Caller;
use crate::app::App;
use crate::store::AuditEntry;

/// The longest target that is kept, in characters.
const TARGET_CHARS: usize = 200;

/// What a handler says was changed, when the path does not: put into the answer's extensions.
#[derive(Debug, Clone)]
pub(super) struct Target(pub(super) String);

/// Keeps an entry of every request that reaches the route.
#[derive(Debug, Clone)]
pub(super) struct Audited {
    pub(super) app: App,
    /// The operation's name.
    pub(super) operation: &'static str,
    /// The route's path, with its names in braces.
    pub(super) path: &'static str,
}

impl<S> Layer<S> for Audited {
    type Service = Keeping<S>;

    fn layer(&self, inner: S) -> Keeping<S> {
        Keeping { audited: self.clone(), inner }
    }
}

/// A route whose requests are kept.
#[derive(Debug, Clone)]
pub(super) struct Keeping<S> {
    audited: Audited,
    inner: S,
}

impl<S> Service<Request> for Keeping<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Audited { app, operation, path } = self.audited.clone();
        let uid = request.extensions().get::<Caller>().map_or(u32::MAX, |caller| caller.uid);
        let from_path = target_of(path, request.uri().path());
        let answering = self.inner.call(request);
        Box::pin(async move {
            let response = answering.await?;
            let target = response.extensions().get::<Target>().map_or(from_path, |Target(target)| target.clone());
            let target = target.chars().take(TARGET_CHARS).collect();
            let outcome = outcome_of(response.status()).to_owned();
            let via = "socket".to_owned();
            app.audit_keep(AuditEntry {
                at_ms: 0,
                uid,
                user: None,
                via,
                operation: operation.to_owned(),
                target,
                outcome,
            });
            Ok(response)
        })
    }
}

/// The parts of the path that stand in the place of names, in order.
fn target_of(route: &str, path: &str) -> String {
    let names = route.split('/').zip(path.split('/')).filter(|(part, _)| part.starts_with('{'));
    names.map(|(_, name)| percent_decode_str(name).decode_utf8_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn outcome_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..400 => "done",
        400..500 => "refused",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_what_stands_in_the_path() {
        for (route, path, expect) in [
            ("/v1/flows", "/v1/flows", ""),
            ("/v1/integrations/{id}/pause", "/v1/integrations/hass/pause", "hass"),
            ("/v1/states/{address}/control", "/v1/states/hass:light.a%2Fpower/control", "hass:light.a/power"),
            ("/v1/flows/{id}/steps/{step_id}", "/v1/flows/f1/steps/user", "f1 user"),
        ] {
            assert_eq!(target_of(route, path), expect);
        }
    }

    #[test]
    fn the_outcome_is_one_of_three_words() {
        let words = [StatusCode::CREATED, StatusCode::CONFLICT, StatusCode::INTERNAL_SERVER_ERROR].map(outcome_of);
        assert_eq!(words, ["done", "refused", "failed"]);
    }
}
