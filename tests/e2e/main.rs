//! What a person does, through the real binary, socket and plugin files.

mod answers;
mod bad_input;
mod costs;
mod crashes;
mod deactivating;
mod files;
mod flows;
mod full_disk;
mod hosting;
mod input;
mod killed;
mod kills;
mod living;
mod load;
mod looking;
mod neighbours;
mod other_abi;
mod pages;
mod replacing;
mod secrets;
mod service;
mod streams;
mod synchronizing;
mod terminal;
mod trust;
mod unprivileged;
