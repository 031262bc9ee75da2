//! The room's tests: real database and house, scripted gateways, a clock that is moved by hand.

#![allow(clippy::unwrap_used, reason = "tests")]

mod activation;
mod control;
mod deactivation;
mod ends;
mod life;
mod looking;
mod own_flows;
mod pages;
mod revoked;
mod rig;
mod script;
mod settings;
mod switch;
mod synchronize;
mod upgrades;

pub(super) use deactivation::lamp;
pub(super) use rig::{Rig, plugin};
