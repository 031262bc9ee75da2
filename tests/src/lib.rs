//! A daemon in a home of its own, its command line and its socket, as a person and a program use them.

pub mod build;
pub mod daemon;
pub mod disk;
pub mod events;
pub mod exposition;
pub mod figure;
pub mod house;
pub mod http;
pub mod memory_group;
pub mod secret;
pub mod terminal;
pub mod user;
pub mod wait;
