//! The processor: which of the features that a plugin's code takes for granted does this one lack.

use crate::reason::{Reason, ReasonCode};

/// Whether this processor has every feature, named as rustc names them.
///
/// A name that the standard library cannot ask the processor about is taken as there: what it stands for is then
/// either part of every processor of the kind (`x87`) or no feature of the processor at all (`crt-static`).
///
/// # Errors
/// `cpu_features_missing`, with every one that is.
pub(super) fn check(file_name: &str, features: &[String]) -> Result<(), Reason> {
    let missing: Vec<&str> =
        features.iter().map(String::as_str).filter(|feature| has(feature) == Some(false)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Reason::new(
        ReasonCode::CpuFeaturesMissing,
        format!("{file_name} is built for processors with {}; this one has not", missing.join(", ")),
    ))
}

macro_rules! ask {
    ($detected:ident, $feature:expr, $($name:tt)*) => {
        match $feature {
            $($name => Some(std::arch::$detected!($name)),)*
            _ => None,
        }
    };
}

/// Whether the processor has a feature; `None` when it cannot be asked.
#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn has(feature: &str) -> Option<bool> {
    ask!(is_x86_feature_detected, feature,
        "aes" "pclmulqdq" "rdrand" "rdseed" "tsc" "mmx" "sse" "sse2" "sse3" "ssse3" "sse4.1" "sse4.2" "sse4a" "sha"
        "avx" "avx2" "avx512f" "avx512cd" "avx512bw" "avx512dq" "avx512vl" "avx512ifma" "avx512vbmi" "avx512vpopcntdq"
        "avx512vbmi2" "avx512vnni" "avx512bitalg" "avx512bf16" "avx512vp2intersect" "avx512fp16" "avxvnni" "gfni"
        "vaes" "vpclmulqdq" "f16c" "fma" "bmi1" "bmi2" "lzcnt" "tbm" "popcnt" "fxsr" "xsave" "xsaveopt" "xsaves"
        "xsavec" "cmpxchg16b" "adx" "rtm" "movbe" "ermsb"
    )
}

/// Whether the processor has a feature; `None` when it cannot be asked.
#[cfg(target_arch = "aarch64")]
fn has(feature: &str) -> Option<bool> {
    ask!(is_aarch64_feature_detected, feature,
        "neon" "aes" "sha2" "sha3" "crc" "lse" "lse2" "rdm" "rcpc" "rcpc2" "dotprod" "fp16" "fhm" "fcma" "jsconv"
        "frintts" "flagm" "dpb" "dpb2" "sb" "ssbs" "dit" "pmull" "bf16" "i8mm" "f32mm" "f64mm" "sve" "sve2" "sm4"
        "bti" "paca" "pacg" "mte" "rand"
    )
}

/// Whether the processor has a feature; `None` when it cannot be asked.
#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
fn has(_feature: &str) -> Option<bool> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_of_every_such_processor_are_there_and_unknown_names_are_let_pass() {
        let baseline = if cfg!(target_arch = "x86_64") { "sse2" } else { "neon" };
        let features = [baseline, "x87", "a-feature-of-tomorrow"].map(str::to_owned);
        assert_eq!(check("a.so", &features), Ok(()));
    }

    #[test]
    fn what_is_missing_is_named() {
        // No processor has both AMD's and Intel's retired extensions.
        let features = ["sse2", "tbm", "rtm", "avx512vp2intersect"].map(str::to_owned);
        let missing: Vec<_> = features.iter().filter(|feature| has(feature) == Some(false)).collect();
        if cfg!(target_arch = "x86_64") {
            let reason = check("a.so", &features).expect_err("one of them is missing");
            assert_eq!(reason.code, ReasonCode::CpuFeaturesMissing);
            for feature in missing {
                assert!(reason.sentence.contains(feature), "{reason}");
            }
        }
    }
}
