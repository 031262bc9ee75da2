//! The zoo: whatever a plugin does, the host tells it by the right reason, its neighbour keeps its pace, and nothing of
//! the animal is left when it is gone.
//!
//! A row names a fault (`PLACE KIND`, see `tests/plugins/zoo`) and what must come of it. Rows share a daemon, and each
//! has an integration of its own, which is well at first. [`keeper`] brings the fault about, [`neighbour`] uses the
//! virtual house all the while, [`footprint`] knows what the daemon holds.

mod channel;
mod crossing;
mod endings;
mod floods;
mod footprint;
mod hangs;
mod keeper;
mod lies;
mod neighbour;
mod panics;
mod process;
mod unprivileged;
mod want;
