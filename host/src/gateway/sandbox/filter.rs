//! The seccomp program of a worker: which system calls go through, which are refused, which ask the host.
//!
//! A list of what is refused, because plugins, C libraries and processors differ too much for a list of what is
//! allowed. `EPERM` and not a kill, so that libraries fall back; `ENOSYS` where a library has a way without the call.
//! Classic BPF over `struct seccomp_data` (seccomp(2)): the number at offset 0, the architecture at 4, the arguments
//! as 64-bit words from 16 on.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO,
    SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_USER_NOTIF, sock_filter,
};

use crate::gateway::sys::LOOK_UP;

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

/// fchmodat2(2): one number everywhere (asm-generic/unistd.h), which the library lacks for aarch64.
const FCHMODAT2: libc::c_long = 452;
/// From here on the numbers of x86-64's second call table (x32).
#[cfg(target_arch = "x86_64")]
const X32_NUMBERS: u32 = 0x4000_0000;

const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// Where the lower half of an argument is; the upper half is four bytes on (both architectures are little-endian).
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Allow,
    Errno(i32),
    /// The host decides, and keeps what was tried.
    Ask,
}

impl End {
    fn code(self) -> u32 {
        match self {
            Self::Allow => SECCOMP_RET_ALLOW,
            Self::Errno(errno) => SECCOMP_RET_ERRNO | errno.unsigned_abs(),
            Self::Ask => SECCOMP_RET_USER_NOTIF,
        }
    }
}

/// What is looked at in an argument's lower half.
#[derive(Debug, Clone, Copy)]
enum Test {
    /// `argument & mask == value`
    Is { argument: u32, mask: u32, value: u32 },
    /// The whole 64-bit argument is zero.
    IsZero { argument: u32 },
    /// `argument & mask` has any bit.
    Has { argument: u32, mask: u32 },
}

/// One rule: the first whose tests all hold ends the call; a call with no rule that holds goes through.
struct Rule {
    number: i64,
    tests: Vec<Test>,
    end: End,
}

impl Rule {
    fn always(number: i64, end: End) -> Self {
        Self { number, tests: Vec::new(), end }
    }

    fn when(number: i64, tests: impl Into<Vec<Test>>, end: End) -> Self {
        Self { number, tests: tests.into(), end }
    }
}

const DENIED: End = End::Errno(libc::EPERM);
const ABSENT: End = End::Errno(libc::ENOSYS);
const UNSUPPORTED: End = End::Errno(libc::EOPNOTSUPP);

/// Refused whatever the arguments: none of them is a plugin's business.
#[rustfmt::skip]
const NEVER: &[i64] = &[
    // Other processes.
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_process_madvise,
    libc::SYS_process_mrelease, libc::SYS_pidfd_open, libc::SYS_pidfd_getfd, libc::SYS_pidfd_send_signal, libc::SYS_kcmp,
    libc::SYS_tkill, libc::SYS_setpgid, libc::SYS_setsid, libc::SYS_migrate_pages, libc::SYS_move_pages,
    // The kernel itself.
    libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_init_module, libc::SYS_finit_module,
    libc::SYS_delete_module, libc::SYS_kexec_load, libc::SYS_reboot, libc::SYS_syslog, libc::SYS_acct, libc::SYS_quotactl,
    libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_personality, libc::SYS_settimeofday, libc::SYS_clock_settime,
    libc::SYS_adjtimex, libc::SYS_clock_adjtime, libc::SYS_sethostname, libc::SYS_setdomainname, libc::SYS_vhangup,
    libc::SYS_nfsservctl, libc::SYS_lookup_dcookie,
    // Keys, messages and memory that are not tied to the process.
    libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl, libc::SYS_shmget, libc::SYS_shmat, libc::SYS_shmctl,
    libc::SYS_semget, libc::SYS_semop, libc::SYS_semctl, libc::SYS_semtimedop, libc::SYS_msgget, libc::SYS_msgsnd,
    libc::SYS_msgrcv, libc::SYS_msgctl, libc::SYS_mq_open, libc::SYS_mq_unlink, libc::SYS_memfd_secret,
    // Namespaces and mounts.
    libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_chroot, libc::SYS_setns, libc::SYS_unshare,
    libc::SYS_open_tree, libc::SYS_move_mount, libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fspick,
    libc::SYS_mount_setattr, libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at, libc::SYS_fanotify_init,
    // Who it is, and what it undertook.
    libc::SYS_setuid, libc::SYS_setgid, libc::SYS_setreuid, libc::SYS_setregid, libc::SYS_setresuid, libc::SYS_setresgid,
    libc::SYS_setfsuid, libc::SYS_setfsgid, libc::SYS_fchown, libc::SYS_setgroups, libc::SYS_capset, libc::SYS_seccomp, libc::SYS_setrlimit,
    // Modes, owners, times and attributes by a path: Landlock leaves them alone.
    libc::SYS_truncate, libc::SYS_fchmodat, FCHMODAT2, libc::SYS_fchownat, libc::SYS_setxattr, libc::SYS_lsetxattr,
    libc::SYS_removexattr, libc::SYS_lremovexattr,
];

/// The same for calls that only x86-64 has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const NEVER_HERE: &[i64] = &[
    libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib, libc::SYS_ustat, libc::SYS_sysfs,
    libc::SYS__sysctl, libc::SYS_kexec_file_load,
    libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown, libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat,
];
#[cfg(target_arch = "aarch64")]
const NEVER_HERE: &[i64] = &[libc::SYS_kexec_file_load];

/// A second way to the system that the filter could not look into; libraries go on without it.
const NOT_THERE: &[i64] =
    &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_clone3];

/// Options of `setsockopt` that lead a packet another way than to the address that was checked.
const ROUTE_OPTIONS: &[(i32, i32)] = &[
    (libc::IPPROTO_IP, libc::IP_OPTIONS),
    (libc::IPPROTO_IPV6, 5),  // IPV6_2292RTHDR
    (libc::IPPROTO_IPV6, 6),  // IPV6_2292PKTOPTIONS
    (libc::IPPROTO_IPV6, 54), // IPV6_HOPOPTS
    (libc::IPPROTO_IPV6, 55), // IPV6_RTHDRDSTOPTS
    (libc::IPPROTO_IPV6, 57), // IPV6_RTHDR
    (libc::IPPROTO_IPV6, 59), // IPV6_DSTOPTS
];

/// Options of `setsockopt` that join multicast groups, as (level, option): linux/in.h and linux/in6.h.
const MULTICAST_OPTIONS: &[(i32, i32)] = &[
    (libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP),
    (libc::IPPROTO_IP, libc::IP_ADD_SOURCE_MEMBERSHIP),
    (libc::IPPROTO_IP, 42), // MCAST_JOIN_GROUP
    (libc::IPPROTO_IP, 46), // MCAST_JOIN_SOURCE_GROUP
    (libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP),
    (libc::IPPROTO_IPV6, 42),
    (libc::IPPROTO_IPV6, 46),
];

/// Socket types come with flags in their upper bits (socket(2)).
const TYPE_MASK: u32 = 0xF;

fn is(argument: u32, value: i32) -> Test {
    Test::Is { argument, mask: u32::MAX, value: value.cast_unsigned() }
}

fn has(argument: u32, mask: i32) -> Test {
    Test::Has { argument, mask: mask.cast_unsigned() }
}

fn zero(argument: u32) -> Test {
    Test::IsZero { argument }
}

/// Every rule, in the order in which they are tried.
fn rules(allowed: Allowed, pid: u32) -> Vec<Rule> {
    let mut rules: Vec<Rule> = NEVER.iter().chain(NEVER_HERE).map(|&number| Rule::always(number, DENIED)).collect();
    rules.extend(NOT_THERE.iter().map(|&number| Rule::always(number, ABSENT)));
    network(&mut rules, allowed);
    processes(&mut rules, allowed, pid);
    itself(&mut rules);
    if allowed.trace {
        rules.extend([libc::SYS_openat, libc::SYS_openat2].map(|number| Rule::always(number, End::Ask)));
        #[cfg(target_arch = "x86_64")]
        rules.push(Rule::always(libc::SYS_open, End::Ask));
    }
    if !allowed.asks {
        // Nobody is there to be asked.
        rules.retain(|rule| rule.end != End::Ask || !matches!(rule.number, LOOK_UP | libc::SYS_connect));
        for rule in &mut rules {
            if rule.end == End::Ask {
                rule.end = DENIED;
            }
        }
    }
    rules
}

fn network(rules: &mut Vec<Rule>, allowed: Allowed) {
    let kind = |value: i32| Test::Is { argument: 1, mask: TYPE_MASK, value: value.cast_unsigned() };
    for family in [libc::AF_INET, libc::AF_INET6] {
        for protocol in [0, libc::IPPROTO_TCP] {
            let tests = [is(0, family), kind(libc::SOCK_STREAM), is(2, protocol)];
            rules.push(Rule::when(libc::SYS_socket, tests, End::Allow));
        }
        // Without a host that looks up names, looking them up takes datagrams.
        if allowed.udp || !allowed.asks {
            for protocol in [0, libc::IPPROTO_UDP] {
                let tests = [is(0, family), kind(libc::SOCK_DGRAM), is(2, protocol)];
                rules.push(Rule::when(libc::SYS_socket, tests, End::Allow));
            }
        }
    }
    // C libraries and metrics libraries look for the machine's addresses here and go on without: refused, no alarm.
    rules.push(Rule::when(libc::SYS_socket, [is(0, libc::AF_NETLINK)], DENIED));
    rules.push(Rule::always(libc::SYS_socket, End::Ask));
    // A datagram end could be connected, or send, to the path of any socket.
    for stream in [libc::SOCK_STREAM, libc::SOCK_SEQPACKET] {
        rules.push(Rule::when(libc::SYS_socketpair, [is(0, libc::AF_UNIX), kind(stream)], End::Allow));
    }
    rules.push(Rule::always(libc::SYS_socketpair, DENIED));
    // Fast open connects without connect.
    for (number, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        rules.push(Rule::when(number, [has(flags, libc::MSG_FASTOPEN)], UNSUPPORTED));
    }
    rules.push(Rule::always(libc::SYS_connect, End::Ask));
    rules.push(Rule::always(LOOK_UP, End::Ask));
    if allowed.udp && allowed.asks {
        // Without an address it goes where the socket is connected to.
        rules.push(Rule::when(libc::SYS_sendto, [zero(4)], End::Allow));
        rules.extend([libc::SYS_sendto, libc::SYS_sendmsg, libc::SYS_sendmmsg].map(|n| Rule::always(n, End::Ask)));
    }
    for &(level, option) in ROUTE_OPTIONS {
        rules.push(Rule::when(libc::SYS_setsockopt, [is(1, level), is(2, option)], DENIED));
    }
    if !allowed.listen {
        rules.push(Rule::always(libc::SYS_listen, End::Ask));
    }
    if !allowed.multicast {
        for &(level, option) in MULTICAST_OPTIONS {
            rules.push(Rule::when(libc::SYS_setsockopt, [is(1, level), is(2, option)], DENIED));
        }
    }
}

fn processes(rules: &mut Vec<Rule>, allowed: Allowed, pid: u32) {
    let own = pid.cast_signed();
    for number in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
        rules.push(Rule::when(number, [is(0, own)], End::Allow));
        rules.push(Rule::always(number, End::Ask));
    }
    if !allowed.execute {
        rules.push(Rule::when(libc::SYS_clone, [has(0, libc::CLONE_THREAD)], End::Allow));
        rules.push(Rule::always(libc::SYS_clone, End::Ask));
        #[cfg(target_arch = "x86_64")]
        rules.extend([libc::SYS_fork, libc::SYS_vfork].map(|number| Rule::always(number, End::Ask)));
        rules.extend([libc::SYS_execve, libc::SYS_execveat].map(|number| Rule::always(number, End::Ask)));
    }
    // 0 is the caller itself.
    for number in
        [libc::SYS_sched_setaffinity, libc::SYS_sched_setscheduler, libc::SYS_sched_setparam, libc::SYS_sched_setattr]
    {
        rules.push(Rule::when(number, [is(0, 0)], End::Allow));
        rules.push(Rule::always(number, DENIED));
    }
    for number in [libc::SYS_setpriority, libc::SYS_ioprio_set] {
        rules.push(Rule::when(number, [is(1, 0)], End::Allow));
        rules.push(Rule::always(number, DENIED));
    }
}

/// What would undo the worker's own settings, or act through a descriptor on what is not the plugin's.
fn itself(rules: &mut Vec<Rule>) {
    // Looking at its own limits is all.
    rules.push(Rule::when(libc::SYS_prlimit64, [is(0, 0), zero(2)], End::Allow));
    rules.push(Rule::always(libc::SYS_prlimit64, DENIED));
    for option in
        [libc::PR_SET_SECCOMP, libc::PR_SET_DUMPABLE, libc::PR_SET_PDEATHSIG, libc::PR_SET_MM, libc::PR_SET_PTRACER]
    {
        rules.push(Rule::when(libc::SYS_prctl, [is(0, option)], DENIED));
    }
    // Times of an open file may be set, those of a path not.
    rules.push(Rule::when(libc::SYS_utimensat, [zero(1)], End::Allow));
    rules.push(Rule::always(libc::SYS_utimensat, DENIED));
    // Signals to whom a descriptor names.
    for command in [libc::F_SETOWN, F_SETSIG, F_SETOWN_EX] {
        rules.push(Rule::when(libc::SYS_fcntl, [is(1, command)], DENIED));
    }
    for request in [libc::TIOCSTI, libc::TIOCLINUX, u64::from(FIOSETOWN), u64::from(SIOCSPGRP)] {
        let value = u32::try_from(request).expect("requests have 32 bits").cast_signed();
        rules.push(Rule::when(libc::SYS_ioctl, [is(1, value)], DENIED));
    }
}

const F_SETSIG: i32 = 10; // asm-generic/fcntl.h
const F_SETOWN_EX: i32 = 15;
const FIOSETOWN: u32 = 0x8901; // asm-generic/sockios.h
const SIOCSPGRP: u32 = 0x8902;

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

    use super::*;

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
