//! What a person does, through the real binary, socket and plugin files.

mod files;
mod hosting;
mod input;
mod killed;
mod living;
mod replacing;
mod secrets;
mod streams;
mod unprivileged;
