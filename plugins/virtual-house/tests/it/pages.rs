//! The house's own pages.

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::manage::ManageReply;
use gatehouse_plugin_api::serde_json::Value as Json;
use gatehouse_plugin_api::testing::House;
use virtual_house::VirtualHouse;

use crate::{furnished, started};

fn context(reply: ManageReply) -> Json {
    match reply {
        ManageReply::Template { context, .. } => context,
        other => panic!("no template but {other:?}"),
    }
}

fn sentence(reply: ManageReply) -> String {
    match reply {
        ManageReply::Message { error: true, text } => text,
        other => panic!("no failure but {other:?}"),
    }
}

#[track_caller]
fn goes_to(reply: ManageReply, page: &str) {
    let ManageReply::Redirect { params } = reply else { panic!("no redirect but {reply:?}") };
    assert_eq!(params["page"], page);
}

#[test]
fn rooms_are_listed_added_and_renamed() {
    let house = furnished();
    let rooms = context(house.page(&[]).expect("a page"));
    assert_eq!(
        rooms["rooms"][0],
        gatehouse_plugin_api::serde_json::json!({"id": 1, "name": "Living room", "lamps": 1})
    );
    goes_to(house.send_form(&[], &[("action", "add"), ("name", "Winter garden")]).expect("answers"), "rooms");
    goes_to(
        house.send_form(&[("page", "rooms")], &[("action", "rename"), ("room", "2"), ("name", "Galley")]).expect("ok"),
        "rooms",
    );
    let rooms = context(house.page(&[("page", "rooms")]).expect("a page"));
    assert_eq!((&rooms["rooms"][1]["name"], &rooms["rooms"][3]["name"]), (&"Galley".into(), &"Winter garden".into()));
}

#[test]
fn a_lamp_that_is_added_is_an_entity_at_once() {
    let house = furnished();
    let lamps = [("page", "lamps")];
    goes_to(
        house.send_form(&lamps, &[("action", "add"), ("room", "3"), ("name", "Reading lamp")]).expect("ok"),
        "lamps",
    );
    assert_eq!(house.entity("lamp-4").expect("declared").label, "Reading lamp (Bedroom)");
    house.control("lamp-4", "power", true).expect("it can be switched on");
    goes_to(
        house.send_form(&lamps, &[("action", "rename"), ("lamp", "lamp-4"), ("name", "Night light")]).expect("ok"),
        "lamps",
    );
    assert_eq!(house.entity("lamp-4").expect("declared").label, "Night light (Bedroom)");
    let page = context(house.page(&[("page", "lamps"), ("room", "3")]).expect("a page"));
    assert_eq!(page["title"], "Lamps: Bedroom");
    assert_eq!(page["lamps"].as_array().map(Vec::len), Some(2));
    assert_eq!(page["lamps"][1]["power"], "on");
}

#[test]
fn wrong_input_gets_a_sentence_and_changes_nothing() {
    let house = furnished();
    let post = |page: &str, form: &[(&str, &str)]| sentence(house.send_form(&[("page", page)], form).expect("answers"));
    assert_eq!(post("rooms", &[("action", "add"), ("name", " ")]), "Give it a name.");
    assert!(post("rooms", &[("action", "add"), ("name", "kitchen")]).contains("already"));
    assert!(post("rooms", &[("action", "rename"), ("room", "99"), ("name", "x")]).contains("no room 99"));
    assert!(post("rooms", &[("action", "rename"), ("room", "two"), ("name", "x")]).contains("not the number"));
    assert!(post("rooms", &[("action", "paint")]).contains("action=add"));
    assert!(post("lamps", &[("action", "add"), ("name", "x")]).contains("which room"));
    assert!(post("lamps", &[("action", "rename"), ("lamp", "lamp-9"), ("name", "x")]).contains("no lamp lamp-9"));
    assert!(post("lamps", &[("action", "add"), ("room", "1"), ("name", &"x".repeat(41))]).contains("40 characters"));
    assert!(sentence(house.page(&[("page", "cellar")]).expect("answers")).contains("rooms and lamps"));
    assert!(sentence(house.page(&[("page", "lamps"), ("room", "9")]).expect("answers")).contains("no room 9"));
    assert_eq!(context(house.page(&[]).expect("a page"))["rooms"].as_array().map(Vec::len), Some(3));
}

#[test]
fn the_lamps_are_a_file_too() {
    let house = furnished();
    let form = [("action", "rename"), ("lamp", "lamp"), ("name", "The \"big\" one, above")];
    goes_to(house.send_form(&[("page", "lamps")], &form).expect("ok"), "lamps");
    let reply = house.page(&[("page", "lamps"), ("format", "csv")]).expect("a file");
    let ManageReply::File { name, media_type, bytes } = reply else { panic!("no file but {reply:?}") };
    assert_eq!((name.as_str(), media_type.as_str()), ("lamps.csv", "text/csv"));
    let text = String::from_utf8(bytes).expect("text");
    let mut lines = text.split("\r\n");
    assert_eq!(lines.next(), Some("entity,name,room,power,brightness,colour"));
    assert_eq!(lines.next(), Some("lamp,\"The \"\"big\"\" one, above\",Living room,off,80,warm white"));
    assert_eq!(lines.count(), 3);
}

#[test]
fn what_was_furnished_survives_a_restart_and_shows_before_the_start() {
    let mut house = furnished();
    goes_to(house.send_form(&[], &[("action", "add"), ("name", "Winter garden")]).expect("ok"), "rooms");
    house.reopen::<VirtualHouse>().expect("opens");
    let rooms = context(house.page(&[]).expect("a page"));
    assert_eq!(rooms["rooms"][3]["name"], "Winter garden");
}

#[test]
fn the_rooms_link_to_the_website_of_the_house() {
    let website = |url: &str| {
        let house = started(AttributeValues::default().with("website", url));
        context(house.page(&[]).expect("a page"))["website"].clone()
    };
    assert_eq!(website("https://house.example/"), "https://house.example/");
    assert_eq!(website("javascript://house.example/%0aalert(1)"), Json::Null);
    assert_eq!(context(furnished().page(&[]).expect("a page"))["website"], Json::Null);
}

#[test]
fn pages_need_a_house_and_their_templates_are_there() {
    let house = House::open::<VirtualHouse>();
    assert!(house.page(&[]).expect_err("no house").message.contains("activate"));
    for name in ["panes/rooms.html", "panes/lamps.html"] {
        assert!(house.pane(name).expect("answers").is_some_and(|source| source.contains("<table>")));
    }
    assert_eq!(house.pane("panes/cellar.html").expect("answers"), None);
}
