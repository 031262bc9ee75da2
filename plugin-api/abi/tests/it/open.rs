//! Headers that are none, or whose module cannot be made, are refused with a sentence and never trusted.
#![expect(unsafe_code, reason = "opening a header")]

use gatehouse_abi::export::{LibHeader, RResult, RVec, RootModuleResult, erase, header, module};
use gatehouse_abi::{GatewayBox, HostBox, OpenError, init_module};

fn open(header: *const ()) -> Result<Vec<u8>, OpenError> {
    // SAFETY: the tests pass the addresses of statics that are headers, or as large as one.
    unsafe { init_module(header) }.map(|module| module.manifest())
}

extern "C" fn manifest() -> RVec<u8> {
    RVec::from(&b"manifest"[..])
}

extern "C" fn new_gateway(_: HostBox, _: RVec<u8>) -> RResult<GatewayBox, RVec<u8>> {
    RResult::RErr(RVec::new())
}

#[test]
fn a_header_of_this_boundary_gives_its_module() {
    extern "C" fn good() -> RootModuleResult {
        erase(|| module(manifest, new_gateway))
    }
    static GOOD: LibHeader = header(good);
    assert_eq!(open((&raw const GOOD).cast()), Ok(b"manifest".to_vec()));
}

#[test]
fn bytes_that_are_no_header_are_refused() {
    static ZEROES: [u64; 128] = [0; 128];
    let error = open(ZEROES.as_ptr().cast()).expect_err("no header");
    assert_eq!(
        error.to_string(),
        "the plugin's module header is of another generation (abi_stable 0.0); rebuild the plugin with \
         gatehouse-plugin-api 1.x and its gatehouse-abi 1.0"
    );
}

#[test]
fn a_module_whose_maker_panics_is_refused() {
    extern "C" fn panicking() -> RootModuleResult {
        erase(|| panic!("no module today"))
    }
    static PANICKING: LibHeader = header(panicking);
    let error = open((&raw const PANICKING).cast()).expect_err("no module");
    assert_eq!(error.to_string(), "the plugin's module could not be made: its start-up code panicked");
}
