//! The last word of a process that dies by a fault: a handler on a stack of its own that writes what is known into a
//! shared page, and then lets the signal do what it does without it.
//!
//! The page belongs to somebody who outlives the process: the daemon for a worker, a file in the home for the daemon.
//! The handler calls nothing but the kernel and allocates nothing. It writes the signal, the address, the program
//! counter and the thread; then the process's own account of what is mapped where, and the top of the faulting stack,
//! in which whoever reads it finds the callers (an `abort` has its program counter in the C library). No secret gets
//! out by this: the page is memory of both processes, and only addresses are ever taken from it.
//!
//! Rejected: a module table written after `dlopen`, which a crash in a constructor comes before; and chaining to the
//! standard library's handler, whose word on a stack overflow is the page's as well.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

use crate::gateway::crash_page::{
    FIELDS, Field, MAPS_AT, MAPS_BYTES, PAGE_BYTES, SEAT_FIELDS, SEATS, SEATS_AT, STACK_AT, STACK_BYTES, region_of,
};

/// Signals that tell of a fault.
const FAULTS: [i32; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS, libc::SIGTRAP];
/// The stack on which the handler runs. It needs little; what the kernel saves there is a few thousand bytes.
const STACK_SIZE: usize = 64 * 1024;

/// Written to the first field: by nobody yet, being written, whole.
pub(in crate::gateway) const EMPTY: u64 = 0;
const WRITING: u64 = 1;
pub(in crate::gateway) const WHOLE: u64 = 2;

static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
static MAPS: AtomicI32 = AtomicI32::new(-1);

/// Takes an inherited descriptor by its number.
///
/// # Errors
/// When there is none.
#[expect(unsafe_code, reason = "a descriptor is taken by its number")]
pub(in crate::gateway) fn inherited(number: i32) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: asks about a number; an unknown one is refused.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the number was given by the parent for this alone, and this runs before anything else owns descriptors.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Maps the page, for as long as the process lives. It need not stay open.
///
/// # Errors
/// The kernel's.
#[expect(unsafe_code, reason = "memory is mapped that is shared with another process")]
pub(in crate::gateway) fn map(page: &impl AsRawFd) -> io::Result<()> {
    let (rights, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new mapping at an address of the kernel's choice; it is never unmapped.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), PAGE_BYTES, rights, shared, page.as_raw_fd(), 0) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    PAGE.store(mapped.cast(), Ordering::Release);
    Ok(())
}

/// The numbers of a seat; `None` without a page, or past the last seat.
#[expect(unsafe_code, reason = "a part of the mapped page is handed out")]
pub(in crate::gateway) fn seat(number: usize) -> Option<&'static [AtomicU64]> {
    let page = PAGE.load(Ordering::Acquire);
    if page.is_null() || number >= SEATS {
        return None;
    }
    // SAFETY: within the page, which is mapped for as long as the process lives; only atomics are ever read or written.
    let first = unsafe { page.add(SEATS_AT / 8 + number * SEAT_FIELDS) };
    // SAFETY: as above, and aligned.
    Some(unsafe { std::slice::from_raw_parts(first, SEAT_FIELDS) })
}

/// This thread's number, as the kernel has it.
#[expect(unsafe_code, reason = "the C library has no safe word for it")]
pub(in crate::gateway) fn thread_id() -> u64 {
    // SAFETY: asks for a number.
    unsafe { libc::syscall(libc::SYS_gettid) }.unsigned_abs()
}

/// Installs the handler. The page is mapped; descriptors opened from now on stay.
///
/// # Errors
/// The kernel's.
#[expect(unsafe_code, reason = "a signal handler is installed")]
pub(in crate::gateway) fn arm() -> io::Result<()> {
    // Opened now: the sandbox lets nothing of it be opened later, and what it gives is always the present state.
    if MAPS.load(Ordering::Acquire) < 0 {
        MAPS.store(File::open("/proc/self/maps")?.into_raw_fd(), Ordering::Release);
    }
    alternate_stack();
    for signal in FAULTS {
        // SAFETY: all zeroes is a valid value of this C structure.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the handler is safe to run at any time, in any thread; the structure is whole.
        if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Gives this thread a stack for the handler, unless it has one: a stack that ran full has no room for it. The thread
/// gives it back at its end.
#[expect(unsafe_code, reason = "the C library is told of memory")]
pub(in crate::gateway) fn alternate_stack() {
    thread_local! {
        static STACK: RefCell<Option<AlternateStack>> = const { RefCell::new(None) };
    }
    // A thread that is ending needs none any more.
    let _ = STACK.try_with(|stack| {
        let Ok(mut stack) = stack.try_borrow_mut() else { return };
        if stack.is_some() {
            return;
        }
        let mut present = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: 0, ss_size: 0 };
        // SAFETY: only asks.
        let asked = unsafe { libc::sigaltstack(std::ptr::null(), &raw mut present) };
        if asked == 0 && present.ss_flags & libc::SS_DISABLE != 0 {
            *stack = AlternateStack::new();
        } else {
            // The standard library's: remembered as nobody's, so that it is not asked about again.
            *stack = Some(AlternateStack { memory: std::ptr::null_mut() });
        }
    });
}

struct AlternateStack {
    /// Null when it is somebody else's.
    memory: *mut libc::c_void,
}

impl AlternateStack {
    #[expect(unsafe_code, reason = "memory is mapped and the kernel told of it")]
    fn new() -> Option<Self> {
        let (rights, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the kernel's choice. Not touched, it costs no memory.
        let memory = unsafe { libc::mmap(std::ptr::null_mut(), STACK_SIZE, rights, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return None;
        }
        let stack = libc::stack_t { ss_sp: memory, ss_flags: 0, ss_size: STACK_SIZE };
        // SAFETY: the memory is mapped, of that size, and stays until the drop below takes it away from the kernel.
        unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
        Some(Self { memory })
    }
}

impl Drop for AlternateStack {
    #[expect(unsafe_code, reason = "memory is unmapped once the kernel knows of it no more")]
    fn drop(&mut self) {
        if self.memory.is_null() {
            return;
        }
        let none = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: runs on the thread whose stack it is, outside the handler.
        unsafe { libc::sigaltstack(&raw const none, std::ptr::null_mut()) };
        // SAFETY: mapped by `new`, used by nobody any more.
        unsafe { libc::munmap(self.memory, STACK_SIZE) };
    }
}

#[expect(unsafe_code, reason = "a signal handler reads what the kernel hands it and writes into a mapped page")]
extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands a handler with SA_SIGINFO a valid siginfo.
    let code = unsafe { (*info).si_code };
    let page = PAGE.load(Ordering::Acquire);
    if !page.is_null() {
        // SAFETY: mapped for as long as the process lives, aligned, and at least so long.
        let fields = unsafe { std::slice::from_raw_parts(page, FIELDS) };
        if fields[Field::State as usize].compare_exchange(EMPTY, WRITING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            // SAFETY: both come from the kernel for this very signal.
            unsafe { note(fields, signal, info, context) };
            fields[Field::State as usize].store(WHOLE, Ordering::Release);
        }
    }
    // SAFETY: all zeroes is the default action with no flags.
    let default: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: allowed in a handler.
    unsafe { libc::sigaction(signal, &raw const default, std::ptr::null_mut()) };
    // A fault happens again as soon as this returns. A signal that was sent does not.
    if code <= 0 || signal == libc::SIGSYS || signal == libc::SIGTRAP {
        let thread = thread_id();
        // SAFETY: asks for a number.
        let process = unsafe { libc::getpid() };
        // SAFETY: only numbers are passed; delivered once the handler has returned.
        unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) };
    }
}

/// Fills the page.
///
/// # Safety
/// `info` and `context` are what the kernel handed to the handler of `signal`, which is running.
#[expect(unsafe_code, reason = "what the kernel handed over is read by pointer")]
unsafe fn note(fields: &[AtomicU64], signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let write = |field: Field, value: u64| fields[field as usize].store(value, Ordering::Relaxed);
    // SAFETY: by the contract of this function; nobody else has it while the handler runs.
    let info = unsafe { &*info };
    let code = info.si_code;
    write(Field::Signal, signal as u64);
    write(Field::Code, i64::from(code) as u64);
    // SAFETY: the kernel filled it in; which of the two has a meaning is for the reader to know.
    write(Field::Address, unsafe { info.si_addr() } as u64);
    // SAFETY: as above.
    write(Field::Sender, u64::from(unsafe { info.si_pid() }.unsigned_abs()));
    write(Field::Thread, thread_id());
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is whole and outlives the call, which is allowed in a handler.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    write(Field::AtMs, now.tv_sec.unsigned_abs() * 1_000 + now.tv_nsec.unsigned_abs() / 1_000_000);
    // SAFETY: asks for a number.
    write(Field::Process, u64::from(unsafe { libc::getpid() }.unsigned_abs()));
    let name = &fields[Field::Name as usize];
    // SAFETY: the kernel writes sixteen bytes at most, and two fields are there for them.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_ptr()) };
    // SAFETY: by the contract of this function.
    let (counter, stack) = unsafe { registers(context.cast()) };
    write(Field::Counter, counter);
    write(Field::Stack, stack);
    let page: *mut u8 = fields.as_ptr().cast_mut().cast();
    // SAFETY: within the page.
    let account = unsafe { page.add(MAPS_AT) };
    // SAFETY: the page has room for the account there.
    let maps = unsafe { read_maps(account) };
    write(Field::MapsBytes, maps as u64);
    // SAFETY: written just now, within the page.
    let account = unsafe { std::slice::from_raw_parts(account, maps) };
    let Some(region) = region_of(account, stack) else { return };
    let from = region.start.max(stack) as usize;
    let bytes = (region.end as usize - from).min(STACK_BYTES);
    // SAFETY: within the page.
    let copy = unsafe { page.add(STACK_AT) };
    // SAFETY: the kernel's own account says that it is mapped and readable, and it is the stack of this very thread.
    unsafe { std::ptr::copy_nonoverlapping(std::ptr::with_exposed_provenance(from), copy, bytes) };
    write(Field::StackFrom, from as u64);
    write(Field::StackBytes, bytes as u64);
}

/// Reads the account of what is mapped to `into`, as far as it fits; the bytes read.
///
/// # Safety
/// `into` has room for it.
#[expect(unsafe_code, reason = "the kernel writes to memory by pointer")]
unsafe fn read_maps(into: *mut u8) -> usize {
    let file = MAPS.load(Ordering::Acquire);
    let mut read = 0;
    while read < MAPS_BYTES {
        // SAFETY: `read` is within the room that the caller promises.
        let into = unsafe { into.add(read) };
        // SAFETY: as many bytes as are left of it.
        let count = unsafe { libc::pread(file, into.cast(), MAPS_BYTES - read, read as i64) };
        match usize::try_from(count) {
            Ok(count) if count > 0 => read += count,
            _ => break,
        }
    }
    read
}

/// Program counter and stack pointer at the fault.
///
/// # Safety
/// `context` is what the kernel handed to a running handler.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the kernel hands it over by pointer")]
unsafe fn registers(context: *const libc::ucontext_t) -> (u64, u64) {
    // SAFETY: by the contract of this function.
    let registers = unsafe { &(*context).uc_mcontext.gregs };
    (registers[libc::REG_RIP as usize] as u64, registers[libc::REG_RSP as usize] as u64)
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "the kernel hands it over by pointer")]
unsafe fn registers(context: *const libc::ucontext_t) -> (u64, u64) {
    // SAFETY: by the contract of this function.
    let machine = unsafe { &(*context).uc_mcontext };
    (machine.pc, machine.sp)
}

/// Another processor's registers have no names here: the record has no place then.
///
/// # Safety
/// None is needed.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[expect(unsafe_code, reason = "the same signature as for the others")]
unsafe fn registers(_: *const libc::ucontext_t) -> (u64, u64) {
    (0, 0)
}
