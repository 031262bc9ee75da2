//! Calls through a real plugin beside bare exchanges of the same kind, and what a worker costs.
//!
//! Every figure is the median of [`ROUNDS`] rounds, and a round measures every row once, so that a baseline has the
//! same weather as what stands beside it. For people a table on standard error, for machines one JSON object a line
//! on standard output: `row`, `value`, `unit`, `baseline`, `ratio`, `goal`, `met`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its rows")]

mod bare;
mod sandbox;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gatehouse_host::gateway::{
    Confinement, Gateway, GatewayTiming, HostCalls, HostReply, Hosting, Kernel, Launch, launch, set_worker_program,
};
use gatehouse_host::metrics::Meter;
use gatehouse_host::plugin::{Staged, stage};
use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::manifest::Capability;
use gatehouse_plugin_api::message::{Control, Instance};
use gatehouse_plugin_api::ops::{self, Op};
use gatehouse_plugin_api::value::Value;
use gatehouse_plugin_api::wire;
use serde_json::json;

const ROUNDS: usize = 9;
const EXCHANGES: u32 = 3_000;
const LAUNCHES: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_gatehouse");

/// A host that knows nothing: the plugin asks nothing here.
struct Unasked;

impl HostCalls for Unasked {
    fn call(&self, _op: u32, _request: Vec<u8>, reply: HostReply) {
        reply.complete::<()>(&Err(CallError::new(ErrorCode::Unsupported, "not here")));
    }
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    set_worker_program(PROGRAM);
    let folder = tempfile::tempdir()?;
    let file = std::env::current_exe()?.with_file_name("libprobe_plugin.so");
    let plugin = stage(&file, folder.path(), u64::MAX).map_err(|refused| anyhow::anyhow!("{}", refused.reason()))?;
    let data_dir = folder.path().to_owned();

    let pair = Arc::new(runtime.block_on(sandbox::Pair::start(&plugin, &data_dir))?);
    let (in_process, isolated) = runtime.block_on(async {
        let in_process = start(&plugin, &data_dir, Hosting::InProcess).await?;
        anyhow::Ok((in_process, start(&plugin, &data_dir, Hosting::Isolated).await?))
    })?;
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        rounds.add("park", bare::park(EXCHANGES)?);
        rounds.add("socket blocking", bare::socket_blocking(EXCHANGES)?);
        // From a thread that waits for the future, as the bare thread does.
        rounds.add("in-process control, thread", runtime.block_on(calls(&in_process, &ops::CONTROL))?);
        rounds.add("in-process ping, thread", runtime.block_on(calls(&in_process, &ops::PING))?);
        let (near, far) = (Arc::clone(&in_process), Arc::clone(&isolated));
        let (plugin, data_dir, pair) = (plugin.clone(), data_dir.clone(), Arc::clone(&pair));
        // From a task, as the daemon's own callers are.
        let round = runtime.spawn(async move {
            let mut round = Rounds::default();
            round.add("tasks", bare::tasks(EXCHANGES).await?);
            round.add("in-process control, task", calls(&near, &ops::CONTROL).await?);
            round.add("socket tokio", bare::socket_tokio(EXCHANGES).await?);
            round.add("isolated control", calls(&far, &ops::CONTROL).await?);
            round.add("isolated ping", calls(&far, &ops::PING).await?);
            round.add("launch", launches(&plugin, &data_dir).await?);
            round.extend(pair.round(&plugin, &data_dir).await?);
            anyhow::Ok(round)
        });
        rounds.extend(runtime.block_on(round)??);
        rounds.add("process", processes()?);
        rounds.add("metrics", metrics());
    }
    let pss = isolated.pid().map(pss_mb).context("a worker has a pid")??;
    print(&rounds, pss);
    runtime.block_on(async { tokio::join!(in_process.close(MINUTE), isolated.close(MINUTE), pair.close()) });
    Ok(())
}

fn print(rounds: &Rounds, pss: f64) {
    let us = |name: &str| rounds.median(name);
    let row = |name: &str, measured: &str, baseline: &str, goal: Option<f64>| {
        tell(name, us(measured), "µs", Some(us(baseline)), goal);
    };
    eprintln!("{:<72} {:>9} {:<3} {:>9} {:>6}  goal", "what", "measured", "", "beside", "ratio");
    row(
        "gateway call in-process (control), beside two threads that park",
        "in-process control, thread",
        "park",
        Some(1.5),
    );
    row("in-process ping, beside two threads that park", "in-process ping, thread", "park", None);
    row("in-process control from a task, beside bare tasks", "in-process control, task", "tasks", None);
    row(
        "gateway call isolated (control), beside a tokio socketpair of two threads",
        "isolated control",
        "socket tokio",
        Some(2.0),
    );
    row("isolated ping, beside a tokio socketpair of two threads", "isolated ping", "socket tokio", None);
    row("isolated control, beside a blocking socketpair", "isolated control", "socket blocking", None);
    row("worker from spawn to constructed and ended, beside a bare process", "launch", "process", None);
    row("worker from spawn to ended in the sandbox, beside one without", "launch", "launch, free", None);
    row("a file opened and read in the sandbox, beside one without", "open, held", "open, free", None);
    row("a connection made in the sandbox, beside one without", "connect, held", "connect, free", None);
    row(
        "counting a call for the metrics, beside the call in-process",
        "metrics",
        "in-process control, task",
        Some(0.05),
    );
    row("counting a call for the metrics, beside the call isolated", "metrics", "isolated control", Some(0.05));
    tell("worker memory (PSS), beside its limit", pss, "MB", Some(3.0), Some(1.0));
}

fn tell(row: &str, value: f64, unit: &str, baseline: Option<f64>, goal: Option<f64>) {
    let ratio = baseline.map(|baseline| value / baseline);
    let met = ratio.zip(goal).map(|(ratio, goal)| ratio <= goal);
    let goal = goal.map(|goal| format!("≤ {goal}×"));
    let figure = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.2}"));
    let goal_text = goal.as_deref().unwrap_or_default();
    eprintln!("{row:<72} {value:>9.2} {unit:<3} {:>9} {:>6}  {goal_text}", figure(baseline), figure(ratio));
    let line = json!({
        "row": row, "value": value, "unit": unit, "baseline": baseline, "ratio": ratio, "goal": goal, "met": met,
    });
    println!("{line}");
}

async fn start(plugin: &Staged, data_dir: &Path, hosting: Hosting) -> Result<Arc<dyn Gateway>> {
    start_on(plugin, data_dir, hosting, Kernel::found(), &[]).await
}

/// On a kernel that has these parts of the sandbox, with these needs.
async fn start_on(
    plugin: &Staged,
    data_dir: &Path,
    hosting: Hosting,
    kernel: Kernel,
    needs: &[Capability],
) -> Result<Arc<dyn Gateway>> {
    let instance = Instance {
        integration_id: "probe".parse()?,
        host_api_version: ops::API_VERSION.to_owned(),
        host_ops: Vec::new(),
        data_dir: data_dir.to_string_lossy().into_owned(),
        log_filter: "off".to_owned(),
    };
    let timing = GatewayTiming { launch_within: MINUTE, heartbeat_every: MINUTE, heartbeat_within: MINUTE };
    let confinement = Confinement::of(needs, &AttributeValues::default(), data_dir);
    let (onlooker, meter) = (Default::default(), Default::default());
    let plugin = plugin.clone();
    let wanted = Launch { plugin, instance, hosting, confinement, kernel, timing, onlooker, meter };
    launch(wanted, Arc::new(Unasked)).await.map_err(|reason| anyhow::anyhow!("{reason}"))
}

/// One call after the other; the time of one.
async fn calls(gateway: &Arc<dyn Gateway>, op: &Op) -> Result<Duration> {
    let request = if *op == ops::CONTROL {
        let (entity, state) = ("probe".parse()?, "power".parse()?);
        wire::encode(&Control { entity, state, value: Value::OnOff(true), payload: serde_json::Value::Null })
    } else {
        wire::encode(&())
    };
    let began = Instant::now();
    for _ in 0..EXCHANGES {
        gateway.call_bytes(op, request.clone(), MINUTE).await?;
    }
    Ok(began.elapsed() / EXCHANGES)
}

async fn launches(plugin: &Staged, data_dir: &Path) -> Result<Duration> {
    let began = Instant::now();
    for _ in 0..LAUNCHES {
        start(plugin, data_dir, Hosting::Isolated).await?.close(MINUTE).await;
    }
    Ok(began.elapsed() / LAUNCHES)
}

/// The same program started as a worker by hand, which ends at once: what any process of it costs.
fn processes() -> Result<Duration> {
    let began = Instant::now();
    for _ in 0..LAUNCHES {
        let mut command = Command::new(PROGRAM);
        command.arg("worker").env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status()?;
    }
    Ok(began.elapsed() / LAUNCHES)
}

/// What it takes to count one call, as every call is counted.
fn metrics() -> Duration {
    let (meter, outcome) = (Meter::default(), Ok(()));
    let began = Instant::now();
    for count in 0..EXCHANGES {
        meter.called(&ops::CONTROL, Duration::from_micros(count.into()), std::hint::black_box(&outcome));
    }
    began.elapsed() / EXCHANGES
}

fn pss_mb(pid: u32) -> Result<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("smaps_rollup has no Pss")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

/// What was measured, by name, in microseconds.
#[derive(Debug, Default)]
struct Rounds(BTreeMap<&'static str, Vec<f64>>);

impl Rounds {
    fn add(&mut self, name: &'static str, time: Duration) {
        self.0.entry(name).or_default().push(time.as_secs_f64() * 1e6);
    }

    fn extend(&mut self, round: Self) {
        for (name, times) in round.0 {
            self.0.entry(name).or_default().extend(times);
        }
    }

    fn median(&self, name: &str) -> f64 {
        let mut times = self.0.get(name).cloned().unwrap_or_default();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
    }
}
