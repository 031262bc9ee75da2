//! Files that come, grow, rest, change and go, told by looks at the folder and by moments.

use super::super::folder::Seen;
use super::*;

const STABLE: Duration = Duration::from_millis(100);

/// A folder and a clock in memory.
struct Scene {
    resting: Resting,
    start: Instant,
    wall: SystemTime,
    at_ms: u64,
    listing: Listing,
    finished: BTreeSet<String>,
}

impl Scene {
    fn new() -> Self {
        let listing = Listing { ownership: Some((0, 0o755)), ..Listing::default() };
        let (start, wall) = (Instant::now(), SystemTime::now());
        Self { resting: Resting::new(STABLE), start, wall, at_ms: 0, listing, finished: BTreeSet::new() }
    }

    fn write(&mut self, name: &str, size: u64) -> &mut Self {
        self.write_aged(name, size, Duration::ZERO)
    }

    fn write_aged(&mut self, name: &str, size: u64, age: Duration) -> &mut Self {
        let wall = self.wall + Duration::from_millis(self.at_ms);
        let seen = Seen { path: PathBuf::from(name), stamp: Stamp::of(size, wall, age) };
        self.listing.files.insert(name.to_owned(), seen);
        self
    }

    fn close(&mut self, name: &str) -> &mut Self {
        self.finished.insert(name.to_owned());
        self
    }

    fn delete(&mut self, name: &str) -> &mut Self {
        self.listing.files.remove(name);
        self
    }

    /// A look at a moment: `name`, `name!` when early, `-name` when gone.
    fn look(&mut self, at_ms: u64) -> Vec<String> {
        self.at_ms = at_ms;
        let now = self.start + Duration::from_millis(at_ms);
        let wall = self.wall + Duration::from_millis(at_ms);
        let finished = std::mem::take(&mut self.finished);
        let findings = self.resting.see(&self.listing, &finished, now, wall);
        findings
            .into_iter()
            .map(|finding| match finding {
                Finding::Rested { candidate, early: false } => candidate.file_name,
                Finding::Rested { candidate, early: true } => candidate.file_name + "!",
                Finding::Gone(name) => format!("-{name}"),
            })
            .collect()
    }

    fn due_in_ms(&self) -> Option<u128> {
        self.resting.next_due().map(|due| due.duration_since(self.start).as_millis())
    }
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_fresh_file_rests_after_the_whole_wait() {
    let mut scene = Scene::new();
    scene.write("a.so", 1);
    assert_eq!(scene.look(0), none());
    assert_eq!(scene.due_in_ms(), Some(100));
    assert_eq!(scene.look(99), none());
    assert_eq!(scene.look(100), ["a.so"]);
    assert_eq!(scene.look(200), none(), "told once");
    assert_eq!(scene.due_in_ms(), None);
}

#[test]
fn a_file_that_grows_is_waited_for() {
    let mut scene = Scene::new();
    for step in 0..50 {
        scene.at_ms = step * 60;
        assert_eq!(scene.write("a.so", step + 1).look(step * 60), none());
    }
    assert_eq!(scene.look(49 * 60 + 100), ["a.so"]);
}

#[test]
fn an_old_file_rests_already() {
    let mut scene = Scene::new();
    assert_eq!(scene.write_aged("a.so", 1, Duration::from_secs(60)).look(0), ["a.so"]);
}

#[test]
fn a_closed_or_renamed_file_is_looked_at_after_the_short_wait() {
    let mut scene = Scene::new();
    scene.write("a.so", 1).look(0);
    scene.at_ms = 20;
    assert_eq!(scene.write("a.so", 2).close("a.so").look(20), none());
    assert_eq!(scene.due_in_ms(), Some(30));
    assert_eq!(scene.look(30), ["a.so!"]);
    scene.resting.settle("a.so");
    assert_eq!(scene.look(500), none(), "sound: told once");
}

#[test]
fn a_file_refused_after_the_short_wait_is_looked_at_again_after_the_whole_one() {
    let mut scene = Scene::new();
    scene.write("a.so", 1).close("a.so").look(0);
    assert_eq!(scene.look(10), ["a.so!"]);
    assert_eq!(scene.look(99), none());
    assert_eq!(scene.look(100), ["a.so"]);
}

#[test]
fn a_change_after_the_close_starts_the_wait_anew() {
    let mut scene = Scene::new();
    scene.write("a.so", 1).close("a.so").look(0);
    scene.at_ms = 5;
    assert_eq!(scene.write("a.so", 2).look(5), none());
    assert_eq!(scene.look(12), none());
    assert_eq!(scene.look(105), ["a.so"]);
}

#[test]
fn a_write_that_leaves_the_same_stamp_is_seen_by_its_close() {
    let mut scene = Scene::new();
    scene.write_aged("a.so", 1, STABLE);
    assert_eq!(scene.look(0), ["a.so"]);
    assert_eq!(scene.close("a.so").look(50), ["a.so"], "it rests by its times");
}

#[test]
fn a_vanished_name_is_given_time_to_come_back() {
    let mut scene = Scene::new();
    scene.write_aged("a.so", 1, STABLE).look(0);
    assert_eq!(scene.delete("a.so").look(10), none());
    scene.at_ms = 50;
    assert_eq!(scene.write("a.so", 2).look(50), none());
    assert_eq!(scene.look(150), ["a.so"]);
    assert_eq!(scene.delete("a.so").look(160), none());
    assert_eq!(scene.look(260), ["-a.so"]);
    assert_eq!(scene.look(400), none());
}

#[test]
fn a_renamed_file_is_told_under_its_new_name_first() {
    let mut scene = Scene::new();
    scene.write_aged("old.so", 1, STABLE).look(0);
    scene.delete("old.so").write("new.so", 1).close("new.so").look(10);
    assert!(scene.resting.is_missing("old.so"));
    assert_eq!(scene.look(20), ["new.so!"]);
    scene.resting.settle("new.so");
    scene.resting.give_up("old.so");
    assert_eq!(scene.look(300), none());
}

#[test]
fn a_temporary_name_that_never_rested_goes_without_a_word() {
    let mut scene = Scene::new();
    scene.write("a.so", 1).look(0);
    assert_eq!(scene.delete("a.so").look(10), none());
    assert_eq!(scene.look(200), none());
    assert_eq!(scene.due_in_ms(), None);
}

#[test]
fn a_name_known_from_before_that_is_not_there_is_gone() {
    let mut scene = Scene::new();
    scene.resting.expect(["old.so".to_owned()], scene.start);
    assert_eq!(scene.look(0), ["-old.so"]);
}

#[test]
fn another_owner_or_mode_of_the_folder_is_a_reason_to_look_at_all_again() {
    let mut scene = Scene::new();
    scene.write_aged("a.so", 1, STABLE);
    assert_eq!(scene.look(0), ["a.so"]);
    scene.listing.ownership = Some((0, 0o777));
    assert_eq!(scene.look(10), ["a.so"]);
    assert_eq!(scene.look(20), none());
}

#[test]
fn what_moves_while_it_is_read_rests_anew_and_is_told_when_it_never_ends() {
    let mut scene = Scene::new();
    scene.write("a.so", 1);
    scene.look(0);
    assert_eq!(scene.look(100), ["a.so"]);
    let mut at_ms = 100;
    for _ in 0..RESTLESS_MAX {
        assert!(scene.resting.rest_anew("a.so", scene.start + Duration::from_millis(at_ms)));
        assert_eq!(scene.look(at_ms + 99), Vec::<String>::new());
        at_ms += 100;
        assert_eq!(scene.look(at_ms), ["a.so"]);
    }
    assert!(!scene.resting.rest_anew("a.so", scene.start + Duration::from_millis(at_ms)), "told at last");
    assert_eq!(scene.look(at_ms + 1_000), Vec::<String>::new());
    // What came to rest in between begins to count anew.
    assert!(scene.resting.rest_anew("a.so", scene.start + Duration::from_millis(at_ms + 1_000)));
    scene.resting.settle("a.so");
    for _ in 0..RESTLESS_MAX {
        assert!(scene.resting.rest_anew("a.so", scene.start));
    }
    // Gone in the meantime: its end is told, and nothing else.
    scene.delete("a.so").look(at_ms + 2_000);
    assert!(scene.resting.rest_anew("a.so", scene.start));
    assert_eq!(scene.look(at_ms + 2_100), ["-a.so"]);
}
