//! A plugin's own pages from the command line: as text, as HTML, posted to, followed, saved.

use std::fs;

use gatehouse_tests::daemon::{Daemon, Ran};

fn manage(daemon: &Daemon, more: &[&str]) -> Ran {
    let mut args = vec!["integration", "manage", "virtual-house"];
    args.extend(more);
    daemon.cli(&args)
}

#[test]
fn a_page_is_text_with_the_commands_that_go_on_from_it() {
    let daemon = Daemon::start();
    daemon.with_house();
    let rooms = manage(&daemon, &[]);
    let text = rooms.ok();
    assert!(text.contains("Rooms") && !text.contains("</"), "{text}");
    // Each link and form is a command that works as it stands.
    let commands: Vec<_> = text.lines().filter(|line| line.contains("integration manage virtual-house")).collect();
    assert!(commands.iter().any(|line| line.contains("page=lamps")), "{text}");
    assert!(commands.iter().any(|line| line.contains("--post") && line.contains("action=add")), "{text}");
    let lamps = manage(&daemon, &["page=lamps"]);
    assert!(lamps.ok().contains("Brightness"), "{}", lamps.stdout);

    let html = manage(&daemon, &["page=lamps", "--html"]);
    assert!(html.ok().contains("<h1>Lamps</h1>") && html.stdout.contains("<form"), "{}", html.stdout);
    let json = manage(&daemon, &["page=lamps", "--json"]).json();
    assert!(json["html"].as_str().is_some_and(|page| page.contains("<h1>Lamps</h1>")), "{json}");
}

#[test]
fn a_form_is_posted_and_the_page_it_leads_to_is_shown() {
    let daemon = Daemon::start();
    daemon.with_house();
    let added = manage(&daemon, &["page=rooms", "--post", "action=add", "name=Attic <3"]);
    assert!(added.ok().contains("Attic <3"), "the page after it is shown: {}", added.stdout);
    let html = manage(&daemon, &["page=rooms", "--html"]);
    assert!(html.ok().contains("Attic &lt;3") && !html.stdout.contains("Attic <3"), "{}", html.stdout);

    let lamp = manage(&daemon, &["page=lamps", "--post", "action=add", "room=4", "name=Bulb"]);
    assert!(lamp.ok().contains("Bulb"), "{}", lamp.stdout);
    // What was made on a page is in the house.
    let states = daemon.cli(&["state", "get", "virtual-house", "--json"]).json();
    let bulb = states.as_array().expect("states").iter().any(|state| {
        state["entity_label"].as_str().is_some_and(|label| label.contains("Bulb")) && state["label"] == "Power"
    });
    assert!(bulb, "{states}");
    // A form's refusal is a sentence, and nothing is done.
    let nowhere = manage(&daemon, &["page=lamps", "--post", "action=add", "room=77", "name=Lost"]);
    assert!(nowhere.failed(1).contains("77"), "{}", nowhere.stderr);
    let unknown = manage(&daemon, &["page=cellar"]);
    assert!(unknown.failed(1).contains("rooms and lamps"), "{}", unknown.stderr);
    assert!(manage(&daemon, &["page"]).failed(2).contains("page has no '='"));
}

#[test]
fn a_file_is_saved_where_it_was_asked_to_be() {
    let daemon = Daemon::start();
    daemon.with_house();
    let path = daemon.home().join("lamps of mine.csv");
    let text = path.to_string_lossy();
    let saved = manage(&daemon, &["page=lamps", "format=csv", "--save", &text]);
    assert!(saved.ok().contains(&*text) && saved.stdout.contains("text/csv"), "{}", saved.stdout);
    let csv = fs::read_to_string(&path).expect("saved");
    assert!(csv.starts_with("entity,name,room,power,brightness,colour\r\n"), "{csv}");
    assert_eq!(csv.lines().count(), 4, "a header and a lamp in each of three rooms: {csv}");
    // Into a folder it goes under its own name.
    let folder = daemon.home().to_string_lossy().into_owned();
    manage(&daemon, &["page=lamps", "format=csv", "--save", &folder]).ok();
    assert_eq!(fs::read_to_string(daemon.home().join("lamps.csv")).expect("saved"), csv);
    let nowhere = manage(&daemon, &["page=lamps", "format=csv", "--save", "/nowhere/lamps.csv"]);
    assert!(nowhere.failed(1).contains("/nowhere/lamps.csv"), "{}", nowhere.stderr);
}

#[test]
fn a_page_of_what_does_not_run_says_so() {
    let daemon = Daemon::start();
    daemon.with_house();
    daemon.cli(&["integration", "pause", "virtual-house"]).ok();
    let paused = manage(&daemon, &[]);
    assert!(paused.failed(1).contains("resume"), "{}", paused.stderr);
    let nobody = daemon.cli(&["integration", "manage", "virtual-hous"]);
    assert!(nobody.failed(1).contains("virtual-house"), "{}", nobody.stderr);
}
