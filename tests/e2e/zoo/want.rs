//! What a worker needs of the machine and does not get: memory, or to be started at all.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::memory_group::MemoryGroup;
use gatehouse_tests::wait::wait_for;
use serde_json::{Value, json};

use super::keeper::{CALM, Keeper, ends};

/// Enough for a worker, and much less than it may take by itself.
const GROUP_MEGABYTES: u64 = 512;

#[test]
#[expect(clippy::print_stderr, reason = "what was not tried is said with the test's name")]
fn what_the_kernel_ends_for_want_of_memory_is_told_apart_from_a_kill() {
    let Some(group) = MemoryGroup::new(GROUP_MEGABYTES) else {
        eprintln!("skipped: no control group with a memory of its own can be made here");
        return;
    };
    {
        // Shortly before its end it waits for pages: that is no missed heartbeat.
        let patient = CALM.replace("heartbeat_within_ms = 3000", "heartbeat_within_ms = 60000");
        let mut daemon = Daemon::prepare(&patient);
        daemon.serve();
        let keeper = Keeper::of(daemon);
        for (fault, code, how) in [
            ("control leak-touched", "out_of_memory", "killed by SIGKILL: it used more memory than it may"),
            // The count that rose before is none of this one's.
            ("control kill", "killed_by_person", "killed by SIGKILL: not by Gatehouse"),
        ] {
            // The animal alone: while it ends, the kernel may look for another one to end.
            let id = format!("zoo-{}", fault.replace(' ', "-"));
            group.admit(keeper.daemon.pid());
            keeper.take_in(&id);
            group.let_out(keeper.daemon.pid());
            keeper.afflict(&id, &ends(fault, code));
            let told = keeper.daemon.cli(&["explain", &id, "--json"]).json();
            assert!(told["reason"]["sentence"].as_str().is_some_and(|text| text.contains(how)), "{told}");
            keeper.neighbour.keeps_its_pace();
            keeper.let_go(&id);
            keeper.assert_nothing_left(fault);
        }
        keeper.assert_unhurt();
    }
    // The animals have gone.
    drop(group);
}

#[test]
fn a_worker_that_cannot_be_made_is_told_and_made_once_it_can() {
    let mut daemon = Daemon::prepare(CALM);
    let program = daemon.own_program();
    daemon.serve();
    let keeper = Keeper::of(daemon);
    let allow = |mode| fs::set_permissions(&program, Permissions::from_mode(mode)).expect("its owner may");
    let resume = || keeper.daemon.send("POST", "/v1/integrations/zoo/resume", &json!({}));
    let seen = |what: &str, holds: &dyn Fn(&Value) -> bool| {
        wait_for(what, || {
            let view = keeper.daemon.get("/v1/integrations/zoo").map_err(|error| error.to_string())?.json();
            if holds(&view) { Ok(()) } else { Err(view.to_string()) }
        });
    };
    keeper.take_in("zoo");
    keeper.daemon.cli(&["integration", "pause", "zoo"]).ok();
    // Workers run the daemon's own program, which nobody may execute any more.
    allow(0o600);
    resume();
    seen("it to be told that there is no worker", &|view| {
        view["actual"]["state"] == "retrying" && view["reason"]["code"] == "worker_not_started"
    });
    let other = keeper.daemon.cli(&["integration", "activate", "zoo", "--id", "zoo-other", "--yes"]);
    assert!(other.failed(1).contains("worker process could not be started"), "{}", other.stderr);
    keeper.neighbour.keeps_its_pace();
    allow(0o700);
    assert_eq!(resume().status, 200);
    seen("it to run", &|view| view["actual"]["state"] == "running" && view["reason"]["code"] == "as_wanted");
    keeper.let_go("zoo");
    keeper.assert_nothing_left("a worker that could not be made");
    keeper.assert_unhurt();
}
