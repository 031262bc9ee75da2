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
    if fault.is("lie") {
        lie();
    } else {
        fault.strike_now();
    }
}

/// Changes the manifest in memory, so that the running code tells another version than the file.
fn lie() {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("its own account");
    let own = maps.lines().filter(|line| line.contains("zoo") && line.contains(" r--p "));
    for line in own {
        let (start, rest) = line.split_once('-').expect("a range");
        let (end, _) = rest.split_once(' ').expect("a range");
        let bound = |text| usize::from_str_radix(text, 16).expect("hexadecimal");
        change(bound(start), bound(end));
    }
}

/// The first letter of the label becomes another, wherever it stands as a field of the manifest.
fn change(start: usize, end: usize) {
    const LABEL: &[u8] = b"label\xA3Zoo";
    let base = std::ptr::with_exposed_provenance_mut::<u8>(start);
    // SAFETY: one mapping of this library's file, which stays.
    let bytes = unsafe { std::slice::from_raw_parts(base, end - start) };
    let Some(at) = bytes.windows(LABEL.len()).position(|window| window == LABEL) else { return };
    // SAFETY: the same mapping.
    unsafe { libc::mprotect(base.cast(), end - start, libc::PROT_READ | libc::PROT_WRITE) };
    // SAFETY: within the mapping.
    let letter = unsafe { base.add(at + LABEL.len() - 1) };
    // SAFETY: the mapping can be written to by now.
    unsafe { letter.write_volatile(b'k') };
}
