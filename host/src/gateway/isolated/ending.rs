//! How a worker ended, told apart: by its status, by what the kernel counted, by what it printed last.

use crate::gateway::crash_page::LastWord;
use crate::gateway::sys::Ended;
use crate::reason::{Reason, ReasonCode};

/// What is known of a worker's end that nobody of the host's asked for.
#[derive(Debug, Clone)]
pub(super) struct Death<'a> {
    /// The process's status.
    pub(super) ended: Ended,
    /// The kernel ended a process of its group for want of memory while it lived.
    pub(super) oom_killed: bool,
    /// The last lines that it printed.
    pub(super) printed: Option<String>,
    /// Its plugin is built so that a panic ends the process.
    pub(super) panic_aborts: bool,
    /// What it wrote at its end.
    pub(super) word: Option<&'a LastWord>,
}

impl Death<'_> {
    /// The reason, without the printed lines; `who` begins the sentence ("hass: its worker").
    pub(super) fn reason(&self, who: &str) -> Reason {
        let (code, more) = match self.ended {
            Ended::Exited(0) => (ReasonCode::ExitedCleanly, ""),
            Ended::Exited(_) => (ReasonCode::WorkerExited, ""),
            Ended::Killed(signal) => self.by_signal(signal),
        };
        let ended = self.ended;
        let sentence = if more.is_empty() { format!("{who} {ended}") } else { format!("{who} {ended}: {more}") };
        Reason::new(code, sentence)
    }

    fn by_signal(&self, signal: i32) -> (ReasonCode, &'static str) {
        if self.word.is_some_and(LastWord::was_sent_by_another) {
            return KILLED_BY_PERSON;
        }
        match signal {
            libc::SIGSEGV if self.word.is_some_and(LastWord::is_stack_overflow) => STACK_OVERFLOW,
            libc::SIGSEGV if self.printed_stack_overflow() => STACK_OVERFLOW,
            libc::SIGSEGV => (ReasonCode::SegmentationFault, "its code used memory that is not its own"),
            libc::SIGABRT if self.printed("memory allocation of ") => {
                (ReasonCode::OutOfMemory, "it asked for more memory than it may have")
            }
            libc::SIGABRT if self.printed_stack_overflow() => STACK_OVERFLOW,
            libc::SIGABRT if self.printed_fatal_panic() => (ReasonCode::Panicked, "its code panicked"),
            libc::SIGABRT => (ReasonCode::Aborted, "its code gave up (abort)"),
            libc::SIGBUS => (ReasonCode::BusError, "a file that it had mapped became shorter, or an address was wrong"),
            libc::SIGILL => (ReasonCode::IllegalInstruction, "its code met an instruction that is none here"),
            libc::SIGFPE => (ReasonCode::ArithmeticFault, "its code divided by zero"),
            libc::SIGTRAP => (ReasonCode::Trapped, "its code met a trap"),
            libc::SIGSYS => (ReasonCode::RefusedBySandbox, "it made a system call that the sandbox does not allow"),
            libc::SIGXCPU | libc::SIGXFSZ => (ReasonCode::LimitExceeded, "it exceeded a limit of its process"),
            libc::SIGKILL if self.oom_killed => {
                (ReasonCode::OutOfMemory, "it used more memory than it may, or the system had none left")
            }
            libc::SIGKILL | libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT => KILLED_BY_PERSON,
            _ => (ReasonCode::WorkerKilled, ""),
        }
    }

    fn printed(&self, words: &str) -> bool {
        self.printed.as_ref().is_some_and(|printed| printed.contains(words))
    }

    /// The standard library's words.
    fn printed_stack_overflow(&self) -> bool {
        self.printed("has overflowed its stack")
    }

    /// A panic that was caught was printed too; one that ends the process says so, or cannot be caught.
    fn printed_fatal_panic(&self) -> bool {
        self.printed("non-unwinding panic")
            || self.printed("panicked while processing panic")
            || (self.panic_aborts && self.printed("panicked"))
    }
}

const STACK_OVERFLOW: (ReasonCode, &str) = (ReasonCode::StackOverflow, "its code used up its stack");

const KILLED_BY_PERSON: (ReasonCode, &str) =
    (ReasonCode::KilledByPerson, "not by Gatehouse, but by a person or another program");

#[cfg(test)]
mod tests {
    use super::*;

    fn death(ended: Ended) -> Death<'static> {
        Death { ended, oom_killed: false, printed: None, panic_aborts: false, word: None }
    }

    fn told(death: &Death<'_>) -> (&'static str, String) {
        let reason = death.reason("hass: its worker");
        (reason.code.as_str(), reason.sentence)
    }

    #[test]
    fn every_status_has_its_code_and_its_words() {
        let signals: Vec<_> = (1..=31).chain([40]).map(Ended::Killed).collect();
        let all = [Ended::Exited(0), Ended::Exited(3)].into_iter().chain(signals);
        let table: Vec<_> =
            all.map(|ended| told(&death(ended))).map(|(code, words)| format!("{code}: {words}")).collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn what_it_printed_last_tells_an_abort_apart() {
        let aborted = |printed: &str, panic_aborts| {
            let printed = Some(printed.to_owned());
            told(&Death { printed, panic_aborts, ..death(Ended::Killed(libc::SIGABRT)) }).0
        };
        assert_eq!(aborted("memory allocation of 99 bytes failed", false), "out_of_memory");
        assert_eq!(aborted("thread 'x' has overflowed its stack / fatal runtime error", false), "stack_overflow");
        assert_eq!(aborted("thread 'x' panicked at src/lib.rs:1:1: / no", true), "panicked");
        assert_eq!(aborted("thread caused non-unwinding panic. aborting.", false), "panicked");
        // Printed, caught, and nothing to do with the end.
        assert_eq!(aborted("thread 'x' panicked at src/lib.rs:1:1: / no", false), "aborted");
    }

    #[test]
    fn sigkill_is_want_of_memory_only_when_the_kernel_counted_one() {
        let killed = death(Ended::Killed(libc::SIGKILL));
        assert_eq!(told(&killed).0, "killed_by_person");
        assert_eq!(told(&Death { oom_killed: true, ..killed }).0, "out_of_memory");
        assert_eq!(told(&Death { oom_killed: true, ..death(Ended::Killed(libc::SIGSEGV)) }).0, "segmentation_fault");
    }
}
