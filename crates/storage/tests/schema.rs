//! The schema: it matches the program, reverts, and migrates concurrently.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use mercurio_domain::store::{SchemaState, StoreError};
use mercurio_domain::testing::{at, provisioning, submission};
use mercurio_domain::verdict::Outcome;
use mercurio_storage::testing::TestDatabase;
use mercurio_storage::{DatabaseUrl, StoreOptions, open};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// The columns of all tables as `table.column type`, without partitions.
const POSTGRES_COLUMNS: &str = "
    SELECT format('%s.%s %s', c.relname, a.attname, CASE WHEN a.attnotnull THEN t ELSE 'Nullable<' || t || '>' END) AS line
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped,
    LATERAL (SELECT CASE a.atttypid::regtype::text
        WHEN 'bigint' THEN 'BigInt' WHEN 'text' THEN 'Text' WHEN 'timestamp with time zone' THEN 'Timestamptz'
        WHEN 'uuid' THEN 'Uuid' WHEN 'json' THEN 'Json' WHEN 'bytea' THEN 'Binary'
        WHEN 'boolean' THEN 'Bool' WHEN 'bigint[]' THEN 'Array<BigInt>' WHEN 'text[]' THEN 'Array<Text>' ELSE a.atttypid::regtype::text END) x(t)
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
        AND c.relname NOT LIKE E'\\\\_\\\\_%'
    ORDER BY c.relname, a.attnum";
const SQLITE_COLUMNS: &str = "
    SELECT m.name || '.' || c.name || ' ' || CASE WHEN c.\"notnull\" THEN t.t ELSE 'Nullable<' || t.t || '>' END AS line
    FROM sqlite_schema m JOIN pragma_table_info(m.name) c
    JOIN (SELECT 'INTEGER' AS s, 'BigInt' AS t UNION SELECT 'INT', 'Bool' UNION SELECT 'TEXT', 'Text'
        UNION SELECT 'BLOB', 'Binary') t ON t.s = c.type
    WHERE m.type = 'table' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\' AND m.name NOT LIKE 'sqlite%'
    ORDER BY m.name, c.cid";
/// The columns, indexes and constraints.
const POSTGRES_DUMP: &str = "
    SELECT 'column ' || table_name || ordinal_position || column_name || data_type || is_nullable || is_identity
        || coalesce(collation_name, '') AS line FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint ' || conrelid::regclass || conname || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
    ORDER BY 1";
const SQLITE_DUMP: &str = "SELECT type || name || tbl_name || coalesce(sql, '') AS line FROM sqlite_schema WHERE name <> 'sqlite_sequence' ORDER BY 1";

fn postgres(database: &TestDatabase) -> PgConnection {
    PgConnection::establish(&database.url_text()).unwrap()
}

fn sqlite(database: &TestDatabase) -> SqliteConnection {
    SqliteConnection::establish(database.url_text().strip_prefix("sqlite://").unwrap()).unwrap()
}

macro_rules! lines {
    ($connection:expr, $sql:expr) => {{
        let lines: Vec<Line> = diesel::sql_query($sql).load($connection).unwrap();
        lines.into_iter().map(|line| line.line).collect::<Vec<String>>()
    }};
}

fn folder(database: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(database)
}

/// The names of the migrations in a folder, oldest first.
fn names(database: &str) -> Vec<String> {
    let entries = fs::read_dir(folder(database)).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The SQL types that the backends name alike in `values.rs`.
struct Types {
    id: &'static str,
    json: &'static str,
    time: &'static str,
}

const POSTGRES_TYPES: Types = Types { id: "Uuid", json: "Json", time: "Timestamptz" };
const SQLITE_TYPES: Types = Types { id: "Binary", json: "Text", time: "BigInt" };

impl Types {
    /// The SQL type of a declared one.
    fn resolve(&self, declared: &str) -> String {
        let inner = declared.strip_prefix("Nullable<").and_then(|inner| inner.strip_suffix('>'));
        if let Some(inner) = inner {
            return format!("Nullable<{}>", self.resolve(inner));
        }
        match declared {
            "Id" => self.id,
            "JsonType" => self.json,
            "Time" => self.time,
            other => other,
        }
        .to_owned()
    }
}

/// The columns declared in `schema.rs` sources as `table.column type`, tables by name.
fn declared(sources: &[&str], types: &Types) -> Vec<String> {
    let mut tables: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for block in sources.iter().flat_map(|source| source.split("diesel::table! {").skip(1)) {
        let mut lines = block[..block.find("\n}").unwrap()]
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("use "));
        let table = lines.next().unwrap().split(' ').next().unwrap();
        let columns = tables.entry(table).or_default();
        let mut sql_name = None;
        for line in lines {
            if let Some(name) = line.strip_prefix("#[sql_name = \"") {
                sql_name = name.strip_suffix("\"]");
            } else if let Some((name, kind)) = line.split_once(" -> ") {
                let name = sql_name.take().unwrap_or(name);
                let kind = types.resolve(kind.trim_end_matches(','));
                columns.push(format!("{table}.{name} {kind}"));
            }
        }
    }
    tables.into_values().flatten().collect()
}

#[test]
fn schema_rs_matches_a_fresh_database() {
    let shared = include_str!("../src/shared/schema.rs");
    let declared_postgres =
        declared(&[shared, include_str!("../src/postgres/schema.rs")], &POSTGRES_TYPES);
    assert_eq!(
        lines!(&mut postgres(&TestDatabase::postgres()), POSTGRES_COLUMNS),
        declared_postgres
    );
    let declared_sqlite =
        declared(&[shared, include_str!("../src/sqlite/schema.rs")], &SQLITE_TYPES);
    assert_eq!(lines!(&mut sqlite(&TestDatabase::sqlite()), SQLITE_COLUMNS), declared_sqlite);
    assert!(declared_postgres.len() > 40 && declared_sqlite.len() > 35);
}

#[test]
fn migrations_have_equal_names_and_a_down_file() {
    assert_eq!(names("postgres"), names("sqlite"));
    for database in ["postgres", "sqlite"] {
        for name in names(database) {
            for file in ["up.sql", "down.sql"] {
                let sql = fs::read_to_string(folder(database).join(&name).join(file)).unwrap();
                assert!(sql.starts_with("-- "), "{database}/{name}/{file} has no comment");
            }
        }
    }
}

/// Migrates up, down and up again, and compares the dumps.
macro_rules! check_up_down_up {
    ($connection:expr, $folder:literal, $dump:expr) => {{
        let connection = $connection;
        let source = FileBasedMigrations::from_path(folder($folder)).unwrap();
        connection.run_pending_migrations(source.clone()).unwrap();
        let first = lines!(connection, $dump);
        connection.revert_all_migrations(source.clone()).unwrap();
        let empty = lines!(connection, $dump);
        assert!(empty.iter().all(|line| line.contains("__diesel_schema_migrations")), "{empty:?}");
        connection.run_pending_migrations(source).unwrap();
        assert_eq!(lines!(connection, $dump), first);
    }};
}

#[test]
fn migrations_up_down_up_yield_the_same_schema() {
    let database = TestDatabase::empty_postgres();
    check_up_down_up!(&mut postgres(&database), "postgres", POSTGRES_DUMP);
    let database = TestDatabase::empty_sqlite();
    check_up_down_up!(&mut sqlite(&database), "sqlite", SQLITE_DUMP);
}

#[test]
fn key_with_origins_only_writes_and_changes_reach_listeners() {
    const BIND: &str = "UPDATE api_keys SET origins = 'https://shop.example'";
    for database in [TestDatabase::postgres(), TestDatabase::sqlite()] {
        let store = database.store();
        let request = provisioning("Acme", 1, at("2026-11-22T10:00:00Z")).0;
        let id = store.provision(&request).unwrap().api_key.id;
        let origins = || store.find_api_key(&id).unwrap().unwrap().origins;
        for wrong in [BIND, "UPDATE api_keys SET scopes = 'events:write', origins = ''"] {
            let refused =
                // `execute` panics on a failed statement.
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| database.execute(wrong)));
            assert!(refused.is_err(), "{wrong}");
        }
        database.execute("UPDATE api_keys SET scopes = 'events:write'");
        let mut listener = store.listen().unwrap();
        database.execute(BIND);
        assert_eq!(listener.next(Duration::from_secs(20)).unwrap().len(), 1);
        assert_eq!(origins().unwrap().as_str(), "https://shop.example");
        // The key outlives its origins in the schema of an older release.
        let mut reverted: Vec<String> = Vec::new();
        while reverted.last().is_none_or(|name| !name.ends_with("key_origins")) {
            reverted.push(store.revert().unwrap().unwrap());
        }
        reverted.reverse();
        assert_eq!(store.migrate().unwrap(), reverted);
        assert_eq!(origins(), None);
    }
}

#[test]
fn schema_state_of_an_empty_database_creates_nothing() {
    for (database, names) in [
        (TestDatabase::empty_postgres(), names("postgres")),
        (TestDatabase::empty_sqlite(), names("sqlite")),
    ] {
        let store = database.store();
        store.ping().unwrap();
        for _ in 0..2 {
            assert_eq!(store.schema_state().unwrap(), SchemaState::Older(names.clone()));
        }
        assert_eq!(store.migrate().unwrap(), names);
        assert_eq!(store.schema_state().unwrap(), SchemaState::Current);
        assert_eq!(store.migrate().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn newer_schema_is_recognised_and_left_unchanged() {
    for database in [TestDatabase::postgres(), TestDatabase::sqlite()] {
        let store = database.store();
        let version = TestDatabase::NEWER;
        database.execute(&format!(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')"
        ));
        let newer = SchemaState::Compatible(vec![version.to_owned()]);
        assert_eq!(store.schema_state().unwrap(), newer);
        assert_eq!(store.migrate().unwrap(), Vec::<String>::new());
        database.execute(&format!(
            "DELETE FROM __diesel_schema_migrations WHERE version = '{version}'"
        ));
        assert_eq!(store.schema_state().unwrap(), SchemaState::Current);
    }
}

#[test]
fn concurrent_migrations_run_once() {
    for (database, names) in [
        (TestDatabase::empty_postgres(), names("postgres")),
        (TestDatabase::empty_sqlite(), names("sqlite")),
    ] {
        // Each store acts as another process.
        let stores: Vec<_> = (0..4).map(|_| database.another_store()).collect();
        let barrier = std::sync::Barrier::new(stores.len());
        let mut ran: Vec<String> = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for store in &stores {
                let barrier = &barrier;
                threads.push(scope.spawn(move || {
                    barrier.wait();
                    store.migrate().unwrap()
                }));
            }
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        ran.sort();
        assert_eq!(ran, names);
        assert_eq!(database.store().schema_state().unwrap(), SchemaState::Current);
    }
}

#[test]
fn partitions_exist_for_today_a_week_ahead_and_new_days() {
    const PARTITIONS: &str = "SELECT inhrelid::regclass::text AS line FROM pg_inherits
        WHERE inhparent = 'events'::regclass ORDER BY 1";
    let database = TestDatabase::postgres();
    let connection = &mut postgres(&database);
    let ahead = lines!(
        connection,
        "SELECT 'events_' || to_char((now() AT TIME ZONE 'UTC')::date + n, 'YYYYMMDD') AS line FROM generate_series(0, 7) n"
    );
    assert_eq!(lines!(connection, PARTITIONS), ahead);
    let store = database.store();
    let owner = store
        .provision(&provisioning("Acme", 1, at("2026-11-22T10:00:00Z")).0)
        .unwrap()
        .api_key
        .owner;
    store.append(&[submission(owner, at("2020-02-28T23:59:59.999999Z"), &["a"])]).unwrap();
    let days = ["0228", "0229", "0301", "0302", "0303", "0304", "0305", "0306"]
        .map(|day| format!("events_2020{day}"));
    assert_eq!(lines!(connection, PARTITIONS), [days.as_slice(), &ahead].concat());
    let of_rejections = PARTITIONS.replace("events", "rejections");
    let ahead: Vec<_> = ahead.iter().map(|name| name.replace("events", "rejections")).collect();
    assert_eq!(lines!(connection, of_rejections), ahead);
    // A partition dropped under the running store is created again. Its keys stay.
    connection.batch_execute("DROP TABLE events_20200229; DROP TABLE events_20200228").unwrap();
    let late = submission(owner, at("2020-02-28T10:00:00Z"), &["a", "b"]);
    assert_eq!(store.append(&[late]).unwrap(), [[Outcome::Duplicate, Outcome::Accepted]]);
    assert_eq!(lines!(connection, PARTITIONS).len(), 16);
}

#[test]
fn servers_racing_on_a_new_day_create_one_partition() {
    let database = TestDatabase::postgres();
    let owner =
        database.store().provision(&provisioning("Acme", 1, at("2026-11-22T10:00:00Z")).0).unwrap();
    let owner = owner.api_key.owner;
    let stores: Vec<_> = (0..4).map(|_| database.another_store()).collect();
    let barrier = std::sync::Barrier::new(2 * stores.len());
    std::thread::scope(|scope| {
        for (number, store) in stores.iter().chain(&stores).enumerate() {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                for day in 1..=20 {
                    let day = at(&format!("2031-01-{day:02}T00:00:00Z"));
                    // One id per server, and one that all send.
                    let ids = [format!("{number} {day}"), format!("all {day}")];
                    let group = [submission(owner, day, &[&ids[0], &ids[1]])];
                    assert_eq!(store.append(&group).unwrap()[0][0], Outcome::Accepted);
                }
            });
        }
    });
    let count = lines!(&mut postgres(&database), "SELECT count(*)::text AS line FROM events");
    assert_eq!(count, [(20 * 9).to_string()]);
}

#[test]
fn role_without_create_uses_existing_partitions() {
    let database = TestDatabase::postgres();
    let owner =
        database.store().provision(&provisioning("Acme", 1, at("2026-11-22T10:00:00Z")).0).unwrap();
    let (owner, day) = (owner.api_key.owner, at("2020-02-28T10:00:00Z"));
    database.store().append(&[submission(owner, day, &["a"])]).unwrap();
    let connection = &mut postgres(&database);
    let role = lines!(connection, "SELECT current_database()::text AS line").remove(0);
    connection
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN BYPASSRLS; GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role}; DROP TABLE events_20200301"
        ))
        .unwrap();
    let url = database.url_text().replace("postgres@", &format!("{role}@"));
    let store = open(&DatabaseUrl::parse(&url).unwrap(), &StoreOptions::default()).unwrap();
    let outcomes = store.append(&[submission(owner, day, &["a", "b"])]);
    // Without the day's partition the group fails and nothing is stored.
    let missing = store.append(&[submission(owner, at("2020-03-01T10:00:00Z"), &["c"])]);
    drop(store);
    connection.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
    assert_eq!(outcomes.unwrap(), [[Outcome::Duplicate, Outcome::Accepted]]);
    assert!(matches!(missing, Err(StoreError::Internal(_))), "{missing:?}");
}
