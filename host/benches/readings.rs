//! Readings from `emit` to a subscriber and into the history, beside raw SQLite measured in the same run.
//!
//! One JSON object a line: `row`, `value`, `unit`, `baseline`, `ratio`, `goal`, `met`. Medians of several rounds.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gatehouse_host::clock::Clock;
use gatehouse_host::entity::{House, ReadingLimits, StateEvent};
use gatehouse_host::store::{CommitPolicy, Store};
use gatehouse_plugin_api::ids::{EntityName, IntegrationId, StateName};
use gatehouse_plugin_api::message::{EntityDeclaration, Reading, StateDeclaration};
use gatehouse_plugin_api::value::{StateKind, Value};
use rusqlite::{Connection, params};
use serde_json::json;
use tokio::sync::Semaphore;

const ROUNDS: usize = 5;
const READINGS: usize = 300_000;
const ENTITIES: usize = 50;
const STATES: usize = 4;
/// Readings in one call of `emit`: what a poll of a busy upstream brings.
const BATCH: usize = 200;
const POLICY: CommitPolicy = CommitPolicy { every: Duration::from_millis(20), rows: 5_000, full_durability: false };
const LIMITS: ReadingLimits = ReadingLimits { queue_rows: 20_000, subscriber_rows: 10_000 };
/// A subscriber that is further behind is waited for: it would be dropped otherwise, which is another row's matter.
const AHEAD: usize = 8_000;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let folder = tempfile::tempdir()?;
        let memory = memory_per_state(folder.path()).await.context("memory of a state")?;
        let mut live = Vec::new();
        let mut durable = Vec::new();
        let mut raw = Vec::new();
        let mut lags = Vec::new();
        for round in 0..ROUNDS {
            let folder = tempfile::tempdir()?;
            let (rate, mut round_lags) = live_round(folder.path(), round).await.context("to one subscriber")?;
            live.push(rate);
            lags.append(&mut round_lags);
            let folder = tempfile::tempdir()?;
            durable.push(durable_round(folder.path(), round).await.context("durable")?);
            raw.push(raw_round(folder.path(), round).context("raw")?);
        }
        let (live, durable, raw) = (median(live), median(durable), median(raw));
        row("emit to one subscriber inside the host, history on", live, "readings/s", None, None)?;
        let goal = Some((">= 0.8x", durable >= 0.8 * raw));
        row("durable in history, beside SQLite alone", durable, "readings/s", Some(raw), goal)?;
        lags.sort_by(f64::total_cmp);
        row("live to committed at that rate, p50", quantile(&lags, 0.5), "ms", None, None)?;
        row("live to committed at that rate, p99", quantile(&lags, 0.99), "ms", None, None)?;
        row("memory of one state with its value", memory, "bytes", None, None)
    })
}

fn row(name: &str, value: f64, unit: &str, baseline: Option<f64>, goal: Option<(&str, bool)>) -> Result<()> {
    let line = json!({
        "row": name,
        "value": value,
        "unit": unit,
        "baseline": baseline,
        "ratio": baseline.map(|baseline| value / baseline),
        "goal": goal.map(|(goal, _)| goal),
        "met": goal.map(|(_, met)| met),
    });
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

fn integration() -> IntegrationId {
    IntegrationId::new("bench").expect("a valid id")
}

fn entity_name(entity: usize) -> EntityName {
    EntityName::new(&format!("sensor.room_{entity}")).expect("a valid name")
}

fn state_name(state: usize) -> StateName {
    StateName::new(&format!("temperature_{state}")).expect("a valid name")
}

fn declarations(entities: usize, states: usize) -> Vec<EntityDeclaration> {
    let state = |state| StateDeclaration {
        name: state_name(state),
        label: String::new(),
        kind: StateKind::number("°C"),
        sensed: true,
        controllable: false,
    };
    (0..entities)
        .map(|entity| EntityDeclaration {
            name: entity_name(entity),
            label: String::new(),
            entity_type: "sensor".into(),
            states: (0..states).map(state).collect(),
            previous_name: None,
        })
        .collect()
}

/// The value of the n-th reading; never the one that its state had before.
fn value(n: usize, round: usize) -> f64 {
    n as f64 * 0.25 + round as f64 * 0.1
}

/// The readings of a round in calls of `BATCH`, made before the clock starts.
fn batches(round: usize) -> Vec<Vec<Reading>> {
    let reading = |n: usize| Reading {
        entity: entity_name(n % ENTITIES),
        state: state_name(n / ENTITIES % STATES),
        value: Value::Number(value(n, round)),
        at_ms: None,
    };
    (0..READINGS / BATCH).map(|batch| (batch * BATCH..(batch + 1) * BATCH).map(reading).collect()).collect()
}

async fn open(folder: &Path, entities: usize, states: usize) -> Result<(Store, House)> {
    let store = Store::open(&folder.join("gatehouse.db"), &folder.join("key"), POLICY)?;
    let house = House::open(store.clone(), Clock::system(), LIMITS).await?;
    house.declare(&integration(), declarations(entities, states)).await?;
    Ok((store, house))
}

/// Readings per second that one subscriber sees, and the times between seen and committed in milliseconds.
async fn live_round(folder: &Path, round: usize) -> Result<(f64, Vec<f64>)> {
    let (store, house) = open(folder, ENTITIES, STATES).await?;
    let mut subscription = house.subscribe(None);
    let window = Arc::new(Semaphore::new(AHEAD));
    let behind = Arc::clone(&window);
    let watcher = tokio::spawn(async move {
        let (mut seen, mut taken) = (0, 0);
        let mut waiting: VecDeque<(u64, Instant)> = VecDeque::new();
        let mut lags = Vec::new();
        let mut ended_at = None;
        while ended_at.is_none() || !waiting.is_empty() {
            match subscription.next().await {
                Some(StateEvent::Reading(live)) => {
                    seen += 1;
                    taken += 1;
                    if taken == BATCH {
                        waiting.push_back((live.sequence, Instant::now()));
                        behind.add_permits(std::mem::take(&mut taken));
                    }
                    if seen == READINGS {
                        ended_at = Some(Instant::now());
                    }
                }
                Some(StateEvent::Committed { sequence }) => {
                    while let Some((_, at)) = waiting.pop_front_if(|(last, _)| *last <= sequence) {
                        lags.push(at.elapsed().as_secs_f64() * 1000.0);
                    }
                }
                Some(StateEvent::Reset) => {}
                Some(StateEvent::Lagged) | None => break,
            }
        }
        ended_at.map(|at| (at, lags))
    });
    let batches = batches(round);
    let began = Instant::now();
    for batch in batches {
        window.acquire_many(u32::try_from(batch.len())?).await?.forget();
        let outcome = house.emit(&integration(), batch).await;
        ensure!(outcome.refused == 0, "{}", outcome.first_reason);
    }
    let (ended, lags) = watcher.await?.context("the subscriber was dropped")?;
    store.close().await;
    Ok((READINGS as f64 / (ended - began).as_secs_f64(), lags))
}

/// Readings per second from the first `emit` to the last commit.
async fn durable_round(folder: &Path, round: usize) -> Result<f64> {
    let (store, house) = open(folder, ENTITIES, STATES).await?;
    let batches = batches(round);
    let began = Instant::now();
    for batch in batches {
        house.emit(&integration(), batch).await;
    }
    house.flush().await?;
    let took = began.elapsed();
    store.close().await;
    let connection = Connection::open(folder.join("gatehouse.db"))?;
    let rows: i64 = connection.query_row("SELECT count(*) FROM readings", [], |row| row.get(0))?;
    ensure!(rows == i64::try_from(READINGS)?, "{rows} rows of {READINGS}");
    Ok(READINGS as f64 / took.as_secs_f64())
}

/// The same rows into a database of the same schema, in transactions of the same size, by SQLite alone.
fn raw_round(folder: &Path, round: usize) -> Result<f64> {
    let connection = Connection::open(folder.join("gatehouse.db"))?;
    for (name, value) in [("synchronous", "NORMAL"), ("foreign_keys", "ON"), ("secure_delete", "ON")] {
        connection.pragma_update(None, name, value)?;
    }
    connection.pragma_update(None, "cache_size", -4096)?;
    connection.execute("DELETE FROM readings", [])?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    let ids: Vec<i64> = connection
        .prepare("SELECT id FROM states ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let clock = Clock::system();
    let began = Instant::now();
    let mut insert = connection.prepare(
        "INSERT INTO readings (state_id, at_ms, ordinal, kind, number, whole, text) VALUES (?1, ?2, ?3, 0, ?4, NULL, NULL)",
    )?;
    for first in (0..READINGS).step_by(POLICY.rows) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for n in first..first + POLICY.rows {
            let id = ids[n % ENTITIES * STATES + n / ENTITIES % STATES];
            insert.execute(params![id, clock.now_ms(), i64::try_from(n)?, value(n, round)])?;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(READINGS as f64 / began.elapsed().as_secs_f64())
}

/// Resident memory that loading a house adds, by state. Must run first: what others gave back would be taken again.
async fn memory_per_state(folder: &Path) -> Result<f64> {
    const MANY: usize = 5_000;
    const EACH: usize = 10;
    let store = Store::open(&folder.join("gatehouse.db"), &folder.join("key"), POLICY)?;
    fill(&folder.join("gatehouse.db"), MANY, EACH)?;
    let before = resident_bytes()?;
    let house = House::open(store.clone(), Clock::system(), LIMITS).await?;
    let after = resident_bytes()?;
    ensure!(house.live_states().len() == MANY * EACH, "all states were loaded");
    store.close().await;
    Ok(after.saturating_sub(before) as f64 / (MANY * EACH) as f64)
}

/// Entities with last values, written past the house, so that nothing of it is in memory.
fn fill(database: &Path, entities: usize, states: usize) -> Result<()> {
    let connection = Connection::open(database)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut entity = connection.prepare(
        "INSERT INTO entities (id, integration_id, name_key, declaration, attachment, created_at_ms) \
         VALUES (?1, 'bench', ?2, ?3, 'attached', 0)",
    )?;
    let mut state = connection.prepare(
        "INSERT INTO states (entity_id, name_key, kind, number, changed_at_ms, last_seen_ms) \
         VALUES (?1, ?2, 0, 21.5, 1750000000000, 1750000000000)",
    )?;
    for (id, declaration) in (1_i64..).zip(declarations(entities, states)) {
        entity.execute(params![id, declaration.name.as_str(), serde_json::to_string(&declaration)?])?;
        for declared in &declaration.states {
            state.execute(params![id, declared.name.as_str()])?;
        }
    }
    connection.execute_batch("COMMIT")?;
    Ok(())
}

fn resident_bytes() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS in /proc/self/status")?;
    let kib: usize = line.split_whitespace().nth(1).context("a number behind VmRSS")?.parse()?;
    Ok(kib * 1024)
}
