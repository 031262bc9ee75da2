//! The worker's one way to write: frames from any thread onto the blocking socket, in the order in which they come.
//!
//! A thread that finds nobody writing writes itself, without a copy or a hand-over. One that finds the socket busy
//! leaves its frame for whoever is writing, which then writes all that has gathered with one call. When more than
//! [`MAX_QUEUED_BYTES`] has gathered, senders wait: memory stays bounded whatever a plugin does.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::gateway::codec::{self, CodecError, HEADER_BYTES, Kind, MAX_PAYLOAD_BYTES};

/// Bytes that wait for the thread that is writing before further senders are held up.
const MAX_QUEUED_BYTES: usize = 4 * 1024 * 1024;
/// Frames in one vectored write: the kernel takes 1024 slices, a frame has two.
const FRAMES_PER_WRITE: usize = 256;

type Encoded = ([u8; HEADER_BYTES], Vec<u8>);

pub(super) struct Outlet {
    socket: Arc<UnixStream>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Encoded>,
    queued_bytes: usize,
    writing: bool,
    broken: bool,
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outlet({} bytes queued)", self.state.lock().queued_bytes)
    }
}

impl Outlet {
    pub(super) fn new(socket: Arc<UnixStream>) -> Self {
        Self { socket, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Sends a frame; waits while too much is queued. What is sent after the host went away goes nowhere.
    pub(super) fn send(&self, kind: Kind, call: u64, op: u32, payload: Vec<u8>) -> Result<(), CodecError> {
        let header = codec::header(kind, call, op, payload.len(), MAX_PAYLOAD_BYTES)?;
        let mut state = self.state.lock();
        while state.queued_bytes > MAX_QUEUED_BYTES && !state.broken {
            self.changed.wait(&mut state);
        }
        if state.broken {
            return Ok(());
        }
        if state.writing {
            state.queued_bytes += HEADER_BYTES + payload.len();
            state.queue.push_back((header, payload));
            return Ok(());
        }
        state.writing = true;
        drop(state);
        let mut written = self.write(&[(header, payload)]);
        loop {
            let mut state = self.state.lock();
            if written.is_err() {
                state.broken = true;
                state.queue.clear();
            }
            let count = state.queue.len().min(FRAMES_PER_WRITE);
            let batch: Vec<Encoded> = state.queue.drain(..count).collect();
            let batch_bytes: usize = batch.iter().map(|(_, payload)| HEADER_BYTES + payload.len()).sum();
            state.queued_bytes = if state.broken { 0 } else { state.queued_bytes - batch_bytes };
            state.writing = !batch.is_empty();
            self.changed.notify_all();
            if batch.is_empty() {
                return Ok(());
            }
            drop(state);
            written = self.write(&batch);
        }
    }

    /// Waits until nothing is being written.
    pub(super) fn finish(&self) {
        let mut state = self.state.lock();
        while state.writing {
            self.changed.wait(&mut state);
        }
    }

    fn write(&self, frames: &[Encoded]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> =
            frames.iter().flat_map(|(header, payload)| [IoSlice::new(header), IoSlice::new(payload)]).collect();
        let mut left = slices.as_mut_slice();
        while !left.is_empty() {
            match (&*self.socket).write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut left, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Read;

    use super::*;
    use crate::gateway::codec::Decoder;

    #[test]
    fn frames_of_many_threads_arrive_whole_and_each_thread_in_order() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let outlet = Outlet::new(Arc::new(ours));
        let mut next = [0_u64; 4];
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let outlet = &outlet;
                scope.spawn(move || {
                    for call in 0..500 {
                        outlet.send(Kind::Request, call, thread, vec![0; 3000]).unwrap();
                    }
                });
            }
            let (mut decoder, mut buffer, mut seen) = (Decoder::default(), [0; 5000], 0);
            while seen < 2000 {
                let count = theirs.read(&mut buffer).unwrap();
                let mut bytes = &buffer[..count];
                while let Some(frame) = decoder.next(&mut bytes).unwrap() {
                    let thread = frame.op as usize;
                    assert_eq!((frame.call, frame.payload.len()), (next[thread], 3000));
                    next[thread] += 1;
                    seen += 1;
                }
            }
        });
        outlet.finish();
    }

    #[test]
    fn a_reader_that_went_away_holds_nobody_up() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let outlet = Outlet::new(Arc::new(ours));
        for call in 0..10 {
            outlet.send(Kind::Request, call, 1, vec![0; MAX_QUEUED_BYTES]).unwrap();
        }
        outlet.finish();
    }
}
