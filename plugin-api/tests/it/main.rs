//! The SDK as an author sees it: one binary, one module a subject.

mod boundary;
mod compile_fail;
mod fixture;
mod minimal;
mod payloads;
mod section;
mod settings;
mod strict;
mod text;
