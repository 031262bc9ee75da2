#![no_main]
//! Drives `gatehouse_host::fuzz::messages`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatehouse_host::fuzz::messages(bytes));
