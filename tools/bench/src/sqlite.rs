//! SQLite's own floor: the same rows by prepared multi-row inserts from one connection, in transactions of about 2,000, into
//! the plainest table that keeps the promise of no duplicates. WAL and `synchronous = FULL`, as the server has them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;

use crate::Failure;
use crate::baseline::{CONTEXT, properties};
use crate::events::{Ids, Random};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE floor (
        tenant_id INTEGER NOT NULL, event_id TEXT NOT NULL, workspace_id INTEGER NOT NULL, event_name TEXT NOT NULL,
        occurred_at INTEGER NOT NULL, received_at INTEGER NOT NULL, user_id TEXT, session_id TEXT,
        properties TEXT, context TEXT, PRIMARY KEY (tenant_id, event_id));
    CREATE INDEX floor_by_time ON floor (tenant_id, workspace_id, occurred_at);";

/// Rows of a statement, and statements of a transaction.
const ROWS: usize = 32;
const STATEMENTS: usize = 63;

struct Row {
    tenant_id: i64,
    event_id: String,
    now: i64,
    user_id: String,
    session_id: String,
    properties: String,
}

/// One statement. Its text is always the same, so that it is prepared once.
struct Insert<'a>(&'a [Row; ROWS]);

impl QueryFragment<Sqlite> for Insert<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        pass.push_sql("INSERT INTO floor VALUES ");
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
    type QueryId = Insert<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for Insert<'_> {}

/// Inserts for `length` into a new file in `folder`, and returns the rows per second.
///
/// # Errors
/// The database's.
pub fn measure(folder: &Path, length: Duration) -> Result<f64, Failure> {
    let mut connection = SqliteConnection::establish(&folder.join("floor.db").to_string_lossy())?;
    connection.batch_execute(SCHEMA)?;
    let mut random = Random::fresh(0);
    let (mut rows, start) = (0, Instant::now());
    while start.elapsed() < length {
        let mut group: Vec<Row> = (0..ROWS * STATEMENTS).map(|_| row(&mut random)).collect();
        group.sort_unstable_by(|a, b| (a.tenant_id, &a.event_id).cmp(&(b.tenant_id, &b.event_id)));
        rows += connection.immediate_transaction::<_, diesel::result::Error, _>(|connection| {
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

fn row(random: &mut Random) -> Row {
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
    Row {
        tenant_id: random.below(100) as i64,
        event_id: random.uuid(Ids::Random).to_string(),
        now,
        user_id: format!("user-{}", random.below(100_000)),
        session_id: format!("session-{}", random.below(100_000)),
        properties: properties(random),
    }
}

/// Watches how large a file grows, until it is dropped.
pub struct Watch {
    largest: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl Watch {
    /// Looks at the file 20 times a second.
    #[must_use]
    pub fn start(path: &Path) -> Self {
        let watch = Self { largest: Arc::default(), done: Arc::default() };
        let (largest, done, path) =
            (Arc::clone(&watch.largest), Arc::clone(&watch.done), path.to_owned());
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                largest.fetch_max(
                    std::fs::metadata(&path).map_or(0, |file| file.len()),
                    Ordering::Relaxed,
                );
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        watch
    }

    /// The most bytes that it had.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.largest.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}
