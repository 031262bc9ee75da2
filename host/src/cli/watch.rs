//! `state watch`: states as they change; a table in place on a terminal, else the present values and one line a change.

mod feed;
mod frame;
mod model;

use std::time::Duration;

use crossterm::event::Event;
use tokio::time::MissedTickBehavior;

use super::daemon::Daemon;
use super::failure::Failure;
use super::keyboard::{Signals, ends, keys, silent};
use super::output::{Output, Tone};
use super::pattern::Patterns;
use super::screen::Screen;
use super::{when, words};
use crate::api::types::ReadingEvent;
use feed::{Feed, Seen};
use model::{Change, Model};

/// Between two drawings at the least.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// How often ages are brought up to date when nothing changes, in drawings.
const AGES_EVERY: u32 = 10;

pub(super) async fn run(daemon: &Daemon, patterns: Vec<String>, output: Output) -> Result<(), Failure> {
    let patterns = Patterns::new(patterns);
    // Subscribed before the states are read: nothing falls between the two.
    let feed = Feed::open(daemon).await?;
    let states = daemon.states().await?;
    let addresses: Vec<_> = states.iter().map(|state| state.address.to_string()).collect();
    patterns.check(addresses.iter().map(String::as_str))?;
    if !addresses.iter().any(|address| patterns.matches(address)) {
        let what = if patterns.all() { "there is no state".to_owned() } else { format!("no state matches {patterns}") };
        output.aside(format!("{what} yet: waiting for one, until Ctrl-C"));
    }
    let mut model = Model::new(patterns);
    model.refresh(states);
    if output.terminal && !output.json {
        on_screen(daemon, feed, model, output).await
    } else {
        as_lines(daemon, feed, model, &output).await
    }
}

async fn as_lines(daemon: &Daemon, mut feed: Feed, mut model: Model, output: &Output) -> Result<(), Failure> {
    let mut terminate = Signals::new()?;
    // What is there first: without it a reader could not know where the changes begin.
    for (reading, change) in model.present() {
        print(&reading, &change, output)?;
    }
    loop {
        let seen = tokio::select! {
            seen = feed.next() => seen?,
            () = terminate.wait() => return Ok(()),
        };
        match seen {
            Seen::Reading(reading) => {
                if model.lacks(&reading.address)
                    && let Ok(states) = daemon.states().await
                {
                    model.refresh(states);
                }
                if let Some(change) = model.reading(&reading, when::now_ms()) {
                    print(&reading, &change, output)?;
                }
            }
            Seen::Lost => output.aside("the daemon is away: waiting for it to come back"),
            Seen::Back => output.aside("the daemon is back"),
            Seen::Changed => {}
        }
    }
}

fn print(reading: &ReadingEvent, change: &Change<'_>, output: &Output) -> Result<(), Failure> {
    if output.json { output.json_line(reading) } else { output.line(line(change, output)) }
}

fn line(change: &Change<'_>, output: &Output) -> String {
    format!(
        "{}  {}  {}",
        output.paint(Tone::Dim, when::clock(change.at_ms)),
        change.state.address,
        output.paint(Tone::Strong, words::value(change.value, &change.state.kind))
    )
}

async fn on_screen(daemon: &Daemon, mut feed: Feed, mut model: Model, output: Output) -> Result<(), Failure> {
    let mut terminate = Signals::new()?;
    let mut screen = Screen::open(output.color)?;
    let mut keys = keys();
    let mut tick = tokio::time::interval(DRAW_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut dirty, mut stale, mut ticks) = (true, false, 0_u32);
    loop {
        tokio::select! {
            seen = feed.next() => match seen? {
                Seen::Reading(reading) => {
                    stale |= model.lacks(&reading.address);
                    dirty |= model.reading(&reading, when::now_ms()).is_some();
                }
                Seen::Changed => stale = true,
                Seen::Lost => {
                    model.away(true);
                    dirty = true;
                }
                Seen::Back => {
                    model.away(false);
                    stale = true;
                }
            },
            key = keys.recv() => match key {
                Some(Event::Key(key)) if ends(key) => return screen.close(),
                Some(Event::Key(key)) => {
                    screen.scroll(key.code);
                    dirty = true;
                }
                Some(Event::Resize(..)) => {
                    screen.resized();
                    dirty = true;
                }
                // No keyboard: Ctrl-C comes as a signal then.
                None => keys = silent(),
                Some(_) => {}
            },
            () = terminate.wait() => return screen.close(),
            _ = tick.tick() => {
                if stale
                    && let Ok(states) = daemon.states().await
                {
                    model.refresh(states);
                    (stale, dirty) = (false, true);
                }
                ticks += 1;
                let now_ms = when::now_ms();
                if dirty || ticks >= AGES_EVERY || model.fading(now_ms) {
                    let width = screen.width();
                    screen.draw(&frame::status(&model, now_ms, width), &frame::body(&model, now_ms, width))?;
                    (dirty, ticks) = (false, 0);
                }
            }
        }
    }
}
