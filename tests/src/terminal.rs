//! A command on a terminal of its own: what stands on the screen, and keys typed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use pty_process::Size;
use pty_process::blocking::{Command, open};
use rustix::process::{Pid, Signal, kill_process};
use vt100::{Callbacks, Parser, Screen};

use crate::wait::wait_for;

/// Tall enough that nothing of a test's conversation leaves the screen.
const ROWS: u16 = 60;
const COLUMNS: u16 = 110;

/// A running command and the screen that it writes to.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: Arc<File>,
    reader: JoinHandle<()>,
    shown: Arc<Mutex<Shown>>,
}

struct Shown {
    screen: Parser<Asked>,
    /// Every byte that the command wrote.
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// What a command asks of its terminal, and what that has to answer.
#[derive(Debug, Default)]
struct Asked {
    answers: Vec<String>,
}

impl Callbacks for Asked {
    fn unhandled_csi(&mut self, screen: &mut Screen, _: Option<u8>, _: Option<u8>, params: &[&[u16]], c: char) {
        // "Device status report 6" asks where the cursor is (ECMA-48, 8.3.35).
        if c == 'n' && params == [[6].as_slice()] {
            let (row, column) = screen.cursor_position();
            self.answers.push(format!("\x1b[{};{}R", row + 1, column + 1));
        }
    }
}

impl Terminal {
    /// Starts a command.
    pub(crate) fn start(program: &Path, args: &[OsString]) -> Self {
        let (pty, pts) = open().expect("a terminal");
        pty.resize(Size::new(ROWS, COLUMNS)).expect("a size");
        let command = Command::new(program).args(args).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        let child = command.env_remove("GATEHOUSE_HOME").spawn(pts).expect("the command starts");
        let size = |n| NonZeroU16::new(n).expect("not zero");
        let screen = Parser::new_with_callbacks(size(ROWS), size(COLUMNS), 1_000, Asked::default());
        let shown = Arc::new(Mutex::new(Shown { screen, bytes: Vec::new() }));
        let keyboard = Arc::new(File::from(OwnedFd::from(pty)));
        let (pty, written) = (Arc::clone(&keyboard), Arc::clone(&shown));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Ends with an error once the command, the last one on the terminal, has ended.
            while let Ok(count @ 1..) = (&*pty).read(&mut bytes) {
                let mut shown = written.lock().expect("no panic holds it");
                shown.bytes.extend_from_slice(&bytes[..count]);
                shown.screen.process(&bytes[..count]);
                for answer in shown.screen.callbacks_mut().answers.drain(..) {
                    let _ = (&*pty).write_all(answer.as_bytes());
                }
            }
        });
        Self { child, keyboard, reader, shown }
    }

    /// What stands on the screen.
    ///
    /// # Panics
    /// When the reader panicked.
    pub fn screen(&self) -> String {
        self.shown.lock().expect("no panic holds it").screen.screen().contents()
    }

    /// Everything that was ever written to the terminal, escapes included.
    ///
    /// # Panics
    /// When the reader panicked.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("no panic holds it").bytes).into_owned()
    }

    /// Waits until a text stands on the screen; returns the screen.
    ///
    /// # Panics
    /// When it never does.
    #[track_caller]
    pub fn wait(&self, text: &str) -> String {
        self.wait_screen(text, |screen| screen.contains(text))
    }

    /// Waits until the screen is as wanted; returns it.
    ///
    /// # Panics
    /// When it never is.
    #[track_caller]
    pub fn wait_screen(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        wait_for(&format!("{what} on the screen"), || {
            let screen = self.screen();
            if fits(&screen) { Ok(screen) } else { Err(Seen(screen)) }
        })
    }

    /// Types keys.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn keys(&self, keys: &str) {
        (&*self.keyboard).write_all(keys.as_bytes()).expect("the terminal is there");
    }

    /// Waits for a question, types an answer to it and Enter.
    ///
    /// # Panics
    /// When it is never asked.
    #[track_caller]
    pub fn answer(&self, question: &str, answer: &str) {
        // A question that waits has its mark before it; one that is answered has another.
        self.wait_screen(question, |screen| {
            screen.lines().any(|line| line.starts_with("? ") && line.contains(question))
        });
        self.keys(answer);
        self.keys(ENTER);
    }

    /// Sends the command a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for the command's end; its exit code, -1 for a signal.
    ///
    /// # Panics
    /// When it goes on.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        let status = wait_for("the command to end", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            _ => Err(Seen(self.screen())),
        });
        // Its last words may still be on their way.
        wait_for("the screen to be complete", || if self.reader.is_finished() { Ok(()) } else { Err("being read") });
        status.code().unwrap_or(-1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Enter key.
pub const ENTER: &str = "\r";
/// The arrow down.
pub const DOWN: &str = "\x1b[B";
/// The key that erases a character.
pub const BACKSPACE: &str = "\x7f";
/// Ctrl-C.
pub const INTERRUPT: &str = "\x03";

/// A screen that is shown in a failure as it looked.
struct Seen(String);

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\n{}", self.0)
    }
}
