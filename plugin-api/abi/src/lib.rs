//! The frozen boundary between host and plugin: the only crate that names `abi_stable` types.
//!
//! # What is frozen, and why it is so small
//!
//! `abi_stable`'s checker refuses an implementation that has fewer fields than the interface it is checked
//! against, so a slot added here later would reject every plugin already shipped. Therefore nothing is ever
//! added here: one root module with one constructor, and three traits with one method each. What grows are
//! the numbered operations and the MessagePack payloads of `gatehouse-plugin-api`, which pass through here as
//! plain numbers and bytes. Rejected: one slot per operation (the reason above), a C header of our own
//! (no layout check, no message that says what differs), JSON through a pipe only (no in-process mode).
//!
//! `docs/abi.md` tells what may and may not change and how a second epoch would stand beside this one.
//!
//! # Contract of the three traits
//!
//! * Every call returns at once; the answer comes later through the [`ReplyBox`], from any thread.
//! * A reply is taken by value, so it is answered at most once. Dropped unused, it answers `no_reply`
//!   by itself (the implementation on the side that made it sees to that).
//! * No panic crosses: `abi_stable` ends the process when one does, so both sides catch before they return.

mod adapt;
mod boundary;
mod mismatch;
mod open;

pub use adapt::{CallSide, GatewayHandle, HostHandle, ReplyHandle, ReplySink, gateway_box, host_box, reply_box};
pub use boundary::{
    GatewayAbi, GatewayAbi_TO, GatewayBox, HostAbi, HostAbi_TO, HostBox, PluginModule, PluginModuleRef, ReplyAbi,
    ReplyAbi_TO, ReplyBox,
};
pub use mismatch::LayoutMismatch;
pub use open::{Module, OpenError, init_module};

/// The epoch of this boundary: another number means another root module under another symbol.
pub const ABI_EPOCH: u32 = 1;

/// The symbol under which a plugin exports its module header, with its closing NUL for `dlsym`.
pub const HEADER_SYMBOL: &str = abi_stable::library::ROOT_MODULE_LOADER_NAME_WITH_NUL;

/// What the export macro's expansion needs; not for use by hand.
#[doc(hidden)]
pub mod export {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    pub use abi_stable::library::{LibHeader, RootModuleResult};
    pub use abi_stable::prefix_type::PrefixTypeTrait;
    pub use abi_stable::std_types::{RResult, RVec};

    pub use crate::boundary::CheckedModule;
    use crate::{CallSide, GatewayBox, HostBox, HostHandle, PluginModule, PluginModuleRef, gateway_box};

    /// Bytes as they cross.
    pub type Bytes = RVec<u8>;
    /// What the constructor of the root module returns: the gateway, or the bytes of a MessagePack `CallError`.
    pub type Constructed = RResult<GatewayBox, RVec<u8>>;

    /// The body of [`PluginModule::new_gateway`] around a maker in plain Rust.
    ///
    /// Runs `make` on the calling thread, which is the host's: a maker that has a thread of its own hands over to it.
    /// A panic that `make` lets through is caught here and becomes an empty error, which the host reports as
    /// unreadable; makers catch their own panics to say more.
    pub fn construct<S: CallSide>(
        host: HostBox,
        instance: Bytes,
        make: fn(HostHandle, Vec<u8>) -> Result<S, Vec<u8>>,
    ) -> Constructed {
        let made = catch_unwind(AssertUnwindSafe(|| make(HostHandle::from(host), instance.into_vec())));
        match made {
            Ok(Ok(side)) => RResult::ROk(gateway_box(side)),
            Ok(Err(error)) => RResult::RErr(RVec::from(error)),
            Err(_) => RResult::RErr(RVec::new()),
        }
    }

    /// Wraps the module for `LibHeader`; a panic of `module` is caught and reported as a failed constructor.
    pub fn erase(module: fn() -> CheckedModule) -> RootModuleResult {
        abi_stable::library::__call_root_module_loader(module)
    }

    /// The module from its two functions.
    pub fn module(
        manifest: extern "C" fn() -> RVec<u8>,
        new_gateway: extern "C" fn(HostBox, RVec<u8>) -> RResult<GatewayBox, RVec<u8>>,
    ) -> CheckedModule {
        CheckedModule::new(PluginModule { manifest, new_gateway }.leak_into_prefix())
    }

    /// The header a plugin exports under [`crate::HEADER_SYMBOL`].
    pub const fn header(constructor: extern "C" fn() -> RootModuleResult) -> LibHeader {
        #[expect(unsafe_code, reason = "abi_stable's own export attribute expands to this call")]
        // SAFETY: `erase` is the only maker of the value and builds it from a `PluginModuleRef`.
        unsafe {
            LibHeader::from_constructor::<PluginModuleRef>(constructor, abi_stable::library::CheckTypeLayout::Yes)
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn header_symbol_is_the_published_one() {
        assert_eq!(super::HEADER_SYMBOL, "_1as_0lib_1header_0root_bmodule_bloader\0");
    }
}
