//! The one thread that owns the write connection: it groups jobs and readings into transactions.
//!
//! Why one thread: SQLite takes one writer at a time, and the cost of a small write is its commit. Whoever waits for a
//! commit (a saved setting, `emit_durable`) gets it as soon as the thread is free, together with everything else that
//! has come by then; readings that nobody waits for are gathered for `CommitPolicy::every` or `CommitPolicy::rows`.
//! A job that fails is undone by its savepoint, the others of its transaction are committed.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::CommitPolicy;
use super::damage::Damage;
use super::error::Fault;
use super::queue::{self, Batch, Pending};

/// Most jobs in one transaction: one that waits behind them must not wait long.
const JOBS_AT_ONCE: usize = 256;

/// What the thread is told.
pub(super) enum Message {
    /// Do this.
    Job(Box<dyn Job>),
    /// Look at the readings' queue.
    Wake,
    /// Commit everything and end.
    Close(oneshot::Sender<()>),
}

/// One piece of work inside a transaction.
pub(super) trait Job: Send {
    /// Does it; runs inside a savepoint of its own, and once more when the database was found damaged and replaced.
    fn run(&mut self, connection: &Connection) -> Result<(), Fault>;
    /// Tells how it ended, after the commit.
    fn finish(self: Box<Self>, outcome: Result<(), Fault>);
}

/// A closure as a job, its result handed to a waiter.
pub(super) struct Work<T, F> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, Fault>>,
}

impl<T, F> Work<T, F>
where
    T: Send,
    F: Fn(&Connection) -> Result<T, Fault> + Send,
{
    pub(super) fn new(work: F) -> (Self, oneshot::Receiver<Result<T, Fault>>) {
        let (reply, receiver) = oneshot::channel();
        (Self { work, result: None, reply }, receiver)
    }
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: Fn(&Connection) -> Result<T, Fault> + Send,
{
    fn run(&mut self, connection: &Connection) -> Result<(), Fault> {
        self.result = Some((self.work)(connection)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), Fault>) {
        let Self { result, reply, .. } = *self;
        let answer = match (outcome, result) {
            (Ok(()), Some(result)) => Ok(result),
            (Err(fault), _) => Err(fault),
            (Ok(()), None) => return,
        };
        // A waiter that went away does not undo what is committed.
        let _ = reply.send(answer);
    }
}

/// The thread's state.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) policy: CommitPolicy,
    pub(super) messages: Receiver<Message>,
    pub(super) pending: Arc<Pending>,
    pub(super) next_ordinal: i64,
    pub(super) damage: Damage,
}

impl Writer {
    /// The thread's whole life.
    pub(super) fn run(mut self) {
        let closed = loop {
            let message = match self.pending.due(&self.policy) {
                None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.messages.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match message {
                Ok(Message::Wake) => {}
                Ok(Message::Job(job)) => {
                    let (jobs, closed) = self.gather(job);
                    self.transaction(jobs);
                    if closed.is_some() {
                        break closed;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.transaction(Vec::new()),
                Ok(Message::Close(done)) => break Some(done),
                Err(RecvTimeoutError::Disconnected) => break None,
            }
        };
        while self.pending.has_committable_rows() {
            self.transaction(Vec::new());
        }
        self.pending.close();
        let Self { connection, path, .. } = self;
        if let Err(error) = connection.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            tracing::debug!(database = %path.display(), %error, "the write-ahead log was not folded in at the end");
        }
        drop(connection);
        if let Some(done) = closed {
            let _ = done.send(());
        }
    }

    /// The job and those that have come behind it by now; stops at a wish to close.
    fn gather(&self, first: Box<dyn Job>) -> (Vec<Box<dyn Job>>, Option<oneshot::Sender<()>>) {
        let mut jobs = vec![first];
        while jobs.len() < JOBS_AT_ONCE {
            match self.messages.try_recv() {
                Ok(Message::Job(job)) => jobs.push(job),
                Ok(Message::Wake) => {}
                Ok(Message::Close(done)) => return (jobs, Some(done)),
                Err(_) => break,
            }
        }
        (jobs, None)
    }

    /// One transaction: the readings that wait, then the jobs.
    ///
    /// Readings that cannot be written do not hold up jobs: one of those may be what makes room on a full disk.
    fn transaction(&mut self, jobs: Vec<Box<dyn Job>>) {
        let mut waiting = VecDeque::from(jobs);
        let mut done = Vec::with_capacity(waiting.len());
        let mut batch =
            if waiting.is_empty() || !self.pending.is_failing() { self.pending.take(self.policy.rows) } else { None };
        let mut outcome = self.attempt(batch.as_ref(), &mut waiting, &mut done);
        if let Err(fault) = &outcome
            && fault.is_damage()
            && self.damage.leave_behind(&mut self.connection, fault, &self.policy)
        {
            done.extend(std::mem::take(&mut waiting));
            waiting.extend(done.drain(..));
            outcome = self.attempt(batch.as_ref(), &mut waiting, &mut done);
        }
        if let Err(fault) = &outcome
            && !waiting.is_empty()
            && done.is_empty()
            && let Some(batch) = batch.take()
        {
            self.pending.settle(batch, Err(fault.copy()), &self.path);
            outcome = self.attempt(None, &mut waiting, &mut done);
        }
        let answer = |outcome: &Result<(), Fault>| outcome.as_ref().copied().map_err(Fault::copy);
        for job in done.into_iter().chain(waiting) {
            job.finish(answer(&outcome));
        }
        if let Some(batch) = batch {
            self.pending.settle(batch, answer(&outcome), &self.path);
        }
    }

    /// Moves the jobs that ran from `waiting` to `done`; on failure nothing of them is in the database.
    fn attempt(
        &mut self,
        batch: Option<&Batch>,
        waiting: &mut VecDeque<Box<dyn Job>>,
        done: &mut Vec<Box<dyn Job>>,
    ) -> Result<(), Fault> {
        let filled =
            self.damage.ready(&mut self.connection, &self.policy).and_then(|()| self.fill(batch, waiting, done));
        let outcome = filled.and_then(|next_ordinal| {
            self.connection.execute_batch("COMMIT")?;
            self.next_ordinal = next_ordinal;
            Ok(())
        });
        if outcome.is_err()
            && !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(database = %self.path.display(), %error, "a failed transaction could not be undone");
        }
        outcome
    }

    fn fill(
        &self,
        batch: Option<&Batch>,
        waiting: &mut VecDeque<Box<dyn Job>>,
        done: &mut Vec<Box<dyn Job>>,
    ) -> Result<i64, Fault> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let next_ordinal = match batch {
            Some(batch) => queue::write(&self.connection, batch.rows(), self.next_ordinal)?,
            None => self.next_ordinal,
        };
        while !waiting.is_empty() {
            self.connection.execute_batch("SAVEPOINT job")?;
            let Some(mut job) = waiting.pop_front() else { break };
            match job.run(&self.connection) {
                Ok(()) => {
                    done.push(job);
                    self.connection.execute_batch("RELEASE job")?;
                }
                // A damaged file is nothing that the job could do without: all begins anew in another one.
                Err(fault) if fault.is_damage() => {
                    waiting.push_front(job);
                    return Err(fault);
                }
                // A full disk and the like end the whole transaction, not the statement alone.
                Err(fault) if self.connection.is_autocommit() => {
                    job.finish(Err(fault.copy()));
                    return Err(fault);
                }
                Err(fault) => {
                    job.finish(Err(fault));
                    self.connection.execute_batch("ROLLBACK TO job; RELEASE job")?;
                }
            }
        }
        Ok(next_ordinal)
    }
}
