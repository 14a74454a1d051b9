//! A separate database for each test, here and in the crates above.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::store::{Actor, Store};
use tempfile::TempDir;

use crate::url::Target;
use crate::{DatabaseUrl, StoreOptions, open};

/// The environment variable with the URL of a PostgreSQL test server, as a superuser.
const SERVER: &str = "MERCURIO_TEST_POSTGRES_URL";
/// Advisory lock for creating the template: `merctest` in ASCII.
// Test programs run in parallel, and only one may create the template.
const TEMPLATE_LOCK: i64 = 0x6d65_7263_7465_7374;

/// A database for one test. Dropping it closes all connections and removes it.
pub struct TestDatabase {
    url: DatabaseUrl,
    store: Arc<dyn Store>,
    location: Location,
}

enum Location {
    /// A folder, removed on drop.
    Folder(#[expect(dead_code, reason = "removes the folder on drop")] TempDir),
    /// The name of a database on the test server.
    Server(String),
}

impl TestDatabase {
    /// The version of a migration unknown to this program.
    pub const NEWER: &str = "99991231000000";

    /// A SQLite database with the current schema.
    #[must_use]
    pub fn sqlite() -> Self {
        let database = Self::empty_sqlite();
        database.store.migrate().unwrap_or_else(|error| panic!("{error:?}"));
        database
    }

    /// A PostgreSQL database with the current schema.
    ///
    /// # Panics
    /// If the server at `MERCURIO_TEST_POSTGRES_URL` does not answer.
    #[must_use]
    pub fn postgres() -> Self {
        Self::on_server(Some(&template()))
    }

    /// A SQLite database without tables.
    #[must_use]
    pub fn empty_sqlite() -> Self {
        let folder = TempDir::with_prefix("mercurio-")
            .unwrap_or_else(|error| panic!("a folder for the test: {error}"));
        let url = format!("sqlite://{}", folder.path().join("mercurio.db").display());
        Self::at(parse(&url), Location::Folder(folder))
    }

    /// A PostgreSQL database without tables.
    ///
    /// # Panics
    /// If the server at `MERCURIO_TEST_POSTGRES_URL` does not answer.
    #[must_use]
    pub fn empty_postgres() -> Self {
        Self::on_server(None)
    }

    /// The URL of the database.
    #[must_use]
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// The URL as text, with the password, for a program that the test starts.
    #[must_use]
    pub fn url_text(&self) -> String {
        self.url.to_text()
    }

    /// A store for the database, the same on each call.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// A new store for the database, with its own connections, like another process.
    #[must_use]
    pub fn another_store(&self) -> Arc<dyn Store> {
        open(&self.url, &options()).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// A new store for the database, which records its changes as those of `actor`.
    #[must_use]
    pub fn store_of(&self, actor: Actor) -> Arc<dyn Store> {
        let options = StoreOptions { actor: Some(actor), ..options() };
        open(&self.url, &options).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Runs statements as the owner of the database.
    ///
    /// # Panics
    /// If one fails.
    pub fn execute(&self, sql: &str) {
        let done = match self.url.target() {
            Target::Sqlite(path) => {
                // Not the store's connection: it may hold a transaction of the test.
                let mut connection = SqliteConnection::establish(&path.display().to_string())
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                connection
                    // A minute, because the store may be writing at the same time.
                    .batch_execute("PRAGMA busy_timeout = 60000")
                    .and_then(|()| connection.batch_execute(sql))
            }
            // As a superuser, whose statements no policy restricts.
            Target::Postgres(_) => {
                connect(&self.url).unwrap_or_else(|error| panic!("{error}")).batch_execute(sql)
            }
        };
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Applies a migration [`Self::NEWER`] that an older program can work with: adds a column to
    /// every table, and a table.
    pub fn apply_newer_migration(&self) {
        // The declarations list all tables, so a new table is covered without a change here.
        let shared = include_str!("../shared/schema.rs");
        let own = match self.url.target() {
            Target::Sqlite(_) => include_str!("../sqlite/schema.rs"),
            Target::Postgres(_) => include_str!("../postgres/schema.rs"),
        };
        let tables = [shared, own].concat();
        let mut sql = String::new();
        for block in tables.split("diesel::table! {").skip(1) {
            let declaration = block.lines().map(str::trim).find(|line| line.ends_with(") {"));
            let table = declaration.and_then(|line| line.split_whitespace().next());
            let table = table.unwrap_or_else(|| panic!("no table in {block}"));
            // NOT NULL with a default: the strictest change that ADR 10 allows.
            sql.push_str(&format!(
                "ALTER TABLE {table} ADD COLUMN later text NOT NULL DEFAULT 'x';\n"
            ));
        }
        sql.push_str("CREATE TABLE later_table (id int PRIMARY KEY);\n");
        sql.push_str(&format!(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('{}')",
            Self::NEWER
        ));
        self.execute(&sql);
    }

    /// Declares [`Self::NEWER`] incompatible with older programs.
    pub fn require_newer_program(&self) {
        self.execute(&format!(
            "UPDATE schema_compatibility SET minimum_version = '{}'",
            Self::NEWER
        ));
    }

    fn at(url: DatabaseUrl, location: Location) -> Self {
        let store = open(&url, &options()).unwrap_or_else(|error| panic!("{error:?}"));
        Self { url, store, location }
    }

    fn on_server(template: Option<&str>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "mercurio_test_{}_{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        // `template1` is PostgreSQL's default and has no tables of ours.
        let template = template.unwrap_or("template1");
        // An earlier process with the same id may have been killed before it cleaned up.
        admin(&format!("DROP DATABASE IF EXISTS {name}"));
        admin(&format!("CREATE DATABASE {name} TEMPLATE {template}"));
        Self::at(server().with_database(&name), Location::Server(name))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Location::Server(name) = &self.location {
            // FORCE ends the connections of stores the test still holds (PostgreSQL 13 and later).
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            connect(&server())
                .and_then(|mut connection| {
                    connection.batch_execute(&drop).map_err(|error| error.to_string())
                })
                // A failed clean-up must not hide the test's own failure.
                .ok();
        }
    }
}

/// A long timeout, because many tests may share a small machine.
fn options() -> StoreOptions {
    StoreOptions { connect_timeout: Duration::from_secs(60), ..StoreOptions::default() }
}

fn parse(url: &str) -> DatabaseUrl {
    DatabaseUrl::parse(url).unwrap_or_else(|error| panic!("{error}"))
}

fn server() -> DatabaseUrl {
    let url = env::var(SERVER).unwrap_or_else(|_| {
        panic!(
            "{SERVER} is not set. Run the tests with `scripts/with-postgres cargo test`, which starts a \
             PostgreSQL server for them"
        )
    });
    parse(&url)
}

fn connect(url: &DatabaseUrl) -> Result<PgConnection, String> {
    let Target::Postgres(parameters) = url.target() else {
        return Err(format!("{SERVER} must begin with postgres://"));
    };
    PgConnection::establish(&parameters.to_conninfo()).map_err(|error| error.to_string())
}

fn admin(sql: &str) {
    let mut connection = connect(&server()).unwrap_or_else(|error| panic!("{SERVER}: {error}"));
    connection.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Creates a template database with the current schema, and returns its name. Copying it takes a
/// tenth of the time of migrating. Processes share one template per content of the migrations.
fn template() -> String {
    static CREATED: OnceLock<()> = OnceLock::new();
    let name = concat!("mercurio_template_", env!("MERCURIO_MIGRATIONS_HASH"));
    CREATED.get_or_init(|| {
        let mut connection = connect(&server()).unwrap_or_else(|error| panic!("{SERVER}: {error}"));
        // Released with this connection.
        let lock = format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})");
        connection.batch_execute(&lock).unwrap_or_else(|error| panic!("{error}"));
        let exists = diesel::dsl::sql::<diesel::sql_types::Bool>(&format!(
            "EXISTS (SELECT FROM pg_database WHERE datname = '{name}')"
        ));
        if diesel::select(exists)
            .get_result(&mut connection)
            .unwrap_or_else(|error| panic!("{error}"))
        {
            return;
        }
        // Renamed once it is complete.
        let unfinished = format!("{name}_unfinished");
        admin(&format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"));
        admin(&format!("CREATE DATABASE {unfinished}"));
        let store = open(&server().with_database(&unfinished), &options())
            .unwrap_or_else(|error| panic!("{error:?}"));
        store.migrate().unwrap_or_else(|error| panic!("{error:?}"));
        drop(store);
        admin(&format!("ALTER DATABASE {unfinished} RENAME TO {name}"));
    });
    name.to_owned()
}
