//! Reads benchmark rows as JSON lines and prints them as one table; writes them as one JSON array too.
#![expect(clippy::print_stdout, reason = "a command that prints a table")]

use std::io::BufRead;

use anyhow::{Context, Result};
use serde_json::Value;

/// Seven significant places are noise; three tell.
fn figure(value: &Value) -> String {
    match value.as_f64() {
        None => "-".to_owned(),
        Some(v) if v.abs() >= 1000.0 => format!("{v:.0}"),
        Some(v) if v.abs() >= 10.0 => format!("{v:.1}"),
        Some(v) => format!("{v:.2}"),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A goal in words, or the greatest ratio.
fn goal(value: &Value) -> String {
    value.as_f64().map_or_else(|| text(value), |most| format!("<= {most}x"))
}

fn main() -> Result<()> {
    let rows: Vec<Value> = std::io::stdin()
        .lock()
        .lines()
        .map(|line| serde_json::from_str(&line?).context("a row is one JSON object a line"))
        .collect::<Result<_>>()?;
    let head = ["what", "measured", "unit", "beside", "ratio", "goal", "met"].map(str::to_owned);
    let mut table = vec![head];
    for row in &rows {
        let met = match row["met"].as_bool() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        table.push([
            text(&row["row"]),
            figure(&row["value"]),
            text(&row["unit"]),
            figure(&row["baseline"]),
            figure(&row["ratio"]),
            goal(&row["goal"]),
            met.to_owned(),
        ]);
    }
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    for row in &table {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[column] - cell.chars().count());
            // Figures line up at the right.
            let cell = if matches!(column, 1 | 3 | 4) { format!("{pad}{cell}") } else { format!("{cell}{pad}") };
            line.push_str(&cell);
            line.push_str("  ");
        }
        println!("{}", line.trim_end());
    }
    std::fs::write("target/bench.json", serde_json::to_string_pretty(&rows)?).context("write target/bench.json")?;
    println!("\nwritten to target/bench.json");
    Ok(())
}
