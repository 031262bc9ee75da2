//! The daemon: configuration to build to run to drain.
