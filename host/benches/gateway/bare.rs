//! The baselines: the same exchange between two threads with nothing of Gatehouse in it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

/// The bytes of a frame with the payload of a ping.
const FRAME: usize = 18;

fn each(began: Instant, exchanges: u32) -> Duration {
    began.elapsed() / exchanges
}

/// Two threads that park and unpark each other.
pub(crate) fn park(exchanges: u32) -> Result<Duration> {
    let turn = Arc::new(AtomicU64::new(0));
    let (theirs, caller) = (Arc::clone(&turn), std::thread::current());
    let last = u64::from(exchanges) * 2;
    let other = std::thread::spawn(move || {
        for wanted in (1..last).step_by(2) {
            while theirs.load(Ordering::Acquire) != wanted {
                std::thread::park();
            }
            theirs.store(wanted + 1, Ordering::Release);
            caller.unpark();
        }
    });
    let began = Instant::now();
    for asked in (1..last).step_by(2) {
        turn.store(asked, Ordering::Release);
        other.thread().unpark();
        while turn.load(Ordering::Acquire) != asked + 1 {
            std::thread::park();
        }
    }
    let time = each(began, exchanges);
    other.join().ok().context("the other thread ended")?;
    Ok(time)
}

/// A task here asks a current-thread runtime on another thread: a queue one way, a oneshot back.
pub(crate) async fn tasks(exchanges: u32) -> Result<Duration> {
    let (ask, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
    let answer = async move {
        while let Some(reply) = asked.recv().await {
            let _ = reply.send(());
        }
    };
    let other = on_a_runtime_of_its_own(answer)?;
    let began = Instant::now();
    for _ in 0..exchanges {
        let (reply, answered) = oneshot::channel();
        ask.send(reply)?;
        answered.await?;
    }
    let time = each(began, exchanges);
    drop(ask);
    other.join().ok().context("the other thread ended")?;
    Ok(time)
}

/// Two threads and a socketpair, both blocking.
pub(crate) fn socket_blocking(exchanges: u32) -> Result<Duration> {
    let (mut ours, mut theirs) = StdUnixStream::pair()?;
    let other = std::thread::spawn(move || {
        let mut frame = [0; FRAME];
        while theirs.read_exact(&mut frame).is_ok() && theirs.write_all(&frame).is_ok() {}
    });
    let mut frame = [1; FRAME];
    let began = Instant::now();
    for _ in 0..exchanges {
        ours.write_all(&frame)?;
        ours.read_exact(&mut frame)?;
    }
    let time = each(began, exchanges);
    drop(ours);
    other.join().ok().context("the other thread ended")?;
    Ok(time)
}

/// A task here and one of a current-thread runtime on another thread, with a socketpair between.
pub(crate) async fn socket_tokio(exchanges: u32) -> Result<Duration> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let answer = async move {
        let Ok(mut theirs) = UnixStream::from_std(theirs) else { return };
        let mut frame = [0; FRAME];
        while theirs.read_exact(&mut frame).await.is_ok() && theirs.write_all(&frame).await.is_ok() {}
    };
    let other = on_a_runtime_of_its_own(answer)?;
    let mut ours = UnixStream::from_std(ours)?;
    let mut frame = [1; FRAME];
    let began = Instant::now();
    for _ in 0..exchanges {
        ours.write_all(&frame).await?;
        ours.read_exact(&mut frame).await?;
    }
    let time = each(began, exchanges);
    drop(ours);
    other.join().ok().context("the other thread ended")?;
    Ok(time)
}

fn on_a_runtime_of_its_own(work: impl Future<Output = ()> + Send + 'static) -> Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(std::thread::spawn(move || runtime.block_on(work)))
}
