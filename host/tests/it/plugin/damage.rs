//! Thousands of damaged copies of real plugins: each gets a verdict, in bounded memory, and none a panic or a hang.
//!
//! The copies are made in a child of this test, whose memory is limited by the kernel and measured by its peak.
//! `GATEHOUSE_MUTANTS` says how many, `GATEHOUSE_MUTANT_SEED` repeats a run, `GATEHOUSE_MUTANT` one copy of it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a run is repeated by its seed")]

mod mutant;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gatehouse_host::fuzz;
use gatehouse_host::plugin::inspection::inspect_bytes;
use rustix::process::{Resource, Rlimit};

use self::mutant::{Original, Random};
use super::elf::PluginFile;

/// Set for the child alone.
const CHILD: &str = "GATEHOUSE_MUTANT_CHILD";
const MUTANTS: u64 = 5_000;
/// What the child may use beside the originals. Inspection reads at most 16 MiB of a file; a manifest of 1 MiB in its
/// worst form takes a few times that.
const MEMORY_MIB: u64 = 96;
/// What the child may map: an absurd allocation fails at once, touched or not.
const ADDRESSES_MIB: u64 = 512;
/// How long one copy may take before the run counts as hanging: thousands of times what the slowest takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn every_damaged_copy_of_a_plugin_has_a_verdict() {
    let seed = number("GATEHOUSE_MUTANT_SEED").unwrap_or_else(rand_seed);
    println!("GATEHOUSE_MUTANT_SEED={seed}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "plugin::damage::the_copies", "--nocapture"])
        .env(CHILD, "1")
        .env("GATEHOUSE_MUTANT_SEED", seed.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "seed {seed}: {}", output.status);
    assert!(said.contains("copies have a verdict each"), "the child did its work");
}

fn rand_seed() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

/// The real plugins that lie beside this test, and a small one made by hand, whose tables are most of it.
fn originals() -> Vec<Original> {
    let here = std::env::current_exe().unwrap();
    let folders = [here.parent().unwrap().to_owned(), here.parent().unwrap().parent().unwrap().to_owned()];
    let found = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    let real = ["libprobe_plugin.so", "libsystem_monitor.so", "libvirtual_house.so"];
    let real: Vec<PathBuf> = real.into_iter().filter_map(found).collect();
    assert!(!real.is_empty(), "the probe is built before this test");
    let mut all: Vec<_> = real
        .iter()
        .map(|path| Original::new(path.file_name().unwrap().to_str().unwrap(), std::fs::read(path).unwrap()))
        .collect();
    all.push(Original::new("made by hand", PluginFile::new("house", "1.0.0").bytes()));
    all
}

/// The child's part; nothing by itself.
#[test]
fn the_copies() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let seed = number("GATEHOUSE_MUTANT_SEED").unwrap();
    let only = number("GATEHOUSE_MUTANT");
    let count = number("GATEHOUSE_MUTANTS").unwrap_or(MUTANTS);
    let mut originals = originals();
    let sound: Vec<_> = originals.iter().map(|original| inspect_bytes(&original.name, original.bytes())).collect();
    for (original, verdict) in originals.iter().zip(&sound) {
        assert!(verdict.is_ok(), "{} is sound: {verdict:?}", original.name);
    }
    let before = memory("VmHWM");
    limit_addresses(memory("VmSize") + ADDRESSES_MIB);
    let at = watch();
    let (mut verdicts, mut slowest) = (BTreeMap::new(), (Duration::ZERO, 0));
    for copy in only.map_or(0..count, |only| only..only + 1) {
        at.store(copy, Ordering::Relaxed);
        let mut random = Random::of(seed, copy);
        let which = random.below(originals.len());
        let original = &mut originals[which];
        let damage = original.damage(&mut random);
        if only.is_some() {
            println!("{}: {damage}", original.name);
        }
        let started = Instant::now();
        let verdict = std::panic::catch_unwind(|| fuzz::inspected(original.bytes()));
        let took = started.elapsed();
        slowest = slowest.max((took, copy));
        let Ok(verdict) = verdict else {
            panic!("seed {seed}, copy {copy} of {}: {damage}: inspection panicked", original.name);
        };
        if let (Ok(manifest), Ok(sound)) = (&verdict, &sound[which]) {
            assert!(
                damage.makes_a_new_manifest || manifest == sound,
                "seed {seed}, copy {copy} of {}: {damage}: accepted with a changed manifest",
                original.name
            );
        }
        let code = verdict.map_or_else(|reason| reason.code.as_str(), |_| "accepted");
        *verdicts.entry(code).or_insert(0) += 1;
        original.mend();
    }
    for (original, verdict) in originals.iter().zip(&sound) {
        assert_eq!(&inspect_bytes(&original.name, original.bytes()), verdict, "{} was mended", original.name);
    }
    let used = memory("VmHWM") - before;
    println!("{verdicts:?}; slowest: copy {} in {:?}; {used} MiB more at the peak", slowest.1, slowest.0);
    assert!(used <= MEMORY_MIB, "seed {seed}: inspection took {used} MiB");
    println!("figure: {} damaged copies have a verdict each", verdicts.values().sum::<u64>());
}

/// A line of `/proc/self/status`, in MiB.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    found.unwrap().trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn limit_addresses(mib: u64) {
    let current = Some(mib * 1024 * 1024);
    rustix::process::setrlimit(Resource::As, Rlimit { current, maximum: current }).unwrap();
}

/// Ends the process when one copy takes for ever; the number it was at is told.
fn watch() -> Arc<AtomicU64> {
    let at = Arc::new(AtomicU64::new(0));
    let watched = Arc::clone(&at);
    std::thread::spawn(move || {
        loop {
            let before = watched.load(Ordering::Relaxed);
            std::thread::park_timeout(PATIENCE);
            if watched.load(Ordering::Relaxed) == before {
                eprintln!("copy {before} hangs");
                std::process::abort();
            }
        }
    });
    at
}
