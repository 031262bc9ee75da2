//! Reading with a budget: however a file's tables overlap, repeat or exaggerate, only so many bytes are read of it.

use std::cell::Cell;
use std::ops::Range;

use object::read::ReadRef;

/// Far above what inspection reads of any real plugin (a few hundred kilobytes), far below what hurts a small machine.
const BUDGET_BYTES: u64 = 16 * 1024 * 1024;
/// What one read costs at least, so that very many small ones end as well.
const READ_COST_BYTES: u64 = 64;

/// What may still be read.
#[derive(Debug)]
pub(super) struct Budget(Cell<u64>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Cell::new(BUDGET_BYTES))
    }

    fn take(&self, bytes: u64) -> Result<(), ()> {
        let left = self.0.get().checked_sub(bytes.saturating_add(READ_COST_BYTES)).ok_or(())?;
        self.0.set(left);
        Ok(())
    }
}

/// A file's bytes, read within a budget.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounded<'a, R> {
    data: R,
    budget: &'a Budget,
}

impl<'a, R> Bounded<'a, R> {
    pub(super) fn new(data: R, budget: &'a Budget) -> Self {
        Self { data, budget }
    }
}

impl<'data, R: ReadRef<'data>> ReadRef<'data> for Bounded<'_, R> {
    fn len(self) -> Result<u64, ()> {
        self.data.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'data [u8], ()> {
        self.budget.take(size)?;
        self.data.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'data [u8], ()> {
        // The name of a section or symbol; the reader itself stops at 4096 bytes when it reads a file.
        self.budget.take(0)?;
        let bytes = self.data.read_bytes_at_until(range, delimiter)?;
        self.budget.take(bytes.len() as u64)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_when_the_budget_is_used_up_by_large_or_by_many_reads() {
        let bytes = vec![0_u8; 1024 * 1024];
        let budget = Budget::new();
        let data = Bounded::new(bytes.as_slice(), &budget);
        assert_eq!((0..).take_while(|_| data.read_bytes_at(0, 1024 * 1024).is_ok()).count(), 15);
        let budget = Budget::new();
        let data = Bounded::new(bytes.as_slice(), &budget);
        let reads = (0..).take_while(|_| data.read_bytes_at(0, 1).is_ok()).count() as u64;
        assert_eq!(reads, BUDGET_BYTES / (READ_COST_BYTES + 1));
    }
}
