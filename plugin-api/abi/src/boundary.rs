//! The frozen types themselves: three traits and the root module.
#![allow(
    unsafe_code,
    unused_qualifications,
    non_local_definitions,
    clippy::unnecessary_cast,
    unreachable_pub,
    missing_debug_implementations,
    reason = "what abi_stable's derives expand to"
)]

use abi_stable::StableAbi;
use abi_stable::library::{IntoRootModuleResult, RootModule, RootModuleError};
use abi_stable::package_version_strings;
use abi_stable::sabi_trait;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RBox, RResult, RVec};

/// The way an answer travels back to whoever asked.
///
/// Called from any thread, never blocks, never panics.
#[sabi_trait]
pub trait ReplyAbi: Send {
    /// Answers with the bytes of a reply payload. Taken by value: a second answer cannot be written.
    #[sabi(last_prefix_field)]
    fn complete(self, bytes: RVec<u8>);
}

/// A boxed reply, owned by the side that has to answer.
pub type ReplyBox = ReplyAbi_TO<'static, RBox<()>>;

/// What the plugin may ask of its host.
///
/// Called from any thread of the plugin's; returns at once; back-pressure is a late reply.
#[sabi_trait]
pub trait HostAbi: Send + Sync {
    /// Performs operation `op` of the table with the request's bytes; the answer comes through `reply`.
    #[sabi(last_prefix_field)]
    fn call(&self, op: u32, request: RVec<u8>, reply: ReplyBox);
}

/// The boxed host side that a plugin keeps for its life.
pub type HostBox = HostAbi_TO<'static, RBox<()>>;

/// What the host may ask of a plugin's gateway.
///
/// Called from any thread of the host's; returns at once; the work happens on the plugin's own thread.
#[sabi_trait]
pub trait GatewayAbi: Send + Sync {
    /// Performs operation `op` of the table with the request's bytes; the answer comes through `reply`.
    #[sabi(last_prefix_field)]
    fn call(&self, op: u32, request: RVec<u8>, reply: ReplyBox);
}

/// The boxed gateway of one integration. Dropping it ends the gateway and joins its thread.
pub type GatewayBox = GatewayAbi_TO<'static, RBox<()>>;

/// The root module of a plugin. Frozen: no field is ever added, removed or changed.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
#[sabi(missing_field(panic))]
pub struct PluginModule {
    /// The manifest section's bytes as the running code sees them, for comparison with the file's.
    pub manifest: extern "C" fn() -> RVec<u8>,
    /// Makes the gateway of one integration.
    ///
    /// `instance` is the MessagePack `Instance` of `gatehouse-plugin-api`; the error is a MessagePack `CallError`.
    #[sabi(last_prefix_field)]
    pub new_gateway: extern "C" fn(host: HostBox, instance: RVec<u8>) -> RResult<GatewayBox, RVec<u8>>,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}
    const BASE_NAME: &'static str = "gatehouse_plugin";
    const NAME: &'static str = "gatehouse plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct CheckedModule(PluginModuleRef);

impl CheckedModule {
    pub(crate) fn new(module: PluginModuleRef) -> Self {
        Self(module)
    }
}

impl IntoRootModuleResult for CheckedModule {
    type Module = PluginModuleRef;
    fn into_root_module_result(self) -> Result<PluginModuleRef, RootModuleError> {
        Ok(self.0)
    }
}
