//! What a person does, through the real binary, socket and plugin files.

mod files;
mod hosting;
mod input;
mod living;
mod replacing;
