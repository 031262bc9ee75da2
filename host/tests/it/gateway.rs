//! One plugin, two ways to run: what is promised of both is tried on both, what isolation adds on workers alone.

mod both;
mod crashes;
mod launches;
pub(crate) mod probe;
mod sandbox;
mod worker_deaths;
mod worker_process;
