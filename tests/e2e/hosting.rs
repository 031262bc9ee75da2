//! Both ways of hosting, labelled wherever an integration is listed.

use gatehouse_tests::daemon::Daemon;

#[test]
fn in_process_is_the_same_house_and_says_what_it_is() {
    let daemon = Daemon::start_with("[integration.virtual-house]\nhosting = \"in_process\"\n");
    daemon.with_house();
    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
    daemon.wait_text("virtual-house:lamp/power", "on");
    let view = daemon.wait_state("virtual-house", "running");
    assert_eq!(view["hosting"], "in_process");
    assert!(view["pid"].is_null(), "{view}");
    for command in [["integration", "list"], ["integration", "show"]] {
        let mut args = command.to_vec();
        if command[1] == "show" {
            args.push("virtual-house");
        }
        let text = daemon.cli(&args).ok().to_lowercase();
        assert!(text.contains("in-process") || text.contains("in process"), "{text}");
    }
    daemon.cli(&["integration", "pause", "virtual-house"]).ok();
    daemon.cli(&["integration", "resume", "virtual-house"]).ok();
    daemon.wait_state("virtual-house", "running");
    let other = daemon.activate_house(&["--id", "cabin"]);
    other.ok();
    let cabin = daemon.wait_state("cabin", "running");
    assert_eq!(cabin["hosting"], "isolated", "only the named one is in-process");
}
