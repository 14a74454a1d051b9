//! Fills Mercurio's own tables, to measure the write path with many events stored. The counts of
//! stored events stay empty.
//!
//! The database makes the rows itself, the fastest way. Keys are MD5 hashes of a number, as random as UUIDs. The primary key is
//! dropped first, and rebuilt 70 % full, as an index of random keys is.

use std::ops::Range;
use std::time::Instant;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::error::Error;

/// Rows per statement.
const STEP: u64 = 1_000_000;
/// Days before today on which the events were received.
const DAYS: u64 = 10;

/// Stores `count` events in a database with the current schema, from two connections.
pub(crate) fn fill(url: &str, count: u64) -> Result<(), Error> {
    let start = Instant::now();
    let mut connection = PgConnection::establish(url)?;
    // Building an index at the end is faster than adding each row (PostgreSQL manual, 14.4.3).
    connection.batch_execute("ALTER TABLE event_keys DROP CONSTRAINT event_keys_pkey")?;
    for day in 1..=DAYS {
        connection.batch_execute(&partition(day))?;
    }
    // One statement inserts on one core, so two connections share the work.
    let half = count / 2;
    std::thread::scope(|scope| {
        let first = scope.spawn(move || fill_range(url, 0..half, start));
        let second = scope.spawn(move || fill_range(url, half..count, start));
        for thread in [first, second] {
            thread.join().unwrap_or_else(|_| Err("a thread panicked".into()))?;
        }
        Ok::<(), Error>(())
    })?;
    connection.batch_execute(
        "SET maintenance_work_mem = '1GB';
         CREATE UNIQUE INDEX event_keys_pkey ON event_keys (tenant_id, key) WITH (fillfactor = 70);
         ALTER TABLE event_keys ADD CONSTRAINT event_keys_pkey PRIMARY KEY USING INDEX event_keys_pkey;
         ALTER INDEX event_keys_pkey RESET (fillfactor)",
    )?;
    // Statistics and the visibility map are ready, so no autovacuum disturbs the case.
    connection.batch_execute("VACUUM (ANALYZE) event_keys")?;
    // Otherwise the first case would pay for the dirty pages of the filling.
    connection.batch_execute("CHECKPOINT")?;
    eprintln!("  {count} events stored after {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Returns the statement that creates the partition of a past day, named as the server names it.
fn partition(days_ago: u64) -> String {
    format!(
        "DO $$ DECLARE day date := (now() AT TIME ZONE 'UTC')::date - {days_ago};
         BEGIN
             EXECUTE format('CREATE TABLE IF NOT EXISTS events_%s PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
                 to_char(day, 'YYYYMMDD'), day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
         END $$"
    )
}

fn fill_range(url: &str, range: Range<u64>, start: Instant) -> Result<(), Error> {
    let mut connection = PgConnection::establish(url)?;
    let mut at = range.start;
    while at < range.end {
        let end = (at + STEP).min(range.end);
        // The cases write for tenant 1.
        let common = format!(
            "1 + n % 10 AS tenant_id, 1 + n % 10 AS workspace_id, md5(n::text)::uuid AS key,
             date_trunc('day', now(), 'UTC') - interval '1 day' * (1 + n % {DAYS}) + interval '1 ms' * (n % 86000000) AS at
             FROM generate_series({at}::bigint, {end}::bigint - 1) AS n"
        );
        connection.batch_execute(&format!(
            "INSERT INTO event_keys SELECT tenant_id, key, workspace_id, at, at FROM (SELECT {common}) rows;
             INSERT INTO events
             SELECT tenant_id, workspace_id, key, key::text, 'track', 'order_completed', at, at, NULL, NULL,
                 'user-' || workspace_id, 'session-' || workspace_id, '1.0.0',
                 '{{\"order\":123456,\"total\":129.90,\"currency\":\"EUR\",\"items\":3,\"coupon\":null,\"express\":true,\"note\":\"\"}}',
                 NULL,
                 '{{\"app\":{{\"name\":\"shop\",\"version\":\"4.2.1\"}},\"locale\":\"de-DE\",\"screen\":{{\"width\":1179,\"height\":2556}}}}',
                 '{{\"client_ip\":\"127.0.0.0\"}}'
             FROM (SELECT {common}) rows;"
        ))?;
        at = end;
        // The first thread reports the progress of both.
        if range.start == 0 {
            let share = at as f64 / range.end as f64 * 100.0;
            eprintln!("  filling: {share:.0} % after {:.0} s", start.elapsed().as_secs_f64());
        }
    }
    Ok(())
}
