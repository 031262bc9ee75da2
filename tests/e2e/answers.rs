//! What a plugin that runs answers about itself: its camera's image, its diagnostics.

use std::fs;

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::http;

const CAMERA: &str = "virtual-house:door-camera";

#[test]
fn the_camera_at_the_door_shows_what_happens() {
    let daemon = Daemon::start();
    daemon.with_house();
    let file = daemon.home().join("door.svg");
    let out = file.to_string_lossy();
    let saved = daemon.cli(&["entity", "snapshot", CAMERA, "--out", &out]);
    assert!(saved.ok().contains("image/svg+xml"), "{}", saved.stdout);
    let before = fs::read_to_string(&file).expect("saved");
    assert!(before.contains(" UTC<") && before.contains("The door is"), "{before}");

    daemon.cli(&["control", "virtual-house:door/bell", "ring"]).ok();
    let ringing = daemon.cli(&["entity", "snapshot", CAMERA, "--out", "-"]);
    assert!(ringing.ok().contains("somebody"), "{}", ringing.stdout);

    // What the entity itself shows is a command that works, and that this camera has no stream is no failure.
    let shown = daemon.cli(&["entity", "show", CAMERA]);
    assert!(shown.ok().contains(&format!("entity snapshot {CAMERA}")), "{}", shown.stdout);
    assert!(!shown.stdout.contains("Stream"), "{}", shown.stdout);
    let none = daemon.cli(&["entity", "snapshot", "virtual-house:lamp"]);
    assert!(none.failed(1).contains("lamp has no image"), "{}", none.stderr);
}

#[test]
fn an_image_is_answered_so_that_a_browser_takes_it_for_nothing_else() {
    let daemon = Daemon::start();
    daemon.with_house();
    let request = format!("GET /v1/entities/{CAMERA}/snapshot HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = http::raw(&daemon.socket(), request.as_bytes()).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    for header in [
        "HTTP/1.1 200",
        "content-type: image/svg+xml",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'",
        "; sandbox",
        "cache-control: no-store",
    ] {
        assert!(head.contains(header), "{header} is not in {head}");
    }
    assert!(body.starts_with("<svg "), "{body}");
    let stream = daemon.get(&format!("/v1/entities/{CAMERA}/stream")).expect("answered");
    assert_eq!((stream.status, stream.json()["code"].as_str()), (501, Some("unsupported")), "{}", stream.body);
    daemon.cli(&["integration", "pause", "virtual-house"]).ok();
    let paused = daemon.get(&format!("/v1/entities/{CAMERA}/snapshot")).expect("answered");
    assert_eq!((paused.status, paused.json()["code"].as_str()), (409, Some("unavailable")), "{}", paused.body);
}

#[test]
fn diagnostics_tell_of_the_plugin_and_keep_its_secret() {
    let daemon = Daemon::start();
    daemon.with_house();
    let code = daemon.home().join("code");
    fs::write(&code, "m1dnight").expect("written");
    let from = format!("alarm_code={}", code.display());
    daemon.cli(&["integration", "set", "virtual-house", "--set-file", &from]).ok();
    // The code stands in what the plugin lets a person write anywhere.
    daemon.cli(&["control", "virtual-house:house/note", "the code is m1dnight"]).ok();
    daemon.cli(&["integration", "set", "virtual-house", "name=House m1dnight"]).ok();
    let told = daemon.cli(&["integration", "show", "virtual-house", "--diagnostics"]);
    let bundle = told.json();
    assert_eq!(bundle["integration"]["actual"]["state"], "running", "{bundle}");
    assert_eq!(bundle["data"]["note"], "the code is ********", "{bundle}");
    assert_eq!(bundle["integration"]["attributes"]["name"], "House ********", "{bundle}");
    assert!(!told.stdout.contains("m1dnight"), "{}", told.stdout);
}
