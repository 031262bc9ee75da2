//! An entity's image and the address of its stream: asked for from its gateway, and looked at before they go on.
//!
//! What comes is an upstream's, so an answer that is no image, is too large or leads a reader's program elsewhere than
//! to a stream is refused here, once for all who ask.

use gatehouse_plugin_api::ids::EntityAddress;
use gatehouse_plugin_api::message::{EntityRef, Snapshot, Stream};
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::{CallError, ErrorCode};
use url::Url;

use super::OperationError;
use super::asking::ask;
use super::control::not_attached;
use super::registry::Registry;
use crate::entity::Attachment;

/// The largest image, in bytes.
const IMAGE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// The longest address of a stream, in bytes.
const URL_MAX_BYTES: usize = 4 * 1024;
/// What an image may be.
const IMAGE_TYPES: [&str; 7] =
    ["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp", "image/svg+xml"];
/// How a stream may be reached.
const STREAM_SCHEMES: [&str; 9] = ["http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "ws", "wss", "srt"];

/// An image as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// One of a few media types of images.
    pub media_type: &'static str,
    /// Its bytes, at least one and at most 8 MiB.
    pub bytes: Vec<u8>,
}

/// Asks for the image of an entity.
pub(super) async fn snapshot(registry: &Registry, address: &EntityAddress) -> Result<Image, OperationError> {
    let request = asked_of(registry, address)?;
    let id = &address.integration;
    let Snapshot { media_type, bytes } = ask(registry, id, &ops::SNAPSHOT, &request, "its image was taken").await?;
    let refused = |problem: String| wrong(address, problem);
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some(media_type) = IMAGE_TYPES.into_iter().find(|known| *known == essence) else {
        return Err(refused(format!("the image is said to be {media_type:?}: it must be {}", IMAGE_TYPES.join(", "))));
    };
    match bytes.len() {
        0 => Err(refused("the image is empty".to_owned())),
        length if length > IMAGE_MAX_BYTES => {
            Err(refused(format!("the image has {length} bytes and the most is {IMAGE_MAX_BYTES}")))
        }
        _ => Ok(Image { media_type, bytes }),
    }
}

/// Asks where the stream of an entity is.
pub(super) async fn stream(registry: &Registry, address: &EntityAddress) -> Result<Url, OperationError> {
    let request = asked_of(registry, address)?;
    let id = &address.integration;
    let Stream { url } = ask(registry, id, &ops::STREAM, &request, "its stream was looked for").await?;
    let refused = |problem: String| wrong(address, problem);
    if url.len() > URL_MAX_BYTES {
        return Err(refused(format!("the stream's address is longer than {URL_MAX_BYTES} bytes")));
    }
    // The address may hold a password: it is not repeated.
    let parsed = Url::parse(&url).map_err(|error| refused(format!("the stream's address is no URL ({error})")))?;
    if STREAM_SCHEMES.contains(&parsed.scheme()) {
        Ok(parsed)
    } else {
        let known = STREAM_SCHEMES.join(", ");
        Err(refused(format!("the stream's address begins with {}: it must be {known}", parsed.scheme())))
    }
}

/// The entity as its plugin spells it.
fn asked_of(registry: &Registry, address: &EntityAddress) -> Result<EntityRef, OperationError> {
    let Some(entity) = registry.base().house.entity(address) else {
        return Err(OperationError::NotFound { what: format!("the entity {address}"), hint: String::new() });
    };
    if entity.attachment != Attachment::Attached {
        return Err(not_attached(registry, address, "looked at"));
    }
    Ok(EntityRef { entity: entity.declaration.name.clone() })
}

/// What the plugin answered is not what it should be.
fn wrong(address: &EntityAddress, problem: String) -> OperationError {
    let error = CallError::new(ErrorCode::Other, format!("{address}: {problem}"));
    OperationError::Gateway { integration: address.integration.clone(), error }
}
