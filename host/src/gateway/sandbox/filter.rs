//! The seccomp program of a worker: its rules as the instructions that the kernel runs before every system call.
//!
//! Classic BPF over `struct seccomp_data` (seccomp(2)): the number at offset 0, the architecture at 4, the arguments
//! as 64-bit words from 16 on.

mod rules;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_KILL_PROCESS, sock_filter,
};

use self::rules::{ABSENT, End, Rule, Test, rules};

/// What of the sandbox changes the program; the rest is the same for every worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Allowed {
    /// The host answers: what is asked about is decided there, else it is refused, and connecting is left to Landlock.
    pub(super) asks: bool,
    /// UDP sockets may be made; what they send to an address is asked about.
    pub(super) udp: bool,
    /// Sockets may listen; on which ports is Landlock's part.
    pub(super) listen: bool,
    /// Multicast groups may be joined.
    pub(super) multicast: bool,
    /// Programs may be started; which ones is Landlock's part.
    pub(super) execute: bool,
    /// Files that are opened are asked about, to be told to an author.
    pub(super) trace: bool,
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E; // AUDIT_ARCH_X86_64, linux/audit.h
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7; // AUDIT_ARCH_AARCH64, linux/audit.h

/// From here on the numbers of x86-64's second call table (x32).
#[cfg(target_arch = "x86_64")]
const X32_NUMBERS: u32 = 0x4000_0000;

const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// Where the lower half of an argument is; the upper half is four bytes on (both architectures are little-endian).
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code_of(code), jt: 0, jf: 0, k }
}

fn jump(test: u32, k: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter { code: code_of(BPF_JMP | test | BPF_K), jt: then, jf: otherwise, k }
}

fn code_of(code: u32) -> u16 {
    u16::try_from(code).expect("codes of classic BPF have 16 bits")
}

fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

fn end(end: End) -> sock_filter {
    statement(BPF_RET | BPF_K, end.code())
}

/// The instructions for one rule; jumps in it go at most to its own end.
fn assemble(rule: &Rule) -> Vec<sock_filter> {
    // Back to front: every failed test jumps over what is there already.
    let mut after = vec![end(rule.end)];
    let skip = |after: &[sock_filter]| u8::try_from(after.len()).expect("a rule has a handful of instructions");
    for test in rule.tests.iter().rev() {
        let mut code = match *test {
            Test::Is { argument: index, mask, value } => {
                let mut code = vec![load(argument(index))];
                if mask != u32::MAX {
                    code.push(statement(BPF_ALU | BPF_AND | BPF_K, mask));
                }
                code.push(jump(BPF_JEQ, value, 0, skip(&after)));
                code
            }
            Test::IsZero { argument: index } => {
                let over = skip(&after);
                vec![
                    load(argument(index)),
                    jump(BPF_JEQ, 0, 0, over + 2),
                    load(argument(index) + 4),
                    jump(BPF_JEQ, 0, 0, over),
                ]
            }
            Test::Has { argument: index, mask } => {
                vec![load(argument(index)), jump(libc::BPF_JSET, mask, 0, skip(&after))]
            }
        };
        code.append(&mut after);
        after = code;
    }
    after
}

/// The whole program for a worker with this process id.
pub(super) fn program(allowed: Allowed, pid: u32) -> Vec<sock_filter> {
    let mut program = vec![
        load(ARCH),
        jump(BPF_JEQ, ARCHITECTURE, 1, 0),
        statement(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
    ];
    #[cfg(target_arch = "x86_64")]
    program.extend([jump(libc::BPF_JGE, X32_NUMBERS, 0, 1), end(ABSENT)]);
    let rules = rules(allowed, pid);
    // All rules of one call stand together: the number is compared once, and loaded again behind them.
    let mut numbers: Vec<i64> = Vec::new();
    for rule in &rules {
        if !numbers.contains(&rule.number) {
            numbers.push(rule.number);
        }
    }
    for number in numbers {
        let mut code: Vec<sock_filter> = rules.iter().filter(|rule| rule.number == number).flat_map(assemble).collect();
        code.push(end(End::Allow));
        let over = u8::try_from(code.len()).expect("a call has fewer than 256 instructions");
        program.push(jump(BPF_JEQ, u32::try_from(number).expect("numbers of calls are small"), 0, over));
        program.append(&mut code);
    }
    program.push(end(End::Allow));
    program
}

#[cfg(test)]
mod tests {
    use libc::BPF_JSET;

    use super::rules::{DENIED, UNSUPPORTED};
    use super::*;
    use crate::gateway::sys::LOOK_UP;

    const PID: u32 = 4_242;

    /// Runs a program over one call as the kernel would: what classic BPF means, from bpf(4) and linux/filter.h.
    fn run(program: &[sock_filter], architecture: u32, number: i64, arguments: [u64; 6]) -> u32 {
        let mut data = [0_u8; 64];
        data[0..4].copy_from_slice(&u32::try_from(number & 0xFFFF_FFFF).expect("32 bits").to_le_bytes());
        data[4..8].copy_from_slice(&architecture.to_le_bytes());
        for (at, argument) in arguments.iter().enumerate() {
            data[16 + 8 * at..24 + 8 * at].copy_from_slice(&argument.to_le_bytes());
        }
        let (mut at, mut accumulator) = (0_usize, 0_u32);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let jump = |is_so: bool| usize::from(if is_so { jt } else { jf });
            match u32::from(code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    let offset = k as usize;
                    accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().expect("four bytes"));
                }
                code if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= k,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => at += jump(accumulator == k),
                code if code == BPF_JMP | libc::BPF_JGE | BPF_K => at += jump(accumulator >= k),
                code if code == BPF_JMP | BPF_JSET | BPF_K => at += jump(accumulator & k != 0),
                code if code == BPF_RET | BPF_K => return k,
                // The assembler writes no other.
                code => panic!("{code:#x}"),
            }
        }
    }

    fn decided(allowed: Allowed, number: i64, arguments: [u64; 6]) -> u32 {
        run(&program(allowed, PID), ARCHITECTURE, number, arguments)
    }

    fn argument_of(value: i32) -> u64 {
        u64::from(value.cast_unsigned())
    }

    #[test]
    fn calls_are_decided_by_number_and_arguments() {
        let nothing = Allowed { asks: true, ..Allowed::default() };
        let all = Allowed { asks: true, udp: true, listen: true, multicast: true, execute: true, trace: true };
        let alone = Allowed::default();
        let (allow, denied) = (End::Allow.code(), DENIED.code());
        let (absent, ask, unsupported) = (ABSENT.code(), End::Ask.code(), UNSUPPORTED.code());
        let (inet, unix) = (argument_of(libc::AF_INET), argument_of(libc::AF_UNIX));
        let (stream, datagram) = (argument_of(libc::SOCK_STREAM), argument_of(libc::SOCK_DGRAM));
        let flagged = stream | argument_of(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
        let thread = argument_of(libc::CLONE_THREAD | libc::CLONE_VM);
        let own = u64::from(PID);
        for (allowed, number, arguments, expected) in [
            (nothing, libc::SYS_read, [0; 6], allow),
            (nothing, libc::SYS_ptrace, [0; 6], denied),
            (all, libc::SYS_ptrace, [0; 6], denied),
            (nothing, libc::SYS_io_uring_setup, [0; 6], absent),
            (nothing, libc::SYS_clone3, [0; 6], absent),
            (nothing, libc::SYS_clone, [thread, 0, 0, 0, 0, 0], allow),
            (nothing, libc::SYS_clone, [17, 0, 0, 0, 0, 0], ask),
            (all, libc::SYS_clone, [17, 0, 0, 0, 0, 0], allow),
            (nothing, libc::SYS_execve, [1, 1, 1, 0, 0, 0], ask),
            (all, libc::SYS_execve, [1, 1, 1, 0, 0, 0], allow),
            (nothing, libc::SYS_socket, [inet, stream, 0, 0, 0, 0], allow),
            (nothing, libc::SYS_socket, [inet, flagged, 6, 0, 0, 0], allow),
            (nothing, libc::SYS_socket, [inet, stream, 262, 0, 0, 0], ask),
            (nothing, libc::SYS_socket, [inet, datagram, 0, 0, 0, 0], ask),
            (all, libc::SYS_socket, [inet, datagram, 0, 0, 0, 0], allow),
            (alone, libc::SYS_socket, [inet, datagram, 0, 0, 0, 0], allow),
            (alone, libc::SYS_socket, [unix, stream, 0, 0, 0, 0], denied),
            (alone, libc::SYS_connect, [3, 1, 16, 0, 0, 0], allow),
            (alone, libc::SYS_execve, [1, 1, 1, 0, 0, 0], denied),
            (alone, LOOK_UP, [0; 6], allow),
            (nothing, libc::SYS_connect, [3, 1, 16, 0, 0, 0], ask),
            (nothing, LOOK_UP, [0; 6], ask),
            (nothing, libc::SYS_openat, [0; 6], allow),
            (all, libc::SYS_openat, [0; 6], ask),
            (nothing, libc::SYS_sendmsg, [3, 1, 0, 0, 0, 0], allow),
            (all, libc::SYS_sendmsg, [3, 1, 0, 0, 0, 0], ask),
            (all, libc::SYS_sendto, [3, 1, 1, 0, 0, 0], allow),
            (all, libc::SYS_sendto, [3, 1, 1, 0, 1, 16], ask),
            (all, libc::SYS_setsockopt, [3, 0, argument_of(libc::IP_OPTIONS), 0, 0, 0], denied),
            (nothing, libc::SYS_socket, [unix, stream, 0, 0, 0, 0], ask),
            (nothing, libc::SYS_socket, [argument_of(libc::AF_NETLINK), datagram, 0, 0, 0, 0], denied),
            (nothing, libc::SYS_socketpair, [unix, flagged, 0, 0, 0, 0], allow),
            (nothing, libc::SYS_socketpair, [unix, datagram, 0, 0, 0, 0], denied),
            (nothing, libc::SYS_sendto, [3, 0, 0, argument_of(libc::MSG_FASTOPEN), 1, 16], unsupported),
            (nothing, libc::SYS_sendto, [3, 0, 0, argument_of(libc::MSG_NOSIGNAL), 0, 0], allow),
            (nothing, libc::SYS_listen, [3, 5, 0, 0, 0, 0], ask),
            (all, libc::SYS_listen, [3, 5, 0, 0, 0, 0], allow),
            (nothing, libc::SYS_kill, [own, 9, 0, 0, 0, 0], allow),
            (nothing, libc::SYS_kill, [own + 1, 9, 0, 0, 0, 0], ask),
            (all, libc::SYS_kill, [0, 9, 0, 0, 0, 0], ask),
            (nothing, libc::SYS_prlimit64, [0, 7, 0, 1, 0, 0], allow),
            (nothing, libc::SYS_prlimit64, [0, 7, 1 << 40, 0, 0, 0], denied),
            (nothing, libc::SYS_prlimit64, [1, 7, 0, 1, 0, 0], denied),
            (nothing, libc::SYS_utimensat, [3, 0, 0, 0, 0, 0], allow),
            (nothing, libc::SYS_utimensat, [3, 1 << 33, 0, 0, 0, 0], denied),
            (nothing, libc::SYS_prctl, [argument_of(libc::PR_SET_DUMPABLE), 0, 0, 0, 0, 0], denied),
            (nothing, libc::SYS_prctl, [argument_of(libc::PR_SET_NAME), 1, 0, 0, 0, 0], allow),
            (nothing, libc::SYS_setsockopt, [3, 0, argument_of(libc::IP_ADD_MEMBERSHIP), 0, 0, 0], denied),
            (all, libc::SYS_setsockopt, [3, 0, argument_of(libc::IP_ADD_MEMBERSHIP), 0, 0, 0], allow),
            (nothing, libc::SYS_fcntl, [3, argument_of(libc::F_SETOWN), 1, 0, 0, 0], denied),
            (nothing, libc::SYS_fcntl, [3, argument_of(libc::F_SETFL), 1, 0, 0, 0], allow),
        ] {
            assert_eq!(decided(allowed, number, arguments), expected, "call {number} with {arguments:x?}, {allowed:?}");
        }
    }

    #[test]
    fn another_table_of_calls_is_no_way_around() {
        let program = program(Allowed { asks: true, udp: true, trace: true, ..Allowed::default() }, PID);
        // i386, by `int 0x80`.
        assert_eq!(run(&program, 0x4000_0003, libc::SYS_read, [0; 6]), SECCOMP_RET_KILL_PROCESS);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(run(&program, ARCHITECTURE, 0x4000_0000 + libc::SYS_execve, [0; 6]), ABSENT.code());
        assert!(program.len() < 4_096, "the kernel takes no more");
    }
}
