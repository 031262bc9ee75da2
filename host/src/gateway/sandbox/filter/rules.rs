//! Which system calls of a worker are refused, and which ask the host.
//!
//! A list of what is refused, because plugins, C libraries and processors differ too much for a list of what is
//! allowed. `EPERM` and not a kill, so that libraries fall back; `ENOSYS` where a library has a way without the call.

use libc::{SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_USER_NOTIF};

use super::Allowed;
use crate::gateway::sys::LOOK_UP;

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Allow,
    Errno(i32),
    /// The host decides, and keeps what was tried.
    Ask,
}

impl End {
    pub(super) fn code(self) -> u32 {
        match self {
            Self::Allow => SECCOMP_RET_ALLOW,
            Self::Errno(errno) => SECCOMP_RET_ERRNO | errno.unsigned_abs(),
            Self::Ask => SECCOMP_RET_USER_NOTIF,
        }
    }
}

/// What is looked at in an argument's lower half.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    /// `argument & mask == value`
    Is { argument: u32, mask: u32, value: u32 },
    /// The whole 64-bit argument is zero.
    IsZero { argument: u32 },
    /// `argument & mask` has any bit.
    Has { argument: u32, mask: u32 },
}

/// One rule: the first whose tests all hold ends the call; a call with no rule that holds goes through.
pub(super) struct Rule {
    pub(super) number: i64,
    pub(super) tests: Vec<Test>,
    pub(super) end: End,
}

impl Rule {
    fn always(number: i64, end: End) -> Self {
        Self { number, tests: Vec::new(), end }
    }

    fn when(number: i64, tests: impl Into<Vec<Test>>, end: End) -> Self {
        Self { number, tests: tests.into(), end }
    }
}

pub(super) const DENIED: End = End::Errno(libc::EPERM);
pub(super) const ABSENT: End = End::Errno(libc::ENOSYS);
pub(super) const UNSUPPORTED: End = End::Errno(libc::EOPNOTSUPP);

/// fchmodat2(2): one number everywhere (asm-generic/unistd.h), which the library lacks for aarch64.
const FCHMODAT2: libc::c_long = 452;

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
pub(super) fn rules(allowed: Allowed, pid: u32) -> Vec<Rule> {
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
