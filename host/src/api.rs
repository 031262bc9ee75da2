//! HTTP/1.1 JSON over the control socket: one route table, thin handlers, server-sent events.

pub mod client;

pub mod types;
