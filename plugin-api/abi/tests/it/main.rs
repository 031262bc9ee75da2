//! The boundary from outside: its layout, as published.

mod layout;
