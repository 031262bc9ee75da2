//! Who may do what: the kernel says who connects, the route table says what a route needs.

use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::Either;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};

use super::errors::ApiError;

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Permission {
    /// To look.
    Read,
    /// To change something.
    Control,
}

impl Permission {
    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Control => "control",
        }
    }
}

/// Who a connection belongs to; every request carries it.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// What they may do at most; `None`: nothing.
    pub(super) may: Option<Permission>,
    /// The user.
    pub(super) uid: u32,
    /// How long a request's body may take to arrive.
    pub(super) body_within: Duration,
    /// Cancelled when the daemon drains: streams end.
    pub(super) draining: CancellationToken,
}

/// Lets requests through to a route that needs a permission, or refuses them; no allocation on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs(pub(super) Permission);

impl<S> Layer<S> for Needs {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { needed: self.0, inner }
    }
}

/// A route behind its permission.
#[derive(Debug, Clone)]
pub(super) struct Guarded<S> {
    needed: Permission,
    inner: S,
}

impl<S: Service<Request, Response = Response>> Service<Request> for Guarded<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let may = request.extensions().get::<Caller>().and_then(|caller| caller.may);
        if may.is_some_and(|may| may >= self.needed) {
            return Either::Left(self.inner.call(request));
        }
        let refusal = ApiError::forbidden(format!(
            "this needs the permission to {}: run it as the user that runs the daemon, or as root; access.{}_groups \
             gives it to others",
            self.needed.word(),
            self.needed.word()
        ));
        Either::Right(ready(Ok(refusal.into_response())))
    }
}
