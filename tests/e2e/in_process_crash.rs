//! A plugin in the daemon's own process that brings the daemon down: the next start knows who it was.

use gatehouse_tests::daemon::Daemon;
use rustix::process::Signal;

#[test]
fn after_the_daemons_death_the_culprit_runs_in_a_worker_and_all_others_as_ever() {
    let mut daemon = Daemon::start_with("[integration.probe]\nhosting = \"in_process\"\n");
    daemon.with_house();
    daemon.with_probe();
    assert_eq!(daemon.wait_state("probe", "running")["hosting"], "in_process");
    daemon.cli(&["integration", "manage", "probe", "do=segfault", "address=16"]).failed(1);
    // It is dying already: this waits until it has.
    assert_ne!(daemon.end(Signal::TERM), 0);
    daemon.serve();
    assert_eq!(daemon.wait_state("virtual-house", "running")["hosting"], "isolated");
    let moved = daemon.wait_state("probe", "running");
    assert_eq!(moved["hosting"], "isolated", "{moved}");
    assert!(moved["moved"].as_str().is_some_and(|why| why.contains("SIGSEGV during manage")), "{moved}");
    let list = daemon.cli(&["crash", "list", "--integration", "probe", "--json"]).json();
    assert_eq!((&list[0]["hosting"], &list[0]["op"]), (&"in_process".into(), &"manage".into()), "{list}");
    assert_eq!(list[0]["place"]["library"], "libprobe_plugin.so", "{list}");

    // The way back, and a daemon that is killed blames nobody.
    let shown = daemon.cli(&["integration", "show", "probe"]);
    assert!(shown.ok().contains("integration move-back probe"), "{}", shown.stdout);
    daemon.cli(&["integration", "move-back", "probe"]).ok();
    let back = daemon.wait_state("probe", "running");
    assert_eq!((&back["hosting"], &back["moved"]), (&"in_process".into(), &"".into()), "{back}");
}
