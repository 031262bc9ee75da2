//! Animals that fail on the way to another version: it takes over in spite of it, or the one before runs on.

use std::fs;

use gatehouse_tests::build;
use gatehouse_tests::wait::wait_for;
use serde_json::{Value, json};

use super::keeper::Keeper;

const FILE: &str = "libzoo_plugin.so";

/// What becomes of a way to another version.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The new one runs.
    TakesOver,
    /// The one before runs on, and says what the new one did.
    Stays(&'static str),
    /// The one before ends in the middle: which is heard of first, its end or that the new one is ready, is open. The
    /// new one runs at once, or with the next start, which waits for its time with this code.
    Dies(&'static str),
}

const CROSSINGS: &[(&str, End)] = &[
    ("export panic", End::TakesOver),
    ("export abort", End::Dies("aborted")),
    ("import panic", End::Stays("taking over the state panicked: asked to panic")),
    ("import abort", End::Stays("was killed by SIGABRT")),
    ("start panic", End::Stays("start panicked: asked to panic")),
    ("start segfault", End::Stays("was killed by SIGSEGV")),
    ("start exit-7", End::Stays("7")),
    ("constructor panic", End::Stays("its gateway could not be made: asked to panic")),
    ("constructor abort", End::Stays("was killed by SIGABRT")),
    ("constructor exit-7", End::Stays("7")),
];

#[test]
fn a_failure_on_the_way_to_another_version_leaves_one_that_runs() {
    let keeper = Keeper::open();
    let mut bytes = fs::read(build::plugin_file("zoo_plugin")).expect("built");
    for (fault, end) in CROSSINGS {
        let id = format!("zoo-{}", fault.replace(' ', "-"));
        keeper.take_in(&id);
        keeper.curse(&id, fault);
        let before = keeper.daemon.wait_state(&id, "running")["generation"].clone();
        bytes.push(0);
        fs::write(keeper.daemon.plugins().join(FILE), &bytes).expect("written");
        let seen = |what: &str, holds: &dyn Fn(&Value) -> bool| {
            wait_for(&format!("{fault}: {what}"), || {
                let view =
                    keeper.daemon.get(&format!("/v1/integrations/{id}")).map_err(|error| error.to_string())?.json();
                if holds(&view) { Ok(()) } else { Err(view.to_string()) }
            });
        };
        let runs = |view: &Value| view["actual"]["state"] == "running";
        let takes_over =
            |view: &Value| runs(view) && view["generation"] != before && view["reason"]["code"] == "as_wanted";
        match end {
            End::TakesOver => seen("the new version runs", &takes_over),
            End::Stays(said) => seen("the version before runs on", &|view| {
                let sentence = view["reason"]["sentence"].as_str().unwrap_or_default();
                let back = view["reason"]["code"] == "went_back" && sentence.contains(said);
                runs(view) && back && view["generation"] == before
            }),
            End::Dies(code) => {
                let retries = |view: &Value| view["actual"]["state"] == "retrying" && view["reason"]["code"] == *code;
                seen("the version before has ended", &|view| retries(view) || takes_over(view));
                let path = format!("/v1/integrations/{id}");
                if retries(&keeper.daemon.get(&path).expect("answers").json()) {
                    let answer = keeper.daemon.send("POST", &format!("{path}/resume"), &json!({}));
                    assert_eq!(answer.status, 200, "{fault}: {}", answer.body);
                }
                seen("the new version runs", &takes_over);
            }
        }
        keeper.neighbour.keeps_its_pace();
        keeper.let_go(&id);
        keeper.assert_nothing_left(fault);
    }
    keeper.assert_unhurt();
}
