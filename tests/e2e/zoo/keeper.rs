//! Brings a fault about in a fresh animal, sees what comes of it, and that nothing of the animal is left.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use gatehouse_tests::build;
use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::http::Answer;
use gatehouse_tests::wait::wait_for;
use serde_json::{Value, json};

use super::footprint::{Footprint, resident_kib, settled};
use super::neighbour::Neighbour;

/// A failure stays as it is told: nothing is tried again before the test is over.
pub(crate) const CALM: &str = "\
[plugins]
stable_for_ms = 50
rescan_every_ms = 500
[integrations]
backoff_ms = [3600000]
launch_within_ms = 4000
heartbeat_every_ms = 100
heartbeat_within_ms = 3000
stop_within_ms = 1500
[history]
queue_rows = 1000
[log]
keep_mb = 1
";

/// What the daemon may hold more in memory than before, when all animals are gone: the texts for subscribers who resume
/// (16 MiB), the caches of the database and the log's lines stay, and holes between them.
const MARGIN_KIB: u64 = 64 * 1024;

/// One fault and what must come of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// `PLACE KIND`.
    pub(crate) fault: &'static str,
    /// The code of the refusal that who asked is given; empty for an answer. Of no meaning where nobody asks.
    pub(crate) answer: &'static str,
    /// The state it comes to.
    pub(crate) state: &'static str,
    /// That state's reason.
    pub(crate) code: &'static str,
}

/// A fault that changes nothing of its integration's state, with the answer.
pub(crate) const fn harmless(fault: &'static str, answer: &'static str) -> Row {
    Row { fault, answer, state: "running", code: "as_wanted" }
}

/// A fault that ends the worker, and the reason.
pub(crate) const fn ends(fault: &'static str, code: &'static str) -> Row {
    Row { fault, answer: "unavailable", state: "retrying", code }
}

/// A fault of a place that nobody asks, and what becomes of its integration.
pub(crate) const fn quiet(fault: &'static str, state: &'static str, code: &'static str) -> Row {
    Row { fault, answer: "", state, code }
}

/// The zoo, a house beside it, and what there was before any animal.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) daemon: Daemon,
    pub(crate) neighbour: Neighbour,
    before: Footprint,
    resident_kib: u64,
}

impl Keeper {
    pub(crate) fn open() -> Self {
        let mut daemon = Daemon::prepare(CALM);
        daemon.serve();
        Self::of(daemon)
    }

    /// A daemon that is served.
    pub(crate) fn of(daemon: Daemon) -> Self {
        Self::showing(daemon, &build::plugin_file("zoo_plugin"))
    }

    /// A daemon that is served, with the zoo in this file.
    pub(crate) fn showing(daemon: Daemon, zoo: &Path) -> Self {
        daemon.with_house();
        daemon.drop_file(zoo);
        let neighbour = Neighbour::of(&daemon);
        let mut keeper = Self { before: Footprint::of(daemon.pid()), resident_kib: 0, daemon, neighbour };
        // What the first of all takes and keeps belongs to no animal.
        keeper.take_in("zoo");
        keeper.let_go("zoo");
        keeper.neighbour.keeps_its_pace();
        keeper.before = keeper.neighbour.at_rest(|| settled(keeper.daemon.pid()));
        keeper.resident_kib = resident_kib(keeper.daemon.pid());
        keeper
    }

    /// Every row in turn, then the whole.
    pub(crate) fn see(&self, rows: &[Row]) {
        self.see_each(rows);
        self.assert_unhurt();
    }

    /// Each is tried, whatever became of those before.
    pub(crate) fn see_each(&self, rows: &[Row]) {
        let failed = rows.iter().filter(|row| {
            let seen = catch_unwind(AssertUnwindSafe(|| {
                let id = self.bring_about(row);
                self.neighbour.keeps_its_pace();
                self.let_go(&id);
                self.assert_nothing_left(row.fault);
            }));
            seen.is_err()
        });
        let failed: Vec<_> = failed.map(|row| row.fault).collect();
        assert!(failed.is_empty(), "not as wanted: {failed:?}");
    }

    /// As [`Self::see`], all rows at the same time.
    pub(crate) fn see_together(&self, rows: &[Row]) {
        std::thread::scope(|scope| {
            let all: Vec<_> = rows.iter().map(|row| scope.spawn(|| self.bring_about(row))).collect();
            self.neighbour.keeps_its_pace();
            for animal in all {
                self.let_go(&animal.join().expect("as wanted"));
            }
        });
        self.assert_nothing_left("all of them");
        self.assert_unhurt();
    }

    /// The neighbour is as it was, and the daemon as large.
    pub(crate) fn assert_unhurt(&self) {
        self.neighbour.assert_unhurt(&self.daemon);
        let most = self.resident_kib + MARGIN_KIB;
        wait_for(&format!("the daemon to be within {most} KiB again"), || {
            let now = resident_kib(self.daemon.pid());
            if now <= most { Ok(()) } else { Err(now) }
        });
    }

    /// A fresh animal with this fault, which strikes; returns its id once what must come of it has come.
    pub(crate) fn bring_about(&self, row: &Row) -> String {
        let id = format!("zoo-{}", row.fault.replace(' ', "-"));
        self.take_in(&id);
        self.afflict(&id, row);
        id
    }

    /// Brings the fault about in an animal that is well.
    pub(crate) fn afflict(&self, id: &str, row: &Row) {
        let (place, _) = row.fault.split_once(' ').expect("a place and a kind");
        if matches!(place, "init" | "constructor" | "start") {
            self.send(id, "POST", "/pause", &Value::Null);
            self.daemon.wait_state(id, "paused");
        }
        self.curse(id, row.fault);
        let answer = self.strike(id, place);
        if let Some(answer) = answer {
            let code = refusal(&answer);
            assert_eq!(code, row.answer, "{}: {} {}", row.fault, answer.status, answer.body);
        }
        self.wait_reason(id, row);
        if row.state == "running" {
            self.assert_well(id, row.fault);
        }
    }

    fn wait_reason(&self, id: &str, row: &Row) {
        wait_for(&format!("{} to be {} for {}", row.fault, row.state, row.code), || {
            let view = self.view(id).map_err(|answer| answer.body)?;
            let is = view["actual"]["state"] == row.state && view["reason"]["code"] == row.code;
            if is { Ok(()) } else { Err(view.to_string()) }
        });
    }

    /// What runs without a reason to complain takes a call once its fault is taken from it.
    fn assert_well(&self, id: &str, fault: &str) {
        fs::remove_file(self.folder(id).join("fault")).expect("it was there");
        let answer = self.control(id, "off");
        assert_eq!(answer.status, 200, "{fault}: {}", answer.body);
        let view = self.daemon.wait_state(id, "running");
        assert_eq!(view["reason"]["code"], "as_wanted", "{fault}: {view}");
    }

    /// Activates an animal that is well.
    pub(crate) fn take_in(&self, id: &str) {
        self.daemon.cli(&["integration", "activate", "zoo", "--id", id, "--yes"]).ok();
        self.daemon.wait_state(id, "running");
        // The snapshot of the start is over when the next one is.
        let answer = self.send(id, "POST", "/synchronize", &Value::Null);
        assert_eq!(answer.status, 200, "{id}: {}", answer.body);
    }

    /// Deactivates an animal, whatever it is like, with all that there was of it.
    pub(crate) fn let_go(&self, id: &str) {
        self.daemon.cli(&["integration", "deactivate", id, "--purge", "--yes"]).ok();
        wait_for(&format!("{id} to be gone"), || match self.view(id) {
            Err(answer) if answer.status == 404 => Ok(()),
            other => Err(other),
        });
    }

    /// Descriptors and children are what they were before there was an animal.
    pub(crate) fn assert_nothing_left(&self, of: &str) {
        self.neighbour.at_rest(|| {
            wait_for(&format!("nothing to be left of {of:?}, as in {:?}", self.before), || {
                let now = Footprint::of(self.daemon.pid());
                if now.is_within(&self.before) { Ok(()) } else { Err(now) }
            });
        });
    }

    /// Writes down what is wrong with an animal; it is looked at with every operation.
    pub(crate) fn curse(&self, id: &str, fault: &str) {
        let folder = self.folder(id);
        fs::write(folder.join(".fault"), fault).expect("the folder is there");
        fs::rename(folder.join(".fault"), folder.join("fault")).expect("renamed");
    }

    fn folder(&self, id: &str) -> PathBuf {
        self.daemon.home().join("data").join(id)
    }

    /// Has the place visited; the answer where somebody asked.
    fn strike(&self, id: &str, place: &str) -> Option<Answer> {
        Some(match place {
            "init" | "constructor" | "start" => {
                self.send(id, "POST", "/resume", &Value::Null);
                return None;
            }
            "stop" | "drop" => {
                self.send(id, "POST", "/pause", &Value::Null);
                return None;
            }
            "poll" => return None,
            "control" => self.control(id, "on"),
            "manage" => self.send(id, "GET", "/manage", &Value::Null),
            "validate" | "settings" => {
                self.send(id, "PATCH", "/attributes", &json!({ "values": { "sign": "beware" } }))
            }
            "activate" | "deactivate" | "test" => self.flow(id, place),
            "synchronize" => self.send(id, "POST", "/synchronize", &Value::Null),
            "diagnostics" => self.send(id, "GET", "/diagnostics", &Value::Null),
            "snapshot" | "stream" => {
                self.daemon.get(&format!("/v1/entities/{id}:cage/{place}")).expect("the daemon answers")
            }
            other => panic!("nobody knows how to visit {other}"),
        })
    }

    /// Begins a flow, answers its form where that is what visits the place, and gives it up if it is still open.
    fn flow(&self, id: &str, place: &str) -> Answer {
        let kind = if place == "deactivate" { place } else { "activate" };
        let begun = self.daemon.send("POST", "/v1/flows", &json!({ "kind": kind, "integration": id }));
        assert_eq!(begun.status, 201, "{}", begun.body);
        let path = format!("/v1/flows/{}", text(&begun.json()["flow_id"]));
        let step = text(&begun.json()["state"]["step"]["step"]["step_id"]);
        let answer = match place {
            "test" => self.daemon.send("POST", &format!("{path}/steps/{step}"), &json!({ "values": {} })),
            _ => begun,
        };
        if !answer.json()["state"]["step"].is_null() {
            let given_up = gatehouse_tests::http::request(&self.daemon.socket(), "DELETE", &path, None);
            let status = given_up.expect("the daemon answers").status;
            assert!((200..300).contains(&status), "{status}");
        }
        answer
    }

    fn control(&self, id: &str, text: &str) -> Answer {
        let path = format!("/v1/states/{id}:cage%2Fdoor/control");
        self.daemon.send("POST", &path, &json!({ "text": text }))
    }

    fn send(&self, id: &str, method: &str, path: &str, body: &Value) -> Answer {
        let path = format!("/v1/integrations/{id}{path}");
        match body {
            Value::Null => gatehouse_tests::http::request(&self.daemon.socket(), method, &path, None),
            body => gatehouse_tests::http::request(&self.daemon.socket(), method, &path, Some(body)),
        }
        .expect("the daemon answers")
    }

    fn view(&self, id: &str) -> Result<Value, Answer> {
        let answer = self.daemon.get(&format!("/v1/integrations/{id}")).expect("the daemon answers");
        if answer.status == 200 { Ok(answer.json()) } else { Err(answer) }
    }
}

/// The code of a refusal, or of a flow that was broken off; what a form says that was refused as a whole; else nothing.
fn refusal(answer: &Answer) -> String {
    let body = answer.json();
    let state = &body["state"];
    let refused = [&body["code"], &state["aborted"]["code"], &state["step"]["step"]["errors"]["base"]];
    refused.into_iter().find(|said| said.is_string()).map(text).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
