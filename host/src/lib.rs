//! The Gatehouse host: from a file in the plugins folder to a supervised integration, and from there to people.
//!
//! `ARCHITECTURE.md` tells the way through the code.

pub mod api;
pub mod app;
mod boot;
mod causes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod entity;
pub mod fuzz;
pub mod gateway;
pub mod home;
pub mod integration;
pub mod log;
pub mod metrics;
pub mod nearest;
pub mod plugin;
pub mod reason;
pub mod schema;
pub mod serve;
mod service;
pub mod store;
