//! What a gateway may do: emit readings, declare entities, keep values and secrets, report health.

/// The gateway's hold on its host. Cheap to clone; stays on the gateway's thread or goes to tasks.
#[derive(Debug, Clone)]
pub struct Context {}
