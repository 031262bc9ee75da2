//! The page that a dying process writes to: its layout, and how it is read by whoever outlives it.
//!
//! What a worker wrote is the word of a process with a plugin in it: every number may be a lie, so every one is
//! bounded here and has a result.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};

use super::sys::crash::{EMPTY, WHOLE};

/// The places of the numbers at the page's beginning.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub(super) enum Field {
    State,
    Signal,
    Code,
    Sender,
    Address,
    Counter,
    Stack,
    Thread,
    Process,
    MapsBytes,
    StackFrom,
    StackBytes,
    /// When, in milliseconds since 1970 UTC.
    AtMs,
    /// Sixteen bytes: two fields.
    Name,
}

/// Numbers at the page's beginning.
pub(super) const FIELDS: usize = Field::Name as usize + 2;
/// Where the account of what is mapped begins.
pub(super) const MAPS_AT: usize = 4096;
/// Room for it: some 1,500 mappings.
pub(super) const MAPS_BYTES: usize = 128 * 1024;
/// Where the copy of the faulting stack begins.
pub(super) const STACK_AT: usize = MAPS_AT + MAPS_BYTES;
/// Room for it.
pub(super) const STACK_BYTES: usize = 32 * 1024;
/// Where the seats begin: who flies in a process with several plugins.
pub(super) const SEATS_AT: usize = STACK_AT + STACK_BYTES;
/// Seats.
pub(super) const SEATS: usize = 64;
/// Numbers of a seat.
pub(super) const SEAT_FIELDS: usize = 32;
/// The whole page. Pages of it that are never written cost nothing.
pub(super) const PAGE_BYTES: usize = SEATS_AT + SEATS * SEAT_FIELDS * 8;

/// A new page in memory.
pub(super) fn create() -> io::Result<OwnedFd> {
    let page = memfd_create("crash", MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&page, PAGE_BYTES as u64)?;
    Ok(page)
}

/// What a process wrote at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastWord {
    pub(super) signal: i32,
    /// How the signal came about (`si_code`): 0 or less when it was sent, else a fault.
    pub(super) code: i32,
    /// Who sent it, when it was sent.
    pub(super) sender: u32,
    /// The address that was used, for a fault.
    pub(super) address: u64,
    pub(super) counter: u64,
    pub(super) stack: u64,
    pub(super) thread: u32,
    pub(super) process: u32,
    pub(super) at_ms: u64,
    pub(super) thread_name: String,
    /// `/proc/PID/maps`.
    pub(super) maps: String,
    stack_from: u64,
    stack_words: Vec<u64>,
}

impl LastWord {
    /// Reads a page; `None` when nothing was written.
    pub(super) fn read(page: OwnedFd) -> Option<Self> {
        let page = File::from(page);
        let mut header = [0; FIELDS * 8];
        page.read_exact_at(&mut header, 0).ok()?;
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at * 8..at * 8 + 8]);
            u64::from_ne_bytes(bytes)
        };
        let field = |field: Field| number(field as usize);
        let state = field(Field::State);
        if state == EMPTY {
            return None;
        }
        // Of one that was cut short the numbers are good, the rest is not.
        let whole = state == WHOLE;
        let part = |at: usize, bytes: u64, most: usize| {
            let length = usize::try_from(bytes).unwrap_or(usize::MAX).min(if whole { most } else { 0 });
            let mut part = vec![0; length];
            page.read_exact_at(&mut part, at as u64).map_or_else(|_| Vec::new(), |()| part)
        };
        let maps = part(MAPS_AT, field(Field::MapsBytes), MAPS_BYTES);
        let stack = part(STACK_AT, field(Field::StackBytes), STACK_BYTES);
        let name = &header[Field::Name as usize * 8..][..16];
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(Self {
            signal: i32::try_from(field(Field::Signal)).ok()?,
            code: field(Field::Code) as i32,
            sender: field(Field::Sender) as u32,
            address: field(Field::Address),
            counter: field(Field::Counter),
            stack: field(Field::Stack),
            thread: field(Field::Thread) as u32,
            process: field(Field::Process) as u32,
            at_ms: field(Field::AtMs),
            thread_name: String::from_utf8_lossy(name).into_owned(),
            maps: String::from_utf8_lossy(&maps).into_owned(),
            stack_from: field(Field::StackFrom),
            stack_words: stack
                .chunks_exact(8)
                .map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()))
                .collect(),
        })
    }

    /// Another process sent the signal.
    pub(super) fn was_sent_by_another(&self) -> bool {
        self.code <= 0 && self.sender != 0 && self.sender != self.process
    }

    /// The fault is of a stack that ran full: it was used right below where it ends.
    pub(super) fn is_stack_overflow(&self) -> bool {
        const NEAR: u64 = 64 * 1024;
        self.signal == libc::SIGSEGV && self.code > 0 && self.stack != 0 && self.address.abs_diff(self.stack) <= NEAR
    }

    /// What looks like a place to return to: the words on the faulting stack, innermost first, that point into code.
    pub(super) fn on_stack(&self) -> impl Iterator<Item = u64> + '_ {
        self.stack_words.iter().copied()
    }

    /// The mapping that an address lies in, when it is code of a file: its path, and the address's offset in the file.
    pub(super) fn code_at(&self, address: u64) -> Option<(&str, u64)> {
        self.maps.lines().find_map(|line| {
            let mapping = Mapping::parse(line)?;
            let inside = mapping.start <= address && address < mapping.end;
            let code = mapping.rights.as_bytes().get(2) == Some(&b'x') && mapping.path.starts_with('/');
            (inside && code).then(|| (mapping.path, address - mapping.start + mapping.offset))
        })
    }
}

/// A readable part of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The readable mapping that holds `address`; when that one cannot be read (a guard page), the one that begins where
/// it ends. Runs in a signal handler: allocates nothing and calls nobody.
pub(super) fn region_of(maps: &[u8], address: u64) -> Option<Region> {
    let mut wanted = address;
    for line in maps.split(|byte| *byte == b'\n') {
        let (start, rest) = hexadecimal(line)?;
        let (end, rest) = hexadecimal(rest.strip_prefix(b"-")?)?;
        if start <= wanted && wanted < end {
            if rest.get(1) == Some(&b'r') {
                return Some(Region { start, end });
            }
            wanted = end;
        }
    }
    None
}

fn hexadecimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    let mut length = 0;
    for byte in text {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => break,
        };
        number = number.checked_mul(16)?.checked_add(u64::from(digit))?;
        length += 1;
    }
    (length > 0).then(|| (number, text.split_at(length).1))
}

/// One line of the account.
struct Mapping<'a> {
    start: u64,
    end: u64,
    rights: &'a str,
    offset: u64,
    path: &'a str,
}

impl<'a> Mapping<'a> {
    /// `start-end rights offset device inode path`.
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let rights = words.next()?;
        let offset = words.next()?;
        let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
        Some(Self {
            start: hexadecimal(start)?,
            end: hexadecimal(end)?,
            rights,
            offset: hexadecimal(offset)?,
            path: words.nth(2).unwrap_or_default().trim_start(),
        })
    }
}

/// What the handler writes of a fault, for tests.
#[cfg(test)]
pub(super) fn fault(thread: u64, counter: u64, maps: usize) -> [(Field, u64); 6] {
    [
        (Field::State, WHOLE),
        (Field::Signal, 11),
        (Field::Code, 1),
        (Field::Thread, thread),
        (Field::Counter, counter),
        (Field::MapsBytes, maps as u64),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
5000-6000 r--p 00000000 08:01 17                     /lib/one.so
6000-8000 r-xp 00001000 08:01 17                     /lib/one.so
9000-a000 ---p 00000000 00:00 0
a000-c000 rw-p 00000000 00:00 0                      [stack:1]
d000-e000 r-xp 00000000 00:00 0                      [vdso]
";

    fn word(page: &[(Field, u64)], maps: &str) -> Option<LastWord> {
        let fd = create().expect("made");
        let file = File::from(fd.try_clone().expect("again"));
        for (field, value) in page {
            file.write_all_at(&value.to_ne_bytes(), *field as u64 * 8).expect("written");
        }
        file.write_all_at(maps.as_bytes(), MAPS_AT as u64).expect("written");
        LastWord::read(fd)
    }

    #[test]
    fn nothing_written_is_nothing_said_and_lies_are_bounded() {
        assert_eq!(word(&[], ""), None);
        let lies = [
            (Field::State, WHOLE),
            (Field::Signal, 11),
            (Field::MapsBytes, u64::MAX),
            (Field::StackBytes, u64::MAX),
            (Field::StackFrom, u64::MAX),
            (Field::Name, u64::MAX),
        ];
        let told = word(&lies, MAPS).expect("something");
        assert_eq!((told.maps.len(), told.on_stack().count()), (MAPS_BYTES, STACK_BYTES / 8));
        assert!(!told.is_stack_overflow());
        let cut = word(&[(Field::State, 1), (Field::Signal, 11), (Field::MapsBytes, 100)], MAPS).expect("something");
        assert_eq!((cut.signal, cut.maps.as_str()), (11, ""));
    }

    #[test]
    fn an_address_becomes_a_file_and_an_offset_where_it_is_code() {
        let told = [(Field::State, WHOLE), (Field::Signal, 11), (Field::MapsBytes, MAPS.len() as u64)];
        let told = word(&told, MAPS).expect("something");
        assert_eq!(told.code_at(0x6123), Some(("/lib/one.so", 0x1123)));
        for nowhere in [0x5123, 0x8000, 0xa000, 0xd123, 0] {
            assert_eq!(told.code_at(nowhere), None, "{nowhere:x}");
        }
    }

    #[test]
    fn a_stack_that_ran_full_is_read_from_where_it_can_be_read() {
        let stack = Some(Region { start: 0xa000, end: 0xc000 });
        assert_eq!(region_of(MAPS.as_bytes(), 0xb000), stack);
        assert_eq!(region_of(MAPS.as_bytes(), 0x9ff0), stack);
        assert_eq!(region_of(MAPS.as_bytes(), 0xf000), None);
        assert_eq!(region_of(b"garbage", 0x9ff0), None);
        let full = [
            (Field::State, WHOLE),
            (Field::Signal, 11),
            (Field::Code, 2),
            (Field::Stack, 0x9ff0),
            (Field::Address, 0x9fe8),
        ];
        assert!(word(&full, MAPS).expect("something").is_stack_overflow());
    }

    #[test]
    fn who_sent_a_signal_is_told_from_a_fault() {
        let sent = |code: i64, sender: u64| {
            let page = [
                (Field::State, WHOLE),
                (Field::Signal, 6),
                (Field::Code, code as u64),
                (Field::Sender, sender),
                (Field::Process, 7),
            ];
            word(&page, "").expect("something").was_sent_by_another()
        };
        assert!(sent(0, 8));
        assert!(!sent(-6, 7), "its own abort");
        assert!(!sent(1, 8), "a fault: the number is part of an address");
    }
}
