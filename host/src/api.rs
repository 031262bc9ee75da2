//! HTTP/1.1 JSON over the control socket: one route table, thin handlers, server-sent events.
//!
//! A request comes through [`server`] (who connects), the table in [`routes`] (may they), a handler of three steps
//! (decode, call [`crate::app`], encode), and, when refused, through [`errors`].

pub mod access;
mod audit;
mod auth;
mod busy;
pub mod client;
mod errors;
mod events;
mod extract;
mod handlers;
pub mod openapi;
mod patience;
mod routes;
pub mod server;
pub mod types;
