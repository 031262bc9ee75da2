//! A plugin that behaves as a test asks it to: well, badly, or not at all.
//!
//! A request for its page says what to do (`do=…`); the integration's id says how its constructor behaves.

mod attempts;
mod counting;
mod steps;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gatehouse_plugin_api::manage::{ManageReply, ManageRequest};
use gatehouse_plugin_api::message::{Control, ControlOutcome, EntityDeclaration, Reading};
use gatehouse_plugin_api::{
    Context, Entity, Error, IntegrationGateway, Result, State, Value, export_integration, tokio, tracing,
};

/// The gateway.
#[derive(Debug)]
pub struct Probe {
    context: Context,
    state: RefCell<Vec<u8>>,
    /// What its upstream has; as long as nobody said, it has no snapshot to give.
    upstream: RefCell<Option<Vec<String>>>,
}

impl IntegrationGateway for Probe {
    type Settings = ();

    fn new(context: Context) -> Self {
        match context.integration_id().as_str() {
            "probe-panics" => panic!("no gateway today"),
            "probe-panics-at-length" => panic!("{}", "no gateway today, ".repeat(100_000)),
            "probe-aborts" => {
                announce("about to abort");
                std::process::abort();
            }
            "probe-exits" => exit(7),
            "probe-segfaults" => announce(&write_to(16)),
            "probe-hangs" => block_for_ever(),
            _ => steps::come_to_now(&context, "constructor"),
        }
        Self { context, state: RefCell::new(b"state".to_vec()), upstream: RefCell::default() }
    }

    async fn start(&self, (): ()) -> Result<()> {
        let number = Entity::new("probe").state(State::number("count", ""));
        self.context.declare([number.state(State::on_off("power").controllable())]).await?;
        counting::go_on(&self.context);
        steps::come_to(&self.context, "start").await;
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        steps::come_to(&self.context, "stop").await;
        Ok(())
    }

    async fn control(&self, control: Control) -> Result<ControlOutcome> {
        Ok(ControlOutcome { value: Some(control.value) })
    }

    async fn synchronize(&self) -> Result<Vec<EntityDeclaration>> {
        let upstream = self.upstream.borrow().clone();
        let names = upstream.ok_or_else(|| Error::unsupported("the probe was told of no upstream"))?;
        names.iter().map(|name| Entity::new(name).state(State::on_off("power")).build()).collect()
    }

    async fn manage(&self, request: ManageRequest) -> Result<ManageReply> {
        let asked = Asked(&request.params);
        let text = match asked.text("do") {
            "echo" => asked.text("text").to_owned(),
            "sleep" => {
                tokio::time::sleep(Duration::from_millis(asked.number("ms"))).await;
                "slept".to_owned()
            }
            "never" => std::future::pending().await,
            "block" => {
                self.context.progress("blocking", None).await?;
                std::thread::sleep(Duration::from_millis(asked.number("ms")));
                "blocked".to_owned()
            }
            "panic" => panic!("asked to panic"),
            "panic-in-task" => return Ok(tokio::task::spawn_local(async { panic!("a task of mine") }).await?),
            "emit" => self.emit(asked.number("count")).await?,
            "count" => {
                counting::begin(self.context.clone());
                "counting".to_owned()
            }
            "declare" => {
                let many = (0..asked.number("count")).map(|number| {
                    let states = 0..asked.number("states").max(1);
                    let thing = Entity::new(format!("thing-{number}"));
                    states.fold(thing, |thing, state| thing.state(State::on_off(format!("switch-{state}"))))
                });
                self.context.declare(many).await?;
                "declared".to_owned()
            }
            "spin" => {
                let (begun, span) = (Instant::now(), Duration::from_millis(asked.number("ms")));
                while begun.elapsed() < span {
                    std::hint::spin_loop();
                }
                "spun".to_owned()
            }
            "grow" => {
                let bytes = usize::try_from(asked.number("mb") << 20).unwrap_or(0);
                // Written to, or it would be no memory; and never given back.
                std::mem::forget(vec![1_u8; bytes]);
                "grown".to_owned()
            }
            "log-flood" => {
                for number in 0..asked.number("count") {
                    tracing::info!(number, "one of many lines");
                }
                "logged".to_owned()
            }
            "keep" => self.keep(asked.text("key"), asked.text("text")).await?,
            "fill" => {
                let bytes = vec![b'f'; usize::try_from(asked.number("kb")).unwrap_or(0) * 1024];
                self.context.kv().set_bytes(asked.text("key"), bytes).await?;
                "filled".to_owned()
            }
            "forget" => {
                self.context.kv().delete(asked.text("key")).await?;
                "forgotten".to_owned()
            }
            "write" => {
                let bytes = vec![b'w'; usize::try_from(asked.number("kb")).unwrap_or(0) * 1024];
                std::fs::write(self.context.data_dir().join(asked.text("file")), bytes)?;
                "written".to_owned()
            }
            "keys" => self.context.kv().keys("").await?.join(","),
            "upstream" => {
                let names = asked.text("names").split(',').map(str::to_owned).collect();
                self.upstream.replace(Some(names));
                "told".to_owned()
            }
            "log" => {
                tracing::info!(text = asked.text("text"), "a line of the log");
                "logged".to_owned()
            }
            "print" => {
                announce(asked.text("text"));
                "printed".to_owned()
            }
            "pid" => std::process::id().to_string(),
            "user" => user(),
            "environment" => std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect(),
            "descriptors" => descriptors()?,
            "time" => {
                let (count, began) = (asked.number("count").max(1), Instant::now());
                for _ in 0..count {
                    attempts::attempt(asked.text("what"), asked.text("at"))?;
                }
                (began.elapsed().as_nanos() / u128::from(count)).to_string()
            }
            "try" => attempts::outcome(attempts::attempt(asked.text("what"), asked.text("at"))),
            "exit" => exit(i32::try_from(asked.number("code")).unwrap_or(1)),
            "abort" => std::process::abort(),
            "raise" => raise(i32::try_from(asked.number("signal")).unwrap_or(0)),
            "segfault" => write_to(asked.number("address")),
            "illegal" => illegal_instruction(),
            "overflow" => return Ok(ManageReply::Message { error: false, text: overflow(1).to_string() }),
            "overflow-in-thread" => {
                let thread = std::thread::spawn(|| overflow(1));
                thread.join().map_or_else(|_| "panicked".to_owned(), |depth| depth.to_string())
            }
            "segfault-unhandled" => {
                forget_handlers();
                write_to(16)
            }
            "allocate" => Vec::<u8>::with_capacity(isize::MAX as usize).len().to_string(),
            other => return Err(Error::not_found(format!("the probe cannot {other:?}"))),
        };
        Ok(ManageReply::Message { error: false, text })
    }

    async fn export_state(&self) -> Result<Vec<u8>> {
        steps::come_to(&self.context, "export").await;
        Ok(self.state.borrow().clone())
    }

    async fn import_state(&self, state: Vec<u8>) -> Result<()> {
        self.state.replace(state);
        steps::come_to(&self.context, "import").await;
        Ok(())
    }
}

impl Probe {
    async fn emit(&self, count: u64) -> Result<String> {
        for number in 0..count {
            #[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
            let value = Value::Number(number as f64);
            self.context
                .emit(Reading { entity: "probe".parse()?, state: "count".parse()?, value, at_ms: None })
                .await?;
        }
        self.context.flush().await?;
        Ok(format!("emitted {count}"))
    }

    async fn keep(&self, key: &str, text: &str) -> Result<String> {
        let kv = self.context.kv();
        kv.set(key, text).await?;
        Ok(kv.get(key).await?.unwrap_or_default())
    }
}

/// What a request asks for.
struct Asked<'a>(&'a BTreeMap<String, String>);

impl<'a> Asked<'a> {
    fn text(&self, key: &str) -> &'a str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn number(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap_or(0)
    }
}

fn block_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}

#[expect(clippy::exit, reason = "what a plugin must not do is what a test asks for")]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}

fn raise(signal: i32) -> String {
    let signal = rustix::process::Signal::from_named_raw(signal).unwrap_or(rustix::process::Signal::ABORT);
    // A handler may take the first one, and itself away.
    loop {
        if let Err(error) = rustix::process::kill_process(rustix::process::getpid(), signal) {
            return error.to_string();
        }
        std::thread::yield_now();
    }
}

/// Takes away whoever would handle a fault.
#[expect(unsafe_code, reason = "a plugin that takes what is not its own is what a test asks for")]
fn forget_handlers() {
    // SAFETY: the default action needs no handler.
    unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
}

/// Writes to an address that is nobody's.
#[inline(never)]
#[expect(unsafe_code, reason = "a plugin that destroys is what a test asks for")]
fn write_to(address: u64) -> String {
    let address = usize::try_from(address).unwrap_or(0);
    // SAFETY: none. The write ends the process, which is what is wanted.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(1) };
    "written".to_owned()
}

#[inline(never)]
#[expect(unsafe_code, reason = "a plugin that ends its process is what a test asks for")]
fn illegal_instruction() -> ! {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: ends the process, which is what is wanted.
    unsafe {
        std::arch::asm!("ud2", options(noreturn))
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: ends the process, which is what is wanted.
    unsafe {
        std::arch::asm!("udf #0", options(noreturn))
    };
}

/// Uses up the stack of its thread.
#[inline(never)]
#[expect(unconditional_recursion, reason = "a plugin that uses up its stack is what a test asks for")]
fn overflow(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    overflow(depth + 1) + room[1]
}

#[expect(clippy::print_stderr, reason = "a plugin that prints is what a test asks for")]
fn announce(text: &str) {
    eprintln!("{text}");
}

fn user() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Uid:\t")).unwrap_or_default().to_owned()
}

/// What the process has open besides memory and the runtime's own.
fn descriptors() -> Result<String> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // The listing's own descriptor is gone by the time it is looked at.
        if let Ok(target) = std::fs::read_link(entry.path()) {
            open.push(format!("{} {}", entry.file_name().to_string_lossy(), target.to_string_lossy()));
        }
    }
    open.sort();
    Ok(open.join("\n"))
}

export_integration! {
    gateway: Probe,
    id: "probe",
    label: "Probe",
}
