//! Numbers of the service itself: its workers, what is wrong, what it stores and how it is kept, and the process.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use super::metrics::Labels;
use crate::health::kind::Kind;
use crate::store::{Reading, StoreError};
use crate::web::site::Site;

/// When each worker last went round.
pub(super) fn workers(registry: &mut Registry, site: &Site) {
    let age = Family::<Labels<1>, Gauge<f64, AtomicU64>>::default();
    let longest = Family::<Labels<1>, Gauge<f64, AtomicU64>>::default();
    for pulse in site.pulses.ages() {
        let worker = [("worker", pulse.worker.to_owned())];
        age.get_or_create(&worker).set(pulse.age.as_secs_f64());
        longest.get_or_create(&worker).set(pulse.longest.as_secs_f64());
    }
    registry.register_with_unit("worker_pulse_age", "Since a worker last went round", Unit::Seconds, age);
    let help = "Longest time that a worker may take to go round; after that it counts as stuck";
    registry.register_with_unit("worker_pulse_limit", help, Unit::Seconds, longest);
}

/// What is wrong, by kind.
pub(super) async fn alerts(registry: &mut Registry, site: &Site) -> Result<(), StoreError> {
    let (open, now) = (site.store.open_alerts().await?, site.clock.now());
    let alerts = Family::<Labels<1>, Gauge>::default();
    for kind in Kind::ALL {
        let number = open.iter().filter(|alert| alert.kind == kind && alert.is_steady(now)).count();
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        alerts.get_or_create(&[("kind", kind.as_str().to_owned())]).set(number);
    }
    registry.register("alerts", "What is wrong now and has been for a minute, by kind", alerts);
    let unsent = open.iter().filter(|alert| alert.problem.is_some()).count();
    let help = "Messages about what is wrong now that could not be sent and are tried again";
    registry.register("alerts_unsent", help, ConstGauge::new(i64::try_from(unsent).unwrap_or(i64::MAX)));
    Ok(())
}

/// What is stored, and where.
pub(super) fn storage(registry: &mut Registry, reading: &Reading) {
    let mut size = |name, help, octets| {
        let octets = i64::try_from(octets).unwrap_or(i64::MAX);
        registry.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(octets));
    };
    let storage = &reading.storage;
    size("database", "Size of the database with its write-ahead log", storage.octets);
    size("database_wal", "Size of its write-ahead log", storage.wal_octets);
    if let Some(room) = storage.room {
        size("disk_free", "Room on the database's disk that can be written", room.free);
        size("disk", "Size of the database's disk", room.total);
    }
    if let Some(made) = &reading.backup {
        let help = "When the last backup was made, where there is a schedule by that, Unix time";
        registry.register_with_unit("last_backup_time", help, Unit::Seconds, ConstGauge::new(made.at.timestamp()));
    }
}

/// How the audit log stands.
pub(super) async fn audit(registry: &mut Registry, site: &Site, reading: &Reading) -> Result<(), StoreError> {
    let last = site.store.audit_newest(1).await?.first().map_or(0, |link| link.seq);
    registry.register("audit_entries", "Entries written to the audit log, removed ones as well", ConstGauge::new(last));
    if let Some(found) = &reading.audit {
        let help = "When the audit log was last verified, Unix time";
        registry.register_with_unit("audit_verified_time", help, Unit::Seconds, ConstGauge::new(found.at.timestamp()));
        let intact = i64::from(found.broken.is_none());
        registry.register("audit_intact", "1 when the audit log was as it was written", ConstGauge::new(intact));
    }
    Ok(())
}

/// The process, by the names that every exporter uses. What the system does not tell is left out.
pub(super) fn process() -> Registry {
    let mut registry = Registry::with_prefix("process");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kib) =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<i64>().ok())
    {
        registry.register_with_unit("resident_memory", "Memory in use", Unit::Bytes, ConstGauge::new(kib * 1024));
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        let number = i64::try_from(files.count()).unwrap_or(i64::MAX);
        registry.register("open_fds", "Open files and connections", ConstGauge::new(number));
    }
    registry
}
