//! The library's own constructor: runs while it is opened, before anything is asked of it.

use std::path::Path;

use crate::fault::Fault;

#[used]
#[unsafe(link_section = ".init_array")]
static INIT: extern "C" fn() = init;

extern "C" fn init() {
    // Only a worker has it; the folder is the integration's own.
    let Some(folder) = std::env::var_os("TMPDIR") else { return };
    let Some(fault) = Fault::at(Path::new(&folder), "init") else { return };
    let fields: [(&str, &[u8]); 3] =
        [("lie-label", b"label\xA3Zoo"), ("lie-id", b"\xA2id\xA3zoo"), ("lie-version", b"version\xA50.1.0")];
    match fields.iter().find(|(kind, _)| fault.is(kind)) {
        Some((_, field)) => lie(field),
        None => fault.strike_now(),
    }
}

/// Changes a field of the manifest in memory, so that the running code tells something else than the file.
fn lie(field: &[u8]) {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("its own account");
    let own = maps.lines().filter(|line| line.contains("zoo") && line.contains(" r--p "));
    for line in own {
        let (start, rest) = line.split_once('-').expect("a range");
        let (end, _) = rest.split_once(' ').expect("a range");
        let bound = |text| usize::from_str_radix(text, 16).expect("hexadecimal");
        change(bound(start), bound(end), field);
    }
}

/// The last letter becomes another, wherever the field stands.
fn change(start: usize, end: usize, field: &[u8]) {
    let base = std::ptr::with_exposed_provenance_mut::<u8>(start);
    let size = field.len();
    let mut found = Vec::new();
    let mut from = 0;
    // All of them before the first is changed: what is looked for stands there as well.
    while from + size <= end - start {
        // SAFETY: within the mapping.
        let rest = unsafe { base.add(from) };
        // SAFETY: one mapping of this library's file, which stays, and the field; neither is written to meanwhile.
        let at = unsafe { libc::memmem(rest.cast(), end - start - from, field.as_ptr().cast(), size) };
        if at.is_null() {
            break;
        }
        found.push(at.addr() - start);
        from = at.addr() - start + size;
    }
    if found.is_empty() {
        return;
    }
    // SAFETY: the same mapping.
    unsafe { libc::mprotect(base.cast(), end - start, libc::PROT_READ | libc::PROT_WRITE) };
    for at in found {
        // SAFETY: within the mapping.
        let letter = unsafe { base.add(at + size - 1) };
        // SAFETY: the mapping can be written to by now.
        unsafe { letter.write_volatile(b'9') };
    }
}
