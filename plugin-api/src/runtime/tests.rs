//! The runtime through the boundary it is used by: a [`House`] as the host, small gateways as the plugins.
#![allow(clippy::unwrap_used, reason = "tests")]

mod calls;
mod deadlines;
mod ends;
mod logs;
mod panics;
mod readings;
mod stores;

use crate::error::Result;
use crate::ops::Op;
use crate::{Context, Entity, State};

/// A number that no table has.
const UNKNOWN: Op = Op { number: 999, name: "unknown", since_minor: 0, deadline: std::time::Duration::from_secs(10) };

/// Declares `meter/count`, a number.
async fn declare_meter(context: &Context) -> Result<()> {
    context.declare([Entity::new("meter").state(State::number("count", ""))]).await
}
