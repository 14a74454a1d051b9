//! Measures the cost of row security: the same reads in turns on two databases, one without it.
//!
//! `scripts/with-postgres cargo run --release -p mercurio-storage --example row_security_cost --all-features -- [ROUNDS]`

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measuring program prints, and panics on errors"
)]

use std::time::Instant;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::store::{EventQuery, Store};
use mercurio_domain::testing::{at, submission};
use mercurio_domain::{EventId, Owner, TenantId, WorkspaceId};
use mercurio_storage::testing::TestDatabase;

const READS: usize = 200;

/// Mean microseconds per read.
fn time(store: &dyn Store, read: impl Fn(&dyn Store, usize)) -> f64 {
    let start = Instant::now();
    for number in 0..READS {
        read(store, number);
    }
    start.elapsed().as_secs_f64() * 1e6 / READS as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn owner(tenant: i64) -> Owner {
    Owner { tenant_id: TenantId(tenant), workspace_id: WorkspaceId(tenant) }
}

fn main() {
    let rounds: usize = std::env::args().nth(1).map_or(21, |rounds| rounds.parse().unwrap());
    let databases = [TestDatabase::postgres(), TestDatabase::postgres()];
    let without = &databases[0];
    let mut connection = PgConnection::establish(&without.url_text()).unwrap();
    // The store then reads without row security, as on a server without the role.
    connection.batch_execute("REVOKE SELECT ON events FROM mercurio_reader").unwrap();
    for database in &databases {
        let ids: Vec<String> = (0..1_000).map(|number| format!("event {number}")).collect();
        // Several tenants, so that the policy and the index have rows to leave out.
        for tenant in 1..=20 {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            database
                .store()
                .append(&[submission(owner(tenant), at("2026-11-22T10:00:00Z"), &ids)])
                .unwrap();
        }
    }
    type Read = fn(&dyn Store, usize);
    let reads: [(&str, Read); 3] = [
        ("an event by its id", |store, number| {
            assert!(
                store
                    .event(owner(7), &EventId::lookup(format!("event {number}")))
                    .unwrap()
                    .is_some()
            );
        }),
        ("a page of 20", |store, _| page(store, 20)),
        ("a page of 100", |store, _| page(store, 100)),
    ];
    for (name, read) in reads {
        let (mut ratios, mut plain, mut secured) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=rounds {
            // Alternating, so that neither database always profits from a warm cache.
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            let mut times = order.map(|index| time(&*databases[index].store(), read));
            if round % 2 == 1 {
                times.reverse();
            }
            // The first round warms up.
            if round > 0 {
                ratios.push(times[1] / times[0]);
                plain.push(times[0]);
                secured.push(times[1]);
            }
        }
        println!(
            "{name:<20} {:.2} ({:.0} µs, {:.0} µs with row security)",
            median(ratios),
            median(plain),
            median(secured)
        );
    }
}

fn page(store: &dyn Store, limit: usize) {
    let page = store.events(owner(7), &EventQuery { limit, ..EventQuery::default() }).unwrap();
    assert_eq!(page.events.len(), limit);
}
