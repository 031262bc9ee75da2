//! The plugin's own flows, step by step.

use gatehouse_plugin_api::attribute::{AttributeValues, PlainValue};
use gatehouse_plugin_api::flow::{FlowReason, FlowReply, FlowRequest, StepKind};
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::testing::House;
use virtual_house::VirtualHouse;

use crate::furnished;

#[test]
fn activation_goes_from_menu_to_form_to_confirmation_to_building_to_done() {
    let house = House::open::<VirtualHouse>();
    let mut flow = house.activation();
    flow.begin().expect("a menu");
    let StepKind::Menu { options } = &flow.step().kind else { panic!("no menu") };
    assert_eq!(options.iter().map(|o| o.value.as_str()).collect::<Vec<_>>(), ["furnished", "empty", "look"]);
    flow.choose("furnished").expect("a form");
    let StepKind::Form { fields, .. } = &flow.step().kind else { panic!("no form") };
    assert_eq!(
        fields.iter().map(|f| f.key.as_str()).collect::<Vec<_>>(),
        ["name", "rooms", "season", "pace", "website", "picture", "alarm_code"]
    );

    flow.fill(AttributeValues::default().with("name", " ").with("rooms", 2)).expect("the form again");
    let StepKind::Form { fields, errors } = &flow.step().kind else { panic!("no form") };
    assert_eq!(errors["name"], "give the house a name");
    assert_eq!(fields[1].default, Some(PlainValue::Integer(2)), "what was entered stands there");
    flow.fill(AttributeValues::default().with("name", "Cabin").with("rooms", 99)).expect("the form again");
    let StepKind::Form { errors, .. } = &flow.step().kind else { panic!("no form") };
    assert!(errors.contains_key("rooms"));

    flow.fill(AttributeValues::default().with("name", "Cabin").with("rooms", 2)).expect("a confirmation");
    assert_eq!(flow.step().kind, StepKind::Confirm);
    assert!(flow.step().description.starts_with("Cabin will have 2 rooms, 2 lamps"), "{}", flow.step().description);
    flow.go_on().expect("building");
    let mut told = Vec::new();
    let done = loop {
        let StepKind::Progress { message, percent } = &flow.step().kind else { panic!("no progress") };
        told.push((message.clone(), *percent));
        if let FlowReply::Done(done) = flow.go_on().expect("goes on") {
            break done.clone();
        }
    };
    assert_eq!(told, [("Building room 1 of 2".to_owned(), Some(0.0)), ("Building room 2 of 2".to_owned(), Some(50.0))]);
    assert_eq!(done.title, "Cabin");
    assert!(done.info_message.starts_with("Cabin stands: 2 rooms, 2 lamps."), "{}", done.info_message);
    house.start(done.attributes).expect("starts with what the flow gave");
    assert!(house.entity("lamp-2").is_some() && house.entity("lamp-3").is_none());
}

#[test]
fn a_website_is_visited_before_the_confirmation() {
    let house = House::open::<VirtualHouse>();
    let mut flow = house.activation();
    flow.begin().expect("a menu");
    flow.choose("furnished").expect("a form");
    flow.fill(AttributeValues::default().with("website", "ftp://house.example/")).expect("the form again");
    let StepKind::Form { fields, errors } = &flow.step().kind else { panic!("no form") };
    let website = fields.iter().find(|field| field.key == "website").expect("asked");
    assert_eq!(website.default, None, "it can be left empty now");
    assert!(errors["website"].contains("https://"), "{errors:?}");
    let answer = AttributeValues::default().with("website", "https://house.example/").with("season", "winter");
    flow.fill(answer.with_secret("alarm_code", "4711")).expect("the website");
    assert_eq!(flow.step().kind, StepKind::External { url: "https://house.example/".into() });
    assert_eq!(flow.step().description, "Visit the house's website, then go on.");
    flow.go_on().expect("a confirmation");
    assert_eq!(flow.step().kind, StepKind::Confirm);
    assert!(flow.step().description.contains("an alarm") && !flow.step().description.contains("4711"));
}

#[test]
fn what_is_emptied_in_the_form_is_forgotten() {
    let house = House::open::<VirtualHouse>();
    let mut flow = house.activation();
    flow.begin().expect("a menu");
    flow.choose("furnished").expect("a form");
    let wrong = AttributeValues::default().with("website", "https://house.example/").with("name", " ");
    flow.fill(wrong).expect("the form again");
    flow.fill(AttributeValues::default().with("name", "Cabin")).expect("a confirmation");
    assert_eq!(flow.step().kind, StepKind::Confirm);
}

#[test]
fn looking_alone_aborts() {
    let house = House::open::<VirtualHouse>();
    let mut flow = house.activation();
    flow.begin().expect("a menu");
    let FlowReply::Abort { code, .. } = flow.choose("look").expect("answers") else { panic!("no abort") };
    assert_eq!(code, "not_wanted");
}

#[test]
fn answers_given_again_to_a_new_process_come_to_the_same_step() {
    let mut house = House::open::<VirtualHouse>();
    let walk = |house: &House| {
        let mut flow = house.activation();
        flow.begin().expect("a menu");
        flow.choose("empty").expect("a form");
        flow.fill(AttributeValues::default().with("rooms", 1)).expect("a confirmation");
        flow.step().clone()
    };
    let before = walk(&house);
    house.reopen::<VirtualHouse>().expect("opens");
    assert_eq!(walk(&house), before);
}

#[test]
fn a_step_without_its_beginning_says_to_begin() {
    let mut house = House::open::<VirtualHouse>();
    let request = {
        let mut flow = house.activation();
        flow.begin().expect("a menu");
        FlowRequest {
            flow_id: "another".into(),
            reason: FlowReason::Person,
            answer: Some(gatehouse_plugin_api::flow::FlowAnswer {
                step_id: flow.step().step_id.clone(),
                values: AttributeValues::default(),
                choice: Some("empty".into()),
            }),
            attributes: AttributeValues::default(),
        }
    };
    house.reopen::<VirtualHouse>().expect("opens");
    let error = house.call::<FlowReply>(&ops::ACTIVATE, &request).expect_err("unknown");
    assert!(error.message.contains("begin again"), "{error}");
}

#[test]
fn deactivation_says_what_is_lost() {
    let house = furnished();
    let mut flow = house.deactivation(AttributeValues::default());
    flow.begin().expect("a confirmation");
    assert!(flow.step().description.contains("3 rooms and 3 lamps"), "{}", flow.step().description);
    let FlowReply::Done(done) = flow.go_on().expect("done") else { panic!("not done") };
    assert!(!done.info_message.is_empty());
}
