//! What one more costs: integrations from ten to a thousand, states from ten thousand to a million.
//!
//! `GATEHOUSE_BENCH_INTEGRATIONS` and `GATEHOUSE_BENCH_STATES` are other numbers, with commas.

use std::time::Instant;

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;

use super::{Client, pss, tell};

/// States of one entity, and the most of one integration here.
const OF_ENTITY: usize = 200;
const OF_INTEGRATION: usize = 100_000;

fn counts(name: &str, otherwise: &[usize]) -> Vec<usize> {
    let given = std::env::var(name).ok();
    let parsed = given.map(|text| text.split(',').filter_map(|count| count.parse().ok()).collect());
    parsed.filter(|counts: &Vec<usize>| !counts.is_empty()).unwrap_or_else(|| otherwise.to_vec())
}

fn host(daemon: &Daemon) -> f64 {
    pss(daemon.pid().as_raw_nonzero().get().into())
}

pub(super) fn integrations() {
    for count in counts("GATEHOUSE_BENCH_INTEGRATIONS", &[10, 100, 1_000]) {
        let mut daemon = Daemon::start();
        daemon.drop_plugin("probe_plugin");
        daemon.restart();
        let before = host(&daemon);
        for at in 0..count {
            daemon.cli(&["integration", "activate", "probe", "--id", &format!("probe-{at}"), "--yes"]).ok();
        }
        daemon.end(rustix::process::Signal::TERM);
        let began = Instant::now();
        daemon.serve();
        let costs = wait_for("all to run", || {
            let costs = daemon.get("/v1/costs?proportional=1").map_err(|error| error.to_string())?.json();
            let all = costs["integrations"].as_array().cloned().unwrap_or_default();
            let running = all.iter().filter(|one| one["state"] == "running").count();
            if running == count { Ok(all) } else { Err(format!("{running} of {count}")) }
        });
        let took = began.elapsed().as_secs_f64() * 1e3 / count as f64;
        let workers: f64 = costs.iter().filter_map(|one| one["process"]["proportional_bytes"].as_f64()).sum();
        let name = |what: &str| format!("{what}, {count} integrations");
        tell(&name("start to running, each"), took, "ms", None, "", None);
        tell(&name("memory of a worker, each"), workers / 1e6 / count as f64, "MB", None, "", None);
        tell(&name("memory of the daemon, each"), (host(&daemon) - before) * 1e3 / count as f64, "kB", None, "", None);
    }
}

pub(super) fn states() {
    for count in counts("GATEHOUSE_BENCH_STATES", &[10_000, 100_000, 1_000_000]) {
        let daemon = Daemon::start();
        daemon.drop_plugin("probe_plugin");
        let integrations = count.div_ceil(OF_INTEGRATION);
        for at in 0..integrations {
            daemon.cli(&["integration", "activate", "probe", "--id", &format!("probe-{at}"), "--yes"]).ok();
            daemon.wait_state(&format!("probe-{at}"), "running");
        }
        let before = host(&daemon);
        let entities = count / integrations / OF_ENTITY;
        let began = Instant::now();
        for at in 0..integrations {
            let ask = format!("/v1/integrations/probe-{at}/manage?do=declare&count={entities}&states={OF_ENTITY}");
            Client::to(&daemon.socket()).ask("GET", &ask, "");
        }
        let declared = (integrations * entities * OF_ENTITY) as f64;
        let took = began.elapsed().as_secs_f64() * 1e6 / declared;
        let memory = (host(&daemon) - before) * 1e6 / declared;
        tell(&format!("declaring a state, {count} states"), took, "us", None, "", None);
        tell(&format!("memory of a state, {count} states"), memory, "B", None, "", None);
    }
}
