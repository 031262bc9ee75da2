//! `top`: what each integration costs; a table in place on a terminal, else one look.

mod looked;

use crossterm::event::Event;
use tokio::time::MissedTickBehavior;

use self::looked::Looked;
use super::args;
use super::daemon::Daemon;
use super::failure::Failure;
use super::keyboard::{Signals, ends, keys, silent};
use super::output::{Output, Tone};
use super::screen::{Line, Screen};
use super::when;

pub(super) async fn run(daemon: &Daemon, wanted: &args::Top, output: Output) -> Result<(), Failure> {
    let before = daemon.costs(wanted.proportional).await?;
    if output.terminal && !output.json && !wanted.once {
        return on_screen(daemon, wanted, Looked::first(before), output).await;
    }
    // What is used in a second takes two looks.
    tokio::time::sleep(wanted.every).await;
    let looked = Looked::first(before).then(daemon.costs(wanted.proportional).await?);
    if output.json { output.json(&looked) } else { output.line(looked.lines(&output).join("\n")) }
}

async fn on_screen(daemon: &Daemon, wanted: &args::Top, first: Looked, output: Output) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut screen = Screen::open(output.color)?;
    let mut keys = keys();
    let mut tick = tokio::time::interval(wanted.every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first look is done already.
    tick.tick().await;
    let (mut looked, mut away) = (first, false);
    loop {
        draw(&mut screen, &looked, away, &output)?;
        tokio::select! {
            key = keys.recv() => match key {
                Some(Event::Key(key)) if ends(key) => return screen.close(),
                Some(Event::Key(key)) => screen.scroll(key.code),
                Some(Event::Resize(..)) => screen.resized(),
                // No keyboard: Ctrl-C comes as a signal then.
                None => keys = silent(),
                Some(_) => {}
            },
            () = signals.wait() => return screen.close(),
            _ = tick.tick() => match daemon.costs(wanted.proportional).await {
                Ok(costs) => (looked, away) = (looked.then(costs), false),
                Err(_) => away = true,
            },
        }
    }
}

fn draw(screen: &mut Screen, looked: &Looked, away: bool, output: &Output) -> Result<(), Failure> {
    let head = if away {
        Line::of(Tone::Bad, "The daemon is away: waiting for it to come back. q ends.")
    } else {
        Line::of(Tone::Dim, format!("{}  {}", when::local(looked.at_ms()), looked.daemon()))
    };
    let width = u16::try_from(screen.width()).unwrap_or(u16::MAX);
    let lines = looked.lines(&Output { width: Some(width), ..*output });
    let body: Vec<_> = lines.into_iter().map(|line| Line::of(Tone::Plain, line)).collect();
    screen.draw(&head, &body)
}
