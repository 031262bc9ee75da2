//! The control socket, asked over the socket: what is answered, refused and streamed.

mod access;
mod daemon;
mod input;
mod serve;
mod socket;
mod states;
mod streams;
