//! One measurement of the machine: what there is, and its values.
//!
//! Blocking: reads files of `/proc` and `/sys` and asks each file system for its space.

use std::collections::BTreeSet;
use std::time::Instant;

use gatehouse_plugin_api::{Entity, Result, State, Value};
use sysinfo::{Components, Cpu, CpuRefreshKind, DiskRefreshKind, Disks, Networks, System};

use crate::names::entity_name;
use crate::options::{Options, listed};

/// One thing of the machine with its values, in the order of its states.
#[derive(Debug)]
pub(crate) struct Thing {
    pub(crate) name: String,
    pub(crate) entity: Entity,
    pub(crate) values: Vec<(String, Value)>,
}

impl Thing {
    fn new(name: impl Into<String>, label: impl Into<String>, entity_type: &str) -> Self {
        let name = name.into();
        Self { entity: Entity::new(&name).label(label).entity_type(entity_type), name, values: Vec::new() }
    }

    fn state(mut self, name: &str, state: State, value: impl Into<Option<Value>>) -> Self {
        self.entity = self.entity.state(state);
        if let Some(value) = value.into() {
            self.values.push((name.to_owned(), value));
        }
        self
    }

    fn number(self, name: &str, label: &str, unit: &str, value: impl Into<Option<f64>>) -> Self {
        let value = value.into().filter(|number| number.is_finite()).map(Value::Number);
        self.state(name, State::number(name, unit).label(label), value)
    }

    fn percent(self, name: &str, label: &str, value: impl Into<Option<f64>>) -> Self {
        let value = value.into().map(|share| Value::Number(share.clamp(0.0, 100.0)));
        self.state(name, State::number(name, "%").label(label).range(0.0, 100.0), value)
    }
}

/// The hold on the machine's counters; rates are over the time since the measurement before.
#[derive(Debug)]
pub(crate) struct Probe {
    system: System,
    disks: Disks,
    networks: Networks,
    components: Components,
    counted_at: Option<Instant>,
}

impl Probe {
    /// Opens the counters; what needs two measurements (use of the processor, rates) comes with the second.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            system: System::new()?,
            disks: Disks::new()?,
            networks: Networks::new()?,
            components: Components::new()?,
            counted_at: None,
        })
    }

    /// Measures what the options ask for.
    pub(crate) fn measure(&mut self, options: &Options) -> Vec<Thing> {
        let now = Instant::now();
        let seconds = self.counted_at.replace(now).map(|before| (now - before).as_secs_f64());
        let mut things = vec![self.machine()];
        if options.processor {
            things.push(self.processor(options.each_core, seconds.is_some()));
        }
        if options.memory {
            things.extend(self.memory());
        }
        if options.disks {
            things.extend(self.disks(options.only_disks.as_deref()));
        }
        if options.network {
            things.extend(self.interfaces(options.only_interfaces.as_deref(), seconds));
        }
        if options.temperatures {
            things.extend(self.sensors());
        }
        things
    }

    fn machine(&self) -> Thing {
        let started = System::boot_time().ok().and_then(|s| i64::try_from(s).ok()).map(|s| s.saturating_mul(1000));
        Thing::new("machine", System::host_name().unwrap_or_else(|_| "This machine".to_owned()), "computer")
            .number("uptime", "Time since start", "s", System::uptime().ok().map(count))
            .state("started", State::timestamp("started").label("Started"), started.map(Value::TimestampMs))
            .state(
                "system",
                State::text("system").label("Operating system"),
                System::long_os_version().ok().map(Value::Text),
            )
    }

    fn processor(&mut self, each_core: bool, counted: bool) -> Thing {
        self.system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        let cores = self.system.cpus();
        let usage = counted.then(|| f64::from(self.system.global_cpu_usage()));
        let load = System::load_average().ok();
        let label = cores.first().map(|core| core.brand().trim()).filter(|brand| !brand.is_empty());
        let mut thing = Thing::new("processor", label.unwrap_or("Processor"), "processor")
            .percent("usage", "In use", usage)
            .number("load-1", "Load, 1 minute", "", load.as_ref().map(|load| load.one))
            .number("load-5", "Load, 5 minutes", "", load.as_ref().map(|load| load.five))
            .number("load-15", "Load, 15 minutes", "", load.as_ref().map(|load| load.fifteen));
        if each_core {
            let usage = |core: &Cpu| counted.then(|| f64::from(core.usage()));
            for (nth, core) in cores.iter().enumerate() {
                thing = thing.percent(&format!("core-{nth}"), &format!("Core {nth}"), usage(core));
            }
        }
        thing
    }

    fn memory(&mut self) -> Vec<Thing> {
        self.system.refresh_memory();
        let system = &self.system;
        let mut things = vec![space(
            Thing::new("memory", "Memory", "memory"),
            system.total_memory(),
            system.total_memory().saturating_sub(system.available_memory()),
            system.available_memory(),
        )];
        if system.total_swap() > 0 {
            let swap = Thing::new("swap", "Swap", "memory");
            things.push(space(swap, system.total_swap(), system.used_swap(), system.free_swap()));
        }
        things
    }

    fn disks(&mut self, only: Option<&str>) -> Vec<Thing> {
        self.disks.refresh_specifics(true, DiskRefreshKind::nothing().with_storage());
        let mut mounts: Vec<_> = self
            .disks
            .iter()
            .map(|disk| (disk.mount_point().to_string_lossy().into_owned(), disk))
            .filter(|(mount, disk)| listed(only, mount).unwrap_or(disk.total_space() > 0))
            .collect();
        mounts.sort_by(|a, b| a.0.cmp(&b.0));
        mounts.dedup_by(|a, b| a.0 == b.0);
        let mut taken = BTreeSet::new();
        mounts
            .into_iter()
            .map(|(mount, disk)| {
                let thing = Thing::new(entity_name("disk", &mount, &mut taken), format!("Disk {mount}"), "disk");
                let (total, free) = (disk.total_space(), disk.available_space());
                space(thing, total, total.saturating_sub(free), free)
            })
            .collect()
    }

    fn interfaces(&mut self, only: Option<&str>, seconds: Option<f64>) -> Vec<Thing> {
        self.networks.refresh(true);
        let mut interfaces: Vec<_> = self
            .networks
            .iter()
            .map(|(name, data)| (name.to_string_lossy(), data))
            .filter(|(name, data)| {
                let used = data.total_received() > 0 || data.total_transmitted() > 0;
                listed(only, name).unwrap_or(used && name != "lo")
            })
            .collect();
        interfaces.sort_by(|a, b| a.0.cmp(&b.0));
        let rate = |bytes: u64| seconds.filter(|seconds| *seconds > 0.0).map(|seconds| count(bytes) / seconds);
        let mut taken = BTreeSet::new();
        interfaces
            .into_iter()
            .map(|(name, data)| {
                Thing::new(entity_name("network", &name, &mut taken), format!("Network {name}"), "network")
                    .number("receiving", "Receiving", "B/s", rate(data.received()))
                    .number("sending", "Sending", "B/s", rate(data.transmitted()))
                    .number("received", "Received", "B", count(data.total_received()))
                    .number("sent", "Sent", "B", count(data.total_transmitted()))
            })
            .collect()
    }

    fn sensors(&mut self) -> Vec<Thing> {
        self.components.refresh(true);
        let mut sensors: Vec<_> = self
            .components
            .iter()
            .filter_map(|sensor| sensor.temperature().map(|degrees| (sensor.label().to_owned(), f64::from(degrees))))
            .filter(|(_, degrees)| degrees.is_finite())
            .collect();
        sensors.sort_by(|a, b| a.0.cmp(&b.0));
        let mut taken = BTreeSet::new();
        sensors
            .into_iter()
            .map(|(label, degrees)| {
                let name = entity_name("temperature", &label, &mut taken);
                Thing::new(name, format!("Temperature {label}"), "sensor").number(
                    "temperature",
                    "Temperature",
                    "°C",
                    degrees,
                )
            })
            .collect()
    }
}

/// A count of bytes or seconds as a reading's number; exact up to 2^53.
fn count(n: u64) -> f64 {
    n as f64
}

/// The four states of whatever has room. Used is what nobody can have any more: a file system's reserve counts.
fn space(thing: Thing, total: u64, used: u64, free: u64) -> Thing {
    let share = (total > 0).then(|| count(used) / count(total) * 100.0);
    thing
        .percent("usage", "In use", share)
        .number("used", "Used", "B", count(used))
        .number("free", "Free", "B", count(free))
        .number("total", "Total", "B", count(total))
}
