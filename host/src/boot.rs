//! One run of the daemon, told from every other: the first half of the places that streams are resumed at.

/// A name for this run of the daemon that no other run has.
pub(crate) fn new_boot() -> String {
    let mut bytes = [0_u8; 8];
    if getrandom::fill(&mut bytes).is_err() {
        // Without a source of random numbers two runs still begin at different times.
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        bytes.copy_from_slice(&nanos.to_le_bytes()[..8]);
    }
    hex::encode(bytes)
}
