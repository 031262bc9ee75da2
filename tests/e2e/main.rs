//! What a person does, through the real binary, socket and plugin files.

mod files;
mod input;
