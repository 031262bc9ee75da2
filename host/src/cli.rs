//! The commands, `noun verb`: a client of the control socket, and the daemon's own `serve`.
