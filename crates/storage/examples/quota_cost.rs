//! What a monthly quota costs the write path: groups of the same shape for tenants without and with a quota, in turns.
//!
//! `scripts/with-postgres --durable cargo run --release -p mercurio-storage --example quota_cost --all-features -- [ROUNDS [SHAPE]]`
//!
//! Tells the medians of the ratios of neighbouring turns: the time of a group, and the CPU time of the database's own processes
//! (from Linux's `/proc`). Above 1.00, the quota costs.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for measuring ends where it fails, and exists to print"
)]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::Integer;
use mercurio_domain::enrichment::Enrichment;
use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, EventDraft, Reception};
use mercurio_domain::payload::RawJson;
use mercurio_domain::store::{Store, Submission};
use mercurio_domain::testing::at;
use mercurio_domain::{EventId, Owner, TenantId, WorkspaceId};
use mercurio_storage::testing::TestDatabase;

/// Submissions of a group, events of each, tenants that take turns, threads that write, groups of a thread in a turn.
struct Shape {
    name: &'static str,
    submissions: u64,
    events: u64,
    tenants: u64,
    threads: u64,
    groups: u64,
}

const SHAPES: [Shape; 7] = [
    Shape {
        name: "80 batches of 50, one tenant",
        submissions: 80,
        events: 50,
        tenants: 1,
        threads: 1,
        groups: 8,
    },
    Shape {
        name: "80 batches of 50, 80 tenants",
        submissions: 80,
        events: 50,
        tenants: 80,
        threads: 1,
        groups: 8,
    },
    Shape {
        name: "18 batches of 50, of 1,000 tenants, two lanes",
        submissions: 18,
        events: 50,
        tenants: 1_000,
        threads: 2,
        groups: 60,
    },
    Shape {
        name: "30 single events, one tenant",
        submissions: 30,
        events: 1,
        tenants: 1,
        threads: 1,
        groups: 150,
    },
    Shape {
        name: "30 single events, 30 tenants",
        submissions: 30,
        events: 1,
        tenants: 30,
        threads: 1,
        groups: 150,
    },
    Shape {
        name: "80 batches of 50, one tenant, two lanes",
        submissions: 80,
        events: 50,
        tenants: 1,
        threads: 2,
        groups: 5,
    },
    Shape {
        name: "30 single events, one tenant, two lanes",
        submissions: 30,
        events: 1,
        tenants: 1,
        threads: 2,
        groups: 100,
    },
];

const PROPERTIES: &str = r#"{"order":123456,"total":129.90,"currency":"EUR","items":3,"coupon":null,"express":true,"note":""}"#;
const CONTEXT: &str = r#"{"app":{"name":"shop","version":"4.2.1"},"locale":"de-DE","screen":{"width":1179,"height":2556}}"#;

static NEXT: AtomicU64 = AtomicU64::new(1);

fn event() -> EnrichedEvent {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // Spread over the whole range, as random ids are.
    let id = uuid::Uuid::from_u128(
        u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
    );
    let id = id.to_string();
    let draft = EventDraft {
        event_id: Some(id.as_str().into()),
        event_name: Some("order_completed".into()),
        user_id: Some("user-1".into()),
        properties: Some(RawJson::parse(PROPERTIES).unwrap()),
        context: Some(RawJson::parse(CONTEXT).unwrap()),
        ..EventDraft::default()
    };
    let mut faults = Vec::new();
    let valid =
        draft.check("", &Reception::at(now()), || EventId::lookup(""), &mut faults).unwrap();
    EnrichedEvent::new(valid, EnrichmentJson::of(&Enrichment::default()))
}

fn now() -> mercurio_domain::Timestamp {
    at("2026-11-22T10:00:00Z")
}

/// A group; tenants with a quota are others than those without.
fn group(shape: &Shape, monthly_events: u64) -> Vec<Submission> {
    let first = NEXT.load(Ordering::Relaxed);
    let submission = |number: u64| {
        let id = 1
            + ((first + number) % shape.tenants) as i64
            + if monthly_events > 0 { 10_000 } else { 0 };
        Submission {
            owner: Owner { tenant_id: TenantId(id), workspace_id: WorkspaceId(id) },
            received_at: now(),
            monthly_events,
            events: (0..shape.events).map(|_| event()).collect(),
        }
    };
    (0..shape.submissions).map(submission).collect()
}

/// The time that the processes of these ids have run.
fn cpu(pids: &[i32]) -> Duration {
    let run = |pid: &i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
        text.split(' ')
            .next()
            .and_then(|nanos| nanos.parse().ok())
            .map_or(Duration::ZERO, Duration::from_nanos)
    };
    pids.iter().map(run).sum()
}

/// One turn: its time and the database's CPU time.
fn turn(
    shape: &Shape,
    store: &Arc<dyn Store>,
    connection: &mut PgConnection,
    monthly_events: u64,
) -> (f64, f64) {
    let groups: Vec<Vec<Vec<Submission>>> = (0..shape.threads)
        .map(|_| (0..shape.groups).map(|_| group(shape, monthly_events)).collect())
        .collect();
    let pids =
        diesel::dsl::sql::<Integer>("pid FROM pg_stat_activity WHERE datname = current_database()");
    let pids: Vec<i32> = diesel::select(pids).load(connection).unwrap();
    let (before, start) = (cpu(&pids), Instant::now());
    std::thread::scope(|scope| {
        for groups in &groups {
            scope.spawn(move || {
                groups.iter().for_each(|group| {
                    assert!(store.append(group).unwrap().iter().all(Result::is_ok))
                })
            });
        }
    });
    (start.elapsed().as_secs_f64(), (cpu(&pids) - before).as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let rounds: usize = std::env::args().nth(1).map_or(15, |rounds| rounds.parse().unwrap());
    const QUOTA: u64 = 1_000_000_000_000;
    let only = std::env::args().nth(2).unwrap_or_default();
    for shape in SHAPES.iter().filter(|shape| shape.name.contains(&only)) {
        let database = TestDatabase::postgres();
        let store = database.store();
        let mut connection = PgConnection::establish(&database.url_text()).unwrap();
        for quota in [0, QUOTA] {
            turn(shape, &store, &mut connection, quota);
        }
        let (mut times, mut cpus, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            // Whoever is first differs from round to round.
            let order = if round % 2 == 0 { [0, QUOTA] } else { [QUOTA, 0] };
            let mut turns = order.map(|quota| turn(shape, &store, &mut connection, quota));
            if round % 2 == 1 {
                turns.reverse();
            }
            times.push(turns[1].0 / turns[0].0);
            cpus.push(turns[1].1 / turns[0].1);
            plain.push(turns[0].1);
        }
        let events = (shape.threads * shape.groups * shape.submissions * shape.events) as f64;
        println!(
            "{:<45} time {:.3}   database CPU {:.3}   ({:.1} µs an event without; fallbacks {})",
            shape.name,
            median(times),
            median(cpus),
            median(plain) * 1e6 / events,
            store.append_counts().fallbacks,
        );
    }
}
