//! The frozen boundary, tried with real files: plugins built with an older, a newer and a changed SDK.
//!
//! Each test has its own copy of the SDK and opens the library as the host's worker does. What is changed in a copy is
//! what another version would have: the host stays this checkout's.
#![expect(unsafe_code, reason = "opening a library")]

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use gatehouse_abi::{CallSide, GatewayHandle, HEADER_SYMBOL, Module, OpenError, ReplyHandle, init_module};
use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::manifest::Manifest;
use gatehouse_plugin_api::message::{Attributes, Emit, EmitOutcome, Instance};
use gatehouse_plugin_api::{CallError, ErrorCode, ops, wire};

use crate::fixture::Fixture;

/// The number that the newer SDK gives to `teleport`.
const TELEPORT: u32 = 1999;
/// An operation that the host has and no plugin of today knows.
const GROWN: u32 = 999;

fn open(file: &Path) -> Result<Module, OpenError> {
    // SAFETY: the file was built here a moment ago from this checkout's sources.
    let library = unsafe { libloading::Library::new(file) }.expect("the library opens");
    // SAFETY: a symbol read as a pointer gives the symbol's address, whatever stands there.
    let header = unsafe { library.get::<*const ()>(HEADER_SYMBOL.as_bytes()) }.map(|symbol| *symbol);
    let header = header.expect("the header is exported");
    // Never unloaded: the module's code is used for the rest of the process.
    std::mem::forget(library);
    // SAFETY: the header's address in a library that stays loaded.
    unsafe { init_module(header) }
}

/// A host that performs what the table has, and answers `unsupported` to all else.
struct TableHost;

impl CallSide for TableHost {
    fn call(&self, op: u32, request: Vec<u8>, reply: ReplyHandle) {
        reply.complete(match ops::by_number(op) {
            Some(op) if [ops::EMIT, ops::EMIT_DURABLE].contains(op) => {
                wire::decode::<Emit>(&request).expect("readings");
                wire::encode_reply(&Ok(EmitOutcome::default()))
            }
            Some(_) => wire::encode_reply(&Ok(())),
            None => wire::encode_reply::<()>(&Err(CallError::new(ErrorCode::Unsupported, "the host does not know it"))),
        });
    }
}

fn gateway(module: &Module, more_ops: &[u32]) -> GatewayHandle {
    let host_ops = ops::TABLE.iter().map(|op| op.number).chain(more_ops.iter().copied());
    let instance = Instance {
        integration_id: IntegrationId::new("tiny").expect("valid"),
        host_api_version: ops::API_VERSION.into(),
        host_ops: host_ops.filter(|number| *number >= 1000).collect(),
        data_dir: "/".into(),
        log_filter: "off".into(),
    };
    module.new_gateway(TableHost, wire::encode(&instance)).expect("the gateway is made")
}

fn call(gateway: &GatewayHandle, op: u32, request: Vec<u8>) -> Result<(), CallError> {
    let (sender, reply) = mpsc::channel();
    gateway.call(op, request, move |bytes| drop(sender.send(bytes)));
    let reply = reply.recv_timeout(Duration::from_secs(60)).expect("an answer");
    wire::decode_reply(reply.as_deref())
}

fn start(gateway: &GatewayHandle) -> Result<(), CallError> {
    call(gateway, ops::START.number, wire::encode(&Attributes::default()))
}

/// Replaces `old`, which must be there, so that a test cannot pass by changing nothing.
fn replace(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "the SDK no longer has {old:?}");
    text.replace(old, new)
}

#[test]
fn a_plugin_of_an_older_sdk_runs_in_a_host_that_has_grown() {
    let file = Fixture::with_snapshot("older", |_, text| text).build("tiny_older");
    let module = open(&file).expect("the boundary is the same");
    let manifest = Manifest::from_section(&module.manifest()).expect("the running code's manifest");
    assert_eq!(manifest.id.as_str(), "tiny-house");
    let gateway = gateway(&module, &[5000]);
    let unknown = call(&gateway, GROWN, Vec::new()).expect_err("the plugin does not know it");
    assert_eq!(unknown.code, ErrorCode::Unsupported, "{unknown}");
    assert_eq!(start(&gateway), Ok(()));
    assert_eq!(call(&gateway, ops::STOP.number, wire::encode(&())), Ok(()));
}

#[test]
fn a_plugin_of_a_newer_sdk_runs_and_what_the_host_lacks_is_unsupported() {
    let fixture = Fixture::with_snapshot("newer", |path, text| match path {
        "src/ops.rs" => replace(
            &text,
            "    /// `()` → `()` once everything emitted before is committed.",
            &format!(
                "    /// New.\n    TELEPORT = {TELEPORT}, \"teleport\", since 9, 10 * SECOND;\n    \
                 /// `()` → `()` once everything emitted before is committed."
            ),
        ),
        "src/context.rs" => {
            text + "\nimpl Context {\n    /// New.\n    pub async fn teleport(&self) -> Result<()> {\n        \
                    Ok(self.host().call(&ops::TELEPORT, &()).await?)\n    }\n}\n"
        }
        _ => text,
    });
    let module = open(&fixture.feature("teleport").build("tiny_newer")).expect("the boundary is the same");

    // The host says what it knows; the newer SDK does not even ask.
    let refused = start(&gateway(&module, &[])).expect_err("the host has no teleport");
    assert_eq!(refused.code, ErrorCode::Unsupported, "{refused}");
    assert!(refused.message.contains("teleport"), "{refused}");

    // It asks all the same: the host's own answer is the same.
    let refused = start(&gateway(&module, &[TELEPORT])).expect_err("the host has no teleport");
    assert_eq!((refused.code, refused.message.as_str()), (ErrorCode::Unsupported, "the host does not know it"));
}

fn refusal(name: &str, crate_name: &str, change: impl Fn(&str, String) -> String) -> String {
    let file = Fixture::with_snapshot(name, change).build(crate_name);
    match open(&file) {
        Err(error @ OpenError::Layout(_)) => error.to_string(),
        other => panic!("not refused for its layout: {other:?}"),
    }
}

#[test]
fn a_root_module_with_another_field_is_refused_with_a_sentence() {
    let sentence = refusal("added-field", "tiny_added_field", |path, text| match path {
        "abi/src/boundary.rs" => replace(
            &text,
            "    /// The manifest section's bytes",
            "    /// New.\n    pub added: extern \"C\" fn() -> u32,\n    /// The manifest section's bytes",
        ),
        "abi/src/lib.rs" => replace(
            &replace(&text, "PluginModule { manifest", "PluginModule { added, manifest"),
            "    /// The module from its two functions.",
            "    extern \"C\" fn added() -> u32 {\n        7\n    }\n\n    /// The module from its two functions.",
        ),
        _ => text,
    });
    assert_eq!(
        sentence,
        "the plugin was built for another layout of PluginModule: the list of its fields is manifest, new_gateway in the \
         host and added, manifest, new_gateway in the plugin; rebuild the plugin with gatehouse-plugin-api 1.x and its \
         gatehouse-abi 1.0"
    );
}

#[test]
fn a_trait_with_another_method_is_refused_with_a_sentence() {
    let sentence = refusal("added-method", "tiny_added_method", |path, text| match path {
        "abi/src/boundary.rs" => replace(
            &text,
            "pub trait HostAbi: Send + Sync {\n",
            "pub trait HostAbi: Send + Sync {\n    /// New.\n    fn added(&self) -> u32;\n",
        ),
        "abi/src/adapt.rs" => replace(
            &text,
            "impl<S: CallSide> HostAbi for Shim<S> {\n",
            "impl<S: CallSide> HostAbi for Shim<S> {\n    fn added(&self) -> u32 {\n        7\n    }\n",
        ),
        _ => text,
    });
    assert_eq!(
        sentence,
        "the plugin was built for another layout of HostAbi: the list of its methods is call in the host and added, \
         call in the plugin; rebuild the plugin with gatehouse-plugin-api 1.x and its gatehouse-abi 1.0"
    );
}

#[test]
fn a_method_with_another_type_is_refused_with_a_sentence() {
    let sentence = refusal("changed-type", "tiny_changed_type", |path, text| match path {
        "abi/src/boundary.rs" => replace(&text, "op: u32", "op: u64"),
        "abi/src/adapt.rs" => {
            let text = replace(&text, "(op, RVec::from(request)", "(u64::from(op), RVec::from(request)");
            let text = replace(&text, "fn call(&self, op: u32, request: RVec", "fn call(&self, op: u64, request: RVec");
            replace(&text, "self.forward(op, ", "self.forward(op as u32, ")
        }
        _ => text,
    });
    assert_eq!(
        sentence,
        "the plugin was built for another layout of HostAbi: the type of the first argument of call is u32 in the host \
         and u64 in the plugin; rebuild the plugin with gatehouse-plugin-api 1.x and its gatehouse-abi 1.0"
    );
}

#[test]
fn a_boundary_of_another_major_version_is_refused_with_a_sentence() {
    let fixture = Fixture::with_snapshot("major", |path, text| match path {
        "abi/Cargo.toml" => replace(&text, "version = \"1.0.0\"", "version = \"2.0.0\""),
        _ => text,
    });
    let error = open(&fixture.build("tiny_major")).expect_err("another major version");
    assert_eq!(
        error.to_string(),
        "the plugin was built for boundary 2.0.0 and this host speaks 1.0.0; rebuild the plugin with \
         gatehouse-plugin-api 1.x and its gatehouse-abi 1.0"
    );
}
