//! A person at a terminal: asked, corrected, asked again; secrets unseen; tables that redraw.

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::secret::Secret;
use gatehouse_tests::terminal::{BACKSPACE, DOWN, ENTER, INTERRUPT, Terminal};

/// Begins to activate a virtual house and comes to its form.
fn at_the_form(daemon: &Daemon) -> Terminal {
    let terminal = daemon.terminal(&["integration", "activate", "virtual-house"]);
    let menu = terminal.wait("I only wanted to look");
    assert!(menu.contains("What house is it to be?") && menu.contains("Nothing of it is real"), "{menu}");
    // The first option is the furnished one.
    terminal.keys(ENTER);
    terminal
}

#[test]
fn activation_asks_for_everything_and_tells_what_is_wrong() {
    let daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    let secret = Secret::new("tell-nobody-4417-this-code");
    let mut terminal = at_the_form(&daemon);
    terminal.answer("Name of the house", "My house");
    // Told beside the field while it is asked.
    terminal.answer("Number of rooms", "99");
    terminal.wait_screen("what is wrong", |screen| {
        screen.lines().any(|line| line.starts_with('#') && line.contains("99 is not between 1 and 12"))
    });
    terminal.keys(&BACKSPACE.repeat(2));
    terminal.answer("Number of rooms", "2");
    terminal.answer("Season", DOWN);
    terminal.answer("How often something may change", "");
    terminal.answer("Website of the house", "ftp://house.example");
    terminal.answer("Picture of the house", "");
    terminal.answer("Code of the alarm", secret.text());

    // What only the plugin can know is told by it, and the form is asked again with what was answered.
    let refused = terminal.wait("begins with http:// or https://");
    assert!(refused.contains("Website of the house: give an address"), "{refused}");
    terminal.answer("Name of the house", "");
    terminal.answer("Number of rooms", "");
    terminal.answer("Season", "");
    terminal.answer("How often something may change", "");
    terminal.answer("Website of the house", "https://house.example");
    terminal.answer("Picture of the house", "");
    terminal.answer("Code of the alarm", "");
    terminal.wait("https://house.example/");
    terminal.answer("Is it done there?", "y");
    let sure = terminal.wait("Build this house?");
    assert!(sure.contains("My house will have 2 rooms, 2 lamps") && sure.contains("an alarm"), "{sure}");
    terminal.answer("Go on?", "");
    let done = terminal.wait("Next:");
    assert_eq!(terminal.end(), 0, "{done}");
    for part in ["virtual-house is running", "My house stands: 2 rooms, 2 lamps", "state watch virtual-house"] {
        assert!(done.contains(part), "{part}: {done}");
    }
    secret.assert_not_in("the terminal", terminal.written());
    secret.assert_not_below(daemon.home());
    // The code that nobody saw is the one that was typed.
    daemon.wait_text("virtual-house:alarm/armed", "off");
    daemon.cli(&["control", "virtual-house:alarm/code", secret.text()]).ok();
    daemon.wait_text("virtual-house:alarm/armed", "on");
}

#[test]
fn giving_up_in_the_middle_leaves_nothing() {
    let daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    let mut terminal = at_the_form(&daemon);
    terminal.answer("Name of the house", "");
    terminal.wait_screen("the next question", |screen| screen.contains("? Number of rooms"));
    terminal.keys(INTERRUPT);
    assert_eq!(terminal.end(), 1);
    assert!(terminal.screen().contains("given up: nothing was changed"), "{}", terminal.screen());
    let listed = daemon.cli(&["integration", "list", "--json"]).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(0), "{listed}");
    // Nothing holds the name: the next one gets it.
    daemon.activate_house(&[]).ok();
    daemon.wait_state("virtual-house", "running");
}

#[test]
fn deactivation_says_what_is_lost_and_wants_the_id_for_everything() {
    let daemon = Daemon::start();
    daemon.with_house();
    let mut terminal = daemon.terminal(&["integration", "deactivate", "virtual-house"]);
    terminal.wait("Give up this house?");
    // The plugin's own word on what is lost.
    terminal.wait("3 rooms and 3 lamps");
    terminal.answer("Go on?", "");
    for words in ["readings", "SAFE: keep entities and history", "ALL: delete everything of it"] {
        terminal.wait(words);
    }
    terminal.keys(DOWN);
    terminal.keys(ENTER);
    terminal.answer("Keep the settings", "");
    terminal.answer("The integration's id", "virtual");
    terminal.wait("is not \"virtual-house\"");
    terminal.wait("deleted for good");
    terminal.wait_screen("the question again", |screen| screen.matches("The integration's id").count() >= 3);
    terminal.keys("virtual-house");
    terminal.keys(ENTER);
    terminal.wait("everything of it is deleted");
    assert_eq!(terminal.end(), 0);
    assert_eq!(daemon.get("/v1/integrations/virtual-house").expect("answered").status, 404);
}

#[test]
fn deactivation_declined_changes_nothing() {
    let daemon = Daemon::start();
    daemon.with_house();
    let mut terminal = daemon.terminal(&["integration", "deactivate", "virtual-house"]);
    terminal.wait("Give up this house?");
    terminal.answer("Go on?", "n");
    terminal.wait("given up: nothing was changed");
    assert_eq!(terminal.end(), 1);
    daemon.wait_state("virtual-house", "running");
}

#[test]
fn the_watch_redraws_in_place_and_leaves_the_screen_as_it_was() {
    let daemon = Daemon::start();
    daemon.with_house();
    let mut watch = daemon.terminal(&["state", "watch", "virtual-house:lamp"]);
    let row = |screen: &str, text: &str| screen.lines().any(|line| line.contains("Power") && line.contains(text));
    watch.wait_screen("the lamp, off", |screen| row(screen, " off "));
    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
    let now = watch.wait_screen("the lamp, on", |screen| row(screen, " on "));
    // Redrawn, not written below: the state is on the screen once.
    assert_eq!(now.matches("Power").count(), 1, "{now}");
    daemon.cli(&["integration", "pause", "virtual-house"]).ok();
    watch.wait_screen("the lamp, offline", |screen| screen.contains("offline"));
    watch.keys(INTERRUPT);
    assert_eq!(watch.end(), 0, "{}", watch.screen());
}
