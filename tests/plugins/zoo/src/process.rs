//! Faults that change what the whole process shares: signals, folder, locale, descriptors, threads, memory.

use std::ffi::CString;
use std::hint::black_box;
use std::os::fd::IntoRawFd;
use std::time::Duration;

use crate::{channel, endings};

/// Does what the name says; `false` when it is of another kind.
pub(crate) fn strike(kind: &str) -> bool {
    match kind {
        "handler-exits" => handle_and_fault(exiting),
        "handler-returns" => handle_and_fault(returning),
        "blocks-signals" => block_signals(),
        "ignores-signals" => ignore_signals(),
        "locale" => locale(),
        "folder" => std::env::set_current_dir(std::env::temp_dir()).expect("its own folder is there"),
        "umask" => umask(),
        "environment" => environment(),
        "leak-descriptors" => leak_descriptors(),
        "leak-memory" => std::mem::forget(black_box(vec![1_u8; 96 << 20])),
        "close-channel" => close(channel::descriptor()),
        "close-output" => (1..=2).for_each(close),
        "close-all" => (0..1_024).for_each(close),
        "replace-channel" => replace(channel::descriptor()),
        "threads-overlive" => threads_that_overlive(),
        "threads-many" => many_threads(),
        "child" => drop(std::process::Command::new("/bin/sleep").arg("3600").spawn()),
        "fork" => fork(),
        "signal-host" => signal_host(),
        _ => return false,
    }
    true
}

extern "C" fn exiting(_: i32) {
    // SAFETY: takes a number and ends the process.
    unsafe { libc::_exit(0) };
}

extern "C" fn returning(_: i32) {}

fn handle_and_fault(handler: extern "C" fn(i32)) {
    // SAFETY: a handler with the signature that it must have.
    unsafe { libc::signal(libc::SIGSEGV, handler as *const () as usize) };
    endings::strike("segfault");
}

fn block_signals() {
    // SAFETY: a set of signals is plain old data.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is this function's own.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: changes this thread's mask alone.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut()) };
}

fn ignore_signals() {
    for signal in 1..32 {
        // SAFETY: numbers only; those that cannot be ignored are refused.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

fn locale() {
    for name in ["de_DE.UTF-8", "tr_TR.UTF-8", "C.UTF-8", ""] {
        let name = CString::new(name).expect("no zero in it");
        // SAFETY: a string that ends with a zero; what comes back is not looked at.
        unsafe { libc::setlocale(libc::LC_ALL, name.as_ptr()) };
    }
}

fn umask() {
    // SAFETY: a number only.
    unsafe { libc::umask(0o777) };
}

fn environment() {
    for (name, value) in [("PATH", "/nowhere"), ("HOME", "/nowhere"), ("TZ", "Mars/Olympus"), ("LD_PRELOAD", "zoo.so")]
    {
        // SAFETY: none. Another thread may read it at the same time, which is the fault.
        unsafe { std::env::set_var(name, value) };
    }
}

fn leak_descriptors() {
    while let Ok(file) = std::fs::File::open("/dev/null") {
        let _ = file.into_raw_fd();
    }
}

fn close(descriptor: i32) {
    // SAFETY: none. It belongs to somebody else, which is the fault.
    unsafe { libc::close(descriptor) };
}

fn replace(descriptor: i32) {
    let null = std::fs::File::open("/dev/null").expect("it is always there").into_raw_fd();
    // SAFETY: none. It belongs to somebody else, which is the fault.
    unsafe { libc::dup2(null, descriptor) };
}

fn threads_that_overlive() {
    for _ in 0..8 {
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }
}

/// As many as it can get.
fn many_threads() {
    for _ in 0..2_000 {
        let idle = || std::thread::sleep(Duration::from_secs(3_600));
        if std::thread::Builder::new().stack_size(64 * 1024).spawn(idle).is_err() {
            break;
        }
    }
}

fn fork() {
    // SAFETY: none. There are other threads, which is the fault.
    if unsafe { libc::fork() } == 0 {
        endings::strike("sleep");
    }
}

fn signal_host() {
    let host = i32::try_from(std::os::unix::process::parent_id()).expect("a process id is one");
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        // SAFETY: numbers only.
        unsafe { libc::kill(host, signal) };
    }
}
