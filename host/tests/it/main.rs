//! The host's integration tests, one binary.
#![allow(clippy::unwrap_used, reason = "tests")]

mod api;
mod cli;
mod config;
mod entity;
mod fuzz;
mod gateway;
mod plugin;
mod reason;
mod store;
