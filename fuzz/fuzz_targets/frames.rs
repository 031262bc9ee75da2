//! Drives `gatehouse_host::fuzz::frames`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatehouse_host::fuzz::frames(bytes));
