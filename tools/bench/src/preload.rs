//! Fills the product's own tables, so that the write path is measured with many events stored.
//!
//! Rows are made by the database, which is fastest: keys are MD5 of a number, and so as random as UUIDs. The primary key is
//! taken away meanwhile and built again with the free space that an index of random keys has (about 70 % full).

use std::time::Instant;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::Failure;

/// Rows of one statement.
const STEP: u64 = 1_000_000;
/// The past days that the events were received on, today not among them.
const DAYS: u64 = 10;

/// Stores `count` events. The schema must be there.
///
/// # Errors
/// The database's.
pub fn fill(url: &str, count: u64) -> Result<(), Failure> {
    let start = Instant::now();
    let mut connection = PgConnection::establish(url)?;
    connection.batch_execute("ALTER TABLE event_keys DROP CONSTRAINT event_keys_pkey")?;
    for day in 1..=DAYS {
        connection.batch_execute(&partition(day))?;
    }
    let half = count / 2;
    std::thread::scope(|scope| {
        let halves = [(0, half), (half, count)]
            .map(|(from, to)| scope.spawn(move || fill_range(url, from, to, start)));
        halves
            .into_iter()
            .try_for_each(|half| half.join().unwrap_or_else(|_| Err("a filler panicked".into())))
    })?;
    connection.batch_execute(
        "SET maintenance_work_mem = '1GB';
         CREATE UNIQUE INDEX event_keys_pkey ON event_keys (tenant_id, key) WITH (fillfactor = 70);
         ALTER TABLE event_keys ADD CONSTRAINT event_keys_pkey PRIMARY KEY USING INDEX event_keys_pkey;
         ALTER INDEX event_keys_pkey RESET (fillfactor)",
    )?;
    connection.batch_execute("VACUUM (ANALYZE) event_keys")?;
    connection.batch_execute("CHECKPOINT")?;
    eprintln!("  {count} events stored after {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Makes the partition of a past day, as the service names them.
fn partition(days_ago: u64) -> String {
    format!(
        "DO $$ DECLARE day date := (now() AT TIME ZONE 'UTC')::date - {days_ago};
         BEGIN
             EXECUTE format('CREATE TABLE IF NOT EXISTS events_%s PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
                 to_char(day, 'YYYYMMDD'), day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
         END $$"
    )
}

fn fill_range(url: &str, from: u64, to: u64, start: Instant) -> Result<(), Failure> {
    let mut connection = PgConnection::establish(url)?;
    let mut at = from;
    while at < to {
        let end = (at + STEP).min(to);
        // Tenant 1 is the one that the cases write for.
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
        if from == 0 {
            let share = (at - from) as f64 / (to - from) as f64 * 100.0;
            eprintln!("  filling: {share:.0} % after {:.0} s", start.elapsed().as_secs_f64());
        }
    }
    Ok(())
}
