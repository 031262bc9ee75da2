//! The picture of the house, as the image of the entity `house`.

use std::path::Path;

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::ids::EntityName;
use gatehouse_plugin_api::message::{EntityRef, Snapshot};
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::testing::House;

use crate::{furnished, started};

fn image(house: &House, entity: &str) -> Result<Snapshot, CallError> {
    house.call(&ops::SNAPSHOT, &EntityRef { entity: EntityName::new(entity).expect("a name") })
}

fn of(path: &Path) -> Result<Snapshot, CallError> {
    let house = started(AttributeValues::default().with("picture", path.to_str().expect("text")));
    image(&house, "house")
}

#[test]
fn the_file_is_the_image_of_the_house() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, media_type) in [("a.png", "image/png"), ("b.JPG", "image/jpeg"), ("c.jpeg", "image/jpeg")] {
        let path = folder.path().join(name);
        std::fs::write(&path, b"pixels").expect("written");
        let image = of(&path).expect("an image");
        assert_eq!((image.media_type.as_str(), image.bytes.as_slice()), (media_type, b"pixels".as_slice()));
    }
}

#[test]
fn what_cannot_be_shown_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let largest = 5 * 1024 * 1024;
    std::fs::write(path("largest.png"), vec![0; largest]).expect("written");
    assert_eq!(of(&path("largest.png")).expect("an image").bytes.len(), largest);
    std::fs::write(path("larger.png"), vec![0; largest + 1]).expect("written");
    std::fs::create_dir(path("folder.png")).expect("made");
    for (name, code, sentence) in [
        ("gone.png", ErrorCode::NotFound, "there is no picture"),
        ("larger.png", ErrorCode::Refused, "larger than 5 MiB"),
        ("folder.png", ErrorCode::Refused, "is not a file"),
        ("notes.txt", ErrorCode::Refused, "neither a .png nor a .jpg"),
    ] {
        let error = of(&path(name)).expect_err("cannot be shown");
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(sentence) && error.message.contains(name), "{error}");
    }
}

#[test]
fn only_a_house_with_a_picture_has_an_image() {
    let house = furnished();
    assert_eq!(image(&house, "house").expect_err("none is set").code, ErrorCode::NotFound);
    assert_eq!(image(&house, "lamp").expect_err("never").code, ErrorCode::Unsupported);
}
