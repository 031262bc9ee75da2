//! The house's own pages: rooms and lamps, to look at, to add to and to rename, and the lamps as a file.
//!
//! `page` says which (rooms when it is not said). A form says by `action` what to do, and after it was done the person
//! is sent to the page that shows it.

mod lamps;
mod rooms;

use std::collections::BTreeMap;

use gatehouse_plugin_api::Result;
use gatehouse_plugin_api::manage::{ManageReply, ManageRequest, Method};

use crate::home::Home;

/// The templates.
pub(crate) const PANES: &[(&str, &str)] = &[
    ("panes/rooms.html", include_str!("../panes/rooms.html")),
    ("panes/lamps.html", include_str!("../panes/lamps.html")),
];

pub(crate) async fn manage(home: &Home, request: ManageRequest) -> Result<ManageReply> {
    let page = request.params.get("page").map_or("rooms", String::as_str);
    match (page, request.method) {
        ("rooms", Method::Get) => rooms::show(home).await,
        ("rooms", Method::Post) => rooms::change(home, &request.form).await,
        ("lamps", Method::Get) => lamps::show(home, &request.params).await,
        ("lamps", Method::Post) => lamps::change(home, &request.form).await,
        (other, _) => Ok(problem(format!("There is no page {other}: the pages are rooms and lamps."))),
    }
}

/// A failure as a sentence.
fn problem(text: impl Into<String>) -> ManageReply {
    ManageReply::Message { error: true, text: text.into() }
}

/// Where to go after something was done.
fn go_to<const N: usize>(params: [(&str, &str); N]) -> ManageReply {
    ManageReply::Redirect { params: params.map(|(key, value)| (key.to_owned(), value.to_owned())).into() }
}

fn field<'a>(form: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    form.get(name).map_or("", String::as_str)
}

/// The number of a room in a form.
fn room_number(form: &BTreeMap<String, String>) -> Result<u32, String> {
    match field(form, "room") {
        "" => Err("Say which room, by its number.".to_owned()),
        text => text.parse().map_err(|_| format!("{text} is not the number of a room.")),
    }
}
