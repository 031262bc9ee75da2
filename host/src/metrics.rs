//! Who costs what: counted where it happens, by integration, and told when somebody asks.
//!
//! ```text
//! gateway (calls, worker's processor time) ─┐
//! host_calls (readings, refusals, drops) ───┼─ Meter, one for each integration ─ app ─┬─ `gatehouse top`
//! supervisor (starts) ──────────────────────┘     + a look into /proc                 └─ exposition → GET /v1/metrics
//! ```
//!
//! What counts is a handful of atomics beside the work; everything that costs (reading `/proc`, putting text together)
//! is done by whoever asks. A meter lives as long as its integration, over any number of workers, and goes with it, so
//! that what is told of has as many members as there are integrations.
//!
//! The text form is written by the `prometheus` crate without its protocol buffers. Looked at and not taken: the
//! `metrics` facade, whose recorder is global and forgets a label only when it was idle for a time, and
//! `prometheus-client`, which writes OpenMetrics alone, while what reads files on a house server (node_exporter's text
//! files) reads the older form.

mod calls;
mod connections;
mod exposition;
mod meter;
mod process;

pub use self::calls::{CALL_FAMILIES, CallCost};
pub(crate) use self::connections::Connections;
pub(crate) use self::exposition::Exposition;
pub use self::meter::{Count, Meter, Meters, Tally};
pub use self::process::ProcessCost;
pub(crate) use self::process::look_at_self;
