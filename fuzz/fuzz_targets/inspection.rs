#![no_main]
//! Drives `gatehouse_host::fuzz::inspection`.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatehouse_host::fuzz::inspection(bytes));
