//! The SDK as an author sees it: one binary, one module a subject.

mod section;
mod settings;
