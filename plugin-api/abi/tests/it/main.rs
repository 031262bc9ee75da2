//! The boundary from outside: its layout, as published, and the contract of its two sides.

mod adapt;
mod layout;
mod open;
