//! The SDK as an author sees it: one binary, one module a subject.

mod minimal;
mod section;
mod settings;
