//! One handler a route: decode, call the application, encode.
#![allow(unused_qualifications, reason = "what the macros of utoipa write")]

pub(super) mod audit;
pub(super) mod cost;
pub(super) mod crash;
pub(super) mod entity;
pub(super) mod feed;
pub(super) mod flow;
pub(super) mod integration;
pub(super) mod manage;
pub(super) mod plugin;
pub(super) mod state;
pub(super) mod status;
pub(super) mod trust;

use axum::Json;

use super::errors::ApiError;

/// What most handlers answer.
type Answer<T> = Result<Json<T>, ApiError>;
