//! The end of a gateway: its calls, its tasks, its thread.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::error::{ErrorCode, Result};
use crate::testing::House;
use crate::tokio::sync::oneshot;
use crate::{Context, IntegrationGateway, ops};

static DROPPED_ON_ITS_THREAD: AtomicBool = AtomicBool::new(false);
static TASK_ENDED: AtomicBool = AtomicBool::new(false);

struct Lasting {
    context: Context,
    thread: std::thread::ThreadId,
}

struct SaysSo(&'static AtomicBool);
impl Drop for SaysSo {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl IntegrationGateway for Lasting {
    type Settings = ();
    fn new(context: Context) -> Self {
        Self { context, thread: std::thread::current().id() }
    }
    async fn start(&self, _: ()) -> Result<()> {
        let context = self.context.clone();
        let says = SaysSo(&TASK_ENDED);
        tokio::task::spawn_local(async move {
            let _says = says;
            context.clock().sleep(std::time::Duration::from_secs(3600)).await;
        });
        Ok(())
    }
    async fn poll(&self) -> Result<()> {
        std::future::pending().await
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        DROPPED_ON_ITS_THREAD.store(self.thread == std::thread::current().id(), Ordering::SeqCst);
    }
}

#[test]
fn dropping_a_gateway_cancels_its_calls_and_ends_its_thread() {
    let mut house = House::open::<Lasting>();
    house.start(()).unwrap();
    let polls: Vec<_> = (0..3).map(|_| house.post::<()>(&ops::POLL, &())).collect();
    house.call::<()>(&ops::PING, &()).unwrap();
    house.close();
    assert!(DROPPED_ON_ITS_THREAD.load(Ordering::SeqCst));
    assert!(TASK_ENDED.load(Ordering::SeqCst));
    for poll in polls {
        assert_eq!(poll.wait().unwrap_err().code, ErrorCode::Cancelled);
    }
}

/// Hands its context to a thread of its own, which outlives it.
struct Leaky(Context);
static LATE: Mutex<Option<JoinHandle<Late>>> = Mutex::new(None);

/// What came of an emit after the end, and whether the run was cancelled.
type Late = (Result<()>, bool);

impl IntegrationGateway for Leaky {
    type Settings = ();
    fn new(context: Context) -> Self {
        Self(context)
    }
    async fn start(&self, _: ()) -> Result<()> {
        let context = self.0.clone();
        let (ready, is_ready) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
            runtime.block_on(async {
                let _ = ready.send(());
                context.cancelled().await;
                // Not before the queue is gone: whatever was sent until then is sent.
                while context.emit_value("meter", "count", 1.0).await.is_ok() {}
                let late = context.emit_value("meter", "count", 1.0).await;
                Ok::<_, std::io::Error>((late, context.cancellation().is_cancelled()))
            })
        });
        let thread = std::thread::spawn(move || thread.join().expect("no panic").expect("a runtime"));
        LATE.lock().expect("not poisoned").replace(thread);
        is_ready.await?;
        Ok(())
    }
}

#[test]
fn a_context_that_outlives_its_gateway_says_so() {
    let mut house = House::open::<Leaky>();
    house.start(()).unwrap();
    house.close();
    let thread = LATE.lock().unwrap().take().unwrap();
    let (late, cancelled) = thread.join().unwrap();
    assert_eq!(late.unwrap_err().code(), ErrorCode::Cancelled);
    assert!(cancelled);
}
