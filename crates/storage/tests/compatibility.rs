//! A schema of a newer release: whether a program may work with it is said by the database.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use mercurio_domain::store::{SchemaState, StoreError};
use mercurio_storage::testing::TestDatabase;

fn both() -> [TestDatabase; 2] {
    [TestDatabase::sqlite(), TestDatabase::postgres()]
}

fn unknown() -> Vec<String> {
    vec![TestDatabase::NEWER.to_owned()]
}

#[test]
fn a_newer_schema_that_takes_nothing_away_may_be_shared_until_a_migration_says_otherwise() {
    for database in both() {
        let store = database.store();
        assert_eq!(store.schema_state().unwrap(), SchemaState::Current);
        database.widen();
        assert_eq!(store.schema_state().unwrap(), SchemaState::Compatible(unknown()));
        database.shut_out_older();
        assert_eq!(store.schema_state().unwrap(), SchemaState::Newer(unknown()));
        // As its down.sql does.
        database.execute("UPDATE schema_compatibility SET minimum_version = '20261128000000'");
        assert_eq!(store.schema_state().unwrap(), SchemaState::Compatible(unknown()));
    }
}

#[test]
fn a_newer_schema_that_does_not_say_who_may_share_it_may_not_be_shared() {
    for database in both() {
        let store = database.store();
        database.widen();
        database.execute("DELETE FROM schema_compatibility");
        assert_eq!(store.schema_state().unwrap(), SchemaState::Newer(unknown()));
        database.execute("DROP TABLE schema_compatibility");
        assert_eq!(store.schema_state().unwrap(), SchemaState::Newer(unknown()));
    }
}

#[test]
fn a_database_that_lacks_a_migration_and_has_another_is_of_no_release_before_or_after() {
    for database in both() {
        database.widen();
        database.execute("DELETE FROM __diesel_schema_migrations WHERE version = '20261128000000'");
        assert_eq!(database.store().schema_state().unwrap(), SchemaState::Newer(unknown()));
    }
}

#[test]
fn the_bar_is_one_version_and_nothing_else() {
    for database in both() {
        let store = database.store();
        for wrong in [
            "UPDATE schema_compatibility SET minimum_version = 'newest'",
            "INSERT INTO schema_compatibility VALUES (2, '20261128000000')",
        ] {
            let refused =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| database.execute(wrong)));
            assert!(refused.is_err(), "{wrong}");
        }
        assert_eq!(store.schema_state().unwrap(), SchemaState::Current);
    }
}

#[test]
fn an_unknown_migration_is_not_taken_back() {
    for database in both() {
        database.widen();
        let refused = database.store().revert().unwrap_err();
        assert!(
            matches!(&refused, StoreError::Internal(cause) if cause.to_string().contains(TestDatabase::NEWER)),
            "{refused:?}"
        );
        assert_eq!(database.store().schema_state().unwrap(), SchemaState::Compatible(unknown()));
        assert_eq!(database.store().migrate().unwrap(), Vec::<String>::new());
    }
}
