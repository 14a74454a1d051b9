//! One `INSERT` per event: one transaction per request, from as many connections as there are clients, into the table of the
//! baseline. This is how a service without groups writes.

use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::baseline::{CONTEXT, prepare, properties};
use crate::error::Error;
use crate::events::{Ids, Random};

/// Inserts from `connections` threads, `batch` events a transaction, and returns the events per second.
pub(crate) fn measure(
    url: &str,
    connections: usize,
    batch: usize,
    length: Duration,
) -> Result<f64, Error> {
    prepare(&mut PgConnection::establish(url)?)?;
    // The time includes the connects of all threads, so the rate is slightly too low.
    let start = Instant::now();
    let end = start + length;
    let mut stored = 0;
    thread::scope(|scope| -> Result<(), Error> {
        let mut clients = Vec::new();
        // diesel blocks, so each connection has a thread.
        for seed in 0..connections as u64 {
            clients.push(scope.spawn(move || insert_until(url, seed, batch, end)));
        }
        for client in clients {
            stored += client.join().unwrap_or_else(|_| Err("a client panicked".into()))?;
        }
        Ok(())
    })?;
    Ok(stored as f64 / start.elapsed().as_secs_f64())
}

fn insert_until(url: &str, seed: u64, batch: usize, end: Instant) -> Result<usize, Error> {
    let mut connection = PgConnection::establish(url)?;
    let mut random = Random::fresh(seed);
    let mut stored = 0;
    while Instant::now() < end {
        connection.transaction::<_, diesel::result::Error, _>(|connection| {
            for _ in 0..batch {
                insert(connection, &mut random)?;
            }
            Ok(())
        })?;
        stored += batch;
    }
    Ok(stored)
}

fn insert(connection: &mut PgConnection, random: &mut Random) -> QueryResult<usize> {
    let id = random.uuid(Ids::Random).to_string();
    diesel::sql_query(
        "INSERT INTO baseline VALUES ($1, $2, $1, 'order_completed', now(), now(), $3, $4, $5::jsonb, $6::jsonb) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<BigInt, _>(random.below(100) as i64)
    .bind::<Text, _>(id)
    .bind::<Text, _>(format!("user-{}", random.below(100_000)))
    .bind::<Text, _>(format!("session-{}", random.below(100_000)))
    .bind::<Text, _>(properties(random))
    .bind::<Text, _>(CONTEXT)
    .execute(connection)
}
