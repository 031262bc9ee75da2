//! The virtual house beside the zoo: every reading of its meter is followed by a call, and none may fail.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::events::Events;
use gatehouse_tests::http;
use gatehouse_tests::wait::BOUND;
use serde_json::{Value, json};

const METER: &str = "virtual-house:meter/power";
const STREAM: &str = "/v1/events?states=1";
const LAMP: &str = "/v1/states/virtual-house:lamp%2Fbrightness";
/// What of the house's view must never change.
const KEPT: &[&str] = &["pid", "since_ms", "generation", "desired", "actual", "reason"];

/// Somebody who uses the house without a pause.
#[derive(Debug)]
pub(crate) struct Neighbour {
    shared: Arc<Shared>,
    house: Value,
    user: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Now {
    /// Readings that came, each followed by calls that succeeded.
    turns: u64,
    failures: Vec<String>,
    /// Somebody wants no request to be under way.
    resting: bool,
    rests: bool,
    ending: bool,
}

impl Shared {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().expect("nobody panics with it")
    }

    fn until(&self, what: &str, fits: impl Fn(&Now) -> bool) -> MutexGuard<'_, Now> {
        let (now, waited) = self.changed.wait_timeout_while(self.now(), BOUND, |now| !fits(now)).expect("as above");
        assert!(!waited.timed_out(), "waited {BOUND:?} for {what}: {now:?}");
        now
    }
}

impl Neighbour {
    /// Begins to use the house of this daemon, which runs.
    pub(crate) fn of(daemon: &Daemon) -> Self {
        let shared = Arc::<Shared>::default();
        let house = daemon.wait_state("virtual-house", "running");
        let (socket, events) = (daemon.socket(), daemon.events(STREAM, None));
        let used = Arc::clone(&shared);
        let user = Some(std::thread::spawn(move || live(&used, &socket, events)));
        Self { shared, house, user }
    }

    /// A reading that comes from now on, and the calls after it, have arrived; nothing ever failed.
    #[track_caller]
    pub(crate) fn keeps_its_pace(&self) {
        let turns = self.shared.now().turns;
        // The turn that is under way may have begun before.
        let now = self.shared.until("the neighbour", |now| now.turns >= turns + 2 || !now.failures.is_empty());
        assert!(now.failures.is_empty(), "the neighbour: {:?}", now.failures);
    }

    /// What `look` sees while no request of the neighbour's is under way.
    pub(crate) fn at_rest<T>(&self, look: impl FnOnce() -> T) -> T {
        self.shared.now().resting = true;
        drop(self.shared.until("the neighbour to rest", |now| now.rests || !now.failures.is_empty()));
        let seen = look();
        self.shared.now().resting = false;
        self.shared.changed.notify_all();
        seen
    }

    /// The same worker runs since the same moment, and nothing ever failed.
    #[track_caller]
    pub(crate) fn assert_unhurt(&self, daemon: &Daemon) {
        self.keeps_its_pace();
        let now = daemon.wait_state("virtual-house", "running");
        for key in KEPT {
            assert_eq!(now[key], self.house[key], "{key}: {now}");
        }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // A failed test may have left it at rest, or its lock behind.
        if let Ok(mut now) = self.shared.now.lock() {
            (now.ending, now.resting) = (true, false);
        }
        self.shared.changed.notify_all();
        if let Some(user) = self.user.take() {
            // Its own failures are told where they are looked at.
            let _ = user.join();
        }
    }
}

fn live(shared: &Shared, socket: &Path, mut events: Events) {
    let mut token = None;
    for turn in 0_u64.. {
        {
            let mut now = shared.now();
            while now.resting && !now.ending {
                now.rests = true;
                shared.changed.notify_all();
                now = shared.changed.wait(now).expect("nobody panics with it");
            }
            now.rests = false;
            if now.ending {
                return;
            }
        }
        let done = metered(socket, &mut events, &mut token).and_then(|()| set(socket, 10 + turn % 80));
        let mut now = shared.now();
        match done {
            Ok(()) => now.turns += 1,
            Err(failure) => now.failures.push(failure),
        }
        let failed = !now.failures.is_empty();
        drop(now);
        shared.changed.notify_all();
        if failed {
            return;
        }
    }
}

/// Waits for the meter's next reading. A flood may be more than waits for one subscriber, who is dropped then and goes
/// on behind the last word it had: nothing is lost to it.
fn metered(socket: &Path, events: &mut Events, token: &mut Option<String>) -> Result<(), String> {
    loop {
        let Some(event) = events.next() else {
            if token.is_none() {
                return Err("the stream of readings ended without a token".to_owned());
            }
            *events = Events::open(socket, STREAM, token.as_deref());
            continue;
        };
        if event.name == "reset" && token.is_some() {
            return Err("the token of this boot was not known".to_owned());
        }
        if event.id.is_some() {
            token.clone_from(&event.id);
        }
        if event.name == "state" && event.data["address"] == METER {
            return Ok(());
        }
    }
}

/// Sets the lamp and finds it set.
fn set(socket: &Path, brightness: u64) -> Result<(), String> {
    let brightness = brightness.to_string();
    let asked =
        [("POST", format!("{LAMP}/control"), Some(json!({ "text": brightness }))), ("GET", LAMP.to_owned(), None)];
    for (method, path, body) in asked {
        let answer =
            http::request(socket, method, &path, body.as_ref()).map_err(|error| format!("{method}: {error:#}"))?;
        if answer.status != 200 || (method == "GET" && answer.json()["text"] != brightness.as_str()) {
            return Err(format!("{method} {path} for {brightness}: {} {}", answer.status, answer.body));
        }
    }
    Ok(())
}
