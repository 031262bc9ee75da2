//! Runs a program as on a kernel without Landlock: asking for it is answered as by one that never heard of it.
//!
//! `without-landlock PROGRAM ARGUMENTS…` becomes that program, under the same process id.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().context("name the program to run")?;
    let number = libc::SYS_landlock_create_ruleset;
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let calls = [(number, Vec::new())].into();
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, absent, std::env::consts::ARCH.try_into()?)?;
    apply_filter(&BpfProgram::try_from(filter)?)?;
    Err(Command::new(program).args(arguments).exec().into())
}
