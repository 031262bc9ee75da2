//! The plugin's own flows: founding a house, and giving it up.

mod activate;
mod deactivate;

pub(crate) use activate::Activation;
pub(crate) use deactivate::deactivate;
