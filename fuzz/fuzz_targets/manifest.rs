//! Drives `gatehouse_host::fuzz::manifest_section`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatehouse_host::fuzz::manifest_section(bytes));
