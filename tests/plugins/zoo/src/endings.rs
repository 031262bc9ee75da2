//! Faults that end the process, or keep its thread for ever.

use std::hint::black_box;
use std::time::Duration;

/// Does what the name says; `false` when it is of another kind.
pub(crate) fn strike(kind: &str) -> bool {
    match kind {
        "panic" => panic!("asked to panic"),
        "panic-in-panic" => panic_in_panic(),
        "panic-in-drop" => drop(Bomb),
        "panic-in-payload" => std::panic::panic_any(Bomb),
        "panic-in-thread" => drop(std::thread::spawn(|| panic!("a thread of the zoo's")).join()),
        "panic-beyond" => beyond(),
        "abort" => std::process::abort(),
        "segfault" => segfault(),
        "segfault-in-thread" => drop(std::thread::spawn(segfault).join()),
        "overflow" => drop(black_box(overflow(1))),
        "overflow-in-thread" => drop(std::thread::spawn(|| overflow(1)).join()),
        "illegal" => illegal_instruction(),
        "exit-0" => exit(0),
        "exit-7" => exit(7),
        "exit-at-once" => exit_at_once(),
        "allocate" => drop(black_box(Vec::<u8>::with_capacity(isize::MAX as usize))),
        "leak-addresses" => leak_addresses(),
        "leak-touched" => leak_touched(),
        "bus" => bus_error(),
        "divide" => raise(libc::SIGFPE),
        "trap" => raise(libc::SIGTRAP),
        "kill" => raise(libc::SIGKILL),
        "freeze" => raise(libc::SIGSTOP),
        "loop" => spin(),
        "sleep" => sleep(),
        _ => return false,
    }
    true
}

/// Panics whenever it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the bomb went off");
    }
}

fn panic_in_panic() {
    let _bomb = Bomb;
    panic!("with a bomb in hand");
}

/// A panic that would unwind into code that knows no unwinding.
fn beyond() {
    extern "C" fn edge() {
        panic!("over the edge");
    }
    edge();
}

#[inline(never)]
fn segfault() {
    // SAFETY: none. The write ends the process, which is what is wanted.
    unsafe { std::ptr::without_provenance_mut::<u8>(16).write_volatile(1) };
}

#[inline(never)]
#[expect(unconditional_recursion, reason = "a plugin that uses up its stack is what a test asks for")]
fn overflow(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    overflow(depth + 1) + room[1]
}

#[inline(never)]
fn illegal_instruction() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: none. It ends the process, which is what is wanted.
    unsafe {
        std::arch::asm!("ud2", options(noreturn))
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: none. It ends the process, which is what is wanted.
    unsafe {
        std::arch::asm!("udf #0", options(noreturn))
    };
}

#[expect(clippy::exit, reason = "a plugin that ends its process is what a test asks for")]
fn exit(code: i32) {
    std::process::exit(code)
}

fn exit_at_once() {
    // SAFETY: takes a number and ends the process, without what is usually done before.
    unsafe { libc::_exit(9) };
}

/// Takes address space without touching it until there is none left.
fn leak_addresses() {
    loop {
        std::mem::forget(black_box(Vec::<u8>::with_capacity(64 << 20)));
    }
}

/// Takes memory and uses it until there is none left.
fn leak_touched() {
    loop {
        std::mem::forget(black_box(vec![1_u8; 4 << 20]));
    }
}

/// Reads from a file that became shorter after it was mapped.
fn bus_error() {
    let path = std::env::temp_dir().join("short");
    let file = std::fs::File::options().create(true).truncate(true).read(true).write(true).open(path);
    let file = file.expect("its own folder can be written to");
    file.set_len(4096).expect("it can be made longer");
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    // SAFETY: a new mapping where the kernel finds room for it.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
    file.set_len(0).expect("it can be made shorter");
    // SAFETY: none. The read ends the process, which is what is wanted.
    black_box(unsafe { page.cast::<u8>().read_volatile() });
}

pub(crate) fn raise(signal: i32) {
    let this = i32::try_from(std::process::id()).expect("a process id is one");
    // SAFETY: numbers only; the signal goes to this process.
    unsafe { libc::kill(this, signal) };
    // It may be taken by another thread, a moment later.
    sleep();
}

fn spin() {
    let mut turns = 0_u64;
    while black_box(true) {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn sleep() {
    loop {
        std::thread::sleep(Duration::from_secs(3_600));
    }
}
