//! The SDK as an author sees it: one binary, one module a subject.

mod boundary;
mod fixture;
mod minimal;
mod section;
mod settings;
mod strict;
