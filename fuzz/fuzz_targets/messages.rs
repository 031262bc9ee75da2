//! Drives `gatehouse_host::fuzz::messages`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatehouse_host::fuzz::messages(bytes));
