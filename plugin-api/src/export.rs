//! `export_integration!`: what makes a crate a plugin — the manifest in its section, and the root module.
//!
//! All that is unsafe about exporting symbols is in the expansion, whose tokens are this crate's: a plugin's own
//! `#![forbid(unsafe_code)]` stands.

/// Makes a crate of type `cdylib` a plugin. Written once, at the top level of the crate.
///
/// ```
/// # use gatehouse_plugin_api::{Context, IntegrationGateway, Result, Settings, url::Url};
/// # #[derive(Settings)] struct HouseSettings { api_base_url: Url }
/// # struct HouseGateway;
/// # impl IntegrationGateway for HouseGateway {
/// #     type Settings = HouseSettings;
/// #     fn new(_: Context) -> Self { Self }
/// #     async fn start(&self, _: HouseSettings) -> Result<()> { Ok(()) }
/// # }
/// use gatehouse_plugin_api::{export_integration, ops};
///
/// export_integration! {
///     gateway: HouseGateway,
///     id: "my-house",
///     label: "My house",
///     description: "Reads and sets what is in my house.",
///     poll_interval: "30s",
///     capabilities: [network("{api_base_url}"), read("/proc/meminfo")],
///     required_ops: [ops::EMIT_DURABLE],
/// }
/// ```
///
/// `gateway`, `id` and `label` must be there, `gateway` first. The others:
///
/// | key | meaning | when absent |
/// |---|---|---|
/// | `description` | one sentence | the package's description |
/// | `version`, `authors`, `licence`, `homepage` | text | the package's |
/// | `poll_interval` | how often `poll` is called: `"30s"`, `"5m"`, `"1h30m"`, `"250ms"` | never |
/// | `capabilities` | what the plugin needs from the machine | nothing |
/// | `required_ops` | operations of the host without which the plugin cannot run, from [`ops`](crate::ops) | none |
///
/// Capabilities are `network("host")`, `network("host:443")`, `udp("host:53")`, `listen(8080)`, `multicast()`,
/// `read("/path")`, `device("/dev/ttyUSB0")` and `execute("/usr/bin/program")`. In place of a host or a path,
/// `{setting}` stands for what the person sets; `*` is any host.
///
/// The settings come from the gateway's `Settings`. Whatever is wrong is an error while the plugin compiles.
#[macro_export]
macro_rules! export_integration {
    (gateway: $gateway:ty, $($key:ident: $value:expr),+ $(,)?) => {
        const _: () = {
            const MANIFEST: $crate::manifest::ManifestConst = {
                let mut manifest = $crate::manifest::ManifestConst::EMPTY;
                manifest.description = ::core::env!("CARGO_PKG_DESCRIPTION");
                manifest.version = ::core::env!("CARGO_PKG_VERSION");
                manifest.authors = ::core::env!("CARGO_PKG_AUTHORS");
                manifest.licence = ::core::env!("CARGO_PKG_LICENSE");
                manifest.homepage = ::core::env!("CARGO_PKG_HOMEPAGE");
                manifest.abi_epoch = $crate::__private::abi::ABI_EPOCH;
                manifest.attributes =
                    <<$gateway as $crate::IntegrationGateway>::Settings as $crate::settings::Settings>::SPECS;
                manifest.panic_strategy = if ::core::cfg!(panic = "abort") { "abort" } else { "unwind" };
                manifest.cpu_features = $crate::__cpu_features!();
                $( $crate::__manifest_key!(manifest, $key, $value); )+
                manifest.checked()
            };

            #[used]
            #[unsafe(link_section = ".gatehouse")]
            static SECTION: [u8; $crate::section::size(&MANIFEST)] = $crate::section::encode(&MANIFEST);

            extern "C" fn manifest() -> $crate::__private::abi::export::Bytes {
                // Opaque to the optimiser: only so does the code refer to the section, which keeps the linker from
                // dropping it.
                let section: &'static [u8] = ::core::hint::black_box(&SECTION);
                $crate::__private::abi::export::Bytes::from(section)
            }

            extern "C" fn new_gateway(
                host: $crate::__private::abi::HostBox,
                instance: $crate::__private::abi::export::Bytes,
            ) -> $crate::__private::abi::export::Constructed {
                $crate::runtime::new_gateway::<$gateway>(host, instance)
            }

            extern "C" fn root_module() -> $crate::__private::abi::export::RootModuleResult {
                $crate::__private::abi::export::erase(|| {
                    $crate::__private::abi::export::module(manifest, new_gateway)
                })
            }

            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            static HEADER: $crate::__private::abi::export::LibHeader =
                $crate::__private::abi::export::header(root_module);
        };
    };
    (gateway: $gateway:ty $(,)?) => {
        ::core::compile_error!("export_integration! needs an id and a label: write `id: \"my-integration\", label: \"My integration\"` after the gateway");
    };
    ($($other:tt)*) => {
        ::core::compile_error!("export_integration! begins with `gateway: YourGateway,` and goes on with `key: value,` for each of id, label and what else you want to say");
    };
}

/// Sets one key of the manifest.
#[doc(hidden)]
#[macro_export]
macro_rules! __manifest_key {
    ($manifest:ident, id, $value:expr) => {
        $manifest.id = $value;
    };
    ($manifest:ident, label, $value:expr) => {
        $manifest.label = $value;
    };
    ($manifest:ident, description, $value:expr) => {
        $manifest.description = $value;
    };
    ($manifest:ident, version, $value:expr) => {
        $manifest.version = $value;
    };
    ($manifest:ident, authors, $value:expr) => {
        $manifest.authors = $value;
    };
    ($manifest:ident, licence, $value:expr) => {
        $manifest.licence = $value;
    };
    ($manifest:ident, homepage, $value:expr) => {
        $manifest.homepage = $value;
    };
    ($manifest:ident, poll_interval, $value:expr) => {
        $manifest.poll_interval_ms = $crate::__private::poll_interval_ms($value);
    };
    ($manifest:ident, capabilities, $value:expr) => {
        $manifest.capabilities = {
            const LIST: &[$crate::manifest::CapabilityConst] = {
                #[allow(unused_imports, reason = "a plugin uses the words it needs")]
                use $crate::__private::capability::{device, execute, listen, multicast, network, read, udp};
                &$value
            };
            LIST
        };
    };
    ($manifest:ident, required_ops, $value:expr) => {
        $manifest.required_ops = {
            const LIST: &[$crate::ops::Op] = &$value;
            LIST
        };
    };
    ($manifest:ident, gateway, $value:expr) => {
        ::core::compile_error!("the gateway is named once, at the beginning");
    };
    ($manifest:ident, $other:ident, $value:expr) => {
        ::core::compile_error!(::core::concat!(
            "`",
            ::core::stringify!($other),
            "` is not a key of export_integration!: it takes gateway, id, label, description, \
             version, authors, licence, homepage, poll_interval, capabilities and required_ops"
        ));
    };
}

/// The CPU features of x86-64 and aarch64 with whether the crate that expands this is compiled for them.
#[doc(hidden)]
#[macro_export]
macro_rules! __cpu_features {
    () => {
        $crate::__cpu_features!(
            // x86-64
            "adx" "aes" "avx" "avx2" "avx512bf16" "avx512bitalg" "avx512bw" "avx512cd" "avx512dq" "avx512f"
            "avx512fp16" "avx512ifma" "avx512vbmi" "avx512vbmi2" "avx512vl" "avx512vnni" "avx512vp2intersect"
            "avx512vpopcntdq" "avxifma" "avxneconvert" "avxvnni" "avxvnniint16" "avxvnniint8" "bmi1" "bmi2"
            "cmpxchg16b" "f16c" "fma" "fxsr" "gfni" "lzcnt" "movbe" "pclmulqdq" "popcnt" "rdrand" "rdseed" "sha"
            "sha512" "sm3" "sm4" "sse" "sse2" "sse3" "sse4.1" "sse4.2" "sse4a" "ssse3" "tbm" "vaes" "vpclmulqdq"
            "xsave" "xsavec" "xsaveopt" "xsaves"
            // aarch64; aes and sm4 stand above
            "bf16" "bti" "crc" "dit" "dotprod" "dpb" "dpb2" "f32mm" "f64mm" "fcma" "fhm" "flagm" "fp16" "frintts"
            "i8mm" "jsconv" "lor" "lse" "lse2" "mte" "neon" "paca" "pacg" "pan" "rand" "rcpc" "rcpc2" "rdm" "sb"
            "sha2" "sha3" "ssbs" "sve" "sve2" "sve2-bitperm"
        )
    };
    ($($feature:literal)+) => {
        &[$(($feature, ::core::cfg!(target_feature = $feature))),+]
    };
}
