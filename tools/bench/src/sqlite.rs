//! The SQLite baseline: the same rows by prepared multi-row inserts from one connection, in transactions of about 2,000, into one
//! table with the constraints that exclude duplicates. WAL and `synchronous = FULL`, as in the server.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use mercurio_domain::Clock;
use mercurio_runtime::system::SystemClock;

use crate::baseline::{CONTEXT, properties};
use crate::error::Error;
use crate::events::{Ids, Random};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE baseline (
        tenant_id INTEGER NOT NULL, event_id TEXT NOT NULL, workspace_id INTEGER NOT NULL, event_name TEXT NOT NULL,
        occurred_at INTEGER NOT NULL, received_at INTEGER NOT NULL, user_id TEXT, session_id TEXT,
        properties TEXT, context TEXT, PRIMARY KEY (tenant_id, event_id));
    CREATE INDEX baseline_by_time ON baseline (tenant_id, workspace_id, occurred_at);";

/// Rows per statement.
const ROWS: usize = 32;
/// Statements per transaction.
const STATEMENTS: usize = 63;

struct InsertRow {
    tenant_id: i64,
    event_id: String,
    now: i64,
    user_id: String,
    session_id: String,
    properties: String,
}

/// One statement. Its text never changes, so diesel prepares it once.
struct Insert<'a>(&'a [InsertRow; ROWS]);

impl QueryFragment<Sqlite> for Insert<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        pass.push_sql("INSERT INTO baseline VALUES ");
        for (index, row) in self.0.iter().enumerate() {
            pass.push_sql(if index == 0 { "(" } else { ", (" });
            pass.push_bind_param::<BigInt, _>(&row.tenant_id)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Text, _>(&row.event_id)?;
            pass.push_sql(", ");
            pass.push_bind_param::<BigInt, _>(&row.tenant_id)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Text, _>("order_completed")?;
            pass.push_sql(", ");
            pass.push_bind_param::<BigInt, _>(&row.now)?;
            pass.push_sql(", ");
            pass.push_bind_param::<BigInt, _>(&row.now)?;
            for text in [&row.user_id, &row.session_id, &row.properties] {
                pass.push_sql(", ");
                pass.push_bind_param::<Text, _>(text)?;
            }
            pass.push_sql(", ");
            pass.push_bind_param::<Text, _>(CONTEXT)?;
            pass.push_sql(")");
        }
        Ok(())
    }
}

impl QueryId for Insert<'_> {
    // All inserts have one text, so they share an entry of the statement cache.
    type QueryId = Insert<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for Insert<'_> {}

/// Inserts for `length` into a new file in `folder`, and returns the rows per second.
pub(crate) fn measure(folder: &Path, length: Duration) -> Result<f64, Error> {
    let mut connection =
        SqliteConnection::establish(&folder.join("baseline.db").to_string_lossy())?;
    connection.batch_execute(SCHEMA)?;
    let mut random = Random::fresh(0);
    let mut rows = 0;
    let start = Instant::now();
    while start.elapsed() < length {
        let mut group: Vec<InsertRow> = (0..ROWS * STATEMENTS).map(|_| row(&mut random)).collect();
        group.sort_unstable_by(|a, b| (a.tenant_id, &a.event_id).cmp(&(b.tenant_id, &b.event_id)));
        // IMMEDIATE takes the write lock at the start (SQLite manual, Transaction).
        rows += connection.immediate_transaction::<_, diesel::result::Error, _>(|connection| {
            // The group has a multiple of `ROWS` rows, so no remainder is lost.
            group
                .as_chunks::<ROWS>()
                .0
                .iter()
                .map(|rows| Insert(rows).execute(connection))
                .sum::<QueryResult<usize>>()
        })?;
    }
    Ok(rows as f64 / start.elapsed().as_secs_f64())
}

fn row(random: &mut Random) -> InsertRow {
    InsertRow {
        tenant_id: random.below(100) as i64,
        event_id: random.uuid(Ids::Random).to_string(),
        now: SystemClock.now().as_micros(),
        user_id: format!("user-{}", random.below(100_000)),
        session_id: format!("session-{}", random.below(100_000)),
        properties: properties(random),
    }
}

/// Records the peak size of a file until it is dropped. Reads the size 20 times a second.
pub(crate) struct PeakSize {
    peak_bytes: Arc<AtomicU64>,
    is_done: Arc<AtomicBool>,
}

impl PeakSize {
    pub(crate) fn start(path: &Path) -> Self {
        let peak = Self { peak_bytes: Arc::default(), is_done: Arc::default() };
        let peak_bytes = Arc::clone(&peak.peak_bytes);
        let is_done = Arc::clone(&peak.is_done);
        let path = path.to_owned();
        std::thread::spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                // The file does not exist before the first write.
                let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
                peak_bytes.fetch_max(bytes, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        peak
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.peak_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for PeakSize {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Relaxed);
    }
}
