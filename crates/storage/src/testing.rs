//! A database of its own for every test, here and in the crates above.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::store::Store;
use tempfile::TempDir;

use crate::url::Target;
use crate::{DatabaseUrl, StoreOptions, open};

/// The variable that names a PostgreSQL server to test with, and a superuser there.
const SERVER: &str = "MERCURIO_TEST_POSTGRES_URL";
/// The lock under which the template is made: `merctest` in ASCII.
const TEMPLATE_LOCK: i64 = 0x6d65_7263_7465_7374;

/// A database that nobody else uses. It is gone when this is dropped, with whatever still holds it.
pub struct TestDatabase {
    url: DatabaseUrl,
    store: Arc<dyn Store>,
    /// What to take away at the end.
    home: Home,
}

enum Home {
    /// A folder. Dropping it removes it.
    Folder(#[expect(dead_code, reason = "held for its end")] TempDir),
    /// A database of that name.
    Server(String),
}

impl TestDatabase {
    /// The version of a migration that this program does not know.
    pub const NEWER: &str = "99991231000000";

    /// A fresh SQLite database of the newest schema.
    #[must_use]
    pub fn sqlite() -> Self {
        let database = Self::empty_sqlite();
        database.store.migrate().unwrap_or_else(|error| panic!("{error:?}"));
        database
    }

    /// A fresh PostgreSQL database of the newest schema.
    ///
    /// # Panics
    /// Where `MERCURIO_TEST_POSTGRES_URL` does not name a server that answers.
    #[must_use]
    pub fn postgres() -> Self {
        Self::on_server(Some(&template()))
    }

    /// A SQLite database without any table.
    #[must_use]
    pub fn empty_sqlite() -> Self {
        let folder = TempDir::with_prefix("mercurio-")
            .unwrap_or_else(|error| panic!("a folder for the test: {error}"));
        let url = format!("sqlite://{}", folder.path().join("mercurio.db").display());
        Self::at(parse(&url), Home::Folder(folder))
    }

    /// A PostgreSQL database without any table.
    ///
    /// # Panics
    /// Where `MERCURIO_TEST_POSTGRES_URL` does not name a server that answers.
    #[must_use]
    pub fn empty_postgres() -> Self {
        Self::on_server(None)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// The same as text, with its password: for a program that the test starts.
    #[must_use]
    pub fn url_text(&self) -> String {
        self.url.to_text()
    }

    /// A store of it.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Another store of it, as another process would have one.
    #[must_use]
    pub fn another_store(&self) -> Arc<dyn Store> {
        open(&self.url, &options()).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Runs statements as the owner of the database.
    ///
    /// # Panics
    /// Where one fails.
    pub fn execute(&self, sql: &str) {
        let done = match self.url.target() {
            Target::Sqlite(path) => {
                let mut connection = SqliteConnection::establish(&path.display().to_string())
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                connection
                    .batch_execute("PRAGMA busy_timeout = 60000")
                    .and_then(|()| connection.batch_execute(sql))
            }
            Target::Postgres(_) => {
                connect(&self.url).unwrap_or_else(|error| panic!("{error}")).batch_execute(sql)
            }
        };
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Makes of the schema what the migration [`Self::NEWER`] of a newer release would that takes nothing from older programs: every
    /// table has a column more, there is another table, and the version is noted.
    pub fn widen(&self) {
        let tables = match self.url.target() {
            Target::Sqlite(_) => include_str!("sqlite/schema.rs"),
            Target::Postgres(_) => include_str!("postgres/schema.rs"),
        };
        let names = tables
            .split("diesel::table! {")
            .skip(1)
            .filter_map(|table| table.split_whitespace().next());
        let mut sql: String = names
            .map(|table| {
                format!("ALTER TABLE {table} ADD COLUMN later text NOT NULL DEFAULT 'x';\n")
            })
            .collect();
        sql.push_str("CREATE TABLE latecomers (id int PRIMARY KEY);\n");
        sql.push_str(&format!(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('{}')",
            Self::NEWER
        ));
        self.execute(&sql);
    }

    /// Makes of [`Self::NEWER`] a migration that no older program can work with.
    pub fn shut_out_older(&self) {
        self.execute(&format!(
            "UPDATE schema_compatibility SET minimum_version = '{}'",
            Self::NEWER
        ));
    }

    fn at(url: DatabaseUrl, home: Home) -> Self {
        let store = open(&url, &options()).unwrap_or_else(|error| panic!("{error:?}"));
        Self { url, store, home }
    }

    fn on_server(template: Option<&str>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "mercurio_test_{}_{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let template = template.unwrap_or("template1");
        // A process of an earlier run may have had this number, and ended before it could clean up.
        admin(&format!("DROP DATABASE IF EXISTS {name}"));
        admin(&format!("CREATE DATABASE {name} TEMPLATE {template}"));
        Self::at(server().with_database(&name), Home::Server(name))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Home::Server(name) = &self.home {
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            connect(&server())
                .and_then(|mut connection| {
                    connection.batch_execute(&drop).map_err(|error| error.to_string())
                })
                .ok();
        }
    }
}

/// Patient, since many tests share a small machine, and few connections, since they share the server's.
fn options() -> StoreOptions {
    StoreOptions { connect_timeout: Duration::from_secs(60), ..StoreOptions::default() }
}

fn parse(url: &str) -> DatabaseUrl {
    DatabaseUrl::parse(url).unwrap_or_else(|error| panic!("{error}"))
}

fn server() -> DatabaseUrl {
    let url = env::var(SERVER).unwrap_or_else(|_| {
        panic!(
            "{SERVER} is not set. This test needs a PostgreSQL server; `scripts/with-postgres cargo test` runs the tests \
             with one of their own"
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

/// The name of a database of the newest schema, to be copied: a copy takes a tenth of the time of the migrations. It is
/// made once for each content of the migrations, however many processes ask at once.
fn template() -> String {
    static MADE: OnceLock<()> = OnceLock::new();
    let name = concat!("mercurio_template_", env!("MERCURIO_MIGRATIONS_HASH"));
    MADE.get_or_init(|| {
        let mut connection = connect(&server()).unwrap_or_else(|error| panic!("{SERVER}: {error}"));
        // Ends with this connection.
        let lock = format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})");
        connection.batch_execute(&lock).unwrap_or_else(|error| panic!("{error}"));
        let is_there = diesel::dsl::sql::<diesel::sql_types::Bool>(&format!(
            "EXISTS (SELECT FROM pg_database WHERE datname = '{name}')"
        ));
        if diesel::select(is_there)
            .get_result(&mut connection)
            .unwrap_or_else(|error| panic!("{error}"))
        {
            return;
        }
        // Under another name until it is whole.
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
